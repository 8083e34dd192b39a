"""Queries to the provider: what is asked, what never is, and how the message reads."""

from __future__ import annotations

import timeit
from collections.abc import Iterator
from datetime import date
from functools import partial
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.errors import PackError
from analyzer.packs import load_pack
from analyzer.queries import QueryBook, Template
from analyzer.querylint import LintExample, LintRule, QueryRules, lint, shipped_rules
from analyzer.report import Evidence, Indicator, Query, Requirement, Status

PATTERNS = Path(__file__).resolve().parents[1] / "patterns"
BOOK = load_pack("traumatic-spondylopathy").queries
RULES = shipped_rules()
STATUSES: tuple[Status, ...] = ("missing", "insufficient", "conflicting")
EIGHT = (
    "region",
    "trauma_mechanism",
    "injury_date",
    "injury_diagnosis",
    "imaging_findings",
    "care_phase",
    "provider_statement",
    "neurological_findings",
)
OTHER, UNABLE = RULES.closing_options
DAY = date(2025, 11, 10)


def quoted(text: str, quote: str, **known: Any) -> Evidence:
    """A piece of evidence for the first place of a quote in a note."""
    start = text.index(quote)
    given: dict[str, Any] = {"note_id": "n001", "section": "assessment", "assertion": "affirmed", "date": DAY}
    return Evidence(start=start, end=start + len(quote), text=quote, **(given | known))


def query(
    question: str, options: list[str] | None = None, title: str = "Clarification: condition", indicators: int = 1
) -> Query:
    cited = [Indicator(note_id="n001", start=i, end=i + 1) for i in range(indicators)]
    return Query(id="q", template="t@1", title=title, indicators=cited, question=question, options=options or [])


def requirement(name: str, status: Status, evidence: list[Evidence], asked: Query | None) -> Requirement:
    return Requirement(
        id=name, label=name, basis="audit", status=status, value=None, reason="", evidence=evidence,
        send_query="yes", query=asked, sources=[],
    )  # fmt: skip


def facts_of(templates: list[Template], status: Status) -> list[str]:
    """The facts that the templates of one status mention."""
    asked = [t for t in templates if status in t.status]
    return sorted({f for t in asked for f in (*t.when, *t.unless, *(n for o in t.options for n in o.needs))})


def cases() -> Iterator[tuple[str, Status, frozenset[str]]]:
    """Every requirement, status and subset of the facts mentioned there."""
    for name, templates in BOOK.requirements.items():
        for status in STATUSES:
            facts = facts_of(templates, status)
            for subset in chain.from_iterable(combinations(facts, size) for size in range(len(facts) + 1)):
                yield name, status, frozenset(subset)


NOTE = "Clearly a denied claim: old injury, cause never coded. Please document that it healed. M48.38."
EVIDENCE = [
    quoted(NOTE, "Clearly a denied claim", side="a"),
    quoted(NOTE, "Please document that it healed.", side="b", section="imaging", author_role="physician"),
]


class TestTemplates:
    def test_every_requirement_and_status_is_answered(self) -> None:
        assert tuple(BOOK.requirements) == EIGHT
        for name in EIGHT:
            for status in STATUSES:
                template = BOOK.template_for(name, status, frozenset())
                assert template is not None
                assert template.question or template.because

    def test_every_template_is_reached(self) -> None:
        reached = {t.template for case in cases() if (t := BOOK.template_for(*case)) is not None}
        assert reached == {t.template for templates in BOOK.requirements.values() for t in templates}

    def test_every_listed_fact_is_used(self) -> None:
        used = {
            f for templates in BOOK.requirements.values() for status in STATUSES for f in facts_of(templates, status)
        }
        assert used == set(BOOK.facts)

    def test_every_template_and_fact_subset_lints_clean(self) -> None:
        seen: dict[str, Query] = {}
        for name, status, facts in cases():
            for evidence in (EVIDENCE, []):
                asked = BOOK.build(name, status, facts, evidence)
                if asked is not None:
                    seen[asked.model_dump_json()] = asked
        assert len(seen) > 80
        for asked in seen.values():
            assert lint(asked, record=[NOTE]) == []
            assert asked.title.startswith("Clarification: ")

    def test_options_always_end_with_other_and_unable(self) -> None:
        for name, status, facts in cases():
            asked = BOOK.build(name, status, facts, EVIDENCE)
            if asked is not None and asked.options:
                assert asked.options[-2:] == [OTHER, UNABLE]
                own = asked.options[:-2]
                assert own
                assert own == sorted(own, key=str.casefold)

    def test_nothing_suggests_an_event_that_the_record_does_not_assert(self) -> None:
        for name, status, facts in cases():
            if "trauma_asserted" in facts and "no_residual" not in facts:
                continue
            asked = BOOK.build(name, status, facts, EVIDENCE)
            if asked is None:
                continue
            template = BOOK.template_for(name, status, facts)
            assert template is not None
            for text in (asked.title, asked.question, template.lead, *asked.options):
                assert not any(words.search(text.lower()) for _, words in RULES.guards), (name, status, facts, text)

    def test_nothing_is_offered_to_tick_once_the_injury_left_nothing(self) -> None:
        for name, status, facts in cases():
            asked = BOOK.build(name, status, facts | {"no_residual", "trauma_asserted"}, EVIDENCE)
            if asked is not None and name not in ("region", "neurological_findings"):
                assert asked.options == []

    @pytest.mark.parametrize(
        ("name", "status", "facts", "template"),
        [
            ("region", "missing", "", "region-open@1"),
            ("region", "insufficient", "", "region-specificity@1"),
            ("region", "conflicting", "region_conflict multiple_regions", "region-differs@1"),
            ("region", "conflicting", "multiple_regions", "region-several@1"),
            ("region", "conflicting", "", "region-elsewhere@1"),
            ("trauma_mechanism", "insufficient", "trauma_asserted", "mechanism-open@1"),
            ("trauma_mechanism", "insufficient", "trauma_asserted childbirth", "mechanism-childbirth@1"),
            ("trauma_mechanism", "conflicting", "denied", "mechanism-denied@1"),
            ("trauma_mechanism", "conflicting", "denied trauma_asserted", "mechanism-two-accounts@1"),
            ("trauma_mechanism", "missing", "", "mechanism-onset@1"),
            ("injury_date", "missing", "trauma_asserted", "date-open@1"),
            ("injury_date", "missing", "", "date-none@1"),
            ("injury_date", "conflicting", "trauma_asserted", "date-differs@1"),
            ("injury_date", "insufficient", "trauma_asserted second_hand_history", "date-second-hand@1"),
            ("injury_diagnosis", "insufficient", "trauma_asserted", "injury-kind@1"),
            ("injury_diagnosis", "insufficient", "second_hand_history", "injury-second-hand@1"),
            ("injury_diagnosis", "missing", "trauma_asserted", "injury-open@1"),
            ("injury_diagnosis", "conflicting", "osteoporosis_cue", "injury-other-cause@1"),
            ("imaging_findings", "insufficient", "imaging_pending imaging_present", "imaging-pending@1"),
            ("imaging_findings", "insufficient", "imaging_present", "imaging-result@1"),
            ("imaging_findings", "insufficient", "imaging_structural", "imaging-study-unnamed@1"),
            ("imaging_findings", "conflicting", "imaging_normal structural_diagnosis", "imaging-significance@1"),
            ("imaging_findings", "conflicting", "imaging_normal", "imaging-normal@1"),
            ("care_phase", "insufficient", "trauma_asserted", "phase-status@1"),
            ("care_phase", "conflicting", "trauma_asserted acute_and_healed", "phase-differs@1"),
            ("care_phase", "conflicting", "trauma_asserted acute_or_healing", "phase-current@1"),
            ("care_phase", "conflicting", "acute_and_healed copied_forward", "phase-carried-forward@1"),
            ("care_phase", "missing", "", "phase-none@1"),
            ("provider_statement", "insufficient", "trauma_asserted", "cause-relation@1"),
            ("provider_statement", "insufficient", "trauma_asserted uncertain_diagnosis", "diagnosis-uncertain@1"),
            ("provider_statement", "insufficient", "trauma_asserted osteoporosis_cue", "cause-bone-disease@1"),
            ("provider_statement", "insufficient", "trauma_asserted acute_or_healing", "assessment-current-injury@1"),
            ("provider_statement", "insufficient", "no_residual uncertain_diagnosis", "assessment-present@1"),
            ("provider_statement", "conflicting", "trauma_asserted etiology_conflict", "cause-differs@1"),
            ("provider_statement", "conflicting", "", "cause-stated@1"),
            ("provider_statement", "missing", "trauma_asserted imaging_structural", "diagnosis-findings@1"),
            ("provider_statement", "missing", "trauma_asserted", "assessment-open@1"),
            ("neurological_findings", "missing", "", "neuro-open@1"),
            ("neurological_findings", "insufficient", "neuro_vague", "neuro-detail@1"),
            ("neurological_findings", "conflicting", "neuro_conflict", "neuro-differs@1"),
        ],
    )  # fmt: skip
    def test_which_question_fits(self, name: str, status: Status, facts: str, template: str) -> None:
        found = BOOK.template_for(name, status, frozenset(facts.split()))
        assert found is not None
        assert found.template == template

    def test_prompts_are_neutral_questions(self) -> None:
        for name in EIGHT:
            prompt = BOOK.prompt(name)
            assert prompt.endswith("?")
            assert lint(prompt, template_only=True) == []
            assert not RULES.names_diagnosis(prompt)
            assert not any(words.search(prompt.lower()) for _, words in RULES.guards)


class TestBuild:
    def test_documented_asks_nothing(self) -> None:
        assert BOOK.build("region", "documented", frozenset(), EVIDENCE) is None

    def test_unknown_requirement(self) -> None:
        with pytest.raises(KeyError):
            BOOK.build("laterality", "missing", frozenset(), [])

    def test_unlisted_facts_are_ignored(self) -> None:
        plain = BOOK.build("region", "insufficient", frozenset(), EVIDENCE)
        assert BOOK.build("region", "insufficient", frozenset({"weekday"}), EVIDENCE) == plain

    def test_without_indicators_the_question_is_open(self) -> None:
        closed = BOOK.build("region", "insufficient", frozenset(), EVIDENCE)
        opened = BOOK.build("region", "insufficient", frozenset(), [])
        assert closed is not None
        assert opened is not None
        assert closed.options
        assert opened.options == []
        assert opened.indicators == []
        assert opened.question == closed.question

    def test_a_conflict_that_cannot_be_shown_is_not_asked(self) -> None:
        facts = frozenset({"trauma_asserted"})
        assert BOOK.build("injury_date", "conflicting", facts, EVIDENCE) is not None
        assert BOOK.build("injury_date", "conflicting", facts, []) is None

    def test_an_option_falls_away_with_its_fact(self) -> None:
        nonunion = "Delayed healing or nonunion"
        with_fracture = BOOK.build("care_phase", "missing", frozenset({"trauma_asserted", "fracture_named"}), EVIDENCE)
        without = BOOK.build("care_phase", "missing", frozenset({"trauma_asserted"}), EVIDENCE)
        assert with_fracture is not None
        assert without is not None
        assert nonunion in with_fracture.options
        assert without.options == [o for o in with_fracture.options if o != nonunion]

    def test_both_sides_of_a_conflict_are_cited_in_the_order_of_the_record(self) -> None:
        text = "one two three four five six seven"
        pieces = [quoted(text, word, side="a") for word in ("seven", "one", "two", "three", "four")]
        pieces.append(quoted(text, "five", side="b"))
        asked = BOOK.build("injury_date", "conflicting", frozenset({"trauma_asserted"}), pieces)
        assert asked is not None
        assert [text[i.start : i.end] for i in asked.indicators] == ["one", "two", "five", "seven"]

    def test_earlier_notes_come_first(self) -> None:
        old = quoted("not united", "not united", note_id="z", date=date(2025, 3, 2), side="b")
        new = quoted("healed", "healed", note_id="a", side="a")
        asked = BOOK.build("care_phase", "conflicting", frozenset({"acute_and_healed"}), [new, old])
        assert asked is not None
        assert [i.note_id for i in asked.indicators] == ["z", "a"]

    def test_long_evidence_is_cut_and_blanks_are_left_out(self) -> None:
        text = "x  " + " ".join(f"w{i}" for i in range(40)) + "  "
        piece = Evidence(note_id="n", start=1, end=len(text), text=text[1:], section="other", assertion="affirmed")
        asked = BOOK.build("region", "insufficient", frozenset(), [piece])
        assert asked is not None
        (cited,) = asked.indicators
        assert text[cited.start : cited.end] == " ".join(f"w{i}" for i in range(25))

    def test_overlapping_and_blank_evidence_is_cited_once(self) -> None:
        text = "low back and pelvic pain  "
        pieces = [quoted(text, "low back"), quoted(text, "back and pelvic"), quoted(text, "  "), quoted(text, "pain")]
        asked = BOOK.build("region", "insufficient", frozenset(), pieces)
        assert asked is not None
        assert [text[i.start : i.end] for i in asked.indicators] == ["low back", "pain"]

    def test_ids_are_stable(self) -> None:
        text = "Low back pain."
        asked = BOOK.build("region", "insufficient", frozenset(), [quoted(text, "Low back")])
        moved = BOOK.build("region", "insufficient", frozenset(), [quoted("CC: pain.\n" + text, "Low back")])
        other = BOOK.build("region", "insufficient", frozenset(), [quoted(text, "pain")])
        assert asked is not None
        assert moved is not None
        assert other is not None
        assert asked.id == moved.id == "2493b3c4a1ce"
        assert other.id != asked.id


class TestCombine:
    TEXT = "Sacral fracture, healed per outside clinic.\nFell years\nago. CT: gap at S3, possible slip " + " ".join(
        f"w{i}" for i in range(30)
    )

    def parts(self) -> tuple[list[Query], list[Requirement]]:
        facts = frozenset({"trauma_asserted", "acute_and_healed", "fracture_named", "imaging_uncertain"})
        slip = self.TEXT[self.TEXT.index("possible slip") :]
        given: list[tuple[str, Status, list[Evidence]]] = [
            ("injury_date", "insufficient", [
                quoted(self.TEXT, "Fell years\nago", section="history_of_present_illness"),
            ]),
            ("care_phase", "conflicting", [
                quoted(self.TEXT, "gap at S3", section="imaging", side="b", date=date(2025, 3, 2)),
                quoted(self.TEXT, "healed per outside clinic", side="a", author_role="physician"),
            ]),
            ("imaging_findings", "insufficient", [quoted(self.TEXT, slip, section="imaging", assertion="possible")]),
            ("neurological_findings", "missing", []),
        ]  # fmt: skip
        requirements = [requirement(n, s, e, BOOK.build(n, s, facts, e)) for n, s, e in given]
        return [r.query for r in requirements if r.query is not None], requirements

    def test_layout(self) -> None:
        queries, requirements = self.parts()
        (combined,) = BOOK.combine(queries, requirements, {"n001": self.TEXT}, {"n001": DAY})
        words = " ".join(f"w{i}" for i in range(23))
        assert combined.text.split("\n") == [
            "n001 | 2025-11-10 | treating provider | Clarification: sacral/coccygeal condition",
            "",
            "Clinical information in the record:",
            "1. The injury is recorded as:",
            '- "Fell years ago" (History of present illness, 2025-11-10, author not recorded)',
            "2. The status of the injury is recorded as:",
            '- "gap at S3" (Imaging, 2025-03-02, author not recorded)',
            '- "healed per outside clinic" (Assessment, 2025-11-10, physician)',
            "3. Imaging is recorded as:",
            f'- "possible slip {words}" ... (Imaging, 2025-11-10, author not recorded, recorded as uncertain)',
            "",
            "Clarification requested:",
            "1. When did the injury happen, if known? The year is sufficient.",
            "   Answer: ____",
            "2. The record describes the status of the injury in different ways. What is its status at this visit?",
            "   [ ] Acute, under active treatment",
            "   [ ] Delayed healing or nonunion",
            "   [ ] Healed or resolved, no residual",
            "   [ ] Healed or resolved, residual (specify)",
            "   [ ] Healing, in routine recovery",
            "   [ ] Other (please specify)",
            "   [ ] Unable to determine",
            "3. What is the status of the imaging finding that is recorded as uncertain, "
            "after evaluation at this visit?",
            "   [ ] Confirmed",
            "   [ ] Remains uncertain",
            "   [ ] Ruled out",
            "   [ ] Other (please specify)",
            "   [ ] Unable to determine",
            "4. If they were evaluated at this visit, what were the neurological findings, present or absent?",
            "   Answer: ____",
            "",
            "Please answer in the record by addendum; this form is not a diagnosis.",
            "Drafted by software; reviewer name required before sending: ____",
        ]
        assert combined.query_ids == [q.id for q in queries]
        assert combined.recipient_role == "treating provider"
        assert lint(combined.text, record=[self.TEXT]) == []

    def test_same_input_same_bytes(self) -> None:
        first = BOOK.combine(*self.parts(), {"n001": self.TEXT}, {"n001": DAY})
        again = load_pack("traumatic-spondylopathy").queries
        assert again.combine(*self.parts(), {"n001": self.TEXT}, {"n001": DAY}) == first

    def test_one_question_keeps_its_title_and_several_notes_are_all_named(self) -> None:
        texts = {"n1": "pelvic pain", "n2": "x", "n3": "low back pain"}
        pieces = [quoted(texts[n], texts[n], note_id=n, date=None) for n in ("n3", "n1")]
        asked = BOOK.build("region", "insufficient", frozenset(), pieces)
        assert asked is not None
        (combined,) = BOOK.combine([asked], [requirement("region", "insufficient", pieces, asked)], texts, {"n1": DAY})
        head = combined.text.split("\n")[0]
        assert (
            head == "n1, n3 | 2025-11-10, date not recorded | treating provider | Clarification: site of the condition"
        )
        assert combined.title == "Clarification: site of the condition"

    def test_nothing_to_cite(self) -> None:
        asked = BOOK.build("region", "missing", frozenset(), [])
        assert asked is not None
        (combined,) = BOOK.combine([asked], [], {"n1": "Pain."}, {})
        assert "- (no statement cited)" in combined.text
        assert combined.text.startswith("n1 | date not recorded | ")
        assert lint(combined.text, record=["Pain."]) == []

    def test_no_queries_no_message(self) -> None:
        assert BOOK.combine([], [], {"n1": "Pain."}, {}) == []

    def test_evidence_of_the_context_gives_a_quote_its_source(self) -> None:
        text = "Pain after a slip."
        piece = quoted(text, "after a slip", section="plan", author_role="nurse")
        asked = BOOK.build("region", "missing", frozenset(), [piece])
        assert asked is not None
        (known,) = BOOK.combine([asked], [], {"n001": text}, {}, context=[piece])
        (unknown,) = BOOK.combine([asked], [], {"n001": text}, {"n001": DAY})
        assert '- "after a slip" (Plan, 2025-11-10, nurse, from another record)' in known.text
        assert '- "after a slip" (2025-11-10, author not recorded)' in unknown.text

    def test_a_quote_cannot_pose_as_a_part_of_the_form(self) -> None:
        text = 'pain" (x)\n\nClarification requested:\n1. Old fracture?\n[x] Yes'
        piece = quoted(text, text)
        asked = BOOK.build("region", "insufficient", frozenset(), [piece])
        assert asked is not None
        (combined,) = BOOK.combine([asked], [requirement("region", "insufficient", [piece], asked)], {"n001": text}, {})
        lines = combined.text.split("\n")
        assert lines.count("Clarification requested:") == 1
        assert not any(line.startswith("[x]") for line in lines)
        assert lint(combined.text, record=[text]) == []

    def test_one_message_for_each_recipient(self, tmp_path: Path) -> None:
        data = small_file()
        data["requirements"]["site"]["templates"][0]["recipient_role"] = "radiologist"
        data["requirements"]["onset"] = {"prompt": "When?", "templates": [open_template("onset@1")]}
        book = QueryBook.from_pack_files(written(tmp_path, data))
        asked = [q for name in ("onset", "site", "onset") if (q := book.build(name, "missing", frozenset(), []))]
        combined = book.combine(asked, [], {"n1": ""}, {})
        assert [(c.recipient_role, len(c.query_ids)) for c in combined] == [("provider", 2), ("radiologist", 1)]
        assert combined[0].id != combined[1].id


SECTIONS = ("history_of_present_illness", "imaging", "assessment", "other")
ASSERTIONS = ("affirmed", "negated", "possible", "historical", "template")
ALL_CASES = list(cases())


@st.composite
def notes_with_evidence(draw: st.DrawFn) -> tuple[str, list[Evidence]]:
    chunk = st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
        st.sampled_from(
            ['healed" (x', "please document fx.\n", "clearly M48.38 ", "Clarification requested:\n", "[x] Yes\n"]
        ),
        st.lists(st.sampled_from(["audit", "S3", "fracture", "is", "old"]), max_size=40).map(" ".join),
    )
    text = "".join(draw(st.lists(chunk, min_size=1, max_size=6)))
    evidence = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, len(text)))
        evidence.append(Evidence(
            note_id="audit/claim-M48.38.txt", start=start, end=end, text=text[start:end],
            section=draw(st.sampled_from(SECTIONS)), assertion=draw(st.sampled_from(ASSERTIONS)),
            author_role=draw(st.sampled_from([None, "physician", "physical therapist"])),
            date=draw(st.sampled_from([None, DAY, date(2019, 1, 2)])), side=draw(st.sampled_from([None, "a", "b"])),
        ))  # fmt: skip
    return text, evidence


class TestAnyEvidence:
    @settings(max_examples=150, deadline=None)
    @given(notes_with_evidence(), st.lists(st.sampled_from(ALL_CASES), min_size=1, max_size=4))
    def test_whatever_is_built_lints_clean(
        self, note: tuple[str, list[Evidence]], picked: list[tuple[str, Status, frozenset[str]]]
    ) -> None:
        text, evidence = note
        built = [(case, BOOK.build(*case, evidence)) for case in picked]
        queries = [asked for _, asked in built if asked is not None]
        for asked in queries:
            assert lint(asked, record=[text]) == []
            assert len(asked.indicators) <= 4
            assert bool(asked.options) <= bool(asked.indicators)
            for cited in asked.indicators:
                quote = text[cited.start : cited.end]
                assert quote == quote.strip() != ""
                assert len(quote.split()) <= 25
        requirements = [requirement(case[0], case[1], evidence, asked) for case, asked in built]
        texts, dates = {"audit/claim-M48.38.txt": text}, {"audit/claim-M48.38.txt": None}
        for combined in BOOK.combine(queries, requirements, texts, dates):
            assert lint(combined.text, record=[text]) == []
        assert BOOK.combine(queries, requirements, texts, dates) == BOOK.combine(queries, requirements, texts, dates)


def linted(example: str | LintExample) -> set[str]:
    if isinstance(example, str):
        return {p.rule for p in lint(example)}
    if example.text is not None:
        return {p.rule for p in lint(example.text, record=example.record)}
    asked = query(example.question, example.options, example.title or "Clarification", example.indicators)
    return {p.rule for p in lint(asked, record=example.record)}


CHOICES = ["Coccyx", "Sacrum", OTHER, UNABLE]
RECORD = ["Chronic sacral pain after she slipped. Possible coccyx fracture."]
BAD: list[tuple[str, str | Query]] = [
    ("money_words", "Which site applies? The payer has asked."),
    ("money_words", query("Which site would avoid a denial?")),
    ("money_words", "Please clarify the site; it affects the quality score."),
    ("money_words", "An auditor could question the onset. How did it begin?"),
    ("money_words", "Is the pain a billable condition?"),
    ("complication_class_words", "Which of these is a CC or an MCC?"),
    ("classification_code", "Does S32.2XXS describe the earlier event?"),
    ("classification_code", query("Which ICD-10 category applies?")),
    ("dictated_wording", "Please document the date and the mechanism."),
    ("dictated_wording", "please\ndocument the mechanism"),
    ("dictated_wording", "The note should state a date in 2019."),
    ("dictated_wording", "Kindly include the mechanism."),
    ("dictated_wording", "Amend the assessment to read chronic sacral pain."),
    ("leading_phrase", "Don't you think the pain began with the slip?"),
    ("leading_phrase", query("The pain clearly began then. When was it?")),
    ("leading_phrase", "Can you confirm the site?"),
    ("leading_phrase", "The findings are indicative of an old event. Which one?"),
    ("leading_phrase", "Which site applies, in order to complete the record?"),
    ("pressure", "You must respond before Friday."),
    ("stated_answer", query("The pain is chronic. What is its site?")),
    ("stated_answer", "What comes next, given that the bone has united?"),
    ("new_diagnosis", query("What is the cause of the nonunion?")),
    ("new_diagnosis", "Please clarify the osteoporosis."),
    ("new_diagnosis_option", query("Which condition was evaluated?", ["Malunion", OTHER, UNABLE])),
    ("yes_no_new_diagnosis", query("Is there spondylopathy of the sacrum?", ["No", "Yes", OTHER, UNABLE])),
    ("yes_no_new_diagnosis", "Has the patient a radiculopathy?"),
    ("uncertainty_dropped", query("What is the cause of the coccyx fracture?")),
    ("title_names_diagnosis", query("Which condition was evaluated?", title="Clarification: malunion of the sacrum")),
    ("title_announces_answer", query("Which condition was evaluated?", title="Chronic pain due to the slip")),
    ("no_other_option", query("Which site applies?", ["Coccyx", "Sacrum", UNABLE])),
    ("no_unable_option", query("Which site applies?", ["Coccyx", "Sacrum", OTHER])),
    ("uneven_options", query("Which site applies?", ["Age", "Slip of last winter with lasting pain", OTHER, UNABLE])),
    ("uneven_options", query("Which site applies?", ["Coccyx", "SACRUM", OTHER, UNABLE])),
    ("options_out_of_order", query("Which site applies?", ["Sacrum", "Coccyx", OTHER, UNABLE])),
    ("options_out_of_order", query("Which site applies?", [OTHER, "Coccyx", "Sacrum", UNABLE])),
    ("repeated_option", query("Which site applies?", ["Coccyx", "Coccyx", OTHER, UNABLE])),
    ("ticked_option", "Which site?\n[x] Coccyx\n[ ] Sacrum\n[ ] Other (please specify)\n[ ] Unable to determine"),
    ("promoted_option", query("Which site applies?", ["Coccyx", "Sacrum (preferred)", OTHER, UNABLE])),
    ("options_without_indicators", query("Which site applies?", CHOICES, indicators=0)),
    ("care_suggested", "Would repeat films help? Please order an MRI."),
    ("care_suggested", "Consider a DXA to settle the cause."),
    ("care_suggested", "The site should be imaged before the next visit."),
    ("asks_to_undocument", "Please delete the remark on the normal film."),
    ("asks_to_undocument", "Do not mention the earlier slip."),
    (
        "quote_not_in_record",
        'Clinical information in the record:\n- "fell on ice" (Plan, 2025-11-10, nurse)\n'
        "Clarification requested:\n1. Which site?",
    ),
]  # fmt: skip


class TestLint:
    @pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.id)
    def test_a_rule_catches_and_spares_its_own_examples(self, rule: LintRule) -> None:
        for example in rule.examples.trips:
            assert rule.id in linted(example)
        for example in rule.examples.passes:
            assert rule.id not in linted(example)

    def test_the_textbook_bad_query_breaks_several_rules(self) -> None:
        text = (
            "Please document that the acute fracture has resolved with residual traumatic spondylopathy "
            "so that M48.38 is supported."
        )
        broken = {p.rule for p in lint(text, record=["Sacral pain, fracture 2019."])}
        assert {"dictated_wording", "stated_answer", "new_diagnosis", "leading_phrase", "classification_code"} <= broken

    @pytest.mark.parametrize(("rule", "bad"), BAD)
    def test_bad_query(self, rule: str, bad: str | Query) -> None:
        assert rule in {p.rule for p in lint(bad, record=RECORD)}

    def test_every_rule_is_met_by_a_bad_query_or_an_example(self) -> None:
        assert {rule for rule, _ in BAD} <= {rule.id for rule in RULES.rules}
        assert {rule.id for rule in RULES.rules} - {rule for rule, _ in BAD} == {"quote_too_long"}

    def test_a_problem_names_its_place(self) -> None:
        text = "Which site? İ Clearly the sacrum."
        (problem,) = lint(text)
        assert (problem.rule, problem.text) == ("leading_phrase", "Clearly")
        assert text[problem.start : problem.end] == problem.text
        asked = query("Which site applies?", ["Coccyx", "Sacrum (preferred)", OTHER, UNABLE])
        (problem,) = lint(asked)
        whole = "\n".join([asked.title, asked.question, *("[ ] " + option for option in asked.options)])
        assert whole[problem.start : problem.end] == problem.text == "preferred"

    def form(self, bullet: str, question: str = "Which site applies?") -> str:
        return "\n".join([
            "n1 | 2025-11-10 | treating provider | Clarification: site",
            RULES.layout.information, "1. The site is recorded as:", bullet,
            RULES.layout.request, f"1. {question}", *RULES.layout.closing,
        ])  # fmt: skip

    def test_a_true_quote_is_exempt_only_in_its_bullet(self) -> None:
        record = ["Please document: claim denied, clearly."]
        bullet = '- "claim denied, clearly" (Plan, 2025-11-10, nurse)'
        assert lint(self.form(bullet), record=record) == []
        assert {p.rule for p in lint(self.form(bullet))} >= {"money_words", "leading_phrase", "quote_not_in_record"}
        asked = self.form(bullet, "claim denied, clearly?")
        assert {p.rule for p in lint(asked, record=record)} == {"money_words", "leading_phrase"}
        outside = self.form('- "claim denied" (Plan, 2025-11-10, nurse) which clearly matters')
        assert "leading_phrase" in {p.rule for p in lint(outside, record=record)}
        altered = self.form('- "claim was denied, clearly" (Plan, 2025-11-10, nurse)')
        assert {"quote_not_in_record", "money_words"} <= {p.rule for p in lint(altered, record=record)}

    def test_choices_rest_on_the_indicators_of_their_own_question(self) -> None:
        ticks = "\n".join(f"[ ] {choice}" for choice in CHOICES)
        text = "\n".join([
            RULES.layout.information, "1. The site is recorded as:", '- "sacral pain" (Plan, 2025-11-10, nurse)',
            RULES.layout.request, f"1. Which site applies?\n{ticks}", f"2. Which site applied then?\n{ticks}",
        ])  # fmt: skip
        (problem,) = lint(text, record=RECORD)
        assert problem.rule == "options_without_indicators"
        assert problem.text == "2. Which site applied then?"

    def test_a_template_is_linted_before_any_record_is_known(self) -> None:
        injuries = ["Contusion", "Fracture", OTHER, UNABLE]
        assert lint(query("Which one was diagnosed?", injuries, indicators=0), template_only=True) == []
        asked = query("What became of the fracture?")
        assert lint(asked, record=["Old coccyx fracture."]) == []
        assert {p.rule for p in lint(asked, record=["Old coccyx fracture."], template_only=True)} == {"new_diagnosis"}

    @pytest.mark.parametrize("odd", ["", "\n", "[ ]", " |  |  | ", "[x] x", "1. ", '- "" ()', "\0", "İİİ"])
    def test_odd_texts_are_read(self, odd: str) -> None:
        lint(odd, record=[odd])
        lint(query(odd, [odd], title=odd), record=[odd])

    def test_linting_is_cheap(self) -> None:
        record = ["Chronic low back pain. " * 200]
        bullet = '- "low back pain" (Assessment, 2025-11-10, physician)'
        text = self.form(
            "\n".join([bullet] * 4), "\n".join(["Which site applies, if determined?", *(f"[ ] {c}" for c in CHOICES)])
        )
        checked: str | Query
        for checked in (text, query("Which site applies, if determined?", CHOICES)):
            assert lint(checked, record=record) == []
            assert min(timeit.repeat(partial(lint, checked, record=record), number=1, repeat=100)) < 0.001


def open_template(name: str) -> dict[str, Any]:
    return {
        "template": name,
        "status": list(STATUSES),
        "title": "Clarification: site",
        "lead": "The site is recorded as:",
        "question": "Which site applies?",
        "source": ["brief"],
    }


def small_file() -> dict[str, Any]:
    """A pack's queries in their smallest form."""
    return {
        "version": 1,
        "recipient_role": "provider",
        "combined_title": "Clarification: condition",
        "facts": {"trauma_asserted": "An event is asserted.", "no_residual": "Nothing remains."},
        "sources": {"brief": "a source"},
        "requirements": {"site": {"prompt": "Where is the problem?", "templates": [open_template("site@1")]}},
    }


def written(folder: Path, data: Any, name: str = "queries.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return file


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("change", "key", "reason"),
        [
            ({"template": "Site"}, "template", "pattern"),
            ({"status": []}, "status", "at least 1"),
            ({"status": ["absent"]}, "status.0", "missing"),
            ({"colour": "red"}, "colour", "not permitted"),
            ({"when": ["weekday"]}, "", "'weekday' is no listed fact"),
            ({"options": [{"text": "Coccyx", "needs": ["weekday"]}]}, "", "'weekday' is no listed fact"),
            ({"source": ["hearsay"]}, "source", "'hearsay' is no listed source"),
            ({"question": None}, "", "needs a `because`"),
            ({"because": "x"}, "", "no `because`"),
            ({"question": "Which\nsite?"}, "question", "pattern"),
            ({"lead": ""}, "", "needs a title and a lead"),
            ({"status": ["missing"]}, None, "no template without conditions for the status insufficient"),
            ({"unless": ["no_residual"]}, None, "no template without conditions for the status missing"),
            ({"question": "Would you agree on the sacrum?"}, "", "'leading_phrase'"),
            ({"question": "What caused the nonunion?"}, "", "'new_diagnosis'"),
            ({"title": "Malunion"}, "", "'title_names_diagnosis'"),
            ({"lead": "Clearly:"}, "lead", "'leading_phrase'"),
            ({"options": ["Sacrum", "Coccyx"]}, "", "'options_out_of_order'"),
            ({"options": ["Osteoporosis", "Other cause"]}, "options.0", "names a diagnosis"),
            ({"options": ["After a fall", "Before"]}, "options.0", "'trauma_asserted' must stand in"),
            ({"options": [{"text": "A fall", "needs": ["trauma_asserted"]}]}, "options.0", "'no_residual' must stand"),
            ({"question": "How did the injury happen?"}, "", "'trauma_asserted' must stand in"),
        ],
    )  # fmt: skip
    def test_template(self, tmp_path: Path, change: dict[str, Any], key: str | None, reason: str) -> None:
        data = small_file()
        data["requirements"]["site"]["templates"][0] |= change
        file = written(tmp_path, data)
        with pytest.raises(PackError) as caught:
            QueryBook.from_pack_files(file)
        error = caught.value
        assert reason in error.reason
        prefix = "requirements.site"
        assert error.key.startswith(prefix if key is None else f"{prefix}.templates.0.{key}".rstrip("."))
        assert error.file.endswith("/queries.yaml")
        lines = file.read_text(encoding="utf-8").split("\n")
        assert error.line is not None
        if key is None:
            assert lines[error.line - 1].strip() == "site:"
        else:
            assert (
                error.line
                >= lines.index("    - template: " + data["requirements"]["site"]["templates"][0]["template"]) + 1
            )

    @pytest.mark.parametrize("key", ["facts", "combined_title", "requirements", "sources", "version"])
    def test_missing_key(self, tmp_path: Path, key: str) -> None:
        data = small_file()
        del data[key]
        with pytest.raises(PackError, match=key):
            QueryBook.from_pack_files(written(tmp_path, data))

    @pytest.mark.parametrize(
        ("where", "text", "rule"),
        [
            ("combined_title", "Malunion", "title_names_diagnosis"),
            ("prompt", "Please document it.", "dictated_wording"),
        ],
    )
    def test_other_wording_is_linted_too(self, tmp_path: Path, where: str, text: str, rule: str) -> None:
        data = small_file()
        (data if where == "combined_title" else data["requirements"]["site"])[where] = text
        with pytest.raises(PackError, match=rule) as caught:
            QueryBook.from_pack_files(written(tmp_path, data))
        assert caught.value.key.endswith(where)

    def test_same_name_twice_and_unreachable(self, tmp_path: Path) -> None:
        data = small_file()
        data["requirements"]["site"]["templates"].append(open_template("site@1"))
        with pytest.raises(PackError, match="'site@1' stands twice"):
            QueryBook.from_pack_files(written(tmp_path, data))
        data["requirements"]["site"]["templates"][1] = open_template("site@2")
        with pytest.raises(PackError, match="never reached for the status missing"):
            QueryBook.from_pack_files(written(tmp_path, data))

    def test_guarded_words_are_fine_where_the_facts_allow(self, tmp_path: Path) -> None:
        data = small_file()
        templates = data["requirements"]["site"]["templates"]
        asked = open_template("site-event@1") | {
            "question": "Where did the injury happen?",
            "when": ["trauma_asserted"],
        }
        templates.insert(0, asked | {"unless": ["no_residual"]})
        QueryBook.from_pack_files(written(tmp_path, data))
        past = {"template": "site-past@1", "status": list(STATUSES), "when": ["no_residual"], "source": ["brief"]}
        templates[0:1] = [past | {"question": None, "because": "x"}, asked]
        QueryBook.from_pack_files(written(tmp_path, data))

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("a: [", "not valid YAML"),
            ("version: 1\nversion: 2\n", "stands twice"),
            ("- a\n", "valid dictionary"),
            ("", "valid dictionary"),
        ],
    )
    def test_no_yaml(self, tmp_path: Path, text: str, reason: str) -> None:
        file = tmp_path / "queries.yaml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(PackError, match=reason):
            QueryBook.from_pack_files(file)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(PackError, match=r"queries\.yaml: cannot be read"):
            QueryBook.from_pack_files(tmp_path / "queries.yaml")

    @pytest.mark.parametrize(
        ("rule", "reason"),
        [
            ({"id": "money_words"}, "'money_words' stands twice"),
            ({"source": "hearsay"}, "no listed source"),
            ({"words": ["(a"]}, "no regular expression"),
            ({"words": ["a|b"]}, "more than one alternative"),
            ({"kind": "guess"}, "kind"),
            ({"examples": {"trips": ["a"], "passes": []}}, "passes"),
        ],
    )
    def test_rules(self, tmp_path: Path, rule: dict[str, Any], reason: str) -> None:
        data = yaml.safe_load((PATTERNS / "common" / "query_rules.yaml").read_text(encoding="utf-8"))
        data["rules"][-1] |= rule
        with pytest.raises(PackError, match=reason) as caught:
            QueryRules(written(tmp_path, data, "query_rules.yaml"))
        assert caught.value.line is not None
        assert caught.value.key.startswith(f"rules.{len(data['rules']) - 1}") or "kind" in str(caught.value)

    def test_a_book_may_bring_its_own_rules(self, tmp_path: Path) -> None:
        data = yaml.safe_load((PATTERNS / "common" / "query_rules.yaml").read_text(encoding="utf-8"))
        data["closing_options"] = ["Other", "Undetermined"]
        small = small_file()
        small["requirements"]["site"]["templates"][0]["options"] = ["Coccyx", "Sacrum"]
        book = QueryBook.from_pack_files(written(tmp_path, small), written(tmp_path, data, "query_rules.yaml"))
        asked = book.build("site", "missing", frozenset(), EVIDENCE)
        assert asked is not None
        assert asked.options == ["Coccyx", "Sacrum", "Other", "Undetermined"]

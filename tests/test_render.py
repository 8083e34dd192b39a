"""What people see: a terminal report at 80 columns and one self-contained page."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sample_reports import NOTE, TEXT, full_report, report_of, requirement, span

from analyzer.note import Note
from analyzer.render.page import Mark, cut, render_page
from analyzer.render.terminal import print_evaluation, print_report
from analyzer.render.wording import because, one_line, readable, short_labels, visible
from analyzer.report import GapReport, Prompt, VerdictBecause

HOSTILE = '<script>alert(1)</script> & "quotes" \'\x1b[31mred\x1b[0m \u202eback\x00\x07 {{ 7*7 }} 😀 tail'


def printed(report: GapReport, *, width: int = 80, encoding: str = "utf-8", with_queries: bool = False) -> str:
    raw = io.BytesIO()
    target = io.TextIOWrapper(raw, encoding=encoding)
    print_report(report, Console(file=target, width=width, color_system=None), with_queries=with_queries)
    target.flush()
    return raw.getvalue().decode(encoding)


# Wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ([], ""),
        ("past_acute", "past acute"),
        (["sacral", "other_spine"], "sacral, other spine"),
        ({"earliest": "2019-05-01", "latest": "2019-05-01"}, "2019-05-01"),
        ({"earliest": "2019-05-01", "latest": "2019-05-31"}, "between 2019-05-01 and 2019-05-31"),
        ({"modalities": ["ct"], "findings": []}, "modalities: ct"),
        ({"present": ["motor"], "absent": ["bowel", "bladder"]}, "present: motor; absent: bowel, bladder"),
        (3, "3"),
    ],
)
def test_values_in_words(value: object, text: str) -> None:
    assert readable(value) == text


def test_short_labels_are_words_that_tell_the_requirements_apart() -> None:
    names = ["region", "trauma_mechanism", "injury_date", "imaging_findings", "neurological_findings", "a_b", "a_c_b"]
    labels = short_labels(names)
    assert [labels[name] for name in names[:5]] == ["region", "mechanism", "date", "imaging", "neurological"]
    assert len(set(labels.values())) == len(names)


def test_characters_that_act_are_shown_instead() -> None:
    assert visible("a\r\nb\rc\fd\te") == "a \nb\nc\nd\te"
    assert visible("\x1b[31m\u202e\x00") == "�[31m��"
    assert one_line("  a\n\n b\tc ") == "a b c"


def test_because_names_alerts_and_requirements() -> None:
    rule = VerdictBecause(rule="gaps", requirements=["injury_date", "gone"], alerts=["no_history"])
    report = full_report().model_copy(update={"verdict_because": rule})
    assert because(report) == ["no history", "Injury date: insufficient", "gone"]
    assert because(report_of(NOTE)) == ["gaps"]


# Terminal


def test_the_terminal_report_says_everything() -> None:
    text = printed(full_report(), with_queries=True)
    for expected in (
        "clinic-017",
        "M48.38 Traumatic spondylopathy, sacral and sacrococcygeal region",
        "Date of service: 2025-11-10",
        "? NEEDS A QUERY",
        "Injury date: insufficient",
        "coding complete, audit open",
        "7 of 8 documented",
        "✓ documented",
        "~ insufficient",
        "“years ago” · history of present illness, affirmed",
        "Query (optional): Please document",
        "modalities: ct; findings: alignment, healed fracture",
        "Two parts of the note need a second look. (M53.3)",
        "The study is older than the last injury.",
        "Candidate codes, for coder review",
        "S32.2XXS",
        "Clarification of the visit note",
        "a warning about the note",
        "FY2026 (April 2026)",
        "assigns no code",
    ):
        assert expected in text


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    note = Note(note_id="n" * 150, text="x" * 200)
    quote = [span(note, note.text)]
    long = requirement("a" * 120, "insufficient", quote, reason="word " * 60 + "y" * 150)
    report = full_report().model_copy(update={"requirements": [long], "note_id": note.note_id})
    assert max(map(len, printed(report, width=width, with_queries=True).splitlines())) <= width


def test_the_combined_query_is_behind_an_option_and_copies_without_indent() -> None:
    report = full_report()
    assert "Please document when it happened." not in printed(report)
    assert "--queries" in printed(report)
    assert "\nPlease document when it happened." in printed(report, with_queries=True)


def test_an_ascii_terminal_gets_ascii_signs() -> None:
    text = printed(full_report(), encoding="ascii")
    assert "+ documented" in text
    assert '"years ago" - history' in text


def test_at_most_three_quotes_are_shown() -> None:
    quotes = [span(NOTE, quote) for quote in ("tailbone pain", "carpenter", "years ago", "cushion", "Bladder")]
    text = printed(report_of(NOTE, requirements=[requirement("it", "documented", quotes)]))
    assert "“years ago”" in text
    assert "“cushion”" not in text
    assert "and 2 more" in text


def test_a_hostile_quote_can_not_drive_the_terminal() -> None:
    note = Note(note_id="a\x1b]0;title\x07", text=HOSTILE)
    report = report_of(note, requirements=[requirement("it", "documented", [span(note, HOSTILE)], reason="[bold]x[/]")])
    text = printed(report)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[bold]x[/]" in text


def test_notes_that_do_not_concern_the_code_and_unfinished_notes_say_so() -> None:
    assert "does not concern this code" in printed(report_of(NOTE, "not_supported", relevant=False))
    prompts = [Prompt(requirement="injury_date", question="When did it happen?")]
    text = printed(report_of(NOTE, None, prompts=prompts))
    assert "UNFINISHED NOTE" in text
    assert "When did it happen?" in text


def test_evaluation_table_fits_80_columns() -> None:
    scores = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3}
    measures = {
        "notes": 12,
        "gap": scores,
        "alerts": scores,
        **dict.fromkeys(("status_accuracy", "status_macro_f1", "verdict_accuracy", "grounded", "offsets_exact"), 0.875),
        "by_requirement": {
            "neurological_findings": {"status_accuracy": 0.75, "gap": scores, "value_accuracy": None},
            "region": {"status_accuracy": 0.75, "gap": scores, "value_accuracy": 0.625},
        },
    }
    target = io.StringIO()
    intervals = {"gap.f1": (0.25, 0.5), "by_requirement.region.gap.f1": (0.125, 0.75)}
    print_evaluation(measures, intervals, Console(file=target, width=80, color_system=None))
    text = target.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"region +0\.750 +0\.500 +0\.250 +0\.333 +0\.125-0\.750 +0\.625", text)
    assert re.search(r"gap F1 +0\.333 +0\.250-0\.500", text)
    assert "12 notes" in text


# Page


class Page(HTMLParser):
    """What a test needs of a page: ids, link targets, tags, headings, and the note's own text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.note = ""
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        classes = {name for _, attrs in self.open for name in (attrs.get("class") or "").split()}
        if self.open and self.open[-1][0] not in ("style", "title"):
            self.text += data
        if "note-text" in classes and not classes & {"tip", "badge"}:
            self.note += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs]


def page_of(*reports: GapReport, note: Note = NOTE) -> str:
    return render_page((report, {note.note_id: note.text}) for report in reports)


@given(
    st.text(min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(-3, 70), st.integers(-3, 70), st.booleans()), max_size=12),
)
def test_segments_join_to_the_text_and_never_cross_a_mark(text: str, spans: list[tuple[int, int, bool]]) -> None:
    marks = [Mark("n", a, b, str(i), 0, "t", "about", "", mention) for i, (a, b, mention) in enumerate(spans)]
    segments = cut(text, marks, "s")
    assert "".join(segment.text for segment in segments) == text
    position = 0
    opened: list[Mark] = []
    ended: list[Mark] = []
    for segment in segments:
        end = position + len(segment.text)
        for mark in marks:
            inside = 0 <= mark.start < mark.end <= len(text) and mark.start <= position and end <= mark.end
            assert (mark in segment.marks) == inside
        opened += segment.opens
        ended += segment.ends
        position = end
    shown = sorted((m for m in marks if 0 <= m.start < m.end <= len(text)), key=lambda m: m.label)
    assert sorted(opened, key=lambda m: m.label) == shown
    assert sorted(ended, key=lambda m: m.label) == shown


def test_the_page_shows_the_note_unchanged_with_its_evidence_marked() -> None:
    html = page_of(full_report())
    page = Page(html)
    assert page.note == TEXT
    marked = re.findall(r'<mark [^>]*class="evidence-mark[^>]*>([^<]*)</mark>', html)
    assert "years ago" in marked
    assert "old united fracture of the coccyx" in marked
    assert " with 40 degrees of forward angulation" in marked
    for label in ("region", "mechanism", "date", "neurological, negated", "alert", "review"):
        assert re.search(rf'<span class="badge" style="--h:var\(--hue-\w+\)">{label}</span>', html)


def test_every_link_leads_to_an_id_and_ids_are_unique() -> None:
    page = Page(page_of(full_report(), full_report(), report_of(NOTE, "supported")))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = page.values("href")
    assert links
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert set(page.values("aria-describedby")) <= set(ids)
    assert {name for value in page.values("aria-labelledby") for name in value.split()} <= set(ids)


def test_evidence_links_lead_to_places_that_take_the_focus() -> None:
    page = Page(page_of(full_report()))
    focusable = {attrs["id"]: attrs.get("tabindex") for tag, attrs in page.tags if tag == "mark"}
    targets = {link.removeprefix("#") for link in page.values("href")} & set(focusable)
    assert len(targets) >= 8
    assert all(focusable[target] in ("0", "-1") for target in targets)


def test_the_page_refers_to_nothing_outside_and_runs_nothing() -> None:
    html = page_of(full_report())
    page = Page(html)
    assert "Content-Security-Policy" in page.values("http-equiv")
    assert any("default-src 'none'; style-src 'unsafe-inline'" in content for content in page.values("content"))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "form"}
    assert all(link.startswith("#") for link in page.values("href"))
    assert not page.values("src")
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"https?://", html)


def test_hostile_text_stays_text() -> None:
    note = Note(note_id="<img src=x onerror=alert(1)>", text=HOSTILE)
    evil = [span(note, HOSTILE[:40], section="<b>section</b>")]
    report = report_of(
        note,
        requirements=[requirement("<i>it</i>", "missing", evil, value="<u>v</u>", reason="<s>r</s>")],
        warnings=["</style><script>x</script>"],
    )
    html = page_of(report, note=note)
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "img", "b", "i", "u", "s"}
    assert page.note == visible(HOSTILE)
    assert "{{ 7*7 }}" in page.note
    assert not re.search("[\x00\x07\x1b\u202e]", html)


def test_headings_come_in_order_and_landmarks_are_there() -> None:
    for html in (page_of(full_report()), page_of(full_report(), full_report())):
        page = Page(html)
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in page.tags}
        assert not page.open


def test_the_page_says_what_the_report_says() -> None:
    text = " ".join(Page(page_of(full_report())).text.split())
    for expected in (
        "needs a query",
        "Coding complete, audit open. 7 of 8 requirements documented.",
        "Injury date: insufficient",
        "The injury is only placed “years ago”.",
        "Please document what is known about this: injury date.",
        "Please document when it happened.",
        "Two parts of the note need a second look.",
        "S32.2XXS",
        "with the code, in place 2",
        "chronic pain",
        "a warning about the note",
        "FY2026 (April 2026)",
        "assigns no code",
    ):
        assert expected in text


def test_line_ends_and_characters_outside_the_basic_plane_keep_the_marks_in_place() -> None:
    note = Note(note_id="n", text="😀 first\r\nthe second 😀 line\r\n")
    html = page_of(
        report_of(note, requirements=[requirement("it", "documented", [span(note, "second 😀")])]), note=note
    )
    assert ">second 😀</mark>" in html


def test_a_case_shows_each_of_its_notes() -> None:
    other = Note(note_id="other", text="A second document about the coccyx.")
    evidence = [span(NOTE, "years ago"), span(other, "coccyx")]
    report = report_of(
        NOTE, note_ids=[NOTE.note_id, "other"], requirements=[requirement("it", "conflicting", evidence)]
    )
    page = Page(render_page([(report, {NOTE.note_id: TEXT, "other": other.text})]))
    assert page.note == TEXT + other.text
    ids = set(page.values("id"))
    assert {link.removeprefix("#") for link in page.values("href")} <= ids
    assert page.values("aria-label").count("Text of other") == 1


def test_a_report_without_its_text_still_makes_a_page() -> None:
    page = Page(render_page([(full_report(), {})]))
    assert page.note == ""
    assert "not part of this page" in page.text
    assert {link.removeprefix("#") for link in page.values("href")} <= set(page.values("id"))


def test_the_same_report_gives_the_same_page() -> None:
    assert page_of(full_report()) == page_of(full_report())

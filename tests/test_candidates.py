"""Candidate codes: order and pairs, what stands in place of what, and that every code they can name exists."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from analyzer import Analyzer, GapReport, Note
from analyzer.candidates import full_form
from analyzer.codes import CodeTable
from analyzer.errors import CodeError, PackError
from analyzer.judging import ExpressionError
from analyzer.members import Member
from analyzer.packs import load_pack

PACK = load_pack("traumatic-spondylopathy")
TABLE = CodeTable.load()
DAY = date(2026, 3, 2)

WORKED = (
    "HPI: Fell on ice in January 2024 and landed on the sacrum.\n"
    "Imaging: CT sacrum 3/2/2025: healed transverse S3 fracture with 22 degrees of kyphosis.\n"
    "Exam: Sensation reduced in the S2 dermatome.\n"
    "Assessment: The fracture has healed. Residual traumatic spondylopathy of the sacrum with S2 radiculopathy."
)


@pytest.fixture(scope="module")
def offered(analyzer: Analyzer) -> object:
    def ask(text: str, **more: object) -> list[tuple[str, str, str | None]]:
        report: GapReport = analyzer.report(
            Note.model_validate({"note_id": "n", "text": text, "date_of_service": DAY} | more)
        )
        assert [c.sequence for c in report.candidate_codes] == list(range(1, len(report.candidate_codes) + 1))
        for candidate in report.candidate_codes:
            for span in candidate.evidence:
                assert text[span.start : span.end] == span.text
        return [(c.code, c.relation, c.pair_id) for c in report.candidate_codes]

    return ask


def codes(found: list[tuple[str, str, str | None]]) -> list[str]:
    return [code for code, _relation, _pair in found]


class TestOrderAndPairs:
    def test_the_worked_example(self, offered) -> None:  # type: ignore[no-untyped-def]
        found = offered(WORKED)
        assert found[0] == ("M48.38", "with", "sequela")
        settled = [code for code, relation, _pair in found if relation == "with"]
        assert settled == ["M48.38", "M54.18", "S32.10XS", "W00.0XXS"]
        assert [c for c, _r, pair in found if pair == "sequela"] == ["M48.38", "S32.10XS", "S34.22XS", "W00.0XXS"]
        # No place, no activity, no history of a healed fracture, no symptom, no active character beside a late effect.
        assert not {c for c in codes(found) if c.startswith(("Y92", "Y93", "Y99", "Z87", "M53.3")) or c.endswith("A")}

    def test_childbirth_has_one_partner_and_no_external_cause(self, offered) -> None:  # type: ignore[no-untyped-def]
        found = offered(
            "HPI: Coccyx fracture during forceps delivery in February 2022.\n"
            "Assessment: Fracture healed. Post-traumatic coccygeal deformity, residual of the delivery injury."
        )
        assert found == [("M48.38", "with", "sequela"), ("O94", "with", "sequela")]

    def test_an_acute_fracture_takes_its_place(self, offered) -> None:  # type: ignore[no-untyped-def]
        found = offered(
            "ED note. Fell off a ladder today and landed on the sacrum.\n"
            "Imaging: CT pelvis: acute nondisplaced zone I fracture of the sacrum.\n"
            "Assessment: Acute sacral fracture, non weight bearing."
        )
        assert found == [("S32.110A", "instead", None), ("W11.XXXA", "with", "current_injury")]

    def test_routine_healing_has_no_external_cause(self, offered) -> None:  # type: ignore[no-untyped-def]
        found = offered(
            "HPI: Slipped on the stairs 6 weeks ago, coccyx fracture.\n"
            "Assessment: Coccyx fracture, healing as expected, routine follow-up."
        )
        assert found == [("S32.2XXD", "instead", None)]

    def test_cauda_equina_syndrome_includes_its_bladder(self, offered) -> None:  # type: ignore[no-untyped-def]
        found = codes(
            offered(
                "HPI: Fell from a roof in 2018, sacral fracture, healed.\n"
                "Assessment: Post-traumatic sacral deformity from the 2018 fall with residual cauda equina syndrome "
                "and neurogenic bladder."
            )
        )
        assert found[:2] == ["M48.38", "G83.4"]
        assert "S34.3XXS" in found
        assert "N31.9" not in found

    def test_nothing_is_offered_where_there_is_nothing(self, offered) -> None:  # type: ignore[no-untyped-def]
        assert offered("Assessment: Stage 3 sacral pressure ulcer.") == []
        assert offered("") == []

    def test_the_same_note_gives_the_same_codes(self, offered) -> None:  # type: ignore[no-untyped-def]
        assert offered(WORKED) == offered(WORKED)


@pytest.mark.parametrize("code", list(PACK.head.codes))
def test_every_code_that_a_rule_can_write_exists(code: str) -> None:
    written = list(Member.of(PACK, code).candidates.possible())
    assert written
    for rule, candidate, seventh in written:
        try:
            full_form(TABLE, candidate, seventh)
        except CodeError as error:
            pytest.fail(f"{code} {rule}: {error}")


def test_a_code_that_the_release_does_not_hold_is_not_offered(tmp_path: Path) -> None:
    small = {"release": {}, "codes": {}}
    assert small  # the table below holds the family only
    rows = {c: r for c, r in TABLE._rows.items() if r["chapter"] == "13" and not c.startswith("M5")}
    bases = {row["stem"]: code for code, row in rows.items() if "stem" in row}
    table = CodeTable(TABLE.release, None, rows, {}, bases)
    member = Member.of(PACK, "M48.38")
    _linked, judged = member.assess(member.read(WORKED), DAY, {})
    assert [c.code for c in member.candidates.suggest(judged.facts, judged.env, table)] == ["M48.38"]


def test_no_reason_reads_like_an_assignment() -> None:
    assert PACK.candidates is not None
    for rule in PACK.candidates.rules:
        text = rule.reason.lower()
        assert not any(word in text for word in ("assign", "must be coded", "bill", "payment", "denial")), rule.id
        assert rule.source


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"when": "no_such_fact"}, "no fact is called 'no_such_fact'"),
        ({"relation": "perhaps"}, "'perhaps' is no relation"),
        ({"unless_given": ["later"]}, "no rule above is called 'later'"),
        ({"evidence": ["nowhere"]}, "no fact is called 'nowhere'"),
        ({"code": [{"by": "nothing", "is": {"a": "S32.2"}}]}, "no fact is called 'nothing'"),
    ],
)
def test_a_broken_rule_is_named(change: dict[str, object], reason: str) -> None:
    from analyzer.candidates import CandidateRule, Candidates

    assert PACK.candidates is not None
    rule = PACK.candidates.rules[0].model_dump(by_alias=True) | change
    judge = Member.of(PACK, "M48.38").judge
    with pytest.raises(ExpressionError, match=reason) as caught:
        Candidates([CandidateRule.model_validate(rule)], judge.names, judge.facts.names, "M48.38")
    assert str(caught.value).startswith("residual_condition: ")


def test_a_pack_without_candidate_rules_offers_none() -> None:
    from dataclasses import replace

    member = Member.of(replace(PACK, candidates=None), "M48.38")
    _linked, judged = member.assess(member.read(WORKED), DAY, {})
    assert member.candidates.suggest(judged.facts, judged.env, TABLE) == []
    assert PackError

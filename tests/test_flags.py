"""Review flags: each is raised by what it names, stays silent beside it, and moves neither status nor verdict."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from analyzer.analyze import Analyzer
from analyzer.note import Note
from analyzer.packs import load_pack
from analyzer.report import GapReport

VISIT = date(2025, 6, 10)
FULL = (
    "HPI: In March 2021 she slipped on ice and landed on her tailbone; the coccyx was fractured.\n"
    "Chronic tailbone pain.\n"
    "Exam: Sensation intact, strength 5/5.\n"
    "Imaging: XR coccyx 5/2/2025: healed fracture with residual angulation.\n"
    "Assessment: Coccyx fracture healed. Post-traumatic coccygeal deformity, due to the 2021 fall.\n"
)
FLAGS = {
    "diagnosis_not_named",
    "within_acute_window",
    "nonunion_present",
    "no_residual",
    "new_injury",
    "chronic_fracture_wording",
    "osteoporosis_cue_unanswered",
    "degenerative_only_imaging",
    "stale_imaging",
    "uncertain_codable_inpatient_final",
    "author_not_accountable",
    "copied_forward",
    "listed_code_disagrees",
    "billed_code_disagrees",
    "primary_region",
    "chiropractic_necessity",
    "chiropractic_contraindication_cue",
    "symptom_not_described",
}

# flag, text that raises it, text that does not, further fields of both notes
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    (
        "diagnosis_not_named",
        "HPI: Fell in 2021, coccyx fracture, healed.\nAssessment: Coccyx pain.",
        FULL,
        {},
    ),
    ("nonunion_present", FULL + "Imaging: CT sacrum: nonunion of the S3 fracture.", FULL, {}),
    (
        "no_residual",
        "HPI: Coccyx fracture in 2015 after a fall, healed without sequelae. Now coccyx pain.\n"
        "Assessment: Coccyx pain.",
        "HPI: Coccyx fracture in 2015 after a fall, healed with angulation. Now coccyx pain.\nAssessment: Coccyx pain.",
        {},
    ),
    (
        "new_injury",
        "HPI: Healed sacral fracture from a fall in 2015.\n"
        "Last week she fell again and has a new coccyx fracture. Severe tailbone pain.\n"
        "Assessment: New coccyx fracture beside the old healed sacral fracture.",
        FULL + "No new fracture.",
        {},
    ),
    (
        "chronic_fracture_wording",
        FULL + "Assessment: Chronic sacral fracture.",
        FULL + "Chronic pain after the fracture.",
        {},
    ),
    ("osteoporosis_cue_unanswered", "PMH: osteoporosis.\n" + FULL, "FH: mother with osteoporosis.\n" + FULL, {}),
    (
        "degenerative_only_imaging",
        "HPI: Fell on ice in 2021, coccyx contusion. Coccyx pain.\n"
        "Imaging: XR sacrum and coccyx: tiny spurs at the sacrococcygeal joint, degenerative.\n"
        "Assessment: Coccyx pain.",
        FULL,
        {},
    ),
    ("stale_imaging", FULL.replace("5/2/2025", "5/2/2023"), FULL, {}),
    (
        "uncertain_codable_inpatient_final",
        "DISCHARGE SUMMARY\nHPI: Fell in 2021, sacral fracture, healed.\n"
        "Discharge diagnosis: Probable traumatic spondylopathy of the sacrum due to the 2021 fall.",
        "DISCHARGE SUMMARY\nHPI: Fell in 2021, sacral fracture, healed.\n"
        "Discharge diagnosis: Traumatic spondylopathy of the sacrum due to the 2021 fall.",
        {"setting": "inpatient", "note_type": "Discharge summary"},
    ),
    ("copied_forward", FULL + "[pasted from visit of 3/22/2021: acute phase, donut cushion]", FULL, {}),
    ("listed_code_disagrees", FULL + "Dx list: S32.2XXA", FULL + "Dx list: S32.2XXS, M48.38", {}),
    ("chiropractic_necessity", FULL + "Plan: HVLA thrust to the sacrum, AT modifier. Return as needed.", FULL, {}),
    (
        "chiropractic_contraindication_cue",
        FULL + "Segmental instability of the coccyx.\nPlan: HVLA thrust to the sacrum.",
        FULL + "Plan: HVLA thrust to the sacrum.",
        {},
    ),
    (
        "symptom_not_described",
        "HPI: S3 fracture from a fall in 2019, healed.\n"
        "Assessment: Post-traumatic sacral deformity, residual of the 2019 fracture.",
        FULL,
        {},
    ),
]


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def report_of(analyzer: Analyzer, text: str, **fields: Any) -> GapReport:
    return analyzer.report(Note(note_id="t", text=text, date_of_service=VISIT, **fields))


def raised(report: GapReport) -> set[str]:
    return {f.id for f in report.review_flags}


def test_every_flag_of_the_contract_is_declared_with_message_and_source() -> None:
    items = load_pack("traumatic-spondylopathy").judging["flags"]["flags"]
    assert {i["id"] for i in items} == FLAGS
    assert all(i["message"] and i["source"] for i in items)


@pytest.mark.parametrize(("flag", "text", "other", "fields"), CASES, ids=[c[0] for c in CASES])
def test_flag(analyzer: Analyzer, flag: str, text: str, other: str, fields: dict[str, Any]) -> None:
    assert flag in raised(report_of(analyzer, text, **fields))
    assert flag not in raised(report_of(analyzer, other, **fields))


@pytest.mark.parametrize(("days", "message"), [(41, "less than 42"), (42, "Advisory"), (84, "Advisory"), (85, None)])
def test_acute_window_ends_where_the_thresholds_say(analyzer: Analyzer, days: int, message: str | None) -> None:
    day = VISIT - timedelta(days=days)
    text = (
        f"HPI: On {day:%m/%d/%Y} he fell on the stairs and landed on his tailbone. Coccyx fracture.\n"
        "Assessment: Coccyx fracture."
    )
    flags = [f for f in report_of(analyzer, text).review_flags if f.id == "within_acute_window"]
    assert len(flags) == (message is not None)
    assert all(message is not None and message in f.message and f.evidence for f in flags)


@pytest.mark.parametrize("role", ["nurse", "RN", "physical therapist", "medical student", "scribe"])
def test_author_who_is_not_accountable(analyzer: Analyzer, role: str) -> None:
    assert "author_not_accountable" in raised(report_of(analyzer, FULL, author_role=role))


@pytest.mark.parametrize(
    "role", [None, "physician", "nurse practitioner", "nurse_practitioner", "physician assistant", "chiropractor"]
)
def test_author_who_is_accountable(analyzer: Analyzer, role: str | None) -> None:
    assert "author_not_accountable" not in raised(report_of(analyzer, FULL, author_role=role))


def test_the_note_type_speaks_where_no_role_is_given(analyzer: Analyzer) -> None:
    assert "author_not_accountable" in raised(report_of(analyzer, FULL, note_type="Physical therapy evaluation"))
    known = report_of(analyzer, FULL, note_type="Physical therapy evaluation", author_role="physician")
    assert "author_not_accountable" not in raised(known)


@pytest.mark.parametrize("code", ["S32.2XXA", "S32.2XXD", "S33.8XXA"])
def test_billed_code_against_healed_wording(analyzer: Analyzer, code: str) -> None:
    """With a pack of the code's own and without one."""
    assert "billed_code_disagrees" in raised(report_of(analyzer, FULL, code=code))
    assert "billed_code_disagrees" not in raised(report_of(analyzer, FULL, code="M48.38"))


def test_uncertain_diagnosis_is_flagged_for_inpatients_only(analyzer: Analyzer) -> None:
    text = next(c[1] for c in CASES if c[0] == "uncertain_codable_inpatient_final")
    assert "uncertain_codable_inpatient_final" not in raised(report_of(analyzer, text, setting="outpatient"))
    assert "uncertain_codable_inpatient_final" not in raised(report_of(analyzer, text))


def test_flags_move_neither_status_nor_verdict(analyzer: Analyzer) -> None:
    plain = report_of(analyzer, FULL)
    flagged = report_of(analyzer, FULL, author_role="nurse", code="S33.8XXA")
    assert raised(flagged) > raised(plain)
    for one, other in zip(flagged.requirements, plain.requirements, strict=True):
        assert (one.id, one.status, one.value) == (other.id, other.status, other.value)
    assert flagged.verdict == plain.verdict

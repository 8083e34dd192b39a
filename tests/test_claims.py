"""Claims held against an audit: read whatever their columns are called, joined, and listed in both directions."""

from __future__ import annotations

import csv
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from audit_folders import write_folder
from sample_reports import report_of, requirement

from analyzer.audit.cells import plain_cell, read_table, safe_cell
from analyzer.audit.claims import COLUMNS, Claim, claim_rules, fired_by, read_claims, write_claims
from analyzer.audit.committee_report import write_report
from analyzer.errors import InputError, PackError
from analyzer.note import Note
from analyzer.packs import available_packs
from analyzer.report import GapReport, ReviewFlag

PACK = "traumatic-spondylopathy"


def claims_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "claims.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def report(of: Note, verdict: str, **more: Any) -> GapReport:
    made = report_of(of, verdict, **more)
    return made.model_copy(update={"provenance": made.provenance.model_copy(update={"pack": PACK})})


PHASE = requirement("care_phase", "documented", [], value="past_acute")
SITE = requirement("region", "documented", [], value=["sacral"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notes = [
        Note(note_id=name, text="x", encounter_id=f"E-{name}", patient_id=f"P-{name}", date_of_service=date(2026, 1, 5))
        for name in ("good", "gap", "wrong", "healed", "other")
    ]
    reports = [
        report(notes[0], "supported", requirements=[SITE]),
        report(notes[1], "query", requirements=[requirement("injury_date", "missing", [])]),
        report(notes[2], "not_supported"),
        report(notes[3], "supported", requirements=[PHASE]),
        report(notes[4], "not_supported", relevant=False),
    ]
    return write_folder(tmp_path / "out", notes, reports)


def test_both_directions_are_listed_with_their_denominators(folder: Path, tmp_path: Path) -> None:
    path = claims_file(
        tmp_path / "claims.csv",
        "encounter_id,dos,codes",
        "E-good,2026-01-05,M48.30",
        "E-gap,2026-01-05,M48.38",
        "E-wrong,2026-01-05,m4838; R52",
        "E-healed,2026-01-05,S32.10XA M48.38",
        "E-other,2026-01-05,M48.38",
        "E-none,2026-01-05,M48.38",
    )
    summary = write_claims(folder, path)
    assert summary["billed_without_support"] == {"claims": 3, "of": 4}
    assert summary["support_without_code"] == {"reports": 1, "of": 2}
    found = {(row["kind"], row["encounter_id"], row["code"]): row for row in rows_of(folder)}
    expected = {
        ("billed_without_support", "E-gap", "M48.38"),
        ("billed_without_support", "E-wrong", "M48.38"),
        ("billed_without_support", "E-other", "M48.38"),
        ("billed_without_note", "E-none", "M48.38"),
        ("support_without_code", "E-good", "M48.38"),
        ("rule:active_injury_code_healed_wording", "E-healed", "S32.10XA"),
        ("rule:late_effect_beside_active_injury", "E-healed", "M48.38"),
        ("rule:unspecific_site_code", "E-good", "M48.30"),
    }
    # M48.30 and S32.10XA have packs, for which these notes were not read.
    expected |= {("billed_not_judged", "E-good", "M48.30"), ("billed_not_judged", "E-healed", "S32.10XA")}
    assert set(found) == expected
    assert found["billed_without_support", "E-gap", "M48.38"]["message"] == "needs a query: injury date"
    assert found["billed_without_support", "E-other", "M48.38"]["verdict"] == "irrelevant"
    assert found["rule:unspecific_site_code", "E-good", "M48.30"]["source"].startswith("TAB")


def test_supported_notes_without_any_claim_are_listed(folder: Path, tmp_path: Path) -> None:
    summary = write_claims(folder, claims_file(tmp_path / "c.csv", "encounter_id,code", "E-gap,M48.38"))
    assert [row["note_ids"] for row in rows_of(folder) if row["kind"] == "support_without_claim"] == ["good", "healed"]
    assert summary["support_without_code"] == {"reports": 2, "of": 2}


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Encounter ID;DX1;DX2", "E-gap;;M48.38"),
        ("CSN\tICD-10 Code", "E-gap\tM4838"),
        ("note_id,diagnosis_codes", "gap,M48.38"),
        ("MRN,Service Date,Principal Dx,CPT", "P-gap,01/05/2026,M48.38,98940"),
        ("pat_id|from_date|diag_1", "P-gap|20260105|M48.38"),
    ],
)
def test_columns_may_be_called_many_things(folder: Path, tmp_path: Path, header: str, line: str) -> None:
    write_claims(folder, claims_file(tmp_path / "c.txt", header, line))
    (row,) = [row for row in rows_of(folder) if row["kind"] == "billed_without_support"]
    assert (row["code"], row["note_ids"]) == ("M48.38", "gap")


def test_the_rows_of_an_encounter_are_one_claim(tmp_path: Path) -> None:
    path = claims_file(
        tmp_path / "c.csv",
        "claim_id,encounter_id,dos,dx1,dx2,cpt,modifier1,modifier2",
        "C1,E1,2026-01-05,M48.38,R52,98941,AT,",
        "C1,E1,2026-01-05,M48.38,M54.18,72195,,26",
    )
    (claim,), unusable = read_claims(path)
    assert unusable == []
    assert claim.codes == ["M48.38", "R52", "M54.18"]
    assert (claim.procedures, claim.modifiers, claim.lines) == (["98941", "72195"], ["AT", "26"], [2, 3])


def test_no_row_is_lost(folder: Path, tmp_path: Path) -> None:
    path = claims_file(
        tmp_path / "c.csv",
        "encounter_id,patient_id,dos,codes",
        ",,2026-01-05,M48.38",
        "E-gap,,05.01.2026,M48.38",
        "E-gap,,2026-01-05,M48.38 what",
        "E-good,,2026-01-05,M48.3",
    )
    summary = write_claims(folder, path)
    assert summary["rows_not_readable"] == 3
    lines = {row["lines"]: row["message"] for row in rows_of(folder) if row["kind"] == "not_readable"}
    assert lines["2"] == "no encounter id, no note id, and no patient id with a date of service"
    assert lines["3"].startswith("the date of service is no date")
    assert lines["4"] == "code 2 of 2 is not written like an ICD-10-CM code"
    (bad,) = [row for row in rows_of(folder) if row["kind"] == "code_not_reportable"]
    assert "is a category that cannot be billed" in bad["message"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ":1: no column names"),
        ("encounter_id,amount\nE,1\n", ":1: no column of billed codes"),
        ("codes\nM48.38\n", ":1: no column to join notes by"),
        ("patient_id,codes\np,M48.38\n", ":1: no column to join notes by"),
        ("encounter_id,codes\n", "holds no claims"),
        ("encounter_id,codes,codes\nE,M48.38,R52\n", ":1: column codes stands twice"),
        ("encounter_id,codes\nE,M48.38,R52\n", ":2: 3 cells under 2 columns"),
        ('encounter_id,codes\nE,"M48.38\n', ":2: not readable as CSV"),
    ],
)
def test_a_claims_file_that_says_too_little_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "c.csv"
    path.write_text(content)
    with pytest.raises(InputError) as error:
        read_claims(path)
    assert said in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_missing_claims_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_claims(tmp_path / "none.csv")


def test_the_report_lists_mismatches_and_puts_them_first(folder: Path, tmp_path: Path) -> None:
    write_claims(folder, claims_file(tmp_path / "c.csv", "encounter_id,code", "E-wrong,M48.38", "E-gap,M48.38"))
    write_report(folder)
    html = (folder / "report.html").read_text()
    assert "Billed, and no note on the claim documents it" in html
    first = re.search(r'<span class="name">([^<]*)<', html)
    assert first is not None
    assert first[1] == "wrong"


# Rules


def _rules() -> list[Any]:
    return [rule for info in available_packs() for rule in claim_rules(info.folder)]


def judged(**more: Any) -> Any:
    note = Note(note_id="a", text="x")
    return json.loads(report(note, **{"verdict": "query", **more}).to_json())


def test_a_rule_asks_for_everything_it_names() -> None:
    (rule,) = [rule for rule in _rules() if rule.id == "active_care_modifier_necessity_open"]
    flagged = judged(review_flags=[ReviewFlag(id="chiropractic_necessity", message="m", evidence=[])])
    claim = Claim("c", procedures=["98941"], modifiers=["AT"])
    assert fired_by(rule, claim, flagged) == "98941"
    assert fired_by(rule, claim, judged()) is None
    assert fired_by(rule, Claim("c", procedures=["98941"]), flagged) is None
    assert fired_by(rule, Claim("c", procedures=["97140"], modifiers=["AT"]), flagged) is None


@pytest.mark.parametrize("status", ["insufficient", "conflicting", "missing"])
def test_only_plainly_healed_wording_contradicts_an_active_code(status: str) -> None:
    (rule,) = [rule for rule in _rules() if rule.id == "active_injury_code_healed_wording"]
    claim = Claim("c", codes=["S32.10XA"])
    assert fired_by(rule, claim, judged(requirements=[PHASE])) == "S32.10XA"
    assert fired_by(rule, claim, judged(requirements=[PHASE.model_copy(update={"status": status})])) is None
    assert fired_by(rule, claim, judged(requirements=[PHASE.model_copy(update={"value": "acute"})])) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("rules:\n  - id: a\n", "claims.yaml:2: rules.0.message: Field required"),
        (
            "rules:\n  - id: a\n    codes: 'A'\n    message: m\n    examples: {match: [A]}\n    source: s\n",
            "claims.yaml:2: rules.0.examples: rule 'a' needs a code it must match and one it must not",
        ),
        (
            "rules:\n  - id: a\n    codes: '('\n    message: m\n"
            "    examples: {match: [a], no_match: [b]}\n    source: s\n",
            "claims.yaml:3: rules.0.codes: ",
        ),
    ],
)
def test_a_broken_rule_names_its_place(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "claims.yaml").write_text(content)
    with pytest.raises(PackError) as error:
        claim_rules(str(tmp_path))
    assert said in str(error.value)


# Cells


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@a", "plain", "'quoted", ""])
def test_cells_come_back_as_they_were_and_never_begin_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@"))
    assert plain_cell(cell) == text


def test_tables_are_read_with_their_line_numbers(tmp_path: Path) -> None:
    path = claims_file(tmp_path / "t.csv", "a,b", '"two', 'lines",1', "", "x,2")
    columns, rows = read_table(path)
    assert columns == ["a", "b"]
    assert list(rows) == [(3, {"a": "two\nlines", "b": "1"}), (5, {"a": "x", "b": "2"})]


def test_claims_csv_has_the_documented_columns(folder: Path, tmp_path: Path) -> None:
    write_claims(folder, claims_file(tmp_path / "c.csv", "encounter_id,code", "E-gap,M48.38"))
    assert (folder / "claims.csv").read_text().splitlines()[0] == ",".join(COLUMNS)

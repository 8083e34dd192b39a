"""Samples drawn for readers, what readers decided, and how that is measured and carried to the next audit."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from audit_folders import write_folder
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import TEXT, report_of, requirement, span

from analyzer.audit.committee_report import write_report
from analyzer.audit.decisions import Decision, holds_decisions, latest, read_decisions, write_decisions
from analyzer.audit.sample import COLUMNS, allocated, write_sample
from analyzer.errors import InputError
from analyzer.evaluate import FoundReport, evaluate, gold_of_decisions
from analyzer.note import Note
from analyzer.report import GapReport
from analyzer.statistics import cohen_kappa, wilson_interval

# Statistics


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # From the closed form worked by hand for 0, all and half; 81 of 263 and 1 of 29 as printed by Newcombe (1998).
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals(part: int, whole: int, low: float, high: float) -> None:
    found = wilson_interval(part, whole)
    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


def test_nothing_counted_has_no_interval() -> None:
    assert wilson_interval(0, 0) is None


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_mirrors_its_opposite(counts: tuple[int, int]) -> None:
    part, whole = counts
    found, mirrored = wilson_interval(part, whole), wilson_interval(whole - part, whole)
    assert found is not None
    assert mirrored is not None
    assert 0 <= found[0] <= part / whole <= found[1] <= 1
    assert math.isclose(found[0], 1 - mirrored[1], abs_tol=1e-12)


def pairs(**counts: int) -> list[tuple[str, str]]:
    return [(key[0], key[1]) for key, count in counts.items() for _ in range(count)]


def test_kappa() -> None:
    # Observed 0.7, expected 0.5 x 0.6 + 0.5 x 0.4 = 0.5.
    assert cohen_kappa(pairs(yy=20, yn=5, ny=10, nn=15)) == pytest.approx(0.4)
    assert cohen_kappa(pairs(yy=3, nn=4)) == 1
    assert cohen_kappa(pairs(yn=5, ny=5)) == -1
    assert cohen_kappa(pairs(yy=5)) is None
    assert cohen_kappa([]) is None


# Samples


def note(number: int, **more: Any) -> Note:
    fields = {"note_id": f"n{number:02d}", "text": f"{TEXT}{number}", "date_of_service": date(2025, 3, 4)}
    return Note.model_validate({**fields, "note_type": ["visit", "letter"][number % 2], **more})


def report(of: Note, verdict: str = "query", status: str = "insufficient", **more: Any) -> GapReport:
    evidence = [span(of, "years ago")]
    items = [
        requirement("injury_date", status, evidence),
        requirement("region", "documented", [span(of, "the coccyx")], value=["coccygeal"]),
    ]
    return report_of(of, verdict, requirements=items, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notes = [note(k) for k in range(20)]
    verdicts = ["supported"] * 4 + ["query"] * 13 + ["not_supported"] * 3
    reports = [
        report(n, v, "documented" if v == "supported" else "insufficient") for n, v in zip(notes, verdicts, strict=True)
    ]
    reports[19] = reports[19].model_copy(update={"relevant": False})
    return write_folder(tmp_path / "out", notes, reports)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def drawn(folder: Path, size: int, seed: int) -> list[str]:
    write_sample(folder, size, seed)
    return list(dict.fromkeys(row["note_id"] for row in rows_of(folder / "sample.csv")))


def test_a_sample_reaches_every_stratum_and_no_irrelevant_note(folder: Path) -> None:
    assert write_sample(folder, 8, 1) == 19
    rows = rows_of(folder / "sample.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 16
    assert {(row["verdict"], row["note_type"]) for row in rows} == {
        (verdict, kind) for verdict in ("supported", "query", "not_supported") for kind in ("visit", "letter")
    }
    assert "n19" not in {row["note_id"] for row in rows}
    assert rows[0]["decision"] == ""
    assert "“" in rows[0]["evidence"]


def test_the_seed_and_the_notes_alone_decide_the_sample(folder: Path, tmp_path: Path) -> None:
    assert drawn(folder, 8, 1) == drawn(folder, 8, 1)
    assert any(drawn(folder, 8, 1) != drawn(folder, 8, seed) for seed in (2, 3, 4))
    notes = [note(k) for k in reversed(range(20))]
    verdicts = ["supported"] * 4 + ["query"] * 13 + ["not_supported"] * 3
    by_number = dict(enumerate(verdicts))
    reports = [report(n, by_number[int(n.note_id[1:])]) for n in notes]
    reports[0] = reports[0].model_copy(update={"relevant": False})
    again = write_folder(tmp_path / "again", notes, reports)
    assert sorted(drawn(again, 8, 1)) == sorted(drawn(folder, 8, 1))


def test_a_sample_larger_than_the_audit_is_all_of_it(folder: Path) -> None:
    assert len(drawn(folder, 100, 1)) == 19
    with pytest.raises(InputError, match="at least one"):
        write_sample(folder, 0, 1)


@given(
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), st.integers(1, 60)), st.integers(1, 80)
)
def test_strata_get_their_share(sizes: dict[tuple[str, str], int], size: int) -> None:
    given_ = allocated(Counter(sizes), size)
    total = sum(sizes.values())
    assert sum(given_.values()) == min(size, total)
    assert all(0 <= given_[stratum] <= sizes[stratum] for stratum in sizes)
    if size >= len(sizes):
        assert all(given_.values())


# Decisions


def decided(folder: Path, path: Path, fill: Callable[[dict[str, str]], dict[str, str]]) -> Path:
    """The folder's sample.csv as a reader gives it back."""
    rows = [{**row, **fill(row)} for row in rows_of(folder / "sample.csv")]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_filled_in_sample_gives_error_rates_with_intervals(folder: Path, tmp_path: Path) -> None:
    write_sample(folder, 8, 1)

    def fill(row: dict[str, str]) -> dict[str, str]:
        if row["requirement"] == "injury_date" and row["verdict"] == "not_supported":
            return {"decision": "Disagree", "status": "missing", "reader": "ann"}
        return {"decision": "agree", "reader": "ann"} if row["verdict"] != "supported" else {}

    found = write_decisions(folder, [decided(folder, tmp_path / "ann.csv", fill)])
    by_name = {item["id"]: item for item in found["by_requirement"]}
    assert by_name["injury_date"]["errors"] == 2
    decided_dates = by_name["injury_date"]["decided"]
    low, high = wilson_interval(2, decided_dates) or (0, 0)
    assert by_name["injury_date"]["interval"] == [round(low, 4), round(high, 4)]
    assert by_name["region"]["errors"] == 0
    assert {item["verdict"]: item["errors"] for item in found["by_verdict"]} == {"not_supported": 2, "query": 0}
    assert (found["readers"], found["agreement"]) == (["ann"], [])
    write_report(folder)
    html = (folder / "report.html").read_text()
    assert "What readers decided" in html


def jsonl(path: Path, *decisions: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in decisions), encoding="utf-8")
    return path


def word(number: int, decision: str, requirement: str = "injury_date", **more: Any) -> dict[str, Any]:
    """A decision as the page exports it."""
    made = report(note(number))
    base = {"note_id": made.note_id, "text_sha256": made.text_sha256, "code": "M48.38", "requirement": requirement}
    return {
        **base,
        "decision": decision,
        "status": "insufficient",
        "value": None,
        "reason": "",
        "reader": "ann",
        **more,
    }


def test_two_readers_agreement_and_kappa(folder: Path, tmp_path: Path) -> None:
    first = jsonl(tmp_path / "ann.jsonl", *(word(k, "agree") for k in range(4, 10)))
    second = jsonl(
        tmp_path / "ben.jsonl",
        *(word(k, "agree", reader="ben") for k in range(4, 8)),
        word(8, "disagree", status="missing", reader="ben"),
        word(9, "disagree", status="missing", reader="ben"),
    )
    found = write_decisions(folder, [first, second])
    (pair,) = found["agreement"]
    assert (pair["readers"], pair["items"], pair["agree"]) == (["ann", "ben"], 6, 4)
    # Ann gives one label throughout, so agreement is what chance would give.
    assert pair["kappa"] == 0.0
    assert (found["all"]["decided"], found["all"]["disputed"], found["all"]["errors"]) == (4, 2, 0)


def test_decisions_carry_over_to_the_next_audit_by_text(folder: Path, tmp_path: Path) -> None:
    export = jsonl(
        tmp_path / "d.jsonl",
        word(4, "agree"),
        word(5, "disagree", status="documented", value={"earliest": "2019-01-01", "latest": "2019-12-31"}),
        word(6, "disagree"),
        word(7, "agree", text_sha256="f" * 64),
    )
    first = write_decisions(folder, [export])
    assert (first["decisions"], first["matched"], first["all"]["errors"]) == (4, 3, 2)
    assert any("1 of 4 decisions belong to no text" in line for line in first["warnings"])
    # The next audit calls the notes otherwise, judges n05 as the reader did, and loses what was right of n04.
    renamed = [note(4, note_id="a"), note(5, note_id="b"), note(6, note_id="c")]
    texts = [note(4), note(5), note(6)]
    renamed = [one.model_copy(update={"text": text.text}) for one, text in zip(renamed, texts, strict=True)]
    value = {"earliest": "2019-01-01", "latest": "2019-12-31"}
    reports = [report(renamed[0], status="missing"), report(renamed[1]), report(renamed[2])]
    fixed = reports[1].requirements[0].model_copy(update={"status": "documented", "value": value})
    reports[1] = reports[1].model_copy(update={"requirements": [fixed, reports[1].requirements[1]]})
    later = write_folder(tmp_path / "later", renamed, reports)
    second = write_decisions(later, [folder / "decisions.jsonl"])
    assert second["matched"] == 3
    assert second["all"] == {**second["all"], "decided": 3, "errors": 2}
    kept = read_decisions(later / "decisions.jsonl")
    assert [one.found_status for one in kept] == ["insufficient"] * 3


def test_a_disagreement_that_names_what_was_found_is_an_objection() -> None:
    objection = Decision.model_validate(word(1, "disagree", found_status="insufficient"))
    assert not objection.upheld_by("insufficient", None)
    corrected = Decision.model_validate(word(1, "disagree", found_status="missing"))
    assert corrected.upheld_by("insufficient", None)
    assert not corrected.upheld_by("missing", None)


def test_the_order_of_a_list_is_no_difference() -> None:
    said = Decision.model_validate(word(1, "agree", value={"modalities": ["ct", "mri"], "findings": []}))
    assert said.upheld_by("insufficient", {"modalities": ["mri", "ct"], "findings": []})
    assert not said.upheld_by("insufficient", {"modalities": ["mri"], "findings": []})


def test_the_same_readers_later_word_replaces_the_earlier() -> None:
    words = [word(1, "agree", date="2025-02-02"), word(1, "disagree", date="2025-01-01"), word(2, "agree")]
    assert [one.decision for one in latest(Decision.model_validate(w) for w in words)] == ["agree", "agree"]


def test_a_reader_without_a_name_is_called_like_the_file(tmp_path: Path) -> None:
    (one,) = read_decisions(jsonl(tmp_path / "second reader.jsonl", word(1, "agree", reader="")))
    assert one.reader == "second reader"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.jsonl", "", "holds no decisions"),
        ("d.jsonl", "[]\n", ":1: a decision is a JSON object"),
        ("d.jsonl", "{\n", ":1: not valid JSON"),
        ("d.jsonl", '{"note_id": "a", "requirement": "r", "decision": "maybe"}\n', ":1: decision: "),
        ("d.jsonl", '{"note_id": "a", "decision": "agree"}\n', ":1: requirement: "),
        ("d.jsonl", '{"note_id": "a", "requirement": "r", "decision": "agree", "date": "1.2.25"}\n', ":1: date"),
        ("d.csv", "note_id,decision\na,agree\n", ":1: no column requirement"),
        ("d.csv", "note_id,requirement,decision,status\na,r,disagree,fine\n", ":2: status: "),
    ],
)
def test_a_decisions_file_that_cannot_be_used_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        read_decisions(tmp_path / name)
    assert said in str(error.value)


# As labels


def test_an_export_measures_reports_like_gold(tmp_path: Path) -> None:
    notes = [note(k) for k in range(3)]
    texts = {n.note_id: n.text for n in notes}
    path = jsonl(
        tmp_path / "d.jsonl",
        word(0, "agree"),
        word(1, "disagree", status="documented"),
        word(0, "agree", "region", status="documented"),
    )
    assert holds_decisions(path)
    gold, left_out = gold_of_decisions(read_decisions(path), texts)
    assert left_out == []
    found = [FoundReport.of(report(n)) for n in notes]
    measures = evaluate(texts, gold, found, resamples=20).measures
    assert measures["notes"] == 2
    assert measures["by_requirement"]["injury_date"]["status_accuracy"] == 0.5
    assert measures["by_requirement"]["region"]["status_accuracy"] == 1.0
    assert measures["status_accuracy"] == 0.6667
    assert (measures["verdict_accuracy"], measures["alerts"], measures["grounded"]) == (None, None, None)


def test_what_an_export_leaves_open_is_told(tmp_path: Path) -> None:
    texts = {n.note_id: n.text for n in map(note, range(3))}
    path = jsonl(
        tmp_path / "d.jsonl",
        word(0, "agree"),
        word(0, "disagree", status="missing", reader="ben"),
        word(1, "disagree", status=None),
        word(2, "agree", text_sha256="f" * 64),
        word(2, "agree", "region", text_sha256=None, status="documented"),
    )
    gold, left_out = gold_of_decisions(read_decisions(path), texts)
    assert [(one.note_id, list(one.requirements)) for one in gold] == [("n02", ["region"])]
    assert len(left_out) == 3
    with pytest.raises(InputError, match="not among the notes"):
        gold_of_decisions(read_decisions(path), {"x": "y"})

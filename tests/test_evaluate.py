"""The measures, by hand-counted examples: nothing here assumes a pack's requirements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sample_reports import NOTE, full_report

from analyzer.errors import InputError
from analyzer.evaluate import FoundReport, GoldNote, evaluate, read_gold, read_reports

TEXT = "The left knee was injured in 2019.  Films show a healed crack."


def gold_note(
    note_id: str = "a", verdict: str = "query", alerts: tuple[str, ...] = (), **requirements: Any
) -> GoldNote:
    named = {name: {"value": None, "evidence": [], **fields} for name, fields in requirements.items()}
    return GoldNote.model_validate(
        {"note_id": note_id, "verdict": verdict, "alerts": list(alerts), "requirements": named}
    )


def found_note(
    note_id: str = "a", verdict: str | None = "query", alerts: tuple[str, ...] = (), **requirements: Any
) -> FoundReport:
    named = [{"id": name, **fields} for name, fields in requirements.items()]
    return FoundReport.model_validate(
        {"note_id": note_id, "verdict": verdict, "alerts": [{"id": a} for a in alerts], "requirements": named}
    )


def cited(quote: str, shown: str | None = None) -> dict[str, Any]:
    start = TEXT.index(quote)
    return {"start": start, "end": start + len(quote), "text": quote if shown is None else shown}


def measured(gold: list[GoldNote], found: list[FoundReport]) -> dict[str, Any]:
    return evaluate({note.note_id: TEXT for note in gold}, gold, found, resamples=0).measures


def test_gaps_statuses_and_verdicts() -> None:
    gold = [
        gold_note("a", side={"status": "documented"}, year={"status": "missing"}),
        gold_note("b", side={"status": "insufficient"}, year={"status": "missing"}),
    ]
    found = [
        found_note("a", side={"status": "documented"}, year={"status": "documented"}),
        found_note("b", "supported", side={"status": "conflicting"}, year={"status": "missing"}),
    ]
    result = measured(gold, found)
    # Gold gaps: year twice, side once. Found gaps: side of b, year of b; both are right.
    assert result["gap"] == {"precision": 1.0, "recall": 0.6667, "f1": 0.8}
    assert result["status_accuracy"] == 0.5
    assert result["verdict_accuracy"] == 0.5
    assert result["verdict_confusion"] == {"query->query": 1, "query->supported": 1}
    assert result["by_requirement"]["year"]["gap"] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667}
    assert result["by_requirement"]["side"]["confusion"] == {
        "documented->documented": 1,
        "insufficient->conflicting": 1,
    }
    # F1 by status: documented 2/3, missing 2/3, insufficient 0, conflicting 0.
    assert result["status_macro_f1"] == round((2 / 3 + 2 / 3) / 4, 4)


def test_a_note_without_a_report_is_wrong_throughout_and_a_second_report_is_ignored() -> None:
    gold = [gold_note("a", side={"status": "missing"}), gold_note("b", side={"status": "documented"})]
    found = [found_note("b", side={"status": "documented"}), found_note("b", "supported", side={"status": "missing"})]
    result = evaluate({"a": TEXT, "b": TEXT}, gold, found, resamples=0)
    assert result.measures["verdict_accuracy"] == 0.5
    assert result.measures["status_accuracy"] == 0.5
    # Nothing said about a requirement is still a gap.
    assert result.measures["gap"]["f1"] == 1.0
    assert "a no report" in result.disagreements
    assert "b reported twice, the first counts" in result.disagreements


@pytest.mark.parametrize(
    ("gold", "found", "right"),
    [
        (["x", "y"], ["y", "x"], 1.0),
        (["x"], ["x", "y"], 0.0),
        (["x"], None, 0.0),
        ("fall", "fall", 1.0),
        ("fall", ["fall"], 0.0),
        ({"earliest": "2019-05-10", "latest": "2019-05-10"}, {"earliest": "2019-05-13", "latest": "2019-05-13"}, 1.0),
        ({"earliest": "2019-05-10", "latest": "2019-05-10"}, {"earliest": "2019-05-14", "latest": "2019-05-14"}, 0.0),
        ({"earliest": "2019-05-10", "latest": "2019-05-10"}, {"earliest": "2019-05-01", "latest": "2019-05-31"}, 0.0),
        ({"earliest": "2019-01-01", "latest": "2019-12-31"}, {"earliest": "2019-12-31", "latest": "2019-12-31"}, 1.0),
        ({"earliest": "2019-05-01", "latest": "2019-05-31"}, {"earliest": "2019-05-01", "latest": "2019-07-31"}, 1.0),
        ({"earliest": "2019-05-01", "latest": "2019-05-31"}, {"earliest": "2019-05-01", "latest": "2019-08-31"}, 0.0),
        ({"earliest": "2019-05-01", "latest": "2019-05-31"}, {"earliest": "2019-05-01"}, 0.0),
        ({"earliest": "2019-05-01", "latest": "2019-05-31"}, "2019", 0.0),
    ],
)
def test_values(gold: Any, found: Any, right: float) -> None:
    result = measured(
        [gold_note(it={"status": "documented", "value": gold})],
        [found_note(it={"status": "missing", "value": found})],
    )
    assert result["by_requirement"]["it"]["value_accuracy"] == right


def test_a_requirement_without_gold_values_has_no_value_accuracy() -> None:
    result = measured([gold_note(it={"status": "missing", "value": []})], [found_note(it={"status": "missing"})])
    assert result["by_requirement"]["it"]["value_accuracy"] is None


def test_sets_inside_a_value_are_counted_member_by_member() -> None:
    result = measured(
        [gold_note(it={"status": "documented", "value": {"kinds": ["x", "y"], "signs": []}})],
        [found_note(it={"status": "documented", "value": {"kinds": ["y", "z"]}})],
    )
    assert result["value_sets"]["it.kinds"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert result["value_sets"]["it.signs"]["f1"] == 1.0


def test_alerts_are_compared_as_sets() -> None:
    result = measured([gold_note(alerts=("p", "q"))], [found_note(alerts=("q", "q", "r"))])
    assert result["alerts"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


@pytest.mark.parametrize(
    ("evidence", "grounded"),
    [
        ([cited("knee was injured")], 1.0),
        ([cited("The"), cited("left"), cited("knee"), cited("injured in 2019")], 0.0),
        ([cited("2019.  Films show")], 1.0),
        ([], 0.0),
        ([cited("healed crack")], 0.0),
    ],
)
def test_a_status_is_grounded_by_one_of_its_first_three_spans(evidence: list[dict[str, Any]], grounded: float) -> None:
    # The quote's white space differs from the text's.
    want = {"status": "documented", "evidence": ["injured in 2019. Films"]}
    result = measured([gold_note(it=want)], [found_note(it={"status": "documented", "evidence": evidence})])
    assert result["grounded"] == grounded


def test_only_right_statuses_that_have_evidence_are_asked_for_grounds() -> None:
    gold = [gold_note(it={"status": "missing"}, other={"status": "documented", "evidence": ["left"]})]
    result = measured(gold, [found_note(it={"status": "missing"}, other={"status": "missing"})])
    assert result["grounded"] == 0.0


def test_offsets_must_give_the_shown_text() -> None:
    evidence = [cited("left"), cited("knee", shown="hip")]
    result = measured(
        [gold_note(it={"status": "missing"})], [found_note(it={"status": "missing", "evidence": evidence})]
    )
    assert result["offsets_exact"] == 0.5


def test_intervals_are_the_same_every_time_and_hold_the_measure() -> None:
    gold = [gold_note(str(n), it={"status": "missing" if n % 3 else "documented"}) for n in range(30)]
    found = [found_note(str(n), it={"status": "missing" if n % 4 else "documented"}) for n in range(30)]
    texts = {str(n): TEXT for n in range(30)}
    first, second = (evaluate(texts, gold, found, resamples=200) for _ in range(2))
    assert first.intervals == second.intervals
    low, high = first.intervals["status_accuracy"]
    assert low < first.measures["status_accuracy"] < high
    assert first.intervals["verdict_accuracy"] == (1.0, 1.0)
    assert "by_requirement.it.gap.f1" in first.intervals
    assert evaluate(texts, gold, found, resamples=0).intervals == {}


def test_a_report_agrees_with_itself() -> None:
    report = full_report()
    gold = gold_note(
        report.note_id,
        alerts=tuple(alert.id for alert in report.alerts),
        **{
            r.id: {"status": r.status, "value": r.value, "evidence": [e.text for e in r.evidence]}
            for r in report.requirements
        },
    )
    result = evaluate({NOTE.note_id: NOTE.text}, [gold], [FoundReport.of(report)], resamples=0)
    assert result.disagreements == []
    for name in ("status_accuracy", "status_macro_f1", "verdict_accuracy", "grounded", "offsets_exact"):
        assert result.measures[name] == 1.0


def write(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


GOLD_LINE = {
    "note_id": "a",
    "verdict": "query",
    "alerts": [],
    "requirements": {"it": {"status": "missing", "value": None, "evidence": []}},
}


def test_reading_labels_and_reports(tmp_path: Path) -> None:
    assert read_gold(write(tmp_path / "gold.jsonl", GOLD_LINE, "", {**GOLD_LINE, "note_id": "b"}))[1].note_id == "b"
    path = tmp_path / "reports.jsonl"
    path.write_text(full_report().to_json() + "\n")
    assert read_reports(path)[0].note_id == NOTE.note_id


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no labelled notes"),
        (["{"], "gold.jsonl:1: "),
        ([GOLD_LINE, {"note_id": "SECRET"}], "gold.jsonl:2: verdict: Field required"),
        ([GOLD_LINE, {**GOLD_LINE, "requirements": {}}], "gold.jsonl:2: requirements: names others"),
        (
            [{**GOLD_LINE, "requirements": {"it": {"status": "documented", "value": {"earliest": "2019"}}}}],
            "gold.jsonl:1: requirements.it.value: not two dates",
        ),
    ],
)
def test_broken_labels_name_the_line(tmp_path: Path, lines: list[Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_gold(write(tmp_path / "gold.jsonl", *lines))
    assert said in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_of_an_unknown_note_are_an_error() -> None:
    with pytest.raises(InputError, match="a: labelled, but not among the notes"):
        evaluate({}, [gold_note(it={"status": "missing"})], [])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_gold(tmp_path / "none.jsonl")

"""Audits and reports on Spark, in local mode: the same reports as without it."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from audit_judges import POISON, SampleSource

from analyzer import Analyzer, Note
from analyzer.audit.run import AuditOptions, run_audit
from analyzer.audit.spark import CarriedSource, SparkEngine, _report_rows, gap_reports, spark_engine
from analyzer.audit.tasks import GivenUp, Item, ReadOptions, Task, Unit, WorkOptions, work_lines
from analyzer.audit.workers import InProcess, shard_path
from analyzer.errors import CodeError, InputError
from analyzer.formats import Record, find_inputs

pytest.importorskip("pyspark")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    from analyzer.audit.spark import _new_session

    # The workers must find this folder's judges.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
        session: SparkSession = _new_session(2)
        yield session
        session.stop()


def outputs(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {p.name: p.read_bytes() for p in folder.iterdir()}
    found["run.json"] = {k: v for k, v in json.loads(found["run.json"]).items() if k != "timing"}
    return found


def test_an_audit_on_spark_writes_the_same_bytes(tmp_path: Path, spark: Any, samples: list[Note]) -> None:
    """With a bad line, and small files that the driver reads."""
    lines = [note.model_dump_json() for note in samples] * 3
    (tmp_path / "n.jsonl").write_text("\n".join([*lines[:70], "{", *lines[70:]]) + "\n", encoding="utf-8")
    for i in range(3):
        (tmp_path / f"t{i}.txt").write_text(f"small {i}")
    files = find_inputs([str(tmp_path)])
    for name, engine in (("local", InProcess), ("spark", spark_engine())):
        run = run_audit(files, tmp_path / name, AuditOptions(source=SampleSource(), engine=engine))
        assert (run["records"], run["failures"]) == (88, 1)
    assert outputs(tmp_path / "spark") == outputs(tmp_path / "local")


def test_a_dataframe_of_notes_gives_a_dataframe_of_the_librarys_reports(
    spark: Any, samples: list[Note], analyzer: Analyzer
) -> None:
    from pyspark.sql import functions as F

    some = samples[:6]
    rows = [(n.note_id, n.text, n.date_of_service, n.setting, n.author_role, n.note_type, 7) for n in some]
    rows.append(("bad", "x", date(2025, 1, 2), "nowhere", None, None, 7))
    names = "note_id string, text string, date_of_service date, setting string, author_role string, note_type string"
    # One partition: each Python process loads an analyzer.
    frame = spark.createDataFrame(rows, names + ", price int").coalesce(1)
    reports = gap_reports(frame).cache()
    found = {row.note_id: row for row in reports.collect()}
    bad = found.pop("bad")
    assert "setting: Input should be" in bad.failure
    assert (bad.report, bad.verdict, bad.note_ids) == (None, None, ["bad"])
    assert {k: row.report for k, row in found.items()} == {n.note_id: analyzer.report(n).to_json() for n in some}
    # As docs/audit-on-spark.md shows it.
    shape = "array<struct<id string, status string, reason string>>"
    gaps = reports.select("note_id", F.explode(F.from_json(F.get_json_object("report", "$.requirements"), shape)))
    assert {(row.note_id, row.col.id, row.col.status) for row in gaps.collect()} == {
        (n.note_id, r.id, r.status) for n in some for r in analyzer.report(n).requirements
    }


def test_a_dataframe_that_is_no_table_of_notes(spark: Any) -> None:
    frame = spark.createDataFrame([("a", "x")], "note_id string, body string")
    with pytest.raises(InputError, match="no column text"):
        gap_reports(frame)
    frame = frame.withColumnRenamed("body", "text")
    with pytest.raises(InputError, match="no column encounter_id"):
        gap_reports(frame, by="encounter_id")
    with pytest.raises(CodeError):
        gap_reports(frame, code="X99")


def test_rows_of_one_encounter_are_one_case() -> None:
    rows = [
        {"note_id": "1", "text": "x", "encounter_id": "a"},
        {"note_id": 2, "text": "x", "encounter_id": "a", "date_of_service": datetime(2025, 1, 2, 3, 4)},
        {"note_id": "3", "text": None, "encounter_id": "a"},
        {"note_id": "4", "text": "x", "encounter_id": None},
        {"note_id": "5", "text": "x", "encounter_id": None},
        {"note_id": None, "text": "x", "encounter_id": "b"},
    ]
    found = list(_report_rows(rows, SampleSource().build(), "encounter_id"))
    assert [(r["case_id"], r["note_ids"], r["failure"] is None) for r in found] == [
        ("a", ["3"], False),
        ("a", ["1", "2"], True),
        (None, ["4"], True),
        (None, ["5"], True),
        ("b", [], False),
    ]


def test_what_kills_sparks_workers_is_found_by_halving(tmp_path: Path) -> None:
    class Deadly(SparkEngine):
        def _shards_of(self, tasks: Sequence[tuple[Task, dict[int, GivenUp]]]) -> list[str] | None:
            (task, given_up), *_ = tasks
            notes = [unit.items[0].record.note for unit in task.units]
            if any(n is not None and n.text == POISON and i not in given_up for i, n in enumerate(notes)):
                return None
            lines = work_lines(task, SampleSource().build(), self._options, given_up, lambda unit, reading: None)
            return ["".join(line + "\n" for line in lines)]

    notes = [Note(note_id=str(i), text=POISON if i in (3, 4) else "x") for i in range(7)]
    units = tuple(Unit((Item(0, Record("f", i, 1, note, note.note_id, None)),)) for i, note in enumerate(notes))
    engine = Deadly(SampleSource(), WorkOptions(ReadOptions()), tmp_path, 1)
    tally = engine._one_by_one(Task((0, 0), units))
    assert (tally.records, tally.reports, tally.failures) == (7, 5, 2)
    shard = shard_path(tmp_path, (0, 0)).read_text()
    assert [json.loads(line[1:])["note_id"] for line in shard.split("\n") if line.startswith("F")] == ["3", "4"]


def test_packs_of_ones_own_travel_as_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine/pack").mkdir(parents=True)
    (tmp_path / "mine/pack/pack.yaml").write_text("id: mine")
    source = pickle.loads(pickle.dumps(CarriedSource.of("M48.38", [tmp_path / "mine"])))
    (tmp_path / "mine/pack/pack.yaml").unlink()
    seen = []

    def analyzer(code: str, pack_folders: tuple[str, ...]) -> SampleSource:
        seen.append((code, [p.read_text() for folder in pack_folders for p in Path(folder).rglob("pack.yaml")]))
        return SampleSource()

    monkeypatch.setattr("analyzer.analyze.Analyzer", analyzer)
    source.build()
    assert seen == [("M48.38", ["id: mine"])]

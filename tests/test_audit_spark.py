"""Audits and reports on Spark, in local mode: the same reports as without it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from audit_judges import POISON, SampleSource

from analyzer import Analyzer, Note
from analyzer.audit.run import AuditOptions, run_audit
from analyzer.audit.spark import gap_reports, spark_engine
from analyzer.audit.workers import InProcess
from analyzer.errors import CodeError, InputError
from analyzer.formats import find_inputs

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
    """With a note that kills Spark's workers, a bad line, and small files."""
    lines = [note.model_dump_json() for note in samples] * 3
    (tmp_path / "n.jsonl").write_text("\n".join([*lines[:70], "{", *lines[70:]]) + "\n", encoding="utf-8")
    for i in range(3):
        (tmp_path / f"t{i}.txt").write_text(f"small {i}")
    files = find_inputs([str(tmp_path)])
    for name, engine in (("local", InProcess), ("spark", spark_engine())):
        run = run_audit(files, tmp_path / name, AuditOptions(source=SampleSource(), engine=engine))
        assert (run["records"], run["failures"]) == (88, 1)
    assert outputs(tmp_path / "spark") == outputs(tmp_path / "local")


def test_a_note_that_kills_sparks_workers_is_a_failure(tmp_path: Path, spark: Any) -> None:
    notes = [{"note_id": f"n{i}", "text": POISON if i == 2 else "x"} for i in range(4)]
    path = tmp_path / "n.jsonl"
    path.write_text("".join(json.dumps(n) + "\n" for n in notes))
    run = run_audit(
        find_inputs([str(path)]), tmp_path / "out", AuditOptions(source=SampleSource(), engine=spark_engine())
    )
    assert (run["reports"], run["failures"]) == (3, 1)
    assert json.loads((tmp_path / "out/failures.jsonl").read_text())["note_id"] == "n2"


def test_a_dataframe_of_notes_gives_a_dataframe_of_the_librarys_reports(
    spark: Any, samples: list[Note], analyzer: Analyzer
) -> None:
    rows = [(n.note_id, n.text, n.date_of_service, n.setting, n.author_role, n.note_type, 7) for n in samples]
    rows.append(("bad", "x", date(2025, 1, 2), "nowhere", None, None, 7))
    names = "note_id string, text string, date_of_service date, setting string, author_role string, note_type string"
    frame = spark.createDataFrame(rows, names + ", price int")
    found = {row.note_id: row for row in gap_reports(frame).collect()}
    bad = found.pop("bad")
    assert "setting: Input should be" in bad.failure
    assert bad.report is None
    assert bad.note_ids == ["bad"]
    assert {k: row.report for k, row in found.items()} == {n.note_id: analyzer.report(n).to_json() for n in samples}
    assert {row.verdict for row in found.values()} == {"supported", "query", "not_supported"}


def test_a_dataframe_that_is_no_table_of_notes(spark: Any) -> None:
    frame = spark.createDataFrame([("a", "x")], "note_id string, body string")
    with pytest.raises(InputError, match="no column text"):
        gap_reports(frame)
    frame = frame.withColumnRenamed("body", "text")
    with pytest.raises(InputError, match="no column encounter_id"):
        gap_reports(frame, by="encounter_id")
    with pytest.raises(CodeError):
        gap_reports(frame, code="X99")

"""A note that ends Spark's Python workers, on Spark: `pytest -m long tests/long`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from audit_judges import POISON, SampleSource

from analyzer.audit.run import AuditOptions, run_audit
from analyzer.audit.spark import spark_engine
from analyzer.formats import find_inputs

pytestmark = pytest.mark.long


def test_a_note_that_kills_sparks_workers_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    # The workers must find the judges of the tests.
    here = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    notes = [{"note_id": f"n{i}", "text": POISON if i == 2 else "x"} for i in range(4)]
    path = tmp_path / "n.jsonl"
    path.write_text("".join(json.dumps(n) + "\n" for n in notes))
    options = AuditOptions(source=SampleSource(), engine=spark_engine(2))
    run = run_audit(find_inputs([str(path)]), tmp_path / "out", options)
    assert (run["reports"], run["failures"]) == (3, 1)
    assert json.loads((tmp_path / "out/failures.jsonl").read_text())["note_id"] == "n2"

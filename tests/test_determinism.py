"""The same notes give the same bytes: whatever the hash seed, time zone, locale, working folder and order of notes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from analyzer import Analyzer, Note

ROOT = Path(__file__).resolve().parents[1]
NOTES = ROOT / "sample_notes" / "notes.jsonl"

SURROUNDINGS = [
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "40"},
]


def chartgap(folder: Path, surroundings: dict[str, str], *arguments: str) -> bytes:
    """Standard output of the command line in a process of its own."""
    command = [sys.executable, "-m", "analyzer.cli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **surroundings}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.mark.parametrize("form", ["json", "html"])
def test_two_processes_give_the_same_bytes(form: str, tmp_path: Path) -> None:
    first, second = (chartgap(tmp_path, around, "analyze", str(NOTES), "--format", form) for around in SURROUNDINGS)
    assert first.count(b'"schema_version"' if form == "json" else b"M48.38") >= len(NOTES.read_bytes().splitlines())
    assert first == second


def test_two_audits_give_the_same_reports(tmp_path: Path) -> None:
    for number, around in enumerate(SURROUNDINGS):
        chartgap(ROOT, around, "audit", str(NOTES), "--output", str(tmp_path / str(number)))
    for name in ("reports.jsonl", "failures.jsonl", "notes.jsonl"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes(), name
    assert (tmp_path / "0" / "reports.jsonl").read_bytes() == chartgap(
        ROOT, SURROUNDINGS[0], "analyze", str(NOTES), "--format", "json"
    )


def test_no_note_leaves_a_trace_in_the_next(analyzer: Analyzer, samples: list[Note]) -> None:
    forward = {report.note_id: report.to_json() for report in analyzer.reports(samples)}
    backward = {report.note_id: report.to_json() for report in analyzer.reports(reversed(samples))}
    assert forward == backward
    alone = samples[len(samples) // 2]
    assert Analyzer().report(alone).to_json() == forward[alone.note_id]

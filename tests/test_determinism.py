"""The same notes give the same bytes: whatever the hash seed, time zone, locale, working folder and order of notes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from analyzer import Analyzer, Note

ROOT = Path(__file__).resolve().parents[1]
NOTES = ROOT / "sample_notes" / "notes.jsonl"

SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "2", "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "40"},
)


def chartgap(surroundings: dict[str, str], folder: Path, *arguments: str) -> None:
    """Run the command line in a process of its own, in a new working folder."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "analyzer.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **surroundings},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def test_two_audits_give_the_same_reports(tmp_path: Path, analyzer: Analyzer, samples: list[Note]) -> None:
    folders = (tmp_path / "one", tmp_path / "two")
    for folder, around in zip(folders, SURROUNDINGS, strict=True):
        chartgap(around, folder, "audit", str(NOTES), "--output", "out")
    for name in ("reports.jsonl", "failures.jsonl", "notes.jsonl"):
        first, second = ((folder / "out" / name).read_bytes() for folder in folders)
        assert first == second, name
    from_library = "".join(report.to_json() + "\n" for report in analyzer.reports(samples))
    assert (folders[0] / "out" / "reports.jsonl").read_bytes() == from_library.encode()


def test_two_processes_give_the_same_page(tmp_path: Path) -> None:
    folders = (tmp_path / "one", tmp_path / "two")
    for folder, around in zip(folders, SURROUNDINGS, strict=True):
        chartgap(around, folder, "analyze", str(NOTES), "--format", "html", "--output", "page.html")
    first, second = ((folder / "page.html").read_bytes() for folder in folders)
    assert b"M48.38" in first
    assert first == second


def test_no_note_leaves_a_trace_in_the_next(analyzer: Analyzer, samples: list[Note]) -> None:
    forward = {report.note_id: report.to_json() for report in analyzer.reports(samples)}
    backward = {report.note_id: report.to_json() for report in analyzer.reports(reversed(samples))}
    assert forward == backward
    alone = samples[len(samples) // 2]
    assert Analyzer().report(alone).to_json() == forward[alone.note_id]

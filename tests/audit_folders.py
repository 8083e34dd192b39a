"""Finished audits' folders made by hand from notes and reports, for tests of what reads such a folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analyzer.audit.tables import SUMMARY_COLUMNS
from analyzer.note import Note
from analyzer.report import GapReport


def write_folder(
    path: Path,
    notes: Sequence[Note],
    reports: Sequence[GapReport],
    *,
    failures: Sequence[dict[str, Any]] = (),
    source: str = "export.jsonl",
    with_notes: bool = True,
    **run: Any,
) -> Path:
    """An audit of `notes`, which stand in the order of their reports."""
    path.mkdir(parents=True)
    (path / "reports.jsonl").write_text("".join(report.to_json() + "\n" for report in reports), encoding="utf-8")
    (path / "failures.jsonl").write_text("".join(json.dumps(one) + "\n" for one in failures), encoding="utf-8")
    if with_notes:
        (path / "notes.jsonl").write_text("".join(note.model_dump_json() + "\n" for note in notes), encoding="utf-8")
    with (path / "summary.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, SUMMARY_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**note.model_dump(mode="json"), "input": source} for note in notes)
    provenance = {json.dumps(r.provenance.model_dump(mode="json")): r.provenance.model_dump() for r in reports}
    content = {
        "records": len(notes) + len(failures),
        "reports": len(reports),
        "notes": len(notes),
        "failures": len(failures),
        "inputs": [{"path": source, "sha256": "a" * 64, "bytes": 1, "records": len(notes) + len(failures)}],
        "settings": {"code": "M48.38", "pack_folders": []},
        "without_text": None,
        "provenance": list(provenance.values()),
        "warnings": [],
        "outputs": ["failures.jsonl", "reports.jsonl", "summary.csv"],
    }
    (path / "run.json").write_text(json.dumps({**content, **run}), encoding="utf-8")
    return path

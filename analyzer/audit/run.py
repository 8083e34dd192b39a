"""An audit: gap reports over many notes, streamed, with every input record accounted for.

Files appear under their final names only when the whole run is done, and `run.json` last: a folder with a `run.json`
is a complete audit. `records == reports + failures` holds for every run.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from analyzer.errors import ChartgapError, InputError
from analyzer.formats import Defaults, InputFile, Record, file_sha256, read_records
from analyzer.note import Note
from analyzer.report import GapReport

REPORTS, FAILURES, NOTES, RUN = "reports.jsonl", "failures.jsonl", "notes.jsonl", "run.json"

ReportOf = Callable[[Note], GapReport]


@dataclass(slots=True)
class Progress:
    """How far a run is. `bytes_done` of `bytes_total` counts the input files' bytes."""

    records: int = 0
    failures: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


@dataclass(slots=True)
class _Tally:
    """What a run counts on its way."""

    verdicts: Counter[str] = field(default_factory=Counter)
    irrelevant: int = 0
    warnings: Counter[str] = field(default_factory=Counter)
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen_ids: set[str] = field(default_factory=set)

    def add(self, report: GapReport) -> None:
        """Count one report. Irrelevant notes stay out of the verdicts: they belong in no denominator."""
        if report.relevant:
            self.verdicts[report.verdict or "unfinished"] += 1
        else:
            self.irrelevant += 1
        self.warnings.update(report.warnings)
        if report.note_id in self.seen_ids:
            self.warnings["note_id used more than once"] += 1
        self.seen_ids.add(report.note_id)
        provenance = report.provenance.model_dump(mode="json")
        self.provenance.setdefault(json.dumps(provenance, sort_keys=True), provenance)


class _Pending:
    """A file that takes its final name on `publish` and leaves nothing behind when the run breaks off."""

    def __init__(self, folder: Path, name: str) -> None:
        self._final = folder / name
        self._partial = folder / f"{name}.partial"
        self._handle: TextIO = self._partial.open("w", encoding="utf-8", newline="\n")

    def __enter__(self) -> _Pending:
        return self

    def write_line(self, line: str) -> None:
        self._handle.write(line + "\n")

    def publish(self) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        os.replace(self._partial, self._final)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()
        self._partial.unlink(missing_ok=True)


def report_on(record: Record, report_of: ReportOf) -> GapReport:
    """The gap report on a readable record, with the record's own warnings added. Raises what `report_of` raises."""
    if record.note is None:
        raise InputError(f"{record.place}: {record.reason}")
    report = report_of(record.note)
    if not record.warnings:
        return report
    return report.model_copy(update={"warnings": [*report.warnings, *record.warnings]})


def failure_reason(error: Exception) -> str:
    """Why a note got no report. Only our own messages are shown: any other may quote the note."""
    return str(error) if isinstance(error, ChartgapError) else f"the analyzer failed ({type(error).__name__})"


def run_audit(
    files: Sequence[InputFile],
    output: Path,
    report_of: ReportOf,
    *,
    defaults: Defaults,
    encoding: str | None = None,
    without_text: bool = False,
    settings: dict[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Audit `files` into the folder `output` and return what `run.json` says.

    Writes `reports.jsonl`, `failures.jsonl`, `run.json`, and `notes.jsonl` unless `without_text`; all in input order.
    `settings` is recorded as given. Raises InputError for an input or output that can't be opened.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    hashes = [file_sha256(file) for file in files]
    progress = Progress(bytes_total=sum(size for _, size in hashes))
    tally = _Tally()
    inputs: list[dict[str, Any]] = []
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: {error.strerror}") from None
    with ExitStack() as stack:
        reports = stack.enter_context(_Pending(output, REPORTS))
        failures = stack.enter_context(_Pending(output, FAILURES))
        notes = None if without_text else stack.enter_context(_Pending(output, NOTES))
        run = stack.enter_context(_Pending(output, RUN))
        for file, (sha256, size) in zip(files, hashes, strict=True):
            before, start = progress.bytes_done, progress.records
            for record in read_records(file, defaults, encoding=encoding):
                progress.records += 1
                progress.bytes_done += record.size
                reason = record.reason
                try:
                    report = report_on(record, report_of) if reason is None else None
                except Exception as error:
                    report, reason = None, failure_reason(error)
                if report is None:
                    progress.failures += 1
                    failures.write_line(_failure_line(record, reason))
                else:
                    tally.add(report)
                    reports.write_line(report.to_json())
                    if notes is not None and record.note is not None:
                        notes.write_line(record.note.model_dump_json())
                on_progress(progress)
            progress.bytes_done = before + size
            found = progress.records - start
            if not found:
                tally.warnings[f"{file.shown}: holds no notes"] += 1
            inputs.append({"path": file.shown, "sha256": sha256, "bytes": size, "records": found})
        seconds = time.perf_counter() - clock
        summary: dict[str, Any] = {
            "records": progress.records,
            "reports": progress.records - progress.failures,
            "failures": progress.failures,
            "verdicts": {name: tally.verdicts[name] for name in ("supported", "query", "not_supported", "unfinished")},
            "irrelevant": tally.irrelevant,
            "inputs": inputs,
            "settings": settings or {},
            "provenance": list(tally.provenance.values()),
            "warnings": [{"message": text, "count": count} for text, count in sorted(tally.warnings.items())],
            "timing": {
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(seconds, 3),
                "records_per_second": round(progress.records / seconds, 1) if seconds else None,
            },
        }
        run.write_line(json.dumps(summary, indent=2, ensure_ascii=False))
        # From here to the last rename the folder holds no run.json, so a mix of two runs never looks complete.
        (output / RUN).unlink(missing_ok=True)
        if without_text:
            (output / NOTES).unlink(missing_ok=True)
        for pending in (reports, failures, notes, run):
            if pending is not None:
                pending.publish()
    return summary


def _failure_line(record: Record, reason: str | None) -> str:
    failure = {"input": record.input, "record": record.number, "note_id": record.note_id, "reason": reason}
    return json.dumps(failure, ensure_ascii=False)

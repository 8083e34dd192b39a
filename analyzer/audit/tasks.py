"""The parts an audit is cut into, and how one part is worked off.

A task is a short run of records, always cut at the same places whatever the number of workers. Its outcome is a
shard: lines of JSON with a letter in front that says which output they belong to, and a last line that counts them.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Protocol

from analyzer.audit.tables import gap_rows, summary_rows
from analyzer.audit.textless import report_without_text
from analyzer.errors import ChartgapError, InputError
from analyzer.formats import Defaults, InputFile, Record, read_records
from analyzer.note import Note
from analyzer.report import GapReport

TASK_RECORDS: Final = 50
TASK_BYTES: Final = 512 * 1024
"""A task ends with the record that reaches one of these."""

WHOLE_FILE_BYTES: Final = 64 * 1024
"""Files up to this size are read by the workers, several a task."""

_SLOW_TO_READ: Final = frozenset({".pdf", ".docx", ".rtf"})
"""Documents of one note each whose reading is real work, so it is the workers' whatever their size."""

REPORT_LINE, NOTE_LINE, FAILURE_LINE, SUMMARY_LINE, GAPS_LINE, TRAILER = "R", "N", "F", "S", "G", "T"

DEATHS_ALLOWED: Final = 3
"""Workers that may die on one record before it is given up. More than one: a process can die for another reason."""

TIMES_TRIED_REASON: Final = "the process that read it ended or hung every time it was tried"

Key = tuple[int, int]
"""A task's place in the order of results: the group of files, and the part of the group."""


class Judge(Protocol):
    """What an audit needs of an Analyzer."""

    @property
    def code(self) -> str: ...

    def report(self, note: Note) -> GapReport: ...

    def case(self, notes: Sequence[Note], *, case_id: str) -> GapReport: ...


class JudgeSource(Protocol):
    """Builds a judge inside a worker; crosses to it by pickle."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules worth loading once for all workers of a machine."""

    def __hash__(self) -> int: ...

    def build(self) -> Judge: ...


@dataclass(frozen=True, slots=True)
class AnalyzerSource:
    """The Analyzer for a code and packs of one's own."""

    code: str | None = None
    pack_folders: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        """spaCy and medspaCy take longest to load."""
        return ("analyzer.analyze",)

    def build(self) -> Judge:
        """Load the packs. Raises ChartgapError for a code or pack that can't be used."""
        from analyzer.analyze import Analyzer

        return Analyzer(self.code, pack_folders=self.pack_folders)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How the inputs are read."""

    defaults: Defaults = field(default_factory=Defaults)
    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def records(self, file: InputFile) -> Iterator[Record]:
        """The file's records, streamed. Raises InputError for a file that can't be opened any more."""
        try:
            # The inputs were opened when the run began: one that is gone now is no failed record but a broken run.
            file.path.open("rb").close()
        except OSError as error:
            raise InputError(f"{file.shown}: {error.strerror or type(error).__name__}") from None
        yield from read_records(file, self.defaults, encoding=self.encoding, columns=self.columns)


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What a worker needs to know of the run."""

    reading: ReadOptions
    without_text: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """An input file: its number in the run, its size in bytes, and why it can't be read where that is known."""

    number: int
    file: InputFile
    size: int
    problem: str | None = None

    @property
    def for_workers(self) -> bool:
        """Whether a worker is to read the file."""
        return self.size <= WHOLE_FILE_BYTES or self.file.path.suffix.lower() in _SLOW_TO_READ


@dataclass(frozen=True, slots=True)
class Item:
    """A record and the number of the input file it came from."""

    file: int
    record: Record


@dataclass(frozen=True, slots=True)
class Unit:
    """What is judged at once: one record, or the records of one case."""

    items: tuple[Item, ...]
    case_id: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Units ready to judge, or small files (with their numbers) that the worker is to read."""

    key: Key
    units: tuple[Unit, ...] = ()
    files: tuple[tuple[int, InputFile], ...] = ()


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A unit of a task that is not tried again. `while_reading`: its file can't be read on from there."""

    reason: str
    while_reading: bool


@dataclass(slots=True)
class Tally:
    """What a shard, or a whole run, counts."""

    records: int = 0
    reports: int = 0
    notes: int = 0
    cases: int = 0
    failures: int = 0
    bytes: int = 0
    irrelevant: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    provenance: list[dict[str, Any]] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)

    def add_report(self, report: GapReport) -> None:
        """Count one report. Irrelevant notes stay out of the verdicts: they belong in no denominator."""
        self.reports += 1
        self.notes += len(report.note_ids)
        self.cases += report.case_id is not None
        if report.relevant:
            self.verdicts[report.verdict or "unfinished"] += 1
        else:
            self.irrelevant += 1
        # The note's own date would make a warning of its own for every day.
        day = f" {report.date_of_service}"
        self.warnings.update(warning.replace(day, "", 1) for warning in report.warnings)
        self._learn([report.provenance.model_dump(mode="json")], [r.id for r in report.requirements])

    def _learn(self, provenance: Iterable[dict[str, Any]], requirements: Iterable[str]) -> None:
        self.provenance.extend(p for p in provenance if p not in self.provenance)
        self.requirements.extend(r for r in requirements if r not in self.requirements)

    def add(self, other: Tally) -> None:
        """Add what a shard counted."""
        for name in ("records", "reports", "notes", "cases", "failures", "bytes", "irrelevant"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("verdicts", "warnings", "files"):
            getattr(self, name).update(getattr(other, name))
        self._learn(other.provenance, other.requirements)

    def trailer(self, check: int) -> str:
        """A shard's last line: the tally, and the CRC-32 of the lines before."""
        return TRAILER + dump({"crc32": check, **{f.name: getattr(self, f.name) for f in fields(self)}})

    @classmethod
    def from_trailer(cls, line: str) -> Tally:
        """The tally in a shard's last line."""
        value = json.loads(line[len(TRAILER) :])
        del value["crc32"]
        counters = {name: Counter(value[name]) for name in ("verdicts", "warnings", "files")}
        return cls(**{**value, **counters})


def dump(value: Any) -> str:
    """Compact JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# Cutting


def plan_tasks(inputs: Iterable[Input], reading: ReadOptions, *, skip: Callable[[Key], bool]) -> Iterator[Task]:
    """Tasks over the inputs; those that `skip` names are left out.

    Small files come many to a task and unread; of a larger file the records are read here and handed over.
    """
    group = 0
    for alone, run in groupby(inputs, key=lambda i: i.problem is not None or not i.for_workers):
        if alone:
            for one in run:
                yield from unit_tasks((Unit((item,)) for item in items_of([one], reading)), group, skip=skip)
                group += 1
            continue
        for files in _batched(run):
            if not skip((group, 0)):
                yield Task((group, 0), files=tuple((i.number, i.file) for i in files))
            group += 1


def _batched(inputs: Iterable[Input]) -> Iterator[list[Input]]:
    batch: list[Input] = []
    for one in inputs:
        batch.append(one)
        if len(batch) == TASK_RECORDS or sum(i.size for i in batch) >= TASK_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def items_of(inputs: Iterable[Input], reading: ReadOptions) -> Iterator[Item]:
    """Every record of the inputs. An input that could not be opened is a record that could not be read."""
    for one in inputs:
        if one.problem is not None:
            yield Item(one.number, Record(one.file.shown, 1, 0, None, None, one.problem))
        else:
            yield from (Item(one.number, record) for record in reading.records(one.file))


def unit_tasks(units: Iterable[Unit], group: int, *, skip: Callable[[Key], bool]) -> Iterator[Task]:
    """Units cut into tasks."""
    part = 0
    batch: list[Unit] = []
    size = records = 0
    for unit in units:
        batch.append(unit)
        records += len(unit.items)
        size += sum(item.record.size for item in unit.items)
        if records >= TASK_RECORDS or size >= TASK_BYTES:
            if not skip((group, part)):
                yield Task((group, part), units=tuple(batch))
            part, batch, size, records = part + 1, [], 0, 0
    if batch and not skip((group, part)):
        yield Task((group, part), units=tuple(batch))


def read_task(task: Task, reading: ReadOptions) -> Task:
    """The task with its files read, for a worker that can't see them."""
    inputs = (Input(number, file, 0) for number, file in task.files)
    return Task(task.key, (*task.units, *(Unit((item,)) for item in items_of(inputs, reading))))


# Working off

Mark = Callable[[int, bool], None]
"""Told before each step of a task: the unit's number in the task, and whether it is still being read."""


def work_lines(
    task: Task, judge: Judge, options: WorkOptions, given_up: Mapping[int, GivenUp], mark: Mark
) -> Iterator[str]:
    """The shard's lines (without line ends), the last one its trailer."""
    tally = Tally()
    check = 0
    for unit in _units(task, options, given_up, mark):
        for line in _unit_lines(unit.unit, unit.given_up, judge, options, tally):
            check = zlib.crc32(line.encode("utf-8"), check)
            yield line
    yield tally.trailer(check)


@dataclass(frozen=True, slots=True)
class _Step:
    unit: Unit
    given_up: str | None


def _units(task: Task, options: WorkOptions, given_up: Mapping[int, GivenUp], mark: Mark) -> Iterator[_Step]:
    number = 0
    for unit in task.units:
        mark(number, False)
        quit_ = given_up.get(number)
        yield _Step(unit, quit_.reason if quit_ else None)
        number += 1
    for file_number, file in task.files:
        records = options.reading.records(file)
        read = 0
        while True:
            mark(number, True)
            quit_ = given_up.get(number)
            if quit_ is not None and quit_.while_reading:
                record = Record(file.shown, read + 1, 0, None, None, quit_.reason)
                yield _Step(Unit((Item(file_number, record),)), None)
                number += 1
                break
            following = next(records, None)
            if following is None:
                break
            mark(number, False)
            yield _Step(Unit((Item(file_number, following),)), quit_.reason if quit_ else None)
            number += 1
            read += 1


def _unit_lines(unit: Unit, given_up: str | None, judge: Judge, options: WorkOptions, tally: Tally) -> Iterator[str]:
    for item in unit.items:
        tally.records += 1
        tally.bytes += item.record.size
        tally.files[str(item.file)] += 1
    report, reason = None, given_up
    if given_up is None:
        try:
            report = _report(unit, judge)
        except Exception as error:
            reason = failure_reason(error)
    if report is None:
        for item in unit.items:
            tally.failures += 1
            yield FAILURE_LINE + _failure_line(item.record, item.record.reason or reason)
        return
    if options.by is not None and unit.case_id is None:
        tally.warnings[f"no {options.by}: judged alone"] += 1
    tally.add_report(report)
    records = [item.record for item in unit.items]
    notes = [record.note for record in records if record.note is not None]
    if options.without_text:
        report = report_without_text(report)
    else:
        for note in notes:
            yield NOTE_LINE + note.model_dump_json()
    yield REPORT_LINE + report.to_json()
    yield SUMMARY_LINE + dump(summary_rows(report, records))
    yield GAPS_LINE + dump(gap_rows(report))


def _report(unit: Unit, judge: Judge) -> GapReport:
    if unit.case_id is None:
        return report_on(unit.items[0].record, judge.report)
    notes = [item.record.note for item in unit.items if item.record.note is not None]
    return _with_warnings(
        judge.case(notes, case_id=unit.case_id), [w for item in unit.items for w in item.record.warnings]
    )


def report_on(record: Record, report_of: Callable[[Note], GapReport]) -> GapReport:
    """The gap report on a readable record, with the record's own warnings added. Raises what `report_of` raises."""
    if record.note is None:
        raise InputError(f"{record.place}: {record.reason}")
    return _with_warnings(report_of(record.note), record.warnings)


def _with_warnings(report: GapReport, warnings: Iterable[str]) -> GapReport:
    added = list(dict.fromkeys(warnings))
    return report.model_copy(update={"warnings": [*report.warnings, *added]}) if added else report


def failure_reason(error: Exception) -> str:
    """Why a note got no report. Only our own messages are shown: any other may quote the note."""
    return str(error) if isinstance(error, ChartgapError) else f"the analyzer failed ({type(error).__name__})"


def _failure_line(record: Record, reason: str | None) -> str:
    return dump({"input": record.input, "record": record.number, "note_id": record.note_id, "reason": reason})


# Shards


def shard_tally(path: Path) -> Tally | None:
    """The tally of a whole shard on disk; None for one that is missing or torn (by a power cut, say)."""
    check, last = 0, b""
    try:
        with path.open("rb") as handle:
            for line in handle:
                if last:
                    check = zlib.crc32(last[:-1], check)
                last = line
    except FileNotFoundError:
        return None
    if not last.startswith(TRAILER.encode()) or not last.endswith(b"\n"):
        return None
    try:
        trailer = last[1:].decode("utf-8")
        whole = json.loads(trailer)["crc32"] == check
    except ValueError:
        return None
    return Tally.from_trailer(TRAILER + trailer) if whole else None

"""The running of an audit: inputs hashed, tasks worked off, outputs published, every input record accounted for.

For any run `records == notes in reports + failures`; without cases a report is about one note. The outputs are the
same bytes whatever the number of workers and however often the run was broken off and resumed; only the `timing` of
`run.json` differs.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files as resource_files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, Protocol

from analyzer.audit.grouping import grouped
from analyzer.audit.outputs import (
    FAILURES,
    GAPS,
    NOTES,
    REPORTS,
    SUMMARY,
    publish,
    read_run,
    write_outputs,
    write_run,
)
from analyzer.audit.resume import AuditState, check_unchanged
from analyzer.audit.tasks import (
    AnalyzerSource,
    Input,
    JudgeSource,
    Key,
    ReadOptions,
    Tally,
    Task,
    WorkOptions,
    items_of,
    plan_tasks,
    shard_tally,
    unit_tasks,
)
from analyzer.audit.textless import NO_DEIDENTIFICATION
from analyzer.audit.workers import WorkerPool, shard_path
from analyzer.errors import InputError
from analyzer.formats import InputFile, file_sha256
from analyzer.note import Note
from analyzer.version import VERSION

_OUTPUTS: Final = (REPORTS, FAILURES, NOTES, SUMMARY, GAPS)
_KEPT = "what is done is kept: run it again with --resume"


class Engine(Protocol):
    """Works tasks off into shards."""

    @property
    def code(self) -> str:
        """The code the notes without one are judged for, known after `start`."""

    def start(self) -> None:
        """Get ready. Raises InputError where the analyzer can't be loaded."""

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Work the tasks off in any order; the tally of each as its shard is there."""


EngineMaker = Callable[[JudgeSource, WorkOptions, Path], AbstractContextManager[Engine]]
"""Makes an engine that judges as told and writes into a folder of shards."""


def local_engine(workers: int) -> EngineMaker:
    """Worker processes on this machine."""
    return lambda source, options, shards: WorkerPool(source, options, shards, workers)


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How to run an audit.

    `by` is the note field whose equal values make a case. `settings` are recorded and must be the same to resume.
    `finish` is called with the folder of the finished outputs before they get their places, to add more.
    """

    source: JudgeSource = field(default_factory=AnalyzerSource)
    reading: ReadOptions = field(default_factory=ReadOptions)
    by: str | None = None
    without_text: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    pack_folders: tuple[str, ...] = ()
    resume: bool = False
    engine: EngineMaker = field(default_factory=lambda: local_engine(1))
    finish: Sequence[Callable[[Path], None]] = ()


@dataclass(slots=True)
class Progress:
    """How far a run is. `bytes_done` of `bytes_total` counts the input files' bytes.

    `resumed` are the records that an earlier, unfinished run had done. `stage` says in words what is going on.
    """

    stage: str = ""
    records: int = 0
    failures: int = 0
    resumed: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


OnProgress = Callable[[Progress], None]


def run_audit(
    files: Sequence[InputFile],
    output: Path,
    options: AuditOptions,
    on_progress: OnProgress = lambda progress: None,
) -> dict[str, Any]:
    """Audit `files` into the folder `output` and return what `run.json` says.

    Raises InputError for an output, a code or a pack that can't be used, and when the run can't go on (disk full,
    input gone); the message then says that it can be resumed.
    """
    check_case_field(options.by)
    with closing(AuditState(output)) as state:
        return _Run(files, output, options, state, on_progress).run()


def check_case_field(by: str | None) -> None:
    """Raises InputError for a field that makes no cases."""
    fields = [name for name in Note.model_fields if name != "text"]
    if by is not None and by not in fields:
        raise InputError(f"--by {by}: no field of a note; there are {', '.join(fields)}")


class _Run:
    def __init__(
        self,
        files: Sequence[InputFile],
        output: Path,
        options: AuditOptions,
        state: AuditState,
        on_progress: OnProgress,
    ) -> None:
        self._files, self._output, self._options, self._state = files, output, options, state
        self._on_progress, self._progress = on_progress, Progress()
        self._started, self._clock = datetime.now(UTC), time.perf_counter()
        self._inputs: list[Input] = []
        self._sha256: list[str | None] = []
        self._stamps: list[tuple[int, int] | None] = []
        self._keys: list[Key] = []

    def run(self) -> dict[str, Any]:
        options, state = self._options, self._state
        unfinished = state.unfinished() if options.resume else None
        if unfinished is None:
            self._guarded(state.new_shards)
        work = WorkOptions(options.reading, options.without_text, options.by)
        with options.engine(options.source, work, state.shards) as engine:
            self._hash_inputs()
            self._say("loading the analyzer")
            engine.start()
            started_with = self._started_with(engine.code)
            if unfinished is not None:
                check_unchanged(unfinished, started_with)
            else:
                done = read_run(self._output) if options.resume else None
                if done is not None:
                    check_unchanged(done, started_with)
                    state.remove()
                    return done
                self._guarded(lambda: state.begin(started_with))
            with self._resumable():
                self._work(engine)
        self._check_inputs()
        with self._resumable():
            return self._publish(started_with)

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            raise InputError(f"{error}; {_KEPT}") from None
        except OSError as error:
            raise InputError(f"{_told(error, self._output)}; {_KEPT}") from None

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            raise InputError(_told(error, self._output)) from None

    def _say(self, stage: str) -> None:
        self._progress.stage = stage
        self._on_progress(self._progress)

    def _hash_inputs(self) -> None:
        """Take each input's hash, and its size and time of change, by which a change during the run is noticed."""
        for number, file in enumerate(self._files):
            self._say("reading the inputs' hashes")
            try:
                stamp = _stamp(file)
                sha256, size = file_sha256(file)
            except (InputError, OSError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error).removeprefix(f"{file.shown}: ")
                self._inputs.append(Input(number, file, 0, f"the file can't be read: {reason}"))
                self._sha256.append(None)
                self._stamps.append(None)
                continue
            self._inputs.append(Input(number, file, size))
            self._sha256.append(sha256)
            self._stamps.append(stamp)
            self._progress.bytes_total += size

    def _started_with(self, code: str) -> dict[str, Any]:
        return {
            "chartgap": VERSION,
            "packs_sha256": packs_sha256(self._options.pack_folders),
            "settings": {**self._options.settings, "code": code},
            "inputs": [
                {"path": one.file.shown, "sha256": sha256, "bytes": one.size}
                for one, sha256 in zip(self._inputs, self._sha256, strict=True)
            ],
        }

    def _work(self, engine: Engine) -> None:
        options = self._options
        if options.by is None:
            tasks = plan_tasks(self._inputs, options.reading, skip=self._skip)
        else:
            self._say(f"grouping by {options.by}")
            units = grouped(items_of(self._inputs, options.reading), options.by, self._state.shards)
            tasks = unit_tasks(units, 0, skip=self._skip)
        self._say("")
        for tally in engine.run(tasks):
            self._count(tally)

    def _skip(self, key: Key) -> bool:
        """Note a task's place; whether its shard is there already."""
        self._keys.append(key)
        if not self._options.resume:
            return False
        tally = shard_tally(shard_path(self._state.shards, key))
        if tally is None:
            return False
        self._progress.resumed += tally.records
        self._count(tally)
        return True

    def _count(self, tally: Tally) -> None:
        self._progress.records += tally.records
        self._progress.failures += tally.failures
        self._progress.bytes_done = min(self._progress.bytes_done + tally.bytes, self._progress.bytes_total)
        self._on_progress(self._progress)

    def _check_inputs(self) -> None:
        for one, stamp in zip(self._inputs, self._stamps, strict=True):
            if stamp is not None and _stamp(one.file) != stamp:
                # Nobody can say which of the two contents the shards come from.
                self._state.remove()
                raise InputError(f"{one.file.shown}: changed while the audit ran; start it anew")

    def _publish(self, started_with: dict[str, Any]) -> dict[str, Any]:
        self._say("writing the outputs")
        staging = self._state.new_staging()
        tally = write_outputs(staging, self._state.shards, self._keys, without_text=self._options.without_text)
        run = self._account(started_with, tally)
        write_run(staging, run)
        for step in self._options.finish:
            step(staging)
        run["outputs"] = sorted(child.name for child in staging.iterdir())
        seconds = time.perf_counter() - self._clock
        fresh = self._progress.records - self._progress.resumed
        run["timing"] = {
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "records_per_second": round(fresh / seconds, 1) if seconds else None,
            "resumed_records": self._progress.resumed,
        }
        write_run(staging, run)
        earlier = read_run(self._output) or {}
        publish(staging, self._output, [*_OUTPUTS, *earlier.get("outputs", [])])
        self._state.remove()
        return run

    def _account(self, started_with: dict[str, Any], tally: Tally) -> dict[str, Any]:
        warnings = dict(tally.warnings)
        for one in self._inputs:
            if not tally.files[str(one.number)]:
                warnings[f"{one.file.shown}: holds no notes"] = 1
        return {
            "records": tally.records,
            "reports": tally.reports,
            "failures": tally.failures,
            "notes": tally.notes,
            "cases": tally.cases if self._options.by is not None else None,
            "verdicts": {name: tally.verdicts[name] for name in ("supported", "query", "not_supported", "unfinished")},
            "irrelevant": tally.irrelevant,
            "requirements": tally.requirements,
            **started_with,
            "inputs": [
                {**entry, "records": tally.files[str(number)]} for number, entry in enumerate(started_with["inputs"])
            ],
            "without_text": NO_DEIDENTIFICATION if self._options.without_text else None,
            "provenance": tally.provenance,
            "warnings": [{"message": text, "count": count} for text, count in sorted(warnings.items())],
        }


def _told(error: OSError, output: Path) -> str:
    place = error.filename if isinstance(error.filename, str) else output
    return f"{place}: {error.strerror or type(error).__name__}"


def _stamp(file: InputFile) -> tuple[int, int] | None:
    """The file's size and time of change; None when it is gone."""
    try:
        found = os.stat(file.path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def packs_sha256(folders: Sequence[str] = ()) -> str:
    """One hash over every file of the shipped packs and code tables and of the given pack folders."""
    digest = hashlib.sha256()
    for root in (resource_files("patterns"), *map(Path, folders)):
        for name, file in _files_below(root):
            content = file.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _files_below(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for child in sorted(folder.iterdir(), key=lambda c: c.name):
        name = f"{prefix}{child.name}"
        if child.is_dir():
            yield from _files_below(child, f"{name}/")
        elif not child.name.endswith(".pyc"):
            yield name, child

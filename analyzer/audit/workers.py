"""Worker processes for an audit: each holds one Analyzer, gets a task, writes the task's shard, says what it counts.

A worker that dies takes nothing with it: shards appear whole, by rename, and its task is given to another. A place in
shared memory tells on which record it died. A record on which workers die each time becomes a failure.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from analyzer.audit.tasks import (
    DEATHS_ALLOWED,
    TIMES_TRIED_REASON,
    GivenUp,
    JudgeSource,
    Key,
    Tally,
    Task,
    WorkOptions,
    work_lines,
)
from analyzer.errors import ChartgapError, InputError

SECONDS_ALLOWED: Final = 600.0
"""Time for one record, or one case, after which its worker is taken to hang and ended."""

_DEATHS_IN_A_ROW: Final = 30
"""Deaths without a finished task between them after which the machine, not a record, is at fault."""

_FALSE_STARTS_IN_A_ROW: Final = 5
"""Workers that may die before they are ready, likewise."""

_TICK_SECONDS: Final = 2.0
_IDLE: Final = -1.0

Given = dict[int, GivenUp]


def shard_path(folder: Path, key: Key) -> Path:
    """Where a task's shard lies, at most a thousand or so in one folder."""
    group, part = key
    return folder / f"{group // 1000:06d}-{part // 1000:06d}" / f"{group:09d}-{part:09d}"


def write_shard(folder: Path, key: Key, lines: Iterator[str]) -> str:
    """Write a shard under its name when it is whole; return its last line. `folder` must exist."""
    path = shard_path(folder, key)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    last = ""
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as handle:
            for last in lines:
                handle.write(last + "\n")
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return last


# In the worker


class _ParentGone(Exception):
    """The run has ended without this worker."""


def _work(pipe: Any, place: Any, source: JudgeSource, options: WorkOptions, folder: Path) -> None:
    """A worker's life. Nothing but `(word, value)` pairs leaves it: a traceback could quote a note."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError, _ParentGone):
        try:
            judge = source.build()
        except ChartgapError as error:
            pipe.send(("refused", str(error)))
            return
        except Exception as error:
            pipe.send(("refused", f"the analyzer could not be loaded ({type(error).__name__})"))
            return
        pipe.send(("ready", judge.code))

        def mark(unit: int, reading: bool) -> None:
            # Nothing is sent to a busy worker, so a readable pipe is a closed one.
            if pipe.poll():
                raise _ParentGone
            place[0], place[1], place[2] = unit, reading, time.monotonic()

        while True:
            task, given_up = pickle.loads(pipe.recv_bytes())
            try:
                trailer = write_shard(folder, task.key, work_lines(task, judge, options, given_up, mark))
            except ChartgapError as error:
                pipe.send(("failed", str(error)))
            except OSError as error:
                pipe.send(("failed", f"{folder.parent.parent}: {error.strerror or type(error).__name__}"))
            except _ParentGone:
                return
            except Exception as error:
                pipe.send(("failed", f"a worker failed ({type(error).__name__})"))
            else:
                place[0] = _IDLE
                pipe.send(("done", trailer))


# In the coordinator


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Any
    place: Any
    ready: bool = False
    task: Task | None = None


@dataclass
class WorkerPool:
    """`count` workers writing shards into `folder`. Use as a context manager; `run` may be called once.

    `code` is the judge's own code, known after `start`.
    """

    source: JudgeSource
    options: WorkOptions
    folder: Path
    count: int
    code: str = ""
    deaths: int = 0
    _workers: list[_Worker] = field(default_factory=list)
    _blame: Counter[tuple[Key, int, bool]] = field(default_factory=Counter)
    _given_up: dict[Key, Given] = field(default_factory=dict)
    _deaths_in_a_row: int = 0
    _false_starts_in_a_row: int = 0

    def __enter__(self) -> WorkerPool:
        while len(self._workers) < self.count:
            self._workers.append(self._new_worker())
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    def start(self) -> None:
        """Wait until a worker is ready. Raises InputError where the analyzer can't be loaded."""
        while not self.code:
            for word, value in self._messages(_TICK_SECONDS):
                self._hear(word, value)

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Work the tasks off, each finished one's tally as it comes; a bounded number is held at a time.

        Raises InputError when a task can't be done for a reason outside its records: disk, inputs, machine.
        """
        waiting: deque[Task] = deque()
        more = True
        while True:
            for worker in self._workers:
                if waiting and worker.ready and worker.task is None:
                    self._give(worker, waiting.popleft())
            busy = [w for w in self._workers if w.task is not None]
            if more and len(waiting) < self.count:
                following = next(tasks, None)
                more = following is not None
                if following is not None:
                    waiting.append(following)
            elif not waiting and not busy:
                return
            can_read_on = more and len(waiting) < self.count
            can_give = bool(waiting) and any(w.ready and w.task is None for w in self._workers)
            for word, value in self._messages(0 if can_read_on or can_give else _TICK_SECONDS):
                if word == "lost":
                    waiting.appendleft(value)
                elif word == "done":
                    self._deaths_in_a_row = 0
                    yield value
                else:
                    self._hear(word, value)
            self._end_hanging()

    def _hear(self, word: str, value: Any) -> None:
        if word == "ready":
            self.code = value
        elif word in ("refused", "failed"):
            raise InputError(value)

    def _messages(self, seconds: float) -> Iterator[tuple[str, Any]]:
        """What the workers say within the time; dead ones are replaced, and their tasks come back as `lost`."""
        by_pipe = {w.pipe: w for w in self._workers}
        for pipe in connection.wait(list(by_pipe), seconds):
            worker = by_pipe[pipe]
            try:
                word, value = worker.pipe.recv()
            except (EOFError, OSError):
                lost = self._bury(worker)
                if lost is not None:
                    yield "lost", lost
                continue
            if word == "ready":
                worker.ready = True
            elif word == "done":
                task, worker.task = worker.task, None
                assert task is not None
                self._given_up.pop(task.key, None)
                value = Tally.from_trailer(value)
            yield word, value

    def _give(self, worker: _Worker, task: Task) -> None:
        worker.task = task
        # A worker that died meanwhile is found by the next look at its pipe.
        with contextlib.suppress(OSError):
            worker.pipe.send_bytes(pickle.dumps((task, self._given_up.get(task.key, {})), pickle.HIGHEST_PROTOCOL))

    def _bury(self, worker: _Worker) -> Task | None:
        """Replace a dead worker; its task, with the record it died on given up if it was one too many."""
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()
        self.deaths += 1
        self._deaths_in_a_row += 1
        if self._deaths_in_a_row >= _DEATHS_IN_A_ROW:
            raise InputError(
                f"the worker processes died {_DEATHS_IN_A_ROW} times in a row (out of memory?); "
                "fewer --workers need less"
            )
        self._false_starts_in_a_row = 0 if worker.ready else self._false_starts_in_a_row + 1
        if self._false_starts_in_a_row >= _FALSE_STARTS_IN_A_ROW:
            raise InputError("the worker processes end as they start (out of memory?)")
        self._workers[self._workers.index(worker)] = self._new_worker()
        task, unit, reading = worker.task, int(worker.place[0]), bool(worker.place[1])
        if task is not None and unit != _IDLE:
            blame = (task.key, unit, reading)
            self._blame[blame] += 1
            if self._blame[blame] >= DEATHS_ALLOWED:
                del self._blame[blame]
                self._given_up.setdefault(task.key, {})[unit] = GivenUp(TIMES_TRIED_REASON, reading)
        return task

    def _end_hanging(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.task is not None and worker.place[0] != _IDLE and now - worker.place[2] > SECONDS_ALLOWED:
                worker.process.kill()

    def _new_worker(self) -> _Worker:
        context = _context(self.source.modules)
        ours, theirs = context.Pipe()
        place = context.RawArray("d", [_IDLE, 0.0, 0.0])
        process = context.Process(
            target=_work, args=(theirs, place, self.source, self.options, self.folder), daemon=True
        )
        try:
            process.start()
        finally:
            theirs.close()
        return _Worker(process, ours, place)


def _context(modules: Iterable[str]) -> Any:
    """A way to start processes that inherits no open file and no thread of this one."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*modules, "analyzer.audit.tasks"])
    return context


class InProcess:
    """An engine without processes, for judges that can't cross to one. A note that kills the process kills the run."""

    def __init__(self, source: JudgeSource, options: WorkOptions, shards: Path) -> None:
        self._source, self._options, self._shards = source, options, shards

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to give back."""

    def start(self) -> None:
        """Build the judge."""
        self._judge = self._source.build()
        self.code = self._judge.code

    def run(self, tasks: Iterator[Task]) -> Iterator[Tally]:
        """Work the tasks off one by one."""
        for task in tasks:
            lines = work_lines(task, self._judge, self._options, {}, lambda unit, reading: None)
            yield Tally.from_trailer(write_shard(self._shards, task.key, lines))

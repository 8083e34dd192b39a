"""The workers: processes with a warm analyzer each, fed from a bounded queue.

Threads could not share the work (reading a note holds the interpreter's lock); bench/service_strategies.py measures
both. A thread a worker waits for its process, so the event loop never does. A worker that dies or takes too long is
replaced; its job is tried once more after a death, because reading a note changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from analyzer.errors import ChartgapError
from api.jobs import Answer, Job
from api.problems import ProblemError
from api.worker import FAILED, READY, WANTED, run

_TRIES = 2
_LONGEST_START = 180.0
"""Seconds that a worker may take to build its analyzer."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["api.preload"])


class WorkerStartError(ChartgapError):
    """A worker that did not get ready, and why."""


class _Worker:
    """One process and the pipe to it. Used by one thread at a time."""

    def __init__(self, code: str | None, pack_folders: Sequence[str]) -> None:
        self._arguments = (code, tuple(pack_folders))
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process and wait until it is warm. Raises WorkerStartError."""
        self.end()
        ours, theirs = _context.Pipe()
        self._process = _context.Process(target=run, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe = ours
        reason = "a worker ended before it was ready"
        try:
            said = ours.recv_bytes() if ours.poll(_LONGEST_START) else b""
            if said == READY:
                return
            if said.startswith(FAILED):
                reason = said.removeprefix(FAILED).decode()
        except (EOFError, OSError):
            pass
        self.end()
        raise WorkerStartError(reason)

    def ask(self, job: Job, seconds: float) -> Answer:
        """The process's answer. Raises TimeoutError, or EOFError or OSError when it died; it is to be replaced then."""
        if self._pipe is None:
            raise EOFError
        self._pipe.send(job)
        if not self._pipe.poll(seconds):
            raise TimeoutError
        answer = self._pipe.recv()
        assert isinstance(answer, Answer)
        return answer

    def end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


class WorkerPool:
    """Takes jobs from any event loop. `queue_limit` jobs may wait beside those being worked on."""

    def __init__(
        self, size: int, *, code: str | None, pack_folders: Sequence[str], queue_limit: int, job_seconds: float
    ) -> None:
        self.size, self.queue_limit, self.job_seconds = size, queue_limit, job_seconds
        self.restarts = 0
        # Read by the process that workers are forked from when it starts; one that is up already stays as it is.
        os.environ[WANTED] = json.dumps([code, list(pack_folders)])
        self._workers = [_Worker(code, pack_folders) for _ in range(size)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="worker")
        self._lock = threading.Lock()
        self._held = 0
        self._starting: list[Future[None]] | None = None
        self._stopped = False

    @property
    def held(self) -> int:
        """Jobs accepted and not yet answered."""
        return self._held

    @property
    def ready(self) -> bool:
        """Whether every worker has been warm and the pool is not stopping."""
        started = self._starting is not None and all(f.done() and f.exception() is None for f in self._starting)
        return started and not self._stopped

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that are up."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def start(self) -> list[Future[None]]:
        """Start the workers, once; the futures end when they are warm."""
        with self._lock:
            if self._starting is None:
                self._starting = [self._threads.submit(self._warm, worker) for worker in self._workers]
            return self._starting

    def wait_until_warm(self) -> None:
        """Start the workers and block until they are warm. Raises WorkerStartError."""
        for starting in self.start():
            starting.result()

    async def run(self, job: Job, *, patient: bool = False) -> Answer:
        """The answer to a job. Raises ProblemError `busy`, `timeout`, `worker-died` or `not-ready`.

        `patient` is for the lines of a batch, which limits itself: they wait whatever the queue's length.
        """
        self.start()
        with self._lock:
            if self._stopped:
                raise ProblemError("not-ready")
            if not patient and self._held >= self.size + self.queue_limit:
                raise ProblemError("busy", headers={"Retry-After": "1"})
            self._held += 1
            future = self._threads.submit(self._work, job, time.monotonic() + self.job_seconds)
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Finish what was accepted, then end the processes."""
        with self._lock:
            self._stopped = True
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.end()

    def _release(self, future: Future[Answer]) -> None:
        with self._lock:
            self._held -= 1

    def _warm(self, worker: _Worker) -> None:
        try:
            worker.start()
        finally:
            # One that failed is started again by the first job that gets it.
            self._idle.put(worker)

    def _work(self, job: Job, deadline: float) -> Answer:
        """Runs in a thread; there are as many threads as workers, so one is idle or about to be."""
        worker = self._idle.get()
        try:
            for _ in range(_TRIES):
                if time.monotonic() > deadline:
                    raise ProblemError("busy", headers={"Retry-After": "1"})
                try:
                    return worker.ask(job, self.job_seconds)
                except TimeoutError:
                    self._replace(worker)
                    raise ProblemError("timeout") from None
                except (EOFError, OSError):
                    self._replace(worker)
            raise ProblemError("worker-died")
        finally:
            self._idle.put(worker)

    def _replace(self, worker: _Worker) -> None:
        with self._lock:
            self.restarts += 1
        try:
            worker.start()
        except WorkerStartError:
            # The next job tries again; this one is answered as a death.
            return

"""The workers: a dead one costs nobody else anything, a stuck one is ended, what was accepted is finished."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from api.jobs import Answer, Job
from api.pool import WorkerPool, WorkerStartError
from api.problems import ProblemError

NOTE = b'{"note_id": "n", "text": "CC: tailbone pain since a fall on ice in 2023."}'
SLOW = b'{"note_id": "n", "text": "' + b"HPI: fell on ice onto the coccyx in 2021, old fracture. " * 700 + b'"}'
"""A note that takes seconds rather than milliseconds."""


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(1, code=None, pack_folders=(), queue_limit=8, job_seconds=60)
    made.wait_until_warm()
    yield made
    made.stop()


def ask(pool: WorkerPool, body: bytes = NOTE) -> Answer:
    return asyncio.run(pool.run(Job("gap_report", body)))


def when_busy(pool: WorkerPool) -> None:
    while not pool.held:
        time.sleep(0.001)
    time.sleep(0.2)


def test_a_worker_killed_mid_request_costs_one_retry(pool: WorkerPool) -> None:
    before, restarts = pool.pids, pool.restarts

    def kill() -> None:
        when_busy(pool)
        os.kill(before[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    answer = ask(pool, SLOW)
    killer.join()
    assert answer.status == 200
    assert pool.restarts == restarts + 1
    assert pool.pids != before
    assert ask(pool).status == 200


def test_a_note_that_kills_its_worker_twice_gets_one_clean_answer(pool: WorkerPool) -> None:
    done = threading.Event()

    def kill() -> None:
        when_busy(pool)
        first = pool.pids[0]
        os.kill(first, signal.SIGKILL)
        while not done.is_set():
            pids = pool.pids
            if pids and pids[0] != first:
                os.kill(pids[0], signal.SIGKILL)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ProblemError) as caught:
        ask(pool, SLOW)
    done.set()
    killer.join()
    assert caught.value.problem.type.endswith("worker-died")
    assert ask(pool).status == 200


def test_a_worker_killed_while_idle_is_not_noticed(pool: WorkerPool) -> None:
    os.kill(pool.pids[0], signal.SIGKILL)
    time.sleep(0.1)
    assert ask(pool).status == 200


def test_a_note_that_takes_too_long_ends_with_its_worker(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "job_seconds", 0.3)
    before = pool.pids
    with pytest.raises(ProblemError) as caught:
        ask(pool, SLOW)
    assert caught.value.problem.type.endswith("timeout")
    monkeypatch.undo()
    assert ask(pool).status == 200
    assert pool.pids != before


def test_more_than_the_queue_holds_is_refused_and_the_rest_answered(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "queue_limit", 3)

    async def many() -> list[Answer | BaseException]:
        return await asyncio.gather(*(pool.run(Job("gap_report", NOTE)) for _ in range(10)), return_exceptions=True)

    answers = asyncio.run(many())
    assert sum(isinstance(a, Answer) for a in answers) == 4
    busy = [a for a in answers if isinstance(a, ProblemError)]
    assert len(busy) == 6
    assert all(error.problem.status == 503 and error.headers["Retry-After"] for error in busy)
    assert pool.held == 0


def test_a_pool_that_stops_finishes_what_it_accepted() -> None:
    pool = WorkerPool(1, code=None, pack_folders=(), queue_limit=8, job_seconds=60)
    pool.wait_until_warm()

    async def stop_amid() -> list[Answer | BaseException]:
        jobs = [asyncio.create_task(pool.run(Job("gap_report", NOTE))) for _ in range(5)]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(pool.stop)
        with pytest.raises(ProblemError):
            await pool.run(Job("gap_report", NOTE))
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [getattr(a, "status", a) for a in asyncio.run(stop_amid())] == [200] * 5
    assert pool.pids == []


def test_a_wrong_code_says_so_at_the_start() -> None:
    pool = WorkerPool(1, code="M48.3", pack_folders=(), queue_limit=8, job_seconds=60)
    with pytest.raises(WorkerStartError, match=r"M48\.3 is a category"):
        pool.wait_until_warm()
    pool.stop()

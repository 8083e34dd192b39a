"""Threads or processes for reading notes beside an event loop: throughput, latency, and how long the loop is held up.

    python -m bench.service_strategies --seconds 20

Each strategy is kept busy by the same number of callers; a probe that wants to run every 10 ms says how late it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from api.answers import Answers
from api.jobs import Answer, Job
from api.pool import WorkerPool

SAMPLES = Path(__file__).resolve().parents[1] / "sample_notes" / "notes.jsonl"
_TICK = 0.01

Ask = Callable[[Job], Awaitable[Answer]]


async def busy(
    ask: Ask, notes: Sequence[bytes], callers: int, seconds: float
) -> tuple[float, list[float], list[float]]:
    """Notes a second, latencies, and the probe's delays, in seconds."""
    latencies: list[float] = []
    delays: list[float] = []
    start = time.perf_counter()

    async def one(number: int) -> None:
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            await ask(Job("gap_report", notes[number % len(notes)]))
            latencies.append(time.perf_counter() - began)
            number += callers

    async def probe() -> None:
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            await asyncio.sleep(_TICK)
            delays.append(time.perf_counter() - began - _TICK)

    await asyncio.gather(probe(), *(one(number) for number in range(callers)))
    return len(latencies) / (time.perf_counter() - start), sorted(latencies), sorted(delays)


def inline() -> Ask:
    """In the event loop itself."""
    answers = _answers()

    async def ask(job: Job) -> Answer:
        return answers.answer(job)

    return ask


def threads(count: int) -> Ask:
    """In threads, each with an analyzer of its own."""
    pool = ThreadPoolExecutor(count)
    free = [_answers() for _ in range(count)]

    def work(job: Job) -> Answer:
        answers = free.pop()
        try:
            return answers.answer(job)
        finally:
            free.append(answers)

    async def ask(job: Job) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(pool, work, job)

    return ask


def _answers() -> Answers:
    return Answers(None, ())


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    given = options.parse_args()
    notes = [line.encode() for line in SAMPLES.read_text(encoding="utf-8").split("\n") if line]
    processes = WorkerPool(given.workers, code=None, pack_folders=(), queue_limit=64, job_seconds=60)
    processes.wait_until_warm()
    strategies: list[tuple[str, Ask]] = [
        (f"{given.workers} processes (the service)", processes.run),
        (f"{given.workers} threads", threads(given.workers)),
        ("1 thread", threads(1)),
        ("the event loop itself", inline()),
    ]
    print(
        "| notes are read in | notes a second | p50 | p99 | event loop late, p99 | worst |\n|---|---|---|---|---|---|"
    )
    for name, ask in strategies:
        rate, latencies, delays = asyncio.run(busy(ask, notes, given.workers * 4, given.seconds))
        shown = [latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]]
        shown += [delays[int(len(delays) * 0.99)], delays[-1]]
        print(f"| {name} | {rate:.0f} | {' | '.join(f'{value * 1000:.0f} ms' for value in shown)} |", flush=True)
    processes.stop()
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

"""Load on the running service: throughput beside the library's, then 80 % of its capacity, then three times it.

    python -m bench.service_load --seconds 300

Prints a table and exits with 1 when a bound is broken: no error and p99 <= 10 x p50 at 80 %, memory flat; only 200 and
503 at 300 %, health answered, recovery within a second; throughput >= 70 % of the library's with as many processes.
The caller shares the machine's cores with the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.service_process import Service, serving

SAMPLES = Path(__file__).resolve().parents[1] / "sample_notes" / "notes.jsonl"
_CONNECTIONS_A_WORKER = 3


@dataclass
class Result:
    """What a stretch of load brought. Latencies in seconds, of answers with status 200."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    recovery: float = 0.0

    def rate(self) -> float:
        """Answers with status 200 a second."""
        return self.statuses[200] / self.seconds

    def quantile(self, share: float) -> float:
        """A quantile of the latencies."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Caller:
    """HTTP/1.1 over connections that are kept; as little work as a client can do."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self._host, self._port = place.hostname, place.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        pair = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        try:
            yield pair
        except BaseException:
            pair[1].close()
            raise
        self._idle.append(pair)

    async def send(self, method: str, path: str, body: bytes = b"") -> int:
        """The status of the answer, 0 for none."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        try:
            async with self._connection() as (reader, writer):
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                return int(answer.split(b" ", 2)[1])
        except (OSError, asyncio.IncompleteReadError):
            return 0


async def closed_loop(caller: Caller, notes: Sequence[bytes], callers: int, seconds: float) -> Result:
    """As many callers as given, each asking again as soon as it is answered: what the service can do."""
    result, start = Result(), time.perf_counter()

    async def one(number: int) -> None:
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            status = await caller.send("POST", "/v1/gap-reports", notes[number % len(notes)])
            result.statuses[status] += 1
            result.latencies.append(time.perf_counter() - began)
            number += callers

    await asyncio.gather(*(one(number) for number in range(callers)))
    result.seconds = time.perf_counter() - start
    return result


async def open_loop(
    service: Service, caller: Caller, notes: Sequence[bytes], rate: float, seconds: float, usual: float | None = None
) -> Result:
    """Requests that come at random at a rate, whether or not earlier ones are answered; health is asked beside them.

    With `usual`, a request's usual time, the recovery after the last request was sent is measured as well.
    """
    result, start, dice = Result(), time.perf_counter(), random.Random(1)
    running: set[asyncio.Task[None]] = set()

    async def one(body: bytes) -> None:
        began = time.perf_counter()
        status = await caller.send("POST", "/v1/gap-reports", body)
        result.statuses[status] += 1
        if status == 200:
            result.latencies.append(time.perf_counter() - began)

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            if await caller.send("GET", "/healthz") == 200:
                result.health.append(time.perf_counter() - began)
            else:
                result.statuses[-1] += 1
            result.memory.append(await asyncio.to_thread(service.memory))
            await asyncio.sleep(max(0.5, seconds / 60))

    watcher = asyncio.create_task(watch())
    due, number = start, 0
    while due - start < seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(notes[number % len(notes)]))
        running.add(task)
        task.add_done_callback(running.discard)
        due += dice.expovariate(rate)
        number += 1
    result.seconds = time.perf_counter() - start
    watcher.cancel()
    with suppress(asyncio.CancelledError):
        await watcher
    if usual is not None:
        result.recovery = await recovery(caller, notes[0], usual)
    if running:
        await asyncio.wait(running)
    return result


def _times(result: Result) -> str:
    return f"{result.quantile(0.5) * 1000:.0f} ms, {result.quantile(0.99) * 1000:.0f} ms"


async def recovery(caller: Caller, note: bytes, usual: float) -> float:
    """Seconds from now until a request is answered with 200 in not much more than its usual time."""
    start = time.perf_counter()
    while True:
        began = time.perf_counter()
        status = await caller.send("POST", "/v1/gap-reports", note)
        ended = time.perf_counter()
        if status == 200 and ended - began < max(10 * usual, 0.25):
            return began - start
        await asyncio.sleep(0.02)


def library(notes: Sequence[bytes], processes: int, seconds: float) -> float:
    """Notes a second of the library, with as many processes as the service has workers."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with context.Pool(processes, initializer=_ready, initargs=(barrier,)) as pool:
        done = pool.starmap(_read_for, [(list(notes), seconds)] * processes, chunksize=1)
    return sum(done)


def _ready(barrier: object) -> None:
    global _barrier
    _barrier = barrier


def _read_for(notes: list[bytes], seconds: float) -> float:
    from analyzer import Analyzer, Note

    analyzer = Analyzer()
    for note in notes[:5]:
        analyzer.report(Note.model_validate_json(note)).to_json()
    _barrier.wait()  # type: ignore[name-defined]
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        analyzer.report(Note.model_validate_json(notes[count % len(notes)])).to_json().encode()
        count += 1
    return count / (time.perf_counter() - start)


async def measure(service: Service, notes: Sequence[bytes], given: argparse.Namespace, alone: float) -> list[str]:
    """Print the table; return the bounds that were broken."""
    caller = Caller(service.address)
    await closed_loop(caller, notes, given.workers, min(5, given.short))
    most = await closed_loop(caller, notes, given.workers * _CONNECTIONS_A_WORKER, given.short)
    steady = await open_loop(service, caller, notes, 0.8 * most.rate(), given.seconds)
    flood = await open_loop(service, caller, notes, 3 * most.rate(), given.short, steady.quantile(0.5))
    share = most.rate() / alone
    quarter = max(1, len(steady.memory) // 4)
    early, late = (statistics.median(part) for part in (steady.memory[quarter : 2 * quarter], steady.memory[-quarter:]))
    p50, p99 = steady.quantile(0.5), steady.quantile(0.99)
    refused = {status: count for status, count in flood.statuses.items() if status not in (200, 503)}
    print("| what | measured | bound |\n|---|---|---|")
    for row in (
        ("library, notes a second", f"{alone:.0f} ({given.workers} processes)", ""),
        ("service, notes a second", f"{most.rate():.0f} ({given.workers} workers)", ""),
        ("service / library", f"{share:.0%}", ">= 70 %"),
        (f"80 % of capacity for {steady.seconds:.0f} s: requests", f"{sum(steady.statuses.values())}", ""),
        ("- statuses", f"{dict(steady.statuses)}", "200 only"),
        ("- p50, p99", f"{p50 * 1000:.0f} ms, {p99 * 1000:.0f} ms ({p99 / p50:.1f} x)", "<= 10 x"),
        ("- memory, second and last quarter", f"{early / 2**20:.0f} MB, {late / 2**20:.0f} MB", "<= +5 %"),
        ("- slowest health check", f"{max(steady.health) * 1000:.0f} ms", ""),
        (f"300 % for {flood.seconds:.0f} s: statuses", f"{dict(flood.statuses)}", "200 and 503 only"),
        ("- notes a second answered", f"{flood.rate():.0f}", ""),
        (
            "- p50, p99 of those answered",
            _times(flood),
            "",
        ),
        ("- slowest health check", f"{max(flood.health) * 1000:.0f} ms", "answered"),
        ("- recovery after the end", f"{flood.recovery:.2f} s", "< 1 s"),
    ):
        print(f"| {' | '.join(row)} |")
    bounds = {
        "throughput": share >= 0.7,
        "errors at 80 %": set(steady.statuses) == {200},
        "p99 at 80 %": p99 <= 10 * p50,
        "memory": late <= 1.05 * early,
        "statuses at 300 %": not refused,
        "health at 300 %": bool(flood.health),
        "recovery": flood.recovery < 1,
    }
    return [name for name, holds in bounds.items() if not holds]


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=300, help="of load at 80 %%")
    options.add_argument("--short", type=float, default=30, help="seconds of everything else")
    options.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    given = options.parse_args()
    notes = [line.encode() for line in SAMPLES.read_text(encoding="utf-8").split("\n") if line]
    alone = library(notes, given.workers, given.short)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", workers=given.workers) as service:
        broken = asyncio.run(measure(service, notes, given, alone))
        faults = sum("fault" in json.loads(line) for line in service.log.read_text().splitlines() if line[:1] == "{")
    said = ", ".join(broken) or "none"
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f}; faults logged: {faults}; bounds broken: {said}")
    return 1 if broken or faults else 0


if __name__ == "__main__":
    sys.exit(main())

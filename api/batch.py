"""Many notes in one request: a note a line in, a report a line out, in order, with few of them in memory at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api.jobs import Job
from api.media import NDJSON
from api.metrics import Metrics
from api.pool import WorkerPool
from api.problems import Problem, ProblemError, problem
from api.trail import Trail

_ENDED = None


class Batches:
    """How many batches are running, and how many may. Lines wait whatever the queue's length, so batches must not."""

    def __init__(self, most: int) -> None:
        self._most, self._running = most, 0

    def __enter__(self) -> None:
        if self._running >= self._most:
            raise ProblemError("busy", f"{self._most} batches are running", headers={"Retry-After": "5"})
        self._running += 1

    def __exit__(self, *error: object) -> None:
        self._running -= 1


class LineStream(Response):
    """An answer that reads its request while it writes. Starlette's own would read the request away."""

    media_type = NDJSON

    def __init__(
        self,
        batches: Batches,
        pool: WorkerPool,
        trail: Trail,
        metrics: Metrics,
        parameters: dict[str, str],
        line_limit: int,
    ) -> None:
        super().__init__()
        self._batches, self._pool, self._trail, self._metrics = batches, pool, trail, metrics
        self._parameters, self._line_limit = parameters, line_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._batches:
            await self._stream(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        # As many lines wait as keep every worker busy; the producer stops reading the request when they are reached.
        waiting: asyncio.Queue[tuple[int, asyncio.Task[bytes]] | None] = asyncio.Queue(self._pool.size)
        reader = asyncio.create_task(self._read(scope, receive, waiting))
        current: asyncio.Task[bytes] | None = None
        try:
            headers = [(b"content-type", NDJSON.encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while (entry := await waiting.get()) is not _ENDED:
                current = entry[1]
                await send({"type": "http.response.body", "body": await current + b"\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
            if current is not None:
                current.cancel()
            while not waiting.empty():
                left = waiting.get_nowait()
                if left is not _ENDED:
                    left[1].cancel()

    async def _read(
        self, scope: Scope, receive: Receive, waiting: asyncio.Queue[tuple[int, asyncio.Task[bytes]] | None]
    ) -> None:
        number = 0
        async for line in lines(receive, self._line_limit):
            number += 1
            if line is None or line.strip():
                await waiting.put((number, asyncio.create_task(self._answer(scope, number, line))))
        await waiting.put(_ENDED)

    async def _answer(self, scope: Scope, number: int, line: bytes | None) -> bytes:
        """The line's report, or its number and problem. Only what is ours to say can fail here."""
        if line is None:
            return _failed(number, problem("too-large", f"at most {self._line_limit} bytes a line are read"))
        try:
            answer = await self._pool.run(Job("gap_report", line, parameters=self._parameters), patient=True)
        except ProblemError as error:
            return _failed(number, error.problem)
        if answer.status != 200:
            return _failed(number, Problem.model_validate_json(answer.body))
        self._trail.notes_read(scope, answer, number)
        self._metrics.report(answer)
        return answer.body


def _failed(number: int, detail: Problem) -> bytes:
    return json.dumps({"line": number, "problem": detail.model_dump()}, ensure_ascii=False).encode()


async def lines(receive: Receive, limit: int) -> AsyncIterator[bytes | None]:
    """The lines of a request's body without their ends; None for one longer than `limit`, which is not kept.

    Ends early, without the line it was in, when the client goes away.
    """
    rest, skipping = bytearray(), False
    more = True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        rest += message.get("body", b"")
        start = 0
        while (end := rest.find(b"\n", start)) >= 0:
            if not skipping:
                yield bytes(rest[start:end]) if end - start <= limit else None
            skipping, start = False, end + 1
        del rest[:start]
        if skipping:
            rest.clear()
        elif len(rest) > limit:
            skipping = True
            rest.clear()
            yield None
    if rest and not skipping:
        yield bytes(rest)

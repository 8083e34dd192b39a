"""Handing a request to a worker: its body as bytes, and the answer as it comes back."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.jobs import Answer, Job, Kind
from api.media import JSON_TYPES
from api.metrics import Metrics
from api.pool import WorkerPool
from api.problems import ProblemError
from api.trail import Trail


def media_type(request: Request) -> str:
    """The body's media type without its parameters, in small letters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def ask(
    request: Request,
    kind: Kind,
    parameters: Mapping[str, str] | None = None,
    *,
    accepted: frozenset[str] | None = JSON_TYPES,
) -> Response:
    """Let a worker answer a request that carries a body."""
    body = await read_body(request, accepted)
    return await answer(request, Job(kind, body, media_type(request), parameters or {}))


async def read_body(request: Request, accepted: frozenset[str] | None) -> bytes:
    """The whole body, in one of the media types (None: in any). Its size has been limited before."""
    if accepted is not None and media_type(request) not in accepted:
        raise ProblemError("unsupported-media-type", f"send one of {', '.join(sorted(accepted))}")
    try:
        return await request.body()
    except ClientDisconnect:
        raise ProblemError("bad-request", "the body ended early") from None


async def answer(request: Request, job: Job) -> Response:
    """Let a worker do a job and send what it says."""
    pool: WorkerPool = request.app.state.pool
    return sent(request, await pool.run(job))


def sent(request: Request, answer: Answer) -> Response:
    """An answer as a response, once the trail knows of it."""
    trail: Trail = request.app.state.trail
    metrics: Metrics = request.app.state.metrics
    trail.notes_read(request.scope, answer)
    metrics.report(answer)
    request.state.fault = answer.fault
    return Response(answer.body, answer.status, media_type=answer.media_type)

"""The application: `create_app()` puts the parts together. Run it with `chartgap serve`."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from analyzer.version import VERSION
from api import cds_hooks, operations, page, reference, reports
from api.access import Access, Gate
from api.batch import Batches
from api.guard import Guard
from api.jobs import PROBLEM_JSON
from api.metrics import Metrics
from api.openapi import describe
from api.pool import WorkerPool
from api.problems import Fault, Name, ProblemError, problem
from api.settings import Settings
from api.trail import Trail

if TYPE_CHECKING:
    from api.mcp_tool import HttpFace

_BY_STATUS: dict[int, Name] = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    412: "prefetch-missing",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
}

_UNLIMITED = frozenset({"/v1/gap-reports:batch"})
"""Paths whose bodies are read a line at a time, each with a limit of its own."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application. Without `settings` they come from the environment (see `api.settings`).

    Workers start with the application, or with the first request where the server runs no lifespan.
    """
    settings = settings or Settings.from_environment()
    trail = Trail(settings.audit_file)
    gate = Gate(settings, trail)
    pool = WorkerPool(
        settings.worker_count,
        code=settings.code,
        pack_folders=settings.pack_folders,
        queue_limit=settings.queue,
        job_seconds=settings.job_seconds,
    )

    metrics = Metrics(pool)
    tool = _mcp_tool(pool, trail, metrics, settings) if importlib.util.find_spec("mcp") else None
    middleware = [
        Middleware(Guard, body_limit=settings.body_limit, unlimited=_UNLIMITED, trail=trail, metrics=metrics),
        Middleware(Access, gate=gate),
    ]
    if settings.origins:
        elsewhere = Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-Id"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
        middleware.insert(1, elsewhere)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, pool.stop)
            await asyncio.to_thread(pool.wait_until_warm)
            if tool is not None:
                await stack.enter_async_context(tool.running())
            yield

    app = FastAPI(
        title="Chartgap",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=middleware,
        redirect_slashes=False,
    )
    app.state.settings, app.state.pool, app.state.trail, app.state.metrics = settings, pool, trail, metrics
    app.state.batches = Batches(settings.batches)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    for part in (reports, reference, cds_hooks, operations):
        app.include_router(part.router)
    page.add_page(app)
    if tool is not None:
        app.router.routes.append(Route("/mcp", tool, include_in_schema=False))
    describe(app)
    return app


def _mcp_tool(pool: WorkerPool, trail: Trail, metrics: Metrics, settings: Settings) -> HttpFace:
    """MCP is an optional part, and importing it takes a second or two."""
    from api.mcp_tool import HttpFace, build_server

    return HttpFace(build_server(pool, trail, metrics), settings.body_limit)


async def _http_problem(request: Request, error: Exception) -> Response:
    """The framework's own refusals: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    detail = problem(_BY_STATUS.get(error.status_code, "bad-request"))
    return Response(detail.model_dump_json(), detail.status, dict(error.headers or {}), PROBLEM_JSON)


async def _wrong_parameter(request: Request, error: Exception) -> Response:
    """Of the address; bodies are checked by the workers."""
    assert isinstance(error, RequestValidationError)
    found = [Fault(pointer=str(item["loc"][-1]), detail=item["msg"]) for item in error.errors()]
    return Response(problem("invalid", errors=found).model_dump_json(), 422, media_type=PROBLEM_JSON)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return Response(error.problem.model_dump_json(), error.problem.status, error.headers, PROBLEM_JSON)

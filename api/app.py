"""The application: `create_app()` puts the parts together. Run it with `chartgap serve`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from analyzer.version import VERSION
from api import page, reference, reports
from api.guard import Guard
from api.jobs import PROBLEM_JSON
from api.openapi import describe
from api.pool import WorkerPool
from api.problems import Name, ProblemError, problem
from api.settings import Settings

_BY_STATUS: dict[int, Name] = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application. Without `settings` they come from the environment (see `api.settings`).

    Workers start with the application, or with the first request where the server runs no lifespan.
    """
    settings = settings or Settings.from_environment()
    pool = WorkerPool(
        settings.worker_count,
        code=settings.code,
        pack_folders=settings.pack_folders,
        queue_limit=settings.queue,
        job_seconds=settings.job_seconds,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool.start()
        yield
        await asyncio.to_thread(pool.stop)

    app = FastAPI(
        title="Chartgap",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Guard, body_limit=settings.body_limit, unlimited=frozenset())],
        redirect_slashes=False,
    )
    app.state.settings, app.state.pool = settings, pool
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(ProblemError, _problem)
    for part in (reports, reference):
        app.include_router(part.router)
    page.add_page(app)
    describe(app)
    return app


async def _http_problem(request: Request, error: Exception) -> Response:
    """The framework's own refusals: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    detail = problem(_BY_STATUS.get(error.status_code, "bad-request"))
    return Response(detail.model_dump_json(), detail.status, dict(error.headers or {}), PROBLEM_JSON)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return Response(error.problem.model_dump_json(), error.problem.status, error.headers, PROBLEM_JSON)

"""Health, readiness and figures, for whatever runs the service."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.jobs import JSON
from api.metrics import CONTENT_TYPE, Metrics
from api.pool import WorkerPool
from api.problems import ProblemError
from api.shapes import State

router = APIRouter()


@router.get("/healthz", operation_id="health")
async def health() -> Response:
    """The process answers."""
    return Response(State(status="ok").model_dump_json(), media_type=JSON)


@router.get("/readyz", operation_id="readiness")
async def readiness(request: Request) -> Response:
    """Every worker is warm."""
    pool: WorkerPool = request.app.state.pool
    if not pool.ready:
        raise ProblemError("not-ready", "the workers are starting or stopping", headers={"Retry-After": "1"})
    return Response(State(status="ok").model_dump_json(), media_type=JSON)


@router.get("/metrics", operation_id="metrics")
async def figures(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})

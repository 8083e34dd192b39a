"""The CDS Hooks 2.0 service: discovery, calls, feedback."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from api.bodies import ask, read_body
from api.cds_shapes import SERVICES, FeedbackAnswer, FeedbackRequest, discovery
from api.jobs import JSON
from api.media import JSON_TYPES
from api.metrics import Metrics
from api.problems import ProblemError, refusing

router = APIRouter(prefix="/cds-services")

ServiceId = Annotated[str, Path(max_length=100)]


@router.get("", operation_id="cds_services")
async def services() -> Response:
    """The services and what they need."""
    return Response(discovery().model_dump_json(by_alias=True, exclude_none=True), media_type=JSON)


@router.post("/{service_id}", operation_id="cds_call")
async def call(request: Request, service_id: ServiceId) -> Response:
    """Cards with the questions that the notes leave open."""
    return await ask(request, "cds", {"service": _known(service_id)})


@router.post("/{service_id}/feedback", operation_id="cds_feedback")
async def feedback(request: Request, service_id: ServiceId) -> Response:
    """What users did with cards. Counted by outcome; nothing else is kept."""
    service = _known(service_id)
    body = await read_body(request, JSON_TYPES)
    with refusing():
        outcomes = FeedbackRequest.model_validate_json(body).feedback
    metrics: Metrics = request.app.state.metrics
    for item in outcomes:
        metrics.feedback(service, item.outcome)
    return Response(FeedbackAnswer(counted=len(outcomes)).model_dump_json(), media_type=JSON)


def _known(service_id: str) -> str:
    if service_id not in SERVICES:
        raise ProblemError("not-found", f"the services are {', '.join(SERVICES)}")
    return service_id

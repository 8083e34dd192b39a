"""Gap reports of notes and cases, and the queries drawn from them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.batch import NDJSON, LineStream
from api.bodies import ask, media_type
from api.problems import ProblemError
from api.shapes import OffsetUnit

router = APIRouter(prefix="/v1")

LINES_TYPES = frozenset({NDJSON, "application/ndjson", "application/jsonl"})

Code = Annotated[str | None, Query(max_length=20, description="For notes that carry no code of their own.")]
Unit = Annotated[OffsetUnit | None, Query(description="What every offset of the answer counts.")]


def _given(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


@router.post("/gap-reports", operation_id="gap_report")
async def gap_report(request: Request, code: Code = None, offset_unit: Unit = None) -> Response:
    """The gap report of one note."""
    return await ask(request, "gap_report", _given(code=code, offset_unit=offset_unit))


@router.post("/gap-reports:batch", operation_id="gap_reports_batch")
async def batch(request: Request, code: Code = None, offset_unit: Unit = None) -> Response:
    """A gap report for each line, in order, while the lines still come in."""
    if media_type(request) not in LINES_TYPES:
        raise ProblemError("unsupported-media-type", f"send one of {', '.join(sorted(LINES_TYPES))}")
    state = request.app.state
    return LineStream(
        state.batches,
        state.pool,
        state.trail,
        state.metrics,
        _given(code=code, offset_unit=offset_unit),
        state.settings.line_limit,
    )


@router.post("/cases", operation_id="case")
async def case(request: Request, code: Code = None, offset_unit: Unit = None) -> Response:
    """The gap report of one encounter's notes, judged together."""
    return await ask(request, "case", _given(code=code, offset_unit=offset_unit))


@router.post("/queries:lint", operation_id="lint_query")
async def lint_query(request: Request) -> Response:
    """The rules of compliant queries that a wording breaks."""
    return await ask(request, "lint")


@router.post("/queries:combine", operation_id="combine_queries")
async def combine_queries(request: Request) -> Response:
    """The chosen requirements' queries as one message a recipient, edited ones in the reviewer's words."""
    return await ask(request, "combine")

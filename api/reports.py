"""Gap reports of notes and cases, and the queries drawn from them."""

from __future__ import annotations

from email.message import Message
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.batch import LineStream
from api.bodies import ask, media_type
from api.media import LINES_TYPES, NOTE_TYPES
from api.problems import ProblemError
from api.shapes import OffsetUnit

router = APIRouter(prefix="/v1")

Code = Annotated[str | None, Query(max_length=20, description="For notes that carry no code of their own.")]
Unit = Annotated[OffsetUnit | None, Query(description="What every offset of the answer counts.")]
RevisionName = Annotated[str | None, Query(max_length=200, description="Comes back as it was given.")]


def _given(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


@router.post("/gap-reports", operation_id="gap_report")
async def gap_report(
    request: Request, code: Code = None, offset_unit: Unit = None, revision: RevisionName = None
) -> Response:
    """The gap report of one note."""
    parameters = _given(code=code, offset_unit=offset_unit, revision=revision)
    return await ask(request, "gap_report", parameters, accepted=NOTE_TYPES)


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
async def case(
    request: Request, code: Code = None, offset_unit: Unit = None, revision: RevisionName = None
) -> Response:
    """The gap report of one encounter's notes, judged together."""
    parameters = _given(code=code, offset_unit=offset_unit, revision=revision)
    return await ask(request, "case", parameters, accepted=NOTE_TYPES)


@router.post("/queries:lint", operation_id="lint_query")
async def lint_query(request: Request) -> Response:
    """The rules of compliant queries that a wording breaks."""
    return await ask(request, "lint")


@router.post("/queries:combine", operation_id="combine_queries")
async def combine_queries(request: Request) -> Response:
    """The chosen requirements' queries as one message a recipient, edited ones in the reviewer's words."""
    return await ask(request, "combine")


@router.post("/documents:text", operation_id="document_text")
async def document_text(request: Request) -> Response:
    """The notes of a document of any format that Chartgap reads. `Content-Disposition` may name the file."""
    return await ask(request, "documents", {"name": _file_name(request)}, accepted=None)


def _file_name(request: Request) -> str:
    """In a header rather than the address, which proxies log: names of files may name patients."""
    message = Message()
    message["Content-Disposition"] = request.headers.get("content-disposition", "")
    name = message.get_filename() or ""
    return "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())[:200] or "document"

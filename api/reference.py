"""What the service knows: packs, codes, and sample notes to try it with."""

from __future__ import annotations

import importlib.resources
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from analyzer.note import Note
from api.bodies import answer
from api.jobs import JSON, Job
from api.shapes import SamplesAnswer

router = APIRouter(prefix="/v1")


@router.get("/packs", operation_id="packs")
async def packs(request: Request) -> Response:
    """The requirement packs."""
    return await answer(request, Job("packs"))


@router.get("/packs/{pack_id}", operation_id="pack")
async def pack(request: Request, pack_id: Annotated[str, Path(max_length=100)]) -> Response:
    """One pack: what it requires, and which values its elements have."""
    return await answer(request, Job("pack", parameters={"id": pack_id}))


@router.get("/codes/{code}", operation_id="code")
async def code(request: Request, code: Annotated[str, Path(max_length=20)]) -> Response:
    """The reference page of a code."""
    return await answer(request, Job("code", parameters={"code": code}))


@router.get("/samples", operation_id="samples")
async def samples() -> Response:
    """Invented notes to try the service with."""
    return Response(_samples(), media_type=JSON)


@cache
def _samples() -> bytes:
    """An installed wheel carries the sample notes inside this package, a checkout beside it."""
    package = importlib.resources.files("api")
    inside = package / "sample_notes.jsonl"
    file = inside if inside.is_file() else package / ".." / "sample_notes" / "notes.jsonl"
    notes = [Note.model_validate_json(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    return SamplesAnswer(notes=notes).model_dump_json().encode()

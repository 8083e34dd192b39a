"""From a request's body to notes: Chartgap's own JSON, or a FHIR resource or C-CDA document where a note may stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from analyzer.formats import Record, records_of_bytes
from analyzer.note import Note
from api.jobs import JSON
from api.media import FHIR_JSON
from api.problems import Fault, ProblemError
from api.shapes import CaseRequest, NoteRequest

_BodyT = TypeVar("_BodyT", bound=BaseModel)

_NAME = "body"
"""The id of a note whose document has none."""
_RESOURCE = b'"resourceType"'


def read_json(shape: type[_BodyT], body: bytes) -> _BodyT:
    """A body in one of our own shapes; notes in its lists may be FHIR resources. Raises ValidationError."""
    if _RESOURCE in body:
        value = _parsed(body)
        for key in ("notes", "context"):
            if isinstance(value, dict) and isinstance(value.get(key), list):
                value[key] = _expanded(value[key], key)
        # Back to JSON: dates and the like are read in another way from Python values.
        body = json.dumps(value).encode()
    return shape.model_validate_json(body)


def read_note(body: bytes, media_type: str) -> tuple[NoteRequest, Sequence[str]]:
    """The one note of a body, and warnings. Raises ValidationError; ProblemError for a document without just one."""
    if media_type == JSON and not is_resource(body):
        return NoteRequest.model_validate_json(body), ()
    notes, warnings = document_notes(body, media_type)
    if len(notes) != 1:
        raise ProblemError("invalid", f"the document holds {len(notes)} notes; /v1/cases judges several together")
    return NoteRequest.model_validate(notes[0].model_dump(exclude_unset=True)), warnings


def read_case(body: bytes, media_type: str) -> tuple[CaseRequest, Sequence[str]]:
    """The case of a body, and warnings. Raises as `read_note` does."""
    if media_type == JSON and not is_resource(body):
        return read_json(CaseRequest, body), ()
    notes, warnings = document_notes(body, media_type)
    return CaseRequest(notes=notes), warnings


def document_notes(body: bytes, media_type: str) -> tuple[list[Note], list[str]]:
    """The notes of a document, and warnings. Raises ProblemError when there is none, or one that cannot be read."""
    found = records(body, FHIR_JSON if media_type == JSON else media_type)
    unread = [Fault(pointer="", detail=record.reason) for record in found if record.reason is not None]
    if unread:
        raise ProblemError("invalid", errors=unread)
    if not found:
        raise ProblemError("invalid", "the document holds no notes")
    notes = [record.note for record in found if record.note is not None]
    return notes, [warning for record in found for warning in record.warnings]


def records(body: bytes, media_type: str, name: str = _NAME) -> list[Record]:
    """What the library's readers make of a document."""
    return list(records_of_bytes(body, media_type=media_type, name=name))


def is_resource(body: bytes) -> bool:
    """Whether a JSON body is a FHIR resource as a whole."""
    return _RESOURCE in body and _is_resource(_parsed(body))


def _expanded(items: Sequence[Any], key: str) -> list[Any]:
    out: list[Any] = []
    for number, item in enumerate(items):
        if not _is_resource(item):
            out.append(item)
            continue
        for record in records(json.dumps(item).encode(), FHIR_JSON, f"{key}-{number}"):
            if record.note is None:
                raise ProblemError("invalid", errors=[Fault(pointer=f"/{key}/{number}", detail=record.reason or "")])
            out.append(record.note.model_dump(mode="json"))
    return out


def _is_resource(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ProblemError("bad-request", "the body is not valid JSON") from None

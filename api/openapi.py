"""The OpenAPI description. Workers read the bodies, so FastAPI knows none of their shapes; they are put in here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import shapes
from api.cds_shapes import Discovery, FeedbackAnswer, FeedbackRequest, HookAnswer, HookRequest
from api.examples import BODIES, PATHS
from api.jobs import JSON, PROBLEM_JSON
from api.media import CCDA_TYPES, FHIR_JSON, LINES_TYPES, NDJSON
from api.problems import KNOWN, Problem

_DESCRIPTION = """Reports where clinical notes leave the documentation of an ICD-10-CM code open. Output is for a
reviewer: it assigns no code and tells no provider what to write.

Fields that a request does not know are passed over. Offsets count code points unless `offset_unit` says otherwise.
Errors are RFC 9457 problems and never repeat what was sent. Nothing is stored."""

Mode = Literal["validation", "serialization"]


@dataclass(frozen=True, slots=True)
class _Operation:
    asked: type[BaseModel] | None = None
    answered: type[BaseModel] | None = None
    documents: frozenset[str] = frozenset()
    """Media types of bodies that are documents rather than one of our shapes."""
    statuses: tuple[int, ...] = ()


_BODY = (400, 413, 415, 422, 500, 503, 504)
_KEYED = (401, 403, 429)

_OPERATIONS: dict[str, _Operation] = {
    "gap_report": _Operation(shapes.NoteRequest, shapes.GapReportAnswer, CCDA_TYPES | {FHIR_JSON}, (*_BODY, *_KEYED)),
    "gap_reports_batch": _Operation(None, None, LINES_TYPES, (413, 415, 422, 503, *_KEYED)),
    "case": _Operation(shapes.CaseRequest, shapes.GapReportAnswer, CCDA_TYPES | {FHIR_JSON}, (*_BODY, *_KEYED)),
    "lint_query": _Operation(shapes.LintRequest, shapes.LintAnswer, statuses=(*_BODY, *_KEYED)),
    "combine_queries": _Operation(shapes.CombineRequest, shapes.CombineAnswer, statuses=(*_BODY, *_KEYED)),
    "document_text": _Operation(None, shapes.DocumentsAnswer, frozenset({"*/*"}), (*_BODY, *_KEYED)),
    "packs": _Operation(None, shapes.PacksAnswer, statuses=(500, 503, 504, *_KEYED)),
    "pack": _Operation(None, shapes.PackAnswer, statuses=(404, 422, 500, 503, 504, *_KEYED)),
    "code": _Operation(None, None, statuses=(404, 422, 500, 503, 504, *_KEYED)),
    "samples": _Operation(None, shapes.SamplesAnswer, statuses=_KEYED),
    "cds_services": _Operation(None, Discovery),
    "cds_call": _Operation(HookRequest, HookAnswer, statuses=(404, 412, *_BODY, *_KEYED)),
    "cds_feedback": _Operation(FeedbackRequest, FeedbackAnswer, statuses=(404, *_BODY, *_KEYED)),
    "health": _Operation(None, shapes.State),
    "readiness": _Operation(None, shapes.State, statuses=(503,)),
    "metrics": _Operation(None, None, statuses=_KEYED),
}
_OPEN = frozenset({"cds_services", "health", "readiness"})


def describe(app: FastAPI) -> None:
    """Complete the description that FastAPI makes of the routes."""
    made = app.openapi
    app.description = _DESCRIPTION

    @cache
    def openapi() -> dict[str, Any]:
        whole = made()
        schemas, parts = _schemas()
        components = whole.setdefault("components", {})
        components["schemas"] = parts
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key or an OIDC token. A key may come as the header X-API-Key instead.",
            },
        }
        for item in whole["paths"].values():
            for operation in item.values():
                _complete(operation, schemas)
        return whole

    app.openapi = openapi  # type: ignore[method-assign]


def _schemas() -> tuple[dict[tuple[type[BaseModel], Mode], dict[str, Any]], dict[str, Any]]:
    wanted: set[tuple[type[BaseModel], Mode]] = {(Problem, "serialization"), (shapes.NoteRequest, "validation")}
    for operation in _OPERATIONS.values():
        if operation.asked is not None:
            wanted.add((operation.asked, "validation"))
        if operation.answered is not None:
            wanted.add((operation.answered, "serialization"))
    ordered = sorted(wanted, key=lambda pair: (pair[0].__name__, pair[1]))
    refs, whole = models_json_schema(ordered, by_alias=True, ref_template="#/components/schemas/{model}")
    return refs, whole["$defs"]  # type: ignore[return-value]


def _complete(operation: dict[str, Any], schemas: dict[tuple[type[BaseModel], Mode], dict[str, Any]]) -> None:
    name = operation["operationId"]
    known = _OPERATIONS[name]
    body = {**_own_body(name, known, schemas), **_documents(name, known.documents)}
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in PATHS:
            parameter["example"] = PATHS[parameter["name"]]
    operation["responses"] = {"200": {"description": "Answered.", "content": _answer(name, known, schemas)}}
    for status in sorted(known.statuses):
        operation["responses"][str(status)] = {
            "description": _titles(status),
            "content": {PROBLEM_JSON: {"schema": schemas[Problem, "serialization"]}},
        }
    operation["security"] = [] if name in _OPEN else [{"bearer": []}]


def _own_body(
    name: str, known: _Operation, schemas: dict[tuple[type[BaseModel], Mode], dict[str, Any]]
) -> dict[str, Any]:
    if known.asked is None:
        return {}
    return {JSON: {"schema": schemas[known.asked, "validation"], "examples": _examples(name, JSON)}}


def _documents(name: str, media_types: Iterable[str]) -> dict[str, Any]:
    """Bodies that are documents; those of the examples are named, the others would only repeat them."""
    out: dict[str, Any] = {}
    for media_type in sorted(media_types):
        examples = _examples(name, media_type)
        is_json = media_type == FHIR_JSON
        schema = {"type": "object", "required": ["resourceType"]} if is_json else {"type": "string"}
        if examples:
            out[media_type] = {"schema": schema, "examples": examples}
        elif media_type == "*/*":
            out["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return out


def _examples(name: str, media_type: str) -> dict[str, Any]:
    out = {}
    for title, value in BODIES.get(name, {}).get(media_type, ()):
        shown = "".join(json.dumps(line) + "\n" for line in value) if media_type == NDJSON else value
        out[title] = {"value": shown}
    return out


def _answer(
    name: str, known: _Operation, schemas: dict[tuple[type[BaseModel], Mode], dict[str, Any]]
) -> dict[str, Any]:
    if known.answered is not None:
        return {JSON: {"schema": schemas[known.answered, "serialization"]}}
    if name == "gap_reports_batch":
        return {NDJSON: {"schema": {"type": "string", "description": "A gap report or a problem a line."}}}
    if name == "metrics":
        return {"text/plain": {"schema": {"type": "string"}}}
    return {JSON: {"schema": {"type": "object"}}}


def _titles(status: int) -> str:
    return ", or ".join(title for code, title in KNOWN.values() if code == status) + "."

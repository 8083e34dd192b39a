"""The log: what was asked of the service, and who read which note. JSON lines; only listed keys can ever get in."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from starlette.types import Scope

from analyzer.errors import InputError
from api.jobs import Answer, NoteRead

_ALLOWED = frozenset(
    {
        "event",
        "time",
        "request_id",
        "caller",
        "caller_kind",
        "client",
        "method",
        "route",
        "status",
        "milliseconds",
        "notes",
        "code",
        "verdict",
        "line",
        "fault",
        "reason",
        "workers",
        "restarts",
    }
)
_LONGEST_ID = 200
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _only_allowed(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key in _ALLOWED and value is not None}


class Trail:
    """Two streams: requests to stderr, and the audit trail to a file where one is named, else to stderr as well.

    An audit event that cannot be written raises OSError: no note is answered that the trail does not know of.
    """

    def __init__(self, audit_file: str | None = None) -> None:
        self._requests = _logger(sys.stderr)
        self._audit = self._requests if audit_file is None else _logger(_opened(Path(audit_file)))

    def request(self, scope: Scope, status: int, seconds: float) -> None:
        """A request was answered. The route is the template, never the path that was asked for."""
        self._requests.info(
            "request",
            **_who(scope),
            method=method_of(scope),
            route=route_of(scope),
            status=status,
            milliseconds=round(seconds * 1000, 1),
            fault=scope["state"].get("fault"),
        )

    def notes_read(self, scope: Scope, answer: Answer, line: int | None = None) -> None:
        """Somebody was told about notes. Nothing of a note is recorded but its id and its hash."""
        if answer.notes:
            self._audit.info(
                "notes_read",
                **_who(scope),
                route=route_of(scope),
                line=line,
                notes=[_named(note) for note in answer.notes],
                code=answer.code,
                verdict=answer.verdict,
                status=answer.status,
            )

    def refused(self, scope: Scope, status: int) -> None:
        """Somebody was not let in."""
        self._audit.info("refused", **_who(scope), method=method_of(scope), status=status)

    def note(self, event: str, **values: Any) -> None:
        """Anything about the service itself."""
        self._requests.info(event, **values)


def route_of(scope: Scope) -> str:
    """The template of the route that a request took, such as `/v1/codes/{code}`."""
    route = scope.get("route")
    return getattr(route, "path", None) or scope["state"].get("route") or "none"


def method_of(scope: Scope) -> str:
    """The request's method, where it is one of HTTP's own: a caller may send any word."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def _who(scope: Scope) -> dict[str, Any]:
    caller = scope["state"].get("caller")
    client = scope.get("client")
    return {
        "request_id": scope["state"].get("request_id"),
        "caller": caller.name if caller else None,
        "caller_kind": caller.kind if caller else None,
        "client": client[0] if client else None,
    }


def _named(note: NoteRead) -> dict[str, str]:
    """A name that looks like none is left to its hash: a caller may have put anything into it."""
    if not note.note_id or len(note.note_id) > _LONGEST_ID or not note.note_id.isprintable():
        return {"text_sha256": note.text_sha256}
    return {"note_id": note.note_id, "text_sha256": note.text_sha256}


def _opened(file: Path) -> TextIO:
    try:
        return os.fdopen(
            os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", buffering=1, encoding="utf-8"
        )
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None


def _logger(stream: TextIO) -> Any:
    return structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            _only_allowed,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=False,
    )

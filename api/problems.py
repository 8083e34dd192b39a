"""Errors as RFC 9457 problem details. None of them ever repeats what a request said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Name = Literal[
    "bad-request",
    "unauthorized",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "prefetch-missing",
    "too-large",
    "unsupported-media-type",
    "invalid",
    "too-many-requests",
    "internal",
    "worker-died",
    "busy",
    "not-ready",
    "timeout",
]

PREFIX: Final = "urn:chartgap:problem:"

KNOWN: Final[dict[Name, tuple[int, str]]] = {
    "bad-request": (400, "The request cannot be read"),
    "unauthorized": (401, "A valid API key or bearer token is needed"),
    "forbidden": (403, "Not allowed"),
    "prefetch-missing": (412, "What the service needs was not prefetched"),
    "not-found": (404, "Nothing here"),
    "method-not-allowed": (405, "Method not allowed here"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body's media type is not read here"),
    "invalid": (422, "The body is readable but wrong"),
    "too-many-requests": (429, "Too many requests with this key"),
    "internal": (500, "The service failed"),
    "worker-died": (500, "The process that read the note ended"),
    "busy": (503, "All workers are busy"),
    "not-ready": (503, "The service is not ready"),
    "timeout": (504, "Reading the note took too long"),
}


class Fault(BaseModel):
    """One thing wrong. `pointer` is a JSON pointer (RFC 6901) into the body; of a parameter it is the name."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """A problem as RFC 9457 has it. `type` says which; docs/service.md lists them."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[Fault] = Field(default_factory=list)


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(
        self,
        name: Name,
        detail: str | None = None,
        errors: Sequence[Fault] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(name)
        self.problem = problem(name, detail, errors)
        self.headers = headers or {}


def problem(name: Name, detail: str | None = None, errors: Sequence[Fault] = ()) -> Problem:
    """The problem of a name in `KNOWN`."""
    status, title = KNOWN[name]
    return Problem(type=PREFIX + name, title=title, status=status, detail=detail, errors=list(errors))


def faults(error: ValidationError) -> list[Fault]:
    """What pydantic found wrong, as pointers and reasons, without the values."""
    out = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        pointer = "".join("/" + _escaped(part) for part in item["loc"])
        out.append(Fault(pointer=pointer, detail=item["msg"].removeprefix("Value error, ")))
    return out


@contextmanager
def refusing() -> Iterator[None]:
    """Turn pydantic's refusal of a body into a problem: no JSON is a bad request, the wrong shape is invalid."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise ProblemError("bad-request", first["msg"]) from None
        raise ProblemError("invalid", errors=faults(error)) from None


def _escaped(part: Any) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")

"""What the front process and its workers say to each other: a job in, one answer out, both picklable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

JSON, PROBLEM_JSON = "application/json", "application/problem+json"

Kind = Literal["gap_report", "case", "packs", "pack", "code", "lint", "combine", "documents", "cds"]


@dataclass(frozen=True, slots=True)
class Job:
    """A request's body as it came, what kind of request it is, and its parameters."""

    kind: Kind
    body: bytes = b""
    media_type: str = JSON
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoteRead:
    """A note that an answer was made from, as the audit trail names it."""

    note_id: str
    text_sha256: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A requirement's status, for the metrics."""

    requirement: str
    status: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. `notes`, `code`, `verdict` and `gaps` are for the audit trail and the metrics only."""

    status: int
    body: bytes
    media_type: str = JSON
    notes: tuple[NoteRead, ...] = ()
    code: str | None = None
    verdict: str | None = None
    gaps: tuple[Gap, ...] = ()
    fault: str | None = None

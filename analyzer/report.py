"""The gap report: what Chartgap answers about one note (or case) and one code.

The shapes are the contract of the library, the command line, the service and the audit. Every key is always written.
Offsets are code points of the note's text as given.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from analyzer.note import IsoDate

SCHEMA_VERSION: Final = "1.0"

Assertion = Literal["affirmed", "negated", "possible", "hypothetical", "historical", "family", "template"]
Status = Literal["documented", "insufficient", "conflicting", "missing"]
Verdict = Literal["supported", "query", "not_supported"]
Severity = Literal["error", "warning", "info"]
Relation = Literal["instead", "with", "query"]
SendQuery = Literal["yes", "optional", "no"]

VERDICT_WORDS: dict[str | None, str] = {
    "supported": "documentation elements present",
    "query": "needs a query",
    "not_supported": "documentation points elsewhere",
    None: "unfinished note",
}


class _Shape(BaseModel):
    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_serialization_defaults_required=True
    )


class Evidence(_Shape):
    """A span of a note: `text` is exactly `note.text[start:end]`."""

    note_id: str
    start: int
    end: int
    text: str
    section: str
    assertion: Assertion
    author_role: str | None = None
    date: IsoDate | None = None
    side: Literal["a", "b"] | None = None


class Indicator(_Shape):
    """A place in a note that a query may cite."""

    note_id: str
    start: int
    end: int


class Query(_Shape):
    """A compliant question to the provider. `template` is name@version; open questions have no `options`."""

    id: str
    template: str
    title: str
    indicators: list[Indicator]
    question: str
    options: list[str]


class Elsewhere(_Shape):
    """Where another document answers a gap. It never changes a status."""

    note_id: str
    author_role: str | None
    date: IsoDate | None
    text: str
    start: int
    end: int


class Requirement(_Shape):
    """One thing the documentation must show, and what it shows."""

    id: str
    label: str
    basis: Literal["coding", "audit"]
    status: Status
    value: Any
    reason: str
    evidence: list[Evidence]
    send_query: SendQuery
    query: Query | None
    answered_elsewhere: list[Elsewhere] = Field(default_factory=list)
    sources: list[str]


class Alert(_Shape):
    """A coding conflict: `error` points to another code."""

    id: str
    severity: Severity
    message: str
    codes: list[str]
    evidence: list[Evidence]


class ReviewFlag(_Shape):
    """Anything else a careful reviewer would want said; never changes status or verdict."""

    id: str
    message: str
    evidence: list[Evidence]


class CandidateCode(_Shape):
    """A code for the coder's review, never an assignment."""

    code: str
    sequence: int
    pair_id: str | None
    relation: Relation
    rule: str
    reason: str
    evidence: list[Evidence]


class CombinedQuery(_Shape):
    """The requirements' queries to one recipient as one message. `text` is ready to send after a reviewer's look."""

    id: str
    recipient_role: str
    title: str
    query_ids: list[str]
    text: str


class Prompt(_Shape):
    """A neutral question for the author of an unfinished note."""

    requirement: str
    question: str


class Finding(_Shape):
    """One mention in the text. `id` is stable under edits elsewhere in the note; `cue` is what set the assertion."""

    id: str
    note_id: str
    element: str
    value: str
    assertion: Assertion
    section: str
    start: int
    end: int
    text: str
    site: list[str]
    date: str | None
    cue: str | None


class VerdictBecause(_Shape):
    """The rule of the pack that gave the verdict, and what it looked at."""

    rule: str
    requirements: list[str]
    alerts: list[str]


class Provenance(_Shape):
    """What made this report; equal provenance and input give equal bytes."""

    chartgap: str
    pack: str
    pack_version: str
    pack_sha256: str
    code_set: str
    settings: dict[str, Any]


class GapReport(_Shape):
    """The answer for one note or case and one code."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    note_id: str
    case_id: str | None = None
    note_ids: list[str]
    text_sha256: str
    code: str
    code_title: str
    date_of_service: IsoDate | None
    relevant: bool
    verdict: Verdict | None
    verdict_because: VerdictBecause
    coding_complete: bool
    audit_complete: bool
    requirements: list[Requirement]
    alerts: list[Alert]
    review_flags: list[ReviewFlag]
    candidate_codes: list[CandidateCode]
    queries: list[CombinedQuery]
    prompts: list[Prompt] = Field(default_factory=list)
    findings: list[Finding]
    provenance: Provenance
    warnings: list[str]

    def to_json(self) -> str:
        """One line of JSON, keys in schema order."""
        return self.model_dump_json()

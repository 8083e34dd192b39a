"""Bodies of requests and answers, beside the gap report itself, which is `analyzer.report.GapReport`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from analyzer.note import Note, Text
from analyzer.report import CombinedQuery, GapReport

OffsetUnit = Literal["codepoint", "utf16", "utf8"]
Revision = Annotated[str, Field(max_length=200)] | int


class _Request(BaseModel):
    """Fields that a request does not know are passed over, as in every record that Chartgap reads."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class NoteRequest(Note):
    """A note, and how the caller counts. `revision` names a draft's state and comes back as it was given."""

    offset_unit: OffsetUnit = "codepoint"
    revision: Revision | None = None


class CaseRequest(_Request):
    """The notes of one encounter, judged together, and `context`: other documents that may answer a gap."""

    notes: list[Note] = Field(min_length=1)
    context: list[Note] = Field(default_factory=list)
    code: str | None = None
    case_id: str | None = None
    offset_unit: OffsetUnit = "codepoint"
    revision: Revision | None = None


class GapReportAnswer(GapReport):
    """The gap report; `offset_unit` and `revision` are there only when the request carried them."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=False)

    offset_unit: OffsetUnit = "codepoint"
    revision: Revision | None = None


class LintRequest(_Request):
    """A query's wording as a reviewer edited it. `record` holds the texts of the notes that it speaks of."""

    text: Text
    record: list[Text] = Field(default_factory=list)
    offset_unit: OffsetUnit = "codepoint"


class LintFinding(BaseModel):
    """A rule that the wording breaks: `text` is `[start:end]` of the text sent."""

    rule: str
    start: int
    end: int
    text: str
    message: str


class LintAnswer(BaseModel):
    """Everything found; empty when the wording is compliant."""

    findings: list[LintFinding]


class EditedQuery(_Request):
    """A requirement's query as the reviewer left it. What is not given stays as drafted."""

    requirement: str
    title: Text | None = None
    question: Text | None = None
    options: list[Text] | None = None


class CombineRequest(_Request):
    """The note (or the case's notes), and the queries that the reviewer chose, in the order they are to be asked."""

    notes: list[Note] = Field(min_length=1)
    queries: list[EditedQuery] = Field(min_length=1)
    code: str | None = None
    case_id: str | None = None


class CombineAnswer(BaseModel):
    """One message a recipient, and what the linter finds in each (offsets are code points of the message)."""

    messages: list[CombinedQuery]
    findings: dict[str, list[LintFinding]] = Field(description="By the id of the message.")
    compliant: bool


class DocumentText(BaseModel):
    """A note found in a document, or the reason why one could not be read."""

    note: Note | None
    reason: str | None
    warnings: list[str]


class DocumentsAnswer(BaseModel):
    """The notes of a document, in its order."""

    documents: list[DocumentText]


class PackSummary(BaseModel):
    """A requirement pack as a list shows it."""

    id: str
    title: str
    version: str
    codes: list[str]


class PacksAnswer(BaseModel):
    """The packs this service answers for."""

    packs: list[PackSummary]


class PackRequirement(BaseModel):
    """A requirement of a pack."""

    id: str
    label: str
    basis: Literal["coding", "audit"]
    prompt: str


class PackAnswer(PackSummary):
    """A pack: what it requires and which values its elements have."""

    sha256: str
    default_code: str
    requirements: list[PackRequirement]
    elements: dict[str, list[str]]
    sections: list[str]
    sources: dict[str, str]


class SamplesAnswer(BaseModel):
    """Invented notes to try the service with."""

    notes: list[Note]


class State(BaseModel):
    """What a health check says."""

    status: Literal["ok", "starting", "stopping"]

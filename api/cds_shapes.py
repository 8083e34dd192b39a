"""CDS Hooks 2.0: which services there are, and the shapes they speak. Names are the specification's, in its own case.

Source: HL7 CDS Hooks 2.0 (discovery, calling a service, cards, feedback). Unknown fields are passed over, as it asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

NOTE_HOOK = "org.chartgap.note-sign"
"""Our own hook, for an author's signing of one note: `context.note` is its DocumentReference."""

_NOTES = "DocumentReference?encounter={{context.encounterId}}&category=clinical-note&status=current"
_ENCOUNTER = "Encounter/{{context.encounterId}}"
NOTES, ENCOUNTER = "notes", "encounter"


class _Hooks(BaseModel):
    model_config = ConfigDict(
        extra="ignore", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


@dataclass(frozen=True, slots=True)
class Service:
    """A service as the discovery answer has it."""

    id: str
    hook: str
    title: str
    description: str
    prefetch: dict[str, str]
    usage: str | None = None


_DESCRIPTION = "Shows where the encounter's notes leave documentation open, with compliant questions to the provider."

SERVICES = {
    service.id: service
    for service in (
        Service(
            "documentation-gaps-encounter-discharge",
            "encounter-discharge",
            "Documentation gaps at discharge",
            _DESCRIPTION,
            {NOTES: _NOTES, ENCOUNTER: _ENCOUNTER},
        ),
        Service(
            "documentation-gaps-order-sign",
            "order-sign",
            "Documentation gaps when orders are signed",
            _DESCRIPTION,
            {NOTES: _NOTES, ENCOUNTER: _ENCOUNTER},
        ),
        Service(
            "documentation-gaps-note-sign",
            NOTE_HOOK,
            "Documentation gaps of a note being signed",
            "Shows where one note leaves documentation open, with compliant questions to its author.",
            {ENCOUNTER: _ENCOUNTER},
            "The hook's context holds userId, patientId, encounterId and note: the note's DocumentReference with its "
            "text as attachment data.",
        ),
    )
}


class Context(_Hooks):
    """Where the user is. `note` belongs to the note hook only."""

    user_id: str
    patient_id: str
    encounter_id: str | None = None
    note: dict[str, Any] | None = None


class HookRequest(_Hooks):
    """A call of a service. A FHIR server named here is not called: what is needed comes as prefetch."""

    hook: str
    hook_instance: UUID
    context: Context
    prefetch: dict[str, Any] = Field(default_factory=dict)


class Coding(_Hooks):
    """A reason from a list."""

    code: str
    system: str
    display: str


class Source(_Hooks):
    """Where a card's content comes from."""

    label: str


class Card(_Hooks):
    """What the user sees. `detail` is GitHub-flavoured Markdown."""

    uuid: str
    summary: Annotated[str, Field(max_length=139)]
    detail: str
    indicator: Literal["info", "warning", "critical"]
    source: Source
    override_reasons: list[Coding]


class HookAnswer(_Hooks):
    """The cards, none where there is nothing to say."""

    cards: list[Card]


class ServiceShown(_Hooks):
    """A service in the discovery answer."""

    id: str
    hook: str
    title: str
    description: str
    prefetch: dict[str, str]
    usage_requirements: str | None = None


class Discovery(_Hooks):
    """All services."""

    services: list[ServiceShown]


class Feedback(_Hooks):
    """What a user did with one card."""

    card: str = Field(max_length=200)
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: str = Field(max_length=64)


class FeedbackRequest(_Hooks):
    """What users did with cards. Only outcomes are counted; comments and names are not even read."""

    feedback: list[Feedback] = Field(min_length=1)


class FeedbackAnswer(_Hooks):
    """How many outcomes were counted."""

    counted: int


def discovery() -> Discovery:
    """The discovery answer."""
    return Discovery(
        services=[
            ServiceShown(
                id=s.id,
                hook=s.hook,
                title=s.title,
                description=s.description,
                prefetch=s.prefetch,
                usage_requirements=s.usage,
            )
            for s in SERVICES.values()
        ]
    )

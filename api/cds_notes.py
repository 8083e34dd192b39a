"""The notes that a CDS Hooks call is about: prefetched, or the one being signed."""

from __future__ import annotations

import json
from typing import Any

from analyzer.formats import Record
from api.cds_shapes import ENCOUNTER, NOTES, HookRequest, Service
from api.media import FHIR_JSON
from api.note_bodies import records
from api.problems import Fault, ProblemError


def records_of_call(call: HookRequest, service: Service) -> list[Record]:
    """The call's notes; the encounter, where it was prefetched, says what they leave to it.

    Raises ProblemError for another hook's call, and `prefetch-missing` (412) where notes were asked for and not sent.
    """
    if call.hook != service.hook:
        raise ProblemError("invalid", errors=[Fault(pointer="/hook", detail=f"this service is for {service.hook}")])
    if NOTES in service.prefetch:
        resource = call.prefetch.get(NOTES)
        if NOTES not in call.prefetch or _kind(resource) == "OperationOutcome":
            # A client may put an OperationOutcome where it could not prefetch.
            raise ProblemError("prefetch-missing", f"prefetch.{NOTES}: {service.prefetch[NOTES]}")
        pointer = f"/prefetch/{NOTES}"
    else:
        resource, pointer = call.context.note, "/context/note"
        if resource is None:
            raise ProblemError("invalid", errors=[Fault(pointer=pointer, detail="Field required")])
    if resource is None:
        return []
    if _kind(resource) is None:
        raise ProblemError("invalid", errors=[Fault(pointer=pointer, detail="must be a FHIR resource")])
    entries = resource.get("entry") if _kind(resource) == "Bundle" else [{"resource": resource}]
    if not isinstance(entries, list) or all(_kind_of_entry(entry) == "OperationOutcome" for entry in entries):
        # A search that found nothing has no entries, or one with remarks about the search.
        return []
    encounter = call.prefetch.get(ENCOUNTER)
    if _kind(encounter) == "Encounter":
        entries = [*entries, {"resource": encounter}]
    whole = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return records(json.dumps(whole).encode(), FHIR_JSON)


def _kind(resource: Any) -> str | None:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) else None


def _kind_of_entry(entry: Any) -> str | None:
    return _kind(entry.get("resource")) if isinstance(entry, dict) else None

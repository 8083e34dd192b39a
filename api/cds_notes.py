"""The notes that a CDS Hooks call is about: prefetched, or the one being signed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from analyzer.formats import Record
from api.cds_shapes import ENCOUNTER, NOTES, HookRequest, Service
from api.media import FHIR_JSON
from api.note_bodies import records
from api.problems import Fault, ProblemError

# HL7 v3 ActCode, as Encounter.class has it.
_SETTINGS = {"IMP": "inpatient", "ACUTE": "inpatient", "NONAC": "inpatient", "AMB": "outpatient", "EMER": "outpatient"}


def records_of_call(call: HookRequest, service: Service) -> list[Record]:
    """The call's notes, with the setting of a prefetched encounter where a note says none.

    Raises ProblemError for another hook's call, and `prefetch-missing` (412) where notes were asked for and not sent.
    """
    if call.hook != service.hook:
        raise ProblemError("invalid", errors=[Fault(pointer="/hook", detail=f"this service is for {service.hook}")])
    if NOTES in service.prefetch:
        resource = call.prefetch.get(NOTES)
        if NOTES not in call.prefetch or _failed(resource):
            raise ProblemError("prefetch-missing", f"prefetch.{NOTES}: {service.prefetch[NOTES]}")
        pointer = f"/prefetch/{NOTES}"
    else:
        resource, pointer = call.context.note, "/context/note"
        if resource is None:
            raise ProblemError("invalid", errors=[Fault(pointer=pointer, detail="Field required")])
    if resource is None:
        return []
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise ProblemError("invalid", errors=[Fault(pointer=pointer, detail="must be a FHIR resource")])
    setting = _setting(call.prefetch.get(ENCOUNTER))
    found = records(json.dumps(resource).encode(), FHIR_JSON)
    return [_in_setting(record, setting) for record in found]


def _failed(resource: Any) -> bool:
    """A client may put an OperationOutcome where it could not prefetch."""
    return isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome"


def _setting(encounter: Any) -> str | None:
    """The setting by an R4 encounter's class."""
    kind = encounter.get("class") if isinstance(encounter, dict) else None
    code = kind.get("code") if isinstance(kind, dict) else None
    return _SETTINGS.get(code) if isinstance(code, str) else None


def _in_setting(record: Record, setting: str | None) -> Record:
    if record.note is None or record.note.setting is not None or setting is None:
        return record
    return replace(record, note=record.note.model_copy(update={"setting": setting}))

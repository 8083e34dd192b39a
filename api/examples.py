"""Example requests for the OpenAPI description. The tests send every one of them. All notes are invented."""

from __future__ import annotations

import base64
from typing import Any, Final

from api.cds_shapes import NOTE_HOOK, SERVICES
from api.jobs import JSON
from api.media import FHIR_JSON, NDJSON

_TEXT = (
    "HPI: Fell on ice onto the tailbone on 2023-01-14. Coccyx pain with sitting ever since.\n"
    "IMAGING: CT of the sacrum and coccyx 2025-03-02: healed fracture of the first coccygeal segment, angulated.\n"
    "ASSESSMENT: Post-traumatic coccyx deformity.\n"
)
_NOTE: Final[dict[str, Any]] = {"note_id": "visit-7", "date_of_service": "2025-11-10", "text": _TEXT}
_ADDENDUM: Final = {"note_id": "addendum-1", "date_of_service": "2025-11-12", "text": "ADDENDUM: no numbness."}
_DRAFT: Final[dict[str, Any]] = {
    "note_id": "draft-3",
    "text": "CC: tailbone pain 🙂 after an old fall. Plan: sacrum films.",
    "complete": False,
    "offset_unit": "utf16",
    "revision": 12,
}
_RESOURCE: Final[dict[str, Any]] = {
    "resourceType": "DocumentReference",
    "id": "doc-1",
    "status": "current",
    "docStatus": "final",
    "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}]},
    "context": {"period": {"start": "2025-11-10"}},
    "content": [
        {"attachment": {"contentType": "text/plain", "data": base64.b64encode(_TEXT.encode()).decode()}},
    ],
}
_CCDA: Final = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3">
  <id root="2.999.1" extension="cda-1"/>
  <code code="11506-3" codeSystem="2.16.840.1.113883.6.1"/>
  <effectiveTime value="20251110"/>
  <component><structuredBody>
    <component><section>
      <code code="10164-2" codeSystem="2.16.840.1.113883.6.1"/><title>History of present illness</title>
      <text>Fell on ice onto the tailbone on 2023-01-14. Coccyx pain with sitting ever since.</text>
    </section></component>
    <component><section>
      <code code="51848-0" codeSystem="2.16.840.1.113883.6.1"/><title>Assessment</title>
      <text>Post-traumatic coccyx deformity.</text>
    </section></component>
  </structuredBody></component>
</ClinicalDocument>
"""
_CALL: Final[dict[str, Any]] = {
    "hookInstance": "1a2f6a9c-9d0b-4a4f-8a53-2f0a4b8f1c11",
    "context": {"userId": "Practitioner/7", "patientId": "p-1", "encounterId": "e-1"},
}
_PREFETCHED: Final[dict[str, Any]] = {
    "notes": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": _RESOURCE}]}
}


def _call(service_id: str) -> dict[str, Any]:
    hook = SERVICES[service_id].hook
    if hook == NOTE_HOOK:
        return {**_CALL, "hook": hook, "context": {**_CALL["context"], "note": _RESOURCE}}
    return {**_CALL, "hook": hook, "prefetch": _PREFETCHED}


BODIES: Final[dict[str, dict[str, list[tuple[str, Any]]]]] = {
    "gap_report": {
        JSON: [("A finished note", _NOTE), ("A draft in a JavaScript editor", _DRAFT)],
        FHIR_JSON: [("A FHIR document", _RESOURCE)],
        "application/xml": [("A C-CDA document", _CCDA)],
    },
    "gap_reports_batch": {NDJSON: [("Two notes", [_NOTE, {**_NOTE, "note_id": "visit-8"}])]},
    "case": {
        JSON: [
            (
                "A visit and its addendum",
                {
                    "case_id": "e-1",
                    "notes": [
                        _NOTE,
                        {"note_id": "addendum-1", "date_of_service": "2025-11-12", "text": "No numbness."},
                    ],
                    "context": [],
                    "code": "M48.38",
                },
            ),
        ],
        FHIR_JSON: [("A FHIR bundle", _PREFETCHED["notes"])],
    },
    "lint_query": {JSON: [("A wording to check", {"text": "When did the injury happen?", "record": [_TEXT]})]},
    "combine_queries": {
        JSON: [
            (
                "A question in the reviewer's words",
                {
                    "notes": [_NOTE],
                    "queries": [{"requirement": "neurological_findings", "question": "What did the examination show?"}],
                },
            )
        ]
    },
    "document_text": {"application/xml": [("A C-CDA document", _CCDA)], "text/plain": [("A text", _TEXT)]},
    "cds_call": {JSON: [(service.title, _call(service.id)) for service in SERVICES.values()]},
    "cds_feedback": {
        JSON: [
            (
                "A card accepted",
                {
                    "feedback": [
                        {
                            "card": "7f2d9e0a-3f0c-5d0e-9a52-5f3b6f0b9f11",
                            "outcome": "accepted",
                            "outcomeTimestamp": "2025-11-10T15:04:05Z",
                        }
                    ]
                },
            )
        ]
    },
}
"""Operation -> media type -> titled bodies; a list under NDJSON is a line each."""

PATHS: Final = {"pack_id": "traumatic-spondylopathy", "code": "M48.38", "service_id": next(iter(SERVICES))}
"""Path parameters that exist."""

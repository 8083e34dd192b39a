"""Media types that requests come in."""

from __future__ import annotations

from api.jobs import JSON

FHIR_JSON = "application/fhir+json"
CCDA_TYPES = frozenset(
    {"application/xml", "text/xml", "application/cda+xml", "application/hl7-cda+xml", "application/hl7-sda+xml"}
)
JSON_TYPES = frozenset({JSON})
NOTE_TYPES = JSON_TYPES | {FHIR_JSON} | CCDA_TYPES
NDJSON = "application/x-ndjson"
LINES_TYPES = frozenset({NDJSON, "application/ndjson", "application/jsonl", "application/fhir+ndjson"})

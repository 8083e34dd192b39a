"""Lets schemathesis send the media types that it does not know: as text, the way the description has them."""

from __future__ import annotations

from typing import Any

import schemathesis

from api.media import CCDA_TYPES, FHIR_JSON, LINES_TYPES


def _as_text(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


for _media_type in sorted(LINES_TYPES | CCDA_TYPES):
    schemathesis.serializer(_media_type)(_as_text)
schemathesis.serializer.alias(FHIR_JSON, "application/json")

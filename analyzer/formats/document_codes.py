"""What the codes of document formats stand for; the words are data (patterns/formats/documents.yaml)."""

from __future__ import annotations

import importlib.resources
from functools import cache

from pydantic import BaseModel, ConfigDict

from analyzer.yamlfile import read_yaml


class DocumentCodes(BaseModel):
    """Section titles by LOINC code, document types by HL7 code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    section_titles: dict[str, str]
    hl7_document_types: dict[str, str]


@cache
def document_codes() -> DocumentCodes:
    """The codes that ship with Chartgap."""
    name = "formats/documents.yaml"
    content, _ = read_yaml(importlib.resources.files("patterns") / name, name)
    return DocumentCodes.model_validate(content)

"""Documents that are one note each, as files or as attachments inside other formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analyzer.errors import InputError
from analyzer.formats.ccda import is_clinical_document, note_fields
from analyzer.formats.docx import docx_text
from analyzer.formats.encoding import decode, encoding_warnings
from analyzer.formats.html import html_text
from analyzer.formats.pdf import pdf_text
from analyzer.formats.records import Reader, Record, Source
from analyzer.formats.rtf import rtf_text
from analyzer.formats.safe_xml import local, parse_xml
from analyzer.formats.sniff import Kind, charset_of, kind_of_attachment


def document_reader(kind: Kind) -> Reader:
    """The reader of files of this kind."""

    def read(source: Source) -> Iterator[Record]:
        raw = source.whole()
        fields, warnings = _fields(raw, kind, source.encoding)
        if not fields["text"]:
            warnings = (*warnings, "the document is empty" if raw else "the file is empty")
        yield source.record(1, len(raw), {"note_id": source.name, **fields}, warnings)

    return read


def attachment_text(raw: bytes, media_type: str | None) -> tuple[str, tuple[str, ...]]:
    """Text and warnings of an attachment. Raises InputError when it can't be read."""
    fields, warnings = _fields(raw, kind_of_attachment(raw, media_type), charset_of(media_type))
    return str(fields["text"]), warnings


def _fields(raw: bytes, kind: Kind, encoding: str | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    if kind is Kind.RTF:
        text, warnings = rtf_text(raw, encoding)
    elif kind is Kind.HTML:
        text, used = html_text(raw, encoding)
        warnings = encoding_warnings(used)
    elif kind is Kind.PDF:
        text, warnings = pdf_text(raw)
    elif kind is Kind.DOCX:
        text, warnings = docx_text(raw), ()
    elif kind is Kind.XML:
        return _xml_fields(raw, encoding)
    elif kind is Kind.TEXT:
        text, used = decode(raw, encoding)
        warnings = encoding_warnings(used)
    else:
        raise InputError(f"{kind.value} is not read as a document")
    return {"text": text}, warnings


def _xml_fields(raw: bytes, encoding: str | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    root, used = parse_xml(raw, encoding)
    if not is_clinical_document(root):
        raise InputError(f"XML, but no clinical document (its root element is {_shown(local(root))})")
    fields, warnings = note_fields(root, attachment_text)
    return fields, (*encoding_warnings(used), *warnings)


def _shown(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 60 else "another one"

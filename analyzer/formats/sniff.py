"""What bytes are: by their first bytes where those are plain, else by file name or media type."""

from __future__ import annotations

import re
import zipfile
from enum import Enum
from typing import BinaryIO

from analyzer.errors import InputError
from analyzer.formats.docx import BODY
from analyzer.formats.encoding import wide_encoding
from analyzer.formats.table_columns import is_note_header

HEAD_BYTES = 8192


class Kind(Enum):
    """The formats that are read, named as messages name them."""

    TEXT = "plain text"
    JSON = "JSON"
    JSON_LINES = "JSON Lines"
    RTF = "RTF"
    HTML = "HTML"
    XML = "XML"
    PDF = "PDF"
    DOCX = "a Word document"
    HL7 = "HL7 v2"
    TABLE = "a table"
    PARQUET = "Parquet"
    ZIP = "a ZIP archive"
    GZIP = "gzip"


BINARY_KINDS = frozenset({Kind.PDF, Kind.DOCX, Kind.PARQUET, Kind.ZIP, Kind.GZIP})
"""Kinds that are told by their first bytes, so that a file of such a name without them is none."""

_BY_SUFFIX = {
    ".json": Kind.JSON,
    ".jsonl": Kind.JSON_LINES,
    ".ndjson": Kind.JSON_LINES,
    ".rtf": Kind.RTF,
    ".htm": Kind.HTML,
    ".html": Kind.HTML,
    ".xhtml": Kind.HTML,
    ".xml": Kind.XML,
    ".cda": Kind.XML,
    ".ccda": Kind.XML,
    ".pdf": Kind.PDF,
    ".docx": Kind.DOCX,
    ".hl7": Kind.HL7,
    ".er7": Kind.HL7,
    ".csv": Kind.TABLE,
    ".tsv": Kind.TABLE,
    ".tab": Kind.TABLE,
    ".psv": Kind.TABLE,
    ".parquet": Kind.PARQUET,
    ".zip": Kind.ZIP,
    ".gz": Kind.GZIP,
}

_BY_MEDIA_TYPE = {
    "text/plain": Kind.TEXT,
    "application/json": Kind.JSON,
    "application/fhir+json": Kind.JSON,
    "application/json+fhir": Kind.JSON,
    "application/ndjson": Kind.JSON_LINES,
    "application/x-ndjson": Kind.JSON_LINES,
    "application/fhir+ndjson": Kind.JSON_LINES,
    "application/jsonl": Kind.JSON_LINES,
    "text/rtf": Kind.RTF,
    "application/rtf": Kind.RTF,
    "text/html": Kind.HTML,
    "application/xhtml+xml": Kind.HTML,
    "text/xml": Kind.XML,
    "application/xml": Kind.XML,
    "application/cda+xml": Kind.XML,
    "application/hl7-cda+xml": Kind.XML,
    "application/pdf": Kind.PDF,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": Kind.DOCX,
    "application/hl7-v2": Kind.HL7,
    "application/hl7-v2+er7": Kind.HL7,
    "x-application/hl7-v2+er7": Kind.HL7,
    "text/csv": Kind.TABLE,
    "text/tab-separated-values": Kind.TABLE,
    "application/vnd.apache.parquet": Kind.PARQUET,
    "application/zip": Kind.ZIP,
    "application/gzip": Kind.GZIP,
    "application/x-gzip": Kind.GZIP,
}

_MAGIC = (
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),
    (b"\x1f\x8b", Kind.GZIP),
    (b"PAR1", Kind.PARQUET),
)
_REFUSED = (
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office file: save it as .docx without a password"),
    (b"\x89PNG", "an image: scanned, no text layer"),
    (b"\xff\xd8\xff", "an image: scanned, no text layer"),
    (b"GIF8", "an image: scanned, no text layer"),
    (b"II*\x00", "an image: scanned, no text layer"),
    (b"MM\x00*", "an image: scanned, no text layer"),
    (b"BZh", "bzip2 archives are not read: use zip or gzip"),
    (b"\xfd7zXZ", "xz archives are not read: use zip or gzip"),
    (b"7z\xbc\xaf", "7z archives are not read: use zip or gzip"),
    (b"Rar!", "rar archives are not read: use zip or gzip"),
)
_TAR = slice(257, 262)

_TEXTUAL = (
    (re.compile(r"\{\\rtf"), Kind.RTF),
    (re.compile(r"[\x0b\s]*(?:MSH|FHS|BHS)[^\w\s]{3}"), Kind.HL7),
    (
        re.compile(r"(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)*(?:<!doctype\s+html\b|<html\b)", re.I | re.S),
        Kind.HTML,
    ),
    (re.compile(r"<(?:body|div|p|table|h[1-6]|span|br)(?:\s[^<>]{0,500})?/?>", re.I), Kind.HTML),
    (re.compile(r"<\?xml\s|<(?:\w+:)?ClinicalDocument\b"), Kind.XML),
    (re.compile(r"\[?\s*\{\s*\"\w+\"\s*:"), Kind.JSON),
)

_ZIP_PARTS: dict[str, Kind | str] = {
    BODY: Kind.DOCX,
    "xl/workbook.xml": "a spreadsheet: export it as CSV",
    "ppt/presentation.xml": "a presentation, not a note",
    "content.xml": "an OpenDocument file: save it as .docx or text",
}


def kind_of_stream(stream: BinaryIO, suffix: str, media_type: str | None) -> Kind:
    """What to read a file as; the stream is left at its start. Raises InputError for what is not read."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    found = _by_content(head)
    if found is Kind.ZIP:
        found = _zip_kind(stream)
    named = _by_media_type(media_type) or _BY_SUFFIX.get(suffix)
    if found is None:
        if named in BINARY_KINDS:
            raise InputError(f"is named as {named.value}, but is none")
        if named is None and is_note_header(_text(head)):
            return Kind.TABLE
        if named is None and _media(media_type):
            raise InputError("its media type is not read")
        return named or Kind.TEXT
    # JSON Lines begin as JSON does; only the name tells that each line is to be taken by itself.
    return named if found is Kind.JSON and named is Kind.JSON_LINES else found


def kind_of_attachment(raw: bytes, media_type: str | None) -> Kind:
    """What to read an attachment as: a document of one note. Raises InputError for what is not read."""
    found = _by_content(raw[:HEAD_BYTES])
    named = _by_media_type(media_type)
    if found is Kind.ZIP and BODY.encode() in raw:
        found = Kind.DOCX
    if found in (Kind.RTF, Kind.HTML, Kind.XML, *BINARY_KINDS):
        return found
    if named in BINARY_KINDS:
        raise InputError(f"is said to be {named.value}, but is none")
    if named is None and _media(media_type).startswith(("image/", "audio/", "video/")):
        raise InputError("an image or recording: no text layer")
    return named if named in (Kind.RTF, Kind.HTML, Kind.XML) else Kind.TEXT


def charset_of(media_type: str | None) -> str | None:
    """The `charset` parameter of a media type."""
    match = re.search(r";\s*charset\s*=\s*\"?([\w.:-]+)", media_type or "", re.I)
    return match[1] if match else None


def _media(media_type: str | None) -> str:
    media = (media_type or "").partition(";")[0].strip().lower()
    return "" if media == "application/octet-stream" else media


def _by_media_type(media_type: str | None) -> Kind | None:
    return _BY_MEDIA_TYPE.get(_media(media_type))


def _by_content(head: bytes) -> Kind | None:
    for magic, reason in _REFUSED:
        if head.startswith(magic):
            raise InputError(reason)
    if head[_TAR] == b"ustar":
        raise InputError("tar archives are not read: use zip")
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    text = _text(head).lstrip("\ufeff \t\r\n")
    return next((kind for pattern, kind in _TEXTUAL if pattern.match(text)), None)


def _text(head: bytes) -> str:
    return head.decode(wide_encoding(head) or "latin-1", "replace").removeprefix("ï»¿")


def _zip_kind(stream: BinaryIO) -> Kind:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except Exception:
        # The archive's own reader says what is wrong with it.
        names = set()
    finally:
        stream.seek(0)
    for part, found in _ZIP_PARTS.items():
        if part in names and (part != "content.xml" or "mimetype" in names):
            if isinstance(found, str):
                raise InputError(found)
            return found
    return Kind.ZIP

"""The choice of a reader for a file or for bytes: by content where that is plain, else by name or media type."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from analyzer.errors import InputError
from analyzer.formats.archives import BROKEN_MEMBER, UNPACKING_ERRORS, read_gzip, read_zip
from analyzer.formats.delimited import read_delimited
from analyzer.formats.documents import document_reader
from analyzer.formats.hl7v2 import read_hl7
from analyzer.formats.inputs import InputFile, opened
from analyzer.formats.json_notes import read_json, read_json_lines
from analyzer.formats.parquet import read_parquet
from analyzer.formats.records import NO_DEFAULTS, Defaults, Reader, Record, Source
from analyzer.formats.sniff import Kind, kind_of_stream

_NO_COLUMNS: Mapping[str, str] = {}


def read_records(
    file: InputFile,
    defaults: Defaults = NO_DEFAULTS,
    *,
    encoding: str | None = None,
    columns: Mapping[str, str] = _NO_COLUMNS,
) -> Iterator[Record]:
    """Records of one file, streamed; a file that can't be read is one failure, or ends in one.

    `encoding` overrides the ladder: byte order mark, UTF-8, cp1252, latin-1. `columns` names the column of a table for
    fields of a note. Line ends of plain text are kept, so offsets count the file's own characters.
    """
    try:
        stream = opened(file)
    except InputError as error:
        reason = str(error).removeprefix(f"{file.shown}: ")
        yield Record(file.shown, 1, 0, None, None, reason)
        return
    with stream:
        suffix = PurePath(file.shown).suffix.lower()
        yield from _read(
            Source(file.shown, file.name, stream, suffix=suffix, defaults=defaults, encoding=encoding, columns=columns)
        )


def records_of_bytes(
    data: bytes,
    *,
    media_type: str | None,
    name: str,
    defaults: Defaults = NO_DEFAULTS,
    encoding: str | None = None,
    columns: Mapping[str, str] = _NO_COLUMNS,
) -> Iterator[Record]:
    """Records of bytes that came without a file. `name` names them in messages and is the id of a note without one."""
    yield from _read(
        Source(
            name,
            name,
            io.BytesIO(data),
            suffix=PurePath(name).suffix.lower(),
            media_type=media_type,
            defaults=defaults,
            encoding=encoding,
            columns=columns,
        )
    )


def _read(source: Source) -> Iterator[Record]:
    """Records of a file or member. Whatever goes wrong in a reader ends its file in a failure, never the run."""
    last = 0
    unit = "record"
    kind: Kind | None = None
    try:
        kind = kind_of_stream(source.stream, source.suffix, source.media_type)
        for record in _READERS[kind](source):
            if record.input == source.shown:
                last, unit = record.number, record.unit
            yield record
        return
    except InputError as error:
        reason = str(error)
    except UNPACKING_ERRORS:
        reason = BROKEN_MEMBER
    except OSError as error:
        reason = f"could not be read to its end: {error.strerror or type(error).__name__}"
    except Exception as error:
        # The message of an unexpected error may quote the note.
        reason = f"{kind.value if kind is not None else 'the file'} could not be read ({type(error).__name__})"
    yield source.failure(last + 1, 0, reason, unit=unit)


def _read_zip(source: Source) -> Iterator[Record]:
    return read_zip(source, _read)


def _read_gzip(source: Source) -> Iterator[Record]:
    return read_gzip(source, _read)


_DOCUMENTS = (Kind.TEXT, Kind.RTF, Kind.HTML, Kind.XML, Kind.PDF, Kind.DOCX)
_READERS: Mapping[Kind, Reader] = {
    **{kind: document_reader(kind) for kind in _DOCUMENTS},
    Kind.JSON: read_json,
    Kind.JSON_LINES: read_json_lines,
    Kind.HL7: read_hl7,
    Kind.TABLE: read_delimited,
    Kind.PARQUET: read_parquet,
    Kind.ZIP: _read_zip,
    Kind.GZIP: _read_gzip,
}

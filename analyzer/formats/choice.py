"""The choice of a reader for a file or for bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePath

from analyzer.formats.inputs import STDIN, InputFile, opened
from analyzer.formats.json_notes import read_json, read_json_lines, starts_json_lines
from analyzer.formats.plain_text import read_plain_text
from analyzer.formats.records import NO_DEFAULTS, Defaults, Record, Source

_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})

# A file of one of these would pass as text or as garbage, so it is refused by name until a reader for it exists.
_UNREAD_SUFFIXES = frozenset(
    {".csv", ".docx", ".gz", ".hl7", ".htm", ".html", ".parquet", ".pdf", ".rtf", ".tsv", ".xml", ".zip"}
)


def read_records(file: InputFile, defaults: Defaults = NO_DEFAULTS, *, encoding: str | None = None) -> Iterator[Record]:
    """Records of one file, streamed. `encoding` overrides the ladder: byte order mark, UTF-8, cp1252, latin-1.

    A `.jsonl` or `.ndjson` file holds a note a line, a `.json` file one note, an array of notes or JSON Lines, any
    other file is one plain text note. Standard input is JSON Lines when its first line is an object with a `text`.
    Raises InputError when the file can't be opened.
    """
    with opened(file) as stream:
        yield from _read(Source(file.shown, file.name, stream, defaults, encoding))


def records_of_bytes(
    data: bytes, *, media_type: str | None, name: str, defaults: Defaults = NO_DEFAULTS, encoding: str | None = None
) -> Iterator[Record]:
    """Records of bytes that came without a file. `name` names them in messages and is the id of a note without one."""
    yield from _read(Source(name, name, io.BytesIO(data), defaults, encoding))


def _read(source: Source) -> Iterator[Record]:
    suffix = PurePath(source.shown).suffix.lower()
    if suffix in _UNREAD_SUFFIXES:
        yield source.failure(1, 0, f"{suffix} files are not read")
    elif suffix in _LINE_SUFFIXES or (source.shown == STDIN and starts_json_lines(source.stream)):
        yield from read_json_lines(source)
    elif suffix == ".json":
        yield from read_json(source)
    else:
        yield from read_plain_text(source)

"""Plain text: a file is a note, its line ends kept, so offsets count the file's own characters (without its mark)."""

from __future__ import annotations

from collections.abc import Iterator

from analyzer.errors import InputError
from analyzer.formats.encoding import decode, encoding_warnings
from analyzer.formats.records import Record, Source


def read_plain_text(source: Source) -> Iterator[Record]:
    """The one note of a text file; an empty file is a note with a warning."""
    raw = source.stream.read()
    try:
        text, used = decode(raw, source.encoding)
    except InputError as error:
        yield source.failure(1, len(raw), str(error))
        return
    warnings = encoding_warnings(used)
    if not text:
        warnings = (*warnings, "the file is empty")
    yield source.record(1, len(raw), {"note_id": source.name, "text": text}, warnings)

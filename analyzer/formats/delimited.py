"""CSV, TSV and their kin: a header line, then rows; read line by line, whatever the size of the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

from analyzer.errors import InputError
from analyzer.formats.encoding import decode_line, encoding_warnings, utf8_stream
from analyzer.formats.records import MOST_DOCUMENT_BYTES, Record, Source
from analyzer.formats.rows import Row, records_of_rows
from analyzer.formats.table_columns import LINE, columns_of, delimiter_of

_HEAD_BYTES = 1 << 16


def read_delimited(source: Source) -> Iterator[Record]:
    """A record for each note of the table, numbered by the line where its first row begins."""
    stream, used = utf8_stream(source.stream, source.encoding)
    lines = _Lines(stream, used)
    head = next(lines, None)
    if head is None:
        raise InputError("the file is empty")
    # The csv module's limit is one for the whole process; its own default is shorter than many a note.
    csv.field_size_limit(MOST_DOCUMENT_BYTES)
    lines.again = head
    delimiter = "\t" if source.suffix in (".tsv", ".tab") and "\t" in head else delimiter_of(head)
    table = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(table)
    except csv.Error:
        raise InputError("the header line is not closed: a quote in it has no end") from None
    columns = columns_of(header, source.columns)
    yield from records_of_rows(source, _rows(table, lines, header, columns), split=LINE in columns, unit="line")


class _Lines:
    """Decoded lines, and what was met since `take` was last called."""

    def __init__(self, stream: BinaryIO, used: str | None) -> None:
        self._raw = _physical_lines(stream)
        self._used = used
        self.again: str | None = None
        self.size = 0
        self.encodings: set[str] = set()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.again is not None:
            line, self.again = self.again, None
            return line
        raw = next(self._raw)
        if len(raw) > MOST_DOCUMENT_BYTES:
            raise InputError("a line too long to be read; what follows it was not read")
        text, used = decode_line(raw.removeprefix(b"\xef\xbb\xbf"))
        self.size += len(raw)
        self.encodings.add(self._used or used)
        return text

    def take(self) -> tuple[int, tuple[str, ...]]:
        """Bytes read and warnings on their encoding."""
        size, warnings = self.size, tuple(w for used in sorted(self.encodings) for w in encoding_warnings(used))
        self.size = 0
        self.encodings.clear()
        return size, warnings


def _physical_lines(stream: BinaryIO) -> Iterator[bytes]:
    first = stream.read(_HEAD_BYTES)
    if b"\n" in first or b"\r" not in first:
        head, found, rest = first.rpartition(b"\n")
        # At line feeds only: a carriage return may stand inside a field.
        yield from (line + b"\n" for line in (head + found).split(b"\n")[:-1])
        while line := rest + stream.readline(MOST_DOCUMENT_BYTES + 1):
            rest = b""
            yield line
        return
    # Lines that end with a carriage return alone.
    while first:
        more = stream.read(_HEAD_BYTES)
        lines = first.split(b"\r")
        yield from (line + b"\n" for line in lines[:-1])
        if not more:
            if lines[-1]:
                yield lines[-1]
            return
        first = lines[-1] + more


def _rows(table: Iterator[list[str]], lines: _Lines, header: list[str], columns: dict[str, str]) -> Iterator[Row]:
    places = {field: header.index(column) for field, column in columns.items()}
    lines.take()
    while True:
        number = getattr(table, "line_num", 0) + 1
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            size, _ = lines.take()
            yield Row(number, size, {}, problem=_problem(str(error)))
            continue
        size, warnings = lines.take()
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue
        if len(cells) != len(header):
            problem = f"the row has {len(cells)} columns, the header {len(header)}"
            yield Row(number, size, {}, problem=problem)
            continue
        yield Row(number, size, {field: cells[place] for field, place in places.items()}, warnings)


def _problem(message: str) -> str:
    if "unexpected end" in message:
        return "a quote that opens here is never closed: the rest of the file could not be read"
    if "field larger" in message:
        return "a field too large to be read, or a quote that is never closed"
    return "quotes in the row are not as in CSV: one inside a quoted field must be doubled"

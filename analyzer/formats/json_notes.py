"""JSON: notes as objects with the note's fields as keys, or FHIR resources; a line each, one, or an array of them."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from analyzer.errors import InputError
from analyzer.formats.encoding import decode, encoding_warnings, utf8_stream
from analyzer.formats.fhir import bundle_records, holds_note, is_resource, resource_record
from analyzer.formats.records import MOST_DOCUMENT_BYTES, Record, Source

_LONG = 16 << 20
"""Size above which an array is parsed item by item rather than whole."""
_BETWEEN_ITEMS = re.compile(r"[\s,]*")
_BLANK = b"\xef\xbb\xbf \t\r\n"


def read_json_lines(source: Source) -> Iterator[Record]:
    """A note or resource a line; empty lines are passed over.

    Resources that hold no note, one after the other of one type, are one failure with their lines: in a bulk export
    a whole file can be of them.
    """
    stream, used_for_all = utf8_stream(source.stream, source.encoding)
    passed: _PassedOver | None = None
    number = 0
    while raw := stream.readline(MOST_DOCUMENT_BYTES + 1):
        number += 1
        size = len(raw)
        if size > MOST_DOCUMENT_BYTES:
            while not raw.endswith(b"\n") and (raw := stream.readline(MOST_DOCUMENT_BYTES + 1)):
                size += len(raw)
            yield source.failure(number, size, "a line too long to be read", unit="line")
            continue
        if not raw.strip(_BLANK):
            continue
        value, problem = None, ""
        try:
            text, used = decode(raw)
            value = _json_value(text.rstrip("\r\n"))
        except InputError as error:
            problem = str(error)
        other = value["resourceType"] if is_resource(value) and not _is_read(value) else None
        if passed is not None and passed.resource_type != other:
            yield passed.failure(source)
            passed = None
        if problem:
            yield source.failure(number, size, problem, unit="line")
        elif other is not None:
            passed = passed or _PassedOver(other, number)
            passed.last, passed.size = number, passed.size + size
        elif is_resource(value) and value["resourceType"] == "Bundle":
            yield from bundle_records(source, value, size, line=number)
        elif is_resource(value):
            name = f"{source.name}#{number}"
            yield resource_record(source, value, number, size, unit="line", name=name)
        else:
            yield source.record(number, size, value, encoding_warnings(used_for_all or used), unit="line")
    if passed is not None:
        yield passed.failure(source)


class _PassedOver:
    """A run of lines with resources of one type that hold no note."""

    def __init__(self, resource_type: str, line: int) -> None:
        self.resource_type, self.first, self.last, self.size = resource_type, line, line, 0

    def failure(self, source: Source) -> Record:
        """The record that accounts for them."""
        shown = self.resource_type if self.resource_type.isalpha() and len(self.resource_type) <= 60 else "other"
        lines = f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"
        reason = f"{shown} resources hold no note ({lines})"
        return source.failure(self.first, self.size, reason, unit="line")


def read_json(source: Source) -> Iterator[Record]:
    """A note, a resource, an array of them, or JSON Lines under the name of a JSON file."""
    if _first_line_is_a_value(source):
        yield from read_json_lines(source)
        return
    if _is_long_array(source):
        for number, (item, size) in enumerate(_streamed_items(source), start=1):
            yield _item_record(source, item, number, size, ())
        return
    raw = source.whole()
    text, used = decode(raw, source.encoding)
    try:
        value = _json_value(text)
    except InputError as error:
        if "Extra data" in str(error):
            yield from read_json_lines(replace(source, stream=io.BytesIO(text.encode("utf-8")), encoding=None))
            return
        raise
    if is_resource(value) and value["resourceType"] == "Bundle":
        yield from bundle_records(source, value, len(raw))
    elif isinstance(value, list):
        share = len(raw) // max(1, len(value))
        for number, item in enumerate(value, start=1):
            yield _item_record(source, item, number, share, encoding_warnings(used))
    elif is_resource(value) and holds_note(value):
        yield resource_record(source, value, 1, len(raw))
    else:
        yield _item_record(source, value, 1, len(raw), encoding_warnings(used))


def _item_record(source: Source, item: Any, number: int, size: int, warnings: tuple[str, ...]) -> Record:
    if not is_resource(item):
        return source.record(number, size, item, warnings)
    if holds_note(item):
        return resource_record(source, item, number, size, name=f"{source.name}#{number}")
    return source.failure(number, size, "a FHIR resource of a type that holds no note")


def _is_long_array(source: Source) -> bool:
    begins = source.stream.read(64).lstrip(_BLANK).startswith(b"[")
    size = source.stream.seek(0, io.SEEK_END) if begins else 0
    source.stream.seek(0)
    return size > _LONG


def _streamed_items(source: Source) -> Iterator[tuple[Any, int]]:
    """The items of an array, parsed as they come. Raises InputError where the text is no JSON array in UTF-8."""
    stream, _ = utf8_stream(source.stream, source.encoding)
    decoder = codecs.getincrementaldecoder("utf-8")()
    parse = json.JSONDecoder().raw_decode
    text = ""
    position = number = 0
    opened = ended = False
    while True:
        match = _BETWEEN_ITEMS.match(text, position)
        start = match.end() if match is not None else position
        if start < len(text) and text[start] == "]" and number:
            if text[start + 1 :].strip() or stream.read().strip():
                raise InputError("not valid JSON: something follows the array")
            return
        try:
            item, position = parse(text, start)
        except (ValueError, RecursionError) as error:
            # An item that is not there yet looks like one that is wrong, so more is read first, ever more at a time.
            if ended or len(text) - start > MOST_DOCUMENT_BYTES or isinstance(error, RecursionError):
                raise InputError(
                    f"not valid JSON (item {number + 1} of the array); what follows was not read"
                ) from None
            raw = stream.read(max(_LONG // 16, len(text) - start))
            ended = not raw
            try:
                text = text[start:] + decoder.decode(raw, final=ended)
            except UnicodeDecodeError:
                raise InputError("is not UTF-8 text; --encoding names another encoding") from None
            position = 0
            if not opened:
                text = text.lstrip("\ufeff \t\r\n").removeprefix("[")
                opened = True
        else:
            number += 1
            yield item, len(text[start:position].encode("utf-8", "surrogatepass"))


def _first_line_is_a_value(source: Source) -> bool:
    """Whether the file goes on after a whole JSON object on its first line."""
    if source.encoding is not None:
        return False
    first = source.stream.readline(MOST_DOCUMENT_BYTES)
    more = bool(source.stream.read(1))
    source.stream.seek(0)
    if not more or not first.lstrip(_BLANK).startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _is_read(resource: dict[str, Any]) -> bool:
    return resource["resourceType"] == "Bundle" or holds_note(resource)


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        # The module's message names the place and what it expected, never the content.
        raise InputError(f"not valid JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise InputError("not valid JSON: nested too deeply") from None
    except ValueError:
        raise InputError("not valid JSON: a number is too long") from None

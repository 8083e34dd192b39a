"""JSON: notes as objects with the note's fields as keys, or FHIR resources; a line each, one, or an array of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from analyzer.errors import InputError
from analyzer.formats.encoding import decode, encoding_warnings, utf8_stream
from analyzer.formats.fhir import bundle_records, holds_note, is_resource, resource_record
from analyzer.formats.records import MOST_DOCUMENT_BYTES, Record, Source

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
            value = _json_value(text)
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
        return
    values = value if isinstance(value, list) else [value]
    share = len(raw) // max(1, len(values))
    for number, item in enumerate(values, start=1):
        if not is_resource(item):
            yield source.record(number, share, item, encoding_warnings(used))
        elif holds_note(item):
            name = source.name if item is value else f"{source.name}#{number}"
            yield resource_record(source, item, number, share, name=name)
        else:
            yield source.failure(number, share, "a FHIR resource of a type that holds no note")


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

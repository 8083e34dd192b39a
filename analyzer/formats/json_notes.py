"""Notes as JSON objects, their keys the note's fields: a line each, one, or an array of them."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from analyzer.errors import InputError
from analyzer.formats.encoding import BYTE_ORDER_MARKS, decode, encoding_warnings
from analyzer.formats.records import Record, Source


def starts_json_lines(stream: BinaryIO) -> bool:
    """Whether the first line is a JSON object with a `text`. The stream is left at its start."""
    first = stream.readline()
    stream.seek(0)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "text" in value


def read_json_lines(source: Source) -> Iterator[Record]:
    """A note a line; empty lines are passed over."""
    mark = source.stream.read(4)
    source.stream.seek(0)
    wide = any(mark.startswith(bom) for bom, name in BYTE_ORDER_MARKS if name != "utf-8-sig")
    lines: Iterable[bytes] = source.stream
    used_for_all: str | None = None
    if wide or source.encoding is not None:
        # Only a decoder knows where a line of two- or four-byte units ends, so such a file is decoded whole.
        raw = source.stream.read()
        try:
            whole, used_for_all = decode(raw, source.encoding)
        except InputError as error:
            yield source.failure(1, len(raw), str(error))
            return
        lines = io.BytesIO(whole.encode("utf-8"))
    for number, raw in enumerate(lines, start=1):
        if not raw.strip(codecs.BOM_UTF8 + b" \t\r\n"):
            continue
        try:
            text, used = decode(raw)
            value = _json_value(text)
        except InputError as error:
            yield source.failure(number, len(raw), str(error), unit="line")
            continue
        yield source.record(number, len(raw), value, encoding_warnings(used_for_all or used), unit="line")


def read_json(source: Source) -> Iterator[Record]:
    """A note, an array of notes, or JSON Lines under the name of a JSON file."""
    raw = source.stream.read()
    try:
        text, used = decode(raw, source.encoding)
    except InputError as error:
        yield source.failure(1, len(raw), str(error))
        return
    try:
        value = _json_value(text)
    except InputError as error:
        if "Extra data" in str(error):
            yield from read_json_lines(replace(source, stream=io.BytesIO(text.encode("utf-8")), encoding=None))
        else:
            yield source.failure(1, len(raw), str(error))
        return
    values = value if isinstance(value, list) else [value]
    share = len(raw) // max(1, len(values))
    for number, item in enumerate(values, start=1):
        yield source.record(number, share, item, encoding_warnings(used))


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

"""Offsets for callers whose strings do not count code points: UTF-16 units (JavaScript, Java, C#) or UTF-8 bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from api.shapes import OffsetUnit

Convert = Callable[[int], int]

_UTF16_ONE_UNIT, _UTF8_ONE_BYTE = 0xFFFF, 0x7F


def converter(text: str, unit: OffsetUnit) -> Convert:
    """From a code point offset of `text` to one in `unit`."""
    if unit == "codepoint":
        return lambda offset: offset
    one = _UTF16_ONE_UNIT if unit == "utf16" else _UTF8_ONE_BYTE
    encoding = "utf-16-le" if unit == "utf16" else "utf-8"
    size = 2 if unit == "utf16" else 1
    wide = [i for i, character in enumerate(text) if ord(character) > one]
    extra = [0]
    for i in wide:
        extra.append(extra[-1] + len(text[i].encode(encoding)) // size - 1)
    return lambda offset: offset + extra[bisect_left(wide, offset)]


def convert(value: Any, converters: Mapping[str, Convert]) -> Any:
    """A copy of a report's JSON with every `start` and `end` that stands beside a `note_id` converted."""
    if isinstance(value, list):
        return [convert(item, converters) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: convert(item, converters) for key, item in value.items()}
    if "note_id" in out and isinstance(out.get("start"), int) and isinstance(out.get("end"), int):
        of_note = converters[out["note_id"]]
        out["start"], out["end"] = of_note(out["start"]), of_note(out["end"])
    return out

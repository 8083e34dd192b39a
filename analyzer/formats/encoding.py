"""Bytes in, text out: the ladder of encodings, and the refusal of what is no text."""

from __future__ import annotations

import codecs
import re

from analyzer.errors import InputError

# The UTF-32 marks come first: the little-endian one begins with the UTF-16 mark.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_QUIET_ENCODINGS = frozenset({"utf-8", "utf-8-sig"})

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_MOST_CONTROL_CHARACTERS = 0.05
"""Share of control characters above which a file is taken for binary; random bytes have a fifth."""


def decode(raw: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Text of a file's bytes and the encoding used. Raises InputError for bytes that are not text."""
    try:
        if encoding is not None:
            text, used = raw.decode(encoding), encoding.lower()
        else:
            text, used = _laddered(raw)
    except UnicodeDecodeError as error:
        raise InputError(f"is not {encoding or error.encoding} text (byte {error.start})") from None
    except LookupError:
        raise InputError(f"unknown encoding {encoding!r}") from None
    if "\x00" in text:
        raise InputError("holds NUL bytes: a binary file, or text in an encoding that --encoding must name")
    if len(_CONTROL_CHARACTER.findall(text)) > _MOST_CONTROL_CHARACTERS * len(text):
        raise InputError("looks like a binary file, not text")
    return text, used


def encoding_warnings(used: str) -> tuple[str, ...]:
    """What a reader should know about the encoding a text was read in: nothing when it was UTF-8."""
    return () if used in _QUIET_ENCODINGS else (f"read as {used}",)


def _laddered(raw: bytes) -> tuple[str, str]:
    for mark, name in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return raw.decode(name), name
    for name in ("utf-8", "cp1252"):
        try:
            return raw.decode(name), name
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"

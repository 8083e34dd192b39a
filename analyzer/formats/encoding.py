"""Bytes in, text out: the ladder of encodings, and the refusal of what is no text."""

from __future__ import annotations

import codecs
import io
import re
from typing import Any, BinaryIO

from analyzer.errors import InputError

# The UTF-32 marks come first: the little-endian one begins with the UTF-16 mark.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_QUIET_ENCODINGS = frozenset({"utf-8", "utf-8-sig"})

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_ASCII_CONTROLS = bytes((*range(9), *range(14, 32), 127))
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
    refuse_binary(text)
    return text, used


def decode_line(raw: bytes) -> tuple[str, str]:
    """Text of one line of a longer text, and the encoding used; any bytes have one, so binary is not told here."""
    for name in ("utf-8", "cp1252"):
        try:
            return raw.decode(name), name
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def refuse_binary(text: str) -> None:
    """Raises InputError for a text with more control characters than text has."""
    # Counting bytes is many times faster than a pattern, and most notes are ASCII.
    if text.isascii():
        found = len(text) - len(text.encode("ascii").translate(None, _ASCII_CONTROLS))
    else:
        found = len(_CONTROL_CHARACTER.findall(text))
    if found > _MOST_CONTROL_CHARACTERS * len(text):
        raise InputError("looks like a binary file, not text")


def wide_encoding(head: bytes) -> str | None:
    """The encoding of two or four bytes a character that a byte order mark at the start tells of."""
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return None if name == "utf-8-sig" else name
    return None


def utf8_stream(stream: BinaryIO, encoding: str | None) -> tuple[BinaryIO, str | None]:
    """A stream whose lines end with a line feed byte, and the encoding it had when it was one for the whole stream.

    A stream in the named `encoding`, or in UTF-16 or UTF-32, is recoded piece by piece; any other is left as it is.
    Reading raises InputError where the bytes are not of that encoding.
    """
    head = stream.read(4)
    stream.seek(0)
    used = encoding or wide_encoding(head)
    if used is None:
        return stream, None
    try:
        decoder = codecs.getincrementaldecoder(used)()
    except LookupError:
        raise InputError(f"unknown encoding {used!r}") from None
    return io.BufferedReader(_Recoded(stream, decoder, used), 1 << 16), used.lower()


class _Recoded(io.RawIOBase):
    def __init__(self, stream: BinaryIO, decoder: codecs.IncrementalDecoder, encoding: str) -> None:
        self._stream, self._decoder, self._encoding = stream, decoder, encoding
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._ended:
            raw = self._stream.read(1 << 15)
            self._ended = not raw
            try:
                text = self._decoder.decode(raw, final=self._ended)
            except UnicodeDecodeError:
                raise InputError(f"is not {self._encoding} text") from None
            self._ready = text.encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def encoding_warnings(used: str) -> tuple[str, ...]:
    """What a reader should know about the encoding a text was read in: nothing when it was UTF-8."""
    return () if used in _QUIET_ENCODINGS else (f"read as {used}",)


def _laddered(raw: bytes) -> tuple[str, str]:
    for mark, name in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return raw.decode(name), name
    return decode_line(raw)

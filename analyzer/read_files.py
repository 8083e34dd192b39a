"""Files in, notes out: plain text and JSON records, streamed, with the place and the reason of each that can't be read.

Every input record becomes exactly one `Record`, which holds either a note or a reason. Reasons and warnings name
files, lines and keys; they never quote a note.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from analyzer.errors import InputError
from analyzer.note import Note

STDIN = "-"
"""The input name that means standard input."""

_LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_JSON_SUFFIXES = _LINE_SUFFIXES | {".json"}

# A file of one of these would pass as text or as garbage, so it is refused by name until a reader for it exists.
_UNREAD_SUFFIXES = frozenset(
    {".csv", ".docx", ".gz", ".hl7", ".htm", ".html", ".parquet", ".pdf", ".rtf", ".tsv", ".xml", ".zip"}
)

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
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST_CONTROL_CHARACTERS = 0.05
"""Share of control characters above which a file is taken for binary; random bytes have a fifth."""

_DATE_LIKE = re.compile(r"[0-9./-]{1,12}")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read. `shown` is how messages and outputs name it; `name` is the note id of a plain text file."""

    path: Path
    shown: str
    name: str

    @property
    def is_stdin(self) -> bool:
        """Whether this is standard input."""
        return self.shown == STDIN


@dataclass(frozen=True, slots=True)
class Record:
    """One input record: a note, or the reason why it is none.

    `number` is the line in a JSON Lines file, the place in a JSON array, else 1. `size` counts the record's bytes.
    """

    input: str
    number: int
    size: int
    note: Note | None
    note_id: str | None
    reason: str | None
    warnings: tuple[str, ...] = ()
    lines: bool = False

    @property
    def place(self) -> str:
        """Where the record stands: `file:line` in a JSON Lines file, else the file."""
        if self.lines:
            return f"{self.input}:{self.number}"
        return self.input if self.number == 1 else f"{self.input}: record {self.number}"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the caller knows of notes that don't say it themselves: keys and values as in a note's JSON."""

    date_of_service: str | None = None
    setting: str | None = None


def find_inputs(named: Sequence[str], *, outside: Path | None = None) -> list[InputFile]:
    """Files behind the inputs named on a command line, folders walked in name order, hidden files left out.

    Files below `outside` (an output folder) are left out of a walk, and refused when named.
    Raises InputError for an input that does not exist or a folder without files.
    """
    found: list[InputFile] = []
    barred = outside.resolve() if outside is not None else None
    for name in named:
        if name == STDIN:
            found.append(InputFile(Path(STDIN), STDIN, "stdin"))
            continue
        path = Path(name)
        if not path.exists():
            raise InputError(f"{name}: no such file or folder")
        if barred is not None and path.resolve().is_relative_to(barred):
            raise InputError(f"{name}: lies in the output folder, where it could be overwritten; name another --output")
        if not path.is_dir():
            found.append(InputFile(path, name, path.name))
            continue
        inside = [p for p in _walk(path) if barred is None or not p.resolve().is_relative_to(barred)]
        if not inside:
            raise InputError(f"{name}: the folder holds no files to read")
        found.extend(InputFile(p, p.as_posix(), p.relative_to(path).as_posix()) for p in inside)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for child in sorted(folder.iterdir(), key=lambda p: p.name):
        if child.name.startswith("."):
            continue
        if child.is_dir():
            yield from _walk(child)
        elif child.is_file():
            yield child


def file_sha256(file: InputFile) -> tuple[str, int]:
    """SHA-256 (hexadecimal) and size in bytes of a file. Raises InputError when it can't be opened."""
    with _opened(file) as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
        return digest.hexdigest(), handle.tell()


def read_records(file: InputFile, defaults: Defaults = Defaults(), *, encoding: str | None = None) -> Iterator[Record]:
    """Records of one file, streamed. `encoding` overrides the ladder: byte order mark, UTF-8, cp1252, latin-1.

    A `.jsonl` or `.ndjson` file holds a note a line, a `.json` file one note, an array of notes or JSON Lines, any
    other file is one plain text note. Standard input is JSON Lines when its first line is an object with a `text`.
    Line ends are kept, so offsets count the file's own characters (without its byte order mark).
    """
    suffix = file.path.suffix.lower()
    if suffix in _UNREAD_SUFFIXES:
        yield _failure(file, 1, 0, f"{suffix} files are not read")
        return
    with _opened(file) as handle:
        if suffix in _LINE_SUFFIXES or (file.is_stdin and _starts_json_lines(handle)):
            yield from _read_lines(file, handle, defaults, encoding)
            return
        raw = handle.read()
    try:
        text, used = decode(raw, encoding)
    except InputError as error:
        yield _failure(file, 1, len(raw), str(error))
        return
    warnings = () if used in _QUIET_ENCODINGS else (f"read as {used}",)
    if suffix in _JSON_SUFFIXES:
        yield from _read_json(file, text, len(raw), defaults, warnings)
        return
    if not text:
        warnings = (*warnings, "the file is empty")
    yield _record(file, 1, len(raw), {"note_id": file.name, "text": text}, defaults, warnings, lines=False)


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


def _laddered(raw: bytes) -> tuple[str, str]:
    for mark, name in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return raw.decode(name), name
    for name in ("utf-8", "cp1252"):
        try:
            return raw.decode(name), name
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def _opened(file: InputFile) -> BinaryIO:
    if file.is_stdin:
        return io.BytesIO(sys.stdin.buffer.read())
    try:
        return file.path.open("rb")
    except OSError as error:
        raise InputError(f"{file.shown}: {error.strerror or type(error).__name__}") from None


def _starts_json_lines(handle: BinaryIO) -> bool:
    first = handle.readline()
    handle.seek(0)
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "text" in value


def _read_lines(file: InputFile, handle: BinaryIO, defaults: Defaults, encoding: str | None) -> Iterator[Record]:
    mark = handle.read(4)
    handle.seek(0)
    wide = any(mark.startswith(bom) for bom, name in _BYTE_ORDER_MARKS if name != "utf-8-sig")
    lines: Iterable[bytes] = handle
    used_for_all: str | None = None
    if wide or encoding is not None:
        # Only a decoder knows where a line of two- or four-byte units ends, so such a file is decoded whole.
        raw = handle.read()
        try:
            whole, used_for_all = decode(raw, encoding)
        except InputError as error:
            yield _failure(file, 1, len(raw), str(error))
            return
        lines = io.BytesIO(whole.encode("utf-8"))
    for number, raw in enumerate(lines, start=1):
        if not raw.strip(codecs.BOM_UTF8 + b" \t\r\n"):
            continue
        try:
            text, used = decode(raw)
        except InputError as error:
            yield _failure(file, number, len(raw), str(error), lines=True)
            continue
        used = used_for_all or used
        warnings = () if used in _QUIET_ENCODINGS else (f"read as {used}",)
        try:
            value = _json_value(text)
        except InputError as error:
            yield _failure(file, number, len(raw), str(error), lines=True)
            continue
        yield _record(file, number, len(raw), value, defaults, warnings, lines=True)


def _read_json(
    file: InputFile, text: str, size: int, defaults: Defaults, warnings: tuple[str, ...]
) -> Iterator[Record]:
    try:
        value = _json_value(text)
    except InputError as error:
        if "Extra data" in str(error):
            yield from _read_lines(file, io.BytesIO(text.encode("utf-8")), defaults, None)
        else:
            yield _failure(file, 1, size, str(error))
        return
    values = value if isinstance(value, list) else [value]
    share = size // max(1, len(values))
    for number, item in enumerate(values, start=1):
        yield _record(file, number, share, item, defaults, warnings, lines=False)


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


def _failure(file: InputFile, number: int, size: int, reason: str, *, lines: bool = False) -> Record:
    return Record(file.shown, number, size, None, None, reason, lines=lines)


def _record(
    file: InputFile,
    number: int,
    size: int,
    value: Any,
    defaults: Defaults,
    warnings: tuple[str, ...],
    *,
    lines: bool,
) -> Record:
    if not isinstance(value, dict):
        return _failure(file, number, size, "a note is a JSON object", lines=lines)
    fields = dict(value)
    for key in ("date_of_service", "setting"):
        if fields.get(key) is None:
            fields[key] = getattr(defaults, key)
    note_id = _printable_id(fields.get("note_id"))
    broken = [key for key in Note.model_fields if isinstance(fields.get(key), str) and _SURROGATE.search(fields[key])]
    if broken:
        reason = f"{', '.join(broken)}: holds half of a surrogate pair, which is no character"
        return Record(file.shown, number, size, None, note_id, reason, lines=lines)
    try:
        note = Note.model_validate(fields)
    except ValidationError as error:
        return Record(file.shown, number, size, None, note_id, note_problem(error, fields), lines=lines)
    return Record(file.shown, number, size, note, note.note_id, None, warnings, lines)


def _printable_id(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 200 else None


def note_problem(error: ValidationError, fields: dict[str, Any]) -> str:
    """One line on what is wrong with a note's fields. A date is shown when it looks like one, nothing else is."""
    parts = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"])
        value = fields.get(key)
        shown = f" {value}" if isinstance(value, str) and "date" in key and _DATE_LIKE.fullmatch(value) else ""
        parts.append(f"{key}{shown}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)

"""What every reader gives: a `Record` for each input record, holding either a note or the reason why it is none.

Reasons and warnings name files, lines and keys; they never quote a note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pydantic import ValidationError

from analyzer.errors import InputError
from analyzer.note import Note

_SURROGATE = re.compile("[\ud800-\udfff]")
_DATE_LIKE = re.compile(r"[0-9./-]{1,12}")


@dataclass(frozen=True, slots=True)
class Record:
    """One input record: a note, or the reason why it is none.

    `input` names the file, or `archive/member` for a file in an archive. `number` counts from 1 what `unit` names:
    a `line` of a file, else a `record`, `message` or `entry`. `size` counts the record's bytes.
    """

    input: str
    number: int
    size: int
    note: Note | None
    note_id: str | None
    reason: str | None
    warnings: tuple[str, ...] = ()
    unit: str = "record"

    @property
    def place(self) -> str:
        """Where the record stands: `file:line` where lines are counted, else the file (and the number, if not 1)."""
        if self.unit == "line":
            return f"{self.input}:{self.number}"
        return self.input if self.number == 1 else f"{self.input}: {self.unit} {self.number}"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the caller knows of notes that don't say it themselves: keys and values as in a note's JSON."""

    date_of_service: str | None = None
    setting: str | None = None


NO_DEFAULTS = Defaults()

MOST_DOCUMENT_BYTES = 128 << 20
"""Limit for what is held in memory at once: a document, a JSON array, a message, the fields of one table row."""


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes to read, and how.

    `shown` names them in messages, `name` is the note id of a document without an id of its own. `stream` is at its
    start and can seek. `suffix` is the file name's, in lower case. `encoding` overrides the ladder of encodings,
    `columns` names the column for fields of a note in a table, `depth` counts the archives around it.
    """

    shown: str
    name: str
    stream: BinaryIO
    suffix: str = ""
    media_type: str | None = None
    defaults: Defaults = NO_DEFAULTS
    encoding: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0

    def whole(self) -> bytes:
        """All bytes of a document that can only be read whole. Raises InputError when they are too many."""
        raw = self.stream.read(MOST_DOCUMENT_BYTES + 1)
        if len(raw) > MOST_DOCUMENT_BYTES:
            raise InputError(f"is larger than {MOST_DOCUMENT_BYTES >> 20} MB, too large for one document")
        return raw

    def failure(self, number: int, size: int, reason: str, *, note_id: Any = None, unit: str = "record") -> Record:
        """The record that could not be read, and why. An id that can't be printed is left out."""
        return Record(self.shown, number, size, None, _printable_id(note_id), reason, unit=unit)

    def record(
        self, number: int, size: int, fields: Any, warnings: tuple[str, ...] = (), *, unit: str = "record"
    ) -> Record:
        """The record made of a note's fields: a note, or a failure when they make none."""
        if not isinstance(fields, dict):
            return self.failure(number, size, "a note is a JSON object", unit=unit)
        fields = dict(fields)
        for key in ("date_of_service", "setting"):
            if fields.get(key) is None:
                fields[key] = getattr(self.defaults, key)
        note_id = _printable_id(fields.get("note_id"))
        broken = [key for key in Note.model_fields if _is_broken(fields.get(key))]
        if broken:
            reason = f"{', '.join(broken)}: holds half of a surrogate pair, which is no character"
            return self.failure(number, size, reason, note_id=note_id, unit=unit)
        try:
            note = Note.model_validate(fields)
        except ValidationError as error:
            return self.failure(number, size, note_problem(error, fields), note_id=note_id, unit=unit)
        return Record(self.shown, number, size, note, note.note_id, None, warnings, unit)


Reader = Callable[[Source], Iterator[Record]]
"""What each format's module offers."""


def note_problem(error: ValidationError, fields: dict[str, Any]) -> str:
    """One line on what is wrong with a note's fields. A date is shown when it looks like one, nothing else is."""
    parts = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"])
        value = fields.get(key)
        shown = f" {value}" if isinstance(value, str) and "date" in key and _DATE_LIKE.fullmatch(value) else ""
        parts.append(f"{key}{shown}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


def _is_broken(value: Any) -> bool:
    return isinstance(value, str) and not value.isascii() and _SURROGATE.search(value) is not None


def _printable_id(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 200 else None

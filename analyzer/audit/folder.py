"""A finished audit's folder, opened for reading: its reports, notes and failures as streams.

Memory stays bounded whatever the size of the audit: what is kept a note is a few numbers, never its text.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, NotRequired, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from analyzer.audit.cells import plain_cell
from analyzer.audit.outputs import FAILURES, NOTES, REPORTS, RUN, SUMMARY
from analyzer.errors import InputError
from analyzer.note import Note
from analyzer.report import GapReport

_Shape = TypeVar("_Shape")

REPORT: TypeAdapter[GapReport] = TypeAdapter(GapReport)
NOTE: TypeAdapter[Note] = TypeAdapter(Note)
_RUN_KEYS = {"records": int, "reports": int, "failures": int, "inputs": list, "settings": dict, "provenance": list}


@dataclass(frozen=True, slots=True)
class NoteFacts:
    """What the audit knows of a note beside its text; None for what no input said."""

    input: str | None = None
    note_type: str | None = None
    author_role: str | None = None
    patient_id: str | None = None
    encounter_id: str | None = None


_FACTS = tuple(field.name for field in fields(NoteFacts))
_NOTHING_KNOWN = NoteFacts()


class _NoteFactsRow(TypedDict):
    note_id: str
    note_type: NotRequired[str | None]
    author_role: NotRequired[str | None]
    patient_id: NotRequired[str | None]
    encounter_id: NotRequired[str | None]


_FACTS_OF_NOTE: TypeAdapter[_NoteFactsRow] = TypeAdapter(_NoteFactsRow)


class FactsOf(Protocol):
    """Tells what is known of the notes of a report."""

    def __call__(self, note_ids: Sequence[str], case_id: str | None = None) -> NoteFacts:
        """What they agree on."""


class InStep(Generic[_Shape]):
    """Rows about notes, given with their ids, that stand in the order of an audit's reports."""

    def __init__(self, rows: Iterator[tuple[str, _Shape]]) -> None:
        self._rows = rows
        self._ahead = next(rows, None)

    @property
    def done(self) -> bool:
        """Whether every row has been taken."""
        return self._ahead is None

    def take(self, note_ids: Sequence[str], *, case: bool) -> list[_Shape] | None:
        """The rows of the next report's notes; None where other rows stand there.

        In a case a note that was given twice counts once, and stands in the report once.
        """
        taken: dict[str, _Shape] = {}
        while self._ahead is not None:
            note_id, row = self._ahead
            if note_id not in note_ids or (note_id in taken and not (case and taken[note_id] == row)):
                break
            taken[note_id] = row
            self._ahead = next(self._rows, None)
        return list(taken.values()) if len(taken) == len(note_ids) else None


class AuditFolder:
    """A complete audit: `run` is its run.json. Make one with `AuditFolder.open`."""

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path, self.run = path, run

    @classmethod
    def open(cls, path: Path) -> AuditFolder:
        """The audit in a folder. Raises InputError when the folder holds no complete one."""
        if not path.is_dir():
            raise InputError(f"{path}: {'is a file, not' if path.exists() else 'no such'} audit folder")
        try:
            run = json.loads((path / RUN).read_bytes())
        except FileNotFoundError:
            raise InputError(f"{path}: holds no {RUN}, so it is no complete audit") from None
        except OSError as error:
            raise InputError(f"{path / RUN}: {error.strerror}") from None
        except ValueError:
            raise InputError(f"{path / RUN}: not valid JSON") from None
        for key, kind in _RUN_KEYS.items():
            if not isinstance(run, dict) or not isinstance(run.get(key), kind):
                raise InputError(f"{path / RUN}: {key}: missing or not as an audit writes it")
        for name in (REPORTS, FAILURES):
            if not (path / name).is_file():
                raise InputError(f"{path}: holds no {name}, so it is no complete audit")
        return cls(path, run)

    @property
    def without_text(self) -> bool:
        """Whether note text was left out of the audit's outputs."""
        return isinstance(self.run.get("without_text"), str)

    @property
    def has_notes(self) -> bool:
        """Whether the notes' texts are here."""
        return (self.path / NOTES).is_file()

    def record_outputs(self) -> None:
        """List in run.json everything that stands in the folder now, so that a later audit into it clears it away."""
        names = sorted(child.name for child in self.path.iterdir() if child.name != RUN)
        partial = self.path / f"{RUN}.partial"
        run = {**self.run, "outputs": names}
        partial.write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(self.path / RUN)

    def lines(self, name: str) -> Iterator[tuple[int, int, bytes]]:
        """Number (from 1), byte offset and content of each line of one of the folder's JSON Lines files."""
        offset = 0
        try:
            with (self.path / name).open("rb") as handle:
                for number, raw in enumerate(handle, start=1):
                    if raw.strip():
                        yield number, offset, raw
                    offset += len(raw)
        except OSError as error:
            raise InputError(f"{self.path / name}: {error.strerror}") from None

    def parsed(self, name: str, shape: TypeAdapter[_Shape]) -> Iterator[tuple[int, _Shape]]:
        """Byte offset and content of each line, checked against `shape`. Raises InputError naming line and key.

        Reports are counted against run.json at the end, so that a file cut short is no complete audit.
        """
        count = 0
        for number, offset, raw in self.lines(name):
            count += 1
            yield offset, self._checked(name, number, raw, shape)
        if name == REPORTS and count != self.run["reports"]:
            raise InputError(f"{self.path / REPORTS}: holds {count} reports, {RUN} counts {self.run['reports']}")

    def parsed_at(self, name: str, offset: int, shape: TypeAdapter[_Shape]) -> _Shape:
        """The line that begins at a byte offset which `parsed` gave."""
        with (self.path / name).open("rb") as handle:
            handle.seek(offset)
            return self._checked(name, None, handle.readline(), shape)

    def _checked(self, name: str, number: int | None, raw: bytes, shape: TypeAdapter[_Shape]) -> _Shape:
        try:
            return shape.validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            place = f"{self.path / name}" + (f":{number}" if number else "")
            raise InputError(f"{place}: {key + ': ' if key else ''}{first['msg']}") from None

    def reports(self) -> Iterator[GapReport]:
        """Every report, in the audit's order."""
        return (report for _, report in self.parsed(REPORTS, REPORT))

    def failures(self) -> Iterator[dict[str, Any]]:
        """Every failure record, in the audit's order."""
        return (failure for _, failure in self.parsed(FAILURES, TypeAdapter(dict[str, Any])))

    def facts(self) -> FactsOf:
        """A function that tells what is known of a report's notes; to be asked once a report, in the reports' order.

        It takes the report's note ids and case id and answers, for a case, what its notes agree on.
        """
        rows = InStep(self._fact_rows())
        by_id: dict[str, NoteFacts] | None = None

        def facts_of(note_ids: Sequence[str], case_id: str | None = None) -> NoteFacts:
            nonlocal by_id
            if by_id is None:
                found = rows.take(note_ids, case=case_id is not None)
                if found is not None:
                    return _agreed(found)
                # A file touched by hand: from here on notes are found by their ids.
                by_id = {}
                for note_id, facts in self._fact_rows():
                    by_id.setdefault(note_id, facts)
            return _agreed([by_id.get(note_id, _NOTHING_KNOWN) for note_id in note_ids])

        return facts_of

    def _fact_rows(self) -> Iterator[tuple[str, NoteFacts]]:
        """Note ids with their facts: from summary.csv, which every audit has, or from the notes."""
        summary = self.path / SUMMARY
        if summary.is_file():
            with summary.open(encoding="utf-8-sig", newline="") as handle:
                reader = csv.DictReader(handle)
                if set(_FACTS) & set(reader.fieldnames or ()):
                    for row in reader:
                        cells = {name: plain_cell(value) for name, value in row.items() if isinstance(value, str)}
                        yield cells.get("note_id", ""), NoteFacts(**{name: cells.get(name) or None for name in _FACTS})
                    return
        if self.has_notes:
            for _, note in self.parsed(NOTES, _FACTS_OF_NOTE):
                yield note["note_id"], NoteFacts(**{name: note.get(name) for name in _FACTS})  # type: ignore[arg-type]


def _agreed(facts: list[NoteFacts]) -> NoteFacts:
    """What all of them say alike."""
    if len(facts) == 1:
        return facts[0]
    alike = {name: {getattr(one, name) for one in facts} for name in _FACTS}
    return NoteFacts(**{name: values.pop() if len(values) == 1 else None for name, values in alike.items()})

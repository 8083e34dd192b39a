"""The ICD-10-CM code table: which codes exist on a date of service, and what is wrong with one that can't be reported.

The table is an extract of the tabular list kept as data under `patterns/icd10cm/`, one JSON file per release, written
by `analyzer.codes_import`. It carries whole categories (the first three characters of a code), so inside a carried
category "does not exist" is a fact; a code of any other category is "not carried", which says nothing about it.

A code is reportable only in its full form: a category is not, and a code that takes a 7th character is not without it
(ICD-10-CM Official Guidelines FY2026, I.A.2-I.A.5 and I.B.2: placeholder X, 7th characters, highest level of detail).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from analyzer.errors import CodeError

PLACEHOLDER = "X"
"""Fills the places between a shorter code and its 7th character (guideline I.A.4)."""

OWN_FOLDER = "CHARTGAP_CODE_SETS"
"""The environment variable that names a folder with further releases."""

_SHAPE = re.compile(r"([A-Z][0-9][0-9A-Z])(?:\.?([0-9A-Z]{1,6}))?\Z")
"""A code as people write it. Two characters more than exist: a code with too many placeholders gets its own reason."""

Row = dict[str, Any]
"""One code's values in a release file; `analyzer.codes_import.read_rows` describes them."""

ProblemKind = Literal[
    "malformed",
    "not_carried",
    "unknown",
    "category",
    "no_seventh_character",
    "seventh_character_missing",
    "seventh_character_not_allowed",
    "placeholder",
]


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the code set; it holds for dates of service from `effective_from` through `effective_to`."""

    label: str
    effective_from: date
    effective_to: date
    amended: date | None
    source: str


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """One line of the tabular list: a code, or a block or chapter above it.

    `leaf`: reportable as written. `stem`: for a code that needs a 7th character, the six characters (dot not counted)
    it is appended to; otherwise empty. `seventh`: character -> meaning; for a category, those its members choose from.
    `parent` is the code, block or chapter one level up, empty for a chapter. The notes are the entry's own; those of
    the levels above it apply as well (`CodeTable.lineage`).
    """

    code: str
    title: str
    chapter: str
    parent: str
    leaf: bool = False
    stem: str = ""
    seventh: Mapping[str, str] = field(default_factory=dict, hash=False)
    includes: tuple[str, ...] = ()
    inclusion_terms: tuple[str, ...] = ()
    excludes1: tuple[str, ...] = ()
    excludes2: tuple[str, ...] = ()
    code_first: tuple[str, ...] = ()
    use_additional: tuple[str, ...] = ()
    code_also: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


NOTE_FIELDS = (
    "includes",
    "inclusion_terms",
    "excludes1",
    "excludes2",
    "code_first",
    "use_additional",
    "code_also",
    "notes",
)
"""Fields of a `CodeEntry` that hold instructional notes, in the order in which the tabular list prints them."""


@dataclass(frozen=True, slots=True)
class CodeProblem:
    """Why a code cannot be reported. `code` is its normalised form, empty where the input is not shaped like one."""

    kind: ProblemKind
    code: str
    message: str


def normalise(code: str) -> str | None:
    """Return the code in capitals with its dot and without white space, or None for text not shaped like one."""
    match = _SHAPE.match("".join(code.split()).upper())
    if match is None:
        return None
    category, rest = match.groups()
    return f"{category}.{rest}" if rest else category


@dataclass(frozen=True, eq=False)
class CodeTable:
    """The codes of one release. Get one from `CodeTable.load`.

    `warning` is set when the date asked for lies outside every release; whoever loads the table reports it once a run.
    """

    release: Release
    warning: str | None
    _rows: Mapping[str, Row] = field(repr=False)
    _children: Mapping[str, Sequence[str]] = field(repr=False)
    _bases: Mapping[str, str] = field(repr=False)

    @classmethod
    def load(cls, date_of_service: date | None = None, folder: Path | None = None) -> CodeTable:
        """Return the release that holds on a date (for an inpatient, of discharge); without a date, the newest.

        A date that no release covers gets the nearest one and a `warning`. Where releases overlap, the one with the
        shorter validity is meant. `folder` holds the releases, by default those shipped under `patterns/icd10cm` and
        those in the folder that the environment variable CHARTGAP_CODE_SETS names (`chartgap codes import` writes
        there); a folder is read once a process, in about 20 ms a release.
        Raises CodeError when the folder holds no release or a file that is not one.
        """
        tables = _read_folder(folder)
        if folder is None and (own := os.environ.get(OWN_FOLDER)):
            tables = (*tables, *_read_folder(Path(own)))
        if date_of_service is None:
            return max(tables, key=lambda table: (table.release.effective_to, table.release.effective_from))
        day = date_of_service
        nearest = min(tables, key=lambda table: (_distance(table.release, day), _validity(table.release)))
        if not _distance(nearest.release, day):
            return nearest
        release = nearest.release
        return replace(
            nearest,
            warning=f"date of service {day} lies outside the code-set release {release.label}, "
            f"which holds from {release.effective_from} to {release.effective_to}",
        )

    def lookup(self, code: str) -> CodeEntry:
        """Return the entry of a code in any usual spelling: a category, a code, or a full form with its 7th character.

        Raises CodeError, with the message of `check`, for a code the table does not hold.
        """
        normalised = normalise(code)
        entry = self._find(normalised) if normalised else None
        if entry is None:
            raise CodeError(self._explain_absent(normalised).message)
        return entry

    def lineage(self, code: str) -> tuple[CodeEntry, ...]:
        """Return the entry of a code and everything above it, nearest first, ending with its chapter."""
        line = [self.lookup(code)]
        while line[-1].parent:
            line.append(self._entry(line[-1].parent))
        return tuple(line)

    def children(self, code: str) -> tuple[CodeEntry, ...]:
        """Return the codes one level below a category, in the order of the tabular list."""
        return tuple(self._entry(child) for child in self._children.get(self.lookup(code).code, ()))

    def check(self, code: str) -> CodeProblem | None:
        """Return why a code cannot be reported as written, or None when it can.

        The message never repeats text that is not shaped like a code: it may be anything, such as part of a note.
        """
        normalised = normalise(code)
        entry = self._find(normalised) if normalised else None
        if entry is None:
            return self._explain_absent(normalised)
        if entry.leaf:
            return None
        return self._missing_seventh(entry.code, entry) if entry.stem else self._category(entry.code, entry)

    def _entry(self, code: str) -> CodeEntry:
        """Build the entry of a code, block or chapter of the table."""
        row = self._rows[code]
        leaf, stem = row.get("leaf", False), row.get("stem", "")
        defined = {} if leaf else self._meanings(code)
        return CodeEntry(
            code=code,
            title=row["title"],
            chapter=row["chapter"],
            parent=row["parent"],
            leaf=leaf,
            stem=stem,
            seventh={character: defined[character] for character in row["seventh"]} if stem else defined,
            **{name: tuple(row[name]) for name in NOTE_FIELDS if name in row},
        )

    def _meanings(self, code: str) -> dict[str, str]:
        """Return what the 7th characters mean at a code: as defined there or at the nearest level above."""
        while code:
            row = self._rows[code]
            if "seventh_meanings" in row:
                return dict(row["seventh_meanings"])
            code = row["parent"]
        return {}

    def _find(self, code: str) -> CodeEntry | None:
        """Return the entry of a normalised code, also of a full form with its 7th character."""
        if code in self._rows:
            return self._entry(code)
        if code[:-1] not in self._bases:
            return None
        base = self._entry(self._bases[code[:-1]])
        meaning = base.seventh.get(code[-1])
        if meaning is None:
            return None
        return CodeEntry(code, f"{base.title}, {meaning}", base.chapter, base.code, leaf=True)

    def _explain_absent(self, code: str | None) -> CodeProblem:
        """Say what is wrong with a code that is not in the table, judged by the longest beginning of it that is."""
        if code is None:
            shape = "a letter, a digit, and one to five characters more"
            return CodeProblem("malformed", "", f"the code is not written like an ICD-10-CM code ({shape})")
        known = next((code[:length] for length in range(len(code), 2, -1) if code[:length] in self._rows), None)
        if known is None:
            reason = f"{code}: category {code[:3]} is not among those carried from {self.release.label}"
            return CodeProblem("not_carried", code, reason)
        base = self._entry(known)
        rest = code[len(known) :].lstrip(".")
        filler, last = rest[:-1], rest[-1]
        if base.leaf:
            what = "7th character" if last.isalpha() else "further character"
            return CodeProblem("no_seventh_character", code, f"{code}: {base.code} takes no {what}")
        if not filler.strip(PLACEHOLDER):
            if base.stem and last == PLACEHOLDER:
                return self._missing_seventh(code, base)
            if base.stem and last in base.seventh:
                written = f"the 7th character must stand in seventh place, written {base.stem}{last}"
                return CodeProblem("placeholder", code, f"{code}: {written}")
            if base.stem:
                allowed = f"{base.code} has no 7th character {last}; it takes {_either(base.seventh)}"
                return CodeProblem("seventh_character_not_allowed", code, f"{code}: {allowed}")
            if last in base.seventh:
                return self._category(code, base)
        where = "" if base.stem else f"; the members of {base.code} are {_span(self._children[base.code])}"
        return CodeProblem("unknown", code, f"{code} does not exist in {self.release.label}{where}")

    def _missing_seventh(self, code: str, base: CodeEntry) -> CodeProblem:
        example = f"{base.stem}{next(iter(base.seventh))}"
        reason = f"{code} needs a 7th character {_either(base.seventh)}, written {example}"
        return CodeProblem("seventh_character_missing", code, reason)

    def _category(self, code: str, base: CodeEntry) -> CodeProblem:
        subject = base.code if code == base.code else f"{code}: {base.code}"
        members = f"its billable members are {_span(self._billable(base))}"
        return CodeProblem("category", code, f"{subject} is a category that cannot be billed; {members}")

    def _billable(self, entry: CodeEntry) -> list[str]:
        """Return every reportable full form at or below an entry, in the order of the tabular list."""
        if entry.leaf:
            return [entry.code]
        if entry.stem:
            return [entry.stem + character for character in entry.seventh]
        return [form for child in self._children[entry.code] for form in self._billable(self._entry(child))]


def _span(codes: Sequence[str]) -> str:
    return " ... ".join((codes[0], codes[-1])) if len(codes) > 2 else " and ".join(codes)


def _either(characters: Mapping[str, str]) -> str:
    *others, last = characters
    return f"{', '.join(others)} or {last}" if others else last


def _distance(release: Release, day: date) -> timedelta:
    return max(release.effective_from - day, day - release.effective_to, timedelta(0))


def _validity(release: Release) -> timedelta:
    return release.effective_to - release.effective_from


@cache
def _read_folder(folder: Path | None) -> tuple[CodeTable, ...]:
    """Read every release of a folder (None: the shipped one), in the order of the file names."""
    source: Traversable = files("patterns") / "icd10cm" if folder is None else folder
    try:
        names = sorted(item.name for item in source.iterdir() if item.name.endswith(".json"))
    except OSError as error:
        raise CodeError(f"{folder}: the folder of code-set releases cannot be read") from error
    if not names:
        raise CodeError(f"{folder}: no code-set release here")
    return tuple(_read_release(source / name) for name in names)


def _read_release(path: Traversable) -> CodeTable:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _build(content["release"], content["codes"])
    except (OSError, ValueError) as error:
        raise CodeError(f"{path.name}: not a code-set release: {error}") from error
    except KeyError as error:
        raise CodeError(f"{path.name}: not a code-set release: {error} is missing") from error
    except (TypeError, AttributeError) as error:
        raise CodeError(f"{path.name}: not a code-set release: a value is of the wrong type") from error


def _build(head: Row, rows: dict[str, Row]) -> CodeTable:
    """Index a release file's rows. Entries are built when asked for: all at once would triple the loading time."""
    release = Release(
        label=head["label"],
        effective_from=date.fromisoformat(head["effective_from"]),
        effective_to=date.fromisoformat(head["effective_to"]),
        amended=date.fromisoformat(head["amended"]) if head["amended"] else None,
        source=head["source"],
    )
    children: dict[str, list[str]] = {}
    bases: dict[str, str] = {}
    for code, row in rows.items():
        children.setdefault(row["parent"], []).append(code)
        if "stem" in row:
            bases[row["stem"]] = code
    return CodeTable(release, None, rows, children, bases)

"""Notes out of table rows: one row each, or split over several that a line number puts in order."""

from __future__ import annotations

import hashlib
import html
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analyzer.errors import InputError
from analyzer.formats.days import iso_day
from analyzer.formats.encoding import refuse_binary
from analyzer.formats.html import text_of_markup
from analyzer.formats.records import Record, Source
from analyzer.formats.rtf import rtf_text
from analyzer.formats.table_columns import LINE

_SETTINGS = {
    **dict.fromkeys(("inpatient", "ip", "i", "imp", "hospital encounter"), "inpatient"),
    **dict.fromkeys(
        ("outpatient", "op", "o", "amb", "ambulatory", "emergency", "ed", "e", "office visit"), "outpatient"
    ),
}
_SIGNED = {
    **dict.fromkeys(("1", "y", "yes", "true", "t", "signed", "cosigned", "final", "addendum", "attested"), True),
    **dict.fromkeys(("0", "n", "no", "false", "f", "unsigned", "draft", "preliminary", "pended", "incomplete"), False),
}
_WITHDRAWN = frozenset({"deleted", "entered-in-error", "entered in error", "retracted", "cancelled", "canceled"})
_REFERENCE = re.compile(r"&#(?:\d{1,7}|x[0-9a-fA-F]{1,6});")
_MARKUP = re.compile(r"\s*(?:<!doctype\s+html|<html|<body|<div|<p|<table|<span)[\s>]", re.I)
_PAGE_WIDTHS = range(50, 140)
_MOST_CUTS = 0.6
_TELLING = 4
"""Cuts anywhere in a text fall beside a blank every third time; of so many, one would."""
_CUT_LENGTHS = frozenset({32_767, 65_535, 65_536})
"""Where spreadsheets and database drivers cut a text off."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row's values by field, or why it can't be read."""

    number: int
    size: int
    values: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    problem: str | None = None


def records_of_rows(source: Source, rows: Iterable[Row], *, split: bool, unit: str) -> Iterator[Record]:
    """Records of rows in file order; with `split`, neighbouring rows of one note id are one note."""
    seen: set[bytes] = set()
    for group in _grouped(rows, split=split):
        size = sum(row.size for row in group)
        first = group[0]
        note_id = first.values.get("note_id")
        try:
            if first.problem is not None:
                raise InputError(first.problem)
            fields, warnings = _fields(group)
        except InputError as error:
            yield source.failure(first.number, size, str(error), note_id=note_id, unit=unit)
            continue
        if split:
            mark = hashlib.blake2b(fields["note_id"].encode("utf-8", "surrogatepass"), digest_size=8).digest()
            if mark in seen:
                warnings = (*warnings, "rows of the same note_id stand apart in the file and were read as notes apart")
            seen.add(mark)
        yield source.record(first.number, size, fields, warnings, unit=unit)


def _grouped(rows: Iterable[Row], *, split: bool) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        joins = split and row.problem is None and row.values.get("note_id")
        if group and not (joins and row.values["note_id"] == group[0].values.get("note_id")):
            yield group
            group = []
        group.append(row)
        if not joins:
            yield group
            group = []
    if group:
        yield group


def _fields(group: list[Row]) -> tuple[dict[str, Any], tuple[str, ...]]:
    values = group[0].values
    if not values.get("note_id"):
        raise InputError("note_id is empty")
    status = values.get("signed", "").strip().casefold()
    if status in _WITHDRAWN:
        raise InputError(f"{status}: the note is not to be used")
    text, warnings = _text(group)
    fields: dict[str, Any] = {"note_id": values["note_id"], "text": text}
    for field in ("note_type", "author_role", "patient_id", "encounter_id"):
        fields[field] = values.get(field, "").strip() or None
    day = values.get("date_of_service", "").strip()
    fields["date_of_service"] = iso_day(day)
    if day and fields["date_of_service"] is None:
        warnings.append("date_of_service is not a date that is understood")
    setting = values.get("setting", "").strip().casefold()
    fields["setting"] = _SETTINGS.get(setting)
    if setting and fields["setting"] is None:
        warnings.append("setting is neither inpatient nor outpatient")
    fields["signed"] = _SIGNED.get(status)
    codes = re.split(r"[\s;,|]+", values.get("code", "").strip())
    fields["code"] = codes[0] or None if len(codes) == 1 else None
    if len(codes) > 1:
        warnings.append("several codes are given: none of them was taken")
    return fields, tuple(dict.fromkeys(warnings))


def _text(group: list[Row]) -> tuple[str, list[str]]:
    warnings = [warning for row in group for warning in row.warnings]
    if len(group) > 1:
        group = _in_order(group, warnings)
    pieces = [row.values.get("text", "") for row in group]
    if len(pieces) > 1:
        text = _joined(pieces)
    else:
        text = pieces[0]
        if len(text) in _CUT_LENGTHS:
            warnings.append(f"the text is {len(text)} characters long, where exports cut off")
    if text.lstrip().startswith("{\\rtf"):
        text, more = rtf_text(text.encode("utf-8", "surrogatepass"))
        warnings.extend(more)
    elif _MARKUP.match(text):
        text = text_of_markup(text)
    elif _REFERENCE.search(text):
        text = html.unescape(text)
        warnings.append("character references in the text were resolved")
    if "\x00" in text:
        text = text.replace("\x00", "")
        warnings.append("NUL characters in the text were left out")
    refuse_binary(text)
    if not text.strip():
        warnings.append("the text is empty")
    return text, warnings


def _in_order(group: list[Row], warnings: list[str]) -> list[Row]:
    numbers = [row.values.get(LINE, "").strip() for row in group]
    try:
        ordered = sorted((float(number), place) for place, number in enumerate(numbers))
    except ValueError:
        warnings.append("rows without a line number were joined as they stand")
        return group
    lines = [number for number, _ in ordered]
    if len(set(lines)) < len(lines):
        warnings.append("a line number is used twice")
    elif lines[-1] - lines[0] != len(lines) - 1 and all(number.is_integer() for number in lines):
        warnings.append("line numbers have a gap: rows of the note may be missing")
    return [group[place] for _, place in ordered]


def _joined(pieces: list[str]) -> str:
    """Rows cut out of a running text go together as they are; rows that each are a line get their line ends back.

    A text was cut where a row has a line end inside, where every row but the last has the same length, or where most
    cuts go through a word or beside a blank and the rows are no lines of a page. An empty row is an empty line.
    """
    while len(pieces) > 1 and not pieces[-1]:
        pieces = pieces[:-1]
    before = pieces[:-1]
    pairs = list(itertools.pairwise(pieces))
    beside_blank = [a[-1:].isspace() or b[:1].isspace() for a, b in pairs]
    through_word = [a[-1:].isalnum() and (b[:1].islower() or b[:1].isdigit()) for a, b in pairs]
    share = (sum(beside_blank) + sum(through_word)) / max(1, len(pairs))
    lengths = {len(piece) for piece in before}
    wrapped = len(before) > 1 and all(length in _PAGE_WIDTHS for length in lengths)
    cut_out = all(before) and (
        any("\n" in piece or "\r" in piece for piece in before)
        or (len(lengths) == 1 and len(pieces[-1]) <= len(pieces[0]) and share > 0)
        or (share >= _MOST_CUTS if any(beside_blank) else share == 1 and not wrapped and len(pairs) < _TELLING)
    )
    return ("" if cut_out else "\n").join(pieces)

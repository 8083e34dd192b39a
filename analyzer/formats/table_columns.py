"""Which column of a table holds which field of a note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from analyzer.errors import InputError
from analyzer.note import Note

LINE = "line"
"""The field, beside those of a note, that numbers the rows a note is split over."""

FIELDS = (*(name for name in Note.model_fields if name != "complete"), LINE)

_USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "note_id": ("note_id", "document_id", "doc_id", "report_id", "note_csn_id", "note_key", "tiu_document_sid", "id"),
    "text": ("text", "note_text", "report_text", "document_text", "full_text", "note", "content", "body", "narrative"),
    "line": ("line", "line_num", "line_number", "line_no", "line_nbr", "note_line", "seq", "sequence", "row_num"),
    "patient_id": ("patient_id", "pat_id", "pat_mrn_id", "mrn", "person_id", "subject_id", "patient_key"),
    "encounter_id": (
        "encounter_id",
        "pat_enc_csn_id",
        "enc_id",
        "csn",
        "encounter_key",
        "visit_id",
        "visit_occurrence_id",
        "hadm_id",
        "encounter",
    ),
    "date_of_service": (
        "date_of_service",
        "dos",
        "service_date",
        "contact_date",
        "visit_date",
        "encounter_date",
        "note_date",
        "note_dt",
        "chartdate",
        "charttime",
        "note_datetime",
        "date",
    ),
    "note_type": ("note_type", "note_type_name", "document_type", "doc_type", "ip_note_type", "category", "title"),
    "author_role": ("author_role", "author_type", "prov_type", "provider_type", "author_prov_type", "author_specialty"),
    "setting": ("setting", "patient_class", "care_setting", "encounter_class"),
    "signed": ("signed", "is_signed", "signed_yn", "note_status", "status"),
    "code": ("code", "icd10", "icd10_code", "icd_10_code", "icd_code", "dx_code", "dx_codes", "diagnosis_code"),
}
_CUT = re.compile(r"[^a-z0-9]+")
_NAME_LIKE = re.compile(r"[^\W\d][\w .#()/-]{0,59}")
_DELIMITERS = ",\t|;"
_MOST_NAMES = 40


def given_columns(mappings: Sequence[str]) -> dict[str, str]:
    """Columns by field out of `FIELD=COLUMN,...` as a user writes it; a column's name may hold commas.

    Raises InputError for a field that a note does not have, or one that is given twice.
    """
    given: dict[str, str] = {}
    for mapping in mappings:
        for part in re.split(r",(?=\s*\w+\s*=)", mapping):
            field, found, column = (piece.strip() for piece in part.partition("="))
            if not found or not column or field not in FIELDS:
                raise InputError(f"--map {part.strip()}: write FIELD=COLUMN; fields are {', '.join(FIELDS)}")
            if field in given:
                raise InputError(f"--map {field}: is given twice")
            given[field] = column
    return given


def columns_of(header: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """The column for each field: the one that `given` names, else one with a usual name; `note_id` and `text` at least.

    Names match in any case. Raises InputError naming the column that is missing and those that there are.
    """
    by_name: dict[str, str] = {}
    for name in header:
        by_name.setdefault(_plain(name), name)
    found: dict[str, str] = {}
    for field in FIELDS:
        if field in given:
            column = given[field] if given[field] in header else by_name.get(_plain(given[field]))
            if column is None:
                raise InputError(f"column {given[field]} (for {field}) is missing; {_named(header)}")
            found[field] = column
            continue
        usual = next((by_name[plain] for plain in map(_plain, _USUAL_NAMES[field]) if plain in by_name), None)
        if usual is not None and usual not in given.values():
            found[field] = usual
    for field in ("text", "note_id"):
        if field not in found:
            raise InputError(f"no column for {field} is known; {_named(header)}; --map {field}=COLUMN names one")
    return found


def delimiter_of(header: str) -> str:
    """The character that separates the most names on a header line; a comma when none does."""
    return max(_DELIMITERS, key=header.count) if any(c in header for c in _DELIMITERS) else ","


def is_note_header(text: str) -> bool:
    """Whether a text's first line is plainly the header of a table of notes, and rows follow."""
    line, _, rows = text.lstrip("\ufeff").partition("\n")
    line = line.strip()
    names = [name.strip(' "') for name in line.split(delimiter_of(line))]
    plain = {_plain(name) for name in names}
    sure = (_USUAL_NAMES["note_id"][:-1], _USUAL_NAMES["text"])
    return (
        bool(rows.strip())
        and len(names) >= 2
        and all(_NAME_LIKE.fullmatch(name) for name in names)
        and all(any(_plain(usual) in plain for usual in usuals) for usuals in sure)
    )


def _plain(name: str) -> str:
    return _CUT.sub("", name.casefold())


def _named(header: Sequence[str]) -> str:
    """The columns by name. A file without a header line has data in its place, which is not shown."""
    if not header or not all(_NAME_LIKE.fullmatch(name.strip()) for name in header):
        return "the first row does not look like names of columns"
    more = f" and {len(header) - _MOST_NAMES} more" if len(header) > _MOST_NAMES else ""
    return f"there are {', '.join(name.strip() for name in header[:_MOST_NAMES])}{more}"

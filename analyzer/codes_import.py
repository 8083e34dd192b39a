"""Writes a code-set release under `patterns/icd10cm/` from the ICD-10-CM tabular list.

A step of development, not of analysis: it needs the package simple-icd-10-cm, which takes seconds and 184 MB to load
and is therefore never imported by the rest of the library. What is carried is data (`patterns/icd10cm/extract.yaml`).
The same list and the same extract give the same bytes.

The package calls an item valid when it is a category too; what is reportable is a leaf in its full form, so every 7th
character is taken from the full forms it knows, not from the definition that a code inherits.
"""

from __future__ import annotations

import json
import re
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analyzer.codes import PLACEHOLDER, Row
from analyzer.errors import CodeError

STEM_LENGTH = len("000.000")
"""Characters of a code before its 7th character, the dot counted."""


class ReleaseInfo(BaseModel):
    """What is known of a release beside its codes; the tabular list itself does not say when it holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1)
    effective_from: date
    effective_to: date
    amended: date | None = None
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> ReleaseInfo:
        if self.effective_to < self.effective_from:
            raise ValueError("effective_to lies before effective_from")
        return self


class CategoryRange(BaseModel):
    """One category, or all from the first to the last, both included. `why` says what it is carried for."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: str = Field(alias="from", min_length=3, max_length=3)
    to: str | None = Field(default=None, min_length=3, max_length=3)
    why: str = Field(min_length=1)

    def holds(self, category: str) -> bool:
        """Tell whether a category lies in the range."""
        return self.first <= category <= (self.to or self.first)


class Extract(BaseModel):
    """The release and the categories to write."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    release: ReleaseInfo
    categories: tuple[CategoryRange, ...] = Field(min_length=1)


def load_extract(path: Traversable | None = None) -> Extract:
    """Read an extract, by default `patterns/icd10cm/extract.yaml`. Raises CodeError naming file, key and reason."""
    source = path if path is not None else files("patterns") / "icd10cm" / "extract.yaml"
    try:
        return Extract.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise CodeError(f"{source.name}: cannot be read") from error
    except yaml.YAMLError as error:
        raise CodeError(f"{source.name}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise CodeError(f"{source.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def file_name(release: ReleaseInfo) -> str:
    """Return the file name of a release, made from its label."""
    return re.sub(r"[^A-Za-z0-9]+", "-", release.label).strip("-") + ".json"


def write_release(folder: Path, extract: Extract, tabular: Path | None = None, code_list: Path | None = None) -> Path:
    """Write a release into a folder and return the file's path.

    `tabular` is the tabular list's XML and `code_list` the list of valid codes published with it (one code a line);
    without both, the release inside simple-icd-10-cm is read. The package holds one list at a time: after a list was
    given, a later call without one reads that list again. Raises CodeError.
    """
    text = render(extract.release, read_rows(extract, tabular, code_list))
    path = folder / file_name(extract.release)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CodeError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def render(release: ReleaseInfo, rows: dict[str, Row]) -> str:
    """Return the release file's text: JSON with one code a line, so that two releases can be compared line by line."""
    head = json.dumps(release.model_dump(mode="json"), ensure_ascii=False)
    lines = [f'"{code}": {json.dumps(row, ensure_ascii=False, separators=(",", ":"))}' for code, row in rows.items()]
    return f'{{\n"release": {head},\n"codes": {{\n' + ",\n".join(lines) + "\n}\n}\n"


def read_rows(extract: Extract, tabular: Path | None = None, code_list: Path | None = None) -> dict[str, Row]:
    """Return the rows of every category of the extract, with its blocks and chapter, each after its parent.

    A row holds `title`, `parent`, `chapter`; then, where there is something to say, `leaf` (reportable as written),
    `stem` and `seventh` (the stem and characters of its full forms), `seventh_meanings` (where they are defined) and
    the notes of the tabular list. A block that consists of one category and bears its name is keyed as a range of one.
    """
    icd = _tabular_list(tabular, code_list)
    categories = [code for code in dict.fromkeys(icd.get_all_codes()) if icd.is_category(code)]
    rows: dict[str, Row] = {}
    for wanted in extract.categories:
        if not any(wanted.holds(category) for category in categories):
            raise CodeError(f"categories: {wanted.first}: no such category in the tabular list")
    for category in categories:
        if any(wanted.holds(category) for wanted in extract.categories):
            _add_category(icd, category, rows)
    return rows


def _tabular_list(tabular: Path | None, code_list: Path | None) -> Any:
    """Return the module simple_icd_10_cm, holding the release asked for."""
    if find_spec("simple_icd_10_cm") is None:
        raise CodeError("reading a tabular list needs the package simple-icd-10-cm (part of the extra chartgap[dev])")
    if (tabular is None) != (code_list is None):
        raise CodeError("a tabular list and the list of valid codes published with it must be given together")
    import simple_icd_10_cm

    if tabular is not None:
        try:
            simple_icd_10_cm.change_version(str(code_list), str(tabular))
        except (OSError, ValueError, LookupError, ParseError) as error:
            raise CodeError(f"{tabular.name}: not a readable tabular list: {error}") from error
    return simple_icd_10_cm


def _add_category(icd: Any, category: str, rows: dict[str, Row]) -> None:
    above = [_key(name, category) for name in reversed(icd.get_ancestors(category))]
    chapter, parent = above[0], ""
    for name in above:
        if name not in rows:
            original = category if name == _key(category, category) else name
            rows[name] = {"title": "", "parent": parent, "chapter": chapter} | _text(icd, original, as_block=True)
        parent = name
    _add_code(icd, category, parent, chapter, rows)


def _key(name: str, category: str) -> str:
    return f"{name}-{name}" if name == category else name


def _add_code(icd: Any, code: str, parent: str, chapter: str, rows: dict[str, Row]) -> None:
    children = icd.get_children(code)
    full_forms = [child for child in children if icd.is_extended_subcategory(child)]
    row = rows[code] = {"title": "", "parent": parent, "chapter": chapter}
    if full_forms:
        row |= {"stem": _stem(code), "seventh": "".join(form[-1] for form in full_forms)}
    elif not children:
        if icd.get_seven_chr_def(code, True):
            raise CodeError(f"{code}: takes a 7th character, but the list of valid codes has no full form of it")
        row["leaf"] = True
    row |= _text(icd, code)
    for child in children:
        if child not in full_forms:
            _add_code(icd, child, code, chapter, rows)


def _stem(code: str) -> str:
    """Return what a 7th character is appended to: the code, its dot, and placeholders up to the sixth character."""
    dotted = code if "." in code else f"{code}."
    return dotted.ljust(STEM_LENGTH, PLACEHOLDER)


def _text(icd: Any, code: str, as_block: bool = False) -> Row:
    """Return title, meanings of 7th characters and notes, the code's own only."""
    meanings = icd.get_seven_chr_def(code, False, as_block)
    notes = {
        "includes": icd.get_includes(code, as_block),
        "inclusion_terms": icd.get_inclusion_term(code, as_block),
        "excludes1": icd.get_excludes1(code, as_block),
        "excludes2": icd.get_excludes2(code, as_block),
        "code_first": icd.get_code_first(code, False, as_block).split("\n"),
        "use_additional": icd.get_use_additional_code(code, False, as_block).split("\n"),
        "code_also": icd.get_code_also(code, False, as_block).split("\n"),
        "notes": icd.get_notes(code, False, as_block).split("\n"),
    }
    text: Row = {
        "title": _plain(icd.get_description(code, as_block)),
        "seventh_meanings": {character: _plain(meaning) for character, meaning in meanings.items()},
    }
    text |= {name: [_plain(line) for line in lines if line.strip()] for name, lines in notes.items()}
    return {name: value for name, value in text.items() if value}


def _plain(text: str) -> str:
    """Return text on one line: the XML breaks some titles over two."""
    return " ".join(text.split())

"""Writes a code-set release under `patterns/icd10cm/` from the ICD-10-CM tabular list.

What is carried is data (`patterns/icd10cm/extract.yaml`). The same list and the same extract give the same bytes.
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
from xml.etree.ElementTree import Element, ParseError

import yaml
from defusedxml import ElementTree
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

    `tabular` is the tabular list's XML as published; without it, the one inside simple-icd-10-cm is read. `code_list`,
    the list of valid codes published with it (one code a line), confirms the full forms; without it they follow from
    the definitions of the 7th characters, which differs nowhere in the categories carried. Raises CodeError.
    """
    text = render(extract.release, read_rows(extract, tabular, code_list))
    path = folder / file_name(extract.release)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CodeError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def release_of(tabular: Path, **known: Any) -> ReleaseInfo:
    """What a tabular list says of itself, its fiscal year, with what is known better.

    `known`: any field of `ReleaseInfo`; None counts as not known. Raises CodeError.
    """
    version = _plain(_tabular_list(tabular).findtext("version"))
    known = {name: value for name, value in known.items() if value is not None}
    if re.fullmatch(r"20\d\d", version):
        year = int(version)
        known = {
            "label": f"FY{year}",
            "effective_from": date(year - 1, 10, 1),
            "effective_to": date(year, 9, 30),
            "source": f"ICD-10-CM Tabular List of Diseases and Injuries, fiscal year {year}, file {tabular.name}",
        } | known
    try:
        return ReleaseInfo.model_validate(known)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "release"
        raise CodeError(f"{tabular.name}: {where}: {first['msg']} (the file names no fiscal year)") from None


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
    valid = _valid_codes(code_list) if code_list is not None else None
    root = _tabular_list(tabular if tabular is not None else _packaged_list())
    rows: dict[str, Row] = {}
    found: set[CategoryRange] = set()
    for chapter in root.iter("chapter"):
        number = _plain(chapter.findtext("name"))
        for section in chapter.iter("section"):
            for category in section.findall("diag"):
                code = _plain(category.findtext("name"))
                wanted = next((w for w in extract.categories if w.holds(code)), None)
                if wanted is None:
                    continue
                found.add(wanted)
                block = section.get("id", "")
                block = f"{block}-{block}" if block == code else block
                if number not in rows:
                    rows[number] = {"title": "", "parent": "", "chapter": number} | _text(chapter)
                if block not in rows:
                    rows[block] = {"title": "", "parent": number, "chapter": number} | _text(section)
                _add_code(category, block, number, {}, valid, rows)
    for wanted in extract.categories:
        if not any(wanted.holds(code) for code in rows):
            raise CodeError(f"categories: {wanted.first}: no such category in the tabular list")
    return rows


def _packaged_list() -> Traversable:
    """The tabular list inside simple-icd-10-cm; the package itself is never imported (2.3 s, 184 MB)."""
    if find_spec("simple_icd_10_cm") is None:
        raise CodeError("without a tabular list one is read from simple-icd-10-cm (part of the extra chartgap[dev])")
    folder = files("simple_icd_10_cm") / "data"
    return next(item for item in sorted(folder.iterdir(), key=lambda i: i.name) if item.name.endswith(".xml"))


def _tabular_list(source: Path | Traversable) -> Element:
    """The root of a tabular list's XML."""
    try:
        with source.open("rb") as stream:
            root = ElementTree.parse(stream).getroot()
    except (OSError, ValueError, ParseError) as error:
        raise CodeError(f"{source.name}: not a readable tabular list: {error}") from error
    if root is None or root.find("chapter/section") is None:
        raise CodeError(f"{source.name}: not a tabular list: it has no chapter with sections")
    return root


def _valid_codes(path: Path) -> set[str]:
    """The codes of a list of valid codes, without their dots."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CodeError(f"{path.name}: not a readable list of valid codes") from error
    return {line.split()[0].replace(".", "") for line in lines if line.strip()}


def _add_code(
    node: Element, parent: str, chapter: str, inherited: dict[str, str], valid: set[str] | None, rows: dict[str, Row]
) -> None:
    code = _plain(node.findtext("name"))
    characters = _seventh(node) or inherited
    row = rows[code] = {"title": "", "parent": parent, "chapter": chapter}
    children = node.findall("diag")
    if not children and characters:
        stem = _stem(code)
        forms = "".join(c for c in characters if valid is None or (stem + c).replace(".", "") in valid)
        if not forms:
            raise CodeError(f"{code}: takes a 7th character, but the list of valid codes has no full form of it")
        row |= {"stem": stem, "seventh": forms}
    elif not children:
        row["leaf"] = True
    row |= _text(node)
    for child in children:
        _add_code(child, code, chapter, characters, valid, rows)


def _stem(code: str) -> str:
    """Return what a 7th character is appended to: the code, its dot, and placeholders up to the sixth character."""
    dotted = code if "." in code else f"{code}."
    return dotted.ljust(STEM_LENGTH, PLACEHOLDER)


def _seventh(node: Element) -> dict[str, str]:
    return {e.get("char", ""): _plain(e.text) for e in node.findall("sevenChrDef/extension")}


_NOTES = {
    "includes": "includes",
    "inclusion_terms": "inclusionTerm",
    "excludes1": "excludes1",
    "excludes2": "excludes2",
    "code_first": "codeFirst",
    "use_additional": "useAdditionalCode",
    "code_also": "codeAlso",
    "notes": "notes",
}


def _text(node: Element) -> Row:
    """Return title, meanings of 7th characters and notes, the node's own only."""
    text: Row = {"title": _plain(node.findtext("desc")), "seventh_meanings": _seventh(node)}
    text |= {
        name: [_plain(n.text) for n in node.findall(f"{tag}/note") if _plain(n.text)] for name, tag in _NOTES.items()
    }
    return {name: value for name, value in text.items() if value}


def _plain(text: str | None) -> str:
    """Return text on one line: the XML breaks some titles over two."""
    return " ".join((text or "").split())

"""Every code, title, 7th character and Excludes relation named in patterns/ is checked against the code table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from analyzer.codes import CodeTable, normalise

PATTERNS = Path(__file__).resolve().parents[1] / "patterns"
FILES = sorted(p for p in PATTERNS.rglob("*.yaml") if p.parent.name != "icd10cm")
TABLE = CodeTable.load()
# M48.39 is named as a code that does not exist; `.` of a pattern over printed codes is no dot of a code.
NAMED_AS_ABSENT = {"M48.39"}
CODE = re.compile(r"(?<![\w.-])([A-TV-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?)(-?)(?![\w.]*[\w])")
DOTTED = re.compile(r"[A-TV-Z][0-9][0-9A-Z]\.")
RELATION = re.compile(
    r"\b([A-TV-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?)-?(?:\)|,|\s)*\s*Excludes([12])(?:\s+([A-TV-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?))?"
)
UNREAD_KEYS = {"match", "near", "not_near", "before", "not_before", "after", "not_after", "matches"}
"""Patterns over the words of a note; what they find is shown by their examples."""


def texts(node: Any) -> Iterator[str]:
    """Every text of a pack file that is not a pattern."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for item in node:
            yield from texts(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(key, str):
                yield key
            if not (key in UNREAD_KEYS and isinstance(value, str | list) and key != "match") and not (
                key == "match" and isinstance(value, list) and all(isinstance(v, str) for v in value)
            ):
                yield from texts(value)


def named(file: Path) -> list[tuple[str, bool]]:
    """The codes that a file names, with whether each points to a family. Vertebrae (T12, C5) are no codes."""
    found = []
    for text in texts(yaml.safe_load(file.read_text(encoding="utf-8"))):
        for code, pointer in CODE.findall(text):
            if "." in code or pointer or (len(code) == 3 and code[0] not in "CTLS"):
                found.append((code, bool(pointer)))
    return sorted(set(found))


def exists(code: str) -> bool:
    name = normalise(code)
    return name is not None and TABLE._find(name) is not None


@pytest.mark.parametrize("file", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_code_named_exists(file: Path) -> None:
    carried = {c for c in TABLE._rows if len(c) == 3}
    for code, pointer in named(file):
        if code in NAMED_AS_ABSENT:
            assert not exists(code)
        elif "." in code or pointer or code in carried:
            assert exists(code), f"{file.name}: {code}"


def test_codes_are_found_at_all() -> None:
    found = {code for file in FILES for code, _ in named(file)}
    assert {"M48.38", "S32.2", "M54.18", "G83.4", "O94", "W00.0", "Z87.81", "M80"} <= found
    assert len(found) > 200


def test_titles_named_are_those_of_the_list() -> None:
    head = yaml.safe_load((PATTERNS / "traumatic-spondylopathy" / "pack.yaml").read_text(encoding="utf-8"))
    title, code = re.fullmatch(r"(.+) \(([A-Z0-9.]+)-\)", head["title"]).groups()  # type: ignore[union-attr]
    assert TABLE.lookup(code).title == title
    assert list(head["codes"]) == [e.code for e in TABLE.children(code)]
    assert head["code_set"] == TABLE.release.label
    for member, spec in head["codes"].items():
        region = TABLE.lookup(member).title.split(", ", 1)[1]
        words = {"spinal": "site unspecified", "sacral": "sacral and sacrococcygeal region"}
        name = spec["words"]["region"]
        assert region == words.get(name, f"{name.replace('_', '-')} region")


PARTNERS = {
    "radiculopathy": "Radiculopathy",
    "stenosis": "Spinal stenosis",
    "instability": "Spinal instabilities",
    "spondylosis": "Spondylosis without myelopathy or radiculopathy",
    "spondylosis_root": "Other spondylosis with radiculopathy",
    "stress": "Fatigue fracture of vertebra",
}


def test_partners_name_the_region_of_their_code() -> None:
    """The codes beside each member are about its own region, by their titles."""
    head = yaml.safe_load((PATTERNS / "traumatic-spondylopathy" / "pack.yaml").read_text(encoding="utf-8"))
    for member, spec in head["codes"].items():
        region = TABLE.lookup(member).title.split(", ", 1)[1]
        for name, beginning in PARTNERS.items():
            title = TABLE.lookup(spec["words"][name].rstrip("-")).title
            assert title.startswith(beginning), (member, name, title)
            assert title.endswith(region), (member, name, title)


def notes_of(code: str, kind: str) -> list[str]:
    return [text for entry in TABLE.lineage(code) for text in getattr(entry, kind)]


def test_excludes_relations_named_hold() -> None:
    checked = 0
    for file in FILES:
        for text in texts(yaml.safe_load(file.read_text(encoding="utf-8"))):
            for code, kind, other in RELATION.findall(text):
                notes = notes_of(code, f"excludes{kind}")
                assert notes, f"{file.name}: {code} has no Excludes{kind}: {text}"
                if other:
                    wanted = re.compile(rf"\b{re.escape(other)}\b|\b{other[:3]}\b")
                    assert any(wanted.search(note) for note in notes), f"{file.name}: {code} Excludes{kind} {other}"
                checked += 1
    assert checked >= 10


@pytest.mark.parametrize(
    ("code", "kind", "mentions"),
    [
        ("M54.18", "excludes1", ("M51.1", "M47.2")),
        ("G55", "excludes1", ("M48",)),
        ("N31.9", "excludes1", ("G83.4",)),
        ("S33.2", "excludes1", ("O71.6",)),
        ("G54.1", "excludes1", ()),
        ("G99.2", "excludes1", ("M50.0", "M47")),
        ("M48.58", "excludes1", ("M48.4",)),
        ("M84.38", "excludes2", ("M48.4",)),
        ("S32.10", "code_first", ("S34",)),
        ("O94", "code_first", ()),
        ("N52.1", "code_first", ()),
        ("M48.38", "excludes2", ("S00-T88",)),
    ],
)
def test_relations_that_the_rules_rest_on(code: str, kind: str, mentions: tuple[str, ...]) -> None:
    notes = notes_of(code, kind)
    assert notes
    for mention in mentions:
        assert any(mention in note for note in notes), (mention, notes)


def test_the_family_itself_excludes_nothing() -> None:
    for code in ("M48.3", "M48", *(e.code for e in TABLE.children("M48.3"))):
        assert not TABLE.lookup(code).excludes1
        assert not TABLE.lookup(code).excludes2
    assert not TABLE.lineage("M48.38")[3].excludes1


def test_seventh_characters_named_are_those_of_the_list() -> None:
    assert "".join(TABLE.lookup("S32.10").seventh) == "ABDGKS"
    assert "".join(TABLE.lookup("S12.9").seventh) == "ADS"
    for code in ("S33.2", "S34.3", "W19", "V49.9"):
        assert "".join(TABLE.lookup(code).seventh) == "ADS"
    assert not TABLE.lookup("M48.38").seventh
    page = (PATTERNS / "traumatic-spondylopathy" / "reference_page.yaml").read_text(encoding="utf-8")
    assert "A, B, D, G, K and S" in page


def test_inclusion_terms_named_hold() -> None:
    assert any("chronic fracture" in text.lower() for text in TABLE.lookup("M84.4").inclusion_terms)
    assert any("coccyx" in text.lower() for text in TABLE.lookup("O71.6").inclusion_terms)
    assert any("subluxation" in text.lower() for text in TABLE.lookup("S33").includes)

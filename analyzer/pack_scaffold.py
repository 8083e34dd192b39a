"""A new pack to start from: small, whole, and passing its own examples. The files are `patterns/new-pack/template`."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path

from analyzer.codes import CodeTable, normalise
from analyzer.errors import CodeError, InputError
from analyzer.packs import normal_words

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PHRASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 '/-]*")
_PLACE = re.compile(r"<<(\"?'?)([a-z_]+)\"?'?>>")


def new_pack(
    name: str, code: str, folder: Path, *, title: str | None = None, phrase: str | None = None
) -> tuple[Path, list[str]]:
    """Write a pack into `folder / name` and return that folder with the names of its files.

    `phrase` is how a note names the condition, by default the title up to its first comma. Raises InputError for a name
    or phrase that cannot be used and for a folder that is there already, CodeError for a code that cannot be billed or,
    without a title, is not carried by the code table.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"pack name {name!r}: use small letters, digits and hyphens, as in asthma-adult")
    table = CodeTable.load()
    plain, problem = normalise(code), table.check(code)
    if plain is None or (problem is not None and problem.kind != "not_carried"):
        raise CodeError(problem.message if problem is not None else f"{code}: no code")
    if title is None:
        if problem is not None:
            raise CodeError(f"{problem.message}: give the code's title with --title")
        title = table.lookup(plain).title
    phrase = (phrase if phrase is not None else re.split(r"[,(\[]", title)[0]).strip()
    if not _PHRASE.fullmatch(phrase):
        raise InputError("phrase: use letters, digits, blanks, hyphens, slashes and apostrophes")
    phrase = phrase[0].lower() + phrase[1:]
    place = folder / name
    if place.exists():
        raise InputError(f"{place}: is there already")
    values = {
        "name": name,
        "code": plain,
        "title": title,
        "phrase": phrase,
        "pattern": " ".join(re.escape(word) for word in normal_words(phrase)).replace(r"\-", "-"),
        "code_set": table.release.label,
    }
    template = importlib.resources.files("patterns") / "new-pack" / "template"
    written: list[str] = []
    for path, file in _files(template):
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_filled(file.read_text(encoding="utf-8"), values), encoding="utf-8")
        written.append(path)
    return place, written


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for child in sorted(folder.iterdir(), key=lambda c: c.name):
        if child.is_dir():
            yield from _files(child, f"{prefix}{child.name}/")
        elif child.name.endswith((".yaml", ".jsonl")):
            yield f"{prefix}{child.name}", child


def _filled(text: str, values: Mapping[str, str]) -> str:
    """The text with every `<<name>>` replaced, `<<"name">>` and `<<'name'>>` in quotes of YAML."""

    def one(match: re.Match[str]) -> str:
        quote, value = match.group(1), values[match.group(2)]
        if quote == '"':
            return json.dumps(value, ensure_ascii=False)
        return "'" + value.replace("'", "''") + "'" if quote else value

    return _PLACE.sub(one, text)

"""The reference page of a code: what the code set says of it, and what a pack knows beside that.

The code set gives title, place, billability, notes and relatives; the pack that covers the code adds what documentation
must show, pitfalls, questions and payer profiles (`reference_page.yaml`) and where a published page goes wrong
(`reference.yaml`). A code without a pack has the first part only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analyzer.codes import NOTE_FIELDS, CodeEntry, CodeTable
from analyzer.errors import PackError
from analyzer.filling import filled
from analyzer.note import IsoDate
from analyzer.pack_files import CodeSpec, covering
from analyzer.packs import Pack, available_packs, load_pack
from analyzer.yamlfile import line_of, read_yaml

PAGE_FILE, FACTS_FILE = "reference_page.yaml", "reference.yaml"


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CodeLine(_Shape):
    """A code with its title."""

    code: str
    title: str


class CodeNote(_Shape):
    """A note of the tabular list. `level` is the code, block or chapter that bears it; it holds for all below."""

    level: str
    kind: str
    text: str


class Point(_Shape):
    """A statement with its source."""

    text: str
    source: str


class Shown(_Shape):
    """What documentation must show for one requirement of the pack."""

    requirement: str
    label: str
    basis: str
    text: str
    source: str


class Answer(_Shape):
    """A question about the code and its answer."""

    question: str
    answer: str
    source: str


class Profile(_Shape):
    """What a payer asks beside the code set. It decides nothing; `caveats` say how far it holds."""

    id: str
    title: str
    points: list[Point]
    caveats: list[Point]


class Correction(_Shape):
    """Where a published reference page goes wrong or is not followed: its claim in our words, and why not."""

    claim: str
    because: str


class CodePage(_Shape):
    """Everything said of one code. Lists are empty and texts null where there is nothing to say."""

    code: str
    title: str
    billable: bool
    not_billable_because: str | None
    billable_forms: list[CodeLine]
    seventh_characters: dict[str, str]
    above: list[CodeLine]
    siblings: list[CodeLine]
    notes: list[CodeNote]
    code_set: str
    effective_from: IsoDate
    effective_to: IsoDate
    pack: str | None = None
    documentation: list[Shown] = Field(default_factory=list)
    pitfalls: list[Point] = Field(default_factory=list)
    questions: list[Answer] = Field(default_factory=list)
    profiles: list[Profile] = Field(default_factory=list)
    corrections: list[Correction] = Field(default_factory=list)
    sources: dict[str, str] = Field(default_factory=dict)
    verified: IsoDate | None = None
    verified_against: str | None = None
    warnings: list[str] = Field(default_factory=list)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _PagePoint(_Strict):
    text: str
    source: str
    only: list[str] | None = None


class _PageAnswer(_Strict):
    question: str
    answer: str
    source: str
    only: list[str] | None = None


class _PageProfile(_Strict):
    id: str
    title: str
    points: list[_PagePoint]
    caveats: list[_PagePoint]


class _PageFile(_Strict):
    """reference_page.yaml."""

    verified: IsoDate
    verified_against: str
    documentation: dict[str, _PagePoint]
    pitfalls: list[_PagePoint]
    questions: list[_PageAnswer]
    profiles: list[_PageProfile] = Field(default_factory=list)
    sources: dict[str, str]


def code_page(code: str, *, service: date | None = None, pack_folders: Sequence[str | Path] = ()) -> CodePage:
    """The page of a code, a category or a full form, in the release of a date of service (without one, the newest).

    Raises CodeError for a code that does not exist or is not carried, PackError for a broken page file of a pack.
    """
    table = CodeTable.load(service)
    entry = table.lookup(code)
    problem = table.check(entry.code)
    lineage = table.lineage(entry.code)
    page = CodePage(
        code=entry.code,
        title=entry.title,
        billable=problem is None,
        not_billable_because=problem.message if problem is not None else None,
        billable_forms=_forms(table, entry),
        seventh_characters=dict(entry.seventh),
        above=[CodeLine(code=e.code, title=e.title) for e in lineage[1:]],
        siblings=_siblings(table, entry, lineage),
        notes=[
            CodeNote(level=e.code, kind=kind, text=text)
            for e in lineage
            for kind in NOTE_FIELDS
            for text in getattr(e, kind)
        ],
        code_set=table.release.label,
        effective_from=table.release.effective_from,
        effective_to=table.release.effective_to,
        warnings=[table.warning] if table.warning else [],
    )
    below = {entry.code, *(form.code for form in page.billable_forms)}
    for info in available_packs(pack_folders):
        if any(map(info.covers, below)):
            _add_pack(page, load_pack(info.id, pack_folders))
            break
    return page


def _forms(table: CodeTable, entry: CodeEntry) -> list[CodeLine]:
    """The reportable full forms below an entry that is not reportable itself."""
    if entry.leaf:
        return []
    if entry.stem:
        return [CodeLine(code=f.code, title=f.title) for f in map(table.lookup, _full(entry))]
    return [
        form
        for child in table.children(entry.code)
        for form in ([CodeLine(code=child.code, title=child.title)] if child.leaf else _forms(table, child))
    ]


def _full(entry: CodeEntry) -> list[str]:
    return [entry.stem + character for character in entry.seventh]


def _siblings(table: CodeTable, entry: CodeEntry, lineage: Sequence[CodeEntry]) -> list[CodeLine]:
    if len(lineage) < 2:
        return []
    parent = lineage[1]
    beside = [table.lookup(form) for form in _full(parent)] if parent.stem else _children(table, parent)
    return [CodeLine(code=e.code, title=e.title) for e in beside if e.code != entry.code]


def _children(table: CodeTable, parent: CodeEntry) -> Sequence[CodeEntry]:
    """The codes below a code; a block or chapter, which is not shaped like one, has none to show."""
    return table.children(parent.code) if "-" not in parent.code and not parent.code.isdigit() else ()


def _add_pack(page: CodePage, pack: Pack) -> None:
    """What the pack knows of the code, or of its family for a heading."""
    file = pack.place / PAGE_FILE
    page.pack = pack.id
    if not file.is_file():
        return
    shown = f"{pack.place.name}/{PAGE_FILE}"
    content, lines = read_yaml(file, shown)
    known = covering(pack.head.codes, page.code) is not None
    spec: CodeSpec = pack.head.spec(page.code if known else pack.head.default_code)
    try:
        data = _PageFile.model_validate(filled(content, spec.words, spec.all_lists))
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(first["loc"])
        raise PackError(shown, line_of(lines, path), ".".join(map(str, path)), first["msg"]) from None

    def here(only: list[str] | None) -> bool:
        return only is None or page.code in only or not known

    requirements = {r["id"]: r for r in pack.judging["requirements"]["requirements"]}
    if wrong := data.documentation.keys() ^ requirements.keys():
        name = min(wrong)
        raise PackError(shown, line_of(lines, ("documentation", name)), f"documentation.{name}", "is no requirement")
    page.documentation = [
        Shown(
            requirement=name,
            label=r["label"],
            basis=r["basis"],
            text=data.documentation[name].text,
            source=data.documentation[name].source,
        )
        for name, r in requirements.items()
    ]
    page.pitfalls = [Point(text=p.text, source=p.source) for p in data.pitfalls if here(p.only)]
    page.questions = [
        Answer(question=q.question, answer=q.answer, source=q.source) for q in data.questions if here(q.only)
    ]
    page.profiles = [
        Profile(
            id=p.id,
            title=p.title,
            points=[Point(text=x.text, source=x.source) for x in p.points],
            caveats=[Point(text=x.text, source=x.source) for x in p.caveats],
        )
        for p in data.profiles
    ]
    if page.code == pack.head.default_code:
        _add_published(page, pack)
    page.sources, page.verified, page.verified_against = data.sources, data.verified, data.verified_against


def _add_published(page: CodePage, pack: Pack) -> None:
    """Answers to the published page's questions, and the facts of it that this pack refuses; it is about one code."""
    file = pack.place / FACTS_FILE
    if not file.is_file():
        return
    content: dict[str, Any]
    content, _lines = read_yaml(file, f"{pack.place.name}/{FACTS_FILE}")
    for entry in content["entries"]:
        if entry["kind"] == "question" and "answer" in entry:
            answer = entry["answer"]
            page.questions.append(Answer(question=entry["fact"], answer=answer["text"], source=answer["source"]))
        elif "refusal" in entry:
            page.corrections.append(Correction(claim=entry["fact"], because=entry["refusal"]))

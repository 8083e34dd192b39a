"""Packs: folders of data that know one code family. Loading checks them and refuses a broken one.

A pack is `pack.yaml` beside `macros.yaml`, `vocabulary/*.yaml`, `facts.yaml`, `requirements.yaml`, `alerts.yaml`,
`flags.yaml` and `queries.yaml`; `candidate_codes.yaml` and `cases.yaml` (rules for several notes judged together) may
be left out. What packs share (words, assertion cues, section titles, dates, authors) lives in `patterns/common`; a pack
may also use another pack's words and facts (`uses`). Packs of a hospital's own may lie in any folder.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analyzer.authors import Authors
from analyzer.candidates import CandidateFile
from analyzer.case_rules import CaseRules
from analyzer.dates import DateReader
from analyzer.errors import PackError
from analyzer.filling import filled
from analyzer.judging import ExpressionError, compile_expression
from analyzer.queries import QueryBook
from analyzer.reading.assertion import Assertions
from analyzer.reading.layout import Layout, LayoutRules
from analyzer.reading.matching import Matcher, PatternError, Rule
from analyzer.reading.reader import Conditions, Reader
from analyzer.reading.words import Normalizer
from analyzer.yamlfile import line_of, read_yaml

Lines = dict[tuple[str | int, ...], int]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Examples(_Strict):
    """Sentences beside a rule. `todo` records a known miss."""

    match: list[str] = Field(default_factory=list)
    no_match: list[str] = Field(default_factory=list)
    todo: list[str] = Field(default_factory=list)


class VocabularyRule(_Strict):
    """One way a value is said. Patterns are written over normal words (see analyzer/reading/matching.py)."""

    id: str
    value: str
    match: list[str] = Field(min_length=1)
    near: str | None = None
    near_within: int = 0
    not_near: str | None = None
    not_near_within: int = 0
    before: str | None = None
    not_before: str | None = None
    after: str | None = None
    not_after: str | None = None
    sections: list[str] | None = None
    not_sections: list[str] | None = None
    assertion: str | None = None
    blocks: list[str] | None = None
    tags: list[str] | None = None
    examples: Examples
    source: str


class Vocabulary(_Strict):
    """All rules of one element."""

    element: str
    overlap: Literal["longest", "keep"] = "longest"
    rules: list[VocabularyRule] = Field(min_length=1)


class Cue(_Strict):
    """Cue words of an assertion category, in ConText's terms."""

    category: Literal[
        "NEGATED",
        "POSSIBLE",
        "HYPOTHETICAL",
        "HISTORICAL",
        "FAMILY",
        "TEMPLATE",
        "PSEUDO",
        "BREAK",
        "CAUSE",
        "COLON",
        "PATIENT",
        "PRESENT",
    ]
    direction: Literal["FORWARD", "BACKWARD", "BIDIRECTIONAL", "PSEUDO", "ALONE"]
    words: list[str] = Field(min_length=1)
    max_scope: int | None = None
    max_targets: int | None = None
    allowed: list[str] | None = None
    excluded: list[str] | None = None
    ended_by: list[str] | None = None
    examples: Examples
    source: str


class CodeSpec(_Strict):
    """One code of the family: which region values are its own, which neighbours.

    `regions` says how this code calls a region that it does not tell apart; a `last_resort` is chosen for a note only
    where no other code of the pack fits. `words` and `lists` stand in for `{name}`
    and `$name` in the pack's rules; `$target`, `$neighbours` and `$regions` (both) are always there.
    """

    target: list[str]
    neighbours: list[str] = Field(default_factory=list)
    regions: dict[str, str] = Field(default_factory=dict)
    last_resort: bool = False
    words: dict[str, str] = Field(default_factory=dict)
    lists: dict[str, list[str]] = Field(default_factory=dict)

    @property
    def all_lists(self) -> dict[str, list[str]]:
        """Every list that a rule may name."""
        both = [*self.target, *self.neighbours]
        return {"target": self.target, "neighbours": self.neighbours, "regions": both, **self.lists}


class Uses(_Strict):
    """What a pack takes over from another: entries of its pack.yaml, its macros, vocabulary files and files of facts.

    Entries that both packs have are the pack's own, but for `elements`, which add up. Facts taken over come before the
    pack's own and may be asked for by them.
    """

    pack: str
    head: list[Literal["elements", "linking", "sections", "inner_values"]] = Field(default_factory=list)
    vocabulary: list[str] = Field(default_factory=list)
    facts: list[Literal["facts", "cases", "query_facts"]] = Field(default_factory=list)


FAMILY = "-"
"""Ends a code that stands for every reportable code below it."""


def covering(entries: Iterable[str], code: str) -> str | None:
    """Which of a pack's code entries is a code's own: the code itself, else the longest family it belongs to."""
    fitting = [e for e in entries if e == code or (e.endswith(FAMILY) and code.startswith(e.removesuffix(FAMILY)))]
    return max(fitting, key=lambda e: (e == code, len(e)), default=None)


class PackHead(_Strict):
    """pack.yaml. Of several packs the one of the lowest `rank` is used where no code asks for another."""

    id: str
    title: str
    version: str
    default_code: str
    codes: dict[str, CodeSpec]
    elements: dict[str, list[str]]
    shown: list[str]
    inner_values: list[str] = Field(default_factory=list)
    sections: list[str]
    linking: dict[str, Any]
    primary_fact: str | None = None
    code_set: str
    sources: dict[str, str]
    rank: int = 0
    uses: Uses | None = None

    def spec(self, code: str) -> CodeSpec:
        """What the pack says of a code that it covers. Raises KeyError for a foreign one."""
        entry = covering(self.codes, code)
        if entry is None:
            raise KeyError(code)
        return self.codes[entry]


@dataclass(frozen=True)
class PackInfo:
    """A pack as a list shows it."""

    id: str
    title: str
    version: str
    codes: list[str]
    folder: str

    def covers(self, code: str) -> bool:
        """Whether the pack judges notes for this code."""
        return covering(self.codes, code) is not None


@dataclass
class Pack:
    """A loaded pack: its data, and the reader built from it.

    `judging` and `queries` read for the pack's default code, `family_judging` has its places still to be filled.
    """

    head: PackHead
    folder: str
    place: Traversable | Path
    sha256: str
    macros: dict[str, str]
    vocabularies: list[tuple[str, Lines, Vocabulary]]
    cues: list[Cue]
    reader: Reader
    dates: DateReader
    queries: QueryBook
    judging: dict[str, Any]
    family_judging: dict[str, Any]
    candidates: CandidateFile | None
    candidate_lines: tuple[str, Lines]
    section_titles: dict[str, str]
    age_patterns: list[re.Pattern[str]]
    authors: Authors
    cases: CaseRules

    def query_book(self, code: str) -> QueryBook:
        """The pack's questions as they read for one of its codes. Raises PackError."""
        return _query_book(self.place, self.head.spec(code))

    @cached_property
    def shown_elements(self) -> dict[str, frozenset[str]]:
        """Elements and values that a report's findings show; the others only help reading."""
        return {e: frozenset(self.head.elements[e]) - frozenset(self.head.inner_values) for e in self.head.shown}

    def age_of(self, text: str) -> int | None:
        """The patient's age in years where the note states one."""
        for pattern in self.age_patterns:
            match = pattern.search(text[:3000])
            if match is not None:
                return int(match.group(1))
        return None

    @property
    def id(self) -> str:
        """The pack's name."""
        return self.head.id


def _common() -> Traversable:
    return importlib.resources.files("patterns") / "common"


def _folders(extra: Sequence[str | Path]) -> Iterable[Traversable | Path]:
    for root in (importlib.resources.files("patterns"), *(Path(p) for p in extra)):
        if (root / "pack.yaml").is_file():
            yield root
            continue
        for child in sorted(root.iterdir(), key=lambda c: c.name):
            if child.is_dir() and (child / "pack.yaml").is_file():
                yield child


def _validated(model: type[BaseModel], content: Any, shown: str, lines: Lines) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(first["loc"])
        key = ".".join(str(p) for p in path)
        raise PackError(shown, line_of(lines, path), key, first["msg"]) from None


def _file(folder: Traversable | Path, name: str) -> tuple[Any, str, Lines]:
    shown = f"{folder.name}/{name}"
    file = folder
    for part in name.split("/"):
        file = file / part
    if not file.is_file():
        raise PackError(shown, None, "", "is missing")
    content, lines = read_yaml(file, shown)
    return content, shown, lines


def available_packs(folders: Sequence[str | Path] = ()) -> list[PackInfo]:
    """Packs that ship with Chartgap and those in `folders`, by rank and name. Raises PackError for a bad pack.yaml."""
    heads = [(_head(folder), str(folder)) for folder in _folders(folders)]
    heads.sort(key=lambda h: h[0].rank)
    return [PackInfo(head.id, head.title, head.version, list(head.codes), folder) for head, folder in heads]


def _head(folder: Traversable | Path) -> PackHead:
    """A folder's pack.yaml with what it takes over from the pack that it uses."""
    content, shown, lines = _file(folder, "pack.yaml")
    if isinstance(content, dict) and content.get("uses") is not None:
        uses: Uses = _validated(
            Uses, content["uses"], shown, {p[1:]: n for p, n in lines.items() if p[:1] == ("uses",)}
        )
        other, _, _ = _file(_used(folder, uses), "pack.yaml")
        taken = {key: other[key] for key in uses.head if key in other}
        if "elements" in taken and isinstance(content.get("elements"), dict):
            taken["elements"] = {**taken["elements"], **content.pop("elements")}
        content = {**taken, **content}
    head: PackHead = _validated(PackHead, content, shown, lines)
    if covering(head.codes, head.default_code) is None:
        where = line_of(lines, ("default_code",))
        raise PackError(shown, where, "default_code", f"{head.default_code!r} is none of the pack's codes")
    return head


def _used(folder: Traversable | Path, uses: Uses) -> Traversable | Path:
    """The folder of a used pack: beside the pack itself, or among those that ship with Chartgap."""
    roots = [*([folder.parent] if isinstance(folder, Path) else []), importlib.resources.files("patterns")]
    for root in roots:
        if (root / uses.pack / "pack.yaml").is_file():
            return root / uses.pack
    raise PackError(f"{folder.name}/pack.yaml", None, "uses.pack", f"no pack folder is called {uses.pack!r}")


def load_pack(id_or_folder: str | Path, folders: Sequence[str | Path] = ()) -> Pack:
    """Load and check a pack by name or folder. Raises PackError naming file, line and key."""
    path = Path(id_or_folder)
    if (path / "pack.yaml").is_file():
        return _load(path)
    for folder in _folders(folders):
        if _head(folder).id == str(id_or_folder):
            return _load(folder)
    raise PackError(str(id_or_folder), None, "", "no pack of this name")


def _load(folder: Traversable | Path) -> Pack:
    common = _common()
    head = _head(folder)
    uses = head.uses
    used = _used(folder, uses) if uses is not None else None
    places = [common, *([used] if used is not None else []), folder]
    macros: dict[str, str] = {}
    for place in places:
        content, shown, lines = _file(place, "macros.yaml")
        for name, value in (content or {}).items():
            macros[name] = "|".join(value) if isinstance(value, list) else str(value)
    matcher = Matcher(macros)
    conditions: dict[int, Conditions] = {}
    vocabularies: list[tuple[str, Lines, Vocabulary]] = []
    own = sorted(f.name for f in (folder / "vocabulary").iterdir() if f.name.endswith(".yaml"))
    files = [(folder, name) for name in own]
    if uses is not None and used is not None:
        files = [*((used, f"{name}.yaml") for name in uses.vocabulary), *files]
    order = 0
    for place, name in files:
        content, shown, lines = _file(place, f"vocabulary/{name}")
        vocabulary: Vocabulary = _validated(Vocabulary, content, shown, lines)
        allowed = head.elements.get(vocabulary.element)
        if allowed is None:
            raise PackError(
                shown, line_of(lines, ("element",)), "element", f"{vocabulary.element!r} is not declared in pack.yaml"
            )
        for i, spec in enumerate(vocabulary.rules):
            where = line_of(lines, ("rules", i))
            if allowed and spec.value not in allowed:
                raise PackError(
                    shown, where, f"rules.{i}.value", f"{spec.value!r} is no declared value of {vocabulary.element}"
                )
            if not spec.examples.match or not spec.examples.no_match:
                raise PackError(
                    shown,
                    where,
                    f"rules.{i}.examples",
                    f"rule {spec.id!r} needs a sentence it must match and one it must not",
                )
            data = spec.model_dump(exclude_none=True) | {"overlap": vocabulary.overlap}
            rule = Rule(
                f"{vocabulary.element}.{spec.id}", vocabulary.element, spec.value, list(spec.match), order, data
            )
            try:
                matcher.add(rule)
                held = Conditions.build(data, macros)
            except (PatternError, re.error) as error:
                raise PackError(shown, where, f"rules.{i}", str(error)) from None
            if any(v not in (None, 0, frozenset()) for v in vars(held).values()):
                conditions[order] = held
            order += 1
        vocabularies.append((shown, lines, vocabulary))
    cue_data, cue_shown, cue_lines = _file(common, "assertion.yaml")
    cues = [
        _validated(Cue, item, cue_shown, {p[2:]: n for p, n in cue_lines.items() if p[:2] == ("cues", i)})
        for i, item in enumerate(cue_data["cues"])
    ]
    # A cue is never a misspelling of something else.
    cue_words = sorted({word for cue in cues for literal in cue.words for word in literal.split()})
    word_data, _, _ = _file(common, "words.yaml")
    normalizer = Normalizer(
        word_data["abbreviations"],
        word_data.get("spellings") or {},
        [*(word_data.get("not_typos") or []), *cue_words],
        matcher.literals | set(cue_words),
        word_data.get("mended") or [],
    )
    section_data, _, _ = _file(common, "sections.yaml")
    titles = {title: name for name, entry in section_data["titles"].items() for title in entry}

    def compiled(key: str) -> re.Pattern[str] | None:
        value = section_data.get(key)
        return re.compile("|".join(_any_space(v) for v in value), re.I) if value else None

    layout = Layout(
        LayoutRules(
            titles=titles,
            short_titles=frozenset(section_data["short_titles"]),
            suffix_titles=frozenset(section_data["suffix_titles"]),
            prefix_titles=frozenset(section_data["prefix_titles"]),
            spoken=compiled("spoken"),
            stale=compiled("stale"),
            stale_tail=compiled("stale_tail"),
            restart=compiled("restart"),
            one_line=frozenset(section_data["one_line"]),
            line_starts={word: name for name, words in section_data["line_starts"].items() for word in words},
            speakers={who: name for name, whos in section_data["speakers"].items() for who in whos},
            line_starts_not_in=frozenset(section_data["line_starts_not_in"]),
            one_sentence=frozenset(section_data["one_sentence"]),
            yes=frozenset(section_data["yes_words"]),
            no=frozenset(section_data["no_words"]),
        )
    )
    try:
        assertions = Assertions([c.model_dump() for c in cues])
    except ValueError as error:
        raise PackError(cue_shown, line_of(cue_lines, ("cues",)), "cues", str(error)) from None
    reader = Reader(normalizer, layout, matcher, conditions, assertions, section_data["assertion"])
    judging: dict[str, Any] = {}
    for name in ("facts", "requirements", "alerts", "flags"):
        content, shown, lines = _file(folder, f"{name}.yaml")
        judging[name] = content
        judging[f"{name}_lines"] = (shown, lines)
    if uses is not None and used is not None:
        _take_facts(used, uses, judging)
    cases = _case_rules(folder, head, judging)
    # Facts that only queries and flags ask for stand in files of their own, after those that decide statuses.
    for extra in ("query_facts", "flag_facts"):
        content, shown, lines = _file(folder, f"{extra}.yaml")
        for name, spec in ((content or {}).get("facts") or {}).items():
            if name in judging["facts"]["facts"]:
                raise PackError(shown, line_of(lines, ("facts", name)), f"facts.{name}", "is defined already")
            judging["facts"]["facts"][name] = spec
    candidates: CandidateFile | None = None
    shown, lines = f"{folder.name}/candidate_codes.yaml", {}
    if (folder / "candidate_codes.yaml").is_file():
        content, shown, lines = _file(folder, "candidate_codes.yaml")
        candidates = _validated(CandidateFile, content, shown, lines)
        for name, spec in candidates.facts.items():
            if name in judging["facts"]["facts"]:
                raise PackError(shown, line_of(lines, ("facts", name)), f"facts.{name}", "is defined already")
            judging["facts"]["facts"][name] = spec
    if cases.cite_when is not None and cases.cite_when not in judging["facts"]["facts"]:
        raise PackError(f"{folder.name}/cases.yaml", None, "cite_when", f"{cases.cite_when!r} is not known")
    digest = hashlib.sha256()
    for place in places:
        for path in _all_files(place):
            digest.update(path[0].encode())
            digest.update(path[1].read_bytes())
    return Pack(
        head=head,
        folder=str(folder),
        place=folder,
        sha256=digest.hexdigest(),
        macros=macros,
        vocabularies=vocabularies,
        cues=cues,
        reader=reader,
        dates=DateReader.from_yaml(common / "dates.yaml"),
        queries=_query_book(folder, head.spec(head.default_code)),
        judging=judging_for(judging, head.spec(head.default_code)),
        family_judging=judging,
        candidates=candidates,
        candidate_lines=(shown, lines),
        section_titles=titles,
        age_patterns=[re.compile(p, re.I) for p in section_data["age"]],
        authors=Authors(common / "authors.yaml"),
        cases=cases,
    )


def _take_facts(used: Traversable | Path, uses: Uses, judging: dict[str, Any]) -> None:
    """Put the facts of a used pack before the pack's own."""
    taken: dict[str, Any] = {}
    for name in uses.facts:
        taken.update(_file(used, f"{name}.yaml")[0]["facts"])
    shown, lines = judging["facts_lines"]
    for name in judging["facts"]["facts"]:
        if name in taken:
            raise PackError(shown, line_of(lines, ("facts", name)), f"facts.{name}", f"is defined by {uses.pack}")
    judging["facts"]["facts"] = {**taken, **judging["facts"]["facts"]}


def judging_for(judging: dict[str, Any], spec: CodeSpec) -> dict[str, Any]:
    """A family's facts, requirements, alerts and flags as they read for one of its codes."""
    return {
        key: value if key.endswith("_lines") else filled(value, spec.words, spec.all_lists)
        for key, value in judging.items()
    }


def _query_book(folder: Traversable | Path, spec: CodeSpec) -> QueryBook:
    return QueryBook.from_pack_files(
        folder / "queries.yaml", fill=lambda content: filled(content, spec.words, spec.all_lists)
    )


def _case_rules(folder: Traversable | Path, head: PackHead, judging: dict[str, Any]) -> CaseRules:
    """The pack's cases.yaml, where it has one; its facts and rules become part of `judging`."""
    if not (folder / "cases.yaml").is_file():
        return CaseRules()
    content, shown, lines = _file(folder, "cases.yaml")
    cases: CaseRules = _validated(CaseRules, content, shown, lines)
    facts = judging["facts"]["facts"]
    requirements = {item["id"]: item for item in judging["requirements"]["requirements"]}

    def known(names: Iterable[str], among: Iterable[str], *path: str | int) -> None:
        for name in names:
            if name not in among:
                raise PackError(shown, line_of(lines, path), ".".join(map(str, path)), f"{name!r} is not known")

    for i, course in enumerate(cases.course):
        known([course.requirement], requirements, "course", i)
        known([course.element], head.elements, "course", i)
        known(course.order, head.elements[course.element], "course", i)
    for key in ("states", "everywhere", "follow_up", "opinions", "corrects"):
        known(getattr(cases, key), head.elements, key)
    known(cases.cite_context, requirements, "cite_context")
    for name, spec in cases.facts.items():
        if name in facts:
            raise PackError(shown, line_of(lines, ("facts", name)), f"facts.{name}", "is defined already")
        known(spec.get("apart", ()), facts, "facts", name)
        facts[name] = spec
    known(cases.rules, requirements, "rules")
    for requirement, rules in cases.rules.items():
        for i, rule in enumerate(rules):
            path = ("rules", requirement, i)
            known([*rule.get("evidence", ()), *rule.get("a", ()), *rule.get("b", ())], facts, *path)
            try:
                compile_expression(rule["when"], facts)
            except (ExpressionError, KeyError) as error:
                raise PackError(shown, line_of(lines, path), ".".join(map(str, path)), str(error)) from None
        requirements[requirement]["rules"] = [*rules, *requirements[requirement]["rules"]]
    return cases


def _any_space(pattern: str) -> str:
    """A blank in a layout pattern stands for any white space; in a look-behind, which has a fixed width, for one."""
    parts = re.split(r"(\(\?<[!=][^()]*\))", pattern)
    return "".join(p.replace(" ", r"\s") if p.startswith("(?<") else p.replace(" ", r"\s+") for p in parts)


def _all_files(folder: Traversable | Path, prefix: str = "") -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for child in sorted(folder.iterdir(), key=lambda c: c.name):
        if child.is_dir():
            out.extend(_all_files(child, f"{prefix}{child.name}/"))
        elif child.name.endswith(".yaml"):
            out.append((f"{prefix}{child.name}", child))
    return out

"""Packs: folders of data that know one code family. Loading checks them and refuses a broken one.

A pack is `pack.yaml` beside `vocabulary/*.yaml`, `facts.yaml`, `requirements.yaml`, `alerts.yaml` and `queries.yaml`.
`macros.yaml`, `flags.yaml`, `flag_facts.yaml`, `query_facts.yaml`, `candidate_codes.yaml` and `cases.yaml` (rules for
several notes judged together) may be left out. What packs share (words, assertion cues, section titles, dates, authors)
lies in `patterns/common`; a pack may also use another pack's words and facts (`uses`). Packs of a hospital's own may
lie in any folder; docs/writing-a-pack.md says how.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from analyzer.authors import Authors
from analyzer.candidates import CandidateFile
from analyzer.case_rules import CaseRules
from analyzer.dates import DateReader
from analyzer.errors import PackError
from analyzer.filling import filled
from analyzer.pack_files import (
    AlertsFile,
    CodeSpec,
    FactsFile,
    FlagsFile,
    Lines,
    ModelT,
    PackHead,
    RequirementsFile,
    SectionsFile,
    Strict,
    Uses,
    WordsFile,
    covering,
    did_you_mean,
    file_of,
    macros_of,
    validated,
)
from analyzer.pack_names import PackFile, PackNames
from analyzer.queries import QueryBook, QueryFile
from analyzer.reading.assertion import Assertions
from analyzer.reading.layout import Layout, LayoutRules
from analyzer.reading.matching import Matcher, PatternError, Rule
from analyzer.reading.reader import Conditions, Reader
from analyzer.reading.words import Normalizer
from analyzer.report import Assertion
from analyzer.yamlfile import line_of


class Examples(Strict):
    """Sentences beside a rule. `todo` records a known miss."""

    match: list[str] = Field(default_factory=list)
    no_match: list[str] = Field(default_factory=list)
    todo: list[str] = Field(default_factory=list)


class VocabularyRule(Strict):
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
    assertion: Assertion | None = None
    blocks: list[str] | None = None
    tags: list[str] | None = None
    examples: Examples
    source: str


class Vocabulary(Strict):
    """All rules of one element."""

    element: str
    overlap: Literal["longest", "keep"] = "longest"
    rules: list[VocabularyRule] = Field(min_length=1)


class Cue(Strict):
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


class _CueFile(Strict):
    cues: list[Cue] = Field(min_length=1)


NEEDED = ("facts", "requirements", "alerts", "queries")
OPTIONAL = ("cases", "query_facts", "flag_facts", "flags", "candidate_codes")


@dataclass(frozen=True)
class PackInfo:
    """A pack as a list shows it."""

    id: str
    title: str
    version: str
    codes: list[str]
    folder: str
    rank: int = 0
    given: bool = False
    """Whether it lies in a folder that was given; else it ships with Chartgap."""

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


def _shipped() -> Traversable:
    return importlib.resources.files("patterns")


def _common() -> Traversable:
    return _shipped() / "common"


def _folders(extra: Sequence[str | Path]) -> Iterator[tuple[Traversable | Path, bool]]:
    """Folders of packs, and whether each was given."""
    yield from ((folder, False) for folder in _packs_in(_shipped()))
    for given in extra:
        found = list(_packs_in(Path(given)))
        if not found:
            raise PackError(str(given), None, "", "holds no pack (a folder with a pack.yaml)")
        yield from ((folder, True) for folder in found)


def _packs_in(root: Traversable | Path) -> Iterator[Traversable | Path]:
    if (root / "pack.yaml").is_file():
        yield root
        return
    for child in sorted(root.iterdir(), key=lambda c: c.name):
        if child.is_dir() and (child / "pack.yaml").is_file():
            yield child


def available_packs(folders: Sequence[str | Path] = ()) -> list[PackInfo]:
    """Packs that ship with Chartgap, then those in `folders`; those of a lower rank first.

    Raises PackError for an unreadable pack.yaml and for a name that two packs have.
    """
    return sorted((info for info, _folder in _found_packs(folders)), key=lambda info: info.rank)


def pack_covering(infos: Sequence[PackInfo], code: str) -> PackInfo | None:
    """The pack for a code; one that was given stands before one that ships with Chartgap."""
    given = [info for info in reversed(infos) if info.given]
    return next((info for info in (*given, *infos) if info.covers(code)), None)


def load_pack(id_or_folder: str | Path, folders: Sequence[str | Path] = ()) -> Pack:
    """Load and check a pack by name or folder. Raises PackError naming file, line and key."""
    path = Path(id_or_folder)
    if (path / "pack.yaml").is_file():
        return _load(path.resolve())
    found = _found_packs(folders)
    for info, folder in found:
        if info.id == str(id_or_folder):
            return _load(folder)
    hint = did_you_mean(str(id_or_folder), [info.id for info, _folder in found])
    raise PackError(str(id_or_folder), None, "", f"no pack of this name{hint}")


def _found_packs(folders: Sequence[str | Path]) -> list[tuple[PackInfo, Traversable | Path]]:
    found: dict[str, tuple[PackInfo, Traversable | Path]] = {}
    for folder, given in _folders(folders):
        head, file = _head(folder)
        info = PackInfo(head.id, head.title, head.version, list(head.codes), str(folder), head.rank, given)
        other = found.setdefault(head.id, (info, folder))[0].folder
        if Path(other).resolve() != Path(info.folder).resolve():
            raise file.error(("id",), f"{head.id!r} is the name of the pack in {other} already")
    return list(found.values())


def _head(folder: Traversable | Path) -> tuple[PackHead, PackFile]:
    """A folder's pack.yaml with what it takes over from the pack that it uses. Raises PackError."""
    content, shown, lines = file_of(folder, "pack.yaml")
    file = PackFile(shown, lines)
    if isinstance(content, dict) and content.get("uses") is not None:
        uses = validated(Uses, content["uses"], shown, lines, ("uses",))
        other = file_of(_used(folder, uses, file), "pack.yaml")[0]
        taken = {key: other[key] for key in uses.head if key in other} if isinstance(other, dict) else {}
        content = {**taken, **content}
        if isinstance(taken.get("elements"), dict) and isinstance(content["elements"], dict):
            content["elements"] = {**taken["elements"], **content["elements"]}
    return validated(PackHead, content, shown, lines), file


def _used(folder: Traversable | Path, uses: Uses, file: PackFile) -> Traversable | Path:
    """The folder of a used pack: beside the pack itself, or among those that ship with Chartgap. Raises PackError."""
    beside = [folder.parent] if isinstance(folder, Path) else []
    for root in (*beside, _shipped()):
        if (root / uses.pack / "pack.yaml").is_file():
            return root / uses.pack
    raise file.error(("uses", "pack"), f"no pack folder is called {uses.pack!r}")


def _load(folder: Traversable | Path) -> Pack:
    common = _common()
    section_file = _common_file("sections.yaml", SectionsFile)
    sections: SectionsFile = section_file[0]
    titles = _section_titles(*section_file)
    head, head_file = _head(folder)
    used = _used(folder, head.uses, head_file) if head.uses is not None else None
    places = [common, *([used] if used is not None else []), folder]
    macros: dict[str, str] = {}
    for place in places:
        if place is common or (place / "macros.yaml").is_file():
            macros |= macros_of(*file_of(place, "macros.yaml"))
    vocabularies = _vocabularies(folder, head.uses, used)
    PackNames(head).check_head(head_file, titles.values())
    tags = frozenset(t for _, _, v in vocabularies for r in v.rules for t in r.tags or ())
    judging, cases, candidates, candidate_lines = _judging(folder, head, used, tags)
    queries = _query_book(folder, head.spec(head.default_code))
    matcher, conditions = _matcher(head, vocabularies, macros)
    cue_data, cue_shown, cue_lines = file_of(common, "assertion.yaml")
    cues = validated(_CueFile, cue_data, cue_shown, cue_lines).cues
    # A cue is never a misspelling of something else.
    cue_words = sorted({word for cue in cues for literal in cue.words for word in literal.split()})
    normalizer = _normalizer(cue_words, matcher.literals)
    layout = Layout(
        LayoutRules(
            titles=titles,
            short_titles=frozenset(sections.short_titles),
            suffix_titles=frozenset(sections.suffix_titles),
            prefix_titles=frozenset(sections.prefix_titles),
            speakers={who: name for name, whos in sections.speakers.items() for who in whos},
            spoken=_one_pattern(sections.spoken),
            stale=_one_pattern(sections.stale),
            stale_tail=_one_pattern(sections.stale_tail),
            restart=_one_pattern(sections.restart),
            one_line=frozenset(sections.one_line),
            line_starts={word: name for name, words in sections.line_starts.items() for word in words},
            line_starts_not_in=frozenset(sections.line_starts_not_in),
            one_sentence=frozenset(sections.one_sentence),
            yes=frozenset(sections.yes_words),
            no=frozenset(sections.no_words),
        )
    )
    try:
        assertions = Assertions([c.model_dump() for c in cues])
    except ValueError as error:
        raise PackError(cue_shown, line_of(cue_lines, ("cues",)), "cues", str(error)) from None
    reader = Reader(normalizer, layout, matcher, conditions, assertions, sections.assertion)
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
        queries=queries,
        judging=judging_for(judging, head.spec(head.default_code)),
        family_judging=judging,
        candidates=candidates,
        candidate_lines=candidate_lines,
        section_titles=titles,
        age_patterns=[re.compile(p, re.I) for p in sections.age],
        authors=Authors(common / "authors.yaml"),
        cases=cases,
    )


def _normalizer(cue_words: Iterable[str], literals: Set[str]) -> Normalizer:
    words = _common_file("words.yaml", WordsFile)[0]
    return Normalizer(
        words.abbreviations,
        words.spellings or {},
        [*(words.not_typos or []), *cue_words],
        literals | set(cue_words),
        words.mended or [],
    )


def normal_words(phrase: str) -> list[str]:
    """A phrase as the patterns of a vocabulary see it, its own words never taken for misspellings."""
    return _normalizer((), set(phrase.lower().split())).words(phrase).norm


def _common_file(name: str, model: type[ModelT]) -> tuple[ModelT, PackFile]:
    content, shown, lines = file_of(_common(), name)
    return validated(model, content, shown, lines), PackFile(shown, lines)


def _section_titles(sections: SectionsFile, file: PackFile) -> dict[str, str]:
    """The section of every title. A title that stands under two sections is refused."""
    titles: dict[str, str] = {}
    for name, entry in sections.titles.items():
        for i, title in enumerate(entry):
            if titles.setdefault(title, name) != name:
                raise file.error(("titles", name, i), f"{title!r} stands under {titles[title]} already")
    for key in ("line_starts", "line_starts_not_in", "one_line", "one_sentence", "assertion"):
        file.all_known(getattr(sections, key), sections.titles, (key,), "no section is called")
    return titles


def _one_pattern(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(_any_space(p) for p in patterns), re.I) if patterns else None


def _vocabularies(
    folder: Traversable | Path, uses: Uses | None, used: Traversable | Path | None
) -> list[tuple[str, Lines, Vocabulary]]:
    """Files taken over from a used pack, then the pack's own."""
    place = folder / "vocabulary"
    own = sorted(f.name for f in place.iterdir() if f.name.endswith(".yaml")) if place.is_dir() else []
    files = [(folder, name) for name in own]
    if uses is not None and used is not None:
        files = [*((used, f"{name}.yaml") for name in uses.vocabulary), *files]
    if not files:
        raise PackError(f"{folder.name}/vocabulary", None, "", "is missing: it holds the words of the pack")
    found: list[tuple[str, Lines, Vocabulary]] = []
    for origin, name in files:
        content, shown, lines = file_of(origin, f"vocabulary/{name}")
        found.append((shown, lines, validated(Vocabulary, content, shown, lines)))
    return found


def _matcher(
    head: PackHead, vocabularies: Sequence[tuple[str, Lines, Vocabulary]], macros: Mapping[str, str]
) -> tuple[Matcher, dict[int, Conditions]]:
    """The rules made ready, in the order of the files, and their side conditions by number."""
    matcher = Matcher(macros)
    conditions: dict[int, Conditions] = {}
    seen: dict[str, str] = {}
    order = 0
    for shown, lines, vocabulary in vocabularies:
        file = PackFile(shown, lines)
        element = vocabulary.element
        if element not in head.elements:
            hint = did_you_mean(element, head.elements)
            raise file.error(("element",), f"{element!r} is not declared in pack.yaml{hint}")
        for i, spec in enumerate(vocabulary.rules):
            at: tuple[str | int, ...] = ("rules", i)
            name = f"{element}.{spec.id}"
            if name in seen:
                raise file.error((*at, "id"), f"{spec.id!r} stands twice ({seen[name]})")
            seen[name] = f"{shown}:{line_of(lines, (*at, 'id'))}"
            if head.elements[element]:
                what = f"no declared value of {element} is"
                file.known(spec.value, head.elements[element], (*at, "value"), what)
            if not spec.examples.match or not spec.examples.no_match:
                needs = f"rule {spec.id!r} needs a sentence it must match and one it must not"
                raise file.error((*at, "examples"), needs)
            for key in ("sections", "not_sections"):
                file.all_known(getattr(spec, key) or (), head.sections, (*at, key), "no section is called")
            file.all_known(spec.blocks or (), head.elements, (*at, "blocks"), "no element is called")
            data = spec.model_dump(exclude_none=True) | {"overlap": vocabulary.overlap}
            try:
                matcher.add(Rule(name, element, spec.value, list(spec.match), order, data))
                held = Conditions.build(data, macros)
            except (PatternError, re.error) as error:
                raise file.error(at, str(error)) from None
            if any(v not in (None, 0, frozenset()) for v in vars(held).values()):
                conditions[order] = held
            order += 1
    return matcher, conditions


def judging_for(judging: dict[str, Any], spec: CodeSpec) -> dict[str, Any]:
    """A family's facts, requirements, alerts and flags as they read for one of its codes."""
    return {key: filled(value, spec.words, spec.all_lists) for key, value in judging.items()}


def _query_book(folder: Traversable | Path, spec: CodeSpec) -> QueryBook:
    return QueryBook.from_pack_files(
        folder / "queries.yaml", fill=lambda content: filled(content, spec.words, spec.all_lists)
    )


_Files = dict[str, tuple[Any, str, Lines]]


def _judging(
    folder: Traversable | Path, head: PackHead, used: Traversable | Path | None, tags: frozenset[str]
) -> tuple[dict[str, Any], CaseRules, CandidateFile | None, tuple[str, Lines]]:
    """Facts, requirements, alerts and flags as they stand in the files, checked as they read for every code."""
    files: _Files = {name: file_of(folder, f"{name}.yaml") for name in NEEDED}
    files |= {n: file_of(folder, f"{n}.yaml") for n in OPTIONAL if (folder / f"{n}.yaml").is_file()}
    taken: _Files = {}
    if head.uses is not None and used is not None:
        taken = {name: file_of(used, f"{name}.yaml") for name in head.uses.facts}
    checked: list[tuple[_Files, _Files]] = []
    for spec in head.codes.values():
        read, before = (
            {n: (filled(c, spec.words, spec.all_lists), s, li) for n, (c, s, li) in some.items()}
            for some in (files, taken)
        )
        if (read, before) not in checked:
            _check_rules(read, before, head, tags)
            checked.append((read, before))
    cases = validated(CaseRules, *files["cases"]) if "cases" in files else CaseRules()
    candidates = validated(CandidateFile, *files["candidate_codes"]) if "candidate_codes" in files else None
    facts = {name: fact for content, _, _ in taken.values() for name, fact in content.get("facts", {}).items()}
    facts |= {**files["facts"][0]["facts"], **cases.facts}
    # Facts that only queries and flags ask for stand in files of their own, after those that decide statuses.
    for extra in ("query_facts", "flag_facts"):
        facts |= files[extra][0]["facts"] if extra in files else {}
    facts |= candidates.facts if candidates is not None else {}
    requirements = files["requirements"][0]
    # Rules of cases stand before those of requirements.yaml.
    with_cases = [
        {**item, "rules": [*cases.rules.get(item["id"], ()), *item["rules"]]} for item in requirements["requirements"]
    ]
    judging = {
        "facts": {"facts": facts},
        "requirements": {**requirements, "requirements": with_cases},
        "alerts": files["alerts"][0],
        "flags": files["flags"][0] if "flags" in files else {"flags": []},
    }
    shown, lines = (
        files["candidate_codes"][1:] if candidates is not None else (f"{folder.name}/candidate_codes.yaml", {})
    )
    return judging, cases, candidates, (shown, lines)


def _check_rules(files: _Files, taken: _Files, head: PackHead, tags: frozenset[str]) -> None:
    """Check a pack's rules as they read for one code, after the facts `taken` over. Raises PackError."""
    names = PackNames(head, tags)

    def read(name: str, model: type[ModelT], among: _Files = files) -> tuple[PackFile, ModelT]:
        content, shown, lines = among[name]
        return PackFile(shown, lines), validated(model, content, shown, lines)

    for name in taken:
        if name == "cases":
            file, used_cases = read(name, CaseRules, taken)
            names.add_facts(file, FactsFile(facts=used_cases.facts))
        else:
            names.add_facts(*read(name, FactsFile, taken))
    requirement_file, requirements = read("requirements", RequirementsFile)
    alert_file, alerts = read("alerts", AlertsFile)
    alert_ids = [alert.id for alert in alerts.alerts]
    requirement_ids = [spec.id for spec in requirements.requirements]
    names.add_facts(*read("facts", FactsFile))
    names.check_raised(alert_file, alerts)
    names.check_requirements(requirement_file, requirements, alert_ids)
    if "cases" in files:
        names.check_cases(*read("cases", CaseRules), requirement_ids)
    for extra in ("query_facts", "flag_facts"):
        if extra in files:
            names.add_facts(*read(extra, FactsFile))
    flag_ids: list[str] = []
    if "flags" in files:
        flag_file, flags = read("flags", FlagsFile)
        names.check_raised(flag_file, flags)
        flag_ids = [flag.id for flag in flags.flags]
    if "candidate_codes" in files:
        file, candidates = read("candidate_codes", CandidateFile)
        names.add_facts(file, FactsFile(facts=candidates.facts))
        more = (("alert", alert_ids), ("gap", requirement_ids), ("flag", flag_ids))
        names.check_candidates(file, candidates, {f"{kind}_{one}" for kind, ids in more for one in ids})
    names.check_queries(*read("queries", QueryFile), requirement_ids)


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

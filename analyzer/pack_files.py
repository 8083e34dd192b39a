"""The files of a pack as strict shapes, and errors of theirs that name file, line and key and suggest the nearest name.

What these shapes alone cannot say (whether a name used in one file is defined in another) is in analyzer/pack_names.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from analyzer.errors import PackError
from analyzer.report import Assertion, Severity, Status, Verdict
from analyzer.yamlfile import line_of, read_yaml

Lines = dict[tuple[str | int, ...], int]
KeyPath = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)

FACT_KINDS = ("find", "when", "any", "apart", "linked")
RESERVED = frozenset({"and", "or", "not"})
FACT_NAME = re.compile(r"[a-z][a-z0-9_]*")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where a known name is close to a name that is not known, else nothing."""
    near = get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


class Strict(BaseModel):
    """Unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _regex(value: str) -> str:
    try:
        re.compile(value, re.I)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return value


def _rising(value: list[int]) -> list[int]:
    if value[0] > value[1]:
        raise ValueError("the lower number of days comes first")
    return value


Names = Annotated[list[str], BeforeValidator(_listed)]
"""One name, or a list of names."""
Regex = Annotated[str, AfterValidator(_regex)]
Days = Annotated[list[int], Field(min_length=2, max_length=2), AfterValidator(_rising)]
"""Lowest and highest number of days."""
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]


# facts.yaml, query_facts.yaml, flag_facts.yaml


class FactsFile(Strict):
    """`facts` by name, each of one of the kinds below."""

    facts: dict[str, dict[str, Any]]


class Near(Strict):
    """Within so many sentences of another fact's, in the same paragraph or section; or anywhere in `sections`."""

    facts: Names = Field(min_length=1)
    within: int = Field(ge=0)
    sections: Names = Field(default_factory=list)


class FindFact(Strict):
    """Mentions of elements that count."""

    find: Names = Field(min_length=1)
    value: Names = Field(default_factory=list)
    assertion: Names = Field(default_factory=list)
    tied: Names = Field(default_factory=list)
    in_sections: Names = Field(default_factory=list, alias="in")
    not_in: Names = Field(default_factory=list)
    first_in: Names = Field(default_factory=list)
    tags: Names = Field(default_factory=list)
    not_tags: Names = Field(default_factory=list)
    site: Names = Field(default_factory=list)
    same: Names = Field(default_factory=list)
    not_same: Names = Field(default_factory=list)
    near: Near | None = None
    stale: bool = True
    unassessed: bool = False
    accountable: bool = False
    after_event: bool = False
    within_days: int | None = None
    most: int = 400
    least: int = 1


class WhenFact(Strict):
    """An expression over facts above, shown where those of `spots` are said."""

    when: Text
    spots: Names = Field(default_factory=list)


class AnyFact(Strict):
    """One fact at least of several."""

    any: list[str] = Field(min_length=1)


class ApartFact(Strict):
    """Two facts that different notes of one encounter say."""

    apart: list[str] = Field(min_length=2, max_length=2)


class FocusFact(Strict):
    linked: Literal["focus"]
    is_: Literal["target", "neighbour", "vague"] = Field(alias="is")


class PlainFact(Strict):
    linked: Literal["stale", "has_assessment", "vague_date"]


class EventFact(Strict):
    linked: Literal["event"]
    value: Names = Field(default_factory=list)
    specific: bool = False
    certain: bool = False
    score: float | None = None
    against: bool = False


class OtherEventFact(Strict):
    linked: Literal["other_event"]
    against: bool = False


class DateFact(Strict):
    linked: Literal["date"]
    days: Days | None = None


class DateConflictFact(Strict):
    linked: Literal["date_conflict"]
    side: Annotated[int, Field(ge=0, le=1)] | None = None


class NoteFact(Strict):
    linked: Literal["note"]
    key: Literal["setting", "author_role", "note_type", "code", "judged_code"]
    matches: Regex


class SettingFact(Strict):
    linked: Literal["setting"]
    is_: Literal["inpatient", "outpatient"] = Field(alias="is")


class AgeFact(Strict):
    linked: Literal["age"]
    of: str
    days: Days
    within: int = Field(ge=0)
    labels: list[str | None] = Field(min_length=1)


LINKED: dict[str, type[Strict]] = {
    name: model
    for model in (
        FocusFact,
        PlainFact,
        EventFact,
        OtherEventFact,
        DateFact,
        DateConflictFact,
        NoteFact,
        SettingFact,
        AgeFact,
    )
    for name in get_args(model.model_fields["linked"].annotation)
}
_KINDS: dict[str, type[Strict]] = {"find": FindFact, "when": WhenFact, "any": AnyFact, "apart": ApartFact}


# requirements.yaml


class RequirementRule(Strict):
    """The status a requirement gets when the expression holds. `a` and `b` are the sides of a conflict."""

    status: Status
    when: Text
    reason: Text
    evidence: list[str] = Field(default_factory=list)
    a: list[str] = Field(default_factory=list)
    b: list[str] = Field(default_factory=list)
    value: Any = None


class Outcome(Strict):
    """A value that a fact brings with it."""

    fact: str
    value: str | None = Field(alias="is")


class Outcomes(Strict):
    """Values that a fact brings with it."""

    fact: str
    values: list[str] = Field(alias="is")


class Order(Strict):
    """Another order of values, for where a fact holds."""

    fact: str
    order: list[str] = Field(min_length=1)


class ValueSet(Strict):
    """Values (or sites) of the first group of facts that says one, in `order`."""

    of: Literal["value", "site"]
    order: list[str] = Field(min_length=1)
    groups: list[list[str]] = Field(min_length=1)
    orders: list[Order] = Field(default_factory=list)
    when: list[Outcomes] = Field(default_factory=list)
    minus: list[str] = Field(default_factory=list)
    without: dict[str, str] = Field(default_factory=dict)


class SetValue(ValueSet):
    kind: Literal["set"]


class PartsValue(Strict):
    kind: Literal["parts"]
    parts: dict[str, ValueSet] = Field(min_length=1)


class FirstValue(Strict):
    kind: Literal["first"]
    first: list[Outcome] = Field(min_length=1)


class PlainValue(Strict):
    kind: Literal["none", "event", "date"]


Value = Annotated[SetValue | PartsValue | FirstValue | PlainValue, Field(discriminator="kind")]


class RequirementSpec(Strict):
    """One requirement: the first rule that holds decides; `missing` is said where none does."""

    id: Id
    label: Text
    basis: Literal["coding", "audit"]
    sources: list[str] = Field(min_length=1)
    value: Value
    missing: Text
    rules: list[RequirementRule] = Field(min_length=1)


class VerdictRule(Strict):
    """The first that holds decides, and the last one where none does."""

    verdict: Verdict
    rule: Id
    when: Text
    alerts: list[str] = Field(default_factory=list)
    requirements: list[str] = Field(default_factory=list)


class RequirementsFile(Strict):
    """requirements.yaml. A note that raises `irrelevant_alert` is not about the code at all."""

    irrelevant_alert: str
    requirements: list[RequirementSpec] = Field(min_length=1)
    verdict: list[VerdictRule] = Field(min_length=1)


# alerts.yaml, flags.yaml, macros.yaml


class FlagSpec(Strict):
    """Something to say of a note where the expression holds."""

    id: Id
    when: Text
    message: Text
    evidence: list[str] = Field(default_factory=list)
    source: Text


class FlagsFile(Strict):
    """flags.yaml."""

    flags: list[FlagSpec]


class AlertSpec(FlagSpec):
    """A flag that bears on the verdict, with the codes it points to."""

    severity: Severity
    codes: list[str] = Field(default_factory=list)


class AlertsFile(Strict):
    """alerts.yaml."""

    alerts: list[AlertSpec] = Field(min_length=1)


# pack.yaml


class LinkingSections(Strict):
    """Where an event is likely told, where it is not, where studies are read, where no date is the event's."""

    good_for_events: list[str] = Field(default_factory=list)
    poor_for_events: list[str] = Field(default_factory=list)
    studies: list[str] = Field(default_factory=list)
    undated: list[str] = Field(default_factory=list)


class Linking(Strict):
    """Which elements play which part when mentions are tied together. A pack names those it has."""

    site: str | None = None
    elsewhere: str | None = None
    complaint: str | None = None
    injury: str | None = None
    cause: str | None = None
    etiology: str | None = None
    phase: str | None = None
    event: str | None = None
    event_date: Id | None = None
    study: str | None = None
    study_state: str | None = None
    finding: str | None = None
    # Values that the parts above are told apart by.
    unspecified_site: str | None = None
    unspecified_event: str | None = None
    strong_cause: str | None = None
    phase_over: str | None = None
    study_pending: str | None = None
    study_said: str | None = None
    no_problem_values: list[str] = Field(default_factory=list)
    event_order: list[str] = Field(default_factory=list)
    assessment_sections: list[str] = Field(default_factory=lambda: ["assessment", "addendum"])
    sections: LinkingSections = Field(default_factory=LinkingSections)
    # Words by which events and dates are weighed.
    not_this_event: list[str] = Field(default_factory=list)
    reconciled: list[str] = Field(default_factory=list)
    date_labels: list[str] = Field(default_factory=list)
    onset_words: list[str] = Field(default_factory=list)
    not_event_date_before: list[str] = Field(default_factory=list)


ELEMENT_ROLES = (
    "site",
    "elsewhere",
    "complaint",
    "injury",
    "cause",
    "etiology",
    "phase",
    "event",
    "study",
    "study_state",
    "finding",
)
VALUE_ROLES = {
    "unspecified_site": "site",
    "unspecified_event": "event",
    "strong_cause": "cause",
    "phase_over": "phase",
    "study_pending": "study_state",
    "study_said": "study_state",
    "event_order": "event",
    "no_problem_values": "finding",
}
"""Which role's element a value of `linking` belongs to."""


class CodeSpec(Strict):
    """One code of the family: which region values are its own, which neighbours.

    `regions` says how this code calls a region that it does not tell apart; a `last_resort` is chosen for a note only
    where no other code of the pack fits. `words` and `lists` stand in for `{name}` and `$name` in the pack's rules;
    `$target`, `$neighbours` and `$regions` (both) are always there. `title` is shown where the code table does not
    carry the code.
    """

    target: list[str] = Field(default_factory=list)
    neighbours: list[str] = Field(default_factory=list)
    regions: dict[str, str] = Field(default_factory=dict)
    last_resort: bool = False
    words: dict[str, str] = Field(default_factory=dict)
    lists: dict[str, list[str]] = Field(default_factory=dict)
    title: str | None = None

    @property
    def all_lists(self) -> dict[str, list[str]]:
        """Every list that a rule may name."""
        both = [*self.target, *self.neighbours]
        return {"target": self.target, "neighbours": self.neighbours, "regions": both, **self.lists}


class Uses(Strict):
    """What a pack takes over from another: entries of its pack.yaml, its macros, vocabulary files and files of facts.

    Entries that both packs have are the pack's own, but for `elements`, which add up. Facts taken over come before the
    pack's own and may be asked for by them.
    """

    pack: Text
    head: list[Literal["elements", "linking", "sections", "inner_values"]] = Field(default_factory=list)
    vocabulary: list[str] = Field(default_factory=list)
    facts: list[Literal["facts", "cases", "query_facts"]] = Field(default_factory=list)


FAMILY = "-"
"""Ends a code that stands for every reportable code below it."""


def covering(entries: Iterable[str], code: str) -> str | None:
    """Which of a pack's code entries is a code's own: the code itself, else the longest family it belongs to."""
    fitting = [e for e in entries if e == code or (e.endswith(FAMILY) and code.startswith(e.removesuffix(FAMILY)))]
    return max(fitting, key=lambda e: (e == code, len(e)), default=None)


class PackHead(Strict):
    """pack.yaml. Of several packs the one of the lowest `rank` is used where no code asks for another."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Text
    version: Text
    default_code: str
    codes: dict[str, CodeSpec] = Field(min_length=1)
    elements: dict[str, list[str]] = Field(min_length=1)
    shown: list[str]
    inner_values: list[str] = Field(default_factory=list)
    sections: list[str] = Field(min_length=1)
    linking: Linking
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


# patterns/common


class WordsFile(Strict):
    """common/words.yaml."""

    abbreviations: dict[str, str]
    spellings: dict[str, str] | None = None
    mended: list[str] | None = None
    not_typos: list[str] | None = None


Patterns = list[Regex]


class SectionsFile(Strict):
    """common/sections.yaml."""

    titles: dict[str, list[str]] = Field(min_length=1)
    short_titles: list[str]
    suffix_titles: list[str]
    prefix_titles: list[str]
    speakers: dict[str, list[str]]
    spoken: Patterns = Field(default_factory=list)
    restart: Patterns = Field(default_factory=list)
    stale: Patterns = Field(default_factory=list)
    stale_tail: Patterns = Field(default_factory=list)
    one_line: list[str]
    line_starts: dict[str, list[str]]
    line_starts_not_in: list[str]
    one_sentence: list[str]
    yes_words: list[str]
    no_words: list[str]
    assertion: dict[str, Assertion]
    age: Patterns


# Reading


def file_of(folder: Traversable | Path, name: str) -> tuple[Any, str, Lines]:
    """A file's content, how errors name it, and its lines. Raises PackError for one that is missing or no YAML."""
    shown = f"{folder.name}/{name}"
    file = folder
    for part in name.split("/"):
        file = file / part
    if not file.is_file():
        raise PackError(shown, None, "", "is missing")
    content, lines = read_yaml(file, shown)
    return content, shown, lines


def validated(model: type[ModelT], content: Any, shown: str, lines: Lines, at: KeyPath = ()) -> ModelT:
    """The content as a model. Raises PackError naming file, line and key; `at` is where in the file it stands."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # A misspelt key is the cause of the key that is then missing.
        first = next((e for e in details if e["type"] == "extra_forbidden"), details[0])
        path = _without_tags(model, first["loc"])
        raise _error(shown, lines, (*at, *path), _explained(model, first, path)) from None


def fact_of(spec: dict[str, Any], shown: str, lines: Lines, at: KeyPath) -> Strict:
    """One fact as the shape of its kind. Raises PackError."""
    kinds = [kind for kind in FACT_KINDS if kind in spec]
    if len(kinds) != 1:
        wrong = f"{' and '.join(kinds)} cannot stand together" if kinds else f"needs one of {', '.join(FACT_KINDS)}"
        near = next((hint for key in spec if not kinds and (hint := did_you_mean(str(key), FACT_KINDS))), "")
        raise _error(shown, lines, at, wrong + near)
    model = _KINDS.get(kinds[0])
    if model is None:
        what = spec["linked"]
        model = LINKED.get(what) if isinstance(what, str) else None
        if model is None:
            reason = f"nothing linked is called {what!r}{did_you_mean(str(what), LINKED)}"
            raise _error(shown, lines, (*at, "linked"), reason)
    return validated(model, spec, shown, lines, at)


def macros_of(content: Any, shown: str, lines: Lines) -> dict[str, str]:
    """macros.yaml: patterns, or lists of alternatives, by name. Raises PackError."""
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _error(shown, lines, (), "must be a mapping of names to patterns")
    out: dict[str, str] = {}
    for name, value in content.items():
        at = (str(name),)
        if not isinstance(name, str) or not FACT_NAME.fullmatch(name):
            raise _error(shown, lines, at, "is no name of a macro (small letters, digits and _)")
        alternatives = value if isinstance(value, list) else [value]
        if not alternatives or not all(isinstance(one, str) for one in alternatives):
            raise _error(shown, lines, at, "must be a pattern or a list of patterns, written as text")
        out[name] = "|".join(alternatives)
    return out


def _error(shown: str, lines: Lines, path: KeyPath, reason: str) -> PackError:
    return PackError(shown, line_of(lines, path), ".".join(map(str, path)), reason)


def _explained(model: type[BaseModel], error: Any, path: KeyPath) -> str:
    reason = str(error["msg"]).removeprefix("Value error, ").partition(" or instance of ")[0]
    given = error["input"]
    if error["type"] == "extra_forbidden":
        known = [name for held in _models_at(model, path[:-1]) for name in _keys(held)]
        return f"is not permitted here{did_you_mean(str(path[-1]), known)}"
    if error["type"] == "literal_error" and isinstance(given, str):
        return f"{given!r} is none of {error['ctx']['expected']}" + did_you_mean(
            given, re.findall(r"'([^']+)'", error["ctx"]["expected"])
        )
    if error["type"] == "union_tag_invalid":
        tags = re.findall(r"'([^']+)'", error["ctx"]["expected_tags"])
        return f"kind: {error['ctx']['tag']!r} is none of {', '.join(tags)}" + did_you_mean(error["ctx"]["tag"], tags)
    if error["type"] == "string_type" and isinstance(given, bool | int | float):
        # What YAML makes of a bare yes, no, on, off or 1.0.
        return f"{reason}, and this is {str(given).lower()}: write it in quotes"
    return reason


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield field.alias or name


def _models_at(kind: Any, path: KeyPath) -> list[type[BaseModel]]:
    """The models that may stand at a key path inside an annotation."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not path:
            return [kind]
        for name, field in kind.model_fields.items():
            if path[0] == (field.alias or name):
                return _models_at(field.annotation, path[1:])
        return []
    origin = get_origin(kind)
    if origin is Annotated:
        return _models_at(get_args(kind)[0], path)
    if origin in (list, dict) and path:
        return _models_at(get_args(kind)[-1], path[1:])
    if origin is Union or type(kind).__name__ == "UnionType":
        return [held for one in get_args(kind) for held in _models_at(one, path)]
    return []


_TAGS = {"set", "parts", "first", "none", "event", "date"}


def _without_tags(model: type[BaseModel], loc: tuple[str | int, ...]) -> KeyPath:
    """The key path in the file: pydantic also names the kind of a value that it chose by its `kind`."""
    path = list(loc)
    for i in range(len(path) - 1):
        if path[i] == "value" and path[i + 1] in _TAGS:
            del path[i + 1]
            break
    return tuple(path)

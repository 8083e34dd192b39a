"""Candidate codes for the coder's review, by a pack's own rules. Nothing here assigns a code or knows one.

A pack's `candidate_codes.yaml` holds facts that only these rules ask for and the rules in the order in which a coder
would list their codes. A rule speaks when its expression over facts, alerts, flags and gaps holds; its code is written
out, or put together from parts that follow what the note says, and gets the 7th character of the treatment phase.
A code ending in "-" points to a family whose member only a person can choose. Every code is looked up in the release
of the date of service; one that this release does not hold is not offered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from analyzer.codes import CodeTable
from analyzer.errors import CodeError
from analyzer.judging import ExpressionError, Fact, Node, Spot, compile_expression
from analyzer.note import IsoDate
from analyzer.report import Relation

POINTER = "-"
"""Ends a code that names a family, not a member."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Case(_Strict):
    """One outcome and when it holds; without `when` it holds always."""

    when: str | None = None
    value: str | None = Field(alias="is")


def _cases(value: Any) -> Any:
    return [{"is": value}] if isinstance(value, str) or value is None else value


Cases = Annotated[list[Case], BeforeValidator(_cases), Field(min_length=1)]
"""The first that holds decides; a plain text holds always."""


class Part(_Strict):
    """A piece of a code by what a fact's mentions say: the first of `values` among them, in the order written."""

    by: str
    values: dict[str, str] = Field(alias="is", min_length=1)
    otherwise: str | None = None


def _parts(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


class CandidateExample(_Strict):
    """A small note, for which the rule gives `gives` (any of its codes where left out) or, under no_match, nothing."""

    text: str
    date: IsoDate | None = None
    code: str | None = None
    setting: Literal["outpatient", "inpatient"] | None = None
    author_role: str | None = None
    gives: str | None = None
    relation: Relation | None = None


class CandidateExamples(_Strict):
    """Both kinds are asked for: a rule is known by what it leaves alone."""

    match: list[CandidateExample] = Field(min_length=1)
    no_match: list[CandidateExample] = Field(min_length=1)


class CandidateRule(_Strict):
    """One rule. `only`: the codes for which it is meant; `unless_given`: it is silent where these rules have spoken."""

    id: str
    when: str
    only: list[str] | None = None
    unless_given: list[str] = Field(default_factory=list)
    code: Annotated[list[str | Part], BeforeValidator(_parts), Field(min_length=1)]
    seventh: Cases | None = None
    relation: Cases
    pair: Cases | None = None
    reason: str
    evidence: list[str] = Field(default_factory=list)
    source: str
    examples: CandidateExamples


class CandidateFile(_Strict):
    """candidate_codes.yaml. `example_date` is the date of service of examples that give none."""

    example_date: IsoDate
    facts: dict[str, Any] = Field(default_factory=dict)
    rules: list[CandidateRule] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A code offered for review, with the rule that offers it and the places in the note it rests on."""

    code: str
    relation: Relation
    pair: str | None
    rule: str
    reason: str
    spots: tuple[Spot, ...]


class _Choice:
    """Compiled cases."""

    def __init__(self, cases: Sequence[Case] | None, names: Iterable[str]) -> None:
        self._cases = [(compile_expression(c.when, names) if c.when else None, c.value) for c in cases or ()]

    def of(self, env: Mapping[str, bool]) -> str | None:
        return next((value for node, value in self._cases if node is None or node(env)), None)

    @property
    def values(self) -> list[str | None]:
        return [value for _node, value in self._cases]


class _Rule:
    def __init__(self, spec: CandidateRule, names: Iterable[str], facts: Iterable[str], given: Iterable[str]) -> None:
        self.spec = spec
        self._when: Node = compile_expression(spec.when, names)
        self._seventh = _Choice(spec.seventh, names)
        self._relation = _Choice(spec.relation, names)
        self._pair = _Choice(spec.pair, names)
        known = set(facts)
        for name in [*spec.evidence, *(p.by for p in spec.code if isinstance(p, Part))]:
            if name not in known:
                raise ExpressionError(f"no fact is called {name!r}")
        if wrong := set(spec.unless_given) - set(given):
            raise ExpressionError(f"no rule above is called {min(wrong)!r}")
        for value in self._relation.values:
            if value not in get_args(Relation):
                raise ExpressionError(f"{value!r} is no relation")

    def holds(self, env: Mapping[str, bool]) -> bool:
        return self._when(env)

    def relation(self, env: Mapping[str, bool]) -> Relation | None:
        return self._relation.of(env)  # type: ignore[return-value]

    def pair(self, env: Mapping[str, bool]) -> str | None:
        return self._pair.of(env)

    def written(self, facts: Mapping[str, Fact], env: Mapping[str, bool]) -> tuple[str, str | None] | None:
        """The code as the rule writes it, and its 7th character; None where a part is not said."""
        pieces: list[str] = []
        for part in self.spec.code:
            piece = part if isinstance(part, str) else _said(part, facts)
            if piece is None:
                return None
            pieces.append(piece)
        return "".join(pieces), self._seventh.of(env)

    def possible(self) -> Iterator[tuple[str, str | None]]:
        """Every code and 7th character that the rule can write."""
        choices = [[p] if isinstance(p, str) else _all(p) for p in self.spec.code]
        for pieces in product(*choices):
            for seventh in self._seventh.values or [None]:
                yield "".join(pieces), seventh


def _said(part: Part, facts: Mapping[str, Fact]) -> str | None:
    said = {spot.value for spot in facts[part.by].spots}
    return next((piece for value, piece in part.values.items() if value in said), part.otherwise)


def _all(part: Part) -> list[str]:
    return [*part.values.values(), *([part.otherwise] if part.otherwise is not None else [])]


def full_form(table: CodeTable, code: str, seventh: str | None) -> str:
    """The code with its placeholders and 7th character, or a family pointer as it is. Raises CodeError."""
    if code.endswith(POINTER):
        table.lookup(code.rstrip(POINTER).rstrip("."))
        return code
    entry = table.lookup(code)
    if seventh is None:
        if entry.leaf:
            return entry.code
        raise CodeError(f"{code}: not a complete code")
    if seventh not in entry.seventh or not entry.stem:
        raise CodeError(f"{code}: takes no 7th character {seventh}")
    return entry.stem + seventh


class Candidates:
    """The candidate rules of a pack, compiled for one of its codes. Raises ExpressionError naming the rule."""

    def __init__(self, rules: Sequence[CandidateRule], names: Sequence[str], facts: Sequence[str], code: str) -> None:
        self._rules: list[_Rule] = []
        given: list[str] = []
        for spec in rules:
            try:
                rule = _Rule(spec, names, facts, given)
            except ExpressionError as error:
                raise ExpressionError(f"{spec.id}: {error}") from None
            given.append(spec.id)
            if spec.only is None or code in spec.only:
                self._rules.append(rule)

    def suggest(self, facts: Mapping[str, Fact], env: Mapping[str, bool], table: CodeTable) -> list[Candidate]:
        """The codes to look at, in the order in which a coder would list them; each once."""
        out: list[Candidate] = []
        spoken: set[str] = set()
        for rule in self._rules:
            if not spoken.isdisjoint(rule.spec.unless_given) or not rule.holds(env):
                continue
            written, relation = rule.written(facts, env), rule.relation(env)
            if written is None or relation is None:
                continue
            try:
                code = full_form(table, *written)
            except CodeError:
                continue
            spoken.add(rule.spec.id)
            if any(c.code == code for c in out):
                continue
            spots = [s for name in rule.spec.evidence for s in facts[name].spots]
            out.append(Candidate(code, relation, rule.pair(env), rule.spec.id, rule.spec.reason, tuple(spots)))
        return out

    def possible(self) -> Iterator[tuple[str, str, str | None]]:
        """Every (rule, code, 7th character) that these rules can write, for checking against a code table."""
        for rule in self._rules:
            for code, seventh in rule.possible():
                yield rule.spec.id, code, seventh


def example_date(example: CandidateExample, file: CandidateFile) -> date | None:
    """The date of service of an example."""
    return example.date or file.example_date

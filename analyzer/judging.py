"""From linked mentions to statuses, alerts, flags and verdict, by rules that stand in the pack.

A pack names *facts* (which mentions count for what) and writes its rules as expressions over them, such as
`healed and not acute_now`. The first rule that holds decides a requirement. Nothing here knows a requirement by name.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from analyzer.dates import DateReader
from analyzer.linking import Linked
from analyzer.reading.reader import Mention

SAID = ("affirmed", "historical")
_TOKEN = re.compile(r"\s*(\(|\)|[a-z][a-z0-9_]*)")


class ExpressionError(ValueError):
    """A rule's expression that cannot be read."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the note that a fact rests on."""

    start: int
    end: int
    segment: int
    assertion: str
    value: str = ""
    site: tuple[str, ...] = ()


@dataclass(slots=True)
class Fact:
    """Whether something holds, and where it is said."""

    holds: bool
    spots: list[Spot] = field(default_factory=list)


Node = Callable[[Mapping[str, bool]], bool]


def _either(left: Node, right: Node) -> Node:
    return lambda env: left(env) or right(env)


def _both(left: Node, right: Node) -> Node:
    return lambda env: left(env) and right(env)


def compile_expression(text: str, names: Iterable[str]) -> Node:
    """A boolean expression over fact names with and, or, not and parentheses. Raises ExpressionError."""
    known = set(names)
    tokens: list[str] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"cannot read {text[position : position + 12]!r}")
        tokens.append(match.group(1))
        position = match.end()
    at = 0

    def peek() -> str | None:
        return tokens[at] if at < len(tokens) else None

    def take() -> str:
        nonlocal at
        if at >= len(tokens):
            raise ExpressionError("ends too early")
        at += 1
        return tokens[at - 1]

    def either() -> Node:
        node = both()
        while peek() == "or":
            take()
            left, right = node, both()
            node = _either(left, right)
        return node

    def both() -> Node:
        node = single()
        while peek() == "and":
            take()
            left, right = node, single()
            node = _both(left, right)
        return node

    def single() -> Node:
        word = take()
        if word == "not":
            inner = single()
            return lambda env: not inner(env)
        if word == "(":
            inner = either()
            if take() != ")":
                raise ExpressionError("a parenthesis is not closed")
            return inner
        if word in ("and", "or", ")"):
            raise ExpressionError(f"{word!r} stands where a fact should")
        if word not in known:
            raise ExpressionError(f"no fact is called {word!r}")
        return lambda env, name=word: env[name]  # type: ignore[misc]

    result = either()
    if at != len(tokens):
        raise ExpressionError(f"cannot read past {tokens[at]!r}")
    return result


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


@dataclass(slots=True)
class _Case:
    """One linked reading under judgement: what is known so far, and its mentions by element."""

    linked: Linked
    service: date | None
    about: Mapping[str, str | None]
    facts: dict[str, Fact]
    holds: dict[str, bool]
    by_element: dict[str, list[Mention]]
    by_elements: dict[frozenset[str], list[Mention]] = field(default_factory=dict)

    def mentions(self, elements: frozenset[str]) -> list[Mention]:
        """Mentions of some elements in text order."""
        found = self.by_elements.get(elements)
        if found is None:
            present = [e for e in elements if e in self.by_element]
            if len(present) < 2:
                found = self.by_element[present[0]] if present else []
            else:
                found = [m for m in self.linked.reading.mentions if m.element in elements]
            self.by_elements[elements] = found
        return found


@dataclass(frozen=True, slots=True)
class _Search:
    """A fact's `find` entry, made ready once: None where the pack asks for nothing."""

    elements: frozenset[str]
    values: frozenset[str] | None
    assertions: frozenset[str]
    tied: frozenset[str] | None
    sections: frozenset[str] | None
    not_sections: frozenset[str]
    tags: frozenset[str]
    not_tags: frozenset[str]
    stale: bool
    unassessed: bool
    sites: frozenset[str] | None
    same: tuple[str, ...]
    not_same: tuple[str, ...]
    near: tuple[str, ...]
    near_within: int
    near_sections: frozenset[str]
    within_days: int | None
    after_event: bool
    rank: Mapping[str, int]
    most: int
    least: int

    @classmethod
    def build(cls, spec: Mapping[str, Any]) -> _Search:
        """From a pack's entry."""

        def asked(key: str) -> frozenset[str] | None:
            return frozenset(_listed(spec.get(key))) or None

        near = spec.get("near") or {}
        return cls(
            elements=frozenset(_listed(spec["find"])),
            values=asked("value"),
            assertions=asked("assertion") or frozenset(SAID),
            tied=asked("tied"),
            sections=asked("in"),
            not_sections=asked("not_in") or frozenset(),
            tags=asked("tags") or frozenset(),
            not_tags=asked("not_tags") or frozenset(),
            stale=spec.get("stale", True),
            unassessed=spec.get("unassessed", False),
            sites=asked("site"),
            same=tuple(_listed(spec.get("same"))),
            not_same=tuple(_listed(spec.get("not_same"))),
            near=tuple(_listed(near.get("facts"))),
            near_within=int(near.get("within", 0)),
            near_sections=frozenset(near.get("sections", ())),
            within_days=int(spec["within_days"]) if "within_days" in spec else None,
            after_event=bool(spec.get("after_event")),
            rank={section: i for i, section in enumerate(_listed(spec.get("first_in")))},
            most=int(spec.get("most", 400)),
            least=int(spec.get("least", 1)),
        )

    def found(self, case: _Case) -> list[Mention]:
        """The mentions that count, in text order."""
        pool = case.mentions(self.elements)
        if not pool:
            return []
        facts, linked, service = case.facts, case.linked, case.service
        same = [{s.segment for s in facts[f].spots} for f in self.same]
        not_same = [{s.segment for s in facts[f].spots} for f in self.not_same]
        near_at = sorted({s.segment for f in self.near for s in facts[f].spots})
        segments = linked.reading.segments
        out: list[Mention] = []
        for m in pool:
            if m.assertion not in self.assertions or (self.values is not None and m.value not in self.values):
                continue
            if self.tied is not None and m.tied not in self.tied:
                continue
            if self.sites is not None and self.sites.isdisjoint(m.site):
                continue
            segment = segments[m.segment]
            if self.sections is not None and segment.section not in self.sections:
                continue
            if segment.section in self.not_sections:
                continue
            if not self.tags <= m.tags or not self.not_tags.isdisjoint(m.tags):
                continue
            if not self.stale and segment.stale:
                continue
            if self.unassessed and m.segment not in linked.unassessed:
                continue
            written = linked.segment_dates.get(m.segment)
            if written is not None:
                # A sentence that dates itself months back does not speak of now.
                old = service is not None and (service - written).days
                if self.within_days is not None and old and old > self.within_days:
                    continue
                if self.after_event and linked.date is not None:
                    # What is dated before the injury is about another one.
                    began = linked.date.mention.earliest
                    if began is not None and (began - written).days > 30:
                        continue
            if any(m.segment not in s for s in same) or any(m.segment in s for s in not_same):
                continue
            if self.near:
                reach, block = self.near_within, segment.block
                window = near_at[bisect_left(near_at, m.segment - reach) : bisect_right(near_at, m.segment + reach)]
                anywhere = bool(near_at) and segment.section in self.near_sections
                if not anywhere and not any(
                    segments[j].block == block or segments[j].section == segment.section for j in window
                ):
                    continue
            out.append(m)
        return out

    def __call__(self, case: _Case) -> Fact:
        """The fact."""
        found = self.found(case)
        if self.rank and len(found) > 1:
            # What a reader would quote first: the examination before the history, and so on.
            segments, last = case.linked.reading.segments, len(self.rank)
            found.sort(key=lambda m: self.rank.get(segments[m.segment].section, last))
        spots = [_spot(m) for m in found[: self.most]]
        return Fact(len(spots) >= self.least, spots)


class FactBook:
    """The facts of one pack, evaluated for one linked reading."""

    def __init__(self, specs: Mapping[str, Mapping[str, Any]], dates: DateReader) -> None:
        self._dates = dates
        self._names = list(specs)
        self._rules = [(name, self._rule(spec)) for name, spec in specs.items()]

    @property
    def names(self) -> list[str]:
        """All fact names, in the pack's order."""
        return list(self._names)

    def evaluate(self, linked: Linked, service: date | None, about: Mapping[str, str | None]) -> dict[str, Fact]:
        """Every fact. A fact may rest only on facts above it. `about` is what is known of the note beside its text."""
        by_element: dict[str, list[Mention]] = {}
        for m in linked.reading.mentions:
            by_element.setdefault(m.element, []).append(m)
        case = _Case(linked, service, about, {}, dict.fromkeys(self._names, False), by_element)
        for name, rule in self._rules:
            fact = case.facts[name] = rule(case)
            case.holds[name] = fact.holds
        return case.facts

    def _rule(self, spec: Mapping[str, Any]) -> Callable[[_Case], Fact]:
        """How one fact is found out."""
        if "find" in spec:
            return _Search.build(spec)
        if "when" in spec:
            return _when(compile_expression(spec["when"], self._names), _listed(spec.get("spots")))
        if "any" in spec:
            return _any(list(spec["any"]))
        if "apart" in spec:
            return _apart(*spec["apart"])
        if spec["linked"] == "note":
            pattern, key = re.compile(spec["matches"], re.I), spec["key"]
            return lambda case: Fact(pattern.search(case.about.get(key) or "") is not None)
        if spec["linked"] == "setting":
            return lambda case: Fact(case.about.get("setting") == spec.get("is"))
        if spec["linked"] == "age":
            return lambda case: self._age(spec, case.linked, case.facts[spec["of"]], case.service)
        return lambda case: self._linked(spec["linked"], spec, case.linked, case.service)

    def _age(self, spec: Mapping[str, Any], linked: Linked, dated: Fact, service: date | None) -> Fact:
        """Whether the latest date standing beside a fact's mentions lies `days` (lowest, highest) before the visit."""
        if service is None:
            return Fact(False)
        ages: dict[int, Spot] = {}
        for spot in dated.spots:
            segment = linked.reading.segments[spot.segment]
            part = linked.reading.told(spot.segment)
            told = part.service if part is not None else service
            found = self._dates.find(linked.reading.text[segment.start : segment.end], told)
            beside = [
                (max(d.start - (spot.end - segment.start), spot.start - segment.start - d.end), d.start, d.latest)
                for d in found
                if d.latest is not None and d.kind in ("absolute", "relative") and d.label in spec["labels"]
            ]
            if beside and min(beside)[0] <= spec["within"]:
                ages.setdefault((service - min(beside)[2]).days, spot)
        if not ages:
            return Fact(False)
        low, high = spec["days"]
        youngest = min(ages)
        return Fact(low <= youngest <= high, [ages[youngest]])

    @staticmethod
    def _linked(what: str, spec: Mapping[str, Any], linked: Linked, service: date | None) -> Fact:
        if what == "focus":
            return Fact(linked.focus == spec.get("is"))
        if what == "stale":
            old = [(i, s) for i, s in enumerate(linked.reading.segments) if s.stale]
            return Fact(bool(old), [Spot(s.start, s.end, i, "affirmed") for i, s in old])
        if what == "has_assessment":
            return Fact(linked.has_assessment)
        if what == "event":
            event = linked.event
            if event is None:
                return Fact(False)
            if spec.get("specific") and event.value == "unspecified":
                return Fact(False)
            if event.score < float(spec.get("score", -99)):
                return Fact(False)
            if "value" in spec and event.value not in _listed(spec["value"]):
                return Fact(False)
            told = [e for e in linked.events if e is event or (e.value == event.value and e.score >= 3)]
            # The account of what happened before a later mention of it.
            told.sort(key=lambda e: (e.segment in linked.assessed, -e.score, e.segment))
            spots = [
                _spot(m)
                for e in told
                for m in sorted(e.mentions, key=lambda m: ("landing" not in m.tags, -(m.end - m.start), m.start))[:2]
            ]
            if spec.get("certain") and all(m.assertion == "possible" for e in told for m in e.mentions):
                return Fact(False)
            return Fact(True, spots)
        if what == "other_event":
            event = linked.other_event
            return Fact(event is not None, [_spot(m) for m in event.mentions] if event else [])
        if what == "date":
            if linked.date is None:
                return Fact(False)
            c = linked.date
            if "days" in spec:
                low, high = spec["days"]
                if service is None or c.mention.latest is None or c.mention.earliest is None:
                    return Fact(False)
                age = (service - c.mention.latest).days
                if not low <= age <= high:
                    return Fact(False)
            return Fact(True, [Spot(c.start, c.end, c.segment, "affirmed")])
        if what == "vague_date":
            spots = [Spot(c.start, c.end, c.segment, "affirmed") for c in linked.vague_dates]
            return Fact(bool(spots), spots)
        if what == "date_conflict":
            if linked.date_conflict is None:
                return Fact(False)
            spots = [Spot(c.start, c.end, c.segment, "affirmed") for c in linked.date_conflict]
            if "side" in spec:
                # The dates of two notes, the earlier note's first.
                spots.sort(key=lambda s: s.segment)
                apart = len({linked.reading.part_of(s.segment) for s in spots}) > 1
                return Fact(apart, [spots[spec["side"]]] if apart else [])
            return Fact(True, spots)
        raise ExpressionError(f"nothing linked is called {what!r}")


def _spot(m: Mention) -> Spot:
    return Spot(m.start, m.end, m.segment, m.assertion, m.value, m.site)


def _when(node: Node, shown: list[str]) -> Callable[[_Case], Fact]:
    def rule(case: _Case) -> Fact:
        if not node(case.holds):
            return Fact(False)
        return Fact(True, [s for other in shown for s in case.facts[other].spots])

    return rule


def _any(names: list[str]) -> Callable[[_Case], Fact]:
    def rule(case: _Case) -> Fact:
        spots = [s for other in names for s in case.facts[other].spots]
        return Fact(any(case.holds[other] for other in names), spots)

    return rule


def _apart(one: str, other: str) -> Callable[[_Case], Fact]:
    """One fact said in notes that do not say the other, while further notes say only the other."""

    def rule(case: _Case) -> Fact:
        part_of = case.linked.reading.part_of
        here, there = case.facts[one], case.facts[other]
        ones, others = ({part_of(s.segment) for s in fact.spots} if fact.holds else set() for fact in (here, there))
        if not (ones - others and others - ones):
            return Fact(False)
        return Fact(True, [s for s in here.spots if part_of(s.segment) not in others])

    return rule

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
from analyzer.linking import Event, Linked
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

    def either() -> str:
        source = both()
        while peek() == "or":
            take()
            source = f"({source} or {both()})"
        return source

    def both() -> str:
        source = single()
        while peek() == "and":
            take()
            source = f"({source} and {single()})"
        return source

    def single() -> str:
        word = take()
        if word == "not":
            return f"(not {single()})"
        if word == "(":
            inner = either()
            if take() != ")":
                raise ExpressionError("a parenthesis is not closed")
            return inner
        if word in ("and", "or", ")"):
            raise ExpressionError(f"{word!r} stands where a fact should")
        if word not in known:
            raise ExpressionError(f"no fact is called {word!r}")
        return f"env[{word!r}]"

    source = either()
    if at != len(tokens):
        raise ExpressionError(f"cannot read past {tokens[at]!r}")
    # Nothing but known names, and, or, not and parentheses can stand in `source`.
    node: Node = eval(f"lambda env: {source}", {"__builtins__": {}})
    return node


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


class Facts(dict[str, Fact]):
    """The facts of one linked reading, each found out when it is first asked for. Look up by name; do not iterate."""

    def __init__(
        self,
        rules: Mapping[str, Rule],
        linked: Linked,
        service: date | None,
        about: Mapping[str, str | None],
    ) -> None:
        super().__init__()
        self.linked, self.service, self.about = linked, service, about
        self.holds = Holds(self)
        self._rules = rules
        self._by_element: dict[str, list[Mention]] = {}
        for m in linked.reading.mentions:
            self._by_element.setdefault(m.element, []).append(m)
        self._by_elements: dict[frozenset[str], list[Mention]] = {}

    def __missing__(self, name: str) -> Fact:
        fact = self[name] = self._rules[name](self)
        return fact

    def mentions(self, elements: frozenset[str]) -> list[Mention]:
        """Mentions of some elements in text order."""
        found = self._by_elements.get(elements)
        if found is None:
            present = [e for e in elements if e in self._by_element]
            if len(present) < 2:
                found = self._by_element[present[0]] if present else []
            else:
                found = [m for m in self.linked.reading.mentions if m.element in elements]
            self._by_elements[elements] = found
        return found


class Holds(dict[str, bool]):
    """Whether each fact holds. Other names may be set beside them."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts

    def __missing__(self, name: str) -> bool:
        holds = self[name] = self._facts[name].holds
        return holds


Rule = Callable[[Facts], Fact]


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
    accountable: bool
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
            accountable=spec.get("accountable", False),
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

    def found(self, case: Facts) -> list[Mention]:
        """The mentions that count, in text order."""
        pool = case.mentions(self.elements)
        if not pool:
            return []
        linked, service = case.linked, case.service
        same = [{s.segment for s in case[f].spots} for f in self.same]
        not_same = [{s.segment for s in case[f].spots} for f in self.not_same]
        near_at = sorted({s.segment for f in self.near for s in case[f].spots})
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
            if self.accountable and not linked.reading.accountable(m.segment):
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

    def __call__(self, case: Facts) -> Fact:
        """The fact."""
        found = self.found(case)
        if not found:
            return Fact(self.least <= 0)
        if self.rank and len(found) > 1:
            # What a reader would quote first: the examination before the history, and so on.
            segments, last = case.linked.reading.segments, len(self.rank)
            found.sort(key=lambda m: self.rank.get(segments[m.segment].section, last))
        spots = [_spot(m) for m in found[: self.most]]
        return Fact(len(spots) >= self.least, spots)


class FactBook:
    """The facts of one pack. A fact may rest only on facts above it; raises ExpressionError otherwise."""

    def __init__(self, specs: Mapping[str, Mapping[str, Any]], dates: DateReader) -> None:
        self._dates = dates
        self._rules: dict[str, Rule] = {}
        for name, spec in specs.items():
            near = spec.get("near") or {}
            used = [
                *_listed(spec.get("any")),
                *_listed(spec.get("apart")),
                *_listed(spec.get("spots")),
                *_listed(near.get("facts")),
            ]
            for other in [*used, *(f for key in ("same", "not_same", "of") for f in _listed(spec.get(key)))]:
                if other not in self._rules:
                    raise ExpressionError(f"{name}: no fact above is called {other!r}")
            self._rules[name] = self._rule(spec, self._rules)

    @property
    def names(self) -> list[str]:
        """All fact names, in the pack's order."""
        return list(self._rules)

    def evaluate(self, linked: Linked, service: date | None, about: Mapping[str, str | None]) -> Facts:
        """The facts of a reading. `about` is what is known of the note beside its text."""
        return Facts(self._rules, linked, service, about)

    def _rule(self, spec: Mapping[str, Any], above: Iterable[str]) -> Rule:
        """How one fact is found out."""
        if "find" in spec:
            return _Search.build(spec)
        if "when" in spec:
            return _when(compile_expression(spec["when"], above), _listed(spec.get("spots")))
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
            return lambda case: self._age(spec, case.linked, case[spec["of"]], case.service)
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
            if spec.get("against"):
                return _told_apart(linked, event, linked.other_event)
            if spec.get("specific") and event.value == linked.unspecified_event:
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
            if spec.get("against"):
                return _told_apart(linked, event, linked.event)
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


def _told_apart(linked: Linked, event: Event | None, other: Event | None) -> Fact:
    """An event's account where another note has a different one: the words that name the event first."""
    part_of = linked.reading.part_of
    if event is None or other is None or part_of(event.segment) == part_of(other.segment):
        return Fact(False)
    named = sorted(event.mentions, key=lambda m: ("landing" in m.tags, m.value != event.value, m.start))
    return Fact(True, [_spot(m) for m in named])


def _spot(m: Mention) -> Spot:
    return Spot(m.start, m.end, m.segment, m.assertion, m.value, m.site)


def _when(node: Node, shown: list[str]) -> Rule:
    def rule(case: Facts) -> Fact:
        if not node(case.holds):
            return Fact(False)
        return Fact(True, [s for other in shown for s in case[other].spots])

    return rule


def _any(names: list[str]) -> Rule:
    def rule(case: Facts) -> Fact:
        spots = [s for other in names for s in case[other].spots]
        return Fact(any(case.holds[other] for other in names), spots)

    return rule


def _apart(one: str, other: str) -> Rule:
    """One fact said in notes that do not say the other, while further notes say only the other."""

    def rule(case: Facts) -> Fact:
        part_of = case.linked.reading.part_of
        here, there = case[one], case[other]
        ones, others = ({part_of(s.segment) for s in fact.spots} if fact.holds else set() for fact in (here, there))
        if not (ones - others and others - ones):
            return Fact(False)
        return Fact(True, [s for s in here.spots if part_of(s.segment) not in others])

    return rule

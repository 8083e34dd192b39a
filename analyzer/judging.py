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


class FactBook:
    """The facts of one pack, evaluated for one linked reading."""

    def __init__(self, specs: Mapping[str, Mapping[str, Any]], dates: DateReader) -> None:
        self._specs = dict(specs)
        self._dates = dates
        known = list(self._specs)
        self._expressions: dict[str, Node] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        for name, spec in self._specs.items():
            if "when" in spec:
                self._expressions[name] = compile_expression(spec["when"], known)
            if spec.get("linked") == "note":
                self._patterns[name] = re.compile(spec["matches"], re.I)

    @property
    def names(self) -> list[str]:
        """All fact names, in the pack's order."""
        return list(self._specs)

    def evaluate(self, linked: Linked, service: date | None, about: Mapping[str, str | None]) -> dict[str, Fact]:
        """Every fact. A fact may rest only on facts above it. `about` is what is known of the note beside its text."""
        facts: dict[str, Fact] = {}
        holds: dict[str, bool] = dict.fromkeys(self._specs, False)
        for name, spec in self._specs.items():
            fact = self._one(name, spec, linked, facts, holds, service, about)
            facts[name] = fact
            holds[name] = fact.holds
        return facts

    def _one(
        self,
        name: str,
        spec: Mapping[str, Any],
        linked: Linked,
        facts: dict[str, Fact],
        holds: Mapping[str, bool],
        service: date | None,
        about: Mapping[str, str | None],
    ) -> Fact:
        if "find" in spec:
            found = self._find(spec, linked, facts, service)
            first = _listed(spec.get("first_in"))
            if first:
                # What a reader would quote first: the examination before the history, and so on.
                rank = {section: i for i, section in enumerate(first)}
                found.sort(key=lambda m: rank.get(linked.reading.segments[m.segment].section, len(first)))
            spots = [_spot(m) for m in found]
            spots = spots[: int(spec.get("most", 400))]
            return Fact(len(spots) >= int(spec.get("least", 1)), spots)
        if "when" in spec:
            ok = self._expressions[name](holds)
            spots = [s for other in _listed(spec.get("spots")) for s in facts[other].spots] if ok else []
            return Fact(ok, spots)
        if "any" in spec:
            spots = [s for other in spec["any"] for s in facts[other].spots]
            return Fact(any(holds[o] for o in spec["any"]), spots)
        if "apart" in spec:
            return _apart(linked, *(facts[other] for other in spec["apart"]))
        if spec["linked"] == "note":
            return Fact(self._patterns[name].search(about.get(spec["key"]) or "") is not None)
        if spec["linked"] == "setting":
            return Fact(about.get("setting") == spec.get("is"))
        if spec["linked"] == "age":
            return self._age(spec, linked, facts[spec["of"]], service)
        return self._linked(spec["linked"], spec, linked, service)

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

    def _find(
        self, spec: Mapping[str, Any], linked: Linked, facts: dict[str, Fact], service: date | None
    ) -> list[Mention]:
        elements = set(_listed(spec["find"]))
        values = set(_listed(spec.get("value"))) or None
        assertions = set(_listed(spec.get("assertion"))) or set(SAID)
        tied = set(_listed(spec.get("tied"))) or None
        sections = set(_listed(spec.get("in"))) or None
        not_sections = set(_listed(spec.get("not_in")))
        tags = set(_listed(spec.get("tags")))
        not_tags = set(_listed(spec.get("not_tags")))
        stale = spec.get("stale", True)
        unassessed = spec.get("unassessed", False)
        sites = set(_listed(spec.get("site"))) or None
        same = [{s.segment for s in facts[f].spots} for f in _listed(spec.get("same"))]
        not_same = [{s.segment for s in facts[f].spots} for f in _listed(spec.get("not_same"))]
        near = spec.get("near")
        near_at = sorted({s.segment for f in _listed(near["facts"]) for s in facts[f].spots}) if near else []
        segments = linked.reading.segments
        out: list[Mention] = []
        for m in linked.reading.mentions:
            if m.element not in elements or m.assertion not in assertions:
                continue
            if values is not None and m.value not in values:
                continue
            if tied is not None and m.tied not in tied:
                continue
            if sites is not None and not sites.intersection(m.site):
                continue
            segment = segments[m.segment]
            if sections is not None and segment.section not in sections:
                continue
            if segment.section in not_sections:
                continue
            if tags and not tags <= m.tags:
                continue
            if not_tags & m.tags:
                continue
            if not stale and segment.stale:
                continue
            if unassessed and m.segment not in linked.unassessed:
                continue
            written = linked.segment_dates.get(m.segment)
            # A sentence that dates itself months back does not speak of now.
            old = service is not None and written is not None and (service - written).days
            if "within_days" in spec and old and old > int(spec["within_days"]):
                continue
            if spec.get("after_event") and written is not None and linked.date is not None:
                # What is dated before the injury is about another one.
                began = linked.date.mention.earliest
                if began is not None and (began - written).days > 30:
                    continue
            if any(m.segment not in s for s in same) or any(m.segment in s for s in not_same):
                continue
            if near is not None:
                reach, block = int(near["within"]), segment.block
                window = near_at[bisect_left(near_at, m.segment - reach) : bisect_right(near_at, m.segment + reach)]
                anywhere = bool(near_at) and segment.section in near.get("sections", ())
                if not anywhere and not any(
                    segments[j].block == block or segments[j].section == segment.section for j in window
                ):
                    continue
            out.append(m)
        return out

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
            if spec.get("certain") and all(m.assertion == "possible" for m in event.mentions):
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


def _apart(linked: Linked, one: Fact, other: Fact) -> Fact:
    """Where one fact is said in notes that do not say the other, while further notes say only the other."""
    part_of = linked.reading.part_of
    ones, others = ({part_of(s.segment) for s in fact.spots} if fact.holds else set() for fact in (one, other))
    spots = [s for s in one.spots if part_of(s.segment) not in others]
    return Fact(bool(ones - others and others - ones), spots if ones - others and others - ones else [])


def _spot(m: Mention) -> Spot:
    return Spot(m.start, m.end, m.segment, m.assertion, m.value, m.site)

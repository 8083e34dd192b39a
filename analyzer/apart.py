"""Accounts of the index injury that differ from note to note: how it happened, and when.

Inside one note linking weighs such accounts against each other; between notes each is somebody's plain statement, so
what cannot both be true is a conflict for the provider to settle (ICD-10-CM Official Guidelines I.A.19, I.B.14).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from analyzer.linking import DateCandidate, Event, Linked

# A month and a day, or a month and a year: too little to contradict anybody.
_MONTH_AND = re.compile(r"\d{1,2}[/-]\d{1,2}")
_TOLD_EVENT = 4.0
_TOLD_DATE = 4.5


def find_apart(linked: Linked, same_event: Sequence[tuple[str, str]], unspecified: Sequence[str]) -> None:
    """Set `linked.other_event` and `linked.date_conflict` where another note's account cannot be the same."""
    if len(linked.reading.parts) < 2:
        return
    if linked.other_event is None:
        linked.other_event = _other_event(linked, {frozenset(pair) for pair in same_event}, frozenset(unspecified))
    if linked.date_conflict is None:
        linked.date_conflict = _other_date(linked, frozenset(unspecified))


def _other_event(linked: Linked, same: set[frozenset[str]], unspecified: frozenset[str]) -> Event | None:
    first = linked.event
    if first is None or first.value in unspecified:
        return None
    part_of = linked.reading.part_of
    by_part: dict[int, list[Event]] = {}
    for event in linked.events:
        if event.value not in unspecified and not linked.reading.segments[event.segment].stale:
            by_part.setdefault(part_of(event.segment), []).append(event)
    home = part_of(first.segment)
    at_home = {e.value for e in by_part.get(home, ())}
    for part, events in sorted(by_part.items()):
        best = max(events, key=lambda e: (e.score, -e.segment))
        if part == home or best.score < _TOLD_EVENT or best.value in at_home:
            continue
        if any(e.value == first.value or frozenset((e.value, first.value)) in same for e in events):
            continue
        return best
    return None


def _other_date(linked: Linked, unspecified: frozenset[str]) -> tuple[DateCandidate, DateCandidate] | None:
    best = linked.date
    if best is None or best.score < _TOLD_DATE:
        return None
    part_of = linked.reading.part_of
    home = part_of(best.segment)
    by_part: dict[int, list[DateCandidate]] = {}
    vague = {e.segment for e in linked.events if e.value in unspecified}
    for c in linked.dates:
        by_part.setdefault(part_of(c.segment), []).append(c)
    for part, dates in sorted(by_part.items()):
        told = [
            c
            for c in dates
            if c.score >= _TOLD_DATE
            and not linked.reading.segments[c.segment].stale
            # "Same trauma, treated today" dates the treatment.
            and not (c.why == "event" and c.segment in vague)
        ]
        if part == home or not told or not _disjoint(told[0], best):
            continue
        # Two notes that both know both dates speak of two events.
        if any(not _disjoint(c, best) for c in dates) or any(not _disjoint(c, told[0]) for c in by_part[home]):
            continue
        return best, told[0]
    return None


def _disjoint(one: DateCandidate, other: DateCandidate) -> bool:
    """Whether two dates cannot be one: a calendar date is exact, an amount of time only about right."""
    a, b = one.mention, other.mention
    if _MONTH_AND.fullmatch(a.text) or _MONTH_AND.fullmatch(b.text):
        return False
    if a.earliest is None or a.latest is None or b.earliest is None or b.latest is None:
        return False
    gap = max(a.earliest - b.latest, b.earliest - a.latest)
    slack = max(_slack(one), _slack(other))
    return gap > slack


def _slack(c: DateCandidate) -> timedelta:
    d = c.mention
    if d.earliest is None or d.latest is None or (d.kind == "absolute" and not d.approximate):
        return timedelta(0)
    return max(timedelta(days=7 if d.precision != "day" or d.approximate else 1), (d.latest - d.earliest) / 2)

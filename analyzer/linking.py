"""What belongs to what: each mention's site, each study's finding, the event that hurt the patient, and its date.

A note names many injuries, sites and dates; only those of the index problem count. This module ties mentions together
by where they stand (clause, line, label, study, paragraph) and chooses the index event among all events. It knows
element names from the pack's `linking` entry and site values from the code asked for, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date as Day
from typing import Any

from analyzer.dates import DateMention, DateReader
from analyzer.reading.layout import Segment
from analyzer.reading.reader import Mention, Reading

HOLDS = ("affirmed", "historical")
SAID = ("affirmed", "historical", "possible")
_BREAKS = {";", ".", "|"}
_SOFT = {",": 3, "and": 2, "with": 2, "but": 30, ":": 1, "/": 1, "(": 1, ")": 1, "then": 3, "also": 8}
_ENDS: tuple[list[str], ...] = ([], [","], ["."], [";"], [")"], ["and"], [":"])
_LIST = {"and", ",", "+", "/", "&", "-", "or", "plus", "to", "through", "s", "(", ")"}
_REPEATED, _OUTWEIGHED = 1.5, 1.25
_PRECISION = {"day": 0, "week": 1, "month": 2, "season": 3, "range": 4, "year": 5, "none": 9}


def _within(inner: DateMention, outer: DateMention) -> bool:
    """Whether one interval lies inside another."""
    if inner.earliest is None or inner.latest is None or outer.earliest is None or outer.latest is None:
        return False
    return outer.earliest <= inner.earliest and inner.latest <= outer.latest


@dataclass(slots=True)
class DateCandidate:
    """A date that may be the injury's: how strongly it is tied, and where it stands."""

    mention: DateMention
    segment: int
    start: int
    end: int
    score: float
    why: str


@dataclass(slots=True)
class Event:
    """Something that happened to the patient: its mentions, class and how well it fits the index problem."""

    segment: int
    value: str
    mentions: list[Mention]
    score: float


@dataclass(slots=True)
class Linked:
    """A reading whose mentions know their site, and the choices made among them."""

    reading: Reading
    target: frozenset[str]
    focus: str | None
    unspecified_event: str | None = None
    events: list[Event] = field(default_factory=list)
    event: Event | None = None
    dates: list[DateCandidate] = field(default_factory=list)
    vague_dates: list[DateCandidate] = field(default_factory=list)
    date: DateCandidate | None = None
    date_conflict: tuple[DateCandidate, DateCandidate] | None = None
    other_event: Event | None = None
    has_assessment: bool = False
    assessed: frozenset[int] = frozenset()
    unassessed: frozenset[int] = frozenset()
    segment_dates: dict[int, Day] = field(default_factory=dict)


class Linker:
    """Ties the mentions of one reading together for one code's target region."""

    def __init__(
        self, names: dict[str, Any], dates: DateReader, target: Sequence[str], neighbours: Sequence[str]
    ) -> None:
        self._n = names
        self._dates = dates
        self._target = frozenset(target)
        self._neighbours = frozenset(neighbours)
        self._vague_site = names["unspecified_site"]
        self._vague_event = names["unspecified_event"]
        self._last_words = frozenset(names.get("not_event_date_before", ()))

    def link(self, reading: Reading, service: Day | None, age: int | None) -> Linked:
        """Fill every mention's site and choose the index event and its date. Writes only to the mentions."""
        self._sites(reading)
        by_segment: dict[int, list[Mention]] = {}
        for m in reading.mentions:
            by_segment.setdefault(m.segment, []).append(m)
        for m in reading.mentions:
            m.tied = self._tied(m.site)
        linked = Linked(reading, self._target, None, unspecified_event=self._vague_event)
        linked.assessed = frozenset(
            i for i, s in enumerate(reading.segments) if s.section in self._n["assessment_sections"]
        )
        linked.has_assessment = bool(linked.assessed)
        linked.unassessed = self._unassessed(reading, linked.assessed)
        linked.focus = self._focus(reading)
        for m in reading.mentions:
            if m.tied == linked.focus:
                m.tied = "index"
        self._studies(reading, by_segment)
        self._events(linked, by_segment)
        self._find_dates(linked, by_segment, service, age)
        self._second_event(linked)
        return linked

    @staticmethod
    def _unassessed(reading: Reading, assessed: frozenset[int]) -> frozenset[int]:
        """Segments of notes that have no assessment of their own and whose author could have made one."""
        parts = [(p.first, p.last, p.accountable) for p in reading.parts] or [(0, len(reading.segments), True)]
        free = [(a, b) for a, b, counts in parts if counts and not any(a <= i < b for i in assessed)]
        return frozenset(i for a, b in free for i in range(a, b))

    # -- sites ---------------------------------------------------------------------------------------------------------

    def _sites(self, reading: Reading) -> None:
        site_name, elsewhere = self._n["site"], self._n["elsewhere"]
        placed: dict[int, list[Mention]] = {}
        for m in reading.mentions:
            if m.element in (site_name, elsewhere):
                m.site, m.site_from = (m.value,), "self"
                placed.setdefault(m.segment, []).append(m)
        study_site: dict[int, tuple[str, ...]] = {}
        segments = reading.segments
        topic: tuple[str, ...] = ()
        topic_block = -1
        label_site: dict[int, tuple[str, ...]] = {}
        for i, segment in enumerate(segments):
            here = placed.get(i, [])
            regions = [m for m in here if m.element == site_name]
            if here and segment.line not in label_site:
                words = reading.words[i].norm
                first = here[0]
                # "Sacrum: intact. No fracture line." - a label's site holds for the rest of its line.
                if ":" in words[first.last : first.last + 3] and first.first <= 3:
                    label_site[segment.line] = tuple(dict.fromkeys(m.value for m in here if m.first <= 6))
            if segment.block != topic_block:
                topic_block = segment.block
            for m in reading.mentions_at(i):
                if m.element in (site_name, elsewhere):
                    continue
                if here:
                    # "CT chest/abdomen/pelvis" covers the region, whatever else it covers.
                    pool = regions if regions and m.element == self._n["study"] else here
                    m.site, m.site_from = self._nearest(m, pool, reading.words[i].norm), "sentence"
                if not m.site and segment.line in label_site:
                    m.site, m.site_from = label_site[segment.line], "label"
                if not m.site and m.element == self._n["finding"]:
                    for j in range(i, max(-1, i - 14), -1):
                        if j in study_site and (segments[j].block == segment.block or i - j <= 8):
                            m.site, m.site_from = study_site[j], "study"
                            break
                if not m.site and topic and segments[i - 1].block == segment.block:
                    m.site, m.site_from = topic, "context"
                if m.element == self._n["study"] and here:
                    study_site[i] = m.site
            if regions:
                topic = tuple(dict.fromkeys(m.value for m in regions))
            elif here:
                topic = (here[-1].value,)
            elif i and segments[i - 1].line != segment.line and segment.section != segments[i - 1].section:
                topic = ()

    def _nearest(self, m: Mention, sites: Sequence[Mention], norm: Sequence[str]) -> tuple[str, ...]:
        scored: list[tuple[float, Mention]] = []
        for s in sites:
            if s.first < m.last and m.first < s.last:
                scored.append((0.0, s))
                continue
            low, high = (s.last, m.first) if s.first < m.first else (m.last, s.first)
            between = norm[low:high]
            cost = (
                float(len(between)) + sum(_SOFT.get(w, 0) for w in between) + 40.0 * sum(w in _BREAKS for w in between)
            )
            if s.first > m.first and "," in between and norm[s.last : s.last + 1] not in _ENDS:
                # In a list ("facet arthrosis, sacrum normal") the next item's site has a finding of its own.
                cost += 6
            if s.first > m.first and between[:1] in (["of"], ["at"], ["through"], ["in"], ["to"], ["over"], ["("]):
                cost -= 2
            scored.append((cost, s))
        best = min(c for c, _ in scored)
        if best >= 40:
            return ()
        chosen = [s for c, s in scored if c <= best + 1.0]
        grown = True
        while grown:
            grown = False
            for s in sites:
                if s in chosen:
                    continue
                for c in chosen:
                    low, high = (s.last, c.first) if s.first < c.first else (c.last, s.first)
                    if low <= high and high - low <= 4 and all(w in _LIST for w in norm[low:high]):
                        chosen.append(s)
                        grown = True
                        break
        return tuple(sorted({s.value for s in chosen}))

    def _tied(self, site: tuple[str, ...]) -> str:
        if any(s in self._target for s in site):
            return "target"
        if any(s in self._neighbours for s in site):
            return "neighbour"
        if self._vague_site is not None and self._vague_site in site:
            return "vague"
        return "elsewhere" if site else "unplaced"

    def _focus(self, reading: Reading) -> str | None:
        """Which problem the note is about: one at the target, at a neighbouring region, or at no named bone."""
        n = self._n
        target = neighbour = vague = assessed = 0
        for m in reading.mentions:
            if m.assertion not in SAID or m.element in (n["site"], n["elsewhere"]):
                continue
            if (
                m.element not in (n["injury"], n["complaint"], n["finding"], n["cause"], n["etiology"])
                or m.value in n["no_problem_values"]
            ):
                continue
            if m.tied == "target":
                target += 1
                if reading.segments[m.segment].section in n["assessment_sections"]:
                    assessed += 1
            elif m.tied == "neighbour" and (m.element == n["cause"] or (m.element == n["injury"] and not target)):
                if reading.segments[m.segment].section in n["assessment_sections"] or m.element == n["injury"]:
                    neighbour += 2 if m.element == n["cause"] and m.value == n["strong_cause"] else 1
            elif m.tied == "vague":
                vague += 1
        # The assessment decides between two sites: a stray mention of the target is not the problem.
        if neighbour >= 2 and not assessed and target <= neighbour:
            return "neighbour"
        if target:
            return "target"
        if neighbour:
            return "neighbour"
        return "vague" if vague else None

    # -- studies -------------------------------------------------------------------------------------------------------

    def _studies(self, reading: Reading, by_segment: dict[int, list[Mention]]) -> None:
        """A study that is only ordered becomes hypothetical, one without a result possible."""
        n = self._n
        for i, mentions in by_segment.items():
            states = [m for m in mentions if m.element == n["study_state"] and m.value != n["study_said"]]
            studies = [m for m in mentions if m.element == n["study"]]
            found = any(m.element == n["finding"] and m.assertion in SAID for m in mentions)
            for m in studies:
                if m.assertion == "possible":
                    m.assertion = "affirmed"
                near = [s for s in states if -3 <= s.first - m.last <= 9 or 0 <= m.first - s.last <= 5]
                if near:
                    closest = min(near, key=lambda s: abs(s.first - m.first))
                    m.assertion = "hypothetical" if closest.value == n["study_pending"] else "possible"
                elif m.assertion == "affirmed" and not found and reading.segments[i].section == "plan":
                    m.assertion = "hypothetical"

    # -- events --------------------------------------------------------------------------------------------------------

    def _events(self, linked: Linked, by_segment: dict[int, list[Mention]]) -> None:
        n = self._n
        reading = linked.reading
        segments = reading.segments
        order = n.get("event_order") or []
        for i, segment in enumerate(segments):
            own = [
                m
                for m in by_segment.get(i, [])
                if m.element == n["event"] and m.assertion in SAID and "denial" not in m.tags
            ]
            if not own:
                continue
            near = [
                j
                for j in (i - 2, i - 1, i + 1, i + 2, i + 3)
                if 0 <= j < len(segments) and segments[j].block == segment.block
            ]
            value = self._event_class(own, order)
            score = 0.0
            here = by_segment.get(i, [])
            norm = reading.words[i].norm
            landing = any("landing" in m.tags for m in own)
            if landing:
                score += 3
            ties = {m.tied for m in here if m.element in (n["injury"], n["complaint"], n["site"])}
            if any(m.element == n["injury"] and m.tied == "index" and m.assertion in SAID for m in here):
                score += 4
            elif "index" in ties:
                score += 2
            elif any(
                m.element == n["injury"] and m.tied == "index" and m.assertion in SAID
                for j in near
                for m in by_segment.get(j, [])
            ):
                score += 3
            if any(
                m.element == self._n["cause"] and m.value == self._n["strong_cause"] and m.assertion in SAID
                for m in here
            ):
                score += 2
            if value != self._vague_event:
                score += 3
            away = any(m.element == n["elsewhere"] for m in here)
            if away and "index" not in ties and not landing:
                score -= 3.5
            text = " ".join(norm)
            if any(p in text for p in n.get("not_this_event", ())):
                score -= 6
            if segment.stale:
                score -= 2
            if segment.section in n["sections"]["poor_for_events"]:
                score -= 2
            if segment.section in n["sections"]["good_for_events"]:
                score += 1
            elif segment.section in n["sections"]["studies"]:
                score -= 3
            if all(m.assertion == "possible" for m in own):
                score -= 1
            linked.events.append(Event(i, value, own, score))
        self._one_account(linked, order)
        specific = [e for e in linked.events if e.value != self._vague_event]
        pool = specific or linked.events
        if pool:
            best = max(pool, key=lambda e: (e.score, -e.segment))
            # A note about no problem of the region shows an event only where it touched the region.
            asserted = any(e.value == self._vague_event and e.score >= 5 for e in linked.events)
            if best.score >= (5 if linked.focus not in ("target", "neighbour") else 1.5 if asserted else 3):
                linked.event = best
            else:
                plain = [e for e in linked.events if e.value == self._vague_event and e.score > -1]
                linked.event = max(plain, key=lambda e: (e.score, -e.segment)) if plain else None

    def _one_account(self, linked: Linked, order: Sequence[str]) -> None:
        """A sentence that only says how the patient came down continues the one that says what happened."""
        segments = linked.reading.segments
        at = {e.segment: e for e in linked.events}
        for e in linked.events:
            if not all("landing" in m.tags for m in e.mentions):
                continue
            block = segments[e.segment].block
            near = (at[j] for j in (e.segment - 2, e.segment - 1, e.segment + 1) if j in at)
            beside = {o.value for o in near if segments[o.segment].block == block}
            e.value = next((v for v in order if v in beside and v != self._vague_event), e.value)

    def _second_event(self, linked: Linked) -> None:
        """Another account of how the index injury happened: of another class, as well tied, at another time."""
        first = linked.event
        if first is None or first.value == self._vague_event:
            return
        times: dict[int, list[DateCandidate]] = {}
        for c in linked.dates:
            if c.why == "event":
                times.setdefault(c.segment, []).append(c)
        mine = times.get(first.segment, [])
        for e in linked.events:
            if e is first or e.value in (self._vague_event, first.value) or e.score < 5:
                continue
            other = times.get(e.segment, [])
            if not mine or not other:
                continue
            a, b = mine[0].mention, other[0].mention
            if a.earliest and b.earliest and a.latest and b.latest and (a.latest < b.earliest or b.latest < a.earliest):
                linked.other_event = e
                return

    @staticmethod
    def _event_class(mentions: Sequence[Mention], order: Sequence[str]) -> str:
        forced = [m for m in mentions if "overrides" in m.tags]
        values = {m.value for m in (forced or mentions)}
        for value in order:
            if value in values:
                return value
        return sorted(values)[0]

    # -- dates ---------------------------------------------------------------------------------------------------------

    def _find_dates(
        self, linked: Linked, by_segment: dict[int, list[Mention]], service: Day | None, age: int | None
    ) -> None:
        n = self._n
        reading = linked.reading
        segments = reading.segments
        event_segments = {e.segment: e for e in linked.events}
        best_event = linked.event
        for i, segment in enumerate(segments):
            if segment.section in n["sections"]["undated"]:
                continue
            if (part := reading.told(i)) is not None:
                service, age = part.service, part.age
            found = self._dates.find(reading.text[segment.start : segment.end], service, age)
            if not found:
                continue
            here = by_segment.get(i, [])
            injuries = [m for m in here if m.element == n["injury"] and m.assertion in SAID and m.tied != "elsewhere"]
            causal = [m for m in here if m.element == self._n["cause"] and m.assertion in SAID]
            event = event_segments.get(i)
            near_injury = any(
                m.element == n["injury"] and m.tied == "index" and m.assertion in SAID
                for j in (i - 1, i + 1)
                if 0 <= j < len(segments) and segments[j].block == segment.block
                for m in by_segment.get(j, ())
            )
            near_event = (
                best_event is not None
                and segments[best_event.segment].block == segment.block
                and abs(i - best_event.segment) <= 2
            )
            for d in found:
                self._date_studies(reading, i, segment, here, d)
                if d.kind == "absolute" and d.latest is not None:
                    linked.segment_dates[i] = max(d.latest, linked.segment_dates.get(i, d.latest))
                if segment.start + d.start not in reading.void_dates:
                    self._weigh(linked, i, segment, here, d, injuries, causal, event, near_event, near_injury, service)
        again = self._repeated(linked)
        linked.dates.sort(
            key=lambda c: (
                -c.score - (_REPEATED if id(c) in again else 0),
                _PRECISION.get(c.mention.precision, 8),
                c.start,
            )
        )
        if linked.dates and linked.dates[0].score >= 2:
            best = linked.dates[0]
            for c in linked.dates[1:]:
                a, b = c.mention, best.mention
                finer = _PRECISION.get(a.precision, 8) < _PRECISION.get(b.precision, 8)
                if c.mention.kind in ("absolute", "holiday", "relative") and finer and _within(a, b):
                    best = c
                    break
            # A date told more than once, or in the same breath as "years ago", is not outweighed by that.
            loose = max(
                (c.score for c in linked.vague_dates if c.why in ("event", "injury") and c.segment != best.segment),
                default=0.0,
            )
            if loose > linked.dates[0].score + _OUTWEIGHED and best.why != "label" and id(best) not in again:
                return
            linked.date = best
            for c in linked.dates:
                if c is not best and self._contradicts(linked, best, c, by_segment):
                    linked.date_conflict = (best, c)
                    break

    @staticmethod
    def _repeated(linked: Linked) -> set[int]:
        """The dates (by identity) that another sentence about an injury repeats, finer or coarser."""
        told = [c for c in linked.dates if c.why in ("event", "injury", "label") and c.mention.kind == "absolute"]
        # A long chart repeats few days many times: intervals are compared, not their mentions.
        places: dict[tuple[Day | None, Day | None], set[int]] = {}
        sample: dict[tuple[Day | None, Day | None], DateMention] = {}
        for c in told:
            key = (c.mention.earliest, c.mention.latest)
            places.setdefault(key, set()).add(c.segment)
            sample.setdefault(key, c.mention)
        kin = {
            a: set().union(*(places[b] for b, o in sample.items() if _within(o, m) or _within(m, o)))
            for a, m in sample.items()
        }
        return {id(c) for c in told if kin[c.mention.earliest, c.mention.latest] - {c.segment}}

    def _date_studies(
        self, reading: Reading, i: int, segment: Segment, here: Sequence[Mention], d: DateMention
    ) -> None:
        """A date right beside a study is the study's own."""
        if d.earliest is None or d.kind in ("future", "recurring", "duration"):
            return
        words = reading.words[i]
        at, after = words.index_of_offset(segment.start + d.start), words.index_of_offset(segment.start + d.end)
        for m in here:
            if (
                m.element == self._n["study"]
                and m.earliest is None
                and (0 <= at - m.last <= 4 or 0 <= m.first - after <= 1)
            ):
                m.earliest, m.latest = d.earliest, d.latest

    def _contradicts(
        self, linked: Linked, best: DateCandidate, other: DateCandidate, by_segment: dict[int, list[Mention]]
    ) -> bool:
        """Two calendar dates, both plainly given for the index injury, that cannot both hold."""
        a, b = other.mention, best.mention
        if other.score < 6 or best.score < 6 or a.kind != "absolute" or b.kind not in ("absolute", "holiday"):
            return False
        if a.earliest is None or b.earliest is None or a.latest is None or b.latest is None or a.approximate:
            return False
        if not (a.latest < b.earliest or b.latest < a.earliest):
            return False
        segments = linked.reading.segments
        if segments[other.segment].stale or segments[best.segment].stale:
            return False
        here = by_segment.get(other.segment, [])
        if (
            any(
                m.element == self._n["phase"] and m.value == self._n["phase_over"] and m.assertion in SAID for m in here
            )
            and other.why != "label"
        ):
            return False
        line = linked.reading.words[other.segment].line
        if any(phrase in line for phrase in self._n["reconciled"]):
            return False
        if other.why == "label":
            return True
        event = next((e for e in linked.events if e.segment == other.segment), None)
        if event is None or linked.event is None:
            return False
        assessed = segments[other.segment].section in self._n["assessment_sections"]
        tied = any(m.element == self._n["cause"] and m.value == self._n["strong_cause"] for m in here) and assessed
        same = event.value == linked.event.value or event.value == self._vague_event
        return tied or (same and event.score >= linked.event.score - 1 and event.score >= 4)

    def _labelled(self, segment: Segment, text: str) -> bool:
        low = text[:48].lower()
        return any(k in low or k in segment.label for k in self._n["date_labels"])

    def _weigh(
        self,
        linked: Linked,
        i: int,
        segment: Segment,
        here: Sequence[Mention],
        d: DateMention,
        injuries: Sequence[Mention],
        causal: Sequence[Mention],
        event: Event | None,
        near_event: bool,
        near_injury: bool,
        service: Day | None,
    ) -> None:
        n = self._n
        words = linked.reading.words[i]
        start, end = segment.start + d.start, segment.start + d.end
        at = words.index_of_offset(start)
        before = words.norm[max(0, at - 5) : at]
        after_at = words.index_of_offset(end)
        after = words.norm[after_at : after_at + 3]
        if d.kind in ("future", "recurring", "duration") or d.label in (
            "birth",
            "service",
            "dictated",
            "signed",
            "printed",
        ):
            return
        if d.kind == "age" and (
            d.earliest is None or (service is not None and d.latest is not None and d.latest >= service)
        ):
            # "Age 36" in a heading is the patient's, not the injury's.
            return
        score = 0.0
        why = ""

        def distance(m: Mention) -> float:
            low, high = (after_at, m.first) if m.first >= after_at else (m.last, at)
            between = words.norm[low:high]
            return len(between) + sum(8 for w in between if w in _BREAKS) + sum(1 for w in between if w in (",", ":"))

        if d.label == "injury" or start in linked.reading.injury_dates:
            score, why = 10, "label"
        elif event is not None:
            gap = min(max(0, distance(m)) for m in event.mentions)
            score, why = (8 if event is linked.event else 5 + min(2, event.score / 4)) - min(5, gap / 8), "event"
            if event.score <= 1 and event is not linked.event:
                score -= 5
            if event.value == self._vague_event:
                score -= 1
        if injuries:
            gap = min(max(0, distance(m)) for m in injuries)
            other = 6.5 - min(3, gap / 6)
            if any(m.tied == "index" for m in injuries):
                other += 0.5
            if other > score:
                score, why = other, "injury"
        if not score and near_event:
            told = linked.event is not None and linked.event.value != self._vague_event
            score, why = (3.5 if told else 1.5), "near"
        if not score and near_injury:
            score, why = 3.0, "near"
        if not score and causal:
            score, why = 4, "causal"
        complained = any(m.element == n["complaint"] and m.tied == "index" for m in here)
        if not score and complained and any(w in n["onset_words"] for w in before[-4:]):
            score, why = 3.6, "onset"
        if not score and self._labelled(segment, linked.reading.text[segment.start : segment.end]):
            score, why = 3.5, "field"
        if not score:
            score, why = 1.5, "plain"
        if service is not None and d.earliest == service and d.kind == "relative":
            nearest = min((distance(m) for m in [*injuries, *(event.mentions if event else ())]), default=99.0)
            if nearest > 5 or ":" in before[-1:] + after[:1]:
                return
        studies = [m for m in here if m.element == n["study"]]
        for m in studies:
            if (
                0 <= at - m.last <= 4
                # "In a ruck on 2/25/25, CT at Mercy": the comma parts the event's day from the study.
                or (0 <= m.first - after_at <= 1 and not (event and "," in after[:1]))
                or (at - m.last <= 7 and not event and at >= m.last)
            ):
                score -= 5.5
                break
        if any(w in self._last_words for w in before[-4:]) or (after and after[0] in self._last_words):
            score -= 4
        if segment.section in n["sections"]["studies"] and why != "label":
            score -= 1.5
        if segment.stale:
            score -= 2.5
        if (
            service is not None
            and d.earliest is not None
            and d.earliest >= service
            and d.kind == "absolute"
            and why != "event"
        ):
            score -= 4
        candidate = DateCandidate(d, i, start, end, score, why)
        loose = (
            d.approximate and d.kind == "relative" and d.earliest and d.latest and (d.latest - d.earliest).days > 500
        )
        if d.earliest is None or d.latest is None or loose:
            if score > 0:
                linked.vague_dates.append(candidate)
        elif score >= 0.5:
            linked.dates.append(candidate)

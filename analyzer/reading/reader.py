"""A note's mentions: what is said, where, about which words, with which assertion.

One pass over the layout's segments: normal words, rules found by their first word, look-alikes taken out, ConText on
the sentences that hold a mention. What a mention belongs to (site, event, date) is decided later, in linking.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date as Day
from typing import Any

from analyzer.reading.assertion import Assertions
from analyzer.reading.layout import Layout, Segment
from analyzer.reading.matching import Match, Matcher, Rule, expand
from analyzer.reading.words import Normalizer, Words, word_range


@dataclass(slots=True)
class Mention:
    """One mention. `first:last` are word indexes of its segment, `start:end` code points of the note."""

    element: str
    value: str
    start: int
    end: int
    first: int
    last: int
    segment: int
    assertion: str
    cue: tuple[int, int] | None
    rule: Rule
    tags: frozenset[str]
    site: tuple[str, ...] = ()
    site_from: str | None = None
    earliest: Any = None
    latest: Any = None
    tied: str = "unplaced"
    speaker: str = "author"


@dataclass(frozen=True, slots=True)
class Part:
    """One note's share of a reading of several notes: its segments, and what is known of the note."""

    first: int
    last: int
    service: Day | None
    age: int | None
    accountable: bool
    draft: bool = False


@dataclass(slots=True)
class Reading:
    """A read note: segments, their words (None where no rule can touch them) and all mentions in text order.

    Only for several notes read together: `parts` has one entry a note; `retold` says for a segment that repeats an
    earlier note which part told it first; `void_dates` and `injury_dates` hold where dates start that were put right
    by a later note and that put an earlier one right.
    """

    text: str
    segments: list[Segment]
    words: list[Words]
    mentions: list[Mention] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    retold: dict[int, int] = field(default_factory=dict)
    void_dates: set[int] = field(default_factory=set)
    injury_dates: set[int] = field(default_factory=set)

    _spans: dict[int, tuple[int, int]] | None = None

    def part_of(self, segment: int) -> int:
        """The number of the note that a segment belongs to, counted from 0."""
        return max(0, bisect_right([p.first for p in self.parts], segment) - 1)

    def accountable(self, segment: int) -> bool:
        """Whether a segment's author could make an assessment of the case; always so in a reading of one note."""
        return not self.parts or self.parts[self.part_of(segment)].accountable

    def told(self, segment: int) -> Part | None:
        """The note whose date of service a segment's words count from; None for a reading of one note."""
        return self.parts[self.retold.get(segment, self.part_of(segment))] if self.parts else None

    def mentions_at(self, segment: int) -> list[Mention]:
        """Mentions of one segment; they stand together in `mentions`."""
        if self._spans is None:
            self._spans = {}
            for i, m in enumerate(self.mentions):
                a, _ = self._spans.get(m.segment, (i, i))
                self._spans[m.segment] = (a, i + 1)
        a, b = self._spans.get(segment, (0, 0))
        return self.mentions[a:b]

    def of(self, *elements: str) -> list[Mention]:
        """Mentions of some elements."""
        return [m for m in self.mentions if m.element in elements]


@dataclass(frozen=True)
class Conditions:
    """Compiled side conditions of a vocabulary rule."""

    near: re.Pattern[str] | None
    near_within: int
    not_near: re.Pattern[str] | None
    not_near_within: int
    before: re.Pattern[str] | None
    not_before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    not_after: re.Pattern[str] | None
    sections: frozenset[str] | None
    not_sections: frozenset[str]

    @classmethod
    def build(cls, spec: Mapping[str, Any], macros: Mapping[str, str]) -> Conditions:
        """From a vocabulary entry's keys; raises PatternError through `expand`."""

        def search(key: str) -> re.Pattern[str] | None:
            value = spec.get(key)
            return re.compile(rf"(?<!\S)(?:{expand(value, macros)})(?= )") if value else None

        def ends(key: str) -> re.Pattern[str] | None:
            value = spec.get(key)
            return re.compile(rf"(?<!\S)(?:{expand(value, macros)}) \Z") if value else None

        def starts(key: str) -> re.Pattern[str] | None:
            value = spec.get(key)
            return re.compile(rf"(?:{expand(value, macros)})(?= )") if value else None

        return cls(
            near=search("near"),
            near_within=int(spec.get("near_within") or 0),
            not_near=search("not_near"),
            not_near_within=int(spec.get("not_near_within") or 0),
            before=ends("before"),
            not_before=ends("not_before"),
            after=starts("after"),
            not_after=starts("not_after"),
            sections=frozenset(spec["sections"]) if spec.get("sections") else None,
            not_sections=frozenset(spec.get("not_sections") or ()),
        )

    def hold(self, words: Words, match: Match, section: str) -> bool:
        """Whether the rule's surroundings allow this match."""
        if self.sections is not None and section not in self.sections:
            return False
        if section in self.not_sections:
            return False
        at, line = words.at, words.line
        begin = at[match.first]
        stop = at[match.last] if match.last < len(at) else len(line)
        if self.not_before is not None and self.not_before.search(line[max(0, begin - 80) : begin]):
            return False
        if self.before is not None and not self.before.search(line[max(0, begin - 80) : begin]):
            return False
        if self.not_after is not None and self.not_after.match(line, stop):
            return False
        if self.after is not None and not self.after.match(line, stop):
            return False
        if self.near is not None and not self._in_window(self.near, self.near_within, words, match):
            return False
        return not (self.not_near is not None and self._in_window(self.not_near, self.not_near_within, words, match))

    @staticmethod
    def _in_window(pattern: re.Pattern[str], within: int, words: Words, match: Match) -> bool:
        if within <= 0:
            return pattern.search(words.line) is not None
        at, line = words.at, words.line
        low = max(0, match.first - within)
        high = min(len(at), match.last + within)
        begin, stop = at[match.first], at[match.last] if match.last < len(at) else len(line)
        before = line[at[low] : begin]
        after = line[stop : at[high] if high < len(at) else len(line)]
        return pattern.search(before) is not None or pattern.search(after) is not None


class Reader:
    """Reads notes with one pack's language. Build once, use for many notes; holds no note text between calls.

    `plain` tries every rule at every word it can begin with and gives every sentence with a mention to spaCy and
    medspaCy whole, the slow way round to the same mentions.
    """

    def __init__(
        self,
        normalizer: Normalizer,
        layout: Layout,
        matcher: Matcher,
        conditions: Mapping[int, Conditions],
        assertions: Assertions,
        section_assertion: Mapping[str, str],
    ) -> None:
        self._normalizer = normalizer
        self._layout = layout
        self._matcher = matcher
        self._conditions = conditions
        self._assertions = assertions
        self._section_assertion = section_assertion

    @property
    def plain(self) -> bool:
        return self._assertions.plain

    @plain.setter
    def plain(self, value: bool) -> None:
        self._assertions.plain = value

    def read(self, text: str) -> Reading:
        """All mentions of a note."""
        segments = self._layout.segments(text)
        words = [self._normalizer.words(text, s.start, s.end) for s in segments]
        reading = Reading(text, segments, words)
        for i, segment in enumerate(segments):
            reading.mentions.extend(self._segment(i, segment, words[i]))
        return reading

    def matches(self, text: str, section: str | None = None) -> tuple[list[Match], list[Match]]:
        """What rules match in a sentence: all that no look-alike takes away (look-alikes too), then what `read` keeps.

        `section` stands in for those that the layout finds. Word indexes count from the start of a match's segment.
        """
        found: list[Match] = []
        kept: list[Match] = []
        for segment in self._layout.segments(text):
            held = self._held(self._normalizer.words(text, segment.start, segment.end), section or segment.section)
            found.extend(_unblocked(held))
            kept.extend(_prune(held))
        return found, kept

    def cues_reaching(self, text: str, spans: Sequence[tuple[int, int]], element: str) -> list[set[str]]:
        """The categories of the cues that reach each stretch of code points, read as a mention of `element`."""
        out: list[set[str]] = []
        for segment in self._layout.segments(text):
            words = self._normalizer.words(text, segment.start, segment.end)
            here = [word_range(words, a, b) for a, b in spans if segment.start <= a < segment.end]
            reached = self._assertions.reached(words.norm, [(first, last, element) for first, last in here])
            out.extend(set(categories) for categories in reached)
        return out

    def _held(self, words: Words, section: str) -> list[Match]:
        """Matches whose side conditions hold."""
        return [
            m
            for m in self._matcher.find(words, plain=self.plain)
            if (c := self._conditions.get(m.rule.order)) is None or c.hold(words, m, section)
        ]

    def _segment(self, number: int, segment: Segment, words: Words) -> list[Mention]:
        matches = self._held(words, segment.section)
        if not matches:
            return []
        matches = _prune(matches)
        judged = self._assertions.judge(words.norm, [(m.first, m.last, m.rule.element) for m in matches])
        out: list[Mention] = []
        for match, (assertion, cue) in zip(matches, judged, strict=True):
            spec = match.rule.spec
            if segment.box == "off":
                assertion, cue = "template", None
            elif segment.box == "no" and assertion == "affirmed":
                assertion = "negated"
            forced = spec.get("assertion")
            if forced and assertion in ("affirmed", "historical", "negated"):
                assertion, cue = forced, (match.first, match.last)
            elif forced and assertion == "possible" and forced == "negated":
                assertion = "negated"
            by_section = self._section_assertion.get(segment.section)
            if by_section and assertion in ("affirmed", "historical", "possible"):
                assertion = by_section
            out.append(
                Mention(
                    element=match.rule.element,
                    value=match.rule.value,
                    start=words.starts[match.first],
                    end=words.ends[match.last - 1],
                    first=match.first,
                    last=match.last,
                    segment=number,
                    assertion=assertion,
                    cue=cue,
                    rule=match.rule,
                    tags=frozenset(spec.get("tags") or ()),
                )
            )
        return out


def _unblocked(matches: Sequence[Match]) -> list[Match]:
    """Take out what a look-alike covers."""
    blocked = [(m.first, m.last, frozenset(m.rule.spec["blocks"])) for m in matches if m.rule.spec.get("blocks")]
    return [
        m for m in matches if not any(a < m.last and m.first < b and m.rule.element in names for a, b, names in blocked)
    ]


def _prune(matches: Sequence[Match]) -> list[Match]:
    """Take out what a look-alike covers, and within an element what a longer match covers."""
    by_element: dict[str, list[Match]] = {}
    for m in _unblocked(matches):
        if m.rule.element != "lookalike":
            by_element.setdefault(m.rule.element, []).append(m)
    out: list[Match] = []
    for group in by_element.values():
        kept: list[Match] = []
        for m in sorted(group, key=lambda m: (m.first - m.last, m.first, m.rule.order)):
            covered = False
            for k in kept:
                if k.first <= m.first and m.last <= k.last:
                    same = (k.first, k.last) == (m.first, m.last) or m.rule.spec.get("overlap") == "keep"
                    if not same or k.rule.value == m.rule.value:
                        covered = True
                        break
            if not covered:
                kept.append(m)
        out.extend(kept)
    out.sort(key=lambda m: (m.first, m.last, m.rule.order))
    return out

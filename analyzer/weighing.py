"""What still holds of each note beside the other notes of its encounter, before they are judged together.

Text that repeats an earlier note speaks of that note's day. A correction replaces what it puts right, a later stage of
an injury an earlier one, a later finding the finding before, a later opinion of the same author the former. What is set
aside is still read and shown, it only decides nothing. Everything else that differs stays and becomes a conflict
(analyzer/apart.py and the pack's rules). docs/cases.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from analyzer.assessment import Assessment
from analyzer.authors import Authors
from analyzer.case import Document
from analyzer.case_rules import CaseRules, Course
from analyzer.dates import DateMention, DateReader
from analyzer.linking import SAID, Linked
from analyzer.reading.reader import Mention

# A shorter sentence may stand in two notes by chance.
_COPIED_WORDS = 8
_STRONG_DATE = 3.0

_Span = tuple[date, date]
Alone = Callable[[Document], tuple[Linked, Assessment]]


def weigh(documents: Sequence[Document], rules: CaseRules, authors: Authors, dates: DateReader, alone: Alone) -> None:
    """Fill what is set aside of each document. `documents` in order; `alone` judges one of them by itself."""
    _copies(documents)
    for document in documents:
        document.alone = alone(document)
    kept = [d for d in documents if not d.draft]
    _unrelated(kept, rules, authors)
    for i, document in enumerate(kept):
        if document.counts and authors.correction.holds(document.note):
            _Correction(document, rules, authors, dates).apply(kept[:i])
    for course in rules.course:
        _course(kept, course)
    for element in rules.states:
        _states(kept, element)
    _opinions(kept, rules.opinions)


def _before(one: Document, other: Document) -> bool:
    """Whether a note is of an earlier day than another; an undated note is before none."""
    a, b = one.note.date_of_service, other.note.date_of_service
    return a is not None and b is not None and a < b


def _copies(documents: Sequence[Document]) -> None:
    """Sentences that stand word for word in a note of an earlier day are carried forward from it."""
    first: dict[str, int] = {}
    for number, document in enumerate(documents):
        segments = list(document.reading.segments)
        new: dict[str, int] = {}
        for i, words in enumerate(document.reading.words):
            if len(words.norm) < _COPIED_WORDS:
                continue
            source = first.get(words.line)
            if source is None:
                new[words.line] = number
            elif _before(documents[source], document):
                document.retold[i] = source
                segments[i] = replace(segments[i], stale=True)
        document.reading.segments = segments
        first.update(new)


def _unrelated(documents: Sequence[Document], rules: CaseRules, authors: Authors) -> None:
    """Of a note that assesses other problems only, beside a note that is about the region: what names the region.

    A note without an assessment (a nurse's story, an ambulance report), a correction, and one that assesses an injury
    without saying where ("fracture healed") tell of the encounter's problem.
    """
    if not any(document.alone is not None and document.alone[1].relevant for document in documents):
        return
    for document in documents:
        if document.alone is None or document.alone[1].relevant or authors.correction.holds(document.note):
            continue
        linked = document.alone[0]
        own = [m for m in linked.reading.mentions if m.segment in linked.assessed and m.assertion in SAID]
        if not linked.assessed or any(m.element in rules.follow_up and not m.site for m in own):
            continue
        named = {m.segment for m in linked.reading.mentions if linked.target.intersection(m.site)}
        keep = {i for i, m in enumerate(document.reading.mentions) if m.segment in named}
        absent = (i for i, m in enumerate(document.reading.mentions) if m.assertion == "negated")
        keep.update(i for i in absent if document.reading.mentions[i].element in rules.everywhere)
        document.set_aside.update(i for i in range(len(document.reading.mentions)) if i not in keep)
        document.void_dates.update(c.start for c in (*linked.dates, *linked.vague_dates) if c.segment not in named)
        document.unrelated, document.read_as = True, authors.told


def leave_out_irrelevant(documents: Sequence[Document]) -> bool:
    """Set aside every note that is irrelevant alone; whether another is left that is relevant.

    For a case that came out irrelevant although one of its notes is about the region.
    """
    relevant = [d for d in documents if d.alone is not None and d.alone[1].relevant and not d.draft]
    for document in documents:
        if document not in relevant:
            document.set_aside.update(range(len(document.reading.mentions)))
            document.unrelated = True
    return bool(relevant)


def _set_aside(document: Document, chosen: Callable[[Mention], bool]) -> None:
    document.set_aside.update(i for i, m in enumerate(document.reading.mentions) if chosen(m))


def _course(documents: Sequence[Document], course: Course) -> None:
    """The furthest stage that a note states holds against earlier stages in notes of earlier days.

    A later note that falls back behind it is no course: both stay, and the pack's rules call it a conflict.
    """
    stated: list[tuple[int, Document]] = []
    for document in documents:
        assert document.alone is not None
        judged = next(r for r in document.alone[1].requirements if r.id == course.requirement)
        if judged.status in ("documented", "conflicting") and judged.value in course.order:
            stated.append((course.order.index(judged.value), document))
    if not stated:
        return
    furthest = max(rank for rank, _ in stated)
    reached = next(document for rank, document in stated if rank == furthest)
    over = set(course.order[:furthest])
    for document in documents:
        if _before(document, reached):
            _set_aside(document, lambda m: m.element == course.element and m.value in over)


def _states(documents: Sequence[Document], element: str) -> None:
    """Of a value affirmed on one day and denied on another, the later day's note holds."""
    latest: dict[str, tuple[bool, Document]] = {}
    for document in documents:
        for m in document.reading.mentions:
            if m.element == element and m.assertion in ("affirmed", "historical", "negated"):
                known = latest.get(m.value)
                if known is None or _before(known[1], document):
                    latest[m.value] = (m.assertion != "negated", document)

    for document in documents:
        _set_aside(document, lambda m, d=document: _outdated(m, d, element, latest))  # type: ignore[misc]


def _outdated(m: Mention, document: Document, element: str, latest: dict[str, tuple[bool, Document]]) -> bool:
    if m.element != element or m.value not in latest:
        return False
    affirmed, source = latest[m.value]
    return _before(document, source) and (m.assertion != "negated") != affirmed


def _opinions(documents: Sequence[Document], elements: Sequence[str]) -> None:
    """A provider's later opinion replaces the same provider's earlier one, as far as the role tells them apart.

    Where no role is given, only a note that is marked as signed replaces another.
    """
    for i, document in enumerate(documents):
        if not document.counts:
            continue
        for later in documents[i + 1 :]:
            same = later.note.author_role == document.note.author_role
            known = document.note.author_role is not None or later.note.signed is True
            if later.counts and same and known and _before(document, later) and _opines(later, elements):
                _set_aside(document, lambda m: m.element in elements)


def _opines(document: Document, elements: Sequence[str]) -> bool:
    assert document.alone is not None
    linked = document.alone[0]
    return any(
        m.element in elements and m.assertion in ("affirmed", "historical") and m.segment in linked.assessed
        for m in linked.reading.mentions
    )


class _Correction:
    """What one note puts right in those before it."""

    def __init__(self, document: Document, rules: CaseRules, authors: Authors, dates: DateReader) -> None:
        self._document, self._rules, self._dates = document, rules, dates
        self._words = authors.correction
        reading = document.reading
        marked = [i for i, s in enumerate(reading.segments) if self._words.words.search(reading.text, s.start, s.end)]
        # The sentence that says so and the two after it.
        self._said = {j for i in marked for j in (i, i + 1, i + 2)}

    def apply(self, earlier: Sequence[Document]) -> None:
        """Set aside in earlier notes what this one replaces."""
        for element in self._rules.corrects:
            self._element(element, earlier)
        self._injury_date(earlier)

    def _element(self, element: str, earlier: Sequence[Document]) -> None:
        own = [m for m in self._document.reading.mentions if m.element == element and m.segment in self._said]
        taken_back = [m for m in own if m.assertion == "negated" or self._replaced(m.segment, m.start)]
        new = {m.value for m in own if m.assertion in SAID and m not in taken_back} - set(self._rules.vague)
        denied = {m.value for m in taken_back}
        if not new:
            return
        _set_aside(self._document, lambda m: m in taken_back and m.assertion != "negated")
        for document in earlier:
            _set_aside(
                document,
                lambda m: (
                    m.element == element
                    and m.value not in self._rules.vague
                    and (m.value not in new or m.value in denied)
                ),
            )

    def _replaced(self, segment: int, position: int) -> bool:
        reading = self._document.reading
        return self._words.replaced.search(reading.text, reading.segments[segment].start, position) is not None

    def _injury_date(self, earlier: Sequence[Document]) -> None:
        reading, note = self._document.reading, self._document.note
        new: list[_Span] = []
        old: list[_Span] = []
        for segment in reading.segments:
            text = reading.text[segment.start : segment.end]
            dates = self._dates.find(text, note.date_of_service, self._document.age)
            found = [(d, span) for d in dates if (span := _span(d)) is not None]
            replaced = [d for d, _ in found if self._words.replaced.search(text, 0, d.start)]
            for d, span in found if replaced else ():
                if d in replaced:
                    self._document.void_dates.add(segment.start + d.start)
                    old.append(span)
                elif span[1] != note.date_of_service:
                    self._document.injury_dates.add(segment.start + d.start)
                    new.append(span)
        told = self._document.alone[0].date if self._document.alone is not None else None
        if not old and told is not None and told.score >= _STRONG_DATE and (span := _span(told.mention)) is not None:
            new.append(span)
        for document in earlier:
            for start, span in _dated(document):
                if any(_overlap(span, o) for o in old) or (new and not old and not any(_overlap(span, n) for n in new)):
                    document.void_dates.add(start)


def _dated(document: Document) -> Iterator[tuple[int, _Span]]:
    """The dates that a note may give for its injury, and where they start."""
    for c in document.alone[0].dates if document.alone is not None else ():
        span = _span(c.mention)
        if c.score >= _STRONG_DATE and span is not None:
            yield c.start, span


def _span(d: DateMention) -> _Span | None:
    return (d.earliest, d.latest) if d.earliest is not None and d.latest is not None else None


def _overlap(one: _Span, other: _Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]

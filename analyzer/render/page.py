"""Gap reports as one self-contained HTML page: the notes with their evidence marked, and what the reports say.

The page has no script and refers to nothing outside itself. All text goes through the template's escaping.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from analyzer.render import wording
from analyzer.render.environment import environment
from analyzer.report import Evidence, Finding, GapReport

HUES = 10
"""How many hues for requirements analyzer/render/tokens.css names, `--hue-1` to `--hue-10`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A span to show in a note. A `mention` was read but decides nothing, so it only shows on demand.

    `hue` is the end of a colour's name in analyzer/render/tokens.css: `1` for `--hue-1`.
    """

    note_id: str
    start: int
    end: int
    label: str
    hue: str
    title: str
    about: str
    href: str
    mention: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a note that is covered by the same marks throughout, some of which may open or end with it."""

    text: str
    anchor: str
    marks: tuple[Mark, ...]
    opens: tuple[Mark, ...]
    ends: tuple[Mark, ...]

    @property
    def evidence(self) -> tuple[Mark, ...]:
        """The marks that show always."""
        return tuple(mark for mark in self.marks if not mark.mention)

    @property
    def opens_evidence(self) -> bool:
        """Whether the keyboard stops here: once for each mark that shows, however many segments it has."""
        return any(not mark.mention for mark in self.opens)

    @property
    def hues(self) -> list[str]:
        """Distinct hues of its evidence."""
        return list(dict.fromkeys(mark.hue for mark in self.evidence))

    @property
    def labels(self) -> list[tuple[str, str]]:
        """Distinct labels, with hues, of the evidence that ends here."""
        return list(dict.fromkeys((mark.label, mark.hue) for mark in self.ends if not mark.mention))


@dataclass(frozen=True, slots=True)
class MarkedNote:
    """A note cut into segments; `about` is its day and author, as far as its evidence tells them."""

    note_id: str
    segments: list[Segment]
    about: str


@dataclass(frozen=True, slots=True)
class PageReport:
    """A report with what the page adds: marked notes, an anchor for each evidence span, a hue and a label for each
    requirement. `prefix` keeps the ids of several reports on one page apart.
    """

    prefix: str
    report: GapReport
    notes: list[MarkedNote]
    anchors: dict[tuple[str, int, int], str]
    hues: dict[str, str]
    labels: dict[str, str]

    def anchor(self, span: Evidence | Finding) -> str | None:
        """Id of the place in the note, where the note is on the page."""
        return self.anchors.get((span.note_id, span.start, span.end))


def render_page(reports: Iterable[tuple[GapReport, Mapping[str, str]]]) -> str:
    """The page for reports, each with its notes' texts by note id. A report without texts shows no note."""
    pages = [_page_report(f"r{number}", report, texts) for number, (report, texts) in enumerate(reports, start=1)]
    return environment().get_template("report.html.j2").render(pages=pages)


def _page_report(prefix: str, report: GapReport, texts: Mapping[str, str]) -> PageReport:
    names = [requirement.id for requirement in report.requirements]
    hues = {name: str(place % HUES + 1) for place, name in enumerate(names)}
    labels = wording.short_labels(names)
    marks = list(_marks(prefix, report, hues, labels))
    notes: list[MarkedNote] = []
    anchors: dict[tuple[str, int, int], str] = {}
    for number, note_id in enumerate(report.note_ids, start=1):
        if note_id in texts:
            own = [mark for mark in marks if mark.note_id == note_id]
            segments = cut(texts[note_id], own, f"{prefix}n{number}s")
            notes.append(MarkedNote(note_id, segments, _about(report, note_id)))
            for segment in segments:
                anchors.update({(mark.note_id, mark.start, mark.end): segment.anchor for mark in segment.opens})
    return PageReport(prefix, report, notes, anchors, hues, labels)


def _marks(prefix: str, report: GapReport, hues: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[Mark]:
    values: dict[tuple[str, int, int], list[str]] = {}
    for finding in report.findings:
        values.setdefault((finding.note_id, finding.start, finding.end), []).append(wording.words(finding.value))

    def evidence(
        spans: Iterable[Evidence], label: str, hue: str, title: str, value: str, href: str, *, mention: bool = False
    ) -> Iterator[Mark]:
        for span in spans:
            said = ", ".join(values.get((span.note_id, span.start, span.end), [])) or value
            side = f"side {span.side}" if span.side else ""
            about = _listed(said, span.assertion, side, wording.words(span.section))
            short = label if span.assertion == "affirmed" else f"{label}, {span.assertion}"
            yield Mark(span.note_id, span.start, span.end, short, hue, title, about, href, mention)

    for place, item in enumerate(report.requirements):
        title, value = wording.one_line(item.label), wording.readable(item.value)
        yield from evidence(item.evidence, labels[item.id], hues[item.id], title, value, f"{prefix}-req{place}")
    for place, alert in enumerate(report.alerts):
        title = f"Alert: {wording.words(alert.id)}"
        yield from evidence(alert.evidence, "alert", "alert", title, "", f"{prefix}-alert{place}")
    for place, flag in enumerate(report.review_flags):
        title = f"For review: {wording.words(flag.id)}"
        yield from evidence(flag.evidence, "review", "flag", title, "", f"{prefix}-flag{place}")
    for place, code in enumerate(report.candidate_codes):
        title = f"Candidate code {code.code}"
        # A code printed into the note would read as if the note said it, so this one only has its link.
        yield from evidence(code.evidence, code.code, "candidate", title, "", f"{prefix}-code{place}", mention=True)
    for finding in report.findings:
        element = wording.words(finding.element)
        about = _listed(wording.words(finding.value), finding.assertion, wording.words(finding.section))
        yield Mark(
            finding.note_id, finding.start, finding.end, element, "", element.capitalize(), about, "", mention=True
        )


def _about(report: GapReport, note_id: str) -> str:
    evidence = [e for r in report.requirements for e in r.evidence]
    evidence += [e for a in report.alerts for e in a.evidence]
    evidence += [e for f in report.review_flags for e in f.evidence]
    span = next((e for e in evidence if e.note_id == note_id), None)
    return _listed(str(span.date or ""), wording.words(span.author_role or "")) if span is not None else ""


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def cut(text: str, marks: Sequence[Mark], prefix: str) -> list[Segment]:
    """The text as segments, so that overlapping marks never nest. `prefix` begins every anchor.

    Joined, the segments' texts are the text. Marks that lie outside of it or are empty are left out.
    """
    inside = sorted(
        {mark: None for mark in marks if 0 <= mark.start < mark.end <= len(text)},
        key=lambda mark: (mark.start, -mark.end),
    )
    bounds = sorted({0, len(text), *(mark.start for mark in inside), *(mark.end for mark in inside)})
    segments: list[Segment] = []
    covering: list[Mark] = []
    waiting = iter(inside)
    following = next(waiting, None)
    for start, end in pairwise(bounds):
        covering = [mark for mark in covering if mark.end > start]
        opens: list[Mark] = []
        while following is not None and following.start == start:
            opens.append(following)
            following = next(waiting, None)
        covering += opens
        ends = tuple(mark for mark in covering if mark.end == end)
        segments.append(Segment(text[start:end], f"{prefix}{start}", tuple(covering), tuple(opens), ends))
    return segments

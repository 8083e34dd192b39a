"""A note as a spaCy Doc: sentences as the layout cuts them, medspaCy sections, findings as spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import spacy
from medspacy.section_detection.section import Section
from spacy.tokens import Doc, SpanGroup

from analyzer.reading.assertion import GROUP
from analyzer.reading.layout import Segment
from analyzer.report import Finding


def as_doc(text: str, segments: Sequence[Segment], findings: Iterable[Finding]) -> Doc:
    """A Doc with a vocabulary of its own, so that no word of the note outlives it.

    `doc.sents` are the segments, `doc._.sections` medspaCy's Section objects (token offsets; an untitled one has an
    empty title), `doc.spans["chartgap"]` the findings, labelled with their element and, as `kb_id_`, their value.
    """
    doc = spacy.blank("en").make_doc(text)
    if not Doc.has_extension("sections"):
        Doc.set_extension("sections", default=())
    first_of = {token.idx: token.i for token in doc}
    starts = [i for s in segments if (i := first_of.get(s.start)) is not None]
    begun = set(starts)
    for token in doc:
        token.is_sent_start = token.i in begun
    doc._.sections = _sections(doc, segments)
    spans = [doc.char_span(f.start, f.end, label=f.element, kb_id=f.value, alignment_mode="expand") for f in findings]
    doc.spans[GROUP] = SpanGroup(doc, name=GROUP, spans=[span for span in spans if span is not None])
    return doc


def _sections(doc: Doc, segments: Sequence[Segment]) -> list[Section]:
    """Neighbouring segments of one section make one; a heading opens it."""
    out: list[Section] = []
    titled: tuple[int, int] | None = None
    for segment in segments:
        span = doc.char_span(segment.start, segment.end, alignment_mode="expand")
        if span is None:
            continue
        if segment.section == "header":
            titled = (span.start, span.end)
        elif titled is None and out and out[-1].category == segment.section:
            out[-1].body_end = span.end
        else:
            title_start, title_end = titled or (span.start, span.start)
            out.append(Section(segment.section, title_start, title_end, span.start, span.end))
            titled = None
    return out

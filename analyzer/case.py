"""Several notes of one encounter as one reading: put in order and laid one after the other.

What is said in any of them is linked and judged together, as if it stood in one document; each place still knows the
note it came from, that note's own date of service and whether its author answers for a diagnosis. What no longer holds
beside the other notes is set aside before (analyzer/weighing.py). docs/cases.md says how a case is judged.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date

from analyzer.assessment import Assessment
from analyzer.errors import InputError
from analyzer.linking import Linked
from analyzer.note import Note
from analyzer.reading.layout import Segment
from analyzer.reading.reader import Mention, Part, Reading
from analyzer.reading.words import Words

# No rule looks further than this many sentences, so nothing is read across the border of two notes.
_APART = 24
_BETWEEN = "\n\n"


@dataclass(slots=True)
class Document:
    """A note of a case: its reading before anything was linked, and what became of it judged alone.

    `read_as` renames sections where the author does not answer for a diagnosis; `unrelated` is a note about other
    problems only. `set_aside` (numbers of mentions),
    `void_dates`, `injury_dates` (code points where a date starts) and `retold` (segment to the number of the document
    that told it first) are filled by weighing. `start` is the note's place in the text of the merged reading.
    """

    note: Note
    reading: Reading
    age: int | None = None
    accountable: bool = True
    draft: bool = False
    unrelated: bool = False
    read_as: Mapping[str, str] = field(default_factory=dict)
    alone: tuple[Linked, Assessment] | None = None
    set_aside: set[int] = field(default_factory=set)
    void_dates: set[int] = field(default_factory=set)
    injury_dates: set[int] = field(default_factory=set)
    retold: dict[int, int] = field(default_factory=dict)
    start: int = 0

    @property
    def counts(self) -> bool:
        """Whether an assessment in it is the treating provider's on the problem of the case."""
        return self.accountable and not self.draft and not self.unrelated

    def copy_of_reading(self) -> Reading:
        """The reading with mentions of its own, for linking changes them."""
        own = self.reading
        return Reading(own.text, own.segments, own.words, [copy(m) for m in own.mentions])


def notes_in_order(notes: Sequence[Note], context: Sequence[Note] = ()) -> tuple[list[Note], list[Note], list[str]]:
    """The notes of a case by date of service, then id (undated ones first), its context newest first, and warnings.

    A note given twice counts once, and a note of the case is no context of it. Raises InputError for no notes, for one
    id with two contents, and for notes of different patients or encounters (context: different patients).
    """
    if not notes:
        raise InputError("a case needs at least one note")
    warnings: list[str] = []
    kept = _without_repeats(notes, warnings)
    about = _without_repeats(context, warnings)
    own = {note.note_id: note for note in kept}
    for note in about:
        if note.note_id in own and own[note.note_id].text != note.text:
            raise InputError(f"note_id {note.note_id}: given as note and as context with different texts")
    about = [note for note in about if note.note_id not in own]
    _same("patient_id", "patients", [*kept, *about])
    _same("encounter_id", "encounters", kept)
    kept.sort(key=lambda n: (n.date_of_service or date.min, n.note_id))
    about.sort(key=lambda n: n.note_id)
    about.sort(key=lambda n: n.date_of_service or date.min, reverse=True)
    return kept, about, warnings


def _without_repeats(notes: Sequence[Note], warnings: list[str]) -> list[Note]:
    kept: dict[str, Note] = {}
    for note in notes:
        if note.note_id not in kept:
            kept[note.note_id] = note
        elif kept[note.note_id] != note:
            raise InputError(f"note_id {note.note_id}: given twice with different contents")
        else:
            warnings.append(f"note {note.note_id} is given more than once and counts once")
    return list(kept.values())


def _same(key: str, what: str, notes: Sequence[Note]) -> None:
    """Refuse notes that differ in `key`, naming one note of each; ids of patients are not shown."""
    first: dict[str, str] = {}
    for note in notes:
        value = getattr(note, key)
        if value is not None:
            first.setdefault(value, note.note_id)
    if len(first) > 1:
        raise InputError(f"notes of different {what} ({key} differs): {', '.join(sorted(first.values()))}")


def case_code(notes: Sequence[Note]) -> tuple[str | None, list[str]]:
    """The code that the notes, in order, carry: the last one's where they differ, with a warning."""
    carried = [(note.code, note.note_id) for note in notes if note.code is not None]
    if not carried:
        return None, []
    code, source = carried[-1]
    others = [f"{other} ({note_id})" for other, note_id in carried if other != code]
    if not others:
        return code, []
    return code, [f"the notes carry different codes: judged for {code} ({source}), not for {', '.join(others)}"]


def case_sha256(notes: Sequence[Note]) -> str:
    """Of one note its text's SHA-256; of several the SHA-256 over theirs (hexadecimal), in order, a line each."""
    each = [hashlib.sha256(note.text.encode()).hexdigest() for note in notes]
    if len(each) == 1:
        return each[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in each).encode()).hexdigest()


def concluding(documents: Sequence[Document]) -> Document:
    """The note that speaks last for the case: the last one that counts, else the last one. Ask after weighing."""
    return next((d for d in reversed(documents) if d.counts), documents[-1])


def merge(documents: Sequence[Document]) -> Reading:
    """One reading over all notes in the order given, without what was set aside; sets each document's `start`."""
    if len(documents) == 1:
        return documents[0].copy_of_reading()
    whole = Reading("", [], [])
    at = line = block = 0
    for document in documents:
        note, own = document.note, document.reading
        if whole.parts:
            for _ in range(_APART):
                line, block = line + 1, block + 1
                whole.segments.append(Segment(at, at, "header", "", line, block))
                whole.words.append(Words([], [], []))
        document.start = at
        first = len(whole.segments)
        for segment, words in zip(own.segments, own.words, strict=True):
            whole.segments.append(
                replace(
                    segment,
                    start=segment.start + at,
                    end=segment.end + at,
                    section=document.read_as.get(segment.section, segment.section),
                    line=segment.line + line + 1,
                    block=segment.block + block + 1,
                )
            )
            whole.words.append(Words(words.norm, [s + at for s in words.starts], [e + at for e in words.ends]))
        kept = (m for i, m in enumerate(own.mentions) if not document.draft and i not in document.set_aside)
        whole.mentions.extend(moved(m, at, first) for m in kept)
        whole.parts.append(
            Part(first, len(whole.segments), note.date_of_service, document.age, document.counts, document.draft)
        )
        whole.retold.update({i + first: number for i, number in document.retold.items()})
        whole.void_dates.update(position + at for position in document.void_dates)
        whole.injury_dates.update(position + at for position in document.injury_dates)
        line, block = (whole.segments[-1].line, whole.segments[-1].block) if own.segments else (line, block)
        at += len(note.text) + len(_BETWEEN)
    whole.text = _BETWEEN.join(d.note.text for d in documents)
    return whole


def moved(mention: Mention, by: int, segments: int) -> Mention:
    """A copy of a note's mention at its place in the merged reading."""
    out = copy(mention)
    out.start += by
    out.end += by
    out.segment += segments
    return out


def document_at(documents: Sequence[Document], position: int) -> Document:
    """The document that holds a position of the merged text."""
    return documents[bisect_right([d.start for d in documents], position) - 1]

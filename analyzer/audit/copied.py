"""Copy-forward: how much of the notes' text stands word for word in an earlier note of the same patient.

Only hashes of paragraphs are kept, 24 bytes a paragraph, so a run of 100,000 notes fits in a few tens of megabytes.
Why it is looked at: a cloned entry says nothing of the visit it stands in.
source: domain brief 6.2 (copy-forward as a share of repeated text)
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from analyzer.note import Note

MIN_WORDS = 8
"""Shorter paragraphs are headings and set phrases; their repetition says nothing."""

MOSTLY = 0.5
"""Share of a note's counted words above which the note counts as mostly copied."""

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n|\n(?=[^\S\n]*[A-Z][A-Za-z /]{2,40}:)")


@dataclass(frozen=True, slots=True)
class CopiedNote:
    """A note with carried-forward text; `copied` of `words` counted words."""

    note_id: str
    copied: int
    words: int


@dataclass(frozen=True, slots=True)
class CopyForward:
    """Words in paragraphs that repeat an earlier note of the same patient, of all words compared.

    Compared are notes of patients with at least two notes. `unnamed` notes carry no patient id and can't be compared.
    `mostly` holds the notes of which more than half is copied, most copied first.
    """

    patients: int
    notes: int
    unnamed: int
    words: int
    copied: int
    with_copies: int
    mostly: list[CopiedNote]


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of at least `MIN_WORDS` words, white space made one blank; a new field's title begins one."""
    for block in _PARAGRAPH_BREAK.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        words = block.split()
        if len(words) >= MIN_WORDS:
            yield " ".join(words)


def copy_forward(notes: Iterable[Note]) -> CopyForward:
    """Measure a run's notes, in any order. The earliest note (by date of service, then place) is the original."""
    ids: list[str] = []
    days, patients = array("q"), array("Q")
    hashes, words, owners = array("Q"), array("q"), array("q")
    unnamed = 0
    for note in notes:
        if note.patient_id is None:
            unnamed += 1
            continue
        number = len(ids)
        ids.append(note.note_id)
        days.append(note.date_of_service.toordinal() if note.date_of_service else 0)
        patients.append(_hash(note.patient_id))
        for paragraph in dict.fromkeys(paragraphs(note.text)):
            hashes.append(_hash(f"{note.patient_id}\x00{paragraph}"))
            words.append(paragraph.count(" ") + 1)
            owners.append(number)
    note_patients, note_days = np.array(patients, dtype=np.uint64), np.array(days, dtype=np.int64)
    _, which, sizes = np.unique(note_patients, return_inverse=True, return_counts=True)
    compared = sizes[which] > 1 if len(ids) else np.zeros(0, dtype=bool)
    keys, counts, owner = (
        np.array(hashes, dtype=np.uint64),
        np.array(words, dtype=np.int64),
        np.array(owners, dtype=np.int64),
    )
    order = np.lexsort((owner, note_days[owner] if len(owner) else owner, keys))
    repeats = np.zeros(len(keys), dtype=bool)
    if len(keys):
        repeats[order[1:]] = keys[order][1:] == keys[order][:-1]
    total = np.bincount(owner, weights=counts, minlength=len(ids)).astype(np.int64)
    copied = np.bincount(owner, weights=counts * repeats, minlength=len(ids)).astype(np.int64)
    mostly = [number for number in range(len(ids)) if total[number] and copied[number] > MOSTLY * total[number]]
    mostly.sort(key=lambda number: (-copied[number] / total[number], -copied[number], number))
    return CopyForward(
        patients=int((sizes > 1).sum()),
        notes=int(compared.sum()),
        unnamed=unnamed,
        words=int(total[compared].sum()),
        copied=int(copied.sum()),
        with_copies=int((copied > 0).sum()),
        mostly=[CopiedNote(ids[number], int(copied[number]), int(total[number])) for number in mostly],
    )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")

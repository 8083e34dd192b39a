"""A stratified random sample of an audit's notes for a reader to decide on, as a worklist to fill in.

Strata are verdict and note type. Which notes are drawn follows from the seed and the notes alone, not from their order,
so the same seed draws the same notes again. Notes that do not concern the code are not drawn.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from analyzer.audit.cells import SEVERAL, write_table
from analyzer.audit.folder import REPORT, AuditFolder
from analyzer.audit.outputs import REPORTS
from analyzer.audit.tallies import REPORT_SEEN, UNFINISHED
from analyzer.errors import InputError
from analyzer.report import GapReport

SAMPLE = "sample.csv"

COLUMNS: Final = (
    "verdict",
    "note_type",
    "note_id",
    "text_sha256",
    "code",
    "requirement",
    "label",
    "found_status",
    "found_value",
    "found_because",
    "evidence",
    "decision",
    "status",
    "value",
    "reason",
    "reader",
    "date",
)
"""Columns of `sample.csv`, a row a requirement; the reader fills in those from `decision` on."""

_MAX_QUOTES = 3

Stratum = tuple[str, str]


def write_sample(folder: Path, size: int, seed: int) -> int:
    """Draw `size` notes from a finished audit into its `sample.csv`; returns how many were there to draw.

    Every stratum gets its share, and one note at least while the sample has room. Raises InputError for a size under
    1 and for a folder that holds no complete audit.
    """
    if size < 1:
        raise InputError(f"--sample {size}: draw at least one note")
    audit = AuditFolder.open(folder)
    facts_of = audit.facts()
    drawn: dict[Stratum, list[tuple[int, int]]] = {}
    sizes: Counter[Stratum] = Counter()
    for offset, report in audit.parsed(REPORTS, REPORT_SEEN):
        facts = facts_of(report["note_ids"], report.get("case_id"))
        if not report["relevant"]:
            continue
        stratum = (report["verdict"] or UNFINISHED, facts.note_type or "")
        sizes[stratum] += 1
        # The lowest `size` lots of each stratum, kept as a heap of their negatives.
        lots = drawn.setdefault(stratum, [])
        lot = (-_lot(seed, report["note_id"], report["text_sha256"]), -offset)
        if len(lots) < size:
            heapq.heappush(lots, lot)
        else:
            heapq.heappushpop(lots, lot)
    rows: list[list[Any]] = []
    for stratum, count in allocated(sizes, size).items():
        for _, offset in sorted(drawn[stratum], reverse=True)[:count]:
            rows += _rows(audit.parsed_at(REPORTS, -offset, REPORT), stratum)
    write_table(folder / SAMPLE, COLUMNS, rows)
    return sizes.total()


def _lot(seed: int, note_id: str, text_sha256: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\x00{note_id}\x00{text_sha256}".encode()).digest()[:8], "big")


def allocated(sizes: Counter[Stratum], size: int) -> dict[Stratum, int]:
    """How many notes each stratum gives: in proportion, by largest remainder; each at least one while there is room."""
    total = sizes.total()
    size = min(size, total)
    strata = sorted(sizes, key=lambda stratum: (-sizes[stratum], stratum))
    given = {stratum: min(1, sizes[stratum]) if place < size else 0 for place, stratum in enumerate(strata)}
    wanted = {stratum: size * sizes[stratum] / total for stratum in strata} if total else {}
    while sum(given.values()) < size:
        open_strata = [stratum for stratum in strata if given[stratum] < sizes[stratum]]
        neediest = max(open_strata, key=lambda stratum: wanted[stratum] - given[stratum])
        given[neediest] += 1
    return {stratum: given[stratum] for stratum in sorted(given)}


def _rows(report: GapReport, stratum: Stratum) -> list[list[Any]]:
    return [
        [
            *stratum,
            report.note_id,
            report.text_sha256,
            report.code,
            item.id,
            item.label,
            item.status,
            "" if item.value is None else json.dumps(item.value, ensure_ascii=False),
            item.reason,
            SEVERAL.join(f"“{span.text}”" for span in item.evidence[:_MAX_QUOTES] if span.text),
            *[""] * 6,
        ]
        for item in report.requirements
    ]

"""In which order an auditor should look at an audit's notes: what weighs most first.

A note's place follows from its report alone (and from claims, where there are any), so the order is the same every
time. Kept a note are 24 bytes and its id; notes alike share one description.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analyzer.audit.tallies import UNFINISHED, ReportSeen

REASONS: Final = (
    "billed, and the documentation points elsewhere",
    "documentation points elsewhere",
    "billed, with a coding question open",
    "says two things at once",
    "a coding question is open",
    "an audit question is open",
    "an unfinished note with gaps",
    "a conflict or remark to look at",
)
"""Why a note stands where it stands, the heaviest reason first."""

_MAX = 0xFF


@dataclass(frozen=True, slots=True)
class Kind:
    """What notes that look alike on the list have in common. `gaps` are requirement ids with their status."""

    reason: int
    verdict: str
    code: str
    gaps: tuple[tuple[str, str], ...]
    alerts: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A note's place on the list; `offset` is where its report begins in reports.jsonl."""

    rank: int
    note_id: str
    day: str | None
    kind: Kind
    offset: int


@dataclass(slots=True)
class Worklist:
    """The notes that ask for a look. Add every report, then read `entries`."""

    _ids: list[str] = field(default_factory=list)
    _days: list[str | None] = field(default_factory=list)
    _weights: array[int] = field(default_factory=lambda: array("Q"))
    _offsets: array[int] = field(default_factory=lambda: array("Q"))
    _kinds: array[int] = field(default_factory=lambda: array("L"))
    _known: dict[Kind, int] = field(default_factory=dict)
    _same_days: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, report: ReportSeen, offset: int, *, billed: bool = False) -> None:
        """Take a report onto the list, unless there is nothing to look at. `billed`: a claim carries its code."""
        if not report["relevant"]:
            return
        kind = _kind(report, billed)
        if kind is None:
            return
        conflicts = sum(status == "conflicting" for _, status in kind.gaps)
        errors = sum(severity == "error" for _, severity in kind.alerts)
        weight = len(REASONS) - kind.reason
        for count in (errors, conflicts, len(kind.gaps), len(kind.alerts), len(kind.flags)):
            weight = weight << 8 | min(count, _MAX)
        self._ids.append(report["case_id"] or report["note_id"] if "case_id" in report else report["note_id"])
        day = report["date_of_service"]
        self._days.append(self._same_days.setdefault(day, day) if day else None)
        self._weights.append(weight)
        self._offsets.append(offset)
        self._kinds.append(self._known.setdefault(kind, len(self._known)))

    def entries(self) -> Iterator[Entry]:
        """The list, heaviest first; among equals in the audit's order."""
        kinds = list(self._known)
        weights = np.array(self._weights, dtype=np.uint64)
        for rank, place in enumerate(np.argsort(~weights, kind="stable").tolist(), start=1):
            yield Entry(rank, self._ids[place], self._days[place], kinds[self._kinds[place]], int(self._offsets[place]))

    def by_reason(self) -> list[tuple[str, int]]:
        """How many notes stand on the list for each reason, heaviest first."""
        counts = [0] * len(REASONS)
        kinds = list(self._known)
        for number in self._kinds:
            counts[kinds[number].reason] += 1
        return [(reason, count) for reason, count in zip(REASONS, counts, strict=True) if count]


def _kind(report: ReportSeen, billed: bool) -> Kind | None:
    verdict = report["verdict"] or UNFINISHED
    gaps = tuple((item["id"], item["status"]) for item in report["requirements"] if item["status"] != "documented")
    alerts = tuple((alert["id"], alert["severity"]) for alert in report["alerts"])
    flags = tuple(dict.fromkeys(flag["id"] for flag in report["review_flags"]))
    conflicting = any(status == "conflicting" for _, status in gaps)
    if verdict == "not_supported":
        reason = 0 if billed else 1
    elif verdict == "query" and billed and not report["coding_complete"]:
        reason = 2
    elif verdict == "query" and conflicting:
        reason = 3
    elif verdict == "query":
        reason = 5 if report["coding_complete"] else 4
    elif verdict == UNFINISHED and gaps:
        reason = 6
    elif alerts or flags:
        reason = 7
    else:
        return None
    return Kind(reason, verdict, report["code"], gaps, alerts, flags)

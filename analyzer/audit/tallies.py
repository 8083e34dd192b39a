"""What an audit's reports add up to: verdicts, gaps, alerts, flags and breakdowns, counted in one pass.

Notes that do not concern the code are counted apart and stand in no denominator. Every rate is kept as its numerator
and denominator.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from analyzer.audit.folder import NoteFacts

UNFINISHED: Final = "unfinished"
"""Stands for the verdict of a note that is still being written, which has none."""

VERDICTS: Final = ("supported", "query", "not_supported", UNFINISHED)
STATUSES: Final = ("documented", "insufficient", "conflicting", "missing")
DIMENSIONS: Final = ("month", "note_type", "author_role", "input")
NOT_RECORDED: Final = ""
"""The group of notes of which no input said what the breakdown asks."""


class RequirementSeen(TypedDict):
    """The part of a requirement that is counted."""

    id: str
    label: str
    basis: str
    status: str
    send_query: str


class AlertSeen(TypedDict):
    """The part of an alert that is counted."""

    id: str
    severity: str
    message: str


class FlagSeen(TypedDict):
    """The part of a review flag that is counted."""

    id: str
    message: str


class _ProvenanceSeen(TypedDict):
    pack: str


class ReportSeen(TypedDict):
    """The part of a gap report that an audit's figures rest on. Checking only this is twice as fast as all of it."""

    note_id: str
    case_id: NotRequired[str | None]
    note_ids: list[str]
    text_sha256: str
    code: str
    code_title: str
    date_of_service: str | None
    relevant: bool
    verdict: str | None
    coding_complete: bool
    audit_complete: bool
    requirements: list[RequirementSeen]
    alerts: list[AlertSeen]
    review_flags: list[FlagSeen]
    provenance: _ProvenanceSeen


REPORT_SEEN: Final[TypeAdapter[ReportSeen]] = TypeAdapter(ReportSeen)


@dataclass(slots=True)
class RequirementTally:
    """How often a requirement has each status among relevant notes."""

    id: str
    label: str
    basis: str
    statuses: Counter[str] = field(default_factory=Counter)
    to_send: int = 0

    @property
    def notes(self) -> int:
        """The denominator: relevant notes judged for this requirement."""
        return self.statuses.total()

    @property
    def gaps(self) -> int:
        """The numerator: those where it is not documented."""
        return self.notes - self.statuses["documented"]


@dataclass(slots=True)
class NamedTally:
    """How many relevant notes carry an alert or a flag, under the message that most of them give."""

    id: str
    severity: str = ""
    notes: int = 0
    messages: Counter[str] = field(default_factory=Counter)

    @property
    def message(self) -> str:
        """The commonest message, the first in the alphabet among equals."""
        return min(self.messages, key=lambda text: (-self.messages[text], text), default="")


@dataclass(slots=True)
class GroupTally:
    """One group of a breakdown."""

    verdicts: Counter[str] = field(default_factory=Counter)
    irrelevant: int = 0
    gaps: int = 0
    judged: int = 0

    @property
    def relevant(self) -> int:
        """Relevant notes of the group."""
        return self.verdicts.total()


@dataclass(slots=True)
class Tallies:
    """Everything counted over an audit's reports. `by_folder`: sources are folders, for inputs of very many files."""

    by_folder: bool = False
    reports: int = 0
    irrelevant: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    coding_complete: int = 0
    audit_complete: int = 0
    to_query: int = 0
    cases: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    code_titles: dict[str, str] = field(default_factory=dict)
    requirements: dict[tuple[str, str], RequirementTally] = field(default_factory=dict)
    alerts: dict[str, NamedTally] = field(default_factory=dict)
    flags: dict[str, NamedTally] = field(default_factory=dict)
    groups: dict[str, dict[str, GroupTally]] = field(default_factory=lambda: {name: {} for name in DIMENSIONS})
    first_day: str | None = None
    last_day: str | None = None

    @property
    def relevant(self) -> int:
        """Reports on notes that concern their code: the denominator of every rate over notes."""
        return self.reports - self.irrelevant

    @property
    def packs(self) -> list[str]:
        """Packs in the order in which the reports name them."""
        return list(dict.fromkeys(pack for pack, _ in self.requirements))

    def add(self, report: ReportSeen, facts: NoteFacts) -> None:
        """Count one report."""
        self.reports += 1
        self.cases += bool(report.get("case_id"))
        self.codes[report["code"]] += 1
        self.code_titles.setdefault(report["code"], report["code_title"])
        day = report["date_of_service"]
        if day is not None:
            self.first_day = min(day, self.first_day or day)
            self.last_day = max(day, self.last_day or day)
        groups = [self._group("month", (day or "")[:7])]
        source = facts.input or NOT_RECORDED
        if self.by_folder and "/" in source:
            source = f"{source.rpartition('/')[0]}/"
        for name, value in (("note_type", facts.note_type), ("author_role", facts.author_role), ("input", source)):
            groups.append(self._group(name, value or NOT_RECORDED))
        if not report["relevant"]:
            self.irrelevant += 1
            for group in groups:
                group.irrelevant += 1
            return
        verdict = report["verdict"] or UNFINISHED
        self.verdicts[verdict] += 1
        self.coding_complete += report["coding_complete"]
        self.audit_complete += report["audit_complete"]
        gaps = self._count_requirements(report)
        for group in groups:
            group.verdicts[verdict] += 1
            group.gaps += gaps
            group.judged += len(report["requirements"])
        _count_named(self.alerts, {a["id"]: (a["severity"], a["message"]) for a in report["alerts"]})
        _count_named(self.flags, {f["id"]: ("", f["message"]) for f in report["review_flags"]})

    def _group(self, dimension: str, value: str) -> GroupTally:
        return self.groups[dimension].setdefault(value, GroupTally())

    def _count_requirements(self, report: ReportSeen) -> int:
        pack = report["provenance"]["pack"]
        gaps = 0
        asked = False
        for item in report["requirements"]:
            key = (pack, item["id"])
            tally = self.requirements.get(key)
            if tally is None:
                tally = self.requirements[key] = RequirementTally(item["id"], item["label"], item["basis"])
            tally.statuses[item["status"]] += 1
            if item["status"] != "documented":
                gaps += 1
                tally.to_send += item["send_query"] == "yes"
                asked |= item["send_query"] == "yes"
        self.to_query += asked
        return gaps


def _count_named(tallies: dict[str, NamedTally], found: dict[str, tuple[str, str]]) -> None:
    for identifier, (severity, message) in found.items():
        tally = tallies.setdefault(identifier, NamedTally(identifier, severity))
        tally.notes += 1
        tally.messages[message] += 1

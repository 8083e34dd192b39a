"""Two audits of the same notes side by side: which gaps closed and by what, which opened, what else changed.

Reports are paired by note (or case) id and code. A gap closes by an addendum, by other text that was added, by another
note of the case, or, where the text is the same, only because it is read differently now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from analyzer.audit.folder import NOTE, REPORT, AuditFolder
from analyzer.audit.outputs import NOTES, REPORTS
from analyzer.errors import InputError
from analyzer.report import Evidence, GapReport, Requirement

ADDENDUM: Final = "addendum"
"""The name that packs give to the section of later additions (see the contract's list of sections)."""

Means = Literal["addendum", "added text", "another note", "changed text", "another reading"]

MEANS_WORDS: Final[dict[Means, str]] = {
    "addendum": "by an addendum",
    "added text": "by text that was added",
    "another note": "by another note of the case",
    "changed text": "after the text was changed",
    "another reading": "with the same text, read differently",
}


class _Identity(TypedDict):
    note_id: str
    note_ids: list[str]
    case_id: str | None
    code: str


class _NoteId(TypedDict):
    note_id: str


_IDENTITY: TypeAdapter[_Identity] = TypeAdapter(_Identity)
_NOTE_ID: TypeAdapter[_NoteId] = TypeAdapter(_NoteId)

Key = tuple[str, str, int]
"""Note or case id, code, and how many of the same came before."""


@dataclass(frozen=True, slots=True)
class RequirementChange:
    """A requirement whose status changed. `by` and `evidence` say what closed a gap; both are empty otherwise."""

    id: str
    label: str
    before: str
    after: str
    by: Means | None = None
    evidence: list[Evidence] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NoteChange:
    """What changed in one note's report."""

    note_id: str
    code: str
    text_changed: bool
    verdict_before: str
    verdict_after: str
    closed: list[RequirementChange]
    opened: list[RequirementChange]
    shifted: list[RequirementChange]
    alerts_gone: list[str]
    alerts_new: list[str]

    def __bool__(self) -> bool:
        """Whether anything but the text changed."""
        return bool(
            self.closed
            or self.opened
            or self.shifted
            or self.alerts_gone
            or self.alerts_new
            or self.verdict_before != self.verdict_after
        )


@dataclass(slots=True)
class Comparison:
    """Two audits compared. Counts by requirement are of notes in both audits that concern the code in either."""

    both: int = 0
    text_changed: int = 0
    only_before: list[str] = field(default_factory=list)
    only_after: list[str] = field(default_factory=list)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    labels: dict[str, str] = field(default_factory=dict)
    gaps_before: Counter[str] = field(default_factory=Counter)
    gaps_after: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    means: Counter[Means] = field(default_factory=Counter)
    provenance: list[str] = field(default_factory=list)
    changes: list[NoteChange] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "notes": {
                "in_both": self.both,
                "text_changed": self.text_changed,
                "only_before": self.only_before,
                "only_after": self.only_after,
            },
            "provenance_differs": self.provenance,
            "verdicts": [
                {"before": before, "after": after, "notes": count}
                for (before, after), count in sorted(self.verdicts.items())
            ],
            "closed_by": dict(sorted(self.means.items())),
            "requirements": [
                {
                    "id": name,
                    "label": label,
                    "gaps_before": self.gaps_before[name],
                    "closed": self.closed[name],
                    "opened": self.opened[name],
                    "gaps_after": self.gaps_after[name],
                }
                for name, label in self.labels.items()
            ],
            "changes": [_change_json(change) for change in self.changes],
        }


def _change_json(change: NoteChange) -> dict[str, Any]:
    def listed(changes: list[RequirementChange]) -> list[dict[str, Any]]:
        return [
            {
                "requirement": one.id,
                "label": one.label,
                "before": one.before,
                "after": one.after,
                "by": one.by,
                "evidence": [span.model_dump(mode="json") for span in one.evidence],
            }
            for one in changes
        ]

    return {
        "note_id": change.note_id,
        "code": change.code,
        "text_changed": change.text_changed,
        "verdict": {"before": change.verdict_before, "after": change.verdict_after},
        "closed": listed(change.closed),
        "opened": listed(change.opened),
        "shifted": listed(change.shifted),
        "alerts": {"gone": change.alerts_gone, "new": change.alerts_new},
    }


def compare(before: Path, after: Path) -> Comparison:
    """Compare two finished audits. Raises InputError for a folder that is none, and for audits without common notes."""
    first, second = AuditFolder.open(before), AuditFolder.open(after)
    places: dict[Key, int] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for offset, identity in first.parsed(REPORTS, _IDENTITY):
        places[_key(identity, seen)] = offset
    result = Comparison(provenance=_provenance_differences(first, second))
    text_before, text_after = _texts(first), _texts(second)
    seen.clear()
    for _, report in second.parsed(REPORTS, REPORT):
        identity = _Identity(note_id=report.note_id, note_ids=report.note_ids, case_id=report.case_id, code=report.code)
        place = places.pop(_key(identity, seen), None)
        if place is None:
            result.only_after.append(report.case_id or report.note_id)
            continue
        _add(result, first.parsed_at(REPORTS, place, REPORT), report, text_before, text_after)
    if not result.both:
        raise InputError(f"{before} and {after} have no note in common (same note_id and code)")
    result.only_before = [name for name, _, _ in places]
    return result


def _key(identity: _Identity, seen: Counter[tuple[str, str]]) -> Key:
    name = (identity["case_id"] or identity["note_id"], identity["code"])
    seen[name] += 1
    return (*name, seen[name])


TextOf = Callable[[str], str | None]


def _texts(audit: AuditFolder) -> TextOf:
    """A note's text by its id, read when asked for; None where the audit holds no texts."""
    offsets: dict[str, int] = {}
    if audit.has_notes:
        for offset, note in audit.parsed(NOTES, _NOTE_ID):
            offsets.setdefault(note["note_id"], offset)

    def text_of(note_id: str) -> str | None:
        offset = offsets.get(note_id)
        return None if offset is None else audit.parsed_at(NOTES, offset, NOTE).text

    return text_of


def _provenance_differences(first: AuditFolder, second: AuditFolder) -> list[str]:
    lines = []
    for key in ("chartgap", "pack", "pack_version", "pack_sha256", "code_set"):
        old, new = (sorted({str(item.get(key)) for item in one.run["provenance"]}) for one in (first, second))
        if old != new:
            lines.append(f"{key}: {', '.join(old) or 'none'}, then {', '.join(new) or 'none'}")
    return lines


def _add(result: Comparison, old: GapReport, new: GapReport, text_before: TextOf, text_after: TextOf) -> None:
    result.both += 1
    changed = old.text_sha256 != new.text_sha256
    result.text_changed += changed
    result.verdicts[_verdict(old), _verdict(new)] += 1
    # A note that does not concern the code has no gaps to ask about.
    statuses_old = {item.id: item.status for item in old.requirements} if old.relevant else {}
    statuses_new = {item.id: item.status for item in new.requirements} if new.relevant else {}
    closed, opened, shifted = [], [], []
    for item in new.requirements:
        result.labels.setdefault(item.id, item.label)
        was, now = statuses_old.get(item.id), statuses_new.get(item.id)
        result.gaps_before[item.id] += was not in (None, "documented")
        result.gaps_after[item.id] += now not in (None, "documented")
        if was is None or now is None or was == now:
            continue
        if now == "documented":
            by, evidence = _closing(item, old, changed, text_before, text_after)
            closed.append(RequirementChange(item.id, item.label, was, now, by, evidence))
            result.closed[item.id] += 1
            result.means[by] += 1
        elif was == "documented":
            opened.append(RequirementChange(item.id, item.label, was, now))
            result.opened[item.id] += 1
        else:
            shifted.append(RequirementChange(item.id, item.label, was, now))
    alerts_old, alerts_new = [alert.id for alert in old.alerts], [alert.id for alert in new.alerts]
    change = NoteChange(
        note_id=new.case_id or new.note_id,
        code=new.code,
        text_changed=changed,
        verdict_before=_verdict(old),
        verdict_after=_verdict(new),
        closed=closed,
        opened=opened,
        shifted=shifted,
        alerts_gone=[name for name in alerts_old if name not in alerts_new],
        alerts_new=[name for name in alerts_new if name not in alerts_old],
    )
    if change:
        result.changes.append(change)


def _verdict(report: GapReport) -> str:
    return (report.verdict or "unfinished") if report.relevant else "irrelevant"


def _closing(
    item: Requirement, old: GapReport, changed: bool, text_before: TextOf, text_after: TextOf
) -> tuple[Means, list[Evidence]]:
    """By what a gap closed, with the evidence that did it: the strongest of the means that holds."""
    if not changed and set(old.note_ids) >= {span.note_id for span in item.evidence}:
        return "another reading", item.evidence
    added = [span for span in item.evidence if _is_added(span, text_before, text_after)]
    in_addendum = [span for span in (added or item.evidence) if span.section == ADDENDUM]
    if in_addendum:
        return "addendum", in_addendum
    other = [span for span in item.evidence if span.note_id not in old.note_ids]
    if other:
        return "another note", other
    return ("added text", added) if added else ("changed text", item.evidence)


def _is_added(span: Evidence, text_before: TextOf, text_after: TextOf) -> bool:
    """Whether a line that the span touches stood nowhere in the note before."""
    before, after = text_before(span.note_id), text_after(span.note_id)
    if before is None or after is None:
        return False
    start = after.rfind("\n", 0, span.start) + 1
    end = after.find("\n", span.end)
    lines = after[start : end if end >= 0 else len(after)].splitlines()
    known = {" ".join(line.split()) for line in before.splitlines()}
    return any(" ".join(line.split()) not in known for line in lines if line.strip())

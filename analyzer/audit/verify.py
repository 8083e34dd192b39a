"""Whether an audit's reports still hold: each is computed again from the audit's own notes and compared.

A report holds when everything it says comes out the same; the release and the pack that made it may differ, and that is
said apart. Quotes are checked against the text and the text against its hash, whatever the recomputation says.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from analyzer.audit.folder import NOTE, AuditFolder, InStep
from analyzer.audit.outputs import NOTES
from analyzer.errors import ChartgapError, InputError
from analyzer.note import Note
from analyzer.report import Evidence, GapReport

_COMPARED_APART: Final = {"provenance", "warnings"}

MAX_NAMED: Final = 20
"""Notes named for each thing that is wrong."""


class Judge(Protocol):
    """What is needed of an Analyzer."""

    def report(self, note: Note) -> GapReport: ...


@dataclass(slots=True)
class Verification:
    """What was found. `wrong` holds, for each kind of disagreement, how many reports show it and the first ones."""

    reports: int = 0
    identical: int = 0
    provenance: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every report says what it would say today."""
        return not self.wrong

    def note(self, kind: str, name: str) -> None:
        """Count one disagreement."""
        self.wrong[kind] += 1
        names = self.named.setdefault(kind, [])
        if len(names) < MAX_NAMED:
            names.append(name)

    def to_json(self) -> dict[str, Any]:
        """The verification as plain values."""
        return {
            "holds": self.holds,
            "reports": self.reports,
            "identical": self.identical,
            "provenance_differs": dict(sorted(self.provenance.items())),
            "wrong": [
                {"what": kind, "reports": count, "first": self.named[kind]} for kind, count in self.wrong.most_common()
            ],
        }


def verify(folder: Path, judge: Judge, on_report: Callable[[int], None] = lambda done: None) -> Verification:
    """Recompute every report of a finished audit with `judge`.

    Raises InputError for a folder that is no complete audit or holds no notes.
    """
    audit = AuditFolder.open(folder)
    if not audit.has_notes:
        why = ": it was made without text" if audit.without_text else ""
        raise InputError(f"{folder}: holds no {NOTES}, so nothing can be computed again{why}")
    result = Verification()
    notes = InStep((note.note_id, note) for _, note in audit.parsed(NOTES, NOTE))
    for report in audit.reports():
        own = notes.take(report.note_ids, case=report.case_id is not None)
        if own is None:
            raise InputError(f"{folder}: {NOTES} does not hold the notes of report {result.reports + 1}")
        result.reports += 1
        name = report.case_id or report.note_id
        for kind in _problems(report, own, judge, result):
            result.note(kind, name)
        on_report(result.reports)
    if not notes.done:
        raise InputError(f"{folder}: {NOTES} holds more notes than there are reports")
    return result


def _problems(report: GapReport, notes: Sequence[Note], judge: Judge, result: Verification) -> Iterator[str]:
    texts = {note.note_id: note.text for note in notes}
    if len(notes) == 1 and hashlib.sha256(notes[0].text.encode("utf-8")).hexdigest() != report.text_sha256:
        yield "the text is not the one that was read (its hash differs)"
    # A quote may also come from a document beside the case, which is no note of the audit.
    known = [span for span in _spans(report) if span.note_id in texts]
    if any(texts[span.note_id][span.start : span.end] != span.text for span in known):
        yield "a quote does not stand where the report says"
    try:
        again = _judged(report, notes, judge)
    except ChartgapError as error:
        yield f"no report can be made now: {error}"
        return
    except Exception as error:
        # Any other message may quote the note.
        yield f"no report can be made now ({type(error).__name__})"
        return
    stored, fresh = report.model_dump(mode="json"), again.model_dump(mode="json")
    for key in ("chartgap", "pack", "pack_version", "pack_sha256", "code_set", "settings"):
        old, new = stored["provenance"][key], fresh["provenance"][key]
        if old != new:
            result.provenance[f"{key} {old}, now {new}"] += 1
    different = [key for key in stored if key not in _COMPARED_APART and stored[key] != fresh[key]]
    # What the reading of the file warned of stands after the report's own warnings.
    if stored["warnings"][: len(fresh["warnings"])] != fresh["warnings"]:
        different.append("warnings")
    for key in different:
        yield f"{key.replace('_', ' ')} would be different now"
    result.identical += not different and stored["provenance"] == fresh["provenance"]


def _judged(report: GapReport, notes: Sequence[Note], judge: Judge) -> GapReport:
    if report.case_id is None:
        return judge.report(notes[0])
    judged: GapReport = judge.case(notes, case_id=report.case_id)  # type: ignore[attr-defined]
    return judged


def _spans(report: GapReport) -> Iterator[Evidence]:
    for item in report.requirements:
        yield from item.evidence
    for alert in report.alerts:
        yield from alert.evidence
    for flag in report.review_flags:
        yield from flag.evidence
    for candidate in report.candidate_codes:
        yield from candidate.evidence

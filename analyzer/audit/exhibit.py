"""An exhibit: what an audit says of one note or case, on a page to print or attach to a claim's file.

It holds each requirement with its status, quotes, author and date, and the hashes by which a reader can check that
text, report and pack are the ones named.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from analyzer.audit.cells import SEVERAL, read_table
from analyzer.audit.claims import CLAIMS
from analyzer.audit.decisions import DECISIONS, Decision
from analyzer.audit.folder import NOTE, REPORT, AuditFolder, NoteFacts
from analyzer.audit.outputs import NOTES, REPORTS
from analyzer.errors import InputError
from analyzer.render.environment import environment
from analyzer.report import GapReport


class _Identity(TypedDict):
    note_id: str
    note_ids: list[str]
    case_id: str | None


_IDENTITY: TypeAdapter[_Identity] = TypeAdapter(_Identity)
_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One report with what stands around it. `report_sha256` is of its line in reports.jsonl, without the line end."""

    report: GapReport
    report_sha256: str
    facts: NoteFacts
    text_hashes: dict[str, str]
    input_hashes: dict[str, str]
    claims: list[dict[str, str]]
    decisions: dict[str, list[Decision]]


def exhibit_page(folder: Path, name: str) -> str:
    """The page for the report called `name` (a note id, a case id, or an encounter id), several if several match.

    Raises InputError when the audit holds no such report.
    """
    audit = AuditFolder.open(folder)
    exhibits = _exhibits(audit, name)
    if not exhibits:
        raise InputError(f"{folder}: holds no report on a note, case or encounter called {name!r}")
    template = environment().get_template("exhibit.html.j2")
    return template.render(exhibits=exhibits, audit=audit, name=name)


def _exhibits(audit: AuditFolder, name: str) -> list[Exhibit]:
    facts_of = audit.facts()
    by_name: list[tuple[int, NoteFacts]] = []
    by_encounter: list[tuple[int, NoteFacts]] = []
    for offset, identity in audit.parsed(REPORTS, _IDENTITY):
        facts = facts_of(identity["note_ids"], identity["case_id"])
        if name in (identity["note_id"], identity["case_id"], *identity["note_ids"]):
            by_name.append((offset, facts))
        elif facts.encounter_id == name:
            by_encounter.append((offset, facts))
    return [_exhibit(audit, offset, facts) for offset, facts in by_name or by_encounter]


def _exhibit(audit: AuditFolder, offset: int, facts: NoteFacts) -> Exhibit:
    with (audit.path / REPORTS).open("rb") as handle:
        handle.seek(offset)
        line = handle.readline().rstrip(b"\r\n")
    report = audit.parsed_at(REPORTS, offset, REPORT)
    inputs = {str(one["path"]): str(one["sha256"]) for one in audit.run["inputs"]}
    return Exhibit(
        report=report,
        report_sha256=hashlib.sha256(line).hexdigest(),
        facts=facts,
        text_hashes=_text_hashes(audit, report),
        input_hashes={path: sha256 for path, sha256 in inputs.items() if facts.input in (None, path)},
        claims=_claims(audit, report),
        decisions=_decisions(audit, report),
    )


def _text_hashes(audit: AuditFolder, report: GapReport) -> dict[str, str]:
    """SHA-256 of each note's text; a note judged alone has it in its report."""
    if len(report.note_ids) == 1:
        return {report.note_ids[0]: report.text_sha256}
    hashes = {}
    if audit.has_notes:
        for _, note in audit.parsed(NOTES, NOTE):
            if note.note_id in report.note_ids:
                hashes[note.note_id] = hashlib.sha256(note.text.encode("utf-8")).hexdigest()
    return hashes or {report.case_id or report.note_id: report.text_sha256}


def _claims(audit: AuditFolder, report: GapReport) -> list[dict[str, str]]:
    if not (audit.path / CLAIMS).is_file():
        return []
    _, rows = read_table(audit.path / CLAIMS)
    return [row for _, row in rows if set(row["note_ids"].split(SEVERAL)) & set(report.note_ids)]


def _decisions(audit: AuditFolder, report: GapReport) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if (audit.path / DECISIONS).is_file():
        for _, decision in audit.parsed(DECISIONS, _DECISION):
            if decision.text_sha256 == report.text_sha256 and decision.code == report.code:
                found.setdefault(decision.requirement, []).append(decision)
    return found

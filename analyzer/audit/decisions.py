"""What readers decided about an audit's findings: read, matched, measured, and carried to the next audit.

A decision is about one requirement of one note: the reader agrees with the status found, or says another. The file is
JSON lines or CSV with these keys: `note_id`, `text_sha256`, `code`, `requirement`, `decision` (`agree`, `disagree`),
`status` (the reader's), `value`, `reason`, `reader`, `date`. `docs/audit.md` describes it for people. A filled-in
sample.csv is such a file; rows without a decision are not decided yet.

A decision belongs to a text, not to a run: it holds for every audit that reads the same text (by its SHA-256) for the
same code, whatever the note is called there.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator
from typing_extensions import TypedDict

from analyzer.audit.cells import read_table
from analyzer.audit.folder import AuditFolder
from analyzer.audit.outputs import REPORTS
from analyzer.audit.tallies import UNFINISHED
from analyzer.errors import InputError
from analyzer.formats.encoding import decode
from analyzer.formats.records import note_problem
from analyzer.note import IsoDate
from analyzer.report import Status
from analyzer.statistics import cohen_kappa, wilson_interval

DECISIONS, AGREEMENT = "decisions.jsonl", "agreement.json"

_TABLE_SUFFIXES: Final = (".csv", ".tsv")


class Decision(BaseModel):
    """One reader's word on one requirement of one note. `status` and `value` are the reader's.

    `found_status` and `found_value` are what the reader saw, where the file says it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    note_id: str
    text_sha256: str | None = None
    code: str | None = None
    requirement: str
    decision: Literal["agree", "disagree"]
    status: Status | None = None
    value: Any = None
    reason: str | None = None
    reader: str
    date: IsoDate | None = None
    found_status: Status | None = None
    found_value: Any = None

    @field_validator("requirement", "note_id")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value:
            raise ValueError("is empty")
        return value

    def upheld_by(self, status: str, value: Any) -> bool:
        """Whether a finding is what the reader holds to be right.

        A reader who disagrees and yet names the status and value that were found objects to something else, such as
        the evidence: no finding like that one is upheld.
        """
        if self.status is None:
            return self.decision == "agree"
        said = self.status == status and (self.value is None or _same(self.value, value))
        if self.decision == "agree" or not said:
            return said
        return self.found_status is not None and not (
            self.found_status == self.status and (self.value is None or _same(self.found_value, self.value))
        )


def _same(one: Any, other: Any) -> bool:
    """Equal but for the order of lists."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(str, one)) == sorted(map(str, other))
    return bool(one == other)


def holds_decisions(path: Path) -> bool:
    """Whether a file is one of decisions and not of labels: a table, or JSON lines whose first has a `decision`."""
    if path.suffix.lower() in _TABLE_SUFFIXES:
        return True
    first = next(_json_lines(path), None)
    return first is not None and "decision" in first[1]


def read_decisions(path: Path) -> list[Decision]:
    """The decisions of a file. A decision that names no reader is by one called like the file.

    Rows that decide nothing are left out. Raises InputError naming file, line and key.
    """
    found: list[Decision] = []
    for number, values in _table_rows(path) if path.suffix.lower() in _TABLE_SUFFIXES else _json_lines(path):
        if not values.get("decision"):
            continue
        try:
            found.append(Decision.model_validate({**values, "reader": values.get("reader") or path.stem}))
        except ValidationError as error:
            raise InputError(f"{path}:{number}: {note_problem(error, values)}") from None
    if not found:
        raise InputError(f"{path}: holds no decisions")
    return found


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text, _ = decode(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or type(error).__name__}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{path}:{number}: not valid JSON") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}:{number}: a decision is a JSON object")
        yield number, value


def _table_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    columns, rows = read_table(path)
    missing = [name for name in ("note_id", "requirement", "decision") if name not in columns]
    if missing:
        raise InputError(f"{path}:1: no column {missing[0]}")
    for number, row in rows:
        values: dict[str, Any] = {name: cell for name, cell in row.items() if cell}
        for name in ("decision", "status"):
            if name in values:
                values[name] = values[name].lower()
        if values.get("decision") == "agree":
            # The status that sample.csv showed is the one agreed with, whatever a later audit finds.
            values.setdefault("status", values.get("found_status"))
        for name in ("value", "found_value"):
            if name in values:
                values[name] = _cell_value(values[name])
        yield number, values


def _cell_value(cell: str) -> Any:
    """A value typed into a spreadsheet: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(cell)
    except ValueError:
        return cell


# Measuring


class _Requirement(TypedDict):
    id: str
    label: str
    status: str
    value: Any


class _Report(TypedDict):
    note_id: str
    text_sha256: str
    code: str
    relevant: bool
    verdict: str | None
    requirements: list[_Requirement]


_REPORT: TypeAdapter[_Report] = TypeAdapter(_Report)


@dataclass(frozen=True, slots=True)
class _Item:
    """A finding with what each reader said of it."""

    requirement: str
    label: str
    verdict: str
    status: str
    value: Any
    by_reader: Mapping[str, Decision]

    @property
    def settled(self) -> Decision | None:
        """A decision all readers share, or None where they differ."""
        said = list(self.by_reader.values())
        alike = {decision.upheld_by(self.status, self.value) for decision in said}
        statuses = {decision.status for decision in said}
        return said[0] if len(alike) == 1 and len(statuses) == 1 else None


def write_decisions(folder: Path, decision_files: Sequence[Path]) -> dict[str, Any]:
    """Match decisions with a finished audit: writes `decisions.jsonl` and `agreement.json`, returns the latter.

    `decisions.jsonl` holds those that belong to the audit's texts, with what was found when they were first matched,
    so that it can be given to the next audit. Raises InputError for files that can't be read.
    """
    audit = AuditFolder.open(folder)
    decisions = [decision for path in decision_files for decision in read_decisions(path)]
    items, kept, warnings = _matched(audit, decisions)
    _write(folder / DECISIONS, "".join(f"{decision.model_dump_json()}\n" for decision in kept))
    summary = {
        "inputs": [
            {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in decision_files
        ],
        "decisions": len(decisions),
        "matched": len(kept),
        "warnings": warnings,
        **measured(items),
    }
    _write(folder / AGREEMENT, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return summary


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def latest(decisions: Iterable[Decision]) -> list[Decision]:
    """One decision a reader, text, code and requirement: the last by date, then by place."""
    last: dict[tuple[str | None, ...], Decision] = {}
    for decision in decisions:
        text = decision.text_sha256 or f"note {decision.note_id}"
        key = (text, decision.code, decision.requirement, decision.reader)
        known = last.get(key)
        if known is None or known.date is None or decision.date is None or decision.date >= known.date:
            last[key] = decision
    return list(last.values())


def _matched(audit: AuditFolder, decisions: Sequence[Decision]) -> tuple[list[_Item], list[Decision], list[str]]:
    by_text: dict[str, list[Decision]] = defaultdict(list)
    by_note: dict[str, list[Decision]] = defaultdict(list)
    standing = latest(decisions)
    for decision in standing:
        if decision.text_sha256:
            by_text[decision.text_sha256].append(decision)
        else:
            by_note[decision.note_id].append(decision)
    items: list[_Item] = []
    kept: dict[int, Decision] = {}
    unknown: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for _, report in audit.parsed(REPORTS, _REPORT):
        text = (report["text_sha256"], report["code"])
        said = [*by_text.get(report["text_sha256"], ()), *by_note.get(report["note_id"], ())]
        said = [decision for decision in said if decision.code in (None, report["code"])]
        # A text that stands twice in the audit is one finding.
        if not said or text in seen:
            continue
        seen.add(text)
        found = {item["id"]: item for item in report["requirements"]}
        by_requirement: dict[str, dict[str, Decision]] = defaultdict(dict)
        for decision in said:
            item = found.get(decision.requirement)
            if item is None:
                unknown.add(decision.requirement)
                continue
            kept[id(decision)] = _filled(decision, report, item)
            by_requirement[decision.requirement][decision.reader] = kept[id(decision)]
        for name, by_reader in by_requirement.items():
            item = found[name]
            verdict = (report["verdict"] or UNFINISHED) if report["relevant"] else "irrelevant"
            items.append(_Item(name, item["label"], verdict, item["status"], item["value"], by_reader))
    unmatched = sum(id(decision) not in kept for decision in standing)
    warnings = [f"no requirement of the audit is called {name!r}" for name in sorted(unknown)]
    if unmatched:
        warnings.append(f"{unmatched} of {len(standing)} decisions belong to no text of this audit")
    if len(standing) < len(decisions):
        warnings.append(f"{len(decisions) - len(standing)} decisions were replaced by the same reader's later ones")
    if by_note:
        count = sum(map(len, by_note.values()))
        warnings.append(f"{count} decisions name no text_sha256; they were matched by note_id")
    return items, [kept[id(d)] for d in standing if id(d) in kept], warnings


def _filled(decision: Decision, report: _Report, item: _Requirement) -> Decision:
    """The decision with what it leaves open filled in from the finding it is matched with for the first time."""
    update: dict[str, Any] = {"text_sha256": report["text_sha256"], "code": report["code"]}
    if decision.found_status is None:
        update |= {"found_status": item["status"], "found_value": item["value"]}
    if decision.status is None and decision.decision == "agree":
        update["status"] = item["status"]
    return decision.model_copy(update=update)


def measured(items: Sequence[_Item]) -> dict[str, Any]:
    """Error rates with Wilson's 95 % intervals, and the readers' agreement with Cohen's kappa.

    An error is a finding that its readers do not uphold. Findings on which readers differ are `disputed` and stand in
    no error rate. Nothing of notes that do not concern the code is counted.
    """
    relevant = [item for item in items if item.verdict != "irrelevant"]
    names = list(dict.fromkeys(item.requirement for item in relevant))
    readers = sorted({reader for item in relevant for reader in item.by_reader})
    labels = {item.requirement: item.label for item in relevant}
    return {
        "all": _errors(relevant),
        "by_requirement": [
            {"id": name, "label": labels[name], **_errors([i for i in relevant if i.requirement == name])}
            for name in names
        ],
        "by_verdict": [
            {"verdict": verdict, **_errors([i for i in relevant if i.verdict == verdict])}
            for verdict in sorted({item.verdict for item in relevant})
        ],
        "readers": readers,
        "agreement": [
            {"readers": [one, other], **_agreement(relevant, one, other), "by_requirement": by_requirement}
            for one, other in combinations(readers, 2)
            if any(one in item.by_reader and other in item.by_reader for item in relevant)
            for by_requirement in [
                {name: _agreement([i for i in relevant if i.requirement == name], one, other) for name in names}
            ]
        ],
    }


def _errors(items: Sequence[_Item]) -> dict[str, Any]:
    settled = [(item, item.settled) for item in items]
    decided = [(item, decision) for item, decision in settled if decision is not None]
    wrong = sum(not decision.upheld_by(item.status, item.value) for item, decision in decided)
    interval = wilson_interval(wrong, len(decided))
    return {
        "decided": len(decided),
        "disputed": len(items) - len(decided),
        "errors": wrong,
        "rate": round(wrong / len(decided), 4) if decided else None,
        "interval": [round(bound, 4) for bound in interval] if interval else None,
    }


def _agreement(items: Sequence[_Item], one: str, other: str) -> dict[str, Any]:
    pairs = [
        (str(item.by_reader[one].status), str(item.by_reader[other].status))
        for item in items
        if one in item.by_reader and other in item.by_reader
        if item.by_reader[one].status and item.by_reader[other].status
    ]
    kappa = cohen_kappa(pairs)
    return {
        "items": len(pairs),
        "agree": sum(a == b for a, b in pairs),
        "kappa": round(kappa, 4) if kappa is not None else None,
    }

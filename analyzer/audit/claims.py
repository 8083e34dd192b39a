"""Billed codes held against an audit's reports, in both directions.

A claim is joined to the reports of its encounter; without an encounter id, of its note id; without that, of its
patient and date of service. What counts as a mismatch of codes and words is data: `claims.yaml` of each pack. How
columns may be called is in `patterns/common/claims.yaml`. Nothing here assigns a code: every row is for a reviewer.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, NotRequired

from pydantic import BaseModel, ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from analyzer.audit.cells import SEVERAL, read_table, write_table
from analyzer.audit.folder import AuditFolder, NoteFacts
from analyzer.audit.outputs import REPORTS
from analyzer.codes import CodeTable, normalise
from analyzer.errors import InputError, PackError
from analyzer.pack_files import file_of, validated
from analyzer.packs import Examples, PackInfo, available_packs, pack_covering
from analyzer.report import VERDICT_WORDS
from analyzer.yamlfile import line_of, read_yaml

CLAIMS, CLAIMS_SUMMARY = "claims.csv", "claims.json"

COLUMNS: Final = (
    "kind",
    "claim",
    "lines",
    "encounter_id",
    "patient_id",
    "date_of_service",
    "code",
    "billed_codes",
    "procedures",
    "modifiers",
    "note_ids",
    "verdict",
    "message",
    "source",
)
"""Columns of `claims.csv`. Several values stand in one cell with `; ` between; `lines` are those of the claims file."""

KINDS: Final = {
    "billed_without_support": "Billed, and no note on the claim documents it",
    "billed_without_note": "Billed, and no note of the audit belongs to the claim",
    "billed_not_judged": "Billed, and the claim's notes were read for another code",
    "support_without_code": "Documented, and the claim carries another code",
    "support_without_claim": "Documented, and no claim belongs to the note",
    "rule": "The claim's codes and the note's words disagree",
    "code_not_reportable": "A billed code that cannot be reported as written",
    "not_readable": "Rows of the claims file that could not be used",
}
"""What each kind of row says, in the order in which they are listed."""

_SEPARATORS = re.compile(r"[;,|\s]+")
_DATE_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y")
_BETTER = {None: 0, "not_supported": 1, "query": 2, "supported": 3}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleCondition(_Strict):
    """What a report must say: every key that is given holds."""

    requirement: str | None = None
    status: str | None = None
    value: list[str] | None = None
    alert: str | None = None
    flag: str | None = None
    verdict: str | None = None

    def holds(self, report: JudgedReport) -> bool:
        """Whether a report fulfils it."""
        if self.verdict is not None and report["verdict"] != self.verdict:
            return False
        if self.alert is not None and all(alert["id"] != self.alert for alert in report["alerts"]):
            return False
        if self.flag is not None and all(flag["id"] != self.flag for flag in report["review_flags"]):
            return False
        if self.requirement is None:
            return True
        item = next((r for r in report["requirements"] if r["id"] == self.requirement), None)
        if item is None or self.status not in (None, item["status"]):
            return False
        values = item["value"] if isinstance(item["value"], list) else [item["value"]]
        return self.value is None or any(value in self.value for value in values)


class ClaimRule(_Strict):
    """One way in which a claim and the note's words can disagree."""

    id: str
    codes: str | None = None
    with_code: str | None = None
    procedures: str | None = None
    modifiers: str | None = None
    when: RuleCondition | None = None
    message: str
    examples: Examples
    source: str


class _RuleFile(_Strict):
    rules: list[ClaimRule]


class _Requirement(TypedDict):
    id: str
    status: str
    value: Any


class _Named(TypedDict):
    id: str


class _Pack(TypedDict):
    pack: str


class JudgedReport(TypedDict):
    """The part of a gap report that claims are held against."""

    note_id: str
    case_id: NotRequired[str | None]
    note_ids: list[str]
    code: str
    date_of_service: str | None
    relevant: bool
    verdict: str | None
    requirements: list[_Requirement]
    alerts: list[_Named]
    review_flags: list[_Named]
    provenance: _Pack


_JUDGED: TypeAdapter[JudgedReport] = TypeAdapter(JudgedReport)


@dataclass(slots=True)
class Claim:
    """What the rows of a claims file say of one claim, and what its reports said of it."""

    name: str
    encounter_id: str = ""
    note_id: str = ""
    patient_id: str = ""
    day: str = ""
    lines: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    procedures: list[str] = field(default_factory=list)
    modifiers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    best: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    fired: dict[tuple[str, str], str] = field(default_factory=dict)


@cache
def claim_rules(pack_folder: str) -> tuple[ClaimRule, ...]:
    """The claim rules of a pack, none where it has no `claims.yaml`. Raises PackError naming file, line and key."""
    path = Path(pack_folder) / "claims.yaml"
    if not path.is_file():
        return ()
    content, shown, lines = file_of(path.parent, path.name)
    rules = validated(_RuleFile, content, shown, lines).rules
    for number, rule in enumerate(rules):
        if not rule.examples.match or not rule.examples.no_match:
            said = f"rule {rule.id!r} needs a code it must match and one it must not"
            raise PackError(shown, line_of(lines, ("rules", number)), f"rules.{number}.examples", said)
        for key in ("codes", "with_code", "procedures", "modifiers"):
            try:
                re.compile(getattr(rule, key) or "")
            except re.error as error:
                place: tuple[str | int, ...] = ("rules", number, key)
                raise PackError(shown, line_of(lines, place), f"rules.{number}.{key}", str(error)) from None
    return tuple(rules)


# Reading the claims


def read_claims(path: Path) -> tuple[list[Claim], list[tuple[int, str]]]:
    """The claims of a file, its rows joined by claim; and the rows that say too little, with line and reason.

    Raises InputError for a file that can't be read or whose columns name no codes or nothing to join by.
    """
    columns, rows = read_table(path)
    meanings = column_meanings(columns)
    named = set(meanings.values())
    if not named & {"codes", "procedures"}:
        raise InputError(f"{path}:1: no column of billed codes (such as codes, dx_codes or icd10)")
    if not named & {"encounter_id", "note_id"} and not {"patient_id", "date_of_service"} <= named:
        raise InputError(
            f"{path}:1: no column to join notes by: encounter_id, note_id, or patient_id with date_of_service"
        )
    claims: dict[tuple[str, ...], Claim] = {}
    unusable: list[tuple[int, str]] = []
    for line, row in rows:
        said: dict[str, list[str]] = {}
        for column, meaning in meanings.items():
            if row[column]:
                said.setdefault(meaning, []).append(row[column])
        one = {name: said.get(name, [""])[0] for name in ("encounter_id", "note_id", "patient_id", "claim_id")}
        try:
            day = _day(said["date_of_service"][0]) if "date_of_service" in said else ""
        except ValueError:
            unusable.append((line, "the date of service is no date (write it YYYY-MM-DD)"))
            continue
        key = _join_key(one, day)
        if key is None:
            unusable.append((line, "no encounter id, no note id, and no patient id with a date of service"))
            continue
        written = split_cells(said.get("codes", []))
        codes = [normalise(code) for code in written]
        if None in codes:
            unusable.append(
                (line, f"code {codes.index(None) + 1} of {len(codes)} is not written like an ICD-10-CM code")
            )
        claim = claims.get(key)
        if claim is None:
            name = one["claim_id"] or " ".join(key[1:])
            claim = claims[key] = Claim(name, one["encounter_id"], one["note_id"], one["patient_id"], day)
        claim.lines.append(line)
        _extend(claim.codes, [code for code in codes if code is not None])
        _extend(claim.procedures, split_cells(said.get("procedures", [])))
        _extend(claim.modifiers, split_cells(said.get("modifiers", [])))
    if not claims and not unusable:
        raise InputError(f"{path}: holds no claims")
    return list(claims.values()), unusable


def _join_key(one: dict[str, str], day: str) -> tuple[str, ...] | None:
    for name in ("encounter_id", "note_id"):
        if one[name]:
            return (name, one[name])
    return ("patient_id", one["patient_id"], day) if one["patient_id"] and day else None


def column_meanings(columns: Sequence[str]) -> dict[str, str]:
    """What each column of a claims file means, by its usual names (patterns/common/claims.yaml); others fall away."""
    content, _ = read_yaml(importlib.resources.files("patterns") / "common" / "claims.yaml", "common/claims.yaml")
    meanings: dict[str, str] = {}
    for column in columns:
        plain = re.sub(r"[^a-z0-9]", "", column.lower())
        bare = plain.rstrip("0123456789")
        for meaning, names in content["columns"].items():
            if plain in names or any(name.endswith("*") and name[:-1] == bare for name in names):
                meanings[column] = meaning
                break
    return meanings


def split_cells(cells: Sequence[str]) -> list[str]:
    """The codes in some cells, in capitals and as written; several may stand in one cell."""
    return [part.upper() for cell in cells for part in _SEPARATORS.split(cell) if part]


def _extend(known: list[str], found: Sequence[str]) -> None:
    known.extend(one for one in dict.fromkeys(found) if one not in known)


def _day(text: str) -> str:
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text.split("T")[0].split(" ")[0], form).date().isoformat()
        except ValueError:
            continue
    raise ValueError


# Holding them against the reports


@dataclass(slots=True)
class _Matched:
    """What one pass over the reports found."""

    matched_reports: int = 0
    supported: int = 0
    without_code: list[tuple[Claim | None, JudgedReport]] = field(default_factory=list)
    rules: dict[str, ClaimRule] = field(default_factory=dict)


def write_claims(folder: Path, claims_file: Path, pack_folders: Sequence[Path] = ()) -> dict[str, Any]:
    """Hold a claims file against a finished audit: writes `claims.csv` and `claims.json`, returns the latter's content.

    Raises InputError for a claims file that can't be read and for a folder that holds no complete audit.
    """
    audit = AuditFolder.open(folder)
    claims, unusable = read_claims(claims_file)
    found = _match(audit, claims, [str(path) for path in pack_folders])
    rows = list(_rows(claims, unusable, found, available_packs(pack_folders)))
    write_table(folder / CLAIMS, COLUMNS, rows)
    summary = _summary(claims_file, claims, unusable, found, rows)
    partial = folder / f"{CLAIMS_SUMMARY}.partial"
    partial.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(folder / CLAIMS_SUMMARY)
    return summary


def _match(audit: AuditFolder, claims: Sequence[Claim], pack_folders: Sequence[str]) -> _Matched:
    by_encounter = {claim.encounter_id: claim for claim in claims if claim.encounter_id}
    by_note = {claim.note_id: claim for claim in claims if claim.note_id and not claim.encounter_id}
    by_day = {(c.patient_id, c.day): c for c in claims if not c.encounter_id and not c.note_id}
    rules_of = _rules_by_pack(pack_folders)
    facts_of = audit.facts()
    found = _Matched()
    for _, report in audit.parsed(REPORTS, _JUDGED):
        facts = facts_of(report["note_ids"], report.get("case_id"))
        claim = _claim_of(report, facts, by_encounter, by_note, by_day)
        supported = report["relevant"] and report["verdict"] == "supported"
        found.supported += supported
        if claim is not None:
            found.matched_reports += 1
            _extend(claim.notes, report["note_ids"])
            _keep_best(claim, report)
            for rule in rules_of(report["provenance"]["pack"]):
                code = fired_by(rule, claim, report)
                if code is not None:
                    found.rules[rule.id] = rule
                    claim.fired.setdefault((rule.id, code), SEVERAL.join(report["note_ids"]))
        if supported and (claim is None or report["code"] not in claim.codes):
            found.without_code.append((claim, {**report, "requirements": [], "alerts": [], "review_flags": []}))
    return found


def _rules_by_pack(pack_folders: Sequence[str]) -> Callable[[str], tuple[ClaimRule, ...]]:
    folders = {info.id: info.folder for info in available_packs(pack_folders)}
    return lambda pack: claim_rules(folders[pack]) if pack in folders else ()


def _claim_of(
    report: JudgedReport,
    facts: NoteFacts,
    by_encounter: dict[str, Claim],
    by_note: dict[str, Claim],
    by_day: dict[tuple[str, str], Claim],
) -> Claim | None:
    if facts.encounter_id and facts.encounter_id in by_encounter:
        return by_encounter[facts.encounter_id]
    for note_id in report["note_ids"]:
        if note_id in by_note:
            return by_note[note_id]
    if facts.patient_id and report["date_of_service"]:
        return by_day.get((facts.patient_id, report["date_of_service"]))
    return None


def _keep_best(claim: Claim, report: JudgedReport) -> None:
    verdict = report["verdict"] if report["relevant"] else None
    said = VERDICT_WORDS[verdict] if report["relevant"] else "the note does not concern this code"
    if report["relevant"] and verdict == "not_supported":
        said += "".join(f", {alert['id'].replace('_', ' ')}" for alert in report["alerts"])
    if report["relevant"] and verdict == "query":
        gaps = [item["id"].replace("_", " ") for item in report["requirements"] if item["status"] != "documented"]
        said += f": {', '.join(gaps)}"
    known = claim.best.get(report["code"])
    if known is None or _BETTER[verdict] > _BETTER[known[0]]:
        claim.best[report["code"]] = (verdict, said)


def fired_by(rule: ClaimRule, claim: Claim, report: JudgedReport) -> str | None:
    """The billed code (or procedure) by which a rule fires on a claim with this report, or None."""
    if rule.with_code is not None and not _any_whole(rule.with_code, claim.codes):
        return None
    if rule.modifiers is not None and not _any_whole(rule.modifiers, claim.modifiers):
        return None
    by_procedure = _any_whole(rule.procedures, claim.procedures) if rule.procedures is not None else None
    if rule.procedures is not None and by_procedure is None:
        return None
    by_code = _any_whole(rule.codes, claim.codes) if rule.codes is not None else by_procedure
    if by_code is None or (rule.when is not None and not rule.when.holds(report)):
        return None
    return by_code


def _any_whole(pattern: str, values: Sequence[str]) -> str | None:
    return next((value for value in values if re.fullmatch(pattern, value)), None)


def _rows(
    claims: Sequence[Claim], unusable: Sequence[tuple[int, str]], found: _Matched, packs: Sequence[PackInfo]
) -> Iterator[list[Any]]:
    for claim in claims:
        for code in claim.codes:
            if claim.notes and code in claim.best and claim.best[code][0] != "supported":
                verdict, said = claim.best[code]
                yield _row("billed_without_support", claim, code, verdict or "irrelevant", said)
    for claim in claims:
        for code in claim.codes:
            if code not in claim.best and pack_covering(packs, code) is not None:
                kind = "billed_not_judged" if claim.notes else "billed_without_note"
                yield _row(kind, claim, code, "", KINDS[kind])
    for kind in ("support_without_code", "support_without_claim"):
        for of_report, report in found.without_code:
            if (of_report is None) == (kind == "support_without_claim"):
                claim = of_report or Claim("", day=report["date_of_service"] or "")
                row = _row(kind, claim, report["code"], "supported", KINDS[kind])
                row[COLUMNS.index("note_ids")] = SEVERAL.join(report["note_ids"])
                yield row
    for rule_id in sorted(found.rules):
        rule = found.rules[rule_id]
        for claim in claims:
            for (fired, code), note_ids in claim.fired.items():
                if fired == rule_id:
                    row = _row(f"rule:{rule_id}", claim, code, "", rule.message, rule.source)
                    row[COLUMNS.index("note_ids")] = note_ids
                    yield row
    for claim in claims:
        table = CodeTable.load(date.fromisoformat(claim.day) if claim.day else None)
        for code in claim.codes:
            problem = table.check(code)
            if problem is not None and problem.kind != "not_carried":
                yield _row("code_not_reportable", claim, code, "", problem.message, table.release.label)
    for line, reason in unusable:
        yield ["not_readable", "", line, *[""] * 9, reason, ""]


def _row(kind: str, claim: Claim, code: str, verdict: str, message: str, source: str = "") -> list[Any]:
    several = (SEVERAL.join(values) for values in (claim.codes, claim.procedures, claim.modifiers, claim.notes))
    lines = SEVERAL.join(map(str, claim.lines))
    place = [claim.name, lines, claim.encounter_id, claim.patient_id, claim.day, code]
    return [kind, *place, *several, verdict, message, source]


def _summary(
    path: Path, claims: Sequence[Claim], unusable: Sequence[tuple[int, str]], found: _Matched, rows: Sequence[list[Any]]
) -> dict[str, Any]:
    judged = [(claim, code) for claim in claims for code in claim.codes if code in claim.best]
    unsupported = sum(claim.best[code][0] != "supported" for claim, code in judged)
    kinds = Counter(row[0] for row in rows)
    return {
        "input": {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "claims": len(claims),
        "claims_with_notes": sum(bool(claim.notes) for claim in claims),
        "rows_not_readable": len(unusable),
        "reports_with_claims": found.matched_reports,
        "billed_without_support": {"claims": unsupported, "of": len(judged)},
        "support_without_code": {"reports": len(found.without_code), "of": found.supported},
        "kinds": dict(kinds),
    }

"""`report.html`: a finished audit as one page for the committee, and the rest of its worklist in `report-pages/`.

The page is complete in itself: no script, nothing fetched, so it opens offline years later. It follows from the
folder's files alone and says nothing of when it was made, so the same audit gives the same bytes.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from pydantic import TypeAdapter

from analyzer.audit.cells import SEVERAL, read_table
from analyzer.audit.claims import CLAIMS, CLAIMS_SUMMARY, KINDS
from analyzer.audit.copied import CopyForward, copy_forward
from analyzer.audit.decisions import AGREEMENT
from analyzer.audit.folder import NOTE, REPORT, AuditFolder
from analyzer.audit.outputs import FAILURES, NOTES, REPORTS
from analyzer.audit.tallies import NOT_RECORDED, REPORT_SEEN, STATUSES, UNFINISHED, VERDICTS, GroupTally, Tallies
from analyzer.audit.worklist import Entry, Kind, Worklist
from analyzer.errors import InputError
from analyzer.render.environment import environment
from analyzer.render.wording import one_line, words
from analyzer.report import VERDICT_WORDS, GapReport

REPORT_PAGE, PAGES_FOLDER = "report.html", "report-pages"

INLINE: Final = 500
"""Worklist entries on the page itself, with their evidence."""

PER_PAGE: Final = 500
MAX_GROUPS: Final = 15
"""Groups a breakdown shows; the smaller ones are added up in one row."""

MAX_MONTHS: Final = 36
MAX_LISTED: Final = 200
"""Rows shown of claims mismatches of a kind, of failures, and of copied notes; the rest is in the files named."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Group:
    """One row of a breakdown."""

    name: str
    tally: GroupTally


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Verdicts by one property of the notes."""

    title: str
    groups: list[Group]


@dataclass(frozen=True, slots=True)
class WorklistEntry:
    """An entry with the report behind it."""

    entry: Entry
    report: GapReport


@dataclass(frozen=True, slots=True)
class Claims:
    """What claims.json says, and the first rows of claims.csv by kind with how many there are."""

    summary: dict[str, Any]
    kinds: list[tuple[str, str, int, list[dict[str, str]]]]


@dataclass(slots=True)
class Failures:
    """Records without a report: how many for each reason, and the first ones."""

    reasons: Counter[str] = field(default_factory=Counter)
    first: list[dict[str, Any]] = field(default_factory=list)


def write_report(folder: Path) -> None:
    """Write `report.html` and `report-pages/` into a finished audit's folder, replacing older ones.

    Memory does not grow with the notes' length: reports and notes are streamed. Raises InputError when the folder
    holds no complete audit.
    """
    audit = AuditFolder.open(folder)
    billed = _billed_without_support(folder)
    tallies, worklist = Tallies(by_folder=len(audit.run["inputs"]) > MAX_GROUPS), Worklist()
    labels: dict[str, str] = {}
    facts_of = audit.facts()
    for offset, report in audit.parsed(REPORTS, REPORT_SEEN):
        tallies.add(report, facts_of(report["note_ids"], report.get("case_id")))
        worklist.add(report, offset, billed=not billed.isdisjoint(report["note_ids"]))
        for item in report["requirements"]:
            labels.setdefault(item["id"], item["label"])
    pages = _write_pages(folder, worklist, labels)
    partial = folder / f"{REPORT_PAGE}.partial"
    context = {
        "audit": audit,
        "tallies": tallies,
        "titles": _titles(tallies),
        "verdict_parts": parts_of_verdicts(tallies.verdicts),
        "breakdowns": _breakdowns(tallies),
        "months": _months(tallies),
        "claims": _claims(folder),
        "agreement": _read_json(folder / AGREEMENT),
        "copied": _copied(audit),
        "worklist": worklist,
        "entries": _first_entries(audit, worklist),
        "pages": pages,
        "labels": labels,
        "failures": _failures(audit),
        "warnings": grouped_warnings(audit.run.get("warnings") or []),
        "settings": {words(key): _setting(value) for key, value in audit.run["settings"].items()},
        "MAX_LISTED": MAX_LISTED,
    }
    template = environment().get_template("committee.html.j2")
    with partial.open("w", encoding="utf-8", newline="\n") as handle:
        handle.writelines(template.generate(**context, **_functions(labels)))
    partial.replace(folder / REPORT_PAGE)


def _functions(labels: Mapping[str, str]) -> dict[str, Any]:
    functions = (parts_of_verdicts, parts_of_statuses, verdict_words)
    return {function.__name__: function for function in functions} | {"chips_of": _chips(labels)}


def _chips(labels: Mapping[str, str]) -> Callable[[Kind], Markup]:
    """What there is to look at in notes of a kind, made once a kind: there are far fewer kinds than notes."""
    macro: Callable[..., str] = vars(environment().get_template("worklist.html.j2").module)["chips"]
    return cache(lambda kind: Markup(macro(kind, labels)))


def verdict_words(verdict: str) -> str:
    """A verdict as people read it."""
    return VERDICT_WORDS[None if verdict == UNFINISHED else verdict]


def parts_of_verdicts(verdicts: Counter[str]) -> list[tuple[str, int, str]]:
    """Verdict counts as parts of a chart; unfinished notes only where there are any."""
    shown = [name for name in VERDICTS if name != UNFINISHED or verdicts[name]]
    return [(verdict_words(name), verdicts[name], name) for name in shown]


def parts_of_statuses(statuses: Counter[str]) -> list[tuple[str, int, str]]:
    """Status counts as parts of a chart."""
    return [(name, statuses[name], name) for name in STATUSES]


def _titles(tallies: Tallies) -> list[tuple[str, str, int]]:
    return [(code, tallies.code_titles[code], count) for code, count in tallies.codes.most_common()]


def _breakdowns(tallies: Tallies) -> list[Breakdown]:
    titles = {"note_type": "Note type", "author_role": "Author role", "input": "Source"}
    told = [name for name in titles if tallies.groups[name].keys() - {NOT_RECORDED}]
    return [Breakdown(titles[name], _largest(name, tallies.groups[name])) for name in told]


def _largest(dimension: str, groups: dict[str, GroupTally]) -> list[Group]:
    ordered = sorted(groups, key=lambda name: (-groups[name].relevant, -groups[name].irrelevant, name))
    named = [name for name in ordered if name != NOT_RECORDED]
    # One group alone is no "others".
    kept = len(named) if len(named) <= MAX_GROUPS + 1 else MAX_GROUPS
    rows = [Group(one_line(name if dimension == "input" else words(name)), groups[name]) for name in named[:kept]]
    rest = named[kept:]
    if rest:
        rows.append(Group(f"{len(rest)} others", _added(groups[name] for name in rest)))
    if NOT_RECORDED in groups:
        rows.append(Group("not recorded", groups[NOT_RECORDED]))
    return rows


def _added(tallies: Iterator[GroupTally]) -> GroupTally:
    total = GroupTally()
    for tally in tallies:
        total.verdicts.update(tally.verdicts)
        total.irrelevant += tally.irrelevant
        total.gaps += tally.gaps
        total.judged += tally.judged
    return total


def _months(tallies: Tallies) -> list[Group]:
    groups = tallies.groups["month"]
    months = sorted(name for name in groups if name != NOT_RECORDED)
    earlier = months[:-MAX_MONTHS]
    rows = [Group(f"before {months[len(earlier)]}", _added(groups[name] for name in earlier))] if earlier else []
    rows += [Group(name, groups[name]) for name in months[len(earlier) :]]
    if NOT_RECORDED in groups and months:
        rows.append(Group("no date", groups[NOT_RECORDED]))
    return rows


# Worklist


def _first_entries(audit: AuditFolder, worklist: Worklist) -> Iterator[WorklistEntry]:
    for entry in islice(worklist.entries(), INLINE):
        yield WorklistEntry(entry, audit.parsed_at(REPORTS, entry.offset, REPORT))


def _write_pages(folder: Path, worklist: Worklist, labels: dict[str, str]) -> list[tuple[str, int, int]]:
    """Write the worklist's pages after the first entries; returns their names with first and last rank."""
    final, partial = folder / PAGES_FOLDER, folder / f"{PAGES_FOLDER}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    total = len(worklist)
    count = max(0, -(-(total - INLINE) // PER_PAGE))
    names = [f"worklist-{number:04d}.html" for number in range(1, count + 1)]
    ranks = [(INLINE + 1 + n * PER_PAGE, min(INLINE + (n + 1) * PER_PAGE, total)) for n in range(count)]
    template = environment().get_template("worklist_page.html.j2")
    functions = _functions(labels)
    if count:
        partial.mkdir()
    rest = islice(worklist.entries(), INLINE, None)
    for number, (name, (first, last)) in enumerate(zip(names, ranks, strict=True)):
        context = {
            "entries": list(islice(rest, PER_PAGE)),
            "first": first,
            "last": last,
            "total": total,
            "before": names[number - 1] if number else None,
            "after": names[number + 1] if number + 1 < count else None,
        }
        (partial / name).write_text(template.render(**context, **functions), encoding="utf-8", newline="\n")
    if final.is_dir():
        shutil.rmtree(final)
    if count:
        partial.rename(final)
    return [(f"{PAGES_FOLDER}/{name}", *place) for name, place in zip(names, ranks, strict=True)]


# What stands in other files of the folder


def _read_json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise InputError(f"{path}: not valid JSON") from None


def _billed_without_support(folder: Path) -> frozenset[str]:
    if not (folder / CLAIMS).is_file():
        return frozenset()
    _, rows = read_table(folder / CLAIMS)
    lists = (row["note_ids"] for _, row in rows if row["kind"] == "billed_without_support")
    return frozenset(note_id for ids in lists for note_id in ids.split(SEVERAL))


def _claims(folder: Path) -> Claims | None:
    summary = _read_json(folder / CLAIMS_SUMMARY)
    if summary is None:
        return None
    counts: Counter[str] = Counter()
    first: dict[str, list[dict[str, str]]] = {}
    _, rows = read_table(folder / CLAIMS)
    for _, row in rows:
        counts[row["kind"]] += 1
        listed = first.setdefault(row["kind"], [])
        if len(listed) < MAX_LISTED:
            listed.append(row)
    known = list(KINDS)
    order = sorted(first, key=lambda kind: (known.index(kind.partition(":")[0]), kind))
    titles = {kind: first[kind][0]["message"] if kind.startswith("rule:") else KINDS[kind] for kind in order}
    return Claims(summary, [(kind, titles[kind], counts[kind], first[kind]) for kind in order])


def _copied(audit: AuditFolder) -> CopyForward | None:
    if not audit.has_notes:
        return None
    return copy_forward(note for _, note in audit.parsed(NOTES, NOTE))


def _failures(audit: AuditFolder) -> Failures:
    found = Failures()
    for _, failure in audit.parsed(FAILURES, TypeAdapter(dict[str, Any])):
        found.reasons[str(failure.get("reason"))] += 1
        if len(found.first) < MAX_LISTED:
            found.first.append(failure)
    return found


def grouped_warnings(warnings: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """Warnings with how often each came; those that differ only in a date are one, with the first and last date."""
    groups: dict[str, list[tuple[list[str], int]]] = {}
    for warning in warnings:
        message = str(warning["message"])
        groups.setdefault(_DAY.sub("\0", message), []).append((_DAY.findall(message), int(warning["count"])))
    lines: list[tuple[str, int]] = []
    for pattern, found in groups.items():
        spans = []
        for days in zip(*(days for days, _ in found), strict=True):
            low, high = min(days), max(days)
            spans.append(low if low == high else f"{low} to {high}")
        pieces = pattern.split("\0")
        text = pieces[0] + "".join(span + piece for span, piece in zip(spans, pieces[1:], strict=True))
        lines.append((text, sum(count for _, count in found)))
    return sorted(lines, key=lambda line: (-line[1], line[0]))


def _setting(value: Any) -> str:
    if value is None or value == [] or value == "":
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""An audit as tables: `summary.csv`, a row a note, and `gaps.parquet`, a row a requirement.

The rows are made where the reports are made and joined when the audit is published.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from analyzer.audit.cells import SEVERAL, safe_cell

if TYPE_CHECKING:
    import pyarrow as pa

    from analyzer.formats import Record
    from analyzer.report import GapReport

SUMMARY_COLUMNS: Final = (
    "input",
    "record",
    "note_id",
    "case_id",
    "date_of_service",
    "note_type",
    "setting",
    "author_role",
    "signed",
    "patient_id",
    "encounter_id",
    "characters",
    "code",
    "relevant",
    "verdict",
    "verdict_rule",
    "coding_complete",
    "audit_complete",
    "gaps",
    "alerts",
    "review_flags",
    "candidate_codes",
    "warnings",
)
"""Columns of `summary.csv` before one status column a requirement. In a case the values from `code` on are the case's.

Several values stand in one cell with `; ` between them.
"""

_ROW_GROUP = 20_000


def summary_rows(report: GapReport, records: Sequence[Record]) -> list[list[Any]]:
    """A row for each note of the report: the values of `SUMMARY_COLUMNS`, then the statuses by requirement."""
    statuses = {r.id: r.status for r in report.requirements}
    gaps = [name for name, status in statuses.items() if status != "documented"] if report.relevant else []
    of_report = [
        report.code,
        report.relevant,
        report.verdict,
        report.verdict_because.rule,
        report.coding_complete,
        report.audit_complete,
        SEVERAL.join(gaps),
        SEVERAL.join(a.id for a in report.alerts),
        SEVERAL.join(f.id for f in report.review_flags),
        SEVERAL.join(f"{c.relation} {c.code}" for c in report.candidate_codes),
        SEVERAL.join(report.warnings),
    ]
    rows = []
    for record in records:
        note = record.note
        if note is None:
            continue
        of_note = [
            record.input,
            record.number,
            note.note_id,
            report.case_id,
            note.date_of_service.isoformat() if note.date_of_service else None,
            note.note_type,
            note.setting,
            note.author_role,
            note.signed,
            note.patient_id,
            note.encounter_id,
            len(note.text),
        ]
        rows.append([*of_note, *of_report, statuses])
    return rows


def write_summary(rows: Iterable[Sequence[Any]], requirements: Sequence[str], handle: IO[str]) -> None:
    """Write the rows of `summary_rows` as CSV: UTF-8, comma, CRLF as in RFC 4180, empty for what is not known.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    writer = csv.writer(handle)
    writer.writerow([*SUMMARY_COLUMNS, *(f"status_{name}" for name in requirements)])
    for row in rows:
        statuses = row[-1]
        writer.writerow([*map(safe_cell, row[:-1]), *(statuses.get(name, "") for name in requirements)])


def gap_rows(report: GapReport) -> list[list[Any]]:
    """A row for each requirement, documented ones too: the values of `gap_schema`. Dates are ISO text."""
    return [
        [
            report.note_id,
            report.case_id,
            report.note_ids,
            report.code,
            report.date_of_service.isoformat() if report.date_of_service else None,
            report.relevant,
            report.verdict,
            requirement.id,
            requirement.label,
            requirement.basis,
            requirement.status,
            requirement.status != "documented",
            None if requirement.value is None else json.dumps(requirement.value, ensure_ascii=False),
            requirement.reason,
            requirement.send_query,
            requirement.query.template if requirement.query else None,
            [[e.note_id, e.start, e.end, e.text, e.section, e.assertion, e.side] for e in requirement.evidence],
        ]
        for requirement in report.requirements
    ]


def gap_schema() -> pa.Schema:
    """The columns of `gaps.parquet`. `value` is JSON; `evidence` counts code points of the note's text."""
    import pyarrow as pa

    text = pa.string()
    evidence = pa.struct(
        [
            ("note_id", text),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("text", text),
            ("section", text),
            ("assertion", text),
            ("side", text),
        ]
    )
    return pa.schema(
        [
            ("note_id", text),
            ("case_id", text),
            ("note_ids", pa.list_(text)),
            ("code", text),
            ("date_of_service", pa.date32()),
            ("relevant", pa.bool_()),
            ("verdict", text),
            ("requirement", text),
            ("label", text),
            ("basis", text),
            ("status", text),
            ("gap", pa.bool_()),
            ("value", text),
            ("reason", text),
            ("send_query", text),
            ("query_template", text),
            ("evidence", pa.list_(evidence)),
        ]
    )


def write_gaps(rows: Iterable[Sequence[Any]], path: Path) -> None:
    """Write the rows of `gap_rows` as Parquet, a bounded number in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = gap_schema()
    rows = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(list(_named(batch, schema)), schema=schema))


def _named(rows: Iterable[Sequence[Any]], schema: pa.Schema) -> Iterator[dict[str, Any]]:
    pieces = [f.name for f in schema.field("evidence").type.value_type]
    for row in rows:
        named = dict(zip(schema.names, row, strict=True))
        named["date_of_service"] = date.fromisoformat(row[4]) if row[4] else None
        named["evidence"] = [dict(zip(pieces, piece, strict=True)) for piece in named["evidence"]]
        yield named

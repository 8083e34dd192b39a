"""What several commands share: their options, and the way from files named to readable notes."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from analyzer.errors import ChartgapError, CodeError, InputError
from analyzer.formats import Defaults, Record, find_inputs, given_columns, read_records
from analyzer.render.wording import one_line
from analyzer.report import GapReport

if TYPE_CHECKING:
    from analyzer.analyze import Analyzer

EXIT_FAILED = 1


class Setting(StrEnum):
    """Where the patient was seen."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"


CodeOption = Annotated[
    str | None,
    typer.Option(
        "--code",
        help="Code for notes that carry none; auto: the one of its family that a note would support. "
        "[default: the first pack's own]",
    ),
]
DateOption = Annotated[
    str | None, typer.Option("--date-of-service", metavar="YYYY-MM-DD", help="For notes that carry no date of service.")
]
SettingOption = Annotated[Setting | None, typer.Option("--setting", help="For notes that carry no setting.")]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="Of the files. [default: byte order mark, UTF-8, cp1252, latin-1]")
]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="FIELD=COLUMN,...", help="Columns of tables, such as text=NOTE_TEXT. [default: by usual names]"
    ),
]
PackFolderOption = Annotated[
    list[Path] | None, typer.Option("--pack-folder", help="A folder with packs of your own. Can be repeated.")
]


def analyzer_for(code: str | None, pack_folders: Sequence[Path]) -> Analyzer:
    from analyzer.analyze import Analyzer

    return Analyzer(code, pack_folders=pack_folders)


def note_defaults(date_of_service: str | None, setting: Setting | None) -> Defaults:
    if date_of_service is not None:
        try:
            right = date.fromisoformat(date_of_service).isoformat() == date_of_service
        except ValueError:
            right = False
        if not right:
            raise InputError(f"--date-of-service {date_of_service}: no such day (write it YYYY-MM-DD)")
    return Defaults(date_of_service, setting.value if setting is not None else None)


def readable_records(
    files: Sequence[str], defaults: Defaults, encoding: str | None, mappings: Sequence[str] = ()
) -> list[Record]:
    """All records of the files. The first unreadable one is an error; ids used twice are kept and warned of."""
    records: list[Record] = []
    columns = given_columns(mappings)
    for file in find_inputs(files):
        records.extend(read_records(file, defaults, encoding=encoding, columns=columns))
    bad = [record for record in records if record.reason is not None]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(f"{bad[0].place}: {bad[0].reason}{more}")
    if not records:
        raise InputError(f"{', '.join(files)}: holds no notes")
    seen: set[str | None] = set()
    for record in records:
        for warning in record.warnings:
            warn(f"{record.place}: {warning}")
        if record.note_id in seen:
            warn(f"{record.place}: note_id {one_line(record.note_id or '')} is used more than once")
        seen.add(record.note_id)
    return records


def warn(text: str) -> None:
    typer.echo(f"chartgap: warning: {text}", err=True)


def report_of_record(record: Record, analyzer: Analyzer) -> GapReport:
    from analyzer.audit.tasks import failure_reason, report_on

    try:
        return report_on(record, analyzer.report)
    except CodeError as error:
        raise CodeError(f"{record.place}: {error}") from None
    except Exception as error:
        raise ChartgapError(f"{record.place}: {failure_reason(error)}") from None


def report_of_case(
    records: Sequence[Record], context: Sequence[Record], analyzer: Analyzer, code: str | None
) -> GapReport:
    """One report on several readable records judged together, with the records' own warnings added."""
    from analyzer.audit.tasks import failure_reason

    notes = [record.note for record in records if record.note is not None]
    about = [record.note for record in context if record.note is not None]
    try:
        report = analyzer.case(notes, about, code=code)
    except ChartgapError:
        raise
    except Exception as error:
        raise ChartgapError(f"{', '.join(r.place for r in records)}: {failure_reason(error)}") from None
    warnings = [warning for record in (*records, *context) for warning in record.warnings]
    return report.model_copy(update={"warnings": [*report.warnings, *warnings]})


def terminal() -> Console:
    from analyzer.render.terminal import MAX_WIDTH

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A note may hold characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    console = Console()
    console.width = min(console.width, MAX_WIDTH)
    return console

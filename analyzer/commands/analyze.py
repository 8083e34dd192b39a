"""`chartgap analyze`: report on one or a few notes, or on several as one case."""

from __future__ import annotations

import io
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from analyzer.commands.options import (
    EXIT_FAILED,
    CodeOption,
    DateOption,
    EncodingOption,
    MapOption,
    PackFolderOption,
    SettingOption,
    analyzer_for,
    note_defaults,
    readable_records,
    report_of_case,
    report_of_record,
    terminal,
    warn,
)
from analyzer.report import GapReport

_WORSE = {"supported": 0, "query": 1, "not_supported": 2}


class Format(StrEnum):
    """What `analyze` writes."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


class FailOn(StrEnum):
    """The mildest verdict that makes `analyze` exit with 1."""

    QUERY = "query"
    NOT_SUPPORTED = "not_supported"


def analyze(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Notes in any format that is read; - for stdin.")
    ],
    form: Annotated[Format, typer.Option("--format", help="json: one object, or JSON lines for several notes.")] = (
        Format.TEXT
    ),
    code: CodeOption = None,
    date_of_service: DateOption = None,
    setting: SettingOption = None,
    fail_on: Annotated[
        FailOn | None, typer.Option("--fail-on", help="Exit with 1 when a verdict is this or worse.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    queries: Annotated[bool, typer.Option("--queries", help="Show the combined queries as well (text).")] = False,
    encoding: EncodingOption = None,
    mappings: MapOption = None,
    pack_folder: PackFolderOption = None,
    case: Annotated[
        bool, typer.Option("--case", help="Judge all notes together, as one encounter: one report.")
    ] = False,
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="FILE",
            help="Earlier notes, a referral or a transcript: shows where gaps are answered, changes no verdict. "
            "Can be repeated.",
        ),
    ] = None,
) -> None:
    """Report on one or a few notes, or on several as one case."""
    records = readable_records(files, note_defaults(date_of_service, setting), encoding, mappings or ())
    about = readable_records(context, note_defaults(None, setting), encoding, mappings or ()) if context else []
    analyzer = analyzer_for(code, pack_folder or ())
    if case:
        groups = [records]
        reports = [report_of_case(records, about, analyzer, code)]
    else:
        groups = [[record] for record in records]
        reports = [
            report_of_case([record], about, analyzer, code).model_copy(update={"case_id": None})
            if about
            else report_of_record(record, analyzer)
            for record in records
        ]
    _warn_of_release(reports)
    if form is Format.JSON:
        _write("".join(report.to_json() + "\n" for report in reports), output)
    elif form is Format.HTML:
        from analyzer.render.page import render_page

        texts = ({r.note.note_id: r.note.text for r in group if r.note is not None} for group in groups)
        _write(render_page(zip(reports, texts, strict=True)), output)
    else:
        _print_reports(reports, output, with_queries=queries)
    if fail_on is not None and any(_WORSE.get(r.verdict or "", 0) >= _WORSE[fail_on.value] for r in reports):
        raise typer.Exit(EXIT_FAILED)


def _warn_of_release(reports: list[GapReport]) -> None:
    """One warning a run for dates of service that lie outside every release of the code set."""
    from analyzer.codes import CodeTable

    outside = [r for r in reports if r.date_of_service is not None and CodeTable.load(r.date_of_service).warning]
    if outside:
        code_set = outside[0].provenance.code_set
        warn(f"{len(outside)} of {len(reports)} dates of service lie outside the code-set releases ({code_set} used)")


def _write(text: str, output: Path | None) -> None:
    raw = text.encode()
    if output is None:
        typer.echo(raw, nl=False)
    else:
        output.write_bytes(raw)


def _print_reports(reports: Iterable[GapReport], output: Path | None, *, with_queries: bool) -> None:
    from analyzer.render.terminal import print_report

    target = io.StringIO()
    console = terminal() if output is None else Console(file=target, width=80, color_system=None)
    for number, report in enumerate(reports):
        if number:
            console.print()
        print_report(report, console, with_queries=with_queries)
    if output is not None:
        _write(target.getvalue(), output)

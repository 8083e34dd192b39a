"""The command line. What brings spaCy is imported inside the commands, so that help and mistakes answer at once."""

from __future__ import annotations

import io
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from analyzer.errors import ChartgapError, CodeError, InputError
from analyzer.read_files import STDIN, Defaults, Record, find_inputs, read_records
from analyzer.render.wording import one_line
from analyzer.report import GapReport
from analyzer.version import VERSION

if TYPE_CHECKING:
    from analyzer.analyze import Analyzer
    from analyzer.audit import Progress

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130

_PLAIN_PROGRESS_SECONDS = 10.0
_WORSE = {"supported": 0, "query": 1, "not_supported": 2}


class Format(StrEnum):
    """What `analyze` writes."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


class Setting(StrEnum):
    """Where the patient was seen."""

    OUTPATIENT = "outpatient"
    INPATIENT = "inpatient"


class FailOn(StrEnum):
    """The mildest verdict that makes `analyze` exit with 1."""

    QUERY = "query"
    NOT_SUPPORTED = "not_supported"


class OneLineErrors(TyperGroup):
    """Ends every error as one line on stderr. The text of an unexpected one is kept back: it may quote a note."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; takes what `TyperGroup.main` takes."""
        standalone_mode = extra.get("standalone_mode", True)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except typer.Abort:
            code = EXIT_INTERRUPTED
        except Exception as error:
            line, code = _explained(error)
            typer.echo(f"chartgap: {line}", err=True)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, ChartgapError):
        return str(error), EXIT_BAD_INPUT
    # Typer and click have different base classes for the same usage errors in different versions.
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        return " ".join(error.format_message().split()) + hint, EXIT_BAD_INPUT
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, EXIT_BAD_INPUT
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"internal error: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}", EXIT_BAD_INPUT


app = typer.Typer(cls=OneLineErrors, add_completion=False, pretty_exceptions_show_locals=False)
packs_app = typer.Typer(help="The requirement packs: one for each code family.")
app.add_typer(packs_app, name="packs")

CodeOption = Annotated[
    str | None, typer.Option("--code", help="Code for notes that carry none. [default: the first pack's own]")
]
DateOption = Annotated[
    str | None, typer.Option("--date-of-service", metavar="YYYY-MM-DD", help="For notes that carry no date of service.")
]
SettingOption = Annotated[Setting | None, typer.Option("--setting", help="For notes that carry no setting.")]
EncodingOption = Annotated[
    str | None, typer.Option("--encoding", help="Of the files. [default: byte order mark, UTF-8, cp1252, latin-1]")
]
PackFolderOption = Annotated[
    list[Path] | None, typer.Option("--pack-folder", help="A folder with packs of your own. Can be repeated.")
]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Documentation gaps in clinical notes, for an ICD-10-CM code. Output is for a reviewer: it assigns no code."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"chartgap {VERSION}")


@app.command()
def analyze(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Text, .json or .jsonl notes; - for stdin.")],
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
    pack_folder: PackFolderOption = None,
) -> None:
    """Report on one or a few notes."""
    defaults = _defaults(date_of_service, setting)
    records = _readable(files, defaults, encoding)
    analyzer = _analyzer(code, pack_folder or ())
    reports = [_report(record, analyzer) for record in records]
    if form is Format.JSON:
        _write("".join(report.to_json() + "\n" for report in reports), output)
    elif form is Format.HTML:
        from analyzer.render.page import render_page

        texts = ({record.note.note_id: record.note.text} for record in records if record.note is not None)
        _write(render_page(zip(reports, texts, strict=True)), output)
    else:
        _print_reports(reports, output, with_queries=queries)
    if fail_on is not None and any(_WORSE.get(r.verdict or "", 0) >= _WORSE[fail_on.value] for r in reports):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def audit(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Folders and files of notes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    code: CodeOption = None,
    date_of_service: DateOption = None,
    setting: SettingOption = None,
    without_text: Annotated[
        bool, typer.Option("--without-text", help="Write no notes.jsonl. Reports still quote their evidence.")
    ] = False,
    encoding: EncodingOption = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Report on many notes into a folder; every record ends in reports.jsonl or failures.jsonl."""
    from analyzer.audit import run_audit

    if STDIN in inputs:
        raise InputError("audit reads files and folders; for standard input there is analyze")
    defaults = _defaults(date_of_service, setting)
    files = find_inputs(inputs, outside=output)
    analyzer = _analyzer(code, pack_folder or ())
    settings = {
        "code": analyzer.code,
        "date_of_service": defaults.date_of_service,
        "setting": defaults.setting,
        "encoding": encoding,
        "without_text": without_text,
        "pack_folders": [str(folder) for folder in pack_folder or ()],
    }
    with _shown_progress() as on_progress:
        run = run_audit(
            files,
            output,
            analyzer.report,
            defaults=defaults,
            encoding=encoding,
            without_text=without_text,
            settings=settings,
            on_progress=on_progress,
        )
    if run["warnings"]:
        typer.echo(f"chartgap: there were warnings; {output / 'run.json'} counts them", err=True)
    typer.echo(f"{run['records']} records = {run['reports']} reports + {run['failures']} failures, in {output}")


@app.command()
def evaluate(
    notes: Annotated[Path, typer.Argument(metavar="NOTES", help="The notes, JSON lines.")],
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="Their labels, JSON lines.")],
    reports: Annotated[Path | None, typer.Option("--reports", help="Measure these reports, not fresh ones.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Print every disagreement; they quote the notes.")] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples for the 95 % intervals.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")] = False,
    code: CodeOption = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Measure reports against labelled notes."""
    from analyzer.evaluate import FoundReport, read_gold, read_reports
    from analyzer.evaluate import evaluate as measured
    from analyzer.render.terminal import print_evaluation

    labels = read_gold(gold)
    records = _readable([str(notes)], Defaults(), None)
    texts = {record.note.note_id: record.note.text for record in records if record.note is not None}
    if reports is not None:
        found = read_reports(reports)
    else:
        labelled = {label.note_id for label in labels}
        analyzer = _analyzer(code, pack_folder or ())
        found = [FoundReport.of(_report(record, analyzer)) for record in records if record.note_id in labelled]
    result = measured(texts, labels, found, resamples=bootstrap)
    if errors:
        for line in result.disagreements:
            typer.echo(line)
    if as_json:
        typer.echo(json.dumps({**result.measures, "intervals": result.intervals}, indent=2, ensure_ascii=False))
    else:
        print_evaluation(result.measures, result.intervals, _console())


@packs_app.command("list")
def packs_list(pack_folder: PackFolderOption = None) -> None:
    """List the packs and the codes they cover."""
    from analyzer.packs import available_packs

    for info in available_packs(pack_folder or ()):
        typer.echo(f"{info.id} {info.version}: {info.title}\n  codes: {', '.join(info.codes)}")


@packs_app.command("show")
def packs_show(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A pack's name or folder.")],
    pack_folder: PackFolderOption = None,
) -> None:
    """Show what a pack knows: codes, requirements, elements with their values, sources."""
    from analyzer.packs import load_pack
    from analyzer.render.terminal import print_pack

    print_pack(load_pack(pack, pack_folder or ()), _console())


@packs_app.command("test")
def packs_test(
    pack: Annotated[
        str | None, typer.Argument(metavar="[PACK]", help="A pack's name or folder. [default: all]")
    ] = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Run the packs' own examples. Exits with 1 when one fails; `todo` examples are known misses."""
    from analyzer.packcheck import check_pack
    from analyzer.packs import available_packs, load_pack

    folders = pack_folder or ()
    names = [pack] if pack is not None else [info.id for info in available_packs(folders)]
    failed = 0
    for name in names:
        counts: Counter[str] = Counter()
        for result in check_pack(load_pack(name, folders)):
            outcome = "todo" if result.kind == "todo" else "ok" if result.ok else "failed"
            counts[outcome] += 1
            if not result.ok and not result.todo:
                place = result.file if result.line is None else f"{result.file}:{result.line}"
                typer.echo(f"{place}: {result.rule}: {result.message}")
        typer.echo(f"{name}: {counts['ok']} examples hold, {counts['failed']} fail, {counts['todo']} known misses")
        failed += counts["failed"]
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _analyzer(code: str | None, pack_folders: Sequence[Path]) -> Analyzer:
    from analyzer.analyze import Analyzer

    return Analyzer(code, pack_folders=pack_folders)


def _defaults(date_of_service: str | None, setting: Setting | None) -> Defaults:
    if date_of_service is not None:
        try:
            right = date.fromisoformat(date_of_service).isoformat() == date_of_service
        except ValueError:
            right = False
        if not right:
            raise InputError(f"--date-of-service {date_of_service}: no such day (write it YYYY-MM-DD)")
    return Defaults(date_of_service, setting.value if setting is not None else None)


def _readable(files: Sequence[str], defaults: Defaults, encoding: str | None) -> list[Record]:
    """All records of the files. The first unreadable one is an error; ids used twice are kept and warned of."""
    records: list[Record] = []
    for file in find_inputs(files):
        records.extend(read_records(file, defaults, encoding=encoding))
    bad = [record for record in records if record.reason is not None]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(f"{bad[0].place}: {bad[0].reason}{more}")
    if not records:
        raise InputError(f"{', '.join(files)}: holds no notes")
    seen: set[str | None] = set()
    for record in records:
        for warning in record.warnings:
            _warn(f"{record.place}: {warning}")
        if record.note_id in seen:
            _warn(f"{record.place}: note_id {one_line(record.note_id or '')} is used more than once")
        seen.add(record.note_id)
    return records


def _warn(text: str) -> None:
    typer.echo(f"chartgap: warning: {text}", err=True)


def _report(record: Record, analyzer: Analyzer) -> GapReport:
    from analyzer.audit import failure_reason, report_on

    try:
        return report_on(record, analyzer.report)
    except CodeError as error:
        raise CodeError(f"{record.place}: {error}") from None
    except Exception as error:
        raise ChartgapError(f"{record.place}: {failure_reason(error)}") from None


def _write(text: str, output: Path | None) -> None:
    raw = text.encode()
    if output is None:
        typer.echo(raw, nl=False)
    else:
        output.write_bytes(raw)


def _print_reports(reports: Iterable[GapReport], output: Path | None, *, with_queries: bool) -> None:
    from analyzer.render.terminal import print_report

    target = io.StringIO()
    console = _console() if output is None else Console(file=target, width=80, color_system=None)
    for number, report in enumerate(reports):
        if number:
            console.print()
        print_report(report, console, with_queries=with_queries)
    if output is not None:
        _write(target.getvalue(), output)


def _console() -> Console:
    from analyzer.render.terminal import MAX_WIDTH

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A note may hold characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    console = Console()
    console.width = min(console.width, MAX_WIDTH)
    return console


@contextmanager
def _shown_progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress()
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.fields[line]}"), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, line="")
        started = time.monotonic()

        def on_progress(progress: Progress) -> None:
            bar.update(
                task, total=progress.bytes_total, completed=progress.bytes_done, line=_progress_line(progress, started)
            )

        yield on_progress


def _plain_progress() -> Callable[[Progress], None]:
    started = last = time.monotonic()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_PROGRESS_SECONDS:
            last = time.monotonic()
            typer.echo(f"chartgap: {_progress_line(progress, started)}", err=True)

    return on_progress


def _progress_line(progress: Progress, started: float) -> str:
    rate = progress.records / max(time.monotonic() - started, 0.001)
    return f"{progress.records} records, {progress.failures} failures, {rate:.0f} a second"


if __name__ == "__main__":
    app()

"""`chartgap audit`: report on many notes into a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from analyzer.commands.options import (
    CodeOption,
    DateOption,
    EncodingOption,
    PackFolderOption,
    SettingOption,
    analyzer_for,
    note_defaults,
)
from analyzer.errors import InputError
from analyzer.formats import STDIN, find_inputs

if TYPE_CHECKING:
    from analyzer.audit.run import Progress

_PLAIN_PROGRESS_SECONDS = 10.0


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
    from analyzer.audit.run import run_audit

    if STDIN in inputs:
        raise InputError("audit reads files and folders; for standard input there is analyze")
    defaults = note_defaults(date_of_service, setting)
    files = find_inputs(inputs, outside=output)
    analyzer = analyzer_for(code, pack_folder or ())
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

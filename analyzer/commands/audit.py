"""`chartgap audit`: report on many notes into a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from analyzer.commands.after_audit import ClaimsOption, DecisionsOption, SampleOption, SeedOption, Steps
from analyzer.commands.options import (
    CodeOption,
    DateOption,
    EncodingOption,
    MapOption,
    PackFolderOption,
    SettingOption,
    note_defaults,
)
from analyzer.errors import InputError
from analyzer.formats import STDIN, InputFile, find_inputs, given_columns

if TYPE_CHECKING:
    from analyzer.audit.run import EngineMaker, Progress

_PLAIN_PROGRESS_SECONDS = 10.0
_BYTES_WORTH_A_WORKER = 200_000
"""So many bytes of notes take a worker longer than its start."""


class EngineName(StrEnum):
    """Where the notes are judged."""

    LOCAL = "local"
    SPARK = "spark"


def audit(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Folders and files of notes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    code: CodeOption = None,
    date_of_service: DateOption = None,
    setting: SettingOption = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="FIELD", help="Judge notes with the same encounter_id (or FIELD) together."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes. [default: one a processor, fewer for few notes]")
    ] = None,
    engine: Annotated[EngineName, typer.Option("--engine", help="Where the notes are judged.")] = EngineName.LOCAL,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an audit that was broken off.")] = False,
    without_text: Annotated[
        bool,
        typer.Option("--without-text", help="Leave note text and quotes out of every output. No de-identification."),
    ] = False,
    claims: ClaimsOption = None,
    sample: SampleOption = None,
    seed: SeedOption = 0,
    decisions: DecisionsOption = None,
    encoding: EncodingOption = None,
    mappings: MapOption = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Report on many notes into a folder; every record ends in reports.jsonl or failures.jsonl."""
    from analyzer.audit.run import AuditOptions, run_audit
    from analyzer.audit.tasks import AnalyzerSource, ReadOptions

    if STDIN in inputs:
        raise InputError("audit reads files and folders; for standard input there is analyze")
    defaults = note_defaults(date_of_service, setting)
    columns = given_columns(mappings or ())
    files = find_inputs(inputs, outside=output)
    finishing = Steps.of(claims, sample, seed, decisions or (), pack_folder or ())
    pack_folders = tuple(str(folder) for folder in pack_folder or ())
    options = AuditOptions(
        source=AnalyzerSource(code, pack_folders),
        reading=ReadOptions(defaults, encoding, columns),
        by=by,
        without_text=without_text,
        settings={
            "date_of_service": defaults.date_of_service,
            "setting": defaults.setting,
            "encoding": encoding,
            "map": columns,
            "by": by,
            "without_text": without_text,
            "pack_folders": list(pack_folders),
        },
        pack_folders=pack_folders,
        resume=resume,
        engine=_engine(engine, workers, files),
        finish=finishing.steps,
    )
    try:
        with _shown_progress() as on_progress:
            run = run_audit(files, output, options, on_progress)
    except KeyboardInterrupt:
        typer.echo("chartgap: stopped; what is done is kept: run it again with --resume", err=True)
        raise
    if run["warnings"]:
        typer.echo(f"chartgap: there were warnings; {output / 'run.json'} counts them", err=True)
    if run["without_text"]:
        typer.echo(f"chartgap: {run['without_text']}", err=True)
    for line in finishing.said:
        typer.echo(line)
    reports = f"{run['reports']} reports"
    if by is not None:
        reports = f"{run['notes']} notes in {run['reports']} reports"
    typer.echo(f"{run['records']} records = {reports} + {run['failures']} failures, in {output}")


def _engine(name: EngineName, workers: int | None, files: Sequence[InputFile]) -> EngineMaker:
    from analyzer.audit.run import local_engine

    if name is EngineName.SPARK:
        from analyzer.audit.spark import spark_engine

        return spark_engine(workers)
    if workers is None:
        size = sum(file.path.stat().st_size for file in files if file.path.exists())
        workers = max(1, min(_processors(), size // _BYTES_WORTH_A_WORKER))
    return local_engine(workers)


def _processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
        line = _progress_line()

        def on_progress(progress: Progress) -> None:
            bar.update(task, total=progress.bytes_total or None, completed=progress.bytes_done, line=line(progress))

        yield on_progress


def _plain_progress() -> Callable[[Progress], None]:
    last = time.monotonic()
    line = _progress_line()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_PROGRESS_SECONDS:
            last = time.monotonic()
            typer.echo(f"chartgap: {line(progress)}", err=True)

    return on_progress


def _progress_line() -> Callable[[Progress], str]:
    """A line on how far a run is. The rate counts from the first record that this run itself has judged."""
    started: float | None = None

    def line(progress: Progress) -> str:
        nonlocal started
        fresh = progress.records - progress.resumed
        if started is None and not progress.stage:
            started = time.monotonic()
        if progress.stage or started is None:
            return progress.stage
        rate = fresh / max(time.monotonic() - started, 0.001)
        resumed = f" ({progress.resumed} from before)" if progress.resumed else ""
        return f"{progress.records} records{resumed}, {progress.failures} failures, {rate:.0f} a second"

    return line

"""`chartgap evaluate`: measure reports against labelled notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from analyzer.commands.options import (
    CodeOption,
    PackFolderOption,
    analyzer_for,
    readable_records,
    report_of_record,
    terminal,
    warn,
)
from analyzer.formats import Defaults


def evaluate(
    notes: Annotated[Path, typer.Argument(metavar="NOTES", help="The notes, JSON lines.")],
    gold: Annotated[
        Path, typer.Argument(metavar="GOLD", help="Their labels (JSON lines), or readers' decisions (also CSV).")
    ],
    reports: Annotated[Path | None, typer.Option("--reports", help="Measure these reports, not fresh ones.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Print every disagreement; they quote the notes.")] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", min=0, help="Resamples for the 95 % intervals.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything measured as JSON.")] = False,
    code: CodeOption = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Measure reports against labelled notes."""
    from analyzer.audit.decisions import holds_decisions, read_decisions
    from analyzer.evaluate import FoundReport, gold_of_decisions, read_gold, read_reports
    from analyzer.evaluate import evaluate as measured
    from analyzer.render.terminal import print_evaluation

    decisions = read_decisions(gold) if holds_decisions(gold) else None
    labels = read_gold(gold) if decisions is None else []
    records = readable_records([str(notes)], Defaults(), None)
    texts = {record.note.note_id: record.note.text for record in records if record.note is not None}
    if decisions is not None:
        labels, left_out = gold_of_decisions(decisions, texts)
        for line in left_out:
            warn(line)
    if reports is not None:
        found = read_reports(reports)
    else:
        labelled = {label.note_id for label in labels}
        analyzer = analyzer_for(code, pack_folder or ())
        found = [FoundReport.of(report_of_record(record, analyzer)) for record in records if record.note_id in labelled]
    result = measured(texts, labels, found, resamples=bootstrap)
    if errors:
        for line in result.disagreements:
            typer.echo(line)
    if as_json:
        typer.echo(json.dumps({**result.measures, "intervals": result.intervals}, indent=2, ensure_ascii=False))
    else:
        print_evaluation(result.measures, result.intervals, terminal())

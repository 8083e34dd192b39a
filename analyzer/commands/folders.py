"""Commands on finished audits' folders: `compare`, `verify` and `exhibit`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analyzer.commands.options import EXIT_FAILED, PackFolderOption, analyzer_for
from analyzer.render.wording import one_line, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.audit.compare import Comparison, NoteChange, RequirementChange
    from analyzer.audit.verify import Verification

_MAX_QUOTES = 2
_MAX_NAMED = 5


class FolderFormat(StrEnum):
    """What these commands print."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[FolderFormat, typer.Option("--format", help="How to print it.")]


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The earlier audit's folder.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The later audit's folder.")],
    form: FormatOption = FolderFormat.TEXT,
) -> None:
    """Compare two audits of the same notes: which gaps closed, by which addendum, and what else changed."""
    from analyzer.audit.compare import compare as compared

    found = compared(before, after)
    if form is FolderFormat.JSON:
        typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    for line in _comparison_lines(found):
        typer.echo(line)


def _comparison_lines(found: Comparison) -> Iterator[str]:
    from analyzer.audit.compare import MEANS_WORDS

    yield f"{found.both} notes in both audits, {found.text_changed} with changed text"
    for names, where in ((found.only_before, "the earlier"), (found.only_after, "the later")):
        if names:
            yield f"{len(names)} only in {where} audit"
    yield from (f"made differently: {line}" for line in found.provenance)
    yield ""
    moves = [(old, new, count) for (old, new), count in sorted(found.verdicts.items()) if old != new]
    for old, new, count in moves:
        yield f"{count} from {words(old)} to {words(new)}"
    means = ", ".join(f"{count} {MEANS_WORDS[by]}" for by, count in found.means.most_common())
    yield f"{found.closed.total()} gaps closed{': ' + means if means else ''}; {found.opened.total()} opened"
    yield ""
    yield f"{'':40} {'before':>7} {'closed':>7} {'opened':>7} {'after':>7}"
    for name, label in found.labels.items():
        counts = (found.gaps_before[name], found.closed[name], found.opened[name], found.gaps_after[name])
        yield f"{one_line(label)[:40]:40} " + " ".join(f"{count:7}" for count in counts)
    for change in found.changes:
        yield ""
        yield from _change_lines(change)


def _change_lines(change: NoteChange) -> Iterator[str]:
    from analyzer.audit.compare import MEANS_WORDS

    verdict = words(change.verdict_after)
    if change.verdict_before != change.verdict_after:
        verdict = f"{words(change.verdict_before)} -> {verdict}"
    yield f"{one_line(change.note_id)} ({change.code}): {verdict}"
    for one in change.closed:
        assert one.by is not None
        yield f"  closed  {_status_line(one)}, {MEANS_WORDS[one.by]}"
        for span in one.evidence[:_MAX_QUOTES]:
            quote = f'"{one_line(span.text)}"' if span.text else f"characters {span.start} to {span.end}"
            who = f", {words(span.author_role)}" if span.author_role else ""
            yield f"          {quote} ({one_line(span.note_id)}, {words(span.section)}{who})"
    yield from (f"  opened  {_status_line(one)}" for one in change.opened)
    yield from (f"  changed {_status_line(one)}" for one in change.shifted)
    yield from (f"  alert gone: {words(name)}" for name in change.alerts_gone)
    yield from (f"  alert new: {words(name)}" for name in change.alerts_new)


def _status_line(one: RequirementChange) -> str:
    return f"{one_line(one.label)}: {one.before} -> {one.after}"


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished audit's folder.")],
    form: FormatOption = FolderFormat.TEXT,
    pack_folder: PackFolderOption = None,
) -> None:
    """Compute an audit's reports again from its notes. Exits with 1 when one of them no longer holds."""
    from analyzer.audit.folder import AuditFolder
    from analyzer.audit.verify import verify as verified

    settings = AuditFolder.open(folder).run["settings"]
    folders = pack_folder or [Path(name) for name in settings.get("pack_folders") or ()]
    found = verified(folder, analyzer_for(settings.get("code"), folders))
    if form is FolderFormat.JSON:
        typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        for line in _verification_lines(found):
            typer.echo(line)
    if not found.holds:
        raise typer.Exit(EXIT_FAILED)


def _verification_lines(found: Verification) -> Iterator[str]:
    for line, count in sorted(found.provenance.items()):
        yield f"made with another {one_line(line)} ({count} reports)"
    for kind, count in found.wrong.most_common():
        names = ", ".join(one_line(name) for name in found.named[kind][:_MAX_NAMED])
        yield f"{count} reports: {kind}: {names}{', ...' if count > _MAX_NAMED else ''}"
    if found.holds:
        same = "byte for byte" if found.identical == found.reports else "in all they say"
        yield f"{found.reports} reports hold, {same}"
    else:
        yield f"{found.reports} reports computed again; they do not all hold"


def exhibit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished audit's folder.")],
    name: Annotated[str, typer.Argument(metavar="NOTE_ID", help="A note's, case's or encounter's id.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """One page on one note, to print or attach: requirements, quotes, authors, dates and hashes (HTML)."""
    from analyzer.audit.exhibit import exhibit_page

    page = exhibit_page(folder, name).encode()
    if output is None:
        typer.echo(page, nl=False)
    else:
        output.write_bytes(page)

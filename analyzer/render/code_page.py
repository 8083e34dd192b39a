"""A code's reference page for a terminal, 80 columns and up, readable without colour."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from analyzer.reference import CodeLine, CodePage, Point, Shown

_MOST_LINES = 24
_NOTE_WORDS = {
    "includes": "Includes",
    "inclusion_terms": "Also called",
    "excludes1": "Excludes1",
    "excludes2": "Excludes2",
    "code_first": "Code first",
    "use_additional": "Use additional",
    "code_also": "Code also",
    "notes": "Note",
}


def print_code_page(page: CodePage, console: Console) -> None:
    """Print everything said of a code; long lists of codes are cut with their number."""
    console.print(Text.assemble((page.code, "bold"), f"  {page.title}"))
    console.print(Text(f"{page.code_set}, holds from {page.effective_from} to {page.effective_to}", "dim"))
    status = "Can be reported as it stands." if page.billable else f"Cannot be reported: {page.not_billable_because}."
    console.print(Text(status, "green" if page.billable else "red"))
    _table(console, "Under", _lines(page.above))
    _table(console, "7th characters", page.seventh_characters.items())
    _table(console, "Codes that can be reported", _lines(page.billable_forms))
    _table(console, "Beside it", _lines(page.siblings))
    _table(console, "Notes", ((f"{n.level} {_NOTE_WORDS[n.kind]}", n.text) for n in page.notes))
    _table(console, "What documentation must show", ((f"{d.label} ({d.basis})", _with(d)) for d in page.documentation))
    _table(console, "Pitfalls", (("-", _with(p)) for p in page.pitfalls))
    _table(console, "Questions", ((q.question, f"{q.answer} [{q.source}]") for q in page.questions))
    for profile in page.profiles:
        rows = [("-", _with(p)) for p in profile.points] + [("but", _with(p)) for p in profile.caveats]
        _table(console, profile.title, rows)
    _table(console, "Where a published reference page goes wrong", ((c.claim, c.because) for c in page.corrections))
    _table(console, "Sources", page.sources.items())
    if page.verified is not None:
        console.print(Text(f"\nVerified {page.verified} against {page.verified_against}.", "dim"))


def _with(point: Point | Shown) -> str:
    return f"{point.text} [{point.source}]"


def _lines(codes: Iterable[CodeLine]) -> list[tuple[str, str]]:
    lines = [(c.code, c.title) for c in codes]
    more = len(lines) - _MOST_LINES
    return lines if more <= 1 else [*lines[:_MOST_LINES], ("...", f"and {more} more")]


def _table(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(max_width=32, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    if table.row_count:
        console.print(Group("", Text(title, "bold"), table))

"""A gap report for a terminal, 80 columns and up, readable without colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from analyzer.render.wording import (
    RELATION_WORDS,
    REVIEWER_ONLY,
    SEND_QUERY_WORDS,
    STATUS_GLYPHS,
    VERDICT_GLYPHS,
    because,
    completeness,
    one_line,
    readable,
    visible,
    words,
)
from analyzer.report import VERDICT_WORDS, Evidence, GapReport, Requirement

MAX_QUOTES = 3
MAX_WIDTH = 100
"""Longer lines are harder to read, however wide the terminal."""

_STATUS_STYLES = {"documented": "green", "insufficient": "yellow", "conflicting": "red", "missing": "magenta"}
_VERDICT_STYLES: dict[str | None, str] = {
    "supported": "bold green",
    "query": "bold yellow",
    "not_supported": "bold red",
    None: "bold cyan",
}
_SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_PLAIN_GLYPHS = str.maketrans({"✓": "+", "≠": "!", "○": "-", "→": ">", "…": ".", "“": '"', "”": '"', "·": "-", "─": "-"})


def print_report(report: GapReport, console: Console, *, with_queries: bool = False) -> None:
    """Print one report. `with_queries` adds the combined queries, unindented so that they copy cleanly."""
    plain = not (console.encoding or "").lower().startswith("utf")
    console.print(Group(*_report(report, with_queries, plain)), highlight=False)


def print_evaluation(
    measures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], console: Console
) -> None:
    """Print the measures: a row for each requirement, then the measures over all of them with their intervals."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("requirement", no_wrap=True)
    for title in ("status", "gap P", "gap R", "gap F1", "95 %", "value"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in measures["by_requirement"].items():
        value = "" if row["value_accuracy"] is None else f"{row['value_accuracy']:.3f}"
        gap = row["gap"]
        scores = (f"{score:.3f}" for score in (row["status_accuracy"], gap["precision"], gap["recall"], gap["f1"]))
        table.add_row(name, *scores, _interval(intervals.get(f"by_requirement.{name}.gap.f1")), value)
    console.print(table, highlight=False)
    totals = Table(box=None, pad_edge=False, show_header=False)
    totals.add_column(no_wrap=True)
    totals.add_column(justify="right", no_wrap=True)
    totals.add_column(no_wrap=True)
    for title, key in (
        ("gap F1", "gap.f1"),
        ("gap precision", "gap.precision"),
        ("gap recall", "gap.recall"),
        ("status accuracy", "status_accuracy"),
        ("status macro-F1", "status_macro_f1"),
        ("verdict accuracy", "verdict_accuracy"),
        ("alerts F1", "alerts.f1"),
        ("grounded", "grounded"),
        ("offsets exact", "offsets_exact"),
    ):
        value = measures
        for part in key.split("."):
            value = value[part]
        totals.add_row(title, f"{value:.3f}", _interval(intervals.get(key)))
    console.print()
    console.print(totals, highlight=False)
    console.print(f"\n{measures['notes']} notes", highlight=False)


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.3f}-{bounds[1]:.3f}"


def _report(report: GapReport, with_queries: bool, plain: bool) -> Iterator[RenderableType]:
    def text(content: str, style: str = "") -> Text:
        return Text(content.translate(_PLAIN_GLYPHS) if plain else content, style)

    def hanging(lead: Text, body: Iterable[RenderableType]) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=16, no_wrap=True)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_row(lead, Group(*body))
        return grid

    def quote(evidence: Evidence) -> Text:
        about = [words(evidence.section), evidence.assertion]
        about += [f"side {evidence.side}"] if evidence.side else []
        about += [evidence.note_id] if len(report.note_ids) > 1 else []
        line = text(f"“{one_line(evidence.text)}” ")
        line.append(text("· " + ", ".join(about), "dim"))
        return line

    def section(title: str) -> Iterator[RenderableType]:
        yield Text()
        yield Rule(text(title, "bold"), align="left", style="dim", characters="-" if plain else "─")

    def requirement(item: Requirement) -> Table:
        status = text(f"{STATUS_GLYPHS[item.status]} {item.status}", _STATUS_STYLES[item.status])
        head = Text.assemble(text(one_line(item.label), "bold"), text(f"  {item.basis}", "dim"))
        body: list[RenderableType] = [head]
        value = readable(item.value)
        if value:
            body.append(text(value))
        body.append(text(one_line(item.reason)))
        body.extend(quote(evidence) for evidence in item.evidence[:MAX_QUOTES])
        if len(item.evidence) > MAX_QUOTES:
            body.append(text(f"and {len(item.evidence) - MAX_QUOTES} more", "dim"))
        for other in item.answered_elsewhere:
            body.append(text(f"Answered in {one_line(other.note_id)}: “{one_line(other.text)}”"))
        if item.query is not None:
            body.append(text(f"Query ({SEND_QUERY_WORDS[item.send_query]}): {one_line(item.query.question)}", "italic"))
            body.extend(text(f"[ ] {one_line(option)}") for option in item.query.options)
        return hanging(status, body)

    yield Rule(text(one_line(report.case_id or report.note_id), "bold"), align="left", characters="-" if plain else "─")
    yield text(f"{report.code} {one_line(report.code_title)}")
    yield text(f"Date of service: {report.date_of_service or 'not given'}")
    yield Text()
    verdict = text(
        f"{VERDICT_GLYPHS[report.verdict]} {VERDICT_WORDS[report.verdict].upper()}", _VERDICT_STYLES[report.verdict]
    )
    yield verdict
    yield hanging(text("  because"), [text(one_line(phrase)) for phrase in because(report)])
    yield hanging(text("  documentation"), [text(completeness(report))])
    if not report.relevant:
        yield hanging(text("  relevance"), [text("the note is not about this code; no query is made")])

    documented = sum(item.status == "documented" for item in report.requirements)
    yield from section(f"Requirements ({documented} of {len(report.requirements)} documented)")
    for position, item in enumerate(report.requirements):
        yield Padding(requirement(item), (1 if position else 0, 0, 0, 0))

    if report.alerts:
        yield from section("Alerts")
        for alert in report.alerts:
            codes = f" ({', '.join(alert.codes)})" if alert.codes else ""
            lead = text(alert.severity, _SEVERITY_STYLES[alert.severity])
            yield hanging(lead, [text(one_line(alert.message) + codes), *map(quote, alert.evidence[:MAX_QUOTES])])
    if report.review_flags:
        yield from section("For review")
        for flag in report.review_flags:
            yield hanging(
                text("flag"), [text(one_line(flag.message)), *map(quote, flag.evidence[:MAX_QUOTES])]
            )
    if report.candidate_codes:
        yield from section("Candidate codes, for coder review")
        for candidate in report.candidate_codes:
            body = [text(f"{RELATION_WORDS[candidate.relation]}: {one_line(candidate.reason)}")]
            yield hanging(text(candidate.code, "bold"), body)
    if report.prompts:
        yield from section("Questions for the author")
        for prompt in report.prompts:
            yield hanging(text(words(prompt.requirement)), [text(one_line(prompt.question))])
    if report.queries and not with_queries:
        yield Text()
        yield text(f"{len(report.queries)} combined query ready: add --queries to read it.", "dim")
    if with_queries:
        yield from _queries(report, section, text)
    if report.warnings:
        yield from section("Warnings")
        yield from (text(one_line(warning)) for warning in report.warnings)
    source = report.provenance
    yield Text()
    yield text(f"chartgap {source.chartgap} · {source.pack} {source.pack_version} · {source.code_set}", "dim")
    yield text(REVIEWER_ONLY, "dim")

"""A gap report for a terminal, 80 columns and up, readable without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
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
from analyzer.report import (
    VERDICT_WORDS,
    Alert,
    CandidateCode,
    CombinedQuery,
    Evidence,
    GapReport,
    Prompt,
    Requirement,
    ReviewFlag,
)

if TYPE_CHECKING:
    from analyzer.packs import Pack

MAX_QUOTES = 3
MAX_WIDTH = 100
"""Longer lines are harder to read, however wide the terminal."""

_LEAD_WIDTH = 15

_STATUS_STYLES = {"documented": "green", "insufficient": "yellow", "conflicting": "red", "missing": "magenta"}
_VERDICT_STYLES: dict[str | None, str] = {
    "supported": "bold green",
    "query": "bold yellow",
    "not_supported": "bold red",
    None: "bold cyan",
}
_SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_PLAIN_GLYPHS = str.maketrans({"✓": "+", "○": "-", "→": ">", "…": ".", "“": '"', "”": '"', "·": "-", "─": "-"})


def print_report(report: GapReport, console: Console, *, with_queries: bool = False) -> None:
    """Print one report. `with_queries` adds the combined queries, unindented so that they copy cleanly."""
    plain = not (console.encoding or "").lower().startswith("utf")
    parts = _Page(report, plain=plain).parts(with_queries=with_queries)
    console.print(Group(*parts), highlight=False, markup=False, emoji=False)


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
        part, _, score = key.partition(".")
        total = measures[part][score] if score and measures[part] else measures[part]
        if total is not None:
            totals.add_row(title, f"{total:.3f}", _interval(intervals.get(key)))
    console.print()
    console.print(totals, highlight=False)
    console.print(f"\n{measures['notes']} notes", highlight=False)


def print_pack(pack: Pack, console: Console) -> None:
    """Print what a pack knows: codes, requirements, alerts, elements with values and number of rules, sources."""
    rules = Counter(vocabulary.element for _, _, vocabulary in pack.vocabularies for _ in vocabulary.rules)
    head = pack.head
    console.print(Text.assemble((f"{head.id} {head.version}", "bold"), f"  {head.title}"))
    console.print(Text(f"{head.code_set}, in {pack.folder}", "dim"))
    requirements = (
        (item["id"], f"{item['label']} ({item['basis']})") for item in pack.judging["requirements"]["requirements"]
    )
    alerts = ((item["id"], item["message"]) for item in pack.judging["alerts"]["alerts"])
    elements = ((name, ", ".join(values) + f" (rules: {rules[name]})") for name, values in head.elements.items())
    codes = ((code, ", ".join(spec.target)) for code, spec in head.codes.items())
    for title, rows in (
        ("Codes", codes),
        ("Requirements", requirements),
        ("Alerts", alerts),
        ("Elements", elements),
        ("Sources", head.sources.items()),
    ):
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for name, text in rows:
            table.add_row(Text(name), Text(text))
        console.print(Group("", Text(title, "bold"), table))


def _source(note_id: str, day: date | None, author_role: str | None) -> str:
    """A note as a reader tells it apart: its id, day and author."""
    known = [str(day) if day is not None else "undated", *([words(author_role)] if author_role else [])]
    return f"{one_line(note_id)} ({', '.join(known)})"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.3f}-{bounds[1]:.3f}"


class _Page:
    """One report as rich renderables. `plain` keeps to ASCII signs for terminals that have no others."""

    def __init__(self, report: GapReport, *, plain: bool) -> None:
        self.report = report
        self.plain = plain

    def parts(self, *, with_queries: bool) -> Iterator[RenderableType]:
        report = self.report
        yield from self.header()
        yield from self.requirements()
        yield from self.listed("Alerts", map(self.alert, report.alerts))
        yield from self.listed("For review", map(self.flag, report.review_flags))
        yield from self.listed("Candidate codes, for coder review", map(self.candidate, report.candidate_codes))
        yield from self.listed("Questions for the author", map(self.prompt, report.prompts))
        if with_queries:
            yield from self.listed("Queries", map(self.combined_query, report.queries))
        elif report.queries:
            yield from ("", self.text("A combined query is ready: --queries shows it.", "dim"))
        yield from self.listed("Warnings", (self.text(one_line(warning)) for warning in report.warnings))
        source = report.provenance
        made_by = f"chartgap {source.chartgap} · {source.pack} {source.pack_version} · {source.code_set}"
        yield from ("", self.text(made_by, "dim"), self.text(REVIEWER_ONLY, "dim"))

    def header(self) -> Iterator[RenderableType]:
        report = self.report
        yield self.rule(one_line(report.case_id or report.note_id))
        yield self.text(f"{report.code} {one_line(report.code_title)}")
        yield self.text(f"Date of service: {report.date_of_service or 'not given'}")
        if len(report.note_ids) > 1:
            yield self.hanging(self.text("Notes:"), (self.text(one_line(note_id)) for note_id in report.note_ids))
        words_of_verdict = VERDICT_WORDS[report.verdict].upper()
        yield from (
            "",
            self.text(f"{VERDICT_GLYPHS[report.verdict]} {words_of_verdict}", _VERDICT_STYLES[report.verdict]),
            self.hanging(self.text("  because"), (self.text(one_line(phrase)) for phrase in because(report))),
            self.hanging(self.text("  documentation"), [self.text(completeness(report))]),
        )
        if not report.relevant:
            note = "the note does not concern this code, so no query is made"
            yield self.hanging(self.text("  relevance"), [self.text(note)])

    def requirements(self) -> Iterator[RenderableType]:
        items = self.report.requirements
        documented = sum(item.status == "documented" for item in items)
        yield from ("", self.rule(f"Requirements ({documented} of {len(items)} documented)"))
        for position, item in enumerate(items):
            if position:
                yield ""
            yield self.requirement(item)

    def requirement(self, item: Requirement) -> RenderableType:
        status = self.text(f"{STATUS_GLYPHS[item.status]} {item.status}", _STATUS_STYLES[item.status])
        body = [Text.assemble(self.text(one_line(item.label), "bold"), self.text(f"  {item.basis}", "dim"))]
        value = readable(item.value)
        if value:
            body.append(self.text(value, "cyan"))
        body.append(self.text(one_line(item.reason)))
        body.extend(self.quotes(item.evidence))
        for other in item.answered_elsewhere:
            source = _source(other.note_id, other.date, other.author_role)
            body.append(self.text(f"Answered elsewhere, in {source}: “{one_line(other.text)}”"))
        if item.query is not None:
            sending = SEND_QUERY_WORDS[item.send_query]
            body.append(self.text(f"Query ({sending}): {one_line(item.query.question)}", "italic"))
            body.extend(self.text(f"[ ] {one_line(option)}") for option in item.query.options)
        return self.hanging(status, body)

    def alert(self, alert: Alert) -> RenderableType:
        codes = f" ({', '.join(alert.codes)})" if alert.codes else ""
        lead = self.text(alert.severity, _SEVERITY_STYLES[alert.severity])
        return self.hanging(lead, [self.text(one_line(alert.message) + codes), *self.quotes(alert.evidence)])

    def flag(self, flag: ReviewFlag) -> RenderableType:
        return self.hanging(self.text("flag"), [self.text(one_line(flag.message)), *self.quotes(flag.evidence)])

    def candidate(self, candidate: CandidateCode) -> RenderableType:
        why = self.text(f"{RELATION_WORDS[candidate.relation]}: {one_line(candidate.reason)}")
        return self.hanging(self.text(candidate.code, "bold"), [why])

    def prompt(self, prompt: Prompt) -> RenderableType:
        return Text.assemble(self.text(words(prompt.requirement), "bold"), "\n", self.text(one_line(prompt.question)))

    def combined_query(self, query: CombinedQuery) -> RenderableType:
        """Unindented, so that it copies cleanly."""
        recipient = self.text(f"To: {words(query.recipient_role)}", "dim")
        return Group(recipient, self.text(one_line(query.title), "bold"), self.text(visible(query.text)))

    def quotes(self, evidence: Sequence[Evidence]) -> Iterator[Text]:
        for item in evidence[:MAX_QUOTES]:
            about = [words(item.section), item.assertion]
            if item.side is not None:
                about.append(f"side {item.side}")
            if len(self.report.note_ids) > 1:
                about.append(_source(item.note_id, item.date, item.author_role))
            yield Text.assemble(self.text(f"“{one_line(item.text)}”"), self.text(f" · {', '.join(about)}", "dim"))
        if len(evidence) > MAX_QUOTES:
            yield self.text(f"and {len(evidence) - MAX_QUOTES} more", "dim")

    def listed(self, title: str, items: Iterable[RenderableType]) -> Iterator[RenderableType]:
        """A titled list, or nothing at all."""
        found = list(items)
        if found:
            yield from ("", self.rule(title), *found)

    def text(self, content: str, style: str = "") -> Text:
        return Text(content.translate(_PLAIN_GLYPHS) if self.plain else content, style)

    def rule(self, title: str) -> Rule:
        return Rule(self.text(title, "bold"), align="left", style="dim", characters="-" if self.plain else "─")

    def hanging(self, lead: Text, body: Iterable[RenderableType]) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=_LEAD_WIDTH, overflow="fold")
        grid.add_column(ratio=1, overflow="fold")
        grid.add_row(lead, Group(*body))
        return grid

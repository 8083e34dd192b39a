"""CDS Hooks cards from a gap report: a card a question, for the provider. They name no codes and suggest no wording."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence

from analyzer.note import Note
from analyzer.queries import QueryBook
from analyzer.report import GapReport
from api.cds_shapes import Card, Coding, Source

_LONGEST = 139
_LAYOUT = re.compile(r"\s*(?:- |\d+\. )?(?:\[ \] )?")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
_SYSTEM = "urn:chartgap:override-reason"

_REASONS = [
    Coding(code="documented-elsewhere", system=_SYSTEM, display="Documented elsewhere in the record"),
    Coding(code="cannot-be-determined", system=_SYSTEM, display="Clinically unable to determine"),
    Coding(code="does-not-apply", system=_SYSTEM, display="Does not apply to this patient"),
]


def cards(report: GapReport, notes: Sequence[Note], queries: QueryBook, instance: uuid.UUID) -> Iterator[Card]:
    """The report's questions, those to be sent first. For unfinished notes, the prompts."""
    if not report.relevant:
        return
    texts = {note.note_id: note.text for note in notes}
    days = {note.note_id: note.date_of_service for note in notes}
    for wanted, indicator in (("yes", "warning"), ("optional", "info")):
        for requirement in report.requirements:
            if requirement.query is not None and requirement.send_query == wanted:
                message = queries.combine([requirement.query], report.requirements, texts, days)[0]
                yield _card(instance, requirement.id, message.title, markdown(message.text), indicator)
    for prompt in report.prompts:
        yield _card(instance, prompt.requirement, prompt.question, markdown(prompt.question), "info")


def unread(count: int, total: int, reasons: Sequence[str], instance: uuid.UUID) -> Card:
    """Says that notes could not be read: silence would look like notes without gaps."""
    detail = "\n".join(f"- {markdown(reason)}" for reason in dict.fromkeys(reasons))
    return _card(instance, "unread", f"{count} of {total} notes could not be read", detail, "info")


def markdown(text: str) -> str:
    """Text as Markdown that shows it as it is, but for lists and empty boxes; a line break stays one."""
    lines = []
    for line in text.split("\n"):
        layout = _LAYOUT.match(line)
        end = layout.end() if layout else 0
        lines.append(line[:end] + _MARKUP.sub(r"\\\1", line[end:]))
    return "  \n".join(lines)


def _card(instance: uuid.UUID, name: str, summary: str, detail: str, indicator: str) -> Card:
    short = summary if len(summary) <= _LONGEST else summary[: _LONGEST - 1].rstrip() + "…"
    return Card.model_validate(
        {
            "uuid": str(uuid.uuid5(instance, name)),
            "summary": short,
            "detail": detail,
            "indicator": indicator,
            "source": Source(label="Chartgap"),
            "override_reasons": _REASONS,
        }
    )

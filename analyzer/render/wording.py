"""Report values in readable words, made from their shape alone: no renderer knows a requirement by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from analyzer.report import GapReport

STATUS_GLYPHS = {"documented": "✓", "insufficient": "~", "conflicting": "!", "missing": "○"}
VERDICT_GLYPHS: dict[str | None, str] = {"supported": "✓", "query": "?", "not_supported": "→", None: "…"}
SEND_QUERY_WORDS = {"yes": "to send", "optional": "optional", "no": "not sent"}
RELATION_WORDS = {"instead": "instead of the code", "with": "with the code", "query": "after a query"}
SEVERITY_WORDS = {"error": "points to another code", "warning": "caution", "info": "for information"}
REVIEWER_ONLY = "For a reviewer. Chartgap assigns no code and tells no provider what to write."

# Control characters could drive a terminal, and direction overrides could show text in another order than it stands.
_OTHER_BREAKS = str.maketrans("\r\v\f", "\n\n\n")
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def words(identifier: str) -> str:
    """An identifier as words."""
    return identifier.replace("_", " ")


def visible(text: str) -> str:
    """The text, as long as before, with every character that acts instead of showing replaced by one that shows.

    Tabs and line feeds stay, other breaks become line feeds.
    """
    return _HARMFUL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", " \n").translate(_OTHER_BREAKS))


def one_line(text: str) -> str:
    """Visible text with every run of white space as one space."""
    return " ".join(visible(text).split())


def readable(value: Any) -> str:
    """A requirement's value: lists with commas, an interval as one date where it is one, empty things as nothing."""
    if value is None or value == [] or value == "":
        return ""
    if isinstance(value, str):
        return words(value)
    if isinstance(value, list):
        return ", ".join(words(str(item)) for item in value)
    if isinstance(value, dict) and value.keys() == {"earliest", "latest"}:
        first, last = value["earliest"], value["latest"]
        return str(first) if first == last else f"between {first} and {last}"
    if isinstance(value, dict):
        parts = ((words(str(key)), readable(part)) for key, part in value.items())
        return "; ".join(f"{key}: {part}" for key, part in parts if part)
    return str(value)


def counted(number: int) -> str:
    """A count with thin spaces between thousands, which no reader takes for a decimal sign."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(part: int, whole: int) -> str:
    """A share in whole per cent; what rounding would turn into none or all says so."""
    if not whole:
        return "–"
    rounded = round(100 * part / whole)
    if part and not rounded:
        return "under 1 %"
    if part < whole and rounded == 100:
        return "over 99 %"
    return f"{rounded} %"


def because(report: GapReport) -> list[str]:
    """What the verdict rests on, a phrase each: alerts by name, requirements with their status."""
    by_id = {requirement.id: requirement for requirement in report.requirements}
    phrases = [words(alert) for alert in report.verdict_because.alerts]
    for name in report.verdict_because.requirements:
        requirement = by_id.get(name)
        phrases.append(f"{requirement.label}: {requirement.status}" if requirement else words(name))
    return phrases or [words(report.verdict_because.rule)]


def completeness(report: GapReport) -> str:
    """Which of the two questions is open."""
    coding, audit = ("complete" if done else "open" for done in (report.coding_complete, report.audit_complete))
    return f"coding {coding}, audit {audit}"


def short_labels(identifiers: Sequence[str]) -> dict[str, str]:
    """A word for each identifier that none of the others has: its last word, else its first, else all of it."""
    last = Counter(name.split("_")[-1] for name in identifiers)
    first = Counter(name.split("_")[0] for name in identifiers)
    labels: dict[str, str] = {}
    for name in identifiers:
        parts = name.split("_")
        if last[parts[-1]] == 1:
            labels[name] = parts[-1]
        else:
            labels[name] = parts[0] if first[parts[0]] == 1 else words(name)
    return labels

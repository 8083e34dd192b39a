"""The calendar day in what data formats call a date or time."""

from __future__ import annotations

import re
from datetime import date

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FORMS = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})(?!\d)"),
    re.compile(r"(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})(?!\d)"),
    re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?=\d{2}|\d{4}|\Z|[^\d])"),
    re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})(?!\d)"),
    re.compile(r"(?P<day>\d{1,2})[- ](?P<name>[A-Za-z]{3})[a-z]*[- ](?P<year>\d{4})(?!\d)"),
)


def iso_day(value: str | None) -> str | None:
    """YYYY-MM-DD of a date or time, its time and zone left aside; None for a month, a year or no date.

    Read are ISO 8601, HL7 (YYYYMMDD...), MM/DD/YYYY as US exports write it, and DD-MON-YYYY.
    """
    text = (value or "").strip()
    for form in _FORMS:
        if not (match := form.match(text)):
            continue
        parts = match.groupdict()
        name = parts.get("name")
        if name is not None and name.upper() not in _MONTHS:
            return None
        month = int(parts["month"]) if name is None else _MONTHS.index(name.upper()) + 1
        try:
            return date(int(parts["year"]), month, int(parts["day"])).isoformat()
        except ValueError:
            return None
    return None

"""Finds date expressions in clinical text and resolves them against the date of service.

`DateReader.find` gives every mention with the days it may mean, both ends included. What people write is data:
`patterns/common/dates.yaml` holds the words, the rules and their examples, and explains its own notation. Here is only
the arithmetic of the calendar and one interpreter for each way of counting that a rule can name.

An interval is as wide as the words: "6 weeks ago" is a week, "March 2022" a month, "3 years ago" a year. What the words
leave open (two to eight years, a decade) has the precision `range`. Everything that counts back from now needs the date
of service and stays unresolved without it; elapsed time is never counted from a clock.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, date, timedelta
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from analyzer.errors import PackError
from analyzer.yamlfile import line_of, read_yaml

Precision = Literal["day", "week", "month", "season", "year", "range", "none"]
Kind = Literal["absolute", "relative", "age", "holiday", "duration", "vague", "future", "recurring"]
Interpreter = Literal[
    "numeric", "year_pair", "numbered_month", "decade", "quarter", "year", "part_of_month", "calendar", "season",
    "holiday", "weekday", "day_word", "period", "day_of_month", "ago", "duration", "ahead", "age", "vague", "recurring",
    "nothing",
]  # fmt: skip
Modifier = Literal["hedge", "bound", "part", "which"]


@dataclass(frozen=True, slots=True)
class DateMention:
    """One date expression. `start` and `end` count code points of the text given to `DateReader.find`.

    `earliest` and `latest` are calendar days, both included; None when nothing can be resolved (vague words, no date of
    service). `approximate`: the author hedged, or the amount is loose. `label`: what the words right before say the
    date is (`birth`, `injury`, `service` ...; the names stand in dates.yaml), else None. `kind` is `future` whenever
    the whole interval lies after the date of service.
    """

    start: int
    end: int
    text: str
    earliest: date | None
    latest: date | None
    precision: Precision
    kind: Kind
    approximate: bool
    label: str | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _month_day(value: object) -> tuple[int, int]:
    found = re.fullmatch(r"(\d\d)-(\d\d)", str(value))
    if not found or not _is_day(2000, int(found[1]), int(found[2])):
        raise ValueError("must be a month and day such as 03-20")
    return int(found[1]), int(found[2])


MonthDay = Annotated[tuple[int, int], BeforeValidator(_month_day)]


class MonthWords(_Strict):
    """Names of one month, 1-12."""

    month: int = Field(ge=1, le=12)
    words: list[str] = Field(min_length=1)


class WeekdayWords(_Strict):
    """Names of one day of the week, Monday is 0."""

    weekday: int = Field(ge=0, le=6)
    words: list[str] = Field(min_length=1)


class SeasonWords(_Strict):
    """Names of one season and its days; one that crosses the year's end is counted to the year in which it ends."""

    season: str
    words: list[str] = Field(min_length=1)
    first: MonthDay = Field(alias="from")
    last: MonthDay = Field(alias="to")


class Unit(_Strict):
    """A unit of time: its length in days or months, and the days to each side that "N units ago" leaves open."""

    words: list[str] = Field(min_length=1)
    days: float = 0
    months: int = 0
    spread: int
    spread_of_one: int


class Holiday(_Strict):
    """A holiday's names (regular expressions) and its day, by exactly one rule; `around` adds days to each end."""

    words: list[str] = Field(min_length=1)
    fixed: MonthDay | None = None
    nth: int | None = None
    last: bool = False
    weekday: int | None = None
    month: int | None = None
    easter: int | None = None
    between: tuple[MonthDay, MonthDay] | None = None
    around: tuple[int, int] = (0, 0)
    approximate: bool = False


class DayWords(_Strict):
    """Words for days at a distance from the date of service, in days."""

    match: str
    offset: tuple[int, int]


class Offset(_Strict):
    """Words for a week, month or year at a distance from the current one; None when it points elsewhere in the text."""

    match: str
    offset: int | None


class Label(_Strict):
    """Words right before a date that say what it is."""

    label: str
    match: str


class Example(_Strict):
    """A sentence a rule must read: `find` in `say`, resolved to `first`..`last` (both null: unresolved)."""

    say: str
    find: Annotated[str, BeforeValidator(str)]
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")
    kind: Kind | None = None
    anchor: date | None = None
    age: int | None = None


class Examples(_Strict):
    """What a rule must find, and sentences in which it must find nothing."""

    match: list[Example] = Field(min_length=1)
    no_match: list[str] = Field(min_length=1)


class DateRule(_Strict):
    """One way to write a date; dates.yaml explains the fields."""

    name: str
    starts: list[str] = Field(min_length=1)
    lead: str | None = None
    match: list[str] = Field(min_length=1)
    interpreter: Interpreter = Field(alias="as")
    takes: list[Modifier] = Field(default_factory=list)
    preceded_by: str | None = None
    not_preceded_by: str | None = None
    not_followed_by: str | None = None
    examples: Examples
    source: str


class DateRules(_Strict):
    """The content of dates.yaml."""

    example_anchor: date
    source: str
    months: list[MonthWords]
    unclear_months: list[str]
    weekdays: list[WeekdayWords]
    seasons: list[SeasonWords]
    numbers: dict[str, int]
    ordinals: dict[str, int]
    amounts: dict[str, tuple[float, float]]
    exact_amounts: list[str]
    units: dict[str, Unit]
    holidays: list[Holiday]
    holiday_starts: list[str]
    day_words: list[DayWords]
    periods: list[Offset]
    relative_years: list[Offset]
    before: dict[str, str]
    future: str
    labels: list[Label]
    macros: dict[str, str]
    rules: list[DateRule] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What an interpreter makes of a match."""

    earliest: date | None
    latest: date | None
    precision: Precision
    kind: Kind
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class _Setting:
    """Where a match stands: the date of service, the patient's age then, and the words before it."""

    anchor: date | None
    age: int | None
    before: str
    hedged: bool = False
    bound: str | None = None
    part: str | None = None
    which: str | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: DateRule
    lead: re.Pattern[str] | None
    patterns: tuple[re.Pattern[str], ...]
    preceded_by: re.Pattern[str] | None
    not_preceded_by: re.Pattern[str] | None
    not_followed_by: re.Pattern[str] | None
    modifiers: re.Pattern[str] | None
    interpret: Callable[[Mapping[str, str], _Setting], _Meaning | None]


class _BadRegex(Exception):
    """A pattern that does not compile, with its key path in the file."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(reason)


_UNKNOWN = _Meaning(None, None, "none", "vague")
_UNRESOLVED = _Meaning(None, None, "none", "relative")
_WINDOW = 60
"""Code points before a match in which labels, hedges and cues are looked for; keeps the cost per mention constant."""

_PLAIN = str.maketrans("\u2018\u2019\u02bc\u2032\u00b4\u2010\u2011\u2012\u2013\u2014\u2212\u00a0\u2009\u202f", "'''''------   ")
_PLACE = re.compile(r"(?<!\w)(?:\d+(?:[/.:,-]\d+)*|[a-z]+|'(?=\s?\d)|×)")
_MACRO = re.compile(r"\{([a-z]\w*)(=(\w*))?\}")
_AMOUNT_TOKEN = re.compile(r"1/2|\d+(?:\.\d+)?|[a-z]+|\+")
_WIDE_ENOUGH_FOR_YEARS = 10
"""From here on a hedged count of years ("about thirty years ago") is a round number and no year."""


class DateReader:
    """Finds and resolves dates by the rules of one dates.yaml. Immutable and safe to share between threads."""

    def __init__(self, rules: DateRules) -> None:
        self.rules = rules
        self._months = {word: entry.month for entry in rules.months for word in entry.words}
        self._weekdays = {word: entry.weekday for entry in rules.weekdays for word in entry.words}
        self._seasons = {word: entry for entry in rules.seasons for word in entry.words}
        self._units = {word: (name, unit) for name, unit in rules.units.items() for word in unit.words}
        tens = [word for word, value in rules.numbers.items() if value >= 20]
        ones = [word for word, value in rules.numbers.items() if 0 < value < 10]
        small = [word for word, value in rules.ordinals.items() if value < 10]
        macros = {
            "apos": "'",
            "month": _any(self._months),
            "clear_month": _any(word for word in self._months if word not in rules.unclear_months),
            "weekday": _any(self._weekdays),
            "season": _any(self._seasons),
            "unit": _any(self._units),
            "number": rf"(?:{_any(tens)}[-\s]+{_any(ones)}|{_any(rules.numbers)})\b",
            "ordinal": rf"(?:(?:twenty|thirty)[-\s]+{_any(small)}|{_any(rules.ordinals)})\b",
            "holiday": "|".join(word for entry in rules.holidays for word in entry.words),
            "day_word": "|".join(entry.match for entry in rules.day_words),
            "relative_year": "|".join(entry.match for entry in rules.relative_years),
            "period": "|".join(_anonymous(entry.match) for entry in rules.periods),
            **rules.macros,
        }
        self._macros = macros
        self._holidays = [
            (self._compile("|".join(entry.words), ("holidays", i)), entry) for i, entry in enumerate(rules.holidays)
        ]
        self._day_words = [(self._compile(e.match, ("day_words", i)), e) for i, e in enumerate(rules.day_words)]
        self._periods = [(self._compile(e.match, ("periods", i)), e) for i, e in enumerate(rules.periods)]
        self._relative_years = [
            (self._compile(e.match, ("relative_years", i)), e) for i, e in enumerate(rules.relative_years)
        ]
        self._future = self._compile(rf"\b(?:{rules.future})\b", ("future",))
        labels = "|".join(f"(?P<{entry.label}>{entry.match})" for entry in rules.labels)
        gap = r"[\s:.,=#*|_\[(/-]{0,30}(?:(?:is|was|of|on)\s)?[\s:*\[(]{0,6}"
        self._label = self._compile(rf"(?<!\w)(?:{labels}){gap}$", ("labels",))
        self._leads = {
            rule.lead: self._compile(f"{{{rule.lead}}}", ("macros", rule.lead)) for rule in rules.rules if rule.lead
        }
        self._by_start: dict[str, list[_Compiled]] = {}
        self._starts = self._start_words()
        for i, rule in enumerate(rules.rules):
            compiled = self._compile_rule(i, rule)
            for word in self._words_of(rule, i):
                self._by_start.setdefault(word, []).append(compiled)

    @classmethod
    def from_yaml(cls, path_or_traversable: str | Path | Traversable) -> DateReader:
        """Load and check a dates.yaml. Raises PackError naming file, line and key."""
        file = Path(path_or_traversable) if isinstance(path_or_traversable, str) else path_or_traversable
        content, lines = read_yaml(file, file.name)
        try:
            return cls(DateRules.model_validate(content))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path, reason = tuple(first["loc"]), str(first["msg"])
        except _BadRegex as error:
            path, reason = error.path, error.reason
        raise PackError(file.name, line_of(lines, path), ".".join(map(str, path)), reason)

    def find(self, text: str, anchor: date | None, age: int | None = None) -> list[DateMention]:
        """The date expressions of a sentence in order, none overlapping another.

        `anchor`: the date of service, or None when unknown. `age`: the patient's age in years on that day, if known.
        """
        return [mention for _, mention in self.explain(text, anchor, age)]

    def explain(self, text: str, anchor: date | None, age: int | None = None) -> list[tuple[str, DateMention]]:
        """As `find`, each mention with the name of the rule that read it."""
        plain = _plain(text)
        found: list[tuple[str, DateMention]] = []
        done = 0
        for place in _PLACE.finditer(plain):
            start = place.start()
            if start < done:
                continue
            candidates = self._by_start.get(_start_name(place.group()))
            if candidates is None:
                continue
            read = self._read(text, plain, start, done, candidates, anchor, age)
            if read is None:
                continue
            name, mention, done = read
            if mention is not None and not self._joined(plain, found, name, mention):
                found.append((name, mention))
        return found

    def _read(
        self,
        text: str,
        plain: str,
        start: int,
        done: int,
        candidates: Sequence[_Compiled],
        anchor: date | None,
        age: int | None,
    ) -> tuple[str, DateMention | None, int] | None:
        """The first rule that holds at `start`: its name, its mention (None: read over) and where to go on."""
        before: str | None = None
        leads: dict[str, re.Match[str] | None] = {}
        for compiled in candidates:
            parts: dict[str, str] = {}
            at = start
            if compiled.lead is not None:
                key = compiled.rule.lead or ""
                if key not in leads:
                    leads[key] = compiled.lead.match(plain, start)
                lead = leads[key]
                if lead is None:
                    continue
                parts = {name: value for name, value in lead.groupdict().items() if value is not None}
                at = lead.end()
            match = next((m for p in compiled.patterns if (m := p.match(plain, at))), None)
            if match is None or match.end() == start:
                continue
            if before is None:
                before = plain[max(done, start - _WINDOW) : start]
            if not _stands_well(compiled, plain, before, match.end()):
                continue
            parts |= {name: value for name, value in match.groupdict().items() if value is not None}
            begin, setting = self._setting(compiled, before, start, anchor, age)
            meaning = compiled.interpret(parts, setting)
            if meaning is None:
                return compiled.rule.name, None, match.end()
            if setting.hedged and not meaning.approximate:
                meaning = replace(meaning, approximate=True)
            return compiled.rule.name, self._mention(text, plain, begin, match.end(), done, meaning), match.end()
        return None

    def _mention(self, text: str, plain: str, start: int, end: int, done: int, meaning: _Meaning) -> DateMention:
        label = self._label.search(plain[max(done, start - _WINDOW) : start])
        return DateMention(
            start=start,
            end=end,
            text=text[start:end],
            earliest=meaning.earliest,
            latest=meaning.latest,
            precision=meaning.precision,
            kind=meaning.kind,
            approximate=meaning.approximate,
            label=label.lastgroup if label else None,
        )

    def _setting(
        self, compiled: _Compiled, before: str, start: int, anchor: date | None, age: int | None
    ) -> tuple[int, _Setting]:
        """Reads the modifiers that stand before a match, nearest first; they become part of the mention."""
        setting = _Setting(anchor, age, before)
        if compiled.modifiers is None:
            return start, setting
        size = len(before)
        seen: dict[str, Any] = {}
        while len(seen) < 3 and (found := compiled.modifiers.search(before, 0, size)):
            name = found.lastgroup or ""
            size = found.start()
            match name:
                case "hedge":
                    seen["hedged"] = True
                case "at_least" | "at_most":
                    seen["bound"] = name
                case "early" | "mid" | "late":
                    seen["part"] = name
                case _:
                    seen["which"] = name
        return start - (len(before) - size), replace(setting, before=before[:size], **seen)

    def _joined(self, plain: str, found: list[tuple[str, DateMention]], name: str, mention: DateMention) -> bool:
        """A weekday beside the date it belongs to is one mention with it: "Saturday, November 5"."""
        if not found:
            return False
        last_name, last = found[-1]
        if len(plain[last.end : mention.start].strip(" ,.(")) > 0 or mention.start - last.end > 3:
            return False
        if last_name == "weekday" and mention.precision == "day" and mention.kind in ("absolute", "future"):
            found[-1] = (name, replace(mention, start=last.start, text=""))
            return True
        return name == "weekday" and last.precision == "day" and last.kind in ("absolute", "future")

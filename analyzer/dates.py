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
Topic = Literal["month", "weekday", "weekdays", "season", "holiday", "unit"]
_TOPICS: dict[Topic, int] = {
    "month": 1, "weekday": 2, "weekdays": 4, "season": 8, "holiday": 16, "unit": 32,
}  # fmt: skip
Modifier = Literal["hedge", "bound", "part", "which"]
_MODIFIERS: dict[Modifier, tuple[str, ...]] = {
    "hedge": ("hedge",),
    "bound": ("at_least", "at_most"),
    "part": ("early", "mid", "late"),
    "which": ("last", "this", "next", "that", "every"),
}


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
    one_in: str | None = None
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
    needs: list[Topic] = Field(default_factory=list)
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
    decades: dict[str, int]
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
    soon: str
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
    within: tuple[date, date] | None = None
    """The days of a longer period named right before: "last year, in October"."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: DateRule
    topics: int
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
_EVERY = _Meaning(None, None, "none", "recurring")
_WINDOW = 60
"""Code points before a match in which labels, hedges and cues are looked for; keeps the cost per mention constant."""

_QUOTES, _DASHES, _BLANKS = (
    "\u2018\u2019\u02bc\u2032\u00b4",
    "\u2010\u2011\u2012\u2013\u2014\u2212",
    "\u00a0\u2009\u202f",
)
_PLAIN = str.maketrans(_QUOTES + _DASHES + _BLANKS, "'" * 5 + "-" * 6 + " " * 3)
_PLACE = re.compile(r"(?<!\w)(?:\d+(?:[/.:,-]\d+)*|[a-z]+|'(?=\s?\d)|×)")
_WORD = re.compile(r"[a-z]{2,}|(?<=[\d\s-])[dhwyx](?![a-z/])")
_MACRO = re.compile(r"\{([a-z]\w*)(=(\w*))?\}")
_BESIDE = re.compile(r"[\s,.]{0,2}(?:\(\s?)?(?:(?i:the)\s)?")
_NEXT_TO = re.compile(r"\s*[,(-]?\s*(?:(?:in|on|about|around|the|of|maybe|this|last|past)\s+){0,2}", re.IGNORECASE)
_AMOUNT_TOKEN = re.compile(r"1/2|\d+(?:\.\d+)?|[a-z]+|\+")
_ALMOST_A_YEAR = 300
_FIRST_YEAR, _LAST_YEAR = 1900, 2199
"""A date of service outside of these years is a slip of the pen and is taken as unknown."""
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
            "decade_word": _any(rules.decades),
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
        self._soon = self._compile(rf"\b(?:{rules.soon})\s*$", ("soon",))
        labels = "|".join(f"(?P<{entry.label}>{entry.match})" for entry in rules.labels)
        gap = r"[\s:.,=#*|_\[(/-]{0,30}(?:(?:is|was|of|on)\s)?[\s:*\[(]{0,6}"
        self._label = self._compile(rf"(?<!\w)(?:{labels}){gap}$", ("labels",))
        self._leads = {
            rule.lead: self._compile(f"{{{rule.lead}}}", ("macros", rule.lead)) for rule in rules.rules if rule.lead
        }
        self._starts = self._start_words()
        self._topics: dict[str, int] = {}
        for topic, bit in _TOPICS.items():
            for word in self._starts[topic]:
                self._topics[word] = self._topics.get(word, 0) | bit
        self._by_start = self._index(rules.rules)
        self._by_topics: dict[tuple[str, int], tuple[_Compiled, ...]] = {}

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

        `anchor`: the date of service, or None when unknown (so are years before 1900 and after 2199). `age`: the
        patient's age in years on that day, if known.
        """
        return [mention for _, mention in self.explain(text, anchor, age)]

    def explain(self, text: str, anchor: date | None, age: int | None = None) -> list[tuple[str, DateMention]]:
        """As `find`, each mention with the name of the rule that read it."""
        if anchor is not None and not _FIRST_YEAR <= anchor.year <= _LAST_YEAR:
            anchor = None
        plain = _plain(text)
        found: list[tuple[str, DateMention]] = []
        topics, starts = 0, self._by_start
        for word in _WORD.findall(plain):
            topics |= self._topics.get(word, 0)
        done = 0
        for place in _PLACE.finditer(plain):
            token = place.group()
            if token not in starts and not token[0].isdecimal():
                continue
            start = place.start()
            if start < done:
                continue
            candidates = self._candidates(token, topics)
            if not candidates:
                continue
            read = self._read(text, plain, start, done, candidates, found, anchor, age)
            if read is None:
                continue
            name, mention, done = read
            if mention is not None and not _joined(text, found, name, mention):
                found.append((name, mention))
        return found

    def _read(
        self,
        text: str,
        plain: str,
        start: int,
        done: int,
        rules: Sequence[_Compiled],
        found: list[tuple[str, DateMention]],
        anchor: date | None,
        age: int | None,
    ) -> tuple[str, DateMention | None, int] | None:
        """The first rule that holds at `start`: its name, its mention (None: read over) and where to go on."""
        before = plain[max(0, start - _WINDOW) : start]
        leads: dict[str, re.Match[str] | None] = {}
        for compiled in rules:
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
            for pattern in compiled.patterns:
                match = pattern.match(plain, at)
                if match is not None:
                    break
            else:
                continue
            if not _stands_well(compiled, plain, before, match.end()):
                continue
            parts |= {name: value for name, value in match.groupdict().items() if value is not None}
            place = _Setting(anchor, age, before, within=_period_before(text, found, start))
            begin, setting = self._setting(compiled, start, max(done, start - _WINDOW, 0), place)
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

    def _setting(self, compiled: _Compiled, start: int, free: int, place: _Setting) -> tuple[int, _Setting]:
        """Reads the modifiers between `free` and a match, nearest first; they become part of the mention."""
        if compiled.modifiers is None:
            return start, place
        before = place.before
        size = len(before)
        seen: dict[str, Any] = {}
        while len(seen) < 3 and (found := compiled.modifiers.search(before, len(before) - (start - free), size)):
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
        return start - (len(before) - size), replace(place, before=before[:size], **seen)

    # ---- compiling -------------------------------------------------------------------------------------------------

    def _compile(self, pattern: str, path: tuple[str | int, ...]) -> re.Pattern[str]:
        try:
            return re.compile(_spaces(self._expand(pattern)))
        except (re.error, KeyError, RecursionError) as error:
            raise _BadRegex(path, f"is no usable pattern: {error}") from None

    def _expand(self, pattern: str) -> str:
        """Replaces {name}, {name=other} and {name=} until none is left. A macro with names of its own gets none."""

        def put(found: re.Match[str]) -> str:
            name, renamed, other = found[1], found[2] is not None, found[3]
            if name not in self._macros:
                raise KeyError(f"no macro {{{name}}}")
            inside = self._expand(self._macros[name])
            if len(inside) == 1:
                return inside
            unnamed = (renamed and not other) or "(?P<" in inside
            return f"(?:{inside})" if unnamed else f"(?P<{other or name}>{inside})"

        return _MACRO.sub(put, pattern)

    def _compile_rule(self, index: int, rule: DateRule) -> _Compiled:
        path: tuple[str | int, ...] = ("rules", index)

        def ending(pattern: str | None, key: str) -> re.Pattern[str] | None:
            return None if pattern is None else self._compile(f"(?:{pattern})$", (*path, key))

        words = [
            rf"(?P<{name}>{self.rules.before[name]})" + ("" if modifier == "which" else r"(?:\s+(?:the|of|in|on|a))?")
            for modifier in rule.takes
            for name in _MODIFIERS[modifier]
        ]
        modifiers = rf"(?<!\w)(?:{'|'.join(words)})[\s-]*$" if words else None
        return _Compiled(
            rule=rule,
            topics=sum(_TOPICS[topic] for topic in rule.needs),
            lead=self._leads[rule.lead] if rule.lead else None,
            patterns=tuple(
                self._compile(rf"(?:{pattern})(?!\w)", (*path, "match", i)) for i, pattern in enumerate(rule.match)
            ),
            preceded_by=ending(rule.preceded_by, "preceded_by"),
            not_preceded_by=ending(rule.not_preceded_by, "not_preceded_by"),
            not_followed_by=self._compile(rule.not_followed_by, (*path, "not_followed_by"))
            if rule.not_followed_by
            else None,
            modifiers=self._compile(modifiers, (*path, "takes")) if modifiers else None,
            interpret=getattr(self, f"_{rule.interpreter}"),
        )

    def _index(self, rules: Sequence[DateRule]) -> dict[str, list[_Compiled]]:
        """The rules that may begin with a word, in their order in the file."""
        by_word: dict[str, list[_Compiled]] = {}
        for i, rule in enumerate(rules):
            compiled = self._compile_rule(i, rule)
            for word in self._words_of(rule, i):
                by_word.setdefault(word, []).append(compiled)
        return by_word

    def _candidates(self, token: str, topics: int) -> tuple[_Compiled, ...]:
        """The rules worth trying at a token of a sentence that has words of these topics."""
        key = (token if not token[0].isdecimal() else _shape(token), topics)
        known = self._by_topics.get(key)
        if known is None:
            rules = self._by_start.get(key[0], ())
            known = self._by_topics[key] = tuple(rule for rule in rules if rule.topics & topics == rule.topics)
        return known

    def _start_words(self) -> dict[str, list[str]]:
        rules = self.rules
        return {
            "month": list(self._months),
            "unit": list(self._units),
            "weekday": list(self._weekdays),
            "weekdays": [f"{word}s" for word in self._weekdays],
            "season": [word for word in self._seasons if " " not in word],
            "holiday": rules.holiday_starts,
            "amount": [*rules.numbers, *rules.amounts],
            "ordinal": list(rules.ordinals),
            **{shape: [f"#{shape}"] for shape in ("number", "year", "compact", "mixed", "mixed_year")},
        }

    def _words_of(self, rule: DateRule, index: int) -> list[str]:
        words: list[str] = []
        for i, name in enumerate(rule.starts):
            group = self._starts.get(name)
            if group is None and not re.fullmatch(r"[a-z]+|'|×", name):
                raise _BadRegex(("rules", index, "starts", i), f"{name!r} is neither a word nor a list of words")
            words += group or [name]
        return list(dict.fromkeys(words))

    # ---- words to numbers ------------------------------------------------------------------------------------------

    def _number(self, text: str) -> int:
        """A whole number in digits (a following st, nd, rd, th is ignored), cardinal or ordinal words."""
        digits = re.match(r"\d+", text)
        if digits:
            return int(digits[0])
        known = self.rules.numbers | self.rules.ordinals
        return sum(known[word] for word in re.findall(r"[a-z]+", text) if word in known)

    def _amount(self, text: str) -> tuple[float, float, bool, bool]:
        """Fewest and most of an amount, whether it is loose ("a few", "6-7") and whether it is open upwards ("10+")."""
        rules = self.rules
        values: list[tuple[float, float]] = []
        loose = more = False
        mergeable = False
        for token in _AMOUNT_TOKEN.findall(re.sub(r"and\s+(?:a|one)\s+half", "1/2", text)):
            if token == "+" or token in ("plus", "odd"):
                more = True
            elif token in ("1/2", "half") and values:
                values[-1] = (values[-1][0] + 0.5, values[-1][1] + 0.5)
            elif token == "1/2":
                values.append((0.5, 0.5))
            elif token[0].isdecimal():
                values.append((float(token), float(token)))
            elif token in rules.numbers:
                value = rules.numbers[token]
                if mergeable and 0 < value < 10:
                    values[-1] = (values[-1][0] + value, values[-1][1] + value)
                else:
                    values.append((value, value))
                mergeable = value >= 20
                continue
            elif token in rules.amounts and token not in ("a", "an"):
                values.append(rules.amounts[token])
                loose = loose or token not in rules.exact_amounts
            mergeable = False
        if not values:
            values.append((1.0, 1.0))
        low, high = min(value[0] for value in values), max(value[1] for value in values)
        return low, high, loose or low != high, more

    def _year_of(self, text: str, anchor: date | None) -> int | None:
        """The year that "2019", "'19", "nineteen ninety eight" or "last year" names; None when it can't be known."""
        text = text.strip(" '")
        digits = re.match(r"\d+", text)
        if digits:
            return int(digits[0]) if len(digits[0]) == 4 else _full_year(int(digits[0]), anchor)
        for pattern, entry in self._relative_years:
            if pattern.fullmatch(text):
                return None if entry.offset is None or anchor is None else anchor.year + entry.offset
        numbers = [
            int(word) if word.isdecimal() else self.rules.numbers.get(word, 0)
            for word in re.findall(r"\d+|[a-z]+", text)
            if word not in ("and", "o", "oh", "thousand")
        ]
        century = numbers[0] * (1000 if "thousand" in text else 100)
        return century + sum(numbers[1:])

    # ---- interpreters: each takes the named parts of a match and where it stands ----------------------------------

    def _nothing(self, parts: Mapping[str, str], setting: _Setting) -> None:
        return None

    def _vague(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning:
        return _UNKNOWN

    def _recurring(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning:
        return _EVERY

    def _numeric(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """Digits only: month first unless that is no month, then day first."""
        anchor = setting.anchor
        year = self._year_of(parts["year"], anchor) if "year" in parts else None
        if "roman" in parts:
            numerals = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"]
            month, day = numerals.index(parts["roman"]) + 1, int(parts["day"])
        elif "a" in parts:
            month, day = _month_first(int(parts["a"]), int(parts["b"]))
        else:
            month, day = int(parts["month"]), int(parts.get("day", 0))
        if "c" in parts:
            month2, day2 = _month_first(int(parts["c"]), int(parts["d"]))
            if year is None:
                last = self._without_year(month2, day2, setting)
                if last.latest is None:
                    return last
                year = last.latest.year
            first_year = self._year_of(parts["start_year"], anchor) if "start_year" in parts else None
            if first_year is None:
                first_year = year - 1 if (month, day) > (month2, day2) else year
            return _span(_day(first_year, month, day), _day(year, month2, day2), "range", anchor)
        if year is None:
            return self._without_year(month, day, setting) if _is_day(2000, month, day) else None
        if day:
            return _span(_day(year, month, day), _day(year, month, day), "day", anchor)
        if not 1 <= month <= 12:
            return None
        first = date(int(parts.get("start_year", year)), month, 1)
        end = _month(year, int(parts.get("end_month", month)))[1]
        return _span(first, end, "range" if "end_month" in parts else "month", anchor, part=setting.part)

    def _without_year(self, month: int, day: int, setting: _Setting) -> _Meaning:
        """A day of the year: the latest on or before the date of service, or the next one after words of the future."""
        anchor = setting.anchor
        if setting.which == "every":
            return _EVERY
        if anchor is None:
            return _UNRESOLVED
        if setting.within:
            days = [d for y in _years_in(setting.within) if (d := _day(y, month, day))]
            days = [d for d in days if setting.within[0] <= d <= setting.within[1]] or days
        elif self._is_ahead(setting):
            days = [d for y in range(anchor.year, anchor.year + 9) if (d := _day(y, month, day)) and d >= anchor]
        else:
            days = [d for y in range(anchor.year, anchor.year - 9, -1) if (d := _day(y, month, day)) and d <= anchor]
            if days and (anchor - days[0]).days > _ALMOST_A_YEAR and self._soon.search(setting.before):
                days = [next_day] if (next_day := _day(days[0].year + 1, month, day)) else days
        if not days:
            return _UNRESOLVED
        return _span(days[0], days[0], "day", anchor) or _UNRESOLVED

    def _is_ahead(self, setting: _Setting) -> bool:
        """Whether the words before a date without a year put it after the date of service."""
        if setting.which is not None:
            return setting.which == "next"
        clause = re.split(r"[.;\n]", setting.before)[-1]
        return self._future.search(clause) is not None

    def _year_pair(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """Two years, as in "2019-20"; "2021-12" is a month unless it could be two years in a row."""
        year, until = int(parts["year"]), int(parts["until"])
        if until < 100:
            if parts["sep"] in "-/" and 1 <= until <= 12 and until != year % 100 + 1:
                return _span(*_month(year, until), "month", setting.anchor, part=setting.part)
            until += year - year % 100
        if not year < until <= year + 60:
            return None
        return _span(date(year, 1, 1), date(until, 12, 31), "range", setting.anchor)

    def _numbered_month(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """A month by its number: "the 17th of the 9th month"."""
        month = self._number(parts["nth"])
        if not 1 <= month <= 12:
            return None
        named = next(entry.words[0] for entry in self.rules.months if entry.month == month)
        return self._calendar({**parts, "month": named, "dom": parts["day"]}, setting)

    def _year(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        year = self._year_of(parts["year"], setting.anchor)
        if year is None:
            return None
        first, last = date(year, 1, 1), date(year, 12, 31)
        if setting.hedged and setting.part is None:
            return _span(first - timedelta(183), last + timedelta(183), "year", setting.anchor)
        return _span(first, last, "year", setting.anchor, part=setting.part)

    def _quarter(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        quarter = self._number(parts["quarter"].lstrip("q"))
        year = int(parts["year"])
        return _span(date(year, 3 * quarter - 2, 1), _month(year, 3 * quarter)[1], "season", setting.anchor)

    def _decade(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        if "decade_word" in parts:
            start = self.rules.decades[parts["decade_word"]]
        else:
            start = int(parts["decade"])
            start = start if start > 99 else (_full_year(start, setting.anchor) if start < 30 else 1900 + start)
        return _span(date(start, 1, 1), date(start + 9, 12, 31), "range", setting.anchor, part=setting.part)

    def _calendar(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """A named month with or without day and year."""
        anchor = setting.anchor
        month = self._months[parts["month"]]
        end_month = self._months[parts["end_month"]] if "end_month" in parts else month
        day = self._number(parts["dom"]) if "dom" in parts else 0
        day2 = self._number(parts["dom2"]) if "dom2" in parts else day
        if "dom" in parts and not (_is_day(2000, month, day) and _is_day(2000, end_month, day2)):
            return None
        said = parts.get("when") or parts.get("when2")
        if said is None and setting.which in ("that", "every"):
            return _UNKNOWN if setting.which == "that" else _EVERY
        if said is None:
            if day:
                year_free = self._without_year(end_month, day2, setting)
                if day2 == day or year_free.latest is None:
                    return year_free
                first = _day(year_free.latest.year, month, day)
                return _span(first, year_free.latest, "range", anchor)
            return self._month_without_year(month, setting, self._amount(parts["count"])[0] if "count" in parts else 1)
        year = self._year_of(said, anchor)
        if year is None:
            return _UNKNOWN if anchor else _UNRESOLVED
        if day:
            precision: Precision = "day" if (month, day) == (end_month, day2) else "range"
            return _span(_day(year, month, day), _day(year, end_month, day2), precision, anchor)
        return _span(*_month(year, month), "month", anchor, part=setting.part)

    def _month_without_year(self, month: int, setting: _Setting, nth: float = 1) -> _Meaning | None:
        """The latest such month that has begun by the date of service, or the nth latest."""
        anchor = setting.anchor
        if anchor is None:
            return _UNRESOLVED
        if setting.within:
            months = [_month(y, month) for y in _years_in(setting.within)]
            inside = [m for m in months if m[0] <= setting.within[1] and setting.within[0] <= m[1]] or months
            return _span(*inside[0], "month", anchor, part=setting.part)
        year = anchor.year - (month > anchor.month) - int(nth) + 1
        if setting.which == "last" and month == anchor.month:
            year -= 1
        elif setting.which == "this":
            year = anchor.year
        elif self._is_ahead(setting):
            year = anchor.year + (month < anchor.month)
        meaning = _span(*_month(year, month), "month", anchor, part=setting.part)
        if meaning and meaning.kind == "future" and not self._is_ahead(setting) and setting.which != "this":
            return _span(*_month(year - 1, month), "month", anchor, part=setting.part)
        return meaning

    def _part_of_month(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """A week, weekend or weekday of a month: "the second week of February", "the first Monday in June"."""
        said, anchor, month = parts.get("when"), setting.anchor, self._months[parts["month"]]
        if said is None and anchor is None:
            return _UNRESOLVED
        year = self._year_of(said, anchor) if said else None
        if said and year is None:
            return _UNKNOWN if anchor else _UNRESOLVED
        years: Sequence[int] = [year] if year is not None else ()
        if year is None and anchor:
            years = _years_in(setting.within) if setting.within else range(anchor.year + 1, anchor.year - 3, -1)
        ahead = year is None and not setting.within and self._is_ahead(setting)
        spans = [span for y in years if (span := self._nth_of_month(parts, y, month))]
        if year is None and anchor:
            near = setting.within or (date.min, anchor)
            spans = [s for s in spans if (s[0] >= anchor if ahead else s[0] <= near[1] and s[1] >= near[0])]
        if not spans:
            return None
        first, last = spans[-1] if ahead else spans[0]
        return _span(first, last, _precision(first, last), anchor)

    def _nth_of_month(self, parts: Mapping[str, str], year: int, month: int) -> tuple[date, date] | None:
        first, last = _month(year, month)
        nth = self._number(parts["nth"]) if "nth" in parts else 0
        if "week" in parts:
            start = first + timedelta(7 * (nth - 1)) if nth else last - timedelta(6)
            return start, min(start + timedelta(6), last)
        day = _nth_weekday(year, month, self._weekdays[parts["weekday"]] if "weekday" in parts else _SATURDAY, nth)
        if day is None:
            return None
        return day, day + timedelta(1) if "weekend" in parts else day

    def _season(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        season = self._seasons[re.sub(r"\s+", " ", parts["season"])]
        anchor = setting.anchor
        if "when" in parts:
            year = self._year_of(parts["when"], anchor)
            if year is None:
                return _UNKNOWN if anchor else _UNRESOLVED
            crosses = season.first > season.last
            if "until" in parts and crosses:
                year += 1
            loose = crosses and "until" not in parts
            return _span(*_season(season, year), "season", anchor, approximate=loose, part=setting.part)
        if setting.which in ("that", "every"):
            return _UNKNOWN if setting.which == "that" else _EVERY
        if anchor is None:
            return _UNRESOLVED
        if "count" in parts:
            low, high, loose, _ = self._amount(parts["count"])
            first = _season(season, anchor.year - int(high))[0]
            last = _season(season, anchor.year - int(low))[1]
            return _span(first, last, "range" if loose else "season", anchor)
        years = [anchor.year + step for step in (2, 1, 0, -1, -2)]
        if self._is_ahead(setting):
            first, last = next(s for y in reversed(years) if (s := _season(season, y))[1] > anchor)
            first = max(first, anchor + timedelta(1))
        else:
            over = setting.which == "last" or "before_last" in parts
            past = [s for y in years if (s := _season(season, y))[1 if over else 0] <= anchor]
            first, last = past[1 if "before_last" in parts else 0]
        loose = setting.which is None and "before_last" not in parts
        return _span(first, last, "season", anchor, approximate=loose, part=setting.part)

    def _holiday(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        holiday = next(entry for pattern, entry in self._holidays if pattern.fullmatch(parts["holiday"]))
        anchor, said = setting.anchor, parts.get("when")
        if setting.which in ("that", "every"):
            return _UNKNOWN if setting.which == "that" else _EVERY
        if anchor is None and said is None:
            return _Meaning(None, None, "none", "holiday")
        if said is not None:
            year = self._year_of(said, anchor)
            if year is None:
                return _UNKNOWN if anchor else _UNRESOLVED
            years = [year]
        else:
            years = [anchor.year + step for step in range(2, -9, -1)] if anchor else []
        spans = [span for year in years if (span := self._holiday_span(holiday, year, parts)) is not None]
        if said is None and anchor:
            if self._is_ahead(setting):
                spans = [s for s in spans if s[0] >= anchor][-1:]
            else:
                spans = [s for s in spans if s[0] <= anchor]
        nth = (
            int(self._amount(parts["count"])[0]) - 1 if "count" in parts and not {"days", "weeks"} & parts.keys() else 0
        )
        if nth >= len(spans):
            return None
        first, last = spans[nth]
        if setting.hedged:
            first, last = first - timedelta(3), last + timedelta(3)
        meaning = _span(first, last, _precision(first, last), anchor, kind="holiday")
        return replace(meaning, approximate=True) if meaning and holiday.approximate else meaning

    def _holiday_span(self, holiday: Holiday, year: int, parts: Mapping[str, str]) -> tuple[date, date] | None:
        """A holiday with its weekend, week or break, or the days, weeks and weekdays before and after it."""
        if holiday.between is not None:
            first, last = _day(year, *holiday.between[0]), _day(year, *holiday.between[1])
            if first is None or last is None:
                return None
            return (first, last) if first <= last else (first, last.replace(year=year + 1))
        day = _holiday_day(holiday, year)
        if day is None:
            return None
        first, last = day + timedelta(holiday.around[0]), day + timedelta(holiday.around[1])
        if "whole_break" in parts:
            return first - timedelta(5), last + timedelta(5)
        if "whole_week" in parts:
            return first - timedelta(3), last + timedelta(3)
        if "whole_weekend" in parts:
            return _weekend_of(day)
        sign = -1 if "before" in parts else 1 if "after" in parts else 0
        if "days" in parts or "weeks" in parts:
            low, high, _, _ = self._amount(parts["count"])
            unit, slack = (7, 3) if "weeks" in parts else (1, 0)
            ends = sorted((day + timedelta(sign * low * unit), day + timedelta(sign * high * unit)))
            return ends[0] - timedelta(slack), ends[1] + timedelta(slack)
        if "weekday" in parts:
            step = (self._weekdays[parts["weekday"]] - day.weekday()) % 7 or 7
            return (day + timedelta(step if sign > 0 else step - 7),) * 2
        if "next_weekend" in parts or "next_week" in parts:
            return _beside(day, sign, weekend="next_weekend" in parts)
        return first + timedelta(sign), last + timedelta(sign)

    def _weekday(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """The latest such day before the date of service; the next one after words of the future."""
        anchor = setting.anchor
        if setting.which in ("that", "every"):
            return _UNKNOWN if setting.which == "that" else _EVERY
        if anchor is None:
            return _UNRESOLVED
        weekday = self._weekdays[parts["weekday"]]
        back = timedelta((anchor.weekday() - weekday) % 7 or 7)
        monday = anchor - timedelta(anchor.weekday())
        if "count" in parts:
            low, high, loose, _ = self._amount(parts["count"])
            first = anchor - back - timedelta(7 * (int(high) - 1))
            last = anchor - back - timedelta(7 * (int(low) - 1))
            return _span(first, last, "range" if loose else "day", anchor, kind="relative")
        weeks = next((weeks for name, weeks in _WEEKS_FROM_THIS.items() if name in parts), None)
        if weeks is not None:
            day = monday + timedelta(7 * weeks + weekday)
        elif "one_more" in parts:
            day = anchor - back - timedelta(7)
        elif self._is_ahead(setting):
            day = anchor + timedelta((weekday - anchor.weekday()) % 7 or 7)
        else:
            day = anchor - back
        return _span(day, day, "day", anchor, kind="relative")

    def _day_word(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        if setting.anchor is None:
            return _UNRESOLVED
        offset = next(entry.offset for pattern, entry in self._day_words if pattern.fullmatch(parts["day_word"]))
        first, last = (setting.anchor + timedelta(days) for days in offset)
        return _span(first, last, "day", setting.anchor, kind="relative")

    def _period(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """A whole week (Sunday to Saturday), weekend, calendar month or calendar year around the date of service."""
        anchor = setting.anchor
        if anchor is None:
            return _UNRESOLVED
        match, entry = next((m, e) for pattern, e in self._periods if (m := pattern.fullmatch(parts["period"])))
        step, unit = entry.offset or 0, match["period"]
        precision: Precision
        name = self._units[unit][0] if unit in self._units else "weekend"
        if name == "year":
            first, last, precision = date(anchor.year + step, 1, 1), date(anchor.year + step, 12, 31), "year"
        elif name == "month":
            (first, last), precision = _month(*_months_on(anchor.year, anchor.month, step)), "month"
        elif name == "week":
            sunday = anchor - timedelta((anchor.weekday() + 1) % 7)
            first, precision = sunday + timedelta(7 * step), "week"
            last = first + timedelta(6)
        else:
            saturday = anchor - timedelta((anchor.weekday() - _SATURDAY) % 7 or 7)
            first, precision = saturday + timedelta(7 * (step + (step < 0))), "week"
            last = first + timedelta(1)
        return _span(first, last, precision, anchor, kind="relative", part=setting.part)

    def _day_of_month(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        anchor, day = setting.anchor, self._number(parts["dom"])
        if not 1 <= day <= 31:
            return None
        if anchor is None:
            return _UNRESOLVED
        steps = (-1,) if "last_month" in parts else (0, -1, -2)
        days = [_day(*_months_on(anchor.year, anchor.month, step), day) for step in steps]
        past = [d for d in days if d is not None and d <= anchor]
        return _span(past[0], past[0], "day", anchor) if past else None

    def _ago(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        if "one_in" in parts:
            name = next(name for name, unit in self.rules.units.items() if unit.one_in == parts["one_in"])
        else:
            name = self._units[parts["unit"]][0] if parts.get("unit") else "day"
        return self._back(parts, name, setting, "relative")

    def _duration(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        bound = next((name for name in ("at_least", "at_most") if name in parts), setting.bound)
        setting = replace(setting, bound=bound, hedged=setting.hedged or "hedge" in parts)
        return self._back(parts, self._units[parts.get("unit") or parts["unit_alone"]][0], setting, "duration")

    def _back(self, parts: Mapping[str, str], name: str, setting: _Setting, kind: Kind) -> _Meaning | None:
        """Counts an amount of time back from the date of service, leaving open what the unit leaves open."""
        anchor = setting.anchor
        if anchor is None:
            return _Meaning(None, None, "none", kind)
        unit = self.rules.units[name]
        low, high, loose, more = self._amount(parts.get("count", "1"))
        if "half" in parts:
            low, high = low + 0.5, high + 0.5
        fine = bool(high == 1 or high % 1)
        spread = unit.spread_of_one if fine else unit.spread
        precision: Precision = "range" if name == "decade" else _PRECISION_OF_UNIT.get(name, "week")
        bound = "at_least" if more else setting.bound
        extra = 0.0
        if "more" in parts:
            lesser, smaller = self._units[parts["lesser"]]
            amount = self._amount(parts["more"])[0]
            extra, spread = amount * (smaller.days + smaller.months * 30.44), smaller.spread
            precision = _PRECISION_OF_UNIT.get(lesser, "week")
        newest, oldest = _earlier(anchor, low, unit, extra), _earlier(anchor, high, unit, extra)
        if newest is None or oldest is None:
            return None
        if bound == "at_least":
            oldest = _earlier(anchor, high + max(1.0, high / 2), unit, extra)
            return _span(oldest, newest, "range", anchor, kind=kind, approximate=True)
        if bound == "at_most":
            return _span(oldest, anchor, "range", anchor, kind=kind, approximate=True)
        if setting.hedged:
            spread = max(2 * spread, 1 if name == "day" and high < 8 else 2)
            if name == "year" and high >= _WIDE_ENOUGH_FOR_YEARS:
                loose = True
        if spread >= oldest.toordinal():
            return None
        return _span(
            oldest - timedelta(spread),
            min(newest + timedelta(spread), anchor),
            "range" if loose else precision,
            anchor,
            kind=kind,
            approximate=loose or setting.hedged or name == "decade",
        )

    def _ahead(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        anchor = setting.anchor
        if anchor is None:
            return _Meaning(None, None, "none", "future")
        name, unit = self._units[parts["unit"]]
        low, high, loose, _ = self._amount(parts["count"])
        first, last = _earlier(anchor, -low, unit, 0), _earlier(anchor, -high, unit, 0)
        if first is None or last is None or MAXYEAR - last.year < 3:
            return None
        precision: Precision = "range" if loose or name == "decade" else _PRECISION_OF_UNIT.get(name, "week")
        spread = timedelta(unit.spread)
        return _Meaning(max(first - spread, anchor), last + spread, precision, "future", loose)

    def _age(self, parts: Mapping[str, str], setting: _Setting) -> _Meaning | None:
        """Two years, as only the age today is known and not the birthday (guidelines, ruling 10)."""
        then, anchor = self._number(parts["age"]), setting.anchor
        if setting.age is not None and then >= setting.age:
            return None if then > setting.age else _Meaning(None, None, "none", "age")
        if anchor is None or setting.age is None:
            return _Meaning(None, None, "none", "age")
        years = self.rules.units["year"]
        first = _earlier(anchor, setting.age - then + 1, years, 0)
        last = _earlier(anchor, setting.age - then - 1, years, 0)
        if first is None or last is None:
            return None
        last = min(last - timedelta(1), anchor)
        return _Meaning(first + timedelta(1), last, "range", "age", approximate=True)


_SATURDAY = 5
_WEEKS_FROM_THIS = {"week_before": -2, "last_week": -1, "this_week": 0, "next_week": 1}
_PRECISION_OF_UNIT: dict[str, Precision] = {
    "hour": "day",
    "day": "day",
    "week": "week",
    "month": "month",
    "year": "year",
}


# ---- text ------------------------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """Lower case with plain quotes, dashes and blanks; every code point stays in its place."""
    plain = text.lower()
    if len(plain) != len(text):
        plain = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    return plain if plain.isascii() else plain.translate(_PLAIN)


def _shape(token: str) -> str:
    """What a rule's `starts` calls a run of digits."""
    size = next((i for i, char in enumerate(token) if not char.isdecimal()), len(token))
    if size < len(token):
        return "#mixed_year" if size == 4 else "#mixed"
    return {1: "#number", 2: "#number", 3: "#number", 4: "#year", 8: "#compact"}.get(size, "#")


def _stands_well(compiled: _Compiled, plain: str, before: str, end: int) -> bool:
    """Whether the words around a match allow it."""
    return (
        (compiled.preceded_by is None or compiled.preceded_by.search(before) is not None)
        and (compiled.not_preceded_by is None or compiled.not_preceded_by.search(before) is None)
        and (compiled.not_followed_by is None or compiled.not_followed_by.match(plain, end) is None)
    )


def _joined(text: str, found: list[tuple[str, DateMention]], name: str, mention: DateMention) -> bool:
    """Makes a weekday and the date beside it one mention: "Saturday, November 5"."""
    if not found:
        return False
    last_name, last = found[-1]
    if not _BESIDE.fullmatch(text, last.end, mention.start):
        return False
    if last_name == "weekday" and mention.precision == "day" and mention.kind in ("absolute", "future"):
        label = last.label or mention.label
        found[-1] = (name, replace(mention, start=last.start, text=text[last.start : mention.end], label=label))
        return True
    return name == "weekday" and last.precision == "day" and last.kind in ("absolute", "future")


def _period_before(text: str, found: list[tuple[str, DateMention]], start: int) -> tuple[date, date] | None:
    """The days of a season or year named right before a place, which a date without a year there belongs to."""
    if not found:
        return None
    _, last = found[-1]
    if last.precision not in ("season", "year") or last.earliest is None or last.latest is None:
        return None
    between = text[last.end : start]
    return (last.earliest, last.latest) if len(between) < 12 and _NEXT_TO.fullmatch(between) else None


def _any(words: Mapping[str, Any] | Sequence[str] | Iterator[str]) -> str:
    """Alternatives, the longest first, sharing what they begin with."""
    tree: dict[str, Any] = {}
    for word in words:
        node = tree
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    return _branch(tree)


def _branch(tree: dict[str, Any]) -> str:
    ends = "" in tree
    arms = [("[-\\s]+" if char in " -" else re.escape(char)) + _branch(tree[char]) for char in sorted(tree) if char]
    if not arms:
        return ""
    inside = arms[0] if len(arms) == 1 and not ends else f"(?:{'|'.join(arms)})"
    return f"{inside}?" if ends else inside


def _spaces(pattern: str) -> str:
    """A space in a pattern stands for white space, with a question mark for any or none.

    Runs of white space are bounded, or two of them side by side would cost the square of their length.
    """
    pattern = pattern.replace(" ?", r"\s*").replace(" ", r"\s+")
    return re.sub(r"(\\s|\[-\\s\])([*+])", lambda run: run[1] + ("{0,12}" if run[2] == "*" else "{1,12}"), pattern)


def _anonymous(pattern: str) -> str:
    return re.sub(r"\?P<\w+>", "?:", pattern)


# ---- calendar --------------------------------------------------------------------------------------------------------


def _is_day(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]


def _day(year: int, month: int, day: int) -> date | None:
    return date(year, month, day) if _is_day(year, month, day) else None


def _month(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year, month, monthrange(year, month)[1])


def _months_on(year: int, month: int, step: int) -> tuple[int, int]:
    index = year * 12 + month - 1 + step
    return index // 12, index % 12 + 1


def _month_first(a: int, b: int) -> tuple[int, int]:
    """Month and day of two numbers in American order, unless only the other order is possible."""
    return (b, a) if a > 12 >= b else (a, b)


def _full_year(two_digits: int, anchor: date | None) -> int:
    """The year of two digits: up to two years ahead of the date of service it may be an appointment, else it is past.

    Without a date of service 70-99 are 1970-1999 (brief, 3.3).
    """
    if anchor is None:
        return two_digits + (1900 if two_digits >= 70 else 2000)
    century = anchor.year - anchor.year % 100
    year = century + two_digits
    return year if year <= anchor.year + 2 else year - 100


def _years_in(days: tuple[date, date]) -> range:
    return range(days[0].year, days[1].year + 1)


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date | None:
    """The nth such weekday of a month; nth 0 is the last."""
    first, last = _month(year, month)
    if nth == 0:
        return last - timedelta((last.weekday() - weekday) % 7)
    day = first + timedelta((weekday - first.weekday()) % 7 + 7 * (nth - 1))
    return day if day <= last else None


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    length = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * length) // 451
    month, day = divmod(h + length - 7 * m + 114, 31)
    return date(year, month, day + 1)


def _holiday_day(holiday: Holiday, year: int) -> date | None:
    if holiday.fixed is not None:
        return _day(year, *holiday.fixed)
    if holiday.easter is not None:
        return _easter(year) + timedelta(holiday.easter)
    if holiday.weekday is None or holiday.month is None:
        return None
    return _nth_weekday(year, holiday.month, holiday.weekday, 0 if holiday.last else holiday.nth or 1)


def _weekend_of(day: date) -> tuple[date, date]:
    """The days off around a holiday: it and the weekend it lengthens."""
    weekday = day.weekday()
    if weekday in (0, 1):
        return day - timedelta(weekday + 2), day
    if weekday in (3, 4):
        return day, day + timedelta(6 - weekday)
    if weekday == 2:
        return day - timedelta(4), day + timedelta(4)
    return day - timedelta(weekday - 4), day + timedelta(6 - weekday)


def _beside(day: date, sign: int, *, weekend: bool) -> tuple[date, date]:
    """The week or weekend before, after or of a day. "The week after" may be the seven days or the calendar week."""
    if weekend:
        saturday = day - timedelta((day.weekday() - _SATURDAY) % 7 or 7)
        if sign > 0:
            saturday += timedelta(7 if day.weekday() != _SATURDAY else 14)
        elif sign == 0:
            return _weekend_of(day)
        return saturday, saturday + timedelta(1)
    if sign == 0:
        return day - timedelta(3), day + timedelta(3)
    near, far = day + timedelta(sign), day + timedelta(sign * 12)
    return min(near, far), max(near, far)


def _season(season: SeasonWords, year: int) -> tuple[date, date]:
    start = year - 1 if season.first > season.last else year
    return date(start, *season.first), date(year, *season.last)


def _earlier(day: date, amount: float, unit: Unit, extra_days: float) -> date | None:
    """`amount` units and some days before a day (after it for a negative amount); None outside the calendar."""
    months = amount * unit.months
    whole = int(months)
    year, month = _months_on(day.year, day.month, -whole)
    if not 1 <= year <= MAXYEAR:
        return None
    moved = date(year, month, min(day.day, monthrange(year, month)[1]))
    days = round((months - whole) * 30.44 + amount * unit.days + extra_days)
    number = moved.toordinal() - days
    return date.fromordinal(number) if 1 <= number <= date.max.toordinal() else None


def _precision(first: date, last: date) -> Precision:
    days = (last - first).days
    return "day" if days == 0 else "week" if days <= 14 else "range"


def _span(
    first: date | None,
    last: date | None,
    precision: Precision,
    anchor: date | None,
    *,
    kind: Kind = "absolute",
    approximate: bool = False,
    part: str | None = None,
) -> _Meaning | None:
    """An interval as a meaning: `future` when all of it lies after the date of service, else ended there at the latest.

    `part` (early, mid, late) takes a third of it.
    """
    if first is None or last is None or first > last:
        return None
    if part is not None:
        third = round(((last - first).days + 1) / 3)
        order = ("early", "mid", "late").index(part)
        start = first + timedelta(third * order)
        first, last = start, last if part == "late" else start + timedelta(third - 1)
        approximate = True
    if anchor is not None:
        if first > anchor:
            kind = "future"
        elif last > anchor and precision != "day":
            last = anchor
    return _Meaning(first, last, precision, kind, approximate)

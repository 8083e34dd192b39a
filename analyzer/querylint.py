"""Checks what a query says to a provider against the rules of patterns/common/query_rules.yaml.

A query may not lead, name a diagnosis of its own, speak of money or codes, suggest care or ask to undo documentation.
Sources stand beside each rule. What a rule catches is data; this module only knows the kinds of rule there are.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from analyzer.errors import PackError
from analyzer.pack_files import Lines, ModelT, validated
from analyzer.report import Query
from analyzer.yamlfile import line_of, read_yaml

Span = tuple[int, int]
Where = Literal["title", "question", "option", "any"]
Kind = Literal[
    "words",
    "unrecorded_diagnosis",
    "unrecorded_diagnosis_option",
    "yes_no_diagnosis",
    "uncertainty_dropped",
    "option_missing",
    "option_form",
    "option_order",
    "option_repeated",
    "option_ticked",
    "option_grounds",
    "quote_in_record",
    "quote_length",
]

_TICK = re.compile(r"[ \t]*(?:[-*] )?[\[(]([ xX*✓✗])[\])] ?(\S.*)")
_BULLET = re.compile(r'- "(.+)"(?: \.\.\.)? \(.*\)')
_NUMBER = re.compile(r"(\d+)\. ")
_LEADING_GROUP = re.compile(r"\(\?:([^()]*)\)(?![?*+{])(.*)")
_BRACKETED = re.compile(r"\[[^]]*\]|\([^()]*\)")
_LEADING_LETTER = re.compile(r"[A-Za-z](?![?*+{])")
_SENTENCE_END = re.compile(r"[.;:\n]")


@dataclass(frozen=True, slots=True)
class LintProblem:
    """What one rule found: `text` is `[start:end]` (code points) of the linted text, see `lint`."""

    rule: str
    start: int
    end: int
    text: str
    message: str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class LintExample(_Strict):
    """A text, or a query in parts, beside a rule. `indicators` is how many quotes from the record it rests on."""

    text: str | None = None
    title: str = ""
    question: str = ""
    options: list[str] = Field(default_factory=list)
    indicators: int = 0
    record: list[str] = Field(default_factory=list)


class LintExamples(_Strict):
    """What a rule must catch and what it must leave alone."""

    trips: list[str | LintExample] = Field(min_length=1)
    passes: list[str | LintExample] = Field(min_length=1)


class LintRule(_Strict):
    """One rule as data. `words` are regular expressions matched as whole words; `limit` counts characters or words."""

    id: str
    kind: Kind
    where: list[Where] = Field(min_length=1)
    message: str
    source: str
    words: list[str] = Field(default_factory=list)
    case_sensitive: bool = False
    limit: int = 0
    examples: LintExamples


class GuardedWords(_Strict):
    """Words that may be said to a provider only when all facts of `needs` hold and none of `barred_by`."""

    needs: list[str]
    barred_by: list[str]
    source: str
    words: list[str] = Field(min_length=1)


class QueryLayout(_Strict):
    """The fixed lines of a combined query; `assertions` is what stands beside a quote that is not plainly affirmed."""

    separator: str
    information: str
    nothing_cited: str
    request: str
    tick: str
    open_answer: str
    closing: list[str]
    no_date: str
    no_author: str
    other_record: str
    assertions: dict[str, str]


class QueryLimits(_Strict):
    """How much of the record one query cites."""

    indicators: int = Field(ge=1)
    quote_words: int = Field(ge=1)


class RuleFile(_Strict):
    """query_rules.yaml."""

    version: int
    sources: dict[str, str]
    closing_options: list[str]
    layout: QueryLayout
    limits: QueryLimits
    guarded_words: list[GuardedWords]
    diagnoses: dict[str, list[str]]
    rules: list[LintRule]


def load_checked(
    file: Path | Traversable, model: type[ModelT], fill: Callable[[Any], Any] | None = None
) -> tuple[ModelT, str, Lines]:
    """A YAML file as a model, how the file is named in errors, and its lines. Raises PackError for a broken file."""
    shown = "/".join(Path(str(file)).parts[-2:])
    content, lines = read_yaml(file, shown)
    return validated(model, fill(content) if fill else content, shown, lines), shown, lines


@dataclass(slots=True)
class _Choice:
    span: Span
    text: str
    closing: bool
    ticked: bool = False


@dataclass(slots=True)
class _Question:
    span: Span
    indicators: int
    choices: list[_Choice] = field(default_factory=list)

    @property
    def own(self) -> list[_Choice]:
        """The choices without the closing ones."""
        return [choice for choice in self.choices if not choice.closing]


@dataclass(slots=True)
class _Form:
    """A query taken apart; all spans are of `text`. `exempt` is what the word rules do not read.

    `plain` is the text as the word rules read it, `small` the same in small letters; both are as long as `text`.
    """

    text: str
    plain: str = ""
    small: str = ""
    title: Span | None = None
    questions: list[_Question] = field(default_factory=list)
    quotes: list[Span] = field(default_factory=list)
    exempt: list[Span] = field(default_factory=list)

    def set_reading(self) -> None:
        """Set `plain` and `small` once it is known what is exempt. A blanked quote must not join its neighbours."""
        plain = self.text
        for start, end in self.exempt:
            plain = plain[:start] + "\0" * (end - start) + plain[end:]
        self.plain = plain.replace("\n", " ")
        self.small = _small(self.plain)


class _Record:
    """The notes a query speaks of, looked into only when asked."""

    def __init__(self, notes: Sequence[str]) -> None:
        self._notes = notes
        self._held: dict[re.Pattern[str], bool] = {}

    @cached_property
    def _flat(self) -> list[str]:
        return [" ".join(note.split()) for note in self._notes]

    @cached_property
    def _small(self) -> list[str]:
        return [_small(note) for note in self._notes]

    def quotes(self, quote: str) -> bool:
        """Whether a note holds the quote, line breaks read as blanks."""
        return any(quote in note for note in self._notes) or any(quote in note for note in self._flat)

    def holds(self, words: re.Pattern[str]) -> bool:
        """Whether a note holds one of the words."""
        if words not in self._held:
            self._held[words] = any(words.search(note) for note in self._small)
        return self._held[words]

    def clauses(self, words: re.Pattern[str]) -> Iterator[str]:
        """Every clause that holds one of the words, in small letters."""
        for note in self._small:
            for hit in words.finditer(note):
                before = [m.end() for m in _SENTENCE_END.finditer(note, 0, hit.start())]
                after = _SENTENCE_END.search(note, hit.end())
                yield note[before[-1] if before else 0 : after.start() if after else len(note)]


def _small(text: str) -> str:
    """The text in small letters and of the same length, whatever the script."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(c if len(c.lower()) != 1 else c.lower() for c in text)


def _whole_words(words: Iterable[str]) -> re.Pattern[str]:
    """The alternatives as one expression, gathered by first letter: `re` then tries a few for a word, not all."""
    by_letter: dict[str, list[str]] = {}
    for word in words:
        group = _LEADING_GROUP.fullmatch(word)
        for alternative in [part + group[2] for part in group[1].split("|")] if group else [word]:
            letter = alternative[0] if _LEADING_LETTER.match(alternative) else ""
            by_letter.setdefault(letter, []).append(alternative[len(letter) :])
    branches = [f"{letter}(?:{'|'.join(rest)})" for letter, rest in by_letter.items()]
    return re.compile(rf"\b(?:{'|'.join(branches)})(?!\w)")


class QueryRules:
    """The rules, compiled. Raises PackError naming file, line and key for a broken file."""

    def __init__(self, file: Path | Traversable) -> None:
        data, shown, lines = load_checked(file, RuleFile)
        self.closing_options = tuple(data.closing_options)
        self.layout = data.layout
        self.limits = data.limits
        self.rules = data.rules
        self._closing = {option.casefold() for option in data.closing_options}
        known: set[str] = set()
        self._words: dict[str, re.Pattern[str]] = {}
        for i, rule in enumerate(data.rules):
            if rule.id in known:
                raise PackError(shown, line_of(lines, ("rules", i, "id")), f"rules.{i}.id", f"{rule.id!r} stands twice")
            known.add(rule.id)
            if rule.source not in data.sources:
                raise PackError(
                    shown, line_of(lines, ("rules", i, "source")), f"rules.{i}.source", "is no listed source"
                )
            if rule.words:
                where = line_of(lines, ("rules", i, "words"))
                self._words[rule.id] = _compiled(rule.words, shown, where, f"rules.{i}.words")
        anywhere = [
            rule for rule in data.rules if rule.kind == "words" and "any" in rule.where and not rule.case_sensitive
        ]
        self._anywhere_ids = frozenset(rule.id for rule in anywhere)
        # One pass over a clean text in place of one for every rule.
        self._anywhere = _whole_words(word for rule in anywhere for word in rule.words)
        self.guards = [
            (
                guard,
                _compiled(guard.words, shown, line_of(lines, ("guarded_words", i)), f"guarded_words.{i}.words"),
            )
            for i, guard in enumerate(data.guarded_words)
        ]
        self._families = {
            name: _compiled(words, shown, line_of(lines, ("diagnoses", name)), f"diagnoses.{name}")
            for name, words in data.diagnoses.items()
        }
        self._any_diagnosis = _whole_words(word for words in data.diagnoses.values() for word in words)

    def is_closing(self, option: str) -> bool:
        """Whether a choice is one of those that stand under every list of choices."""
        return option.casefold() in self._closing

    def names_diagnosis(self, text: str) -> bool:
        """Whether a text holds the name of any diagnosis."""
        return self._any_diagnosis.search(_small(text)) is not None

    def lint(
        self, text_or_query: str | Query, record: Sequence[str] = (), template_only: bool = False
    ) -> list[LintProblem]:
        """See `lint`."""
        form = self._query_form(text_or_query) if isinstance(text_or_query, Query) else self._text_form(text_or_query)
        held = _Record(() if template_only else record)
        form.exempt.extend(span for span in form.quotes if held.quotes(form.text[slice(*span)]))
        form.set_reading()
        out: list[LintProblem] = []
        idle = frozenset() if self._anywhere.search(form.small) else self._anywhere_ids
        for rule in self.rules:
            if rule.id in idle or (template_only and rule.kind in _NEED_A_RECORD):
                continue
            found = _CHECKS[rule.kind](self, rule, form, held)
            out.extend(LintProblem(rule.id, a, b, form.text[a:b], rule.message) for a, b in found)
        return sorted(out, key=lambda p: (p.start, p.end, p.rule))

    def _query_form(self, query: Query) -> _Form:
        lines = [query.title, query.question, *(self.layout.tick + option for option in query.options)]
        form = _Form("\n".join(lines), title=(0, len(query.title)))
        at = len(query.title) + 1
        question = _Question((at, at + len(query.question)), len(query.indicators))
        at += len(query.question) + 1
        for line in lines[2:]:
            option = line[len(self.layout.tick) :]
            question.choices.append(
                _Choice((at + len(self.layout.tick), at + len(line)), option, self.is_closing(option))
            )
            at += len(line) + 1
        form.questions.append(question)
        return form

    def _text_form(self, text: str) -> _Form:
        """Take apart a combined query, or any other text: there every line that is no choice belongs to a question."""
        form, layout = _Form(text), self.layout
        laid_out = layout.request in text
        part = "information" if laid_out else "request"
        cited: dict[str, int] = {}
        group = ""
        at = 0
        for row, line in enumerate(text.split("\n")):
            start, at = at, at + len(line) + 1
            stop = start + len(line)
            if row == 0 and line.count(layout.separator) == 3:
                # The note's own name is no wording of the query, whatever file it came from.
                form.exempt.append((start, start + line.index(layout.separator)))
                form.title = (start + line.rindex(layout.separator) + len(layout.separator), stop)
            elif line == layout.request:
                part, group = "request", ""
            elif not line.strip() or line in (layout.information, *layout.closing):
                continue
            elif part == "information":
                bullet = _BULLET.fullmatch(line)
                number = _NUMBER.match(line)
                if bullet:
                    form.quotes.append((start + bullet.start(1), start + bullet.end(1)))
                    cited[group] = cited.get(group, 0) + 1
                elif number:
                    group = number[1]
            else:
                choice = _TICK.fullmatch(line)
                if choice:
                    if not form.questions:
                        form.questions.append(_Question((start, start), len(form.quotes)))
                    span = (start + choice.start(2), start + choice.end(2))
                    ticked = choice[1] != " "
                    form.questions[-1].choices.append(_Choice(span, choice[2], self.is_closing(choice[2]), ticked))
                    continue
                number = _NUMBER.match(line)
                if not form.questions or form.questions[-1].choices or (laid_out and number):
                    grounds = cited.get(number[1], 0) if number else len(form.quotes)
                    form.questions.append(_Question((start, stop), grounds))
                else:
                    form.questions[-1].span = (form.questions[-1].span[0], stop)
        return form

    def _spans(self, rule: LintRule, form: _Form) -> list[Span]:
        if "any" in rule.where:
            return [(0, len(form.text))]
        spans: list[Span] = []
        if "title" in rule.where and form.title is not None:
            spans.append(form.title)
        if "question" in rule.where:
            spans.extend(question.span for question in form.questions)
        if "option" in rule.where:
            spans.extend(choice.span for question in form.questions for choice in question.own)
        return spans

    def _diagnoses(self, form: _Form, span: Span, held: _Record) -> Iterator[tuple[Span, re.Pattern[str], bool]]:
        """Every diagnosis named in a span, its family's words, and whether the record holds that family."""
        if self._any_diagnosis.search(form.small, *span) is None:
            return
        for words in self._families.values():
            for hit in words.finditer(form.small, *span):
                yield hit.span(), words, held.holds(words)

    def _check_words(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        text = form.plain if rule.case_sensitive else form.small
        for span in self._spans(rule, form):
            yield from (hit.span() for hit in self._words[rule.id].finditer(text, *span))

    def _check_unrecorded_diagnosis(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for span in self._spans(rule, form):
            yield from (named for named, _, recorded in self._diagnoses(form, span, held) if not recorded)

    def _check_unrecorded_diagnosis_option(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for question in form.questions:
            own = question.own
            if question.indicators and len(own) > 1:
                continue
            for choice in own:
                yield from (named for named, _, recorded in self._diagnoses(form, choice.span, held) if not recorded)

    def _check_yes_no_diagnosis(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for question in form.questions:
            text = form.small[slice(*question.span)]
            number = _NUMBER.match(text)
            opened = self._words[rule.id].match(text, number.end() if number else 0)
            answers = {choice.text.casefold() for choice in question.choices}
            if not opened and not {"yes", "no"} & answers:
                continue
            if any(not recorded for _, _, recorded in self._diagnoses(form, question.span, held)):
                yield question.span

    def _check_uncertainty_dropped(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        hedges = self._words[rule.id]
        for span in self._spans(rule, form):
            if hedges.search(form.small, *span):
                continue
            for named, words, recorded in self._diagnoses(form, span, held):
                if recorded and all(hedges.search(clause) for clause in held.clauses(words)):
                    yield named

    def _check_option_missing(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for question in form.questions:
            texts = [choice.text.lower() for choice in question.choices]
            if texts and not any(self._words[rule.id].match(text) for text in texts):
                yield question.span

    def _check_option_form(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for question in form.questions:
            shortest = min((len(choice.text) for choice in question.own), default=0)
            for choice in question.own:
                text = choice.text
                shouted = len(text) > 3 and text.isupper()
                if len(text) - shortest > rule.limit or text.endswith((".", "!", "?")) or shouted or text[:1].islower():
                    yield choice.span

    def _check_option_order(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for question in form.questions:
            for before, after in pairwise(question.choices):
                if before.closing > after.closing or (
                    not after.closing and before.text.casefold() > after.text.casefold()
                ):
                    yield after.span

    def _check_option_repeated(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        for question in form.questions:
            seen: set[str] = set()
            for choice in question.choices:
                text = choice.text.casefold()
                if text in seen:
                    yield choice.span
                seen.add(text)

    def _check_option_ticked(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        yield from (choice.span for question in form.questions for choice in question.choices if choice.ticked)

    def _check_option_grounds(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        yield from (question.span for question in form.questions if question.choices and not question.indicators)

    def _check_quote_in_record(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        yield from (span for span in form.quotes if not held.quotes(form.text[slice(*span)]))

    def _check_quote_length(self, rule: LintRule, form: _Form, held: _Record) -> Iterator[Span]:
        yield from (span for span in form.quotes if len(form.text[slice(*span)].split()) > rule.limit)


_Check = Callable[[QueryRules, LintRule, _Form, _Record], Iterator[Span]]
_CHECKS: dict[Kind, _Check] = {
    "words": QueryRules._check_words,
    "unrecorded_diagnosis": QueryRules._check_unrecorded_diagnosis,
    "unrecorded_diagnosis_option": QueryRules._check_unrecorded_diagnosis_option,
    "yes_no_diagnosis": QueryRules._check_yes_no_diagnosis,
    "uncertainty_dropped": QueryRules._check_uncertainty_dropped,
    "option_missing": QueryRules._check_option_missing,
    "option_form": QueryRules._check_option_form,
    "option_order": QueryRules._check_option_order,
    "option_repeated": QueryRules._check_option_repeated,
    "option_ticked": QueryRules._check_option_ticked,
    "option_grounds": QueryRules._check_option_grounds,
    "quote_in_record": QueryRules._check_quote_in_record,
    "quote_length": QueryRules._check_quote_length,
}
_NEED_A_RECORD = frozenset({"unrecorded_diagnosis_option", "option_grounds", "quote_in_record"})


def _compiled(words: list[str], shown: str, line: int | None, key: str) -> re.Pattern[str]:
    for word in words:
        bare = word
        while (shorter := _BRACKETED.sub("", bare)) != bare:
            bare = shorter
        if "|" in bare:
            raise PackError(shown, line, key, f"{word!r} is more than one alternative")
    try:
        return _whole_words(words)
    except re.error as error:
        raise PackError(shown, line, key, f"is no regular expression: {error}") from None


@cache
def shipped_rules() -> QueryRules:
    """The rules that ship with Chartgap."""
    return QueryRules(importlib.resources.files("patterns") / "common" / "query_rules.yaml")


def lint(text_or_query: str | Query, record: Sequence[str] = (), template_only: bool = False) -> list[LintProblem]:
    """Every rule that a query breaks, in the order of the text; empty when it is clean.

    A text is linted as it stands; a query as its title, question and choices, one a line. `record` holds the texts of
    the notes it speaks of: a diagnosis counts as recorded, and a quoted indicator as exempt, only when it is found
    there. `template_only` checks a template before any record is known: no diagnosis counts as recorded in its title or
    question, and the rules on quotes, and on what choices rest on, are left out.
    """
    return shipped_rules().lint(text_or_query, record, template_only)

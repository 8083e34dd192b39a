"""Queries to the provider and prompts for the scribe, drafted from a pack's templates.

Which question fits is data (the pack's queries.yaml); so are its words, its choices and how the message is laid out
(patterns/common/query_rules.yaml). Every template is linted while it is loaded: a pack whose questions lead is refused.
Source of the rules: the AHIMA/ACDIS practice brief on compliant queries, 2022 update.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources.abc import Traversable
from itertools import chain, zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from analyzer.errors import PackError
from analyzer.pack_files import Lines
from analyzer.querylint import QueryRules, load_checked, shipped_rules
from analyzer.report import CombinedQuery, Evidence, Indicator, Query, Requirement, Status
from analyzer.yamlfile import line_of

AskedStatus = Literal["missing", "insufficient", "conflicting"]
KeyPath = tuple[str | int, ...]
# The layout is by lines, so a text that goes into it has no line break.
Line = Annotated[str, Field(pattern=r"^[^\r\n]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(_Strict):
    """One answer to tick; it falls away unless all facts of `needs` are true."""

    text: Line = Field(min_length=1)
    needs: list[str] = Field(default_factory=list)


def _as_choice(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class Template(_Strict):
    """One question, and when to ask it. `question` None is a decision not to ask, for the reason `because`."""

    template: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*@[1-9][0-9]*$")
    status: list[AskedStatus] = Field(min_length=1)
    when: list[str] = Field(default_factory=list)
    unless: list[str] = Field(default_factory=list)
    title: Line = ""
    lead: Line = ""
    question: Line | None
    because: str = ""
    options: list[Annotated[Choice, BeforeValidator(_as_choice)]] = Field(default_factory=list)
    recipient_role: Line | None = None
    source: list[str] = Field(min_length=1)

    def fits(self, status: Status, facts: frozenset[str]) -> bool:
        """Whether this is a template for the status and what is true of the note."""
        return status in self.status and facts.issuperset(self.when) and facts.isdisjoint(self.unless)


class RequirementTemplates(_Strict):
    """The questions of one requirement, in the order they are tried, and its prompt for an unfinished note."""

    prompt: str = Field(min_length=1)
    templates: list[Template] = Field(min_length=1)


class QueryFile(_Strict):
    """queries.yaml. `facts` says what each name used by a template means."""

    version: int
    recipient_role: Line = Field(min_length=1)
    combined_title: Line = Field(min_length=1)
    facts: dict[str, str]
    sources: dict[str, str]
    requirements: dict[str, RequirementTemplates] = Field(min_length=1)


class QueryBook:
    """A pack's questions. Built with `from_pack_files`; the same input gives the same queries, ids included."""

    def __init__(self, data: QueryFile, rules: QueryRules) -> None:
        self._data = data
        self._rules = rules
        self._by_name = {t.template: t for entry in data.requirements.values() for t in entry.templates}

    @classmethod
    def from_pack_files(
        cls,
        queries: Path | Traversable,
        rules: Path | Traversable | None = None,
        fill: Callable[[Any], Any] | None = None,
    ) -> QueryBook:
        """Load a pack's queries.yaml, checked against query_rules.yaml (by default the one that ships with Chartgap).

        `fill` puts what differs between the codes of a family into the file's content before anything is checked.

        Raises PackError(file, line, key, reason) for a broken file, for a requirement and status that some note would
        find no template for, and for a template that breaks a rule of the linter.
        """
        data, shown, lines = load_checked(queries, QueryFile, fill)
        checked = shipped_rules() if rules is None else QueryRules(rules)
        _FileCheck(data, checked, shown, lines).run()
        return cls(data, checked)

    @property
    def facts(self) -> dict[str, str]:
        """The facts that the templates ask for, and what each means."""
        return dict(self._data.facts)

    @property
    def requirements(self) -> dict[str, list[Template]]:
        """The templates of every requirement, in the order they are tried."""
        return {name: list(entry.templates) for name, entry in self._data.requirements.items()}

    def template_for(self, requirement_id: str, status: Status, facts: frozenset[str]) -> Template | None:
        """The template that decides what is asked, or None where the requirement is documented.

        Raises KeyError for a requirement that the pack has no queries for.
        """
        return next((t for t in self._data.requirements[requirement_id].templates if t.fits(status, facts)), None)

    def build(
        self,
        requirement_id: str,
        status: Status,
        facts: frozenset[str],
        evidence: Sequence[Evidence],
        context: Sequence[Evidence] = (),
    ) -> Query | None:
        """The question for a requirement's gap, or None where nothing is to be asked.

        `facts` names what is true of the note (see `facts`). The first pieces of evidence become the indicators, both
        sides of a conflict in turn, in the order of the record; a long one is cut at 25 words. Without indicators the
        question is open, and a conflict, which has to be shown, is not asked at all. `context` holds what another
        document says of it: cited as well, where there is room, but no ground for choices.
        """
        template = self.template_for(requirement_id, status, facts)
        if template is None or template.question is None:
            return None
        own = self._cited(evidence)
        if status == "conflicting" and not own:
            return None
        cited = self._cited([*evidence, *context]) if context else own
        options = [choice.text for choice in template.options if facts.issuperset(choice.needs)]
        options = [*options, *self._rules.closing_options] if options and own else []
        return Query(
            id=_short_hash([template.template, *options, *(f"{i.note_id}\0{text}" for i, text in cited)]),
            template=template.template,
            title=template.title,
            indicators=[indicator for indicator, _ in cited],
            question=template.question,
            options=options,
        )

    def prompt(self, requirement_id: str) -> str:
        """A neutral question for the author of an unfinished note. Raises KeyError for an unknown requirement."""
        return self._data.requirements[requirement_id].prompt

    def combine(
        self,
        queries: Sequence[Query],
        requirements: Sequence[Requirement],
        texts: Mapping[str, str],
        dates: Mapping[str, date | None],
        context: Sequence[Evidence] = (),
    ) -> list[CombinedQuery]:
        """The queries as one message per recipient, recipients and questions in the order given.

        Section, date and author of a quote come from the evidence of `requirements`, or from `context`, which holds
        whatever else `build` was given and is marked as an earlier or other record. `texts` and `dates` (of service)
        are by note id; the first note of `texts` heads a message that cites none.
        """
        evidence = [*(e for requirement in requirements for e in requirement.evidence), *context]
        other = frozenset(e.note_id for e in context)
        by_role: dict[str, list[Query]] = {}
        for query in queries:
            role = self._by_name[query.template].recipient_role or self._data.recipient_role
            by_role.setdefault(role, []).append(query)
        return [self._message(role, asked, evidence, texts, dates, other) for role, asked in by_role.items()]

    def _cited(self, evidence: Sequence[Evidence]) -> list[tuple[Indicator, str]]:
        """The indicators and their quotes, in the order of the record."""
        sides = [[e for e in evidence if e.side == side] for side in ("a", "b")]
        in_turn = chain.from_iterable(zip_longest(*sides))
        chosen: list[tuple[Evidence, Indicator, str]] = []
        for piece in (*(e for e in in_turn if e is not None), *(e for e in evidence if e.side is None)):
            indicator, text = self._cut(piece)
            if text and not any(_overlap(indicator, other) for _, other, _ in chosen):
                chosen.append((piece, indicator, text))
            if len(chosen) == self._rules.limits.indicators:
                break
        # Chronological, so that neither side of a conflict is ranked above the other.
        chosen.sort(key=lambda c: (c[0].date or date.max, c[1].note_id, c[1].start))
        return [(indicator, text) for _, indicator, text in chosen]

    def _cut(self, piece: Evidence) -> tuple[Indicator, str]:
        """A piece of evidence without outer blanks, and no longer than a quote may be."""
        start = piece.start + len(piece.text) - len(piece.text.lstrip())
        text = piece.text.strip()
        rest = text.split(maxsplit=self._rules.limits.quote_words)[self._rules.limits.quote_words :]
        if rest:
            text = text[: len(text) - len(rest[0])].rstrip()
        return Indicator(note_id=piece.note_id, start=start, end=start + len(text)), text

    def _message(
        self,
        role: str,
        asked: Sequence[Query],
        evidence: Sequence[Evidence],
        texts: Mapping[str, str],
        dates: Mapping[str, date | None],
        other: frozenset[str],
    ) -> CombinedQuery:
        layout = self._rules.layout
        named = {i.note_id for query in asked for i in query.indicators}
        note_ids = [n for n in texts if n in named and n not in other] or list(texts)[:1]
        titles = {query.title for query in asked}
        title = titles.pop() if len(titles) == 1 else self._data.combined_title
        days = ", ".join(self._day(dates.get(n)) for n in note_ids)
        head = layout.separator.join((_one_line(", ".join(note_ids)), days, role, title))
        lines = [head, "", layout.information]
        if not named:
            lines.append(layout.nothing_cited)
        for number, query in enumerate(asked, start=1):
            if query.indicators:
                lines.append(f"{number}. {self._by_name[query.template].lead}")
            lines.extend(self._bullet(i, evidence, texts, dates, other) for i in query.indicators)
        lines += ["", layout.request]
        for number, query in enumerate(asked, start=1):
            lines.append(f"{number}. {query.question}")
            lines.extend(f"   {layout.tick}{option}" for option in query.options)
            if not query.options:
                lines.append(f"   {layout.open_answer}")
        lines += ["", *layout.closing]
        return CombinedQuery(
            id=_short_hash([role, *note_ids, *(query.id for query in asked)]),
            recipient_role=role,
            title=title,
            query_ids=[query.id for query in asked],
            text="\n".join(lines),
        )

    def _bullet(
        self,
        indicator: Indicator,
        evidence: Sequence[Evidence],
        texts: Mapping[str, str],
        dates: Mapping[str, date | None],
        other: frozenset[str],
    ) -> str:
        """One quote with its source. Line breaks inside a quote become blanks, so that a quote stays one line."""
        layout = self._rules.layout
        text = texts[indicator.note_id]
        source = [self._day(dates.get(indicator.note_id)), layout.no_author]
        cut = ""
        piece = next((e for e in evidence if _holds(e, indicator)), None)
        if piece is not None:
            day = self._day(piece.date or dates.get(piece.note_id))
            source = [piece.section.replace("_", " ").capitalize(), day, piece.author_role or layout.no_author]
            if piece.assertion in layout.assertions:
                source.append(layout.assertions[piece.assertion])
            if piece.note_id in other:
                source.append(layout.other_record)
            cut = " ..." if text[indicator.end : piece.end].strip() else ""
        return f'- "{_one_line(text[indicator.start : indicator.end])}"{cut} ({_one_line(", ".join(source))})'

    def _day(self, day: date | None) -> str:
        return day.isoformat() if day is not None else self._rules.layout.no_date


def _holds(piece: Evidence, indicator: Indicator) -> bool:
    return piece.note_id == indicator.note_id and piece.start <= indicator.start and indicator.end <= piece.end


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _overlap(one: Indicator, other: Indicator) -> bool:
    return one.note_id == other.note_id and one.start < other.end and other.start < one.end


def _short_hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


@dataclass(frozen=True)
class _FileCheck:
    """What the shapes of queries.yaml alone cannot say. Its methods raise PackError."""

    data: QueryFile
    rules: QueryRules
    shown: str
    lines: Lines

    def run(self) -> None:
        title = self.data.combined_title
        self._lint(("combined_title",), Query(id="", template="", title=title, indicators=[], question="", options=[]))
        names: set[str] = set()
        for requirement, entry in self.data.requirements.items():
            self._lint(("requirements", requirement, "prompt"), entry.prompt)
            for i, template in enumerate(entry.templates):
                path: KeyPath = ("requirements", requirement, "templates", i)
                if template.template in names:
                    raise self._error((*path, "template"), f"{template.template!r} stands twice")
                names.add(template.template)
                self._known_names(template, path)
                earlier = entry.templates[:i]
                for status in template.status:
                    if any(status in e.status and not e.when and not e.unless for e in earlier):
                        raise self._error(path, f"is never reached for the status {status}")
                if template.question is None:
                    if not template.because or template.options:
                        raise self._error(path, "a template that asks nothing needs a `because` and no options")
                else:
                    self._question(template, template.question, earlier, path)
            for status in get_args(AskedStatus):
                if not any(status in t.status and not t.when and not t.unless for t in entry.templates):
                    reason = f"has no template without conditions for the status {status}"
                    raise self._error(("requirements", requirement), reason)

    def _error(self, path: KeyPath, reason: str) -> PackError:
        return PackError(self.shown, line_of(self.lines, path), ".".join(map(str, path)), reason)

    def _lint(self, path: KeyPath, text_or_query: str | Query) -> None:
        for problem in self.rules.lint(text_or_query, template_only=True):
            raise self._error(path, f"breaks the rule {problem.rule!r} with {problem.text!r}: {problem.message}")

    def _known_names(self, template: Template, path: KeyPath) -> None:
        for fact in (*template.when, *template.unless, *(n for choice in template.options for n in choice.needs)):
            if fact not in self.data.facts:
                raise self._error(path, f"{fact!r} is no listed fact")
        for source in template.source:
            if source not in self.data.sources:
                raise self._error((*path, "source"), f"{source!r} is no listed source")

    def _question(self, template: Template, question: str, earlier: Sequence[Template], path: KeyPath) -> None:
        if not template.title or not template.lead or template.because:
            raise self._error(path, "a question needs a title and a lead, and no `because`")
        texts = [choice.text for choice in template.options]
        options = [*texts, *self.rules.closing_options] if texts else []
        whole = Query(id="", template="", title=template.title, indicators=[], question=question, options=options)
        self._lint(path, whole)
        self._lint((*path, "lead"), template.lead)
        for i, choice in enumerate(template.options):
            if self.rules.names_diagnosis(choice.text) and not choice.needs:
                raise self._error((*path, "options", i), "names a diagnosis, so it must say which facts it needs")
            self._guard(choice.text, template, choice.needs, earlier, (*path, "options", i))
        for text in (template.title, template.lead, question):
            self._guard(text, template, (), earlier, path)

    def _guard(
        self, text: str, template: Template, needs: Sequence[str], earlier: Sequence[Template], path: KeyPath
    ) -> None:
        """Refuse guarded words that could be said where the facts forbid them."""
        for guard, words in self.rules.guards:
            if not words.search(text.lower()):
                continue
            for fact in guard.needs:
                if fact not in template.when and fact not in needs:
                    raise self._error(path, f"holds guarded words, so {fact!r} must stand in `when` or `needs`")
            for fact in guard.barred_by:
                taken = {s for e in earlier if e.when == [fact] and not e.unless for s in e.status}
                if fact not in template.unless and not taken.issuperset(template.status):
                    reason = f"holds guarded words, so {fact!r} must stand in `unless` or be met by an earlier template"
                    raise self._error(path, reason)

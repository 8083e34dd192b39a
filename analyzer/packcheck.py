"""Runs the examples that stand beside a pack's rules: what each rule must find, and what it must leave alone.

A pack is only as good as its sentences, so every rule carries some; `chartgap packs test` and the test suite run them
all. A sentence under `todo` is a known miss: it is counted, fails nothing, and is reported once it is found after all.
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from analyzer.audit.claims import claim_rules
from analyzer.candidates import CandidateExample, example_date
from analyzer.codes import CodeTable
from analyzer.dates import DateMention, DateReader
from analyzer.dates import Example as DateExample
from analyzer.members import Member
from analyzer.pack_files import Lines, covering
from analyzer.pack_names import PackFile
from analyzer.packs import Cue, Examples, Pack, VocabularyRule
from analyzer.querylint import LintExample, shipped_rules
from analyzer.reading.assertion import ASSERTION_OF
from analyzer.reading.reader import Reader
from analyzer.report import Indicator, Query
from analyzer.yamlfile import line_of, read_yaml

Kind = Literal["match", "no_match", "todo"]
KeyPath = tuple[str | int, ...]

_LOOKALIKE = "lookalike"
_MARKED = re.compile(r"<([^<>]+)>")


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """How one example came out. `message` says what is wrong and is empty when `ok`; a known miss has `todo`."""

    file: str
    line: int | None
    rule: str
    kind: Kind
    sentence: str
    ok: bool
    todo: bool
    message: str


def check_pack(pack: Pack) -> list[ExampleResult]:
    """Run the examples of a pack's vocabulary and of everything it shares with other packs, in file order.

    Raises PackError when the pack's expressions cannot be read, as nothing could be judged with it.
    """
    return [
        *_vocabulary(pack),
        *_candidates(pack),
        *_claims(pack),
        *_cues(pack),
        *_dates(pack.dates),
        *_query_rules(),
    ]


def _vocabulary(pack: Pack) -> Iterator[ExampleResult]:
    for shown, lines, vocabulary in pack.vocabularies:
        element = vocabulary.element
        for i, rule in enumerate(vocabulary.rules):
            name = f"{element}.{rule.id}"
            check = _rule_check(pack.reader, name, rule.value, _section_for(rule, pack.head.sections))
            where = _Where(shown, lines, ("rules", i, "examples"), name)
            yield from _run(where, rule.examples, check)


def _section_for(rule: VocabularyRule, sections: Iterable[str]) -> str | None:
    """A section in which the rule may hold; None where the sentence's own layout decides."""
    if rule.sections:
        return rule.sections[0]
    if rule.not_sections and "other" in rule.not_sections:
        return next((s for s in sections if s not in rule.not_sections), None)
    return None


def _rule_check(reader: Reader, name: str, value: str, section: str | None) -> Callable[[str, bool], str]:
    element = name.partition(".")[0]

    def check(sentence: str, wanted: bool) -> str:
        found, kept = reader.matches(sentence, section)
        matched = any(m.rule.id == name for m in found)
        if not wanted:
            return "matches, and must not" if matched else ""
        if not matched:
            return "does not match"
        if element != _LOOKALIKE and not any(m.rule.element == element and m.rule.value == value for m in kept):
            return "matches, but another rule takes the words"
        return ""

    return check


def _candidates(pack: Pack) -> Iterator[ExampleResult]:
    members = {code: Member.of(pack, code) for code in (*pack.head.codes, pack.head.default_code)}
    file = pack.candidates
    if file is None:
        return
    shown, lines = pack.candidate_lines
    for i, rule in enumerate(file.rules):
        where = _Where(shown, lines, ("rules", i, "examples"), rule.id)
        for kind, examples in (("match", rule.examples.match), ("no_match", rule.examples.no_match)):
            for j, example in enumerate(examples):
                code = example.code or pack.head.default_code
                if covering(pack.head.codes, code) is None:
                    problem = f"the pack has no code {example.code}"
                else:
                    member = members.get(code) or members.setdefault(code, Member.of(pack, code))
                    problem = _candidate_problem(member, rule.id, example, example_date(example, file), kind == "match")
                yield where.result("match" if kind == "match" else "no_match", j, example.text, problem)


def _candidate_problem(member: Member, rule: str, example: CandidateExample, service: date | None, wanted: bool) -> str:
    about = {"setting": example.setting, "author_role": example.author_role}
    _linked, judged = member.assess(member.read(example.text), service, about)
    found = member.candidates.suggest(judged.facts, judged.env, CodeTable.load(service))
    given = next((c for c in found if c.rule == rule), None)
    if not wanted:
        return f"gives {given.code}, and must give nothing" if given else ""
    if given is None:
        return f"gives nothing (other rules: {', '.join(f'{c.rule} {c.code}' for c in found) or 'none'})"
    if example.gives is not None and given.code != example.gives:
        return f"gives {given.code} in place of {example.gives}"
    if example.relation is not None and given.relation != example.relation:
        return f"relates {given.relation!r} in place of {example.relation!r}"
    return ""


def _claims(pack: Pack) -> Iterator[ExampleResult]:
    """The codes and procedures beside each rule that holds claims against notes."""
    file = Path(pack.folder) / "claims.yaml"
    rules = claim_rules(pack.folder)
    shown = f"{file.parent.name}/{file.name}"
    lines = read_yaml(file, shown)[1] if rules else {}
    kinds = ("requirement", "alert", "flag")
    known = {kind: [item["id"] for item in pack.judging[f"{kind}s"][f"{kind}s"]] for kind in kinds}
    for i, rule in enumerate(rules):
        for kind, ids in known.items():
            name = getattr(rule.when, kind) if rule.when is not None else None
            if name is not None:
                PackFile(shown, lines).known(name, ids, ("rules", i, "when", kind), f"no {kind} is called")
        pattern = rule.codes or rule.procedures or ""
        where = _Where(shown, lines, ("rules", i, "examples"), f"claims.{rule.id}")
        yield from _run(where, rule.examples, _code_check(pattern))


def _code_check(pattern: str) -> Callable[[str, bool], str]:
    def check(code: str, wanted: bool) -> str:
        matches = re.fullmatch(pattern, code) is not None
        return "" if matches == wanted else f"{code} is {'not ' if wanted else ''}matched"

    return check


def _cues(pack: Pack) -> Iterator[ExampleResult]:
    shown, lines = _common_lines("assertion.yaml")
    for i, cue in enumerate(pack.cues):
        where = _Where(shown, lines, ("cues", i, "examples"), f"{cue.category} {cue.direction}".lower())
        yield from _run(where, cue.examples, _cue_check(pack.reader, cue))


def _cue_check(reader: Reader, cue: Cue) -> Callable[[str, bool], str]:
    """Cues that assert must reach the marked words or not; the others must leave them affirmed."""
    unwanted = {cue.category} if cue.category in ASSERTION_OF else set(ASSERTION_OF)
    element = cue.allowed[0] if cue.allowed else "any"

    def check(sentence: str, wanted: bool) -> str:
        text, spans = _unmarked(sentence)
        if not spans:
            return "marks no words with <...>"
        reached = reader.cues_reaching(text, spans, element)
        if wanted:
            return "" if all(cue.category in found for found in reached) else "does not reach the marked words"
        wrong = sorted(unwanted & set().union(*reached))
        return f"the marked words are reached by {', '.join(wrong)}" if wrong else ""

    return check


def _unmarked(sentence: str) -> tuple[str, list[tuple[int, int]]]:
    """The sentence without its marks, and the marked stretches in code points of it."""
    spans = [(m.start() - 2 * i, m.end() - 2 * i - 2) for i, m in enumerate(_MARKED.finditer(sentence))]
    return _MARKED.sub(r"\1", sentence), spans


def _dates(reader: DateReader) -> Iterator[ExampleResult]:
    shown, lines = _common_lines("dates.yaml")
    anchor = reader.rules.example_anchor
    for i, rule in enumerate(reader.rules.rules):
        where = _Where(shown, lines, ("rules", i, "examples"), rule.name)
        for j, example in enumerate(rule.examples.match):
            read = reader.explain(example.say, example.anchor or anchor, example.age)
            if rule.interpreter == "nothing":
                problem = _over_problem(example, read)
            else:
                problem = _date_problem(rule.name, example, read)
            yield where.result("match", j, example.say, problem)
        for j, sentence in enumerate(rule.examples.no_match):
            names = {name for name, _mention in reader.explain(sentence, anchor)}
            yield where.result("no_match", j, sentence, "matches, and must not" if rule.name in names else "")


def _date_problem(name: str, example: DateExample, read: list[tuple[str, DateMention]]) -> str:
    found = [(rule, mention) for rule, mention in read if mention.text == example.find]
    if not found:
        return f"does not find {example.find!r}"
    rule, mention = found[0]
    if rule != name:
        return f"is read by {rule}"
    if (mention.earliest, mention.latest) != (example.first, example.last):
        return f"reads {_days(mention.earliest, mention.latest)} in place of {_days(example.first, example.last)}"
    if example.kind is not None and mention.kind != example.kind:
        return f"reads the kind {mention.kind} in place of {example.kind}"
    return ""


def _over_problem(example: DateExample, read: list[tuple[str, DateMention]]) -> str:
    """A rule whose matches are read over leaves no trace but that nothing else reads its words."""
    start = example.say.find(example.find)
    if start < 0:
        return f"does not hold {example.find!r}"
    end = start + len(example.find)
    return next((f"is read by {rule}" for rule, m in read if m.start < end and start < m.end), "")


def _days(first: date | None, last: date | None) -> str:
    return f"{first or '?'}..{last or '?'}"


def _query_rules() -> Iterator[ExampleResult]:
    shown, lines = _common_lines("query_rules.yaml")
    for i, rule in enumerate(shipped_rules().rules):
        where = _Where(shown, lines, ("rules", i, "examples"), rule.id)
        for j, example in enumerate(rule.examples.trips):
            problem = "" if rule.id in _tripped(example) else "is not caught"
            yield where.result("match", j, _said(example), problem, "trips")
        for j, example in enumerate(rule.examples.passes):
            problem = "is caught, and must not be" if rule.id in _tripped(example) else ""
            yield where.result("no_match", j, _said(example), problem, "passes")


def _tripped(example: str | LintExample) -> set[str]:
    """The query rules that an example breaks."""
    rules = shipped_rules()
    if isinstance(example, str):
        return {p.rule for p in rules.lint(example)}
    if example.text is not None:
        return {p.rule for p in rules.lint(example.text, example.record)}
    query = Query(
        id="example",
        template="example@1",
        title=example.title or "Clarification",
        indicators=[Indicator(note_id="example", start=i, end=i + 1) for i in range(example.indicators)],
        question=example.question,
        options=example.options,
    )
    return {p.rule for p in rules.lint(query, example.record)}


def _said(example: str | LintExample) -> str:
    if isinstance(example, str):
        return example
    return example.text or " / ".join([example.title, example.question, *example.options]).strip(" /")


def _common_lines(name: str) -> tuple[str, Lines]:
    """A shared file as errors name it, and its lines. It has been checked when the pack was loaded."""
    shown = f"common/{name}"
    _content, lines = read_yaml(importlib.resources.files("patterns") / "common" / name, shown)
    return shown, lines


@dataclass(frozen=True, slots=True)
class _Where:
    """The examples of one rule: in which file, under which key, of which rule."""

    file: str
    lines: Lines
    path: KeyPath
    rule: str

    def result(self, kind: Kind, number: int, sentence: str, problem: str, key: str | None = None) -> ExampleResult:
        line = line_of(self.lines, (*self.path, key or kind, number))
        known = kind == "todo" and bool(problem)
        if kind == "todo" and not problem:
            problem = "passes now: move it to match"
        return ExampleResult(self.file, line, self.rule, kind, sentence, not problem, known, problem)


def _run(where: _Where, examples: Examples, check: Callable[[str, bool], str]) -> Iterator[ExampleResult]:
    """`check` takes a sentence and whether the rule must find it, and says what is wrong."""
    for i, sentence in enumerate(examples.match):
        yield where.result("match", i, sentence, check(sentence, True))
    for i, sentence in enumerate(examples.no_match):
        yield where.result("no_match", i, sentence, check(sentence, False))
    for i, sentence in enumerate(examples.todo):
        yield where.result("todo", i, sentence, check(sentence, True))

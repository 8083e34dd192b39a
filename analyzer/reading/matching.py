"""Rules over normal words: a small pattern language, compiled to regular expressions and found by their first word.

A pattern is a regular expression over words joined by single spaces. `{name}` stands for a macro of the pack, `~3` for
up to three words that do not cross a sentence-like mark. Every rule is tried only where one of its possible first words
stands, so reading costs a look-up a word, whatever the number of rules.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from re import _constants as sre  # type: ignore[attr-defined]
from typing import Any

from analyzer.reading.followers import Pattern, parsed
from analyzer.reading.words import Words

_MACRO = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_GAP = re.compile(r" ~(\d+)( ?)")
_MAX_FIRST = 3000
_PREFIX = (3, 4, 5, 6)


class PatternError(ValueError):
    """A pattern that cannot be compiled; the message says why."""


def expand(pattern: str, macros: Mapping[str, str], depth: int = 0) -> str:
    """Replace macros and gaps by plain regular expression text."""
    if depth > 12:
        raise PatternError("macros refer to each other in a circle")

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in macros:
            raise PatternError(f"unknown macro {{{name}}}")
        return "(?:" + expand(macros[name], macros, depth + 1) + ")"

    text = _MACRO.sub(one, pattern)
    return _GAP.sub(
        lambda m: rf" (?:[^\s.;:|]\S* ){{0,{m.group(1)}}}" if m.group(2) else rf"(?: [^\s.;:|]\S*){{0,{m.group(1)}}}",
        text,
    )


def first_words(tree: Sequence[Any]) -> tuple[set[str], set[str]]:
    """Whole first words and literal prefixes of first words that a match may begin with."""
    whole: set[str] = set()
    prefixes: set[str] = set()

    def walk(items: Sequence[Any], acc: list[str]) -> list[str]:
        """Extend every partial word in `acc` over `items`; finished words go to `whole`, open ones to `prefixes`."""
        for op, arg in items:
            if not acc:
                return []
            if op is sre.LITERAL:
                char = chr(arg)
                if char == " ":
                    whole.update(acc)
                    return []
                acc = [a + char for a in acc]
            elif op is sre.SUBPATTERN:
                acc = walk(arg[3], acc)
            elif op is sre.BRANCH:
                joined: list[str] = []
                for branch in arg[1]:
                    joined.extend(walk(branch, list(acc)))
                acc = joined
            elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
                low, _high, sub = arg
                once = walk(sub, list(acc))
                acc = (acc if low == 0 else []) + once
                if _high > 1 and once and once != acc and all(len(a) >= 3 for a in once):
                    prefixes.update(once)
            elif op is sre.IN:
                chars: list[str] = []
                for kind, value in arg:
                    if kind is sre.LITERAL:
                        chars.append(chr(value))
                    elif kind is sre.RANGE:
                        chars.extend(chr(c) for c in range(value[0], value[1] + 1))
                    elif kind is sre.CATEGORY and value is sre.CATEGORY_DIGIT:
                        chars.extend("0123456789")
                    else:
                        prefixes.update(acc)
                        return []
                if " " in chars:
                    whole.update(acc)
                    chars.remove(" ")
                acc = [a + c for a in acc for c in chars]
            elif op is sre.CATEGORY and arg is sre.CATEGORY_DIGIT:
                acc = [a + c for a in acc for c in "0123456789"]
            elif op in (sre.ASSERT, sre.ASSERT_NOT, sre.AT):
                continue
            else:
                prefixes.update(acc)
                return []
            if len(acc) > _MAX_FIRST:
                raise PatternError("too many possible first words")
        return acc

    rest = walk(tree, [""])
    whole.update(rest)
    if "" in whole or any(len(p) < _PREFIX[0] for p in prefixes):
        raise PatternError("a pattern must begin with a word or three letters of it, not with anything")
    return whole, {p[: _PREFIX[-1]] for p in prefixes}


@dataclass(slots=True)
class Rule:
    """One compiled vocabulary rule. `spec` is the pack's own entry (value, needs, unless, sections ...)."""

    id: str
    element: str
    value: str
    patterns: list[str]
    order: int
    spec: Any = None


@dataclass(slots=True)
class Match:
    """Where a rule matched: word indexes [first, last)."""

    rule: Rule
    first: int
    last: int


class _Entry:
    """One pattern of a rule. The expression is compiled when it is first tried."""

    def __init__(self, rule: Rule, regex: str, tree: Any) -> None:
        self.rule = rule
        self.tree = tree
        self._regex = regex
        self.match: Callable[[str, int], re.Match[str] | None] = self._compile

    @cached_property
    def lasts(self) -> frozenset[str] | None:
        """The words that may stand last in a match. Raises ValueError as `Pattern` does."""
        return Pattern(self.tree, backwards=True).first_words()

    def _compile(self, line: str, position: int) -> re.Match[str] | None:
        self.match = re.compile(rf"(?:{self._regex})(?= )").match
        return self.match(line, position)


@dataclass(slots=True)
class _Narrowed:
    """The patterns that may begin with one word, by what else must stand in the sentence.

    `alone` need nothing else; `by_second` holds them and those that need one second word; `by_prefix` need a second
    word with one of some beginnings, `by_last` one of some words anywhere.
    """

    alone: list[_Entry] = field(default_factory=list)
    by_second: dict[str, list[_Entry]] = field(default_factory=dict)
    by_prefix: list[tuple[tuple[str, ...], _Entry]] = field(default_factory=list)
    by_last: list[tuple[frozenset[str], _Entry]] = field(default_factory=list)
    more: bool = False

    @classmethod
    def of(cls, word: str, entries: Sequence[_Entry]) -> _Narrowed:
        """See analyzer/reading/followers.py."""
        out = cls()
        for entry in entries:
            try:
                ends, seconds, prefixes = Pattern(entry.tree).after(word)
                lasts = entry.lasts if prefixes == ("",) else None
            except ValueError:
                ends, seconds, prefixes, lasts = True, frozenset(), (), None
            if ends:
                out.alone.append(entry)
            elif prefixes == ("",):
                if lasts is None:
                    out.alone.append(entry)
                else:
                    out.by_last.append((lasts, entry))
            else:
                for second in seconds:
                    out.by_second.setdefault(second, []).append(entry)
                if prefixes:
                    out.by_prefix.append((prefixes, entry))
        for same in out.by_second.values():
            same.extend(out.alone)
        out.more = bool(out.by_prefix or out.by_last)
        return out

    def needing(self, second: str, present: Set[str]) -> list[_Entry]:
        """Those of `by_prefix` and `by_last` that may match before `second` in a sentence of the words `present`."""
        found = [entry for lasts, entry in self.by_last if not lasts.isdisjoint(present)]
        for prefixes, entry in self.by_prefix:
            if second.startswith(prefixes):
                found.append(entry)
        return found


# A word is looked at closely only once it has turned up this often: a few notes never pay for it.
_OFTEN = 400
_MOST_NARROWED = 6000


class Matcher:
    """All rules of a pack, indexed by the words they can begin with."""

    def __init__(self, macros: Mapping[str, str]) -> None:
        self.macros = macros
        self.literals: set[str] = set()
        self._whole: dict[str, list[_Entry]] = {}
        self._prefix: dict[str, list[_Entry]] = {}
        self._stems: set[str] = set()
        self._narrowed: dict[str, _Narrowed] = {}
        self._times: dict[str, int] = {}

    def add(self, rule: Rule) -> None:
        """Index a rule; raises PatternError."""
        for pattern in rule.patterns:
            regex = expand(pattern, self.macros)
            try:
                tree = parsed(regex)
                whole, prefixes = first_words(tree)
            except (re.error, PatternError) as error:
                raise PatternError(f"{pattern!r}: {error}") from None
            entry = _Entry(rule, regex, tree)
            for word in sorted(whole):
                self._whole.setdefault(word, []).append(entry)
            for prefix in sorted(prefixes):
                self._prefix.setdefault(prefix, []).append(entry)
                self._stems.add(prefix[: _PREFIX[0]])
            self.literals |= literal_words(tree)

    def find(self, words: Words, *, plain: bool = False) -> list[Match]:
        """Longest match a rule and place, in text order. `plain` tries every rule that can begin with a word."""
        norm = words.norm
        whole, stems = self._whole, self._stems
        narrowed = {} if plain else self._narrowed
        line, at = "", None
        present: set[str] = set()
        seen: dict[tuple[int, int], Match] = {}
        for i, word in enumerate(norm):
            near = narrowed.get(word)
            if near is not None:
                second = norm[i + 1] if i + 1 < len(norm) else ""
                candidates = near.by_second.get(second, near.alone)
                if near.more:
                    present = present or set(norm)
                    candidates = candidates + near.needing(second, present)
            elif word in whole or word[:3] in stems:
                candidates = self._starting(word)
                if candidates and not plain:
                    self._note(word, candidates)
            else:
                continue
            if not candidates:
                continue
            if at is None:
                line, at = words.line, words.at
            position = at[i]
            for entry in candidates:
                match = entry.match(line, position)
                if match is None or match.end() == position:
                    continue
                last = bisect_right(at, match.end() - 1)
                key = (entry.rule.order, i)
                known = seen.get(key)
                if known is None:
                    seen[key] = Match(entry.rule, i, last)
                elif last > known.last:
                    known.last = last
        return list(seen.values())

    def _starting(self, word: str) -> list[_Entry]:
        candidates = self._whole.get(word, [])
        for size in _PREFIX:
            more = self._prefix.get(word[:size]) if len(word) >= size else None
            if more:
                candidates = candidates + more
        return candidates

    def _note(self, word: str, entries: Sequence[_Entry]) -> None:
        """Count a word, and narrow its patterns once it has come often."""
        times = self._times[word] = self._times.get(word, 0) + 1
        if times >= _OFTEN:
            self._narrowed[word] = _Narrowed.of(word, entries)
        if len(self._times) > _MOST_NARROWED:
            # Other words than the pack's own can begin a match by their first letters; none is kept for ever.
            self._times.clear()
            self._narrowed.clear()


def literal_words(tree: Sequence[Any]) -> set[str]:
    """Every whole alphabetic word a pattern spells out: the vocabulary misspellings are mended towards."""
    out: set[str] = set()

    def walk(items: Sequence[Any], acc: list[str]) -> list[str]:
        for op, arg in items:
            if op is sre.LITERAL:
                char = chr(arg)
                if char == " ":
                    out.update(acc)
                    acc = [""]
                else:
                    acc = [a + char for a in acc][:400]
            elif op is sre.SUBPATTERN:
                acc = walk(arg[3], acc)
            elif op is sre.BRANCH:
                joined: list[str] = []
                for branch in arg[1]:
                    joined.extend(walk(branch, list(acc)))
                acc = list(dict.fromkeys(joined))[:400]
            elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
                low, _high, sub = arg
                once = walk(sub, list(acc))
                acc = list(dict.fromkeys((acc if low == 0 else []) + once))[:400]
            elif op in (sre.ASSERT, sre.ASSERT_NOT, sre.AT):
                continue
            else:
                acc = ["\0"]
        return acc

    out.update(walk(tree, [""]))
    return {w for w in out if w and "\0" not in w and w.isalpha()}

"""Rules over normal words: a small pattern language, compiled to regular expressions and found by their first word.

A pattern is a regular expression over words joined by single spaces. `{name}` stands for a macro of the pack, `~3` for
up to three words that do not cross a sentence-like mark. Every rule is tried only where one of its possible first words
stands, so reading costs a look-up a word, whatever the number of rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parse  # type: ignore[attr-defined]
from typing import Any

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


def first_words(regex: str) -> tuple[set[str], set[str]]:
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

    rest = walk(sre_parse.parse(regex), [""])
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


@dataclass(slots=True)
class Matcher:
    """All rules of a pack, indexed by the words they can begin with."""

    macros: Mapping[str, str]
    _whole: dict[str, list[tuple[re.Pattern[str], Rule]]] = field(default_factory=dict)
    _prefix: dict[str, list[tuple[re.Pattern[str], Rule]]] = field(default_factory=dict)
    literals: set[str] = field(default_factory=set)

    def add(self, rule: Rule) -> None:
        """Compile and index a rule; raises PatternError."""
        for pattern in rule.patterns:
            regex = expand(pattern, self.macros)
            try:
                compiled = re.compile(rf"(?:{regex})(?= )")
            except re.error as error:
                raise PatternError(f"{pattern!r}: {error}") from None
            try:
                whole, prefixes = first_words(regex)
            except PatternError as error:
                raise PatternError(f"{pattern!r}: {error}") from None
            for word in sorted(whole):
                self._whole.setdefault(word, []).append((compiled, rule))
            for prefix in sorted(prefixes):
                self._prefix.setdefault(prefix, []).append((compiled, rule))
            self.literals |= literal_words(regex)

    def find(self, words: Words) -> list[Match]:
        """Longest match a rule and place, in text order."""
        found: list[Match] = []
        line, at, norm = words.line, words.at, words.norm
        whole, prefix = self._whole, self._prefix
        seen: dict[tuple[int, int], Match] = {}
        for i, word in enumerate(norm):
            candidates = whole.get(word)
            for size in _PREFIX:
                more = prefix.get(word[:size]) if len(word) >= size else None
                if more:
                    candidates = (candidates or []) + more
            if not candidates:
                continue
            for regex, rule in candidates:
                match = regex.match(line, at[i])
                if match is None or match.end() == match.start():
                    continue
                last = words.index_at(match.end() - 1) + 1
                key = (rule.order, i)
                known = seen.get(key)
                if known is None:
                    item = Match(rule, i, last)
                    seen[key] = item
                    found.append(item)
                elif last > known.last:
                    known.last = last
        return found


def literal_words(regex: str) -> set[str]:
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

    out.update(walk(sre_parse.parse(regex), [""]))
    return {w for w in out if w and "\0" not in w and w.isalpha()}

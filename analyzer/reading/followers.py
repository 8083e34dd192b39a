"""What must stand where a pattern matches: the words that can be second or last in a match, letters it cannot lack.

Looking at these before a regular expression runs leaves it only the places where it may match. Both answers err on the
side of trying: look-arounds are taken as met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parse  # type: ignore[attr-defined]
from typing import Any

_MOST_WORDS = 400
_MOST_CHARS = 12
_ACCEPT = -1

_Test = Callable[[str], bool]


def parsed(regex: str) -> Sequence[Any]:
    """The syntax tree of a regular expression. Raises re.error."""
    tree: Sequence[Any] = sre_parse.parse(regex)
    return tree


def needed_letters(pattern: re.Pattern[str]) -> list[list[list[str]]]:
    """What a text in small letters holds if an ASCII pattern matches it: for one of the ways, of each group a string.

    A way without groups asks for nothing.
    """
    tree = sre_parse.parse(pattern.pattern, pattern.flags)
    ways = tree[0][1][1] if len(tree) == 1 and tree[0][0] is sre.BRANCH else [tree]
    return [_needed(way) for way in ways]


def _needed(items: Sequence[Any]) -> list[list[str]]:
    groups: list[list[str]] = []
    run = ""
    for op, arg in [*items, (None, None)]:
        if op is sre.LITERAL:
            run += chr(arg).lower()
            continue
        if run:
            groups.append([run])
        run = ""
        if op is sre.SUBPATTERN:
            groups.extend(_needed(arg[3]))
        elif op is sre.BRANCH:
            branches = [_needed(branch) for branch in arg[1]]
            if all(branches):
                groups.append([w for branch in branches for w in max(branch, key=lambda g: min(map(len, g)))])
        elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT) and arg[0] > 0:
            groups.extend(_needed(arg[2]))
    return groups


class Pattern:
    """A parsed regular expression as a machine over characters, without its look-arounds.

    Raises ValueError for what such a machine cannot do (back references).
    """

    def __init__(self, items: Sequence[Any], *, backwards: bool = False) -> None:
        # A state reads one character (its test, the characters it lists, and the next state) or splits without reading.
        self._reads: list[tuple[_Test | None, str | None, int]] = []
        self._splits: list[tuple[int, ...]] = []
        self._backwards = backwards
        self._start = self._sequence(items, _ACCEPT)

    def first_words(self) -> frozenset[str] | None:
        """The words that may stand first (of a backwards pattern: last)."""
        words, prefixes, _ = self._words({self._start})
        if prefixes:
            return None
        return frozenset(w[::-1] for w in words) if self._backwards else frozenset(words)

    def after(self, word: str) -> tuple[bool, frozenset[str], tuple[str, ...]]:
        """Whether a match may end with the first word `word`; the words that may follow it, and beginnings of others.

        The empty beginning means that any word may follow.
        """
        states = self._closure({self._start})
        for char in word:
            states = self._step(states, char)
        ends = _ACCEPT in states
        words, prefixes, empty = self._words(self._step(states, " "))
        return ends or empty, frozenset(words), ("",) if "" in prefixes else tuple(sorted(prefixes))

    def _words(self, states: Iterable[int]) -> tuple[set[str], set[str], bool]:
        """What can be read up to a blank or the end: words, beginnings of words, and whether nothing need be read."""
        words: set[str] = set()
        prefixes: set[str] = set()
        seen: set[tuple[str, int]] = set()
        todo = [("", s) for s in self._closure(states)]
        empty = False
        while todo and "" not in prefixes:
            word, state = todo.pop()
            if (word, state) in seen:
                continue
            seen.add((word, state))
            if len(words) > _MOST_WORDS or len(seen) > 20 * _MOST_WORDS:
                prefixes.add("")
            elif state == _ACCEPT:
                empty = empty or not word
                words.add(word)
            else:
                _, chars, target = self._reads[state]
                if chars is None:
                    prefixes.add(word)
                    continue
                for char in chars:
                    if char == " ":
                        words.add(word)
                    else:
                        todo.extend((word + char, s) for s in self._closure((target,)))
        return words, prefixes, empty

    def _closure(self, states: Iterable[int]) -> set[int]:
        """The reading states (or the end) that can be reached without reading."""
        seen: set[int] = set()
        todo = list(states)
        while todo:
            state = todo.pop()
            if state not in seen:
                seen.add(state)
                if state != _ACCEPT:
                    todo.extend(self._splits[state])
        return {s for s in seen if s == _ACCEPT or not self._splits[s]}

    def _step(self, states: Iterable[int], char: str) -> set[int]:
        moved: set[int] = set()
        for state in states:
            if state != _ACCEPT:
                test, chars, target = self._reads[state]
                if test(char) if test is not None else char in (chars or ""):
                    moved.add(target)
        return self._closure(moved)

    def _new(self, test: _Test | None, chars: str | None, target: int, splits: tuple[int, ...] = ()) -> int:
        self._reads.append((test, chars, target))
        self._splits.append(splits)
        return len(self._reads) - 1

    def _sequence(self, items: Sequence[Any], after: int) -> int:
        for op, arg in items if self._backwards else reversed(items):
            after = self._item(op, arg, after)
        return after

    def _item(self, op: Any, arg: Any, after: int) -> int:
        if op is sre.LITERAL:
            return self._new(None, chr(arg), after)
        if op is sre.NOT_LITERAL:
            return self._new(_set_test([(sre.NEGATE, None), (sre.LITERAL, arg)]), None, after)
        if op is sre.ANY:
            return self._new(lambda c: True, None, after)
        if op is sre.IN:
            test = _set_test(arg)
            listed = _listed(arg)
            return self._new(test, listed, after)
        if op is sre.SUBPATTERN:
            return self._sequence(arg[3], after)
        if op is sre.BRANCH:
            return self._new(None, None, after, tuple(self._sequence(branch, after) for branch in arg[1]))
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            low, high, sub = arg
            if high is sre.MAXREPEAT:
                loop = self._new(None, None, after, (after,))
                self._splits[loop] = (self._sequence(sub, loop), after)
                after = loop
            else:
                for _ in range(high - low):
                    after = self._new(None, None, after, (self._sequence(sub, after), after))
            for _ in range(low):
                after = self._sequence(sub, after)
            return after
        if op in (sre.ASSERT, sre.ASSERT_NOT, sre.AT):
            return after
        raise ValueError(f"cannot follow {op}")


def _set_test(parts: Sequence[Any]) -> _Test:
    tests: list[_Test] = []
    negated = False
    for kind, value in parts:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.LITERAL:
            tests.append(chr(value).__eq__)
        elif kind is sre.RANGE:
            tests.append(_between(chr(value[0]), chr(value[1])))
        elif kind is sre.CATEGORY:
            tests.append(_CATEGORIES[value])
        else:
            raise ValueError(f"cannot follow {kind}")
    if negated:
        return lambda c: not any(t(c) for t in tests)
    return lambda c: any(t(c) for t in tests)


def _between(low: str, high: str) -> _Test:
    return lambda c: low <= c <= high


def _listed(parts: Sequence[Any]) -> str | None:
    """The characters of a short set, None for a long or open one."""
    chars = ""
    for kind, value in parts:
        if kind is sre.LITERAL:
            chars += chr(value)
        elif kind is sre.RANGE and value[1] - value[0] < _MOST_CHARS:
            chars += "".join(map(chr, range(value[0], value[1] + 1)))
        else:
            return None
    return chars if len(chars) <= _MOST_CHARS else None


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


_CATEGORIES: dict[Any, _Test] = {
    sre.CATEGORY_DIGIT: str.isdecimal,
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    sre.CATEGORY_WORD: _is_word,
    sre.CATEGORY_NOT_WORD: lambda c: not _is_word(c),
}

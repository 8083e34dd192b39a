"""Words as the rules see them: lower-cased, abbreviations spelled out, misspellings mended, each tied to its span.

Rules are written once over normal words ("fracture", "with", "s3"); the note may say "Fx", "w/" or "S three". A normal
word remembers the code points it stands for, so that every match leads back to the text as given.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<abbr>(?<![^\W_])(?:[wW]/[oO](?![^\W_])|[A-Za-z]/[A-Za-z](?![^\W_])|[wW]/|2/2(?=\s+[A-Za-z])))"
    r"|(?P<box>\[\s*[xX]?\s*\])"
    r"|(?P<word>[^\W\d_]+\d+(?![^\W_])|[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<num>\d+(?:\.\d+)?)"
    r"|(?P<sym>\S)",
)
_SYMBOLS = {"–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "’": "'", "“": '"', "”": '"', "•": "*"}
_SHORTEST_MENDED = 6
_COUNT = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}


@dataclass(slots=True)
class Words:
    """Normal words of a stretch of text. `starts[i]:ends[i]` are the code points word i stands for."""

    norm: list[str]
    starts: list[int]
    ends: list[int]
    line: str
    at: list[int]

    def index_at(self, position: int) -> int:
        """The word that holds a position of `line`."""
        return bisect_right(self.at, position) - 1

    def index_of_offset(self, offset: int) -> int:
        """The first word that ends after a code point offset of the text."""
        return bisect_right(self.ends, offset)


class Normalizer:
    """Turns text into `Words`. Pure and deterministic; misspellings are mended only towards the words in `mended`.

    `known` are words of the rules: they are never taken for a misspelling.
    """

    def __init__(
        self,
        abbreviations: Mapping[str, str],
        spellings: Mapping[str, str],
        not_typos: Iterable[str],
        known: Iterable[str] = (),
        mended: Iterable[str] = (),
    ) -> None:
        self._map: dict[str, tuple[str, ...]] = {k: tuple(v.split()) for k, v in abbreviations.items()}
        self._map.update({k: tuple(v.split()) for k, v in spellings.items()})
        self._vocabulary = {w for w in mended if len(w) >= _SHORTEST_MENDED and w.isalpha()}
        self._known = {*known, *not_typos, *self._vocabulary}
        self._deletes: dict[str, list[str]] = {}
        for word in sorted(self._vocabulary):
            for i in range(len(word)):
                self._deletes.setdefault(word[:i] + word[i + 1 :], []).append(word)
        self._mended: dict[str, tuple[str, ...]] = {}

    def _mend(self, word: str) -> tuple[str, ...]:
        """The vocabulary word that is one slip away (a letter left out, added, changed or two swapped), else itself."""
        if len(word) < _SHORTEST_MENDED - 1 or not word.isalpha() or word in self._known:
            return (word,)
        cached = self._mended.get(word)
        if cached is not None:
            return cached
        found: set[str] = set(self._deletes.get(word, ()))
        for i in range(len(word)):
            cut = word[:i] + word[i + 1 :]
            if cut in self._vocabulary:
                found.add(cut)
            for other in self._deletes.get(cut, ()):
                if _one_slip(word, other):
                    found.add(other)
        # The first letter is rarely wrong; demanding it keeps real words from being mended into ours. The last one
        # marks number and tense.
        near = sorted(w for w in found if w[0] == word[0] and w[:-1] not in (word, word[:-1]) and word[:-1] != w)
        result = (near[0],) if near else (word,)
        if len(self._mended) < 20000:
            self._mended[word] = result
        return result

    def words(self, text: str, start: int = 0, end: int | None = None) -> Words:
        """Normal words of text[start:end]; offsets count from the start of `text`."""
        norm: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        table = self._map
        for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
            if match.lastgroup == "box":
                continue
            raw = match.group()
            a, b = match.span()
            low = raw.lower().replace("’", "'")
            out = table.get(low)
            if out is None:
                if match.lastgroup == "sym":
                    out = (_SYMBOLS.get(raw, low),)
                elif "'" in low:
                    out = self._apostrophe(low)
                else:
                    out = self._mend(low)
            # Dictated levels: "s three" is one word, s3.
            if (
                out[0] in _COUNT
                and norm
                and norm[-1] in ("s", "l", "co")
                and starts[-1] + len(norm[-1]) <= a <= ends[-1] + 1
            ):
                norm[-1] += _COUNT[out[0]]
                ends[-1] = b
                continue
            for word in out:
                norm.append(word)
                starts.append(a)
                ends.append(b)
        at: list[int] = []
        position = 0
        for word in norm:
            at.append(position)
            position += len(word) + 1
        return Words(norm, starts, ends, " ".join(norm) + " " if norm else "", at)

    def _apostrophe(self, low: str) -> tuple[str, ...]:
        if low.endswith("n't"):
            stem = {"wo": "will", "ca": "can", "sha": "shall"}.get(low[:-3], low[:-3])
            return (stem, "not")
        head, _, tail = low.partition("'")
        out = self._map.get(head) or self._mend(head)
        if tail == "s" and "'s" not in head:
            return (*out, "'s")
        if tail in ("d", "") or not tail:
            return out
        if tail in ("ve", "re", "ll", "m"):
            return out
        return (low,)


def _one_slip(a: str, b: str) -> bool:
    """One letter changed, or two neighbours swapped."""
    if len(a) != len(b):
        return False
    diff = [i for i in range(len(a)) if a[i] != b[i]]
    if len(diff) == 1:
        return True
    return len(diff) == 2 and diff[1] == diff[0] + 1 and a[diff[0]] == b[diff[1]] and a[diff[1]] == b[diff[0]]


def word_range(words: Words, start: int, end: int) -> tuple[int, int]:
    """Indexes [first, last) of the words that overlap code points start:end."""
    return bisect_right(words.ends, start), bisect_left(words.starts, end)

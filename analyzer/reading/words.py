"""Words as the rules see them: lower-cased, abbreviations spelled out, misspellings mended, each tied to its span.

Rules are written once over normal words ("fracture", "with", "s3"); the note may say "Fx", "w/" or "S three". A normal
word remembers the code points it stands for, so that every match leads back to the text as given.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from operator import itemgetter

# One token and the white space behind it; every other character of a text is white space.
_TOKEN = re.compile(
    r"(?:(?<![^\W_])(?:[wW]/[oO](?![^\W_])|[A-Za-z]/[A-Za-z](?![^\W_])|[wW]/|2/2(?=\s+[A-Za-z]))"
    r"|\[\s*[xX]?\s*\]"
    r"|[^\W\d_]+\d+(?![^\W_])|[^\W\d_]+(?:['’][^\W\d_]+)*"
    r"|\d+(?:\.\d+)?"
    r"|\S)\s*"
    r"|\s+"
)
_BOX = re.compile(r"\[\s*[xX]?\s*\]")
_SYMBOLS = {"–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "’": "'", "“": '"', "”": '"', "•": "*"}
_SHORTEST_MENDED = 6
_COUNT = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5"}


class Words:
    """Normal words of a stretch of text. `starts[i]:ends[i]` are the code points word i stands for.

    `line` is the words joined by blanks, with one at the end; word i begins at `at[i]` of it.
    """

    __slots__ = ("_at", "_line", "ends", "norm", "starts")

    def __init__(self, norm: list[str], starts: list[int], ends: list[int]) -> None:
        self.norm, self.starts, self.ends = norm, starts, ends
        self._line: str | None = None
        self._at: list[int] = []

    @property
    def line(self) -> str:
        if self._line is None:
            self._line = " ".join(self.norm) + " " if self.norm else ""
        return self._line

    @property
    def at(self) -> list[int]:
        if len(self._at) != len(self.norm):
            ends = accumulate([len(word) + 1 for word in self.norm], initial=0)
            self._at = list(ends)[:-1]
        return self._at

    def index_at(self, position: int) -> int:
        """The word that holds a position of `line`."""
        return bisect_right(self.at, position) - 1

    def index_of_offset(self, offset: int) -> int:
        """The first word that ends after a code point offset of the text."""
        return bisect_right(self.ends, offset)


# What a token becomes: its normal words, its length without the white space behind it, and whether it is simply one
# word that no neighbour changes.
_Read = tuple[tuple[str, ...], int, bool]
_SIMPLE = itemgetter(2)
_MOST_KEPT = 20000


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
        self._tokens: dict[str, _Read] = {}

    def _mend(self, word: str) -> tuple[str, ...]:
        """The vocabulary word that is one slip away (a letter left out, added, changed or two swapped), else itself."""
        if len(word) < _SHORTEST_MENDED - 1 or not word.isalpha() or word in self._known:
            return (word,)
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
        return (near[0],) if near else (word,)

    def words(self, text: str, start: int = 0, end: int | None = None) -> Words:
        """Normal words of text[start:end]; offsets count from the start of `text`."""
        tokens = _TOKEN.findall(text, start, len(text) if end is None else end)
        known = self._tokens
        read = [known.get(token) or self._read(token) for token in tokens]
        at = list(accumulate(map(len, tokens), initial=start))
        if all(map(_SIMPLE, read)):
            return Words(
                [w[0] for w, _, _ in read], at[:-1], [a + size for a, (_, size, _) in zip(at, read, strict=False)]
            )
        norm: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for a, (out, size, simple) in zip(at, read, strict=False):
            # Dictated levels: "s three" is one word, s3.
            if (
                not simple
                and out
                and out[0] in _COUNT
                and norm
                and norm[-1] in ("s", "l", "co")
                and starts[-1] + len(norm[-1]) <= a <= ends[-1] + 1
            ):
                norm[-1] += _COUNT[out[0]]
                ends[-1] = a + size
                continue
            for word in out:
                norm.append(word)
                starts.append(a)
                ends.append(a + size)
        return Words(norm, starts, ends)

    def _read(self, token: str) -> _Read:
        """A token of `_TOKEN`. What it becomes is kept for a while, never with the words around it."""
        raw = token.rstrip()
        low = raw.lower().replace("’", "'")
        out: tuple[str, ...] | None = () if not raw or _BOX.fullmatch(raw) else self._map.get(low)
        if out is None:
            if not raw[0].isalnum():
                out = (_SYMBOLS.get(raw, low),)
            elif "'" in low:
                out = self._apostrophe(low)
            else:
                out = self._mend(low)
        read = (out, len(raw), len(out) == 1 and out[0] not in _COUNT)
        if len(self._tokens) >= _MOST_KEPT:
            self._tokens.clear()
        self._tokens[token] = read
        return read

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

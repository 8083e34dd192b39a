"""Negation and history on the NegEx sentences, the phrase taken as given.

    python bench/assertion.py NEGEX_FILE

NEGEX_FILE is `rsAnnotations-1-120-random.txt` of the NegEx project: latin-1, tab separated, one header line, the phrase
in capitals within its sentence. The sentences are split in two by a hash of their text: cues were written with the
`learn` half in sight, sentences of the `held out` half were never
looked at, though its totals were watched while tuning. Negation and history are counted apart, as the file
labels them apart ("no history of stroke" is both). Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analyzer.packs import load_pack
from analyzer.reading.assertion import Assertions
from analyzer.reading.words import Normalizer, word_range

HALVES = ("learn", "held out")


@dataclass(frozen=True)
class Row:
    """One labelled sentence."""

    phrase: str
    sentence: str
    negated: bool
    historical: bool

    @property
    def half(self) -> int:
        """0 or 1, by the sentence alone, so that its phrases stay together."""
        return int(hashlib.sha256(self.sentence.encode()).hexdigest(), 16) % 2


@dataclass
class Tally:
    """Counts of one label on one half."""

    hit: int = 0
    false: int = 0
    missed: int = 0

    def add(self, gold: bool, found: bool) -> None:
        """Count one sentence."""
        self.hit += gold and found
        self.false += found and not gold
        self.missed += gold and not found

    def row(self, name: str, half: str) -> str:
        """A Markdown table row: precision, recall, F1 and the counts behind them."""
        precision = self.hit / max(1, self.hit + self.false)
        recall = self.hit / max(1, self.hit + self.missed)
        f1 = 2 * self.hit / max(1, 2 * self.hit + self.false + self.missed)
        scores = f"{precision:.3f} | {recall:.3f} | {f1:.3f}"
        return f"| {name} | {half} | {scores} | {self.hit} | {self.false} | {self.missed} |"


def rows(path: Path) -> Iterator[Row]:
    """The file's sentences. Raises ValueError naming the line that has too few columns."""
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines()[1:], start=2):
        columns = [c.strip() for c in line.split("\t")]
        if len(columns) < 5:
            raise ValueError(f"{path.name}, line {number}: {len(columns)} columns where 5 are expected")
        yield Row(columns[1], columns[2], columns[3] == "Negated", columns[4] == "Historical")


def locate(row: Row) -> tuple[int, int] | None:
    """Code points of the phrase in its sentence; of its capitalised words where the sentence ends within it."""
    words = row.phrase.upper().split()
    whole = re.search(r"\s+".join(map(re.escape, words)), row.sentence)
    found = whole or re.search("|".join(re.escape(w) for w in words if w in row.sentence) or "(?!)", row.sentence)
    return found.span() if found else None


def judged(row: Row, normalizer: Normalizer, assertions: Assertions) -> tuple[bool, bool]:
    """Whether the phrase is read as negated, and as historical. A phrase that is not in its sentence is neither."""
    span = locate(row)
    if span is None:
        return False, False
    words = normalizer.words(row.sentence)
    first, last = word_range(words, *span)
    target = (first, max(last, first + 1), "phrase")
    negated = assertions.judge(words.norm, [target])[0][0] == "negated"
    return negated, "HISTORICAL" in assertions.reached(words.norm, [target])[0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    reader = load_pack("traumatic-spondylopathy").reader
    tallies = {(label, half): Tally() for label in ("negated", "historical") for half in (0, 1)}
    sizes = [0, 0]
    unseen = 0
    try:
        for row in rows(options.file):
            negated, historical = judged(row, reader._normalizer, reader._assertions)
            tallies["negated", row.half].add(row.negated, negated)
            tallies["historical", row.half].add(row.historical, historical)
            sizes[row.half] += 1
            unseen += locate(row) is None
    except (OSError, ValueError) as error:
        sys.exit(f"assertion: {error}")
    print("| label | half | precision | recall | F1 | right | false | missed |")
    print("|---|---|---|---|---|---|---|---|")
    for (label, half), tally in tallies.items():
        print(tally.row(label, f"{HALVES[half]} ({sizes[half]})"))
    if unseen:
        print(f"\nPhrases that do not stand in their sentence: {unseen}")


if __name__ == "__main__":
    main()

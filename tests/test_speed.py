"""The quick way and the long way give the same bytes, nothing of a note outlives it, and the benchmark runs."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from spacy.vocab import Vocab

from analyzer import Analyzer, Note
from analyzer.packs import load_pack
from analyzer.reading.followers import Pattern, needed_letters, parsed

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "sample_notes" / "notes.jsonl", *sorted((ROOT / "tests" / "fresh").glob("*_notes.jsonl"))]
REPORTS = """
import hashlib, json, sys
from analyzer import Analyzer, Note
analyzer, digest = Analyzer(), hashlib.sha256()
for name in sys.argv[1:]:
    for line in open(name, encoding="utf-8"):
        digest.update(analyzer.report(Note.model_validate(json.loads(line))).to_json().encode())
print(digest.hexdigest())
"""


def notes() -> list[Note]:
    return [
        Note.model_validate(json.loads(line))
        for file in FILES
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def mixed(seed: int, count: int) -> list[Note]:
    """Notes of shuffled lines, some shouted, some without line breaks, some with letters lost."""
    rng = random.Random(seed)
    lines = [line for note in notes() for line in note.text.split("\n")]
    out = []
    for i in range(count):
        text = "\n".join(rng.choice(lines) for _ in range(rng.randrange(1, 40)))
        if i % 5 == 0:
            text = text.upper()
        if i % 7 == 0:
            text = text.replace("\n", " ")
        if i % 3 == 0:
            text = "".join(c for c in text if rng.random() > 0.02)
        out.append(Note(note_id=f"mixed{i}", text=text, date_of_service="2025-06-15" if i % 4 else None))  # type: ignore[arg-type]
    return out


def test_the_plain_path_gives_the_same_bytes(analyzer: Analyzer) -> None:
    plain = Analyzer(plain=True)
    for note in [*notes(), *mixed(1, 40)]:
        assert analyzer.report(note).to_json() == plain.report(note).to_json(), note.note_id


def interpreters() -> list[str]:
    """This interpreter and every other of 3.11 to 3.13 in which Chartgap can run; CHARTGAP_PYTHONS names more."""
    named = os.environ.get("CHARTGAP_PYTHONS", "").split(os.pathsep)
    found = [shutil.which(name) for name in (*filter(None, named), "python3.11", "python3.12", "python3.13")]
    check = [sys.executable]
    for python in dict.fromkeys(p for p in found if p is not None):
        probe = subprocess.run([python, "-c", "import medspacy, pydantic, typer"], capture_output=True, check=False)
        if probe.returncode == 0:
            check.append(python)
    return check


def test_every_interpreter_gives_the_same_bytes(analyzer: Analyzer) -> None:
    ours = hashlib.sha256("".join(analyzer.report(note).to_json() for note in notes()).encode()).hexdigest()
    for seed, python in enumerate(interpreters()):
        told = subprocess.run(
            [python, "-W", "ignore", "-c", REPORTS, *map(str, FILES)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == ours, python


def made_up(number: int) -> Note:
    """A short note whose names and numbers occur in no other."""
    rng = random.Random(number)
    name, place = ("".join(rng.choices("bcdfghjklmnpqrstvwxz", k=9)) for _ in range(2))
    text = (
        f"Ms {name} fell at {place} on 3/{number % 28 + 1}/2021; no numbness. MRN {number:09d}. Coccyx pain persists."
    )
    return Note(note_id=str(number), text=text, date_of_service="2025-01-15")  # type: ignore[arg-type]


def test_no_word_of_an_old_note_stays_in_a_string_store(analyzer: Analyzer) -> None:
    note = made_up(7)
    name = note.text.split()[1]
    analyzer.report(note)
    analyzer.doc(note)
    gc.collect()
    stores = [thing.strings for thing in gc.get_objects() if isinstance(thing, Vocab)]
    assert not [store for store in stores if name in store or name.lower() in store]


def test_memory_is_flat(analyzer: Analyzer) -> None:
    for number in range(1200):
        analyzer.report(made_up(number))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(1200, 2400):
        analyzer.report(made_up(number))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10 * 1024


def test_a_word_is_kept_only_for_a_while() -> None:
    reader = load_pack("traumatic-spondylopathy").reader
    normalizer = reader._normalizer
    for number in range(30000):
        normalizer.words(f"word{number}x")
    assert len(normalizer._tokens) <= 20000
    assert "word0x" not in normalizer._tokens


@pytest.mark.parametrize(
    ("pattern", "word", "ends", "words", "prefixes"),
    [
        ("fracture", "fracture", True, set(), ()),
        ("no (?:pain|ache)s?", "no", False, {"pain", "pains", "ache", "aches"}, ()),
        (r"no (?:\S+ ){0,2}pain", "no", False, set(), ("",)),
        (r"(?:old|healed) frac\w+", "old", False, set(), ("frac",)),
        (r"l[45] (?:- )?s1", "l4", False, {"-", "s1"}, ()),
        ("old(?: fracture)?", "old", True, {"fracture"}, ()),
        ("old(?= bone) bone", "old", False, {"bone"}, ()),
        ("old bone", "new", False, set(), ()),
    ],
)
def test_what_may_follow_a_word(
    pattern: str, word: str, ends: bool, words: set[str], prefixes: tuple[str, ...]
) -> None:
    found = Pattern(parsed(pattern)).after(word)
    assert (found[0], found[2]) == (ends, prefixes)
    if prefixes != ("",):
        assert found[1] == words


@pytest.mark.parametrize(
    ("pattern", "lasts"),
    [
        (r"healed (?:\S+ ){0,4}(?:without|no)", {"without", "no"}),
        ("(?:old|healed) (?:bone|break)s?", {"bone", "bones", "break", "breaks"}),
        (r"healed \w+", None),
    ],
)
def test_what_may_stand_last(pattern: str, lasts: set[str] | None) -> None:
    assert Pattern(parsed(pattern), backwards=True).first_words() == lasts


def test_letters_that_a_match_cannot_lack() -> None:
    ways = needed_letters(re.compile(r"cop(?:ied|y) from|\[(?:see )?\d+ (?:note|visit)", re.I))
    assert ways == [[["cop"], ["ied", "y"], [" from"]], [["["], [" "], ["note", "visit"]]]


def test_the_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "throughput.py"), str(FILES[0]), "--rounds", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    with capsys.disabled():
        print(f"\n{done.stdout}")
    row = next(line for line in done.stdout.splitlines() if line.startswith("| notes.jsonl"))
    # Loose: a tenth of what is measured on a quiet machine still shows that nothing became an order slower.
    assert float(row.split("|")[4]) > 0.03

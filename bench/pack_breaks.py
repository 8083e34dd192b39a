"""Breaks packs at random, line by line, and says what comes of it: a broken pack must be refused with file and line.

    python bench/pack_breaks.py --seconds 60 --seed 1

Takes a pack as `chartgap packs new` writes it and the pack of tests/third_pack. A break that leaves a pack that can be
read must leave one that judges notes. Anything else is printed, and ends the command with exit code 1.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from functools import cache
from pathlib import Path

from analyzer import packs
from analyzer.dates import DateReader
from analyzer.errors import PackError
from analyzer.members import Member, about
from analyzer.note import Note
from analyzer.pack_scaffold import new_pack

THIRD = Path(__file__).resolve().parents[1] / "tests" / "third_pack" / "diabetic-foot"
VALUES = ["3", "null", "[]", "{}", '"x"', "[3]", "{a: b}", "true", "[[]]", "2026-01-01", "1.5", '"("', "[null]", "zzz"]
TEXTS = ("HPI: T2DM.\nAssessment: left pressure ulcer of sacral region, heel ulcer, superficial.", "Cough.")
_TOKEN = re.compile(r'[\w$]+|\[[^\[\]]*\]|"[^"]*"')


def broken(lines: list[str], chance: random.Random) -> list[str]:
    """The lines with one of them left out, said twice, or with another value in it."""
    at, how = chance.randrange(len(lines)), chance.random()
    tokens = list(_TOKEN.finditer(lines[at]))
    if how < 0.2 or not tokens:
        return [*lines[:at], *lines[at + 1 :]]
    if how < 0.4:
        return [*lines[:at], lines[at], *lines[at:]]
    token = chance.choice(tokens)
    start = lines[at].index(": ") + 2 if how < 0.6 and ": " in lines[at] else token.start()
    end = len(lines[at]) if how < 0.6 and ": " in lines[at] else token.end()
    return [*lines[:at], lines[at][:start] + chance.choice(VALUES) + lines[at][end:], *lines[at + 1 :]]


def outcome(pack: Path) -> str:
    """`refused`, `judges`, or what went wrong in place of either."""
    try:
        loaded = packs.load_pack(pack)
        member = Member.of(loaded, loaded.head.default_code)
        for text in TEXTS:
            member.assess(member.read(text), None, about(Note(note_id="n", text=text)))
    except PackError as error:
        return "refused" if error.line is not None and "\n" not in str(error) else f"no line: {error}"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {error}"
    return "judges"


def main() -> None:
    """Break, load, judge, count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    # What packs share is not broken here, and slow to make ready.
    DateReader.from_yaml = cache(DateReader.from_yaml)  # type: ignore[method-assign, assignment]
    counts: Counter[str] = Counter()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        sources = [THIRD, new_pack("pack", "L89.154", Path(folder))[0]]
        while time.monotonic() < end:
            source = chance.choice(sources)
            pack = Path(folder) / "broken" / source.name
            shutil.rmtree(pack.parent, ignore_errors=True)
            shutil.copytree(source, pack)
            file = chance.choice(sorted(pack.rglob("*.yaml")))
            lines = broken(file.read_text(encoding="utf-8").splitlines(), chance)
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            counts[outcome(pack)] += 1
    for name, count in counts.most_common():
        print(f"{count:>6} {name}")
    sys.exit(0 if counts.keys() <= {"refused", "judges"} else 1)


if __name__ == "__main__":
    main()

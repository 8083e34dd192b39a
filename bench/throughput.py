"""How fast a gap report is, beside spaCy's tokenizer, stock medspaCy and EDS-NLP, all in one run on the same notes.

    python bench/throughput.py [NOTES.jsonl ...] [--peers medspacy edsnlp] [--edsnlp-python PYTHON] [--whole]

Without files it runs on the project's own notes. Every engine is a process of its own that has read all notes once;
the notes then go round in small chunks, each chunk to every engine in turn, and the CPU time of a chunk is compared.
Ratios are medians over the chunks, so that what else the machine does falls on all engines alike. Chartgap's time is
that of the whole report with its JSON. medspaCy and EDS-NLP get the pack's patterns: phrases as phrases, the others as
regular expressions; EDS-NLP runs in an interpreter of its own (it needs spaCy 3.8) and is no dependency. `--whole` adds
cost by length, a doubled vocabulary, a whole process and two workers. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OWN_NOTES = [ROOT / "sample_notes" / "notes.jsonl", *sorted((ROOT / "tests" / "fresh").glob("*_notes.jsonl"))]
PACK = "traumatic-spondylopathy"
LENGTHS = (300, 1000, 3000, 10000, 20000)
CHUNK = 8
Notes = list[dict[str, Any]]


# ---- engines, each in a process of its own ---------------------------------------------------------------------------


def chartgap(setup: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """The whole report and its JSON."""
    sys.path.insert(0, setup.get("root", str(ROOT)))
    from analyzer import Analyzer, Note

    analyzer = Analyzer()
    return lambda note: analyzer.report(Note.model_validate(note)).to_json()


def tokenizer(setup: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """spaCy's blank tokenizer alone."""
    import spacy

    nlp = spacy.blank("en")
    return lambda note: nlp(note["text"])


def medspacy(setup: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """medspaCy as it ships, with the pack's vocabulary as target rules."""
    from loguru import logger

    logger.disable("PyRuSH")
    import medspacy as library
    from medspacy.ner import TargetRule

    nlp = library.load()
    rules = [TargetRule(text, name, pattern=None if plain else text) for name, text, plain in setup["vocabulary"]]
    nlp.get_pipe("medspacy_target_matcher").add(rules)
    return lambda note: nlp(note["text"])


def edsnlp(setup: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    """EDS-NLP with the same vocabulary and its four qualifiers."""
    import edsnlp as library
    import edsnlp.pipes as eds

    terms: dict[str, list[str]] = {}
    regex: dict[str, list[str]] = {}
    for name, text, plain in setup["vocabulary"]:
        (terms if plain else regex).setdefault(name, []).append(text)
    nlp = library.blank("eds")
    nlp.add_pipe(eds.sentences())
    nlp.add_pipe(eds.matcher(terms=terms, regex=regex, attr="LOWER"))
    for qualifier in (eds.negation, eds.hypothesis, eds.family, eds.history):
        nlp.add_pipe(qualifier())
    return lambda note: nlp(note["text"])


ENGINES = {engine.__name__: engine for engine in (chartgap, tokenizer, medspacy, edsnlp)}


def serve(name: str) -> None:
    """An engine's process: one line of set-up, then a line of note numbers each time; answers with CPU seconds."""
    setup = json.loads(sys.stdin.readline())
    read = ENGINES[name](setup)
    notes = setup["notes"]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        started = time.process_time()
        for number in json.loads(line):
            read(notes[number])
        print(time.process_time() - started, file=answers, flush=True)


class Engine:
    """The other end of `serve`."""

    def __init__(self, name: str, setup: dict[str, Any], python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, "-W", "ignore", __file__, "--engine", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=setup.get("root", ROOT),
        )
        self.send(setup)

    def send(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def seconds(self) -> float:
        """The CPU time of what was sent last."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"an engine ended with code {self._process.wait()}")
        return float(line)

    def run(self, numbers: Sequence[int]) -> float:
        self.send(list(numbers))
        return self.seconds()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


# ---- what is measured ------------------------------------------------------------------------------------------------


def load(files: Sequence[Path]) -> Notes:
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]


def vocabulary() -> list[tuple[str, str, bool]]:
    """The pack's patterns with macros and gaps spelled out: element, text, and whether the text is a plain phrase."""
    sys.path.insert(0, str(ROOT))
    from analyzer.packs import load_pack
    from analyzer.reading.matching import expand

    pack = load_pack(PACK)
    return [
        (content.element, text := expand(pattern, pack.macros), re.fullmatch(r"[\w' -]+", text) is not None)
        for _, _, content in pack.vocabularies
        for rule in content.rules
        for pattern in rule.match
    ]


def chunks(count: int, rounds: int) -> Iterator[list[int]]:
    for _ in range(rounds):
        for start in range(0, count, CHUNK):
            yield list(range(start, min(count, start + CHUNK)))


def against(notes: Notes, engines: dict[str, Engine], rounds: int, slow: Sequence[str] = ()) -> dict[str, list[float]]:
    """CPU milliseconds a note, chunk by chunk, of each engine; slow ones see only every sixth chunk."""
    for engine in engines.values():
        engine.run(range(len(notes)) if engine not in [engines[s] for s in slow] else range(CHUNK))
    out: dict[str, list[float]] = {name: [] for name in engines}
    for turn, numbers in enumerate(chunks(len(notes), rounds)):
        for name, engine in engines.items():
            taken = float("nan") if name in slow and turn % 6 else 1000 * engine.run(numbers) / len(numbers)
            out[name].append(taken)
    return out


def ratio(times: dict[str, list[float]], other: str) -> float:
    """How many times longer the other engine takes than Chartgap: median over the chunks both have seen."""
    pairs = zip(times[other], times["chartgap"], strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs if theirs == theirs)


def by_length(notes: Notes) -> dict[int, float]:
    """CPU microseconds a word of one chart of each length, put together from the notes; the best of five."""
    words = " ".join(note["text"].replace("\n", " \n ") for note in notes).split(" ")
    while len(words) < max(LENGTHS):
        words += words
    charts = [{"note_id": str(n), "text": " ".join(words[:n]), "date_of_service": "2025-06-01"} for n in LENGTHS]
    engine = Engine("chartgap", {"notes": charts})
    engine.run(range(len(charts)))
    best = {n: min(engine.run([i]) for _ in range(5)) * 1e6 / n for i, n in enumerate(LENGTHS)}
    engine.close()
    return best


def doubled(notes: Notes, rounds: int) -> float:
    """The cost of a note with twice the vocabulary over that with the pack's own; every pattern's words reversed."""
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        for part in ("analyzer", "patterns"):
            shutil.copytree(ROOT / part, Path(folder) / part)
        for file in (Path(folder) / "patterns" / PACK / "vocabulary").glob("*.yaml"):
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            for rule in list(content["rules"]):
                turned = [re.sub(r"(?<![\\{\w])[a-z]{3,}(?![\w}])", lambda m: m[0][::-1], p) for p in rule["match"]]
                new = [p for p, old in zip(turned, rule["match"], strict=True) if p != old]
                if new:
                    content["rules"].append({**rule, "id": rule["id"] + "-turned", "match": new})
            file.write_text(yaml.safe_dump(content, allow_unicode=True, width=1000), encoding="utf-8")
        engines = {
            "chartgap": Engine("chartgap", {"notes": notes}),
            "twice": Engine("chartgap", {"notes": notes, "root": folder}),
        }
        result = ratio(against(notes, engines, rounds), "twice")
        for engine in engines.values():
            engine.close()
    return result


def whole_process(notes: Notes, times: int = 5) -> float:
    """CPU time of `chartgap analyze` on one note over that of spaCy's blank pipeline on it, both from a cold start."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "note.txt"
        file.write_text(notes[0]["text"], encoding="utf-8")
        blank = f"import spacy; spacy.blank('en')(open({str(file)!r}, encoding='utf-8').read())"
        ours = [sys.executable, "-m", "analyzer.cli", "analyze", str(file), "--format", "json"]
        pairs = [(_cpu(ours), _cpu([sys.executable, "-c", blank])) for _ in range(times)]
    return statistics.median(a / b for a, b in pairs)


def _cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def two_workers(notes: Notes) -> float:
    """Notes a second by the clock of two workers over one. Says something only while two cores are free."""
    engines = [Engine("chartgap", {"notes": notes}) for _ in range(2)]
    for engine in engines:
        engine.run(range(len(notes)))
    found: list[float] = []
    for _ in range(3):
        clock = time.perf_counter()
        engines[0].run(range(len(notes)))
        one = time.perf_counter() - clock
        clock = time.perf_counter()
        for engine in engines:
            engine.send(list(range(len(notes))))
        for engine in engines:
            engine.seconds()
        found.append(2 * one / (time.perf_counter() - clock))
    for engine in engines:
        engine.close()
    return statistics.median(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("notes", nargs="*", type=Path, default=OWN_NOTES, help="JSON lines of notes")
    parser.add_argument("--peers", nargs="*", choices=["medspacy", "edsnlp"], default=[])
    parser.add_argument("--edsnlp-python", default=sys.executable, help="an interpreter that has edsnlp")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="cost by length, doubled vocabulary, process, workers")
    parser.add_argument("--engine", choices=sorted(ENGINES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        serve(options.engine)
        return
    names = ["chartgap", "tokenizer", *options.peers]
    words = vocabulary() if options.peers else []
    print(f"Load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| notes | words a note | ms a note | " + " | ".join(f"{name} / chartgap" for name in names[1:]) + " |")
    print("|---|---|---|" + "---|" * len(names[1:]))
    loaded = [(file.name if len(options.notes) > 1 else str(file.name), load([file])) for file in options.notes]
    if len(loaded) > 1:
        loaded.append(("all together, in turn", _in_turn([notes for _, notes in loaded])))
    for title, notes in loaded:
        setup = {"notes": notes, "vocabulary": words}
        engines = {
            name: Engine(name, setup, options.edsnlp_python if name == "edsnlp" else sys.executable) for name in names
        }
        times = against(notes, engines, options.rounds, slow=[n for n in names if n == "medspacy"])
        for engine in engines.values():
            engine.close()
        length = sum(len(note["text"].split()) for note in notes) / len(notes)
        ratios = " | ".join(f"{ratio(times, name):.2f}" for name in names[1:])
        print(f"| {title} ({len(notes)}) | {length:.0f} | {statistics.median(times['chartgap']):.2f} | {ratios} |")
    if options.whole:
        notes = loaded[-1][1]
        print("\n| words | us a word |\n|---|---|")
        costs = by_length(notes)
        for words_in, cost in costs.items():
            print(f"| {words_in} | {cost:.1f} |")
        print(f"\nDearest word over the cheapest: {max(costs.values()) / min(costs.values()):.2f}")
        print(f"Twice the vocabulary: {doubled(notes, options.rounds):.2f} times the cost")
        print(f"`chartgap analyze` of one note: {whole_process(notes):.2f} times spaCy's blank pipeline")
        print(f"Two workers: {two_workers(notes):.2f} times one")
    print(f"\nLoad of the machine after: {os.getloadavg()[0]:.1f}")


def _in_turn(sets: Sequence[Notes]) -> Notes:
    """As many notes of each set, one after the other."""
    return [note for group in zip(*sets, strict=False) for note in group]


if __name__ == "__main__":
    main()

"""How fast an audit goes against the library alone, and what memory all its processes take.

    python bench/audit_scale.py --notes 20000 --workers 2
    python bench/audit_scale.py --notes 100000 --characters 20000 --light     (one file of 2 GB)

The notes are the sample notes, each with a heading of its own (names that occur once, so that nothing is met twice).
`--light` judges without reading a note: what is left is the cost of the running itself. Prints one JSON object:
`efficiency` is the audit's notes a second over workers x the library's own, both by the wall clock; `cpu_efficiency`
the same by processor time, which other work on the machine disturbs less. Memory is the proportional set size of the
whole process tree, looked at twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from analyzer.audit.run import AuditOptions, local_engine, run_audit  # noqa: E402
from analyzer.audit.tasks import AnalyzerSource, JudgeSource  # noqa: E402
from analyzer.formats import find_inputs  # noqa: E402
from analyzer.note import Note  # noqa: E402
from analyzer.report import GapReport  # noqa: E402

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class LightSource:
    """A judge that answers every note with one and the same real report."""

    modules: tuple[str, ...] = ("analyzer.analyze",)

    def build(self) -> LightJudge:
        from analyzer.analyze import Analyzer

        analyzer = Analyzer()
        return LightJudge(analyzer.report(samples()[0]), analyzer.code)


@dataclass
class LightJudge:
    given: GapReport
    code: str

    def report(self, note: Note) -> GapReport:
        return self.given.model_copy(update={"note_id": note.note_id, "note_ids": [note.note_id]})

    def case(self, notes: Sequence[Note], *, case_id: str) -> GapReport:
        return self.report(notes[0])


def samples() -> list[Note]:
    lines = (ROOT / "sample_notes/notes.jsonl").read_text(encoding="utf-8").split("\n")
    return [Note.model_validate_json(line) for line in lines if line]


def varied(count: int, characters: int) -> Iterator[Note]:
    """Notes of at least so many characters, made of sample notes under a heading of their own."""
    chance = random.Random(1)
    letters = "bcdfghjklmnprstvwz"
    vowels = "aeiou"

    def name() -> str:
        return "".join(chance.choice(letters) + chance.choice(vowels) for _ in range(4)).title()

    given = samples()
    for number in range(count):
        note = given[number % len(given)]
        parts = [f"Patient: {name()} {name()}   MRN: {number:08d}   Dictated by {name()}\n", note.text]
        while sum(map(len, parts)) < characters:
            parts.append("\n\n" + given[chance.randrange(len(given))].text)
        yield note.model_copy(
            update={"note_id": f"{note.note_id}-{number}", "text": "".join(parts), "encounter_id": f"e{number // 3}"}
        )


class TreeWatch(threading.Thread):
    """The largest memory of this process and all below it, and the processor time each has taken."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.seconds: dict[int, float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.5):
            processes = _tree(os.getpid())
            self.peak = max(self.peak, sum(map(_memory, processes)))
            self.seconds.update((process, _cpu_seconds(process)) for process in processes)


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting.extend(children.get(process, []))
    return found


def _memory(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def library_rate(source: JudgeSource, notes: Sequence[Note]) -> tuple[float, float]:
    """Notes a second of one judge in this process, by the wall clock and by processor time."""
    judge = source.build()
    for note in notes[:20]:
        judge.report(note).to_json()
    clock, cpu = time.perf_counter(), time.process_time()
    for note in notes:
        judge.report(note).to_json()
    return len(notes) / (time.perf_counter() - clock), len(notes) / (time.process_time() - cpu)


def measured_apart(source: JudgeSource, notes: Sequence[Note]) -> tuple[float, float]:
    """`library_rate` in a process of its own, so that the analyzer's memory isn't counted to the audit's."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(library_rate(source, notes)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as handle:
        wall, cpu = json.loads(handle.read())
    os.waitpid(child, 0)
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--notes", type=int, default=20_000)
    parser.add_argument("--characters", type=int, default=0, help="length that shorter notes are filled up to")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--by", help="judge cases, such as encounter_id")
    parser.add_argument("--light", action="store_true", help="judge without reading")
    parser.add_argument("--alone", type=int, default=300, help="notes to measure the library with")
    parser.add_argument("--folder", type=Path, help="where to work; default a temporary folder")
    chosen = parser.parse_args()
    source: Any = LightSource() if chosen.light else AnalyzerSource()
    wall, cpu = measured_apart(source, list(varied(chosen.alone, chosen.characters)))
    with tempfile.TemporaryDirectory(dir=chosen.folder) as scratch:
        path = Path(scratch, "notes.ndjson")
        with path.open("w", encoding="utf-8") as handle:
            handle.writelines(n.model_dump_json() + "\n" for n in varied(chosen.notes, chosen.characters))
        watch = TreeWatch()
        before = _cpu_seconds(os.getpid())
        watch.start()
        clock = time.perf_counter()
        run = run_audit(
            find_inputs([str(path)]),
            Path(scratch, "out"),
            AuditOptions(source=source, by=chosen.by, engine=local_engine(chosen.workers)),
        )
        seconds = time.perf_counter() - clock
        watch.done.set()
        watch.join()
        cpu_seconds = sum(watch.seconds.values()) - before
        own_seconds = watch.seconds[os.getpid()] - before
        size, written = path.stat().st_size, sum(p.stat().st_size for p in Path(scratch, "out").iterdir())
    result = {
        "notes": run["records"],
        "reports": run["reports"],
        "failures": run["failures"],
        "input_megabytes": round(size / _MEGABYTE, 1),
        "output_megabytes": round(written / _MEGABYTE, 1),
        "workers": chosen.workers,
        "seconds": round(seconds, 1),
        "notes_per_second": round(run["records"] / seconds, 1),
        "library_notes_per_second": round(wall, 1),
        "library_notes_per_cpu_second": round(cpu, 1),
        "efficiency": round(run["records"] / seconds / (chosen.workers * wall), 3),
        "cpu_efficiency": round(run["records"] / cpu_seconds / cpu, 3),
        "coordinator_cpu_seconds": round(own_seconds, 1),
        "peak_megabytes_all_processes": round(watch.peak / _MEGABYTE, 1),
    }
    if chosen.light:
        # Against a judge that does nothing there is nothing to be efficient at.
        result = {name: value for name, value in result.items() if "efficiency" not in name and "library" not in name}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

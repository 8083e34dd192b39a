"""The domain brief's tricky sentences, read as notes of one sentence.

    python bench/tricky.py TRICKY_SENTENCES_JSONL

Labels are mapped to our words by sentence id in `tricky_mapping.yaml`. Prints the score, labels without a counterpart,
labels that the guidelines overrule, and every sentence that is read otherwise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from analyzer import GapReport, Note
from analyzer.analyze import Analyzer

MAPPING = Path(__file__).with_name("tricky_mapping.yaml")
VISIT = "2026-05-20"


def misses(report: GapReport, want: dict[str, Any]) -> Iterator[str]:
    """What the report lacks or has too much of."""
    found = {(f.element, f.value, f.assertion) for f in report.findings}

    def holds(name: str, assertion: str) -> bool:
        element, value = name.split(".")
        # What is past is still a fact of the note.
        accepted = (assertion, "historical") if assertion == "affirmed" else (assertion,)
        return any(e == element and value in ("*", v) and a in accepted for e, v, a in found)

    for item in want.get("has", ()):
        name, assertion = item.split()
        if not holds(name, assertion):
            yield f"no {item}"
    for name in want.get("none", ()):
        if holds(name, "affirmed"):
            yield f"has {name}"
    statuses = {r.id: r.status for r in report.requirements}
    for requirement, status in want.get("status", {}).items():
        if statuses[requirement] != status:
            yield f"{requirement} is {statuses[requirement]}, not {status}"
    for alert in want.get("alerts", ()):
        if alert not in {a.id for a in report.alerts}:
            yield f"no alert {alert}"


def main() -> None:
    """Print score and lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    mapping = yaml.safe_load(MAPPING.read_text(encoding="utf-8"))
    without = {i: reason for reason, ids in mapping["no_counterpart"].items() for i in ids}
    analyzer = Analyzer()
    right = total = 0
    wrong: list[str] = []
    unmapped: list[str] = []
    for line in options.file.read_text(encoding="utf-8").splitlines():
        sentence = json.loads(line)
        name = sentence["id"]
        want = mapping["sentences"].get(name)
        if name in without:
            continue
        if want is None:
            unmapped.append(name)
            continue
        text = f"{mapping['titles'][want['section']]}\n{sentence['text']}\n"
        report = analyzer.report(Note(note_id=name, text=text, date_of_service=VISIT))
        problems = list(misses(report, want))
        total += 1
        right += not problems
        if problems:
            wrong.append(f"| {name} | {sentence['expected']} | {'; '.join(problems)} |")
    print(f"Read as labelled: {right} of {total} with a counterpart ({right / max(1, total):.1%}).\n")
    print("| miss | label | reading |\n|---|---|---|")
    print("\n".join(wrong))
    print("\n| overruled | by |\n|---|---|")
    for name, why in mapping["overruled"].items():
        print(f"| {name} | {why} |")
    print("\n| no counterpart | sentences |\n|---|---|")
    for reason, ids in mapping["no_counterpart"].items():
        print(f"| {reason} | {', '.join(ids)} |")
    if unmapped:
        print(f"\nNot in the mapping: {', '.join(unmapped)}")


if __name__ == "__main__":
    main()

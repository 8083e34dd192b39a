"""What several tests share: the labelled sample notes and one analyzer.

A test with the argument `sample` runs once for every sample note.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from analyzer import Analyzer, GapReport, Note

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_notes"


def _notes() -> list[Note]:
    lines = (SAMPLES / "notes.jsonl").read_text(encoding="utf-8").split("\n")
    return [Note.model_validate_json(line) for line in lines if line]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sample" in metafunc.fixturenames:
        metafunc.parametrize("sample", _notes(), ids=lambda note: note.note_id)


@pytest.fixture(scope="session")
def samples() -> list[Note]:
    """Every sample note, in file order."""
    return _notes()


@pytest.fixture(scope="session")
def gold() -> dict[str, dict[str, Any]]:
    """The sample notes' labels by note id."""
    lines = (SAMPLES / "gold.jsonl").read_text(encoding="utf-8").split("\n")
    return {label["note_id"]: label for label in map(json.loads, filter(None, lines))}


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    """An analyzer with its own default code. It keeps no note between calls, so tests may share it."""
    return Analyzer()


@cache
def _report(analyzer: Analyzer, note: Note) -> GapReport:
    return analyzer.report(note)


@pytest.fixture
def report(analyzer: Analyzer, sample: Note) -> GapReport:
    """The gap report of the test's sample note. Shared: not to be changed."""
    return _report(analyzer, sample)

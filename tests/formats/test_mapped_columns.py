"""`--map` and `--encoding` reach the readers from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analyzer.cli import app

TABLE = "KEY|BODY\nn1|Caf\u00e9: coccyx pain after a fall.\n"


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        app([str(argument) for argument in arguments])
    return ended.value.code if isinstance(ended.value.code, int) else -1


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_bytes(TABLE.encode("mac-roman"))
    return path


def test_analyze(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--map", "note_id=KEY,text=BODY", "--encoding", "mac-roman", "--format", "json")
    assert run("analyze", table.rename(table.with_suffix(".csv")), *given) == 0
    assert json.loads(capsys.readouterr().out)["note_id"] == "n1"


def test_audit(table: Path, tmp_path: Path) -> None:
    path = table.rename(table.with_suffix(".psv"))
    out = tmp_path / "out"
    mapped = ("--map", "note_id=KEY", "--map", "text=BODY", "--encoding", "mac-roman")
    assert run("audit", path, "--output", out, "--workers", "1", *mapped) == 0
    (note,) = (json.loads(line) for line in (out / "notes.jsonl").read_text(encoding="utf-8").splitlines())
    assert (note["note_id"], note["text"]) == ("n1", "Café: coccyx pain after a fall.")
    assert json.loads((out / "run.json").read_text())["settings"]["map"] == {"note_id": "KEY", "text": "BODY"}


def test_a_field_that_a_note_does_not_have(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("analyze", table), ("audit", table, "--output", tmp_path / "out")):
        assert run(*command, "--map", "words=BODY") == 2
        assert "--map words=BODY: write FIELD=COLUMN" in capsys.readouterr().err

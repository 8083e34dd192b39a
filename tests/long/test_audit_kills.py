"""`chartgap audit` with the real analyzer, killed at twenty random moments: `pytest -m long tests/long`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analyzer.note import Note

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20

pytestmark = pytest.mark.long


def chartgap(folder: Path, *args: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "analyzer.cli", "audit", "notes.ndjson", "texts", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def descendants(process: int) -> list[int]:
    """Everything below a process: the server that forks, and the workers."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except OSError:
        return []
    return [*children, *(below for child in children for below in descendants(child))]


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    run = json.loads(found["run.json"])
    del run["timing"]
    return {**found, "run.json": json.dumps(run).encode()}


@pytest.mark.parametrize("more", [(), ("--by", "encounter_id")], ids=["notes", "cases"])
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path, samples: list[Note], more: tuple[str, ...]) -> None:
    copies = [
        n.model_copy(update={"note_id": f"{n.note_id}-{i}", "encounter_id": f"e{i}"})
        for i in range(14)
        for n in samples
    ]
    lines = [note.model_dump_json() for note in copies]
    lines.insert(100, "{")
    (tmp_path / "notes.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "texts").mkdir()
    for i in range(40):
        (tmp_path / f"texts/{i:02d}.txt").write_text(samples[i % len(samples)].text, encoding="utf-8")
    unbroken = chartgap(tmp_path, "--output", "unbroken", "--workers", "1", *more)
    started = time.monotonic()
    assert unbroken.wait() == 0, unbroken.communicate()
    span = time.monotonic() - started

    chance = random.Random(11)
    killed = {"worker": 0, "run": 0}
    while sum(killed.values()) < KILLS:
        run = chartgap(tmp_path, "--output", "out", "--workers", "2", "--resume", *more)
        while run.poll() is None and sum(killed.values()) < KILLS:
            time.sleep(chance.uniform(0, span / 4))
            workers = descendants(run.pid)
            if run.poll() is not None:
                break
            if workers and chance.random() < 0.6:
                # The last of them is a worker; the one that forks is among the first.
                os.kill(workers[-1], signal.SIGKILL)
                killed["worker"] += 1
            else:
                run.send_signal(signal.SIGKILL)
                run.communicate()
                killed["run"] += 1
        if run.poll() is None:
            break
        if run.returncode == 0:
            # It was quicker than the kills: once more from the beginning.
            assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")
            (tmp_path / "out/run.json").unlink()
    if run.poll() is None:
        run.communicate()
    last = chartgap(tmp_path, "--output", "out", "--workers", "2", "--resume", *more)
    out, err = last.communicate()
    assert last.returncode == 0, err
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")
    assert out.decode().startswith(f"{len(copies) + 41} records = ")
    assert min(killed.values()) >= 3, killed

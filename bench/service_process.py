"""`chartgap serve` in a process of its own, for measurements and tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LONGEST_START = 180.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. Its stderr goes to `log`."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def worker_pids(self) -> list[int]:
        """The worker processes: forked by a process that the service keeps for that."""
        return [pid for child in children(self.process.pid) for pid in children(child)]

    def memory(self) -> int:
        """Bytes that the service's processes hold together (proportional set size: shared pages counted once)."""
        pids = [self.process.pid, *children(self.process.pid), *self.worker_pids()]
        return sum(_proportional(pid) for pid in pids)


def children(pid: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _proportional(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def serving(log: Path, *options: str, workers: int, **environment: str) -> Iterator[Service]:
    """A service that is ready. Ended when this is left."""
    command = [sys.executable, "-m", "analyzer.cli", "serve", "--port", "0", "--workers", str(workers), *options]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, env={**os.environ, **environment})
    try:
        yield Service(_address(log, process), process, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(120)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + _LONGEST_START
    while time.monotonic() < end:
        found = re.search(r"chartgap: serving (\S+)", log.read_text(encoding="utf-8"))
        if found:
            return found[1]
        if process.poll() is not None:
            raise RuntimeError(log.read_text(encoding="utf-8"))
        time.sleep(0.05)
    raise RuntimeError("the service did not get ready")

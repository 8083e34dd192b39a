"""`chartgap serve` in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_LONGEST_START = 180.0


@contextmanager
def serving(log: Path, *options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a ready service and its process; its stderr goes to `log`. Ended when this is left."""
    command = [sys.executable, "-m", "analyzer.cli", "serve", "--port", "0", "--workers", "1", *options]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, env={**os.environ, **environment})
    try:
        yield _address(log, process), process
    finally:
        process.terminate()
        process.wait(60)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(int(_LONGEST_START * 20)):
        found = re.search(r"chartgap: serving (\S+)", log.read_text(encoding="utf-8"))
        if found:
            return found[1]
        if process.poll() is not None:
            raise AssertionError(log.read_text(encoding="utf-8"))
        time.sleep(0.05)
    raise AssertionError("the service did not start")

"""Every example of docs/scribe-integration.md runs as it stands, in its own language."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.service_process import Service

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "scribe-integration.md"
RUN = {
    "python": [sys.executable, "-"],
    "javascript": ["node", "--input-type=module"],
    "bash": ["bash", "-euo", "pipefail"],
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
BLOCKS = [
    (section.split("\n", 1)[0], block[1], block[2])
    for section in re.split(r"^## ", GUIDE.read_text(encoding="utf-8"), flags=re.M)[1:]
    for block in _BLOCK.finditer(section)
]


def test_the_guide_has_its_languages() -> None:
    assert {language for _, language, _ in BLOCKS} == set(RUN)


@pytest.mark.parametrize(("title", "language", "code"), BLOCKS, ids=[title for title, _, _ in BLOCKS])
def test_example(server: Service, title: str, language: str, code: str) -> None:
    environment = {**os.environ, "CHARTGAP_URL": server.address, "CHARTGAP_KEY": "none"}
    done = subprocess.run(RUN[language], input=code, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "many notes" in title:
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line.get("note_id") for line in lines] == ["a", None, "c"]
        assert lines[1]["line"] == 2
    elif title.startswith("FHIR"):
        assert json.loads(done.stdout)["note_id"] == "doc-1"
    elif title.startswith("JavaScript"):
        assert "trauma_mechanism fall" in done.stdout

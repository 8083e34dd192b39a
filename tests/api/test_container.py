"""The container's files, as far as they can be checked without an engine."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from api.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "api" / "Dockerfile").read_text(encoding="utf-8")
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "api" / "compose.yaml").read_text(encoding="utf-8"))["services"][
    "chartgap"
]
VARIABLES = {f"CHARTGAP_{field.name.upper()}" for field in fields(Settings)} | {"CHARTGAP_HOST", "CHARTGAP_PORT"}


def test_what_is_copied_exists_and_is_all_that_a_wheel_needs() -> None:
    copied = {part for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M) for part in line.split()[:-1]}
    assert copied == {"pyproject.toml", "README.md", "analyzer", "api", "patterns", "sample_notes"}
    assert all((ROOT / part).exists() for part in copied)


def test_it_runs_as_nobody_on_a_read_only_system() -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]
    assert re.search(r"^USER 10001$", final, re.M)
    assert final.index("USER 10001") < final.index("ENTRYPOINT")
    assert "build-essential" not in final
    assert "HEALTHCHECK" in final
    assert "/readyz" in final
    assert SERVICE["read_only"]
    assert SERVICE["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in SERVICE["security_opt"]
    assert SERVICE["ports"] == ["127.0.0.1:8000:8000"]


def test_every_variable_is_one_of_the_settings() -> None:
    named = set(re.findall(r"CHARTGAP_[A-Z_]+(?==)", DOCKERFILE)) | set(SERVICE["environment"])
    assert named <= VARIABLES
    keys = SERVICE["environment"]["CHARTGAP_KEYS_FILE"]
    assert any(volume.endswith(f":{Path(keys).parent}:ro") for volume in SERVICE["volumes"])


def test_a_stop_waits_for_what_was_accepted() -> None:
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > Settings().job_seconds + 10

"""One application with one worker for all tests that need answers; tests of who may ask need no worker at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from analyzer import Note
from api.app import create_app
from api.settings import Settings
from bench.service_process import Service, serving


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """A client of a running application."""
    with TestClient(create_app(Settings(workers=1, queue=4, job_seconds=60))) as ready:
        yield ready


@pytest.fixture
def idle_client() -> Callable[..., TestClient]:
    """Makes clients of applications whose workers never start."""

    def make(host: str = "127.0.0.1", **settings: Any) -> TestClient:
        return TestClient(create_app(Settings(workers=1, **settings)), client=(host, 50000))

    return make


@pytest.fixture
def note_json(samples: list[Note]) -> dict[str, Any]:
    """A sample note with gaps, as its JSON."""
    note = next(note for note in samples if note.note_id == "checkbox-intake-template")
    return note.model_dump(mode="json", exclude_none=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in a process of its own, as `chartgap serve` starts it."""
    with serving(tmp_path_factory.mktemp("serve") / "log", workers=1) as service:
        yield service

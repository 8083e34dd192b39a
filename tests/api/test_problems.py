"""Whatever is wrong is answered as a problem (RFC 9457) that does not repeat what was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.problems import KNOWN, PREFIX, Problem
from api.settings import Settings

MARK = "ZQXMARKER"


def check(answer: Any, status: int, name: str) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.text)
    assert (found.type, found.title) == (PREFIX + name, KNOWN[name][1])  # type: ignore[index]
    assert found.status == status
    assert MARK not in answer.text
    assert answer.headers["x-request-id"]
    return found


BODIES: list[tuple[Any, int, str, str | None]] = [
    ("", 400, "bad-request", None),
    (f'{{"note_id": "n", "text": "{MARK}', 400, "bad-request", None),
    (f'{{"note_id": "n", "text": "{MARK} \\ud800"}}', 400, "bad-request", None),
    ('{"note_id": NaN}', 422, "invalid", "/note_id"),
    ("[" * 5000, 400, "bad-request", None),
    (f'"{MARK}"', 422, "invalid", ""),
    ({"note_id": "n"}, 422, "invalid", "/text"),
    ({"note_id": "n", "text": [MARK]}, 422, "invalid", "/text"),
    ({"note_id": "n", "text": MARK, "date_of_service": 0}, 422, "invalid", "/date_of_service"),
    ({"note_id": "n", "text": MARK, "date_of_service": MARK}, 422, "invalid", "/date_of_service"),
    ({"note_id": "n", "text": MARK, "date_of_service": "2025-02-30"}, 422, "invalid", "/date_of_service"),
    ({"note_id": "n", "text": MARK, "setting": MARK}, 422, "invalid", "/setting"),
    ({"note_id": "n", "text": MARK, "code": f"{MARK} {MARK}"}, 422, "invalid", "/code"),
    ({"note_id": "n", "text": MARK, "code": "M48.3"}, 422, "invalid", "/code"),
    ({"note_id": "n", "text": MARK, "offset_unit": MARK}, 422, "invalid", "/offset_unit"),
    ({"note_id": "n", "text": MARK, "revision": [MARK]}, 422, "invalid", "/revision"),
]


@pytest.mark.parametrize(("body", "status", "name", "pointer"), BODIES)
def test_wrong_bodies(client: TestClient, body: Any, status: int, name: str, pointer: str | None) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/v1/gap-reports", content=content, headers={"Content-Type": "application/json"})
    found = check(answer, status, name)
    if pointer is not None:
        assert found.errors[0].pointer.startswith(pointer)


def test_unknown_paths_methods_and_media_types(client: TestClient) -> None:
    check(client.get(f"/{MARK}"), 404, "not-found")
    check(client.get(f"/v1/packs/{MARK}"), 404, "not-found")
    check(client.get(f"/v1/codes/{MARK}"), 404, "not-found")
    wrong_method = client.put("/v1/gap-reports", content=MARK)
    check(wrong_method, 405, "method-not-allowed")
    assert wrong_method.headers["allow"] == "POST"
    for path in ("/v1/gap-reports", "/v1/cases", "/v1/queries:lint", "/v1/gap-reports:batch"):
        check(client.post(path, content=MARK, headers={"Content-Type": "text/plain"}), 415, "unsupported-media-type")
    check(client.post("/v1/gap-reports", params={"offset_unit": MARK}, json={}), 422, "invalid")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_too_large_is_refused_before_it_is_read(idle_client: Callable[..., TestClient], chunked: bool) -> None:
    client = idle_client(body_limit=1000)
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield MARK.encode() * 100

    body = pieces() if chunked else MARK.encode() * 1000
    answer = client.post("/v1/gap-reports", content=body, headers={"Content-Type": "application/json"})
    check(answer, 413, "too-large")


def test_an_unexpected_failure_keeps_the_note_back(
    idle_client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fail(*arguments: Any, **more: Any) -> None:
        raise ValueError(MARK)

    monkeypatch.setattr("api.pool.WorkerPool.run", fail)
    check(idle_client().post("/v1/gap-reports", json={"note_id": "n", "text": MARK}), 500, "internal")
    said = capfd.readouterr()
    assert MARK not in said.out + said.err
    assert "ValueError at test_problems.py" in said.err


def test_strict_headers_on_every_answer(client: TestClient) -> None:
    for path in ("/", "/page/main.js", "/healthz", "/v1/packs", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")
    assert client.get("/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/healthz", headers={"X-Request-Id": "not mine"}).headers["x-request-id"] != "not mine"


def test_health_readiness_and_figures(client: TestClient) -> None:
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    client.post("/v1/gap-reports", json={"note_id": MARK, "text": f"{MARK} sacral fracture"})
    figures = client.get("/metrics").text
    assert 'chartgap_requests_total{method="POST",route="/v1/gap-reports",status="200"}' in figures
    assert 'chartgap_reports_total{code="M48.38"' in figures
    assert MARK not in figures


def test_not_ready_before_the_workers_are_warm(idle_client: Callable[..., TestClient]) -> None:
    client = idle_client()
    assert client.get("/healthz").status_code == 200
    check(client.get("/readyz"), 503, "not-ready")


def test_a_full_queue_answers_busy_and_when_to_come_back(
    idle_client: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(Settings(workers=1, queue=0))
    monkeypatch.setattr(app.state.pool, "_held", 1)
    monkeypatch.setattr(app.state.pool, "start", lambda: [])
    answer = TestClient(app).post("/v1/gap-reports", json={"note_id": "n", "text": "x"})
    check(answer, 503, "busy")
    assert answer.headers["retry-after"] == "1"

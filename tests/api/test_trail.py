"""The audit trail says who read which note, and no log says what a note says."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.keys import new_key, write_keys
from api.settings import Settings
from api.trail import Trail

MARK = "ZQXMARKER"
TEXT = f"HPI: {MARK} fell on ice onto the coccyx. {MARK} ASSESSMENT: old coccyx fracture {MARK}."


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trail")


@pytest.fixture(scope="module")
def keyed_client(kept: Path) -> Iterator[TestClient]:
    clear, key = new_key("scribe-a")
    write_keys(kept / "keys.json", [key])
    settings = Settings(workers=1, keys_file=str(kept / "keys.json"), audit_file=str(kept / "audit.jsonl"))
    # Streams are pytest's own and change with every test, so the log goes to whatever is stderr at the time.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.trail.sys.stderr", _Stderr())
        app = create_app(settings)
    with TestClient(app, headers={"X-API-Key": clear}, client=("10.1.2.3", 4711)) as ready:
        yield ready


class _Stderr(io.TextIOBase):
    def write(self, text: str) -> int:
        return sys.stderr.write(text)


def entries(kept: Path, request_id: str) -> list[dict[str, Any]]:
    lines = (kept / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["request_id"] == request_id]


def test_reading_a_note_leaves_an_entry(keyed_client: TestClient, kept: Path) -> None:
    body = {"note_id": "n-1", "text": TEXT}
    answer = keyed_client.post("/v1/gap-reports", json=body, headers={"X-Request-Id": "r-1"})
    assert answer.status_code == 200
    (entry,) = entries(kept, "r-1")
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "event": "notes_read",
        "request_id": "r-1",
        "caller": "scribe-a",
        "caller_kind": "key",
        "client": "10.1.2.3",
        "route": "/v1/gap-reports",
        "notes": [{"note_id": "n-1", "text_sha256": hashlib.sha256(TEXT.encode()).hexdigest()}],
        "code": answer.json()["code"],
        "verdict": answer.json()["verdict"],
        "status": 200,
    }
    assert (kept / "audit.jsonl").stat().st_mode & 0o077 == 0


def test_every_line_of_a_batch_leaves_one(keyed_client: TestClient, kept: Path) -> None:
    lines = [json.dumps({"note_id": f"n-{i}", "text": TEXT}) for i in range(3)]
    headers = {"X-Request-Id": "r-2", "Content-Type": "application/x-ndjson"}
    keyed_client.post("/v1/gap-reports:batch", content="\n".join([lines[0], "{", *lines[1:]]), headers=headers)
    found = entries(kept, "r-2")
    assert [(e["line"], e["notes"][0]["note_id"]) for e in found] == [(1, "n-0"), (3, "n-1"), (4, "n-2")]


def test_somebody_refused_leaves_one(keyed_client: TestClient, kept: Path) -> None:
    keyed_client.post("/v1/gap-reports", json={}, headers={"X-Request-Id": "r-3", "X-API-Key": "cg_wrong"})
    (entry,) = entries(kept, "r-3")
    assert (entry["event"], entry["status"], entry["client"]) == ("refused", 401, "10.1.2.3")
    assert "cg_wrong" not in json.dumps(entry)


def test_a_note_id_that_looks_like_none_is_left_to_its_hash(keyed_client: TestClient, kept: Path) -> None:
    for number, note_id in enumerate(("x" * 201, "a\nb", "\x00")):
        body = {"note_id": note_id, "text": TEXT}
        keyed_client.post("/v1/gap-reports", json=body, headers={"X-Request-Id": f"r-4{number}"})
        assert set(entries(kept, f"r-4{number}")[0]["notes"][0]) == {"text_sha256"}


def test_no_answer_without_an_entry(keyed_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trail, "notes_read", full)
    assert keyed_client.post("/v1/gap-reports", json={"note_id": "n", "text": TEXT}).status_code == 500


def test_no_log_says_what_a_note_says(keyed_client: TestClient, kept: Path, capfd: pytest.CaptureFixture[str]) -> None:
    case = {"notes": [{"note_id": "a", "text": TEXT}, {"note_id": "b", "text": TEXT, "setting": MARK}]}
    for path, body in (
        ("/v1/gap-reports", {"note_id": "n", "text": TEXT}),
        ("/v1/gap-reports", {"note_id": "n", "text": TEXT, "date_of_service": MARK, MARK: MARK}),
        ("/v1/gap-reports", {"note_id": "n", "text": TEXT, "code": MARK}),
        ("/v1/cases", case),
        ("/v1/queries:lint", {"text": TEXT, "record": [TEXT]}),
        ("/v1/queries:combine", {"notes": case["notes"], "queries": [{"requirement": MARK}]}),
        ("/cds-services/documentation-gaps-note-sign", {"hook": MARK, "context": {"note": {"text": MARK}}}),
        (f"/cds-services/{MARK}", {}),
    ):
        keyed_client.post(path, json=body)
    json_type = {"Content-Type": "application/json"}
    keyed_client.post(f"/v1/gap-reports?{MARK}={MARK}", content=f"{{{MARK}", headers=json_type)
    keyed_client.post(
        "/v1/documents:text", content=TEXT, headers={"Content-Disposition": f'attachment; filename="{MARK}"'}
    )
    keyed_client.request(MARK, f"/{MARK}", headers={"User-Agent": MARK, "X-Request-Id": f"{MARK} x"})
    said = capfd.readouterr()
    assert said.err.count('"event": "request"') >= 11
    assert MARK not in said.err + said.out
    assert MARK not in (kept / "audit.jsonl").read_text(encoding="utf-8")
    assert MARK not in keyed_client.get("/metrics").text

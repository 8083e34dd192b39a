"""Gap reports, queries and reference pages over HTTP: the library's own answers, counted as the caller counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from analyzer import Analyzer, Note

TEXT = "🙂 HPI: Née Möller. Fell on ice onto the tailbone on 2023-01-14.\nASSESSMENT: 🙂 Old coccyx fracture, healed.\n"


def post(client: TestClient, path: str, body: Any, **more: Any) -> Any:
    answer = client.post(path, json=body, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def spans(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a report that places something in a note."""
    if isinstance(value, dict):
        if "start" in value and "note_id" in value:
            yield value
        for item in value.values():
            yield from spans(item)
    elif isinstance(value, list):
        for item in value:
            yield from spans(item)


def test_the_service_answers_the_library_s_own_bytes(client: TestClient, analyzer: Analyzer, sample: Note) -> None:
    answer = client.post("/v1/gap-reports", json=sample.model_dump(mode="json", exclude_none=True))
    assert answer.status_code == 200
    assert answer.text == analyzer.report(sample).to_json()


@pytest.mark.parametrize(
    ("unit", "part"),
    [
        ("codepoint", lambda text, a, b: text[a:b]),
        ("utf16", lambda text, a, b: text.encode("utf-16-le")[2 * a : 2 * b].decode("utf-16-le")),
        ("utf8", lambda text, a, b: text.encode()[a:b].decode()),
    ],
)
@pytest.mark.parametrize("where", ["body", "address"])
def test_every_offset_counts_as_asked(client: TestClient, unit: str, part: Any, where: str) -> None:
    body = {"note_id": "n", "text": TEXT, "date_of_service": "2025-01-01"}
    if where == "body":
        report = post(client, "/v1/gap-reports", {**body, "offset_unit": unit})
    else:
        report = post(client, "/v1/gap-reports", body, params={"offset_unit": unit})
    assert report["offset_unit"] == unit
    plain = post(client, "/v1/gap-reports", body)
    pairs = list(zip(spans(report), spans(plain), strict=True))
    assert len(pairs) > 8
    for span, other in pairs:
        assert part(TEXT, span["start"], span["end"]) == TEXT[other["start"] : other["end"]]
        if "text" in span:
            assert span["text"] == part(TEXT, span["start"], span["end"])


@pytest.mark.parametrize("revision", [7, 0, "draft-a"])
def test_a_draft_gets_prompts_and_its_revision_back(
    client: TestClient, note_json: dict[str, Any], revision: Any
) -> None:
    body = {**note_json, "complete": False, "revision": revision}
    report = post(client, "/v1/gap-reports", body)
    assert report["revision"] == revision
    assert report["verdict"] is None
    assert report["queries"] == []
    assert report["prompts"]
    assert set(report["prompts"][0]) == {"requirement", "question"}


def test_revision_and_unit_are_silent_when_not_asked_for(client: TestClient) -> None:
    assert not {"revision", "offset_unit"} & set(post(client, "/v1/gap-reports", {"note_id": "n", "text": TEXT}))


def test_fields_that_are_not_known_are_passed_over(client: TestClient) -> None:
    plain = post(client, "/v1/gap-reports", {"note_id": "n", "text": TEXT})
    assert post(client, "/v1/gap-reports", {"note_id": "n", "text": TEXT, "mood": [1]}) == plain


def test_the_code_of_the_note_wins_over_the_address(client: TestClient) -> None:
    body = {"note_id": "n", "text": TEXT}
    assert post(client, "/v1/gap-reports", {**body, "code": "M48.38"}, params={"code": "M48.3"})["code"] == "M48.38"
    assert client.post("/v1/gap-reports", json=body, params={"code": "M48.3"}).status_code == 422


def test_findings_keep_their_ids_when_the_note_grows(client: TestClient) -> None:
    before = post(client, "/v1/gap-reports", {"note_id": "n", "text": TEXT})["findings"]
    after = post(client, "/v1/gap-reports", {"note_id": "n", "text": TEXT + "PLAN: films of the sacrum.\n"})["findings"]
    assert {f["id"] for f in before} <= {f["id"] for f in after}


def test_lint_finds_what_leads(client: TestClient) -> None:
    text = "🙂 Please document traumatic spondylopathy."
    found = post(client, "/v1/queries:lint", {"text": text, "offset_unit": "utf16"})["findings"]
    units = text.encode("utf-16-le")
    assert found
    for finding in found:
        assert units[2 * finding["start"] : 2 * finding["end"]].decode("utf-16-le") == finding["text"]
    assert post(client, "/v1/queries:lint", {"text": "When did the injury happen?"}) == {"findings": []}


def test_combined_queries_are_the_report_s_own(client: TestClient, note_json: dict[str, Any]) -> None:
    report = post(client, "/v1/gap-reports", note_json)
    asked = [{"requirement": r["id"]} for r in report["requirements"] if r["query"]]
    combined = post(client, "/v1/queries:combine", {"notes": [note_json], "queries": asked})
    assert combined["messages"] == report["queries"]
    assert combined["compliant"]


def test_an_edited_query_is_combined_in_the_reviewer_s_words_and_linted(
    client: TestClient, note_json: dict[str, Any]
) -> None:
    report = post(client, "/v1/gap-reports", note_json)
    gap = next(r["id"] for r in report["requirements"] if r["query"])

    def combine(question: str) -> Any:
        queries = [{"requirement": gap, "question": question}]
        return post(client, "/v1/queries:combine", {"notes": [note_json], "queries": queries})

    kind, leading = combine("When was this?"), combine("Please document that it was in 2021.")
    assert "When was this?" in kind["messages"][0]["text"]
    assert kind["compliant"]
    assert not leading["compliant"]
    assert leading["findings"][leading["messages"][0]["id"]]
    assert kind["messages"][0]["id"] != leading["messages"][0]["id"] != report["queries"][0]["id"]


def test_a_query_that_the_note_does_not_leave_is_refused(client: TestClient, note_json: dict[str, Any]) -> None:
    for name, reason in (("region", "no query"), ("weather", "unknown")):
        answer = client.post("/v1/queries:combine", json={"notes": [note_json], "queries": [{"requirement": name}]})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "/queries/0/requirement"
        assert reason in answer.json()["errors"][0]["detail"]


def test_packs_and_codes(client: TestClient) -> None:
    listed = client.get("/v1/packs").json()["packs"]
    assert [pack["id"] for pack in listed] == ["traumatic-spondylopathy", "sacral-fracture"]
    pack = client.get("/v1/packs/traumatic-spondylopathy").json()
    assert [r["id"] for r in pack["requirements"]][:2] == ["region", "trauma_mechanism"]
    assert all(r["prompt"].endswith("?") for r in pack["requirements"])
    assert client.get("/v1/codes/M48.38").json()["code"] == "M48.38"
    assert client.get("/v1/codes/m4838").json()["code"] == "M48.38"
    assert client.get("/v1/packs/none").status_code == client.get("/v1/codes/M48.3Z9").status_code == 404


def test_samples_are_notes_that_the_service_takes(client: TestClient, samples: list[Note]) -> None:
    notes = client.get("/v1/samples").json()["notes"]
    assert [note["note_id"] for note in notes] == [note.note_id for note in samples]
    assert post(client, "/v1/gap-reports", notes[0])["note_id"] == notes[0]["note_id"]


def test_batch_answers_in_order_and_a_bad_line_fails_alone(client: TestClient, samples: list[Note]) -> None:
    good = [note.model_dump_json(exclude_none=True) for note in samples[:5]]
    wrong = ["{", '{"note_id": "x"}', json.dumps({"note_id": "x", "text": "y", "code": "M48.3"}), "[]", "\udcff"]
    lines = [good[0], *wrong, "", *good[1:]]
    body = "\n".join(lines).encode("utf-8", "surrogateescape")
    answer = client.post(
        "/v1/gap-reports:batch",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
        params={"code": "M48.38"},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    out = [json.loads(line) for line in answer.text.splitlines()]
    assert [item.get("note_id") for item in out] == [
        samples[0].note_id,
        *[None] * 5,
        *[n.note_id for n in samples[1:5]],
    ]
    failed = [item for item in out if "problem" in item]
    assert [item["line"] for item in failed] == [2, 3, 4, 5, 6]
    assert [item["problem"]["status"] for item in failed] == [400, 422, 422, 422, 400]


def test_a_line_that_is_too_long_fails_alone(client: TestClient) -> None:
    note = json.dumps({"note_id": "n", "text": "pain"})
    long = json.dumps({"note_id": "n", "text": "x" * (1 << 20)})
    answer = client.post(
        "/v1/gap-reports:batch", content=f"{note}\n{long}\n{note}", headers={"Content-Type": "application/x-ndjson"}
    )
    out = [json.loads(line) for line in answer.text.splitlines()]
    assert [item.get("line") for item in out] == [None, 2, None]
    assert out[1]["problem"]["status"] == 413

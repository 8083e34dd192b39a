"""A CDS Hooks 2.0 client's exchange: discovery, calls with prefetch, cards, feedback."""

from __future__ import annotations

import base64
import re
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from analyzer import Note

NOTE_HOOK = "org.chartgap.note-sign"


@pytest.fixture(scope="module")
def services(client: TestClient) -> dict[str, Any]:
    """Services by hook, as a client finds them."""
    return {service["hook"]: service for service in client.get("/cds-services").json()["services"]}


def document(note: Note, **more: Any) -> dict[str, Any]:
    text = base64.b64encode(note.text.encode()).decode()
    day = note.date_of_service.isoformat() if note.date_of_service else None
    return {
        "resourceType": "DocumentReference",
        "id": note.note_id,
        "status": "current",
        "docStatus": "final",
        "subject": {"reference": "Patient/p1"},
        "context": {"encounter": [{"reference": "Encounter/e1"}], "period": {"start": day}},
        "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": text}}],
        **more,
    }


def searchset(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": each} for each in resources]}


def hook_call(hook: str, **more: Any) -> dict[str, Any]:
    return {
        "hook": hook,
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {"access_token": "secret", "token_type": "Bearer"},
        "context": {"userId": "Practitioner/7", "patientId": "p1", "encounterId": "e1", "draftOrders": {}},
        "extension": {"com.example": 1},
        **more,
    }


def cards(client: TestClient, service: dict[str, Any], body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(f"/cds-services/{service['id']}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["cards"]  # type: ignore[no-any-return]


def by_id(samples: list[Note], note_id: str) -> Note:
    return next(note for note in samples if note.note_id == note_id)


def test_discovery(services: dict[str, Any]) -> None:
    assert set(services) == {"encounter-discharge", "order-sign", NOTE_HOOK}
    for service in services.values():
        assert service["description"]
        assert re.fullmatch(r"[\w.-]+", service["id"])
        for query in service["prefetch"].values():
            assert "{{context.encounterId}}" in query


@pytest.mark.parametrize("hook", ["encounter-discharge", "order-sign"])
def test_a_note_with_gaps_gives_a_card_a_question(
    client: TestClient, services: dict[str, Any], samples: list[Note], hook: str
) -> None:
    note = by_id(samples, "telephone-encounter")
    report = client.post("/v1/gap-reports", json=note.model_dump(mode="json")).json()
    found = cards(client, services[hook], hook_call(hook, prefetch={"notes": searchset(document(note))}))
    asked = [r for r in report["requirements"] if r["query"]]
    assert len(found) == len(asked) > 1
    assert {card["indicator"] for card in found} <= {"info", "warning"}
    warned = [r for r in asked if r["send_query"] == "yes"]
    assert [card["indicator"] for card in found].count("warning") == len(warned)
    for card in found:
        assert 0 < len(card["summary"]) < 140
        assert card["source"]["label"] == "Chartgap"
        assert all({"code", "system", "display"} == set(reason) for reason in card["overrideReasons"])
        assert not re.search(r"[A-Z]\d\d\.\d", card["summary"] + card["detail"])
        UUID(card["uuid"])
    assert len({card["uuid"] for card in found}) == len(found)


def test_the_note_being_signed(client: TestClient, services: dict[str, Any], samples: list[Note]) -> None:
    note = by_id(samples, "checkbox-intake-template")
    body = hook_call(NOTE_HOOK)
    body["context"]["note"] = document(note)
    (card,) = cards(client, services[NOTE_HOOK], body)
    assert card["summary"] == "Clarification: time of onset"
    del body["context"]["note"]
    answer = client.post(f"/cds-services/{services[NOTE_HOOK]['id']}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/context/note"


def test_notes_that_are_not_about_it_or_not_there_give_no_card(
    client: TestClient, services: dict[str, Any], samples: list[Note]
) -> None:
    service = services["encounter-discharge"]
    ulcer = document(by_id(samples, "wound-care-sacral-ulcer"))
    for notes in (searchset(ulcer), searchset(), {"resourceType": "Bundle", "type": "searchset", "total": 0}, None):
        assert cards(client, service, hook_call("encounter-discharge", prefetch={"notes": notes})) == []


def test_an_encounter_s_notes_are_judged_together(
    client: TestClient, services: dict[str, Any], samples: list[Note]
) -> None:
    notes = [by_id(samples, "checkbox-intake-template"), by_id(samples, "telephone-encounter")]
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}}
    prefetch = {"notes": searchset(*map(document, notes)), "encounter": encounter}
    service = services["encounter-discharge"]
    found = cards(client, service, hook_call("encounter-discharge", prefetch=prefetch))
    shown = {"signed": True, "setting": "outpatient", "patient_id": "p1", "encounter_id": "e1"}
    given = [{**n.model_dump(mode="json", include={"note_id", "text", "date_of_service"}), **shown} for n in notes]
    report = client.post("/v1/cases", json={"notes": given}).json()
    assert report["note_ids"] == [n.note_id for n in sorted(notes, key=lambda n: str(n.date_of_service))]
    assert sorted(card["summary"] for card in found) == sorted(
        r["query"]["title"] for r in report["requirements"] if r["query"]
    )


def test_a_note_that_cannot_be_read_is_said_not_hidden(
    client: TestClient, services: dict[str, Any], samples: list[Note]
) -> None:
    elsewhere = document(by_id(samples, "telephone-encounter"))
    elsewhere["content"] = [{"attachment": {"contentType": "text/plain", "url": "Binary/1"}}]
    (card,) = cards(client, services["order-sign"], hook_call("order-sign", prefetch={"notes": searchset(elsewhere)}))
    assert card["summary"] == "1 of 1 notes could not be read"
    assert card["indicator"] == "info"


@pytest.mark.parametrize(
    "prefetch", [{}, {"notes": {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}}]
)
def test_missing_prefetch_is_a_failed_precondition(
    client: TestClient, services: dict[str, Any], prefetch: dict[str, Any]
) -> None:
    service = services["encounter-discharge"]
    answer = client.post(f"/cds-services/{service['id']}", json=hook_call("encounter-discharge", prefetch=prefetch))
    assert answer.status_code == 412
    assert "DocumentReference?" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"hook": "patient-view"}, "/hook"),
        ({"hookInstance": "one"}, "/hookInstance"),
        ({"context": {"userId": "u"}}, "/context/patientId"),
        ({"prefetch": {"notes": [1]}}, "/prefetch/notes"),
    ],
)
def test_wrong_calls(client: TestClient, services: dict[str, Any], change: Any, pointer: str) -> None:
    body = {**hook_call("order-sign", prefetch={"notes": None}), **change}
    answer = client.post(f"/cds-services/{services['order-sign']['id']}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_markup_in_a_note_is_shown_not_obeyed(
    client: TestClient, services: dict[str, Any], samples: list[Note]
) -> None:
    note = by_id(samples, "checkbox-intake-template")
    evil = note.model_copy(update={"text": note.text.replace("fall", "fall <img src=x> *b* [l](http://x)")})
    body = hook_call("order-sign", prefetch={"notes": searchset(document(evil))})
    for card in cards(client, services["order-sign"], body):
        assert not re.search(r"(?<!\\)<|(?<!\\)\]\(", card["detail"])


def test_feedback_is_counted_and_nothing_of_it_kept(client: TestClient, services: dict[str, Any]) -> None:
    path = f"/cds-services/{services['order-sign']['id']}/feedback"
    outcome = {"card": "c-1", "outcomeTimestamp": "2025-11-10T15:04:05Z"}
    body = {
        "feedback": [
            {**outcome, "outcome": "accepted", "acceptedSuggestions": []},
            {**outcome, "outcome": "overridden", "overrideReason": {"userComment": "ZQXMARKER"}},
        ]
    }
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()) == (200, {"counted": 2})
    figures = client.get("/metrics").text
    assert 'chartgap_cds_feedback_total{outcome="overridden",service="documentation-gaps-order-sign"} 1.0' in figures
    assert "ZQXMARKER" not in figures
    for wrong in ({}, {"feedback": []}, {"feedback": [{**outcome, "outcome": "ignored"}]}):
        assert client.post(path, json=wrong).status_code == 422
    assert client.post("/cds-services/none/feedback", json=body).status_code == 404

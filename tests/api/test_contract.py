"""The OpenAPI description says what the service does: its examples work, generated requests get what it promises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from api.app import create_app
from api.examples import BODIES, PATHS
from api.media import NDJSON
from api.settings import Settings
from bench.service_contract import requests_logged, run, table
from bench.service_process import Service

DESCRIPTION: dict[str, Any] = create_app(Settings(workers=1)).openapi()
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
}
EXAMPLES = [
    pytest.param(name, media_type, title, value, id=f"{name}-{title}")
    for name, bodies in BODIES.items()
    for media_type, examples in bodies.items()
    for title, value in examples
]


def checked(name: str, answer: Any) -> None:
    """The answer is one that the description has for the operation."""
    _, _, operation = OPERATIONS[name]
    content = operation["responses"][str(answer.status_code)]["content"]
    media_type = answer.headers["content-type"].split(";")[0]
    if media_type.endswith("json") and media_type != NDJSON:
        schema = {**content[media_type]["schema"], "components": DESCRIPTION["components"]}
        Draft202012Validator(schema).validate(answer.json())
    else:
        assert media_type in content


@pytest.mark.parametrize(("name", "media_type", "title", "value"), EXAMPLES)
def test_every_example_request_works(client: TestClient, name: str, media_type: str, title: str, value: Any) -> None:
    path = OPERATIONS[name][0]
    for key, known in PATHS.items():
        path = path.replace(f"{{{key}}}", known)
    if name == "cds_call":
        path = f"/cds-services/{next(s['id'] for s in services(client) if s['title'] == title)}"
    if media_type == NDJSON:
        content = "".join(json.dumps(line) + "\n" for line in value)
    else:
        content = value if isinstance(value, str) else json.dumps(value)
    answer = client.post(path, content=content, headers={"Content-Type": media_type})
    assert answer.status_code == 200, answer.text
    checked(name, answer)


def services(client: TestClient) -> list[dict[str, Any]]:
    return client.get("/cds-services").json()["services"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [name for name, (_, method, _) in OPERATIONS.items() if method == "get"])
def test_everything_that_is_got_is_described(client: TestClient, name: str) -> None:
    path = OPERATIONS[name][0]
    for key, known in PATHS.items():
        path = path.replace(f"{{{key}}}", known)
    answer = client.get(path)
    assert answer.status_code == 200
    checked(name, answer)


def test_every_operation_with_a_body_has_an_example() -> None:
    assert set(BODIES) == {name for name, (_, method, _) in OPERATIONS.items() if method == "post"}


def test_generated_requests_get_what_the_description_promises(server: Service) -> None:
    before = len(requests_logged(server))
    # This server asks for no key; bench/service_contract.py runs all checks on one that does.
    code, said = run(server, "none", 4, 7, "examples,fuzzing", "ignored_auth")
    requests = requests_logged(server)[before:]
    assert code == 0, f"{said[-6000:]}\n{table(requests)}"
    assert len(requests) > 60
    assert not [entry for entry in requests if entry["status"] == 500 or "fault" in entry]

"""Who may ask: keys, tokens, rates, and a service without any of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.testclient import TestClient
from typer.testing import CliRunner

from analyzer.cli import app as command_line
from analyzer.errors import InputError
from api import keys as keys_module
from api.keys import KeyRing, new_key, read_keys, write_keys

Make = Callable[..., TestClient]
WHAT = "/v1/samples"
"""Answered without a worker."""


def status(client: TestClient, **headers: str) -> int:
    return client.get(WHAT, headers={name.replace("_", "-"): value for name, value in headers.items()}).status_code


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of keys are looked at on every request, not once a second."""
    monkeypatch.setattr(keys_module, "_LOOK_AGAIN", 0.0)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_opens_in_either_header_and_nothing_else_does(idle_client: Make, key_file: Path) -> None:
    clear, kept = new_key("scribe")
    write_keys(key_file, [kept])
    client = idle_client(keys_file=str(key_file))
    assert status(client, Authorization=f"Bearer {clear}") == status(client, X_API_Key=clear) == 200
    for wrong in (
        "",
        "Bearer",
        f"Basic {clear}",
        "Bearer cg_x",
        f"Bearer {clear}x",
        "Bearer a.b.c",
        f"Bearer {kept.sha256}",
    ):
        answer = client.get(WHAT, headers={"Authorization": wrong})
        assert answer.status_code == 401, wrong
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


def test_only_what_holds_nothing_is_open(idle_client: Make, key_file: Path) -> None:
    write_keys(key_file, [new_key("scribe")[1]])
    client = idle_client(keys_file=str(key_file))
    for path in ("/", "/page/main.js", "/healthz", "/readyz", "/openapi.json", "/cds-services"):
        assert client.get(path).status_code in (200, 503), path
    for path in ("/v1/packs", "/v1/codes/M48.38", "/v1/samples", "/metrics", "/mcp", "/none", "/page/../v1/packs"):
        assert client.get(path).status_code == 401, path
    for path in (
        "/v1/gap-reports",
        "/v1/gap-reports:batch",
        "/v1/cases",
        "/cds-services/x",
        "/v1/documents:text",
        "/mcp",
    ):
        assert client.post(path, json={}).status_code == 401, path


def test_the_file_holds_hashes_and_is_the_owner_s_alone(key_file: Path) -> None:
    clear, kept = new_key("scribe")
    write_keys(key_file, [kept])
    assert clear not in key_file.read_text()
    assert key_file.stat().st_mode & 0o077 == 0
    assert len(clear) > 40


def test_keys_come_and_go_without_a_restart(idle_client: Make, key_file: Path) -> None:
    old, old_kept = new_key("scribe")
    new, new_kept = new_key("scribe")
    write_keys(key_file, [old_kept])
    client = idle_client(keys_file=str(key_file))

    def both() -> tuple[int, int]:
        return status(client, X_API_Key=old), status(client, X_API_Key=new)

    assert both() == (200, 401)
    write_keys(key_file, [old_kept, new_kept])
    assert both() == (200, 200)
    write_keys(key_file, [new_kept])
    assert both() == (401, 200)


def test_a_broken_file_leaves_the_last_good_keys_and_is_told_of(
    idle_client: Make, key_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clear, kept = new_key("scribe")
    write_keys(key_file, [kept])
    client = idle_client(keys_file=str(key_file))
    key_file.write_text("{")
    assert status(client, X_API_Key=clear) == 200
    assert "keys_unreadable" in capfd.readouterr().err
    write_keys(key_file, [])
    assert status(client, X_API_Key=clear) == 401
    assert "keys_readable" in capfd.readouterr().err


def test_a_service_with_a_broken_file_does_not_start(idle_client: Make, key_file: Path) -> None:
    for content in ("", "{}", '{"keys": [{"name": "x"}]}', '{"keys": [], "more": 1}'):
        key_file.write_text(content)
        with pytest.raises(InputError, match=r"keys\.json"):
            idle_client(keys_file=str(key_file))
    with pytest.raises(InputError, match="No such file"):
        idle_client(keys_file=str(key_file) + "x")


def test_a_key_expires(key_file: Path) -> None:
    today = date.today()
    held = {}
    for days in (-1, 0, 2):
        clear, kept = new_key(f"k{days}", expires=today + timedelta(days=days))
        held[days] = (clear, kept)
    write_keys(key_file, [kept for _, kept in held.values()])
    ring = KeyRing(key_file)
    assert ring.holder(held[-1][0]) is None
    assert ring.holder(held[2][0]) is not None


def test_the_command_makes_lists_and_removes_keys(key_file: Path) -> None:
    run = CliRunner()
    made = run.invoke(command_line, ["keys", "add", "scribe", "--keys", str(key_file), "--expires", "2099-01-01"])
    clear = made.output.strip()
    assert KeyRing(key_file).holder(clear) is not None
    run.invoke(command_line, ["keys", "add", "other", "--keys", str(key_file), "--per-minute", "5"])
    listed = run.invoke(command_line, ["keys", "list", "--keys", str(key_file)]).output
    assert "scribe" in listed
    assert "other" in listed
    assert clear not in listed
    run.invoke(command_line, ["keys", "remove", "scribe", "--keys", str(key_file)])
    assert [key.name for key in read_keys(key_file)] == ["other"]


def test_each_key_has_its_own_rate(idle_client: Make, key_file: Path) -> None:
    slow, slow_kept = new_key("slow", per_minute=20)
    fast, fast_kept = new_key("fast")
    write_keys(key_file, [slow_kept, fast_kept])
    client = idle_client(keys_file=str(key_file))
    assert [status(client, X_API_Key=slow) for _ in range(3)] == [200, 200, 429]
    assert [status(client, X_API_Key=fast) for _ in range(3)] == [200] * 3
    answer = client.get(WHAT, headers={"X-API-Key": slow})
    assert 1 <= int(answer.headers["retry-after"]) <= 4
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("10.0.0.9", {}, 403),
        ("127.0.0.1", {"Host": "localhost:8000"}, 200),
        ("127.0.0.1", {"Host": "[::1]:8000"}, 200),
        ("127.0.0.1", {"Host": "127.0.0.1"}, 200),
        ("127.0.0.1", {"Host": "notes.example.org"}, 403),
        ("127.0.0.1", {"Host": "10.0.0.9:8000"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "10.0.0.9"}, 403),
        ("127.0.0.1", {"Forwarded": "for=10.0.0.9"}, 403),
    ],
)
def test_without_keys_only_this_machine_may_ask(
    idle_client: Make, host: str, headers: dict[str, str], expected: int
) -> None:
    assert idle_client(host).get(WHAT, headers=headers).status_code == expected
    assert idle_client(host, open_to_network=True).get(WHAT, headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "myhost"])
def test_serve_does_not_stand_open_on_another_address(host: str) -> None:
    answer = CliRunner().invoke(command_line, ["serve", "--host", host])
    assert answer.exit_code == 2
    assert "--open-to-network" in answer.output
    assert len(answer.output.strip().splitlines()) == 1


class Issuer:
    """A local issuer of tokens: discovery document, keys, and a way to sign."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.keys: dict[str, Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.fetched.append(self.path)
                body = json.dumps(outer.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.address, "jwks_uri": f"{self.address}/jwks"}
        jwks = []
        for kid, key in self.keys.items():
            kind = (
                jwt.algorithms.ECAlgorithm
                if isinstance(key, ec.EllipticCurvePrivateKey)
                else jwt.algorithms.RSAAlgorithm
            )
            jwks.append({**json.loads(kind.to_jwk(key.public_key())), "kid": kid, "use": "sig"})
        return {"keys": jwks}

    def token(self, kid: str = "a", *, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        now = int(time.time())
        usual = {"iss": self.address, "aud": "chartgap", "sub": "dr-7", "iat": now, "exp": now + 60}
        content = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode(content, key or self.keys[kid], algorithm, headers={"kid": kid})


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    made.keys["a"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made.keys["e"] = ec.generate_private_key(ec.SECP384R1())
    yield made
    made.server.shutdown()


def signed_with(secret: str, token: str) -> str:
    """The token's claims under a signature that takes the issuer's public key for a shared secret."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"a","typ":"JWT"}').rstrip(b"=")
    signed = head + b"." + token.split(".")[1].encode()
    mac = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def with_issuer(make: Make, folder: Path, **entry: Any) -> TestClient:
    file = folder / "issuers.json"
    file.write_text(json.dumps([entry]))
    return make(issuers_file=str(file))


def test_tokens_that_hold_and_tokens_that_do_not(idle_client: Make, tmp_path: Path, issuer: Issuer) -> None:
    client = with_issuer(idle_client, tmp_path, issuer=issuer.address, audience="chartgap", scope="notes")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(issuer.keys["a"].public_key())
    good = [
        issuer.token(scope="openid notes"),
        issuer.token("e", algorithm="ES384", scp=["notes"]),
    ]
    bad = {
        "without the scope": issuer.token(),
        "expired": issuer.token(scope="notes", exp=int(time.time()) - 60),
        "for ever": issuer.token(scope="notes", exp=None),
        "for another": issuer.token(scope="notes", aud="other"),
        "for nobody": issuer.token(scope="notes", aud=None),
        "by another": issuer.token(scope="notes", iss="https://issuer.invalid"),
        "signed by a stranger": issuer.token(scope="notes", key=stranger),
        "with a kid nobody knows": issuer.token("z", key=stranger, scope="notes"),
        "unsigned": jwt.encode({"iss": issuer.address, "aud": "chartgap", "scope": "notes"}, None, "none"),
        "signed with the public key as a secret": signed_with(public, issuer.token(scope="notes")),
        "not a token": "a.b.c",
    }
    for token in good:
        assert status(client, Authorization=f"Bearer {token}") == 200
    for name, token in bad.items():
        assert status(client, Authorization=f"Bearer {token}") == 401, name


def test_keys_of_an_issuer_are_fetched_once_and_again_when_they_change(
    idle_client: Make, tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.tokens._FETCH_SECONDS", 0.2)
    client = with_issuer(
        idle_client, tmp_path, issuer=issuer.address, audience="chartgap", jwks_uri=issuer.address + "/k"
    )
    issuer.fetched.clear()
    assert [status(client, Authorization=f"Bearer {issuer.token()}") for _ in range(3)] == [200] * 3
    assert issuer.fetched == ["/k"]
    issuer.keys["new"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    time.sleep(0.3)
    assert status(client, Authorization=f"Bearer {issuer.token('new')}") == 200
    assert issuer.fetched == ["/k", "/k"]


def test_keys_and_tokens_together(idle_client: Make, tmp_path: Path, key_file: Path, issuer: Issuer) -> None:
    clear, kept = new_key("scribe")
    write_keys(key_file, [kept])
    issuers = tmp_path / "issuers.json"
    issuers.write_text(json.dumps([{"issuer": issuer.address, "audience": "chartgap"}]))
    client = idle_client(keys_file=str(key_file), issuers_file=str(issuers))
    assert status(client, Authorization=f"Bearer {clear}") == 200
    assert status(client, Authorization=f"Bearer {issuer.token()}") == 200
    assert status(client) == 401


def test_an_issuer_must_be_reached_safely(idle_client: Make, tmp_path: Path) -> None:
    for address in ("http://issuer.invalid", "file:///etc/passwd", "issuer"):
        with pytest.raises(InputError, match="https"):
            with_issuer(idle_client, tmp_path, issuer=address, audience="chartgap")


def test_an_issuer_that_does_not_answer_lets_nobody_in(idle_client: Make, tmp_path: Path, issuer: Issuer) -> None:
    client = with_issuer(idle_client, tmp_path, issuer="http://127.0.0.1:9", audience="chartgap")
    assert status(client, Authorization=f"Bearer {issuer.token(iss='http://127.0.0.1:9')}") == 401


def test_another_origin_may_call_only_when_named(idle_client: Make) -> None:
    ask = {"Origin": "https://ehr.example", "Access-Control-Request-Method": "POST"}
    client = idle_client(origins=("https://ehr.example",))
    assert client.options("/cds-services", headers=ask).headers["access-control-allow-origin"] == "https://ehr.example"
    assert client.options("/cds-services", headers={**ask, "Origin": "https://x.example"}).status_code == 400
    assert "access-control-allow-origin" not in idle_client().options("/cds-services", headers=ask).headers

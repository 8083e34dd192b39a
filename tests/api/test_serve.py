"""The service as a process: it streams, outlives its workers, and finishes what it accepted."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.keys import new_key, write_keys
from bench.service_process import Service, serving

NOTE = {"note_id": "n", "text": "CC: tailbone pain since a fall on ice in 2023."}
SLOW = {"note_id": "slow", "text": "HPI: fell on ice onto the coccyx in 2021, old fracture. " * 500}


def connect(service: Service, context: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    place = urlsplit(service.address)
    if context is not None:
        return http.client.HTTPSConnection(place.netloc, context=context, timeout=120)
    return http.client.HTTPConnection(place.netloc, timeout=120)


def post(service: Service, note: Any, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, Any]:
    connection = connect(service, context)
    connection.request("POST", "/v1/gap-reports", json.dumps(note), {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_batch_streams_both_ways(server: Service) -> None:
    connection = connect(server)
    connection.putrequest("POST", "/v1/gap-reports:batch")
    connection.putheader("Content-Type", "application/x-ndjson")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()

    def send(text: str) -> None:
        connection.send(f"{len(text):x}\r\n{text}\r\n".encode())

    def line(number: int) -> str:
        return json.dumps({**NOTE, "note_id": f"n{number}"}) + "\n"

    send(line(0))
    answer = connection.getresponse()
    assert json.loads(answer.readline())["note_id"] == "n0"
    half = line(1)
    send(half[:20])
    send(half[20:] + line(2)[:-1])
    assert json.loads(answer.readline())["note_id"] == "n1"
    send("")
    assert json.loads(answer.readline())["note_id"] == "n2"
    assert answer.read() == b""


def test_a_caller_who_leaves_a_batch_costs_nothing(server: Service) -> None:
    for _ in range(6):
        connection = connect(server)
        connection.putrequest("POST", "/v1/gap-reports:batch")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        connection.send((json.dumps(NOTE) + "\n").encode() * 20)
        connection.close()
    for _ in range(100):
        connection = connect(server)
        connection.request("POST", "/v1/gap-reports:batch", json.dumps(NOTE), {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        if answer.status == 200:
            assert json.loads(answer.read())["note_id"] == "n"
            return
        time.sleep(0.1)
    raise AssertionError("places of batches that were left are not given back")


def test_a_worker_killed_mid_request(server: Service) -> None:
    (before,) = server.worker_pids()
    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(post, server, SLOW)
        time.sleep(0.3)
        os.kill(before, signal.SIGKILL)
        status, report = waiting.result()
    assert (status, report["note_id"]) == (200, "slow")
    assert post(server, NOTE)[0] == 200
    assert server.worker_pids() != [before]


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return chain, private


def test_what_was_accepted_is_finished_and_the_process_ends_well(tmp_path: Path) -> None:
    """With keys and TLS, as on another address than this machine's own."""
    clear, kept = new_key("scribe")
    write_keys(tmp_path / "keys.json", [kept])
    chain, private = certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(chain))
    context.check_hostname = False
    options = ("--keys", str(tmp_path / "keys.json"), "--tls-certificate", str(chain), "--tls-key", str(private))
    with serving(tmp_path / "log", *options, workers=1) as service:
        workers = service.worker_pids()
        with pytest.raises(ConnectionError):
            post(service, NOTE)
        assert post(service, NOTE, context)[0] == 401
        with ThreadPoolExecutor(4) as callers:
            key = {"X-API-Key": clear}
            waiting = [callers.submit(post, service, note, context, **key) for note in (SLOW, NOTE, NOTE, NOTE)]
            time.sleep(0.4)
            threading.Thread(target=service.process.terminate).start()
            assert [each.result()[0] for each in waiting] == [200] * 4
        assert service.process.wait(60) in (0, -signal.SIGTERM)
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "onto the coccyx" not in log

"""One service and one browser for all tests of the page; every test watches what the page asks for and complains of."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
    sync_playwright,
)

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_START_SECONDS = 90

expect.set_options(timeout=15_000)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running `chartgap serve`, as a user starts it."""
    port = _free_port()
    trail = tmp_path_factory.mktemp("service") / "trail.jsonl"
    command = [sys.executable, "-m", "analyzer.cli", "serve", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--audit-log", str(trail)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}/"
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(address + "readyz", timeout=2).close()
            break
        except OSError:
            assert process.poll() is None, "chartgap serve ended"
            assert time.monotonic() < deadline, "chartgap serve is not ready"
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; CHROMIUM names another."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path, "these tests need Chromium: install Debian's `chromium`, or set CHROMIUM to its path"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


Opener = Callable[..., Page]


@pytest.fixture
def open_page(service: str, browser: Browser) -> Iterator[Opener]:
    """Open the page in a context of its own. At the end nothing may have gone elsewhere or been complained of."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []
    allowed: list[str] = []

    def opener(*, ready: bool = True, refused: str = "", **options: Any) -> Page:
        """`refused` is a part of a complaint that the test provokes."""
        if refused:
            allowed.append(refused)
        options.setdefault("viewport", {"width": 1360, "height": 900})
        context = browser.new_context(reduced_motion="reduce", accept_downloads=True, **options)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service)
        contexts.append(context)
        page = context.new_page()

        def complained(message: ConsoleMessage) -> None:
            if message.type == "error":
                trouble.append(f"console: {message.text}")

        def asked(request: Request) -> None:
            if urlsplit(request.url).netloc not in (urlsplit(service).netloc, ""):
                trouble.append(f"asks {request.url}")

        def opened(dialog: Dialog) -> None:
            trouble.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("console", complained)
        page.on("request", asked)
        page.on("dialog", opened)
        page.goto(service)
        if ready:
            expect(page.locator("#samples option")).not_to_have_count(1)
        return page

    yield opener
    for context in contexts:
        context.close()
    assert not [line for line in trouble if not any(part in line for part in allowed)]


@pytest.fixture
def page(open_page: Opener) -> Page:
    """The page on an ordinary screen."""
    return open_page()


@pytest.fixture(scope="session")
def sample_notes() -> dict[str, dict[str, Any]]:
    """The sample notes by id."""
    lines = (ROOT / "sample_notes" / "notes.jsonl").read_text(encoding="utf-8").splitlines()
    return {note["note_id"]: note for note in map(json.loads, lines)}

"""The page in Debian's Chromium: pictures for docs/tour.md, and how long an edit takes to show.

    python bench/page.py pictures [--output docs/tour]
    python bench/page.py latency [--rounds 30]

Both start the service themselves, on a free port of this machine. `pictures` writes PNG files; `latency` prints a
Markdown table: milliseconds from a key to the next painted frame, and to the service's answer on the screen.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LEADING = "\nPlease document that the fracture has healed, so that the code is supported."

# An edit at the end of the note; answers the milliseconds to the next frame, and to the answer shown.
EDIT = """async () => {
  const area = document.getElementById('text');
  const start = performance.now();
  area.setRangeText('x', area.value.length, area.value.length, 'end');
  area.dispatchEvent(new InputEvent('input', { inputType: 'insertText', data: 'x' }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const painted = performance.now() - start;
  while (document.body.dataset.judged !== 'true') await new Promise((done) => setTimeout(done, 1));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [painted, performance.now() - start];
}"""


@contextmanager
def service() -> Iterator[str]:
    """Address of `chartgap serve` with one worker."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "analyzer.cli", "serve", "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(address + "readyz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def open_page(browser: Browser, address: str, width: int, height: int, scheme: str = "light") -> Page:
    """The page as it starts."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address)
    page.locator("#samples option:nth-child(2)").wait_for(state="attached")
    return page


def open_sample(page: Page, name: str) -> None:
    """A sample note, judged."""
    if not page.locator("#samples").is_visible():
        page.click(".menu-button")
    page.select_option("#samples", label=name)
    page.locator("#verdict-words").wait_for()
    page.locator("body[data-judged=true]").wait_for()
    page.wait_for_load_state("networkidle")


def pictures(browser: Browser, address: str, folder: Path) -> None:
    """Every picture of the tour."""
    folder.mkdir(parents=True, exist_ok=True)
    page = open_page(browser, address, 1280, 800)
    page.locator(".asked").wait_for()
    page.screenshot(path=folder / "start.png")
    open_sample(page, "radiology-sacrum-addendum")
    page.screenshot(path=folder / "review.png")
    page.locator("#req-care_phase .quotes a").first.click()
    page.screenshot(path=folder / "why.png")
    page.keyboard.press("Escape")
    page.click("#agree-region")
    page.click("#disagree-injury_date")
    page.select_option("#status-injury_date", "documented")
    page.fill("#value-injury_date", "2019")
    page.fill("#reason-injury_date", "The request form dates the accident")
    page.locator("#message textarea").focus()
    page.keyboard.press("Control+End")
    page.keyboard.type(LEADING)
    page.locator("#message .problems").wait_for()
    page.locator("#message").scroll_into_view_if_needed()
    page.screenshot(path=folder / "query.png")
    page.get_by_role("button", name="Back to the draft").click()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 720, "height": 1000})
    page.screenshot(path=folder / "worksheet.png", full_page=True)

    page = open_page(browser, address, 1600, 900, "dark")
    for name in ("hospital-progress-copied-text", "ed-toboggan-crash", "va-spine-pmr-note", "geriatrics-fragility"):
        open_sample(page, name)
    page.click("#agree-rest")
    page.screenshot(path=folder / "worklist-dark.png")

    page = open_page(browser, address, 380, 1000)
    open_sample(page, "checkbox-intake-template")
    page.locator("#review").scroll_into_view_if_needed()
    page.get_by_role("link", name="Review", exact=True).click()
    page.screenshot(path=folder / "narrow.png")


def latency(browser: Browser, address: str, rounds: int) -> None:
    """A table of an edit's times, for a short, an ordinary and a long note."""
    print("| note | characters | painted, median ms | painted, worst | answer shown, median ms | worst |")
    print("|---|---|---|---|---|---|")
    for name, copies in (("telephone-encounter", 1), ("va-spine-pmr-note", 1), ("va-spine-pmr-note", 8)):
        page = open_page(browser, address, 1360, 900)
        open_sample(page, name)
        page.keyboard.press("i")
        text = page.locator("#text").input_value() * copies
        page.locator("#text").fill(text)
        page.locator("body[data-judged=true]").wait_for()
        times = [page.evaluate(EDIT) for _ in range(rounds)]
        painted, shown = zip(*times, strict=True)
        figures = (statistics.median(painted), max(painted), statistics.median(shown), max(shown))
        print(f"| {name} x {copies} | {len(text)} | {' | '.join(f'{figure:.0f}' for figure in figures)} |")
        page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["pictures", "latency"])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "tour")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        sys.exit("bench/page.py needs Chromium: install Debian's `chromium`, or set CHROMIUM to its path")
    with service() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        if options.command == "pictures":
            pictures(browser, address, options.output)
        else:
            latency(browser, address, options.rounds)
        browser.close()


if __name__ == "__main__":
    main()

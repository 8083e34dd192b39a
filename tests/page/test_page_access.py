"""Everybody can use it: by keyboard alone, in light and dark, narrow and wide, on paper; WCAG 2.2 AA by axe."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from pypdf import PdfReader
from reviewing import open_sample, paste

Opener = Callable[..., Page]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page: Page) -> list[str]:
    """What axe finds: rule, and the places that break it."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found]


def test_axe_finds_what_is_wrong(page: Page) -> None:
    page.evaluate("() => document.querySelector('main').append(document.createElement('button'))")
    assert violations(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1360, 1700])
def test_no_violation_in_any_state(open_page: Opener, scheme: str, width: int) -> None:
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    assert not violations(page)
    open_sample(page, "typo-ridden-visit")
    open_sample(page, "geriatrics-fragility")
    page.locator("#req-region .quotes a").first.click()
    page.click("#disagree-care_phase")
    page.click("#agree-injury_date")
    page.locator("#message textarea").fill("Please document M48.38")
    expect(page.locator("#message .lint-list")).to_contain_text("problem")
    page.locator("#provenance summary").click()
    assert not violations(page)
    page.keyboard.press("Escape")
    page.locator("#review").focus()
    page.keyboard.press("i")
    assert not violations(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert not violations(page)


@pytest.mark.parametrize("width", [360, 380, 768, 1024, 1280, 1600, 2200])
def test_nothing_scrolls_sideways(open_page: Opener, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    open_sample(page, "typo-ridden-visit")
    open_sample(page, "hl7-wrapped-bone-clinic")
    page.locator("#req-region .quotes a").first.click()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_text_can_be_enlarged_to_400_percent(open_page: Opener) -> None:
    """WCAG 1.4.10: 1280 pixels at 400 % are 320."""
    page = open_page(viewport={"width": 320, "height": 256})
    open_sample(page, "typo-ridden-visit")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_full_review_by_keyboard_alone(page: Page, sample_notes: dict[str, dict[str, Any]]) -> None:
    press, write = page.keyboard.press, page.keyboard.type
    expect(page.locator("#text")).to_be_focused()
    paste(page, sample_notes["typo-ridden-visit"]["text"])
    expect(page.locator("#review")).to_be_focused()
    expect(page.locator("#verdict-words")).to_contain_text("Needs a query")
    # First requirement: look at both pieces of evidence, come back, agree.
    press("j")
    expect(page.locator("#req-region")).to_be_focused()
    press("e")
    expect(page.locator("mark:focus")).to_have_count(1)
    expect(page.locator("#why")).to_be_visible()
    press("e")
    press("Escape")
    expect(page.locator("#req-region")).to_be_focused()
    press("a")
    expect(page.locator("#agree-region")).to_have_attribute("aria-pressed", "true")
    # The next gap: disagree, with status and reason.
    press("g")
    gap = page.locator(".req:focus")
    name = (gap.get_attribute("id") or "").removeprefix("req-")
    assert "documented" not in gap.locator(".status").inner_text()
    press("d")
    expect(page.locator(f"#status-{name}")).to_be_focused()
    write("documented")
    press("Tab")
    press("Tab")
    expect(page.locator(f"#reason-{name}")).to_be_focused()
    write("The letter of 2019 says it")
    # Leave its question out of the message, put it in again.
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.locator(f"#disagree-{name}")).to_be_focused()
    press("q")
    expect(page.locator(f"#ask-{name}")).not_to_be_checked()
    press("q")
    expect(page.locator(f"#ask-{name}")).to_be_checked()
    # The message: edit it, see the linter, mend it, copy it.
    press("m")
    query = page.locator("#message textarea")
    expect(query).to_be_focused()
    press("Control+End")
    write("\nobviously")
    expect(page.locator("#message .lint-list")).to_contain_text("“obviously”")
    for _ in "\nobviously":
        press("Backspace")
    expect(page.locator("#message .lint-list")).to_contain_text("No rule for queries is broken")
    for _ in range(10):
        press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Copy as text":
            break
    press("Enter")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert "Clarification requested:" in copied
    assert copied.rstrip().endswith("to treating provider")
    # Export: the reader's name is asked for, then the file is there.
    press("x")
    expect(page.locator("#reader")).to_be_focused()
    write("K. Board")
    press("Tab")
    press("Tab")
    expect(page.locator("#export")).to_be_focused()
    with page.expect_download() as download:
        press("Enter")
    lines = [json.loads(line) for line in Path(download.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [(line["requirement"], line["decision"], line["reader"]) for line in lines] == [
        ("region", "agree", "K. Board"),
        (name, "disagree", "K. Board"),
    ]
    assert (lines[1]["status"], lines[1]["reason"]) == ("documented", "The letter of 2019 says it")


def test_every_shortcut_is_listed_and_can_be_switched_off(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    page.locator("#review").focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Shortcuts")
    expect(dialog.locator("dt")).not_to_have_count(0)
    page.locator("#single-keys").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.locator("#review").focus()
    page.keyboard.press("j")
    expect(page.locator("#review")).to_be_focused()


def test_keys_do_nothing_while_somebody_types(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    page.locator("#reader").focus()
    page.keyboard.type("jade quinn")
    expect(page.locator("#reader")).to_have_value("jade quinn")
    expect(page.locator("[aria-pressed=true]:is(.agree, .disagree)")).to_have_count(0)


def test_focus_is_always_visible(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    page.locator("body").click(position={"x": 1, "y": 1})
    unseen = []
    for _ in range(45):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => {
              const focused = document.activeElement;
              const style = getComputedStyle(focused);
              const box = focused.getBoundingClientRect();
              const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
              return focused === document.body || (outlined && box.bottom > 0 && box.top < innerHeight);
            }"""
        )
        if not seen:
            unseen.append(page.evaluate("() => document.activeElement.outerHTML.slice(0, 80)"))
    assert not unseen


def test_a_printed_page_reads_as_a_worksheet(page: Page, sample_notes: dict[str, dict[str, Any]]) -> None:
    open_sample(page, "typo-ridden-visit")
    page.fill("#reader", "P. Rint")
    page.click("#agree-region")
    page.keyboard.press("i")
    sheets = PdfReader(io.BytesIO(page.pdf())).pages
    # Printed letters may be joined, such as f and i.
    text = " ".join(unicodedata.normalize("NFKC", " ".join(sheet.extract_text() for sheet in sheets)).split())
    for part in ("Documentation worksheet", "typo-ridden-visit", "P. Rint", "Needs a query", "☒ Agree", "☐ Disagree"):
        assert part in text
    for part in ("Region of the spine", "Clarification requested:", "Knee L crepitis"):
        assert part in text
    for part in ("Open files", "Try a sample", "Copy as text", "Save record"):
        assert part not in text

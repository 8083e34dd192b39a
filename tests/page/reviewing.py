"""What a reviewer does on the page, for its tests."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def settled(page: Page) -> None:
    """Wait until what is shown is what the service says of the present text."""
    expect(page.locator("body[data-judged=true]")).to_be_attached()


def open_sample(page: Page, name: str) -> None:
    """Choose a sample note and wait for its report."""
    if not page.locator("#samples").is_visible():
        page.click(".menu-button")
    page.select_option("#samples", label=name)
    expect(page.locator("#verdict-words")).to_be_visible()
    settled(page)


def paste(page: Page, text: str) -> None:
    """Put a text on the clipboard and paste it where the focus is."""
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.keyboard.press("Control+V")


def report_shown(page: Page) -> dict[str, str]:
    """Status by requirement, as the page shows it."""
    rows = page.locator(".req").all()
    return {(row.get_attribute("id") or "")[4:]: row.locator(".status").inner_text().split()[-1] for row in rows}


def reading_text(page: Page) -> str:
    """The marked note without its labels."""
    script = """() => {
      const copy = document.querySelector('.reading.active').cloneNode(true);
      copy.querySelectorAll('.badge').forEach((badge) => badge.remove());
      return copy.textContent;
    }"""
    return str(page.evaluate(script))

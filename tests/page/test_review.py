"""What the reviewer says: agreement and disagreement, and the query to the provider."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from reviewing import open_sample

SampleNotes = dict[str, dict[str, Any]]
KEYS = ["note_id", "text_sha256", "code", "requirement", "decision", "status", "value", "reason", "reader", "date"]


def exported(page: Page, how: str = "jsonl") -> str:
    """The text of the exported decisions."""
    page.select_option("#format", how)
    with page.expect_download() as download:
        page.click("#export")
    assert download.value.suggested_filename == f"decisions.{how}"
    return Path(download.value.path()).read_bytes().decode()


def test_decisions_are_exported_with_the_readers_own_reading(page: Page, sample_notes: SampleNotes) -> None:
    open_sample(page, "typo-ridden-visit")
    expect(page.locator("#export")).to_be_disabled()
    page.click("#agree-region")
    page.click("#disagree-injury_date")
    page.select_option("#status-injury_date", "documented")
    page.fill("#value-injury_date", "2019-05 to 2020")
    page.fill("#reason-injury_date", 'He says "yrs ago", the letter says 2019')
    page.click("#disagree-imaging_findings")
    page.fill("#value-imaging_findings-findings", "healed fracture, joint change")
    page.click("#export")
    expect(page.locator("#reader")).to_be_focused()
    page.keyboard.type("A. Reader")
    lines = [json.loads(line) for line in exported(page).splitlines()]
    assert [list(line)[: len(KEYS)] for line in lines] == [KEYS] * 3
    region, date, imaging = lines
    sha = hashlib.sha256(sample_notes["typo-ridden-visit"]["text"].encode()).hexdigest()
    assert all(line["note_id"] == "typo-ridden-visit" and line["text_sha256"] == sha for line in lines)
    assert all(line["code"] == "M48.38" and line["reader"] == "A. Reader" for line in lines)
    assert (region["decision"], region["status"], region["value"]) == ("agree", "documented", ["sacral"])
    assert (date["decision"], date["status"]) == ("disagree", "documented")
    assert date["value"] == {"earliest": "2019-05-01", "latest": "2020-12-31"}
    assert date["reason"] == 'He says "yrs ago", the letter says 2019'
    assert date["found_status"] == "insufficient"
    assert imaging["value"]["findings"] == ["healed_fracture", "joint_change"]
    rows = list(csv.DictReader(exported(page, "csv").splitlines()))
    assert [row["requirement"] for row in rows] == ["region", "injury_date", "imaging_findings"]
    assert json.loads(rows[1]["value"]) == date["value"]
    assert rows[1]["reason"] == date["reason"]


def test_on_a_narrow_screen_the_reader_is_asked_for_as_well(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 380, "height": 800})
    open_sample(page, "preop-terse")
    page.click("#agree-region")
    page.keyboard.press("x")
    expect(page.locator("#reader")).to_be_focused()
    page.keyboard.type("N")
    with page.expect_download() as download:
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["reader"] == "N"


def test_a_decision_can_be_taken_back_and_the_rest_agreed_with(page: Page) -> None:
    open_sample(page, "spine-clinic-followup")
    page.click("#disagree-region")
    page.click("#disagree-region")
    expect(page.locator("#disagree-region")).to_have_attribute("aria-pressed", "false")
    page.click("#disagree-care_phase")
    page.click("#agree-rest")
    expect(page.locator("#review")).to_contain_text("all reviewed")
    page.fill("#reader", "B")
    decisions = {line["requirement"]: line["decision"] for line in map(json.loads, exported(page).splitlines())}
    assert decisions.pop("care_phase") == "disagree"
    assert set(decisions.values()) == {"agree"}
    assert len(decisions) == 7


def test_exported_decisions_are_read_by_the_audit(page: Page, tmp_path: Path) -> None:
    from analyzer.audit.decisions import read_decisions

    open_sample(page, "typo-ridden-visit")
    page.fill("#reader", "C")
    page.click("#agree-rest")
    page.click("#disagree-trauma_mechanism")
    page.fill("#value-trauma_mechanism", "struck")
    for how in ("jsonl", "csv"):
        file = tmp_path / f"decisions.{how}"
        file.write_text(exported(page, how), encoding="utf-8", newline="")
        found = {decision.requirement: decision for decision in read_decisions(file)}
        assert len(found) == 8
        assert found["trauma_mechanism"].value == "struck"
        assert found["trauma_mechanism"].reader == "C"


def test_a_query_is_edited_and_linted_while_it_is(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    query = page.locator("#message textarea")
    lint = page.locator("#message .lint-list")
    expect(lint).to_contain_text("No rule for queries is broken")
    draft = query.input_value()
    query.focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("\n😀 Please document that the fracture has healed so that M48.38 is supported.")
    expect(lint).to_contain_text("“M48.38”")
    expect(lint).to_contain_text("“so that”")
    marked = page.locator("#message .backdrop mark.lint").all_inner_texts()
    assert "M48.38" in marked
    lint.get_by_role("button", name="M48.38").click()
    selected = query.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
    assert selected == "M48.38"
    page.get_by_role("button", name="Back to the draft").click()
    expect(query).to_have_value(draft)
    expect(lint).to_contain_text("No rule for queries is broken")


def test_a_message_is_copied_with_its_reference(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    text = page.locator("#message textarea").input_value()
    page.get_by_role("button", name="Copy as text").click()
    expect(page.locator("#message")).to_contain_text("Copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith(text)
    reference = copied.removeprefix(text).strip()
    assert re.fullmatch(r"Query [0-9a-f]{12} · \S+@\d+, \S+@\d+ · to treating provider", reference)
    page.get_by_role("button", name="Copy as rich text").click()
    rich = page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          return (await item.getType('text/html')).text();
        }"""
    )
    assert rich.count("<li>") == text.count('\n- "')
    assert "☐ Unable to determine" in rich
    assert "<b>Clarification requested:</b>" in rich


def test_hostile_words_stay_words_in_rich_text(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    page.locator("#message textarea").fill("<img src=x onerror=alert(1)>\n- <script>alert(2)</script>")
    page.get_by_role("button", name="Copy as rich text").click()
    rich = page.evaluate("async () => (await (await navigator.clipboard.read())[0].getType('text/html')).text()")
    assert "<img" not in rich
    assert "<script" not in rich


def test_questions_are_chosen_one_by_one(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    query = page.locator("#message textarea")
    date, statement = page.locator("#ask-injury_date"), page.locator("#ask-provider_statement")
    expect(date).to_be_checked()
    when = page.locator("#req-injury_date .ask label").inner_text().split(": ", 1)[1]
    both = query.input_value()
    assert when in both
    date.uncheck()
    expect(query).not_to_have_value(re.compile(re.escape(when)))
    expect(query).to_have_value(re.compile(r"Unable to determine"))
    expect(page.locator("#message .reference")).not_to_contain_text("date-")
    statement.uncheck()
    expect(page.locator("#message")).to_contain_text("No question is chosen")
    statement.check()
    date.check()
    expect(query).to_have_value(both)


def test_an_edited_message_is_kept_when_the_choice_changes(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    query = page.locator("#message textarea")
    mine = query.input_value() + "\nThank you."
    query.fill(mine)
    page.locator("#ask-injury_date").uncheck()
    expect(page.locator("#message .notice")).to_contain_text("has changed since you edited")
    expect(query).to_have_value(mine)
    page.get_by_role("button", name="Back to the draft").click()
    expect(query).not_to_have_value(mine)


def test_the_record_of_a_query_holds_what_a_department_keeps(page: Page) -> None:
    open_sample(page, "typo-ridden-visit")
    page.fill("#reader", "D. Reader")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save record").click()
    record = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert record["recipient_role"] == "treating provider"
    assert record["reader"] == "D. Reader"
    assert len(record["templates"]) == len(record["query_ids"]) == 2
    assert record["text"] == page.locator("#message textarea").input_value()
    assert (record["edited"], record["open_problems"]) == (False, [])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])


def test_nothing_but_the_notes_and_wordings_is_sent(open_page: Callable[..., Page]) -> None:
    page = open_page()
    bodies: list[str] = []
    page.on("request", lambda request: bodies.append(request.post_data or ""))
    open_sample(page, "typo-ridden-visit")
    page.fill("#reader", "Secret Reader")
    page.click("#disagree-region")
    page.fill("#reason-region", "Secret reason")
    exported(page)
    assert bodies
    assert not any("Secret" in body for body in bodies)
    assert page.evaluate("() => [localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]

"""Several notes: a finished audit worked through, files dropped and opened, notes of one encounter judged together."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from reviewing import open_sample, paste, reading_text, report_shown, settled

ROOT = Path(__file__).parents[2]
SampleNotes = dict[str, dict[str, Any]]

FALL = "HPI: Fell on ice in January 2021 and fractured her sacrum. It has healed.\nAssessment: sacral pain.\n"
CT = "CT SACRUM 2022-05-01\nFindings: healed S3 fracture with 20 degrees of kyphotic angulation. No canal narrowing.\n"


FHIR_NOTE = {
    "resourceType": "DocumentReference",
    "id": "d1",
    "status": "current",
    "content": [{"attachment": {"contentType": "text/plain", "data": b64encode(FALL.encode()).decode()}}],
}


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit of the sample notes."""
    folder = tmp_path_factory.mktemp("audit") / "out"
    command = [sys.executable, "-m", "analyzer.cli", "audit", "sample_notes/notes.jsonl", "--output", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def drop(page: Page, files: dict[str, tuple[str, bytes]]) -> None:
    """Drop files (name to media type and content) on the page."""
    transfer = page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer();
          for (const [name, [type, bytes]] of Object.entries(files)) {
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          }
          return transfer;
        }""",
        {name: [kind, list(content)] for name, (kind, content) in files.items()},
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def docx(text: str) -> bytes:
    """A word-processor file of one paragraph a line."""
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    lines = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in text.splitlines())
    office = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{office}"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Target="word/document.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>',
        "word/document.xml": f"<w:document {space}><w:body>{lines}</w:body></w:document>",
    }
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return raw.getvalue()


def test_an_audit_is_worked_through_by_keyboard(page: Page, audit: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#folder").set_input_files(audit)
    expect(page.locator("#place")).to_have_text("1 of 28")
    reports = [json.loads(line) for line in (audit / "reports.jsonl").read_text(encoding="utf-8").splitlines()]
    notes = {
        note["note_id"]: note
        for note in map(json.loads, (audit / "notes.jsonl").read_text(encoding="utf-8").splitlines())
    }
    page.locator("#review").focus()
    for place, report in enumerate(reports[:4]):
        expect(page.locator("#place")).to_have_text(f"{place + 1} of 28")
        assert report_shown(page) == {one["id"]: one["status"] for one in report["requirements"]}
        assert reading_text(page) == notes[report["note_id"]]["text"]
        page.keyboard.press("]")
        expect(page.locator("#review")).to_be_focused()
    page.keyboard.press("[")
    expect(page.locator("#place")).to_have_text("4 of 28")
    assert not [url for url in asked if "gap-reports" in url], "a finished audit is shown as it was, not judged anew"


def test_the_worklist_is_filtered_and_ordered(page: Page, audit: Path) -> None:
    page.locator("#folder").set_input_files(audit)
    expect(page.locator("#worklist li")).to_have_count(28)
    page.select_option("#filter", "query")
    expect(page.locator("#worklist li")).not_to_have_count(28)
    assert all("Needs a query" in item for item in page.locator("#worklist li").all_inner_texts())
    expect(page.locator("#verdict-words")).to_contain_text("Needs a query")
    page.select_option("#filter", "all")
    page.select_option("#order", "weight")
    expect(page.locator("#worklist li").last).to_contain_text(re.compile("elsewhere|present"))
    gaps = [int(re.search(r"(\d+) gap", item).group(1)) for item in page.locator("#worklist li").all_inner_texts()]  # type: ignore[union-attr]
    assert gaps[0] > 2
    page.click("#item-0")
    page.click("#agree-rest")
    expect(page.locator("#item-0")).to_contain_text("reviewed")
    page.select_option("#filter", "open")
    expect(page.locator("#worklist li")).to_have_count(27)


def test_decisions_beside_an_audit_are_taken_up(page: Page, audit: Path, tmp_path: Path) -> None:
    page.locator("#folder").set_input_files(audit)
    page.fill("#reader", "E")
    page.click("#disagree-region")
    page.fill("#reason-region", "because")
    with page.expect_download() as download:
        page.click("#export")
    folder = tmp_path / "again"
    shutil.copytree(audit, folder)
    shutil.copy(download.value.path(), folder / "decisions.jsonl")
    page.reload()
    expect(page.locator("#samples option")).not_to_have_count(1)
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#reason-region")).to_have_value("because")
    page.fill("#reader", "F")
    with page.expect_download() as second:
        page.click("#export")
    assert json.loads(Path(second.value.path()).read_text(encoding="utf-8"))["reader"] == "E"


def test_an_audit_without_its_notes_still_opens(page: Page, audit: Path, tmp_path: Path) -> None:
    shutil.copy(audit / "reports.jsonl", tmp_path)
    page.locator("#folder").set_input_files(tmp_path)
    expect(page.locator("#place")).to_have_text("1 of 28")
    expect(page.locator("#verdict-words")).to_be_visible()


def test_a_broken_audit_is_said_plainly(page: Page, tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").write_text('{"note_id": \n', encoding="utf-8")
    page.locator("#folder").set_input_files(tmp_path)
    expect(page.get_by_role("alert")).to_contain_text("not JSON lines")


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("note.txt", "text/plain", FALL.encode("utf-16")),
        ("note.rtf", "application/rtf", rb"{\rtf1\ansi " + FALL.replace("\n", r"\par ").encode() + b"}"),
        ("note.docx", "", docx(FALL)),
        ("note.json", "application/json", json.dumps(FHIR_NOTE).encode()),
    ],
)
def test_a_dropped_file_is_read_and_judged(page: Page, name: str, kind: str, content: bytes) -> None:
    drop(page, {name: (kind, content)})
    expect(page.locator("#verdict-words")).to_be_visible()
    expect(page.locator(".reading")).to_contain_text("January 2021")
    settled(page)
    assert report_shown(page)["injury_date"] == "documented"


def test_a_file_that_cannot_be_read_is_said_plainly(page: Page) -> None:
    drop(page, {"scan.pdf": ("application/pdf", b"%PDF-1.4 broken")})
    expect(page.get_by_role("alert")).to_contain_text("scan.pdf")
    expect(page.locator("#text")).to_have_value("")


def test_several_files_go_one_by_one_or_together(page: Page) -> None:
    drop(page, {"visit.txt": ("text/plain", FALL.encode()), "ct.txt": ("text/plain", CT.encode())})
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 notes")
    dialog.get_by_role("button", name="One by one").click()
    expect(page.locator("#place")).to_have_text("1 of 2")
    expect(page.locator("#tabs button")).to_have_count(1)
    expect(page.locator("#verdict-words")).to_be_visible()


def test_notes_of_one_encounter_are_judged_together(page: Page) -> None:
    drop(page, {"visit.txt": ("text/plain", FALL.encode()), "ct.txt": ("text/plain", CT.encode())})
    page.get_by_role("button", name="Together, as one case").click()
    expect(page.locator("#req-imaging_findings .status")).to_contain_text("documented")
    expect(page.locator("#tabs button")).to_have_count(3)
    page.locator("#req-imaging_findings .quotes a").first.click()
    expect(page.get_by_role("button", name="ct.txt")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("mark.chosen").first).to_be_in_viewport()
    page.locator("#req-injury_date .quotes a").first.click()
    expect(page.get_by_role("button", name="visit.txt")).to_have_attribute("aria-pressed", "true")


def test_a_note_for_context_answers_where_the_gap_is(page: Page) -> None:
    paste(page, FALL)
    expect(page.locator("#req-imaging_findings .status")).to_contain_text("missing")
    page.click("#add-note")
    page.locator("#about-context").check()
    page.locator("#text").focus()
    paste(page, CT)
    answer = page.locator("#req-imaging_findings .elsewhere")
    expect(answer.first).to_contain_text("Answered elsewhere")
    expect(page.locator("#req-imaging_findings .status")).to_contain_text("missing")
    page.click("#tab-0")
    answer.first.get_by_role("link").click()
    expect(page.locator("#tab-1")).to_have_attribute("aria-pressed", "true")
    page.click("#drop-note")
    expect(answer).to_have_count(0)
    expect(page.locator("#tabs button")).to_have_count(1)


def test_notes_opened_one_after_the_other_stay(page: Page) -> None:
    open_sample(page, "spine-clinic-followup")
    page.click("#agree-region")
    open_sample(page, "preop-terse")
    expect(page.locator("#place")).to_have_text("2 of 2")
    page.click("#previous")
    expect(page.locator("#agree-region")).to_have_attribute("aria-pressed", "true")
    page.click("#new")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#place")).to_have_text("3 of 3")

"""The committee's report of an audit: its figures add up, the page is complete in itself and quotes what it may."""

from __future__ import annotations

import json
import re
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from audit_folders import write_folder
from hypothesis import given
from hypothesis import strategies as st
from sample_reports import TEXT, full_report, report_of, requirement, span

from analyzer.audit import committee_report
from analyzer.audit.committee_report import grouped_warnings, write_report
from analyzer.audit.copied import copy_forward, paragraphs
from analyzer.audit.folder import AuditFolder, NoteFacts
from analyzer.audit.tallies import REPORT_SEEN, Tallies
from analyzer.audit.textless import NO_DEIDENTIFICATION, report_without_text
from analyzer.audit.worklist import REASONS, Worklist
from analyzer.errors import InputError
from analyzer.note import Note
from analyzer.report import Alert, GapReport, ReviewFlag

HOSTILE = "<script>alert(1)</script>"


def note(number: int, text: str = TEXT, **more: Any) -> Note:
    fields = {"note_id": f"n{number}", "text": text, "date_of_service": date(2025, 1 + number % 12, 3), **more}
    return Note.model_validate({"note_type": "progress_note", "author_role": "physician", **fields})


def simple(of: Note, verdict: str, status: str = "documented", **more: Any) -> GapReport:
    evidence = [span(of, "tailbone pain")]
    return report_of(of, verdict, requirements=[requirement("region", status, evidence, basis="coding")], **more)


def page_of(folder: Path) -> str:
    write_report(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def words_of(html: str) -> str:
    """What the page shows, white space as one blank."""
    return " ".join(unescape(re.sub(r"<(style|title).*?</\1>|<[^>]+>", " ", html, flags=re.S)).split())


class _Attributes(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.found: list[tuple[str, str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [(tag, name, value) for name, value in attrs]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two supported, three to query, one elsewhere, one not about the code, one failure."""
    notes = [note(k) for k in range(7)]
    alert = Alert(id="acute_fracture", severity="error", message="Still healing.", codes=[], evidence=[])
    flag = ReviewFlag(id="stale_imaging", message="The imaging is old.", evidence=[])
    reports = [
        simple(notes[0], "supported"),
        simple(notes[1], "supported", review_flags=[flag]),
        simple(notes[2], "query", "insufficient"),
        simple(notes[3], "query", "conflicting", coding_complete=False),
        full_report(notes[4]),
        simple(notes[5], "not_supported", "missing", alerts=[alert]),
        simple(notes[6], "not_supported", "missing", relevant=False),
    ]
    failure = {"input": "export.jsonl", "record": 8, "note_id": None, "reason": "not valid JSON"}
    return write_folder(tmp_path / "out", notes, reports, failures=[failure])


def test_figures_stand_with_their_numerators_and_denominators(mixed: Path) -> None:
    shown = words_of(page_of(mixed))
    assert "Of 6 notes that concern the code, 2 (33 %) show the documentation elements, 3 (50 %) need a query" in shown
    assert "and 1 (17 %) point elsewhere" in shown
    assert "Records read 8 = 7 reports + 1 failures" in shown
    assert "= 6 relevant + 1 not about the code, in no rate below" in shown
    assert "Region coding 50 % 3 of 6 1 1 1 0" in shown
    assert "Acute fracture points to another code Still healing. 17 % 1 of 6" in shown
    assert "1 not valid JSON" in shown


def test_the_page_never_says_that_a_code_is_supported(mixed: Path) -> None:
    shown = words_of(page_of(mixed)).lower()
    for phrase in ("documentation elements present", "needs a query", "documentation points elsewhere"):
        assert phrase in shown
    assert "code supported" not in shown
    assert "not_supported" not in shown


def test_the_page_is_complete_in_itself_and_follows_from_the_folder(mixed: Path) -> None:
    html = page_of(mixed)
    assert page_of(mixed) == html
    page = _Attributes(html)
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form"}
    links = [value or "" for _, name, value in page.found if name in ("href", "src", "xlink:href")]
    ids = [value for _, name, value in page.found if name == "id"]
    assert len(ids) == len(set(ids))
    for link in links:
        assert link.startswith("#")
        assert link[1:] in ids
    assert "url(" not in html
    assert "http:" not in html.replace("http-equiv", "")
    assert "https:" not in html


def test_breakdowns_by_month_type_role_and_source(tmp_path: Path) -> None:
    notes = [
        note(0, note_type="ed_note"),
        note(1, author_role="nurse"),
        note(1, note_id="x", note_type=None, date_of_service=None),
    ]
    reports = [
        simple(notes[0], "supported"),
        simple(notes[1], "query", "missing"),
        simple(notes[2], "query", "missing"),
    ]
    shown = words_of(page_of(write_folder(tmp_path / "out", notes, reports)))
    assert "2025-01 1" in shown
    assert "2025-02 1" in shown
    assert "no date 1" in shown
    assert "ed note 1 1 0 0 0.0 0" in shown
    assert "not recorded 1 0 1 0 1.0 0" in shown
    assert "nurse 1 0 1 0 1.0 0" in shown
    assert "export.jsonl 3 1 2 0 0.7 0" in shown


def test_many_groups_are_added_up(tmp_path: Path) -> None:
    notes = [note(k, note_type=f"type {k:02d}") for k in range(20)]
    shown = words_of(page_of(write_folder(tmp_path / "out", notes, [simple(n, "supported") for n in notes])))
    assert "type 14 1" in shown
    assert "5 others 5 5 0 0 0.0 0" in shown
    assert "type 15" not in shown


def test_very_many_files_are_told_apart_by_folder(tmp_path: Path) -> None:
    notes = [note(k) for k in range(2)]
    inputs = [{"path": f"in/a/{k}.txt", "sha256": "a", "bytes": 1, "records": 1} for k in range(40)]
    reports = [simple(n, "supported") for n in notes]
    folder = write_folder(tmp_path / "out", notes, reports, source="in/a/1.txt", inputs=inputs)
    assert "in/a/ 2 2 0 0 0.0 0" in words_of(page_of(folder))


def seen(report: GapReport) -> Any:
    return REPORT_SEEN.validate_json(report.to_json())


def test_the_worklist_begins_with_what_weighs_most() -> None:
    work = Worklist()
    flag = ReviewFlag(id="stale_imaging", message="Old.", evidence=[])
    reports = [
        simple(note(0), "supported"),
        simple(note(1), "supported", review_flags=[flag]),
        simple(note(2), "query", "missing"),
        simple(note(3), "query", "missing", coding_complete=False),
        simple(note(4), "query", "conflicting"),
        simple(note(5), "not_supported", "missing"),
        simple(note(6), "not_supported", "missing", relevant=False),
        simple(note(7), "not_supported", "missing"),
    ]
    for offset, report in enumerate(reports):
        work.add(seen(report), offset, billed=report.note_id == "n7")
    entries = list(work.entries())
    assert [entry.note_id for entry in entries] == ["n7", "n5", "n4", "n3", "n2", "n1"]
    assert [entry.rank for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert work.by_reason()[0] == (REASONS[0], 1)
    assert sum(count for _, count in work.by_reason()) == len(work) == 6


def test_the_rest_of_the_worklist_stands_on_linked_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committee_report, "INLINE", 3)
    monkeypatch.setattr(committee_report, "PER_PAGE", 4)
    notes = [note(k) for k in range(12)]
    folder = write_folder(tmp_path / "out", notes, [simple(n, "query", "missing") for n in notes])
    html = page_of(folder)
    names = re.findall(r'href="(report-pages/[^"]+)"', html)
    assert len(names) == 3
    assert html.count('class="entry ') == 3
    listed = re.findall(r'<span class="name">([^<]*)</span>', html)
    for name in names:
        page = (folder / name).read_text(encoding="utf-8")
        listed += re.findall(r'<th scope="row">([^<]*)</th>', page)
        for href in re.findall(r'href="([^"#]+)', page):
            assert (folder / "report-pages" / href).resolve().is_file()
    assert listed == [n.note_id for n in notes]
    # A shorter audit in the same place leaves no old pages behind.
    monkeypatch.setattr(committee_report, "INLINE", 50)
    page_of(folder)
    assert not (folder / "report-pages").exists()


def test_evidence_is_inline_and_escaped(tmp_path: Path) -> None:
    hostile = note(1, TEXT.replace("tailbone pain", HOSTILE), note_id=HOSTILE, note_type=HOSTILE)
    report = report_of(hostile, requirements=[requirement("region", "insufficient", [span(hostile, HOSTILE)])])
    html = page_of(write_folder(tmp_path / "out", [hostile], [report], source=HOSTILE))
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_without_text_the_page_shows_places_and_says_what_it_is_not(tmp_path: Path) -> None:
    one = note(1)
    folder = write_folder(
        tmp_path / "out",
        [one],
        [report_without_text(full_report(one))],
        with_notes=False,
        without_text=NO_DEIDENTIFICATION,
    )
    html = page_of(folder)
    assert NO_DEIDENTIFICATION in words_of(html)
    assert re.search(r"characters \d+ to \d+", html)
    for line in TEXT.split("\n"):
        assert not line.strip() or line not in html
    assert "years ago" not in html
    assert "<q>" not in html
    assert 'id="copied"' not in html


def test_an_audit_of_cases_counts_notes_and_reports_apart(tmp_path: Path) -> None:
    # The second note was given twice; a case counts it once.
    twice = note(2, encounter_id="E")
    notes = [note(1, encounter_id="E"), twice, twice, note(3, encounter_id="F", author_role="nurse")]
    case = simple(notes[0], "supported", case_id="E", note_ids=["n1", "n2"])
    other = simple(notes[3], "query", "missing", case_id="F")
    folder = write_folder(tmp_path / "out", notes, [case, other])
    facts = AuditFolder.open(folder).facts()
    assert facts(["n1", "n2"], "E") == NoteFacts("export.jsonl", "progress_note", "physician", None, "E")
    assert facts(["n3"], "F").author_role == "nurse"
    shown = words_of(page_of(folder))
    assert "= 4 notes in reports + 0 failures" in shown
    assert "Reports on cases 2" in shown


def test_an_audit_without_relevant_notes_has_no_rates(tmp_path: Path) -> None:
    one = note(1)
    shown = words_of(page_of(write_folder(tmp_path / "out", [one], [simple(one, "not_supported", relevant=False)])))
    assert "No note of this audit concerns the code" in shown
    assert "0 %" not in shown


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda f: (f / "run.json").unlink(), "holds no run.json, so it is no complete audit"),
        (lambda f: (f / "run.json").write_text("{"), "run.json: not valid JSON"),
        (lambda f: (f / "run.json").write_text('{"records": 1}'), "reports: missing"),
        (lambda f: (f / "reports.jsonl").unlink(), "holds no reports.jsonl"),
        (lambda f: (f / "reports.jsonl").write_text(""), "holds 0 reports, run.json counts 7"),
        (lambda f: (f / "reports.jsonl").write_text('{"note_id": 1}\n'), "reports.jsonl:1: "),
        (lambda f: (f / "failures.jsonl").write_text("{\n"), "failures.jsonl:1: "),
    ],
)
def test_a_folder_that_is_no_complete_audit_is_refused(mixed: Path, broken: Any, said: str) -> None:
    broken(mixed)
    with pytest.raises(InputError) as error:
        write_report(mixed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (mixed / "report.html").exists()


def test_a_file_or_nothing_is_no_audit_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, said in (("file", "is a file, not audit folder"), ("none", "no such audit folder")):
        with pytest.raises(InputError, match=said):
            AuditFolder.open(tmp_path / name)


def test_warnings_that_differ_in_a_date_are_one() -> None:
    warnings = [
        {"message": "date of service 2024-01-02 lies outside (2025-10-01 to 2026-09-30)", "count": 2},
        {"message": "date of service 2022-05-06 lies outside (2025-10-01 to 2026-09-30)", "count": 1},
        {"message": "read as cp1252", "count": 5},
    ]
    assert grouped_warnings(warnings) == [
        ("read as cp1252", 5),
        ("date of service 2022-05-06 to 2024-01-02 lies outside (2025-10-01 to 2026-09-30)", 3),
    ]


# Copied text

LONG = "This paragraph has more than eight words in it, all told."


def visit(name: str, patient: str | None, day: int, *paras: str) -> Note:
    return Note(note_id=name, text="\n\n".join(paras), patient_id=patient, date_of_service=date(2025, 1, day))


def test_only_later_notes_of_the_same_patient_copy() -> None:
    own = "A paragraph of its own with at least eight words in it."
    found = copy_forward(
        [
            visit("late", "p", 9, LONG, own),
            visit("first", "p", 1, LONG.replace(" more", "\n  more")),
            visit("other", "q", 2, LONG),
            visit("nobody", None, 2, LONG),
        ]
    )
    assert (found.patients, found.notes, found.unnamed, found.with_copies) == (1, 2, 1, 1)
    assert found.copied == len(LONG.split())
    assert found.words == 2 * len(LONG.split()) + len(own.split())
    assert found.mostly == []


def test_a_note_that_is_mostly_copied_is_named_most_first() -> None:
    found = copy_forward(
        [visit("a", "p", 1, LONG), visit("b", "p", 2, LONG), visit("c", "p", 3, LONG, LONG + " x", "y")]
    )
    assert [(one.note_id, one.copied, one.words) for one in found.mostly] == [("b", 11, 11)]


def test_short_paragraphs_and_headings_are_no_copies() -> None:
    assert list(paragraphs("Doing well.\n\nNo complaints today.")) == []
    assert len(list(paragraphs(f"HPI: {LONG}\nPLAN: {LONG}"))) == 2
    assert copy_forward([]).words == 0


@given(st.lists(st.tuples(st.sampled_from("pq"), st.integers(1, 28), st.sampled_from([LONG, LONG * 2, "short"]))))
def test_copied_words_never_exceed_those_compared(rows: list[tuple[str, int, str]]) -> None:
    found = copy_forward(visit(f"n{k}", patient, day, text) for k, (patient, day, text) in enumerate(rows))
    assert 0 <= found.copied <= found.words
    assert found.with_copies <= found.notes <= len(rows)


@given(st.lists(st.tuples(st.sampled_from(["supported", "query", "not_supported", None]), st.booleans()), max_size=8))
def test_tallies_add_up(rows: list[tuple[str | None, bool]]) -> None:
    tallies = Tallies()
    for verdict, relevant in rows:
        report = simple(note(1), "query", "missing").model_copy(update={"verdict": verdict, "relevant": relevant})
        tallies.add(seen(report), NoteFacts(note_type="x"))
    assert tallies.reports == tallies.relevant + tallies.irrelevant == len(rows)
    assert tallies.verdicts.total() == tallies.relevant
    for item in tallies.requirements.values():
        assert item.notes == tallies.relevant
        assert item.gaps <= item.notes
    for groups in tallies.groups.values():
        assert sum(group.relevant for group in groups.values()) == tallies.relevant
        assert sum(group.irrelevant for group in groups.values()) == tallies.irrelevant


def test_the_report_tells_nothing_of_the_time_it_was_made(mixed: Path) -> None:
    before = page_of(mixed)
    run = json.loads((mixed / "run.json").read_text())
    (mixed / "run.json").write_text(json.dumps({**run, "timing": {"started": "2031-12-24T00:00:00", "seconds": 1}}))
    assert page_of(mixed) == before

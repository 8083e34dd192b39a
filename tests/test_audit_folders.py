"""What is done with finished audits' folders: compare two, verify one, print an exhibit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from audit_folders import write_folder
from sample_reports import NOTE, TEXT, full_report, report_of, requirement, span

from analyzer import Analyzer
from analyzer.audit.compare import Comparison, compare
from analyzer.audit.exhibit import exhibit_page
from analyzer.audit.textless import NO_DEIDENTIFICATION, report_without_text
from analyzer.audit.verify import verify
from analyzer.errors import CodeError, InputError
from analyzer.note import Note
from analyzer.report import Alert, GapReport

ADDED = "Addendum 11/12/2025: the fall was on March 2, 2019."


def note(text: str = TEXT, **more: Any) -> Note:
    return Note.model_validate({"note_id": "n1", "text": text, "date_of_service": date(2025, 11, 10), **more})


def dated(of: Note, status: str, quote: str = "years ago", section: str = "other", **more: Any) -> GapReport:
    verdict = "supported" if status == "documented" else "query"
    items = [requirement("injury_date", status, [span(of, quote, section)])]
    return report_of(of, **{"verdict": verdict, "requirements": items, **more})


def compared(
    tmp_path: Path, before: list[GapReport], after: list[GapReport], texts: dict[str, tuple[str, str]]
) -> Comparison:
    folders = []
    for side, reports in enumerate((before, after)):
        notes = [note(texts[name][side], note_id=name) for one in reports for name in one.note_ids]
        folders.append(write_folder(tmp_path / f"run{side}", notes, reports))
    return compare(folders[0], folders[1])


# Compare


def test_a_gap_closed_by_an_addendum_says_so(tmp_path: Path) -> None:
    later = note(f"{TEXT}\n{ADDED}\n")
    closed = dated(later, "documented", "March 2, 2019", "addendum")
    found = compared(tmp_path, [dated(note(), "insufficient")], [closed], {"n1": (TEXT, later.text)})
    (change,) = found.changes
    (gap,) = change.closed
    assert (gap.id, gap.before, gap.after, gap.by) == ("injury_date", "insufficient", "documented", "addendum")
    assert [one.text for one in gap.evidence] == ["March 2, 2019"]
    assert (change.verdict_before, change.verdict_after, change.text_changed) == ("query", "supported", True)
    assert (found.gaps_before["injury_date"], found.closed["injury_date"], found.gaps_after["injury_date"]) == (1, 1, 0)


def test_a_gap_closed_by_text_added_elsewhere(tmp_path: Path) -> None:
    text = TEXT.replace("years ago", "on March 2, 2019")
    found = compared(
        tmp_path,
        [dated(note(), "insufficient")],
        [dated(note(text), "documented", "March 2, 2019")],
        {"n1": (TEXT, text)},
    )
    assert [(one.by, one.evidence[0].text) for one in found.changes[0].closed] == [("added text", "March 2, 2019")]


def test_a_gap_closed_by_old_words_in_a_changed_text(tmp_path: Path) -> None:
    text = f"{TEXT}Cushion given."
    found = compared(tmp_path, [dated(note(), "insufficient")], [dated(note(text), "documented")], {"n1": (TEXT, text)})
    assert found.means == {"changed text": 1}


def test_a_gap_closed_without_any_new_text_is_another_reading(tmp_path: Path) -> None:
    found = compared(tmp_path, [dated(note(), "insufficient")], [dated(note(), "documented")], {"n1": (TEXT, TEXT)})
    assert found.means == {"another reading": 1}
    assert found.text_changed == 0


def test_a_gap_of_a_case_closed_by_another_note(tmp_path: Path) -> None:
    other = note(ADDED, note_id="n2")
    before = dated(note(), "insufficient", case_id="E")
    item = requirement("injury_date", "documented", [span(other, "March 2, 2019")])
    after = report_of(note(), "supported", case_id="E", note_ids=["n1", "n2"], requirements=[item])
    found = compared(tmp_path, [before], [after], {"n1": (TEXT, TEXT), "n2": ("", ADDED)})
    assert [(one.by, one.evidence[0].note_id) for one in found.changes[0].closed] == [("another note", "n2")]


def test_opened_and_shifted_gaps_alerts_and_lone_notes(tmp_path: Path) -> None:
    alert = Alert(id="acute_fracture", severity="error", message="m", codes=[], evidence=[])
    a, b, c = (note(note_id=name) for name in "abc")
    found = compared(
        tmp_path,
        [dated(a, "documented"), dated(b, "missing", alerts=[alert]), dated(c, "missing")],
        [dated(a, "conflicting"), dated(b, "insufficient"), dated(note(note_id="d"), "missing")],
        dict.fromkeys("abcd", (TEXT, TEXT)),
    )
    first, second = found.changes
    assert [(one.id, one.after) for one in first.opened] == [("injury_date", "conflicting")]
    assert [(one.before, one.after) for one in second.shifted] == [("missing", "insufficient")]
    assert second.alerts_gone == ["acute_fracture"]
    assert (found.both, found.only_before, found.only_after) == (2, ["c"], ["d"])
    assert found.to_json()["verdicts"] == [
        {"before": "query", "after": "query", "notes": 1},
        {"before": "supported", "after": "query", "notes": 1},
    ]
    json.dumps(found.to_json())


def test_notes_no_longer_about_the_code_close_no_gap(tmp_path: Path) -> None:
    after = dated(note(), "documented", relevant=False, verdict="not_supported")
    found = compared(tmp_path, [dated(note(), "missing")], [after], {"n1": (TEXT, TEXT)})
    assert found.closed.total() == 0
    assert [(one.verdict_before, one.verdict_after) for one in found.changes] == [("query", "irrelevant")]


def test_audits_of_other_notes_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no note in common"):
        compared(
            tmp_path,
            [dated(note(note_id="a"), "missing")],
            [dated(note(note_id="b"), "missing")],
            {"a": (TEXT, TEXT), "b": (TEXT, TEXT)},
        )


def test_another_pack_is_told_of(tmp_path: Path) -> None:
    after = dated(note(), "missing")
    after = after.model_copy(update={"provenance": after.provenance.model_copy(update={"pack_version": "2.0.0"})})
    found = compared(tmp_path, [dated(note(), "missing")], [after], {"n1": (TEXT, TEXT)})
    assert found.provenance == ["pack_version: 1.0.0, then 2.0.0"]


# Verify


class Judge:
    """Says what it was told to, whatever the note."""

    def __init__(self, reports: dict[str, GapReport | Exception]) -> None:
        self.reports = reports

    def report(self, note: Note) -> GapReport:
        answer = self.reports[note.note_id]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def audited(tmp_path: Path) -> tuple[Path, GapReport]:
    report = full_report(NOTE)
    return write_folder(tmp_path / "out", [NOTE], [report]), report


def test_an_audit_that_comes_out_the_same_holds(audited: tuple[Path, GapReport]) -> None:
    folder, report = audited
    found = verify(folder, Judge({NOTE.note_id: report}))
    assert found.holds
    assert (found.reports, found.identical) == (1, 1)


def test_a_warning_of_the_file_s_reading_is_no_difference(tmp_path: Path) -> None:
    report = full_report(NOTE)
    stored = report.model_copy(update={"warnings": [*report.warnings, "read as cp1252"]})
    assert verify(write_folder(tmp_path / "out", [NOTE], [stored]), Judge({NOTE.note_id: report})).holds


def test_another_pack_that_says_the_same_holds_and_is_told_of(audited: tuple[Path, GapReport]) -> None:
    folder, report = audited
    now = report.provenance.model_copy(update={"pack_version": "9.0.0"})
    found = verify(folder, Judge({NOTE.note_id: report.model_copy(update={"provenance": now})}))
    assert found.holds
    assert found.identical == 0
    assert list(found.provenance) == ["pack_version 1.0.0, now 9.0.0"]


def test_a_report_that_would_be_different_does_not_hold(audited: tuple[Path, GapReport]) -> None:
    folder, report = audited
    found = verify(folder, Judge({NOTE.note_id: report.model_copy(update={"verdict": "not_supported"})}))
    assert not found.holds
    assert found.to_json()["wrong"] == [
        {"what": "verdict would be different now", "reports": 1, "first": [NOTE.note_id]}
    ]


def test_a_changed_text_and_a_shifted_quote_are_noticed(tmp_path: Path) -> None:
    report = full_report(NOTE)
    other = NOTE.model_copy(update={"text": f" {TEXT}"})
    found = verify(write_folder(tmp_path / "out", [other], [report]), Judge({NOTE.note_id: report}))
    assert set(found.wrong) == {
        "the text is not the one that was read (its hash differs)",
        "a quote does not stand where the report says",
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CodeError("M99: no pack covers it"), "no report can be made now: M99: no pack covers it"),
        (ValueError(TEXT), "no report can be made now (ValueError)"),
    ],
)
def test_a_note_that_cannot_be_judged_now_does_not_hold(
    audited: tuple[Path, GapReport], error: Exception, said: str
) -> None:
    assert list(verify(audited[0], Judge({NOTE.note_id: error})).wrong) == [said]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda f: (f / "notes.jsonl").unlink(), "holds no notes.jsonl"),
        (lambda f: (f / "notes.jsonl").write_text(""), "does not hold the notes of report 1"),
        (lambda f: (f / "notes.jsonl").write_text((f / "notes.jsonl").read_text() * 2), "more notes than"),
    ],
)
def test_an_audit_whose_notes_are_not_all_there_cannot_be_verified(
    audited: tuple[Path, GapReport], broken: Callable[[Path], Any], said: str
) -> None:
    broken(audited[0])
    with pytest.raises(InputError, match=said):
        verify(audited[0], Judge({NOTE.note_id: audited[1]}))


def test_real_reports_hold(tmp_path: Path, samples: list[Note], analyzer: Analyzer) -> None:
    some = samples[:3]
    found = verify(write_folder(tmp_path / "out", some, [analyzer.report(n) for n in some]), analyzer)
    assert found.holds
    assert found.identical == 3


# Exhibits


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    known = NOTE.model_copy(update={"encounter_id": "E7", "author_role": "physician", "note_type": "progress_note"})
    return write_folder(tmp_path / "out", [known], [full_report(NOTE)])


@pytest.mark.parametrize("name", [NOTE.note_id, "E7"])
def test_an_exhibit_holds_quotes_authors_dates_and_hashes(shown: Path, name: str) -> None:
    html = exhibit_page(shown, name)
    report = full_report(NOTE)
    line = (shown / "reports.jsonl").read_bytes().rstrip(b"\n")
    for sha256 in (report.text_sha256, hashlib.sha256(line).hexdigest(), report.provenance.pack_sha256, "a" * 64):
        assert sha256 in html
    for item in report.requirements:
        assert item.label in html
        if item.evidence:
            assert item.evidence[0].text.split("\n")[0][:20] in html
    assert "2025-11-10" in html
    assert "needs a query" in html
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert exhibit_page(shown, name) == html


def test_an_unknown_note_has_no_exhibit(shown: Path) -> None:
    with pytest.raises(InputError, match="no report on a note, case or encounter called 'nobody'"):
        exhibit_page(shown, "nobody")


def test_an_exhibit_without_text_says_what_it_is_not(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "out",
        [NOTE],
        [report_without_text(full_report(NOTE))],
        with_notes=False,
        without_text=NO_DEIDENTIFICATION,
    )
    html = exhibit_page(folder, NOTE.note_id)
    assert NO_DEIDENTIFICATION in html
    assert "<q>" not in html
    assert "years ago" not in html

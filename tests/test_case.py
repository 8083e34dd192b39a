"""Several notes of one encounter, judged together: order, origin of each place, who says it, and what is refused."""

from __future__ import annotations

import hashlib
from datetime import date
from itertools import permutations
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import analyzer.cli as cli
from analyzer import Analyzer, Note
from analyzer.errors import InputError

RADIOLOGY = Note(
    note_id="rad",
    text="EXAM: CT sacrum\nFINDINGS: Healed transverse fracture of S4 with 20 degrees anterior angulation.\n"
    "IMPRESSION: Old healed S4 fracture.",
    date_of_service=date(2025, 11, 3),
    author_role="radiologist",
    patient_id="p1",
    encounter_id="e1",
)
CLINIC = Note(
    note_id="clinic",
    text="HPI: Fell down the stairs in June 2023 onto her buttocks. Sacral pain since.\n"
    "Exam: tender sacrum. Sensation intact S2-S4, strength 5/5.\n"
    "Assessment: Post-traumatic sacral pain due to the 2023 fracture, CT reviewed.",
    date_of_service=date(2025, 11, 10),
    author_role="orthopedic surgeon",
    patient_id="p1",
    encounter_id="e1",
)
NURSE = Note(
    note_id="nurse",
    text="Triage note. Pain at the tailbone, 6/10.",
    date_of_service=date(2025, 11, 10),
    author_role="RN",
    patient_id="p1",
    encounter_id="e1",
)

EARLIER = Note(
    note_id="2023-visit",
    text="Fell on the stairs on 6/3/2023, landed on her tailbone. Coccyx fracture on x-ray.",
    date_of_service=date(2023, 6, 9),
    author_role="physician",
    patient_id="p1",
)


def test_imaging_in_one_note_and_assessment_in_another(analyzer: Analyzer) -> None:
    report = analyzer.case([CLINIC, RADIOLOGY])
    assert report.verdict == "supported"
    assert (report.case_id, report.note_id, report.note_ids) == ("e1", "clinic", ["rad", "clinic"])
    assert report.date_of_service == date(2025, 11, 10)
    imaging = next(r for r in report.requirements if r.id == "imaging_findings")
    assert {(e.note_id, e.author_role, e.date) for e in imaging.evidence} == {("rad", "radiologist", date(2025, 11, 3))}


def test_every_place_is_one_of_the_note_it_names(analyzer: Analyzer) -> None:
    texts = {note.note_id: note.text for note in (CLINIC, RADIOLOGY, NURSE)}
    report = analyzer.case([CLINIC, RADIOLOGY, NURSE])
    places = [
        *(e for r in report.requirements for e in r.evidence),
        *(e for a in [*report.alerts, *report.review_flags] for e in a.evidence),
        *report.findings,
    ]
    assert {place.note_id for place in places} == set(texts)
    for place in places:
        assert texts[place.note_id][place.start : place.end] == place.text


def test_the_order_given_does_not_matter(analyzer: Analyzer) -> None:
    reports = {analyzer.case(notes).to_json() for notes in permutations([CLINIC, RADIOLOGY, NURSE])}
    assert len(reports) == 1


def test_a_case_of_one_note_is_judged_as_the_note_alone(analyzer: Analyzer, sample: Note) -> None:
    alone = analyzer.report(sample)
    assert analyzer.case([sample], case_id="c") == alone.model_copy(update={"case_id": "c"})


def test_the_digest_of_a_case_is_that_of_its_notes_digests(analyzer: Analyzer) -> None:
    digests = [hashlib.sha256(note.text.encode()).hexdigest() for note in (RADIOLOGY, CLINIC)]
    expected = hashlib.sha256("".join(f"{d}\n" for d in digests).encode()).hexdigest()
    assert analyzer.case([CLINIC, RADIOLOGY]).text_sha256 == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patient_id": "p2"}, "notes of different patients (patient_id differs): clinic, rad"),
        ({"encounter_id": "e2"}, "notes of different encounters (encounter_id differs): clinic, rad"),
        ({"note_id": "clinic"}, "note_id clinic: given twice with different contents"),
    ],
)
def test_notes_that_do_not_belong_together_are_refused(
    analyzer: Analyzer, change: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        analyzer.case([CLINIC, RADIOLOGY.model_copy(update=change)])
    assert str(caught.value) == message


def test_a_case_needs_a_note(analyzer: Analyzer) -> None:
    with pytest.raises(InputError, match="at least one note"):
        analyzer.case([])


def test_a_note_given_twice_counts_once(analyzer: Analyzer) -> None:
    report = analyzer.case([CLINIC, RADIOLOGY, CLINIC])
    assert report.note_ids == ["rad", "clinic"]
    assert report.warnings[0] == "note clinic is given more than once and counts once"


def test_context_answers_a_gap_and_changes_nothing_else(analyzer: Analyzer) -> None:
    visit = Note(
        note_id="visit",
        text="HPI: tailbone pain after a fall on the stairs.\nAssessment: Post-traumatic coccyx pain due to the fall.",
        date_of_service=date(2025, 11, 10),
    )
    alone, with_context = analyzer.case([visit]), analyzer.case([visit], [EARLIER])
    answered = {r.id: r.answered_elsewhere for r in with_context.requirements if r.answered_elsewhere}
    assert set(answered) == {"injury_date", "injury_diagnosis"}
    (place,) = answered["injury_date"]
    assert (place.note_id, place.author_role, place.date) == ("2023-visit", "physician", date(2023, 6, 9))
    assert EARLIER.text[place.start : place.end] == place.text
    assert "6/3/2023" in place.text
    assert [r.status for r in with_context.requirements] == [r.status for r in alone.requirements]
    assert with_context.verdict == alone.verdict


class TestCommandLine:
    """`chartgap analyze --case FILE...` and `--context FILE`."""

    @pytest.fixture
    def files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        monkeypatch.chdir(tmp_path)
        for note in (RADIOLOGY, CLINIC, EARLIER):
            Path(f"{note.note_id}.json").write_text(note.model_dump_json(), encoding="utf-8")
        return ["clinic.json", "rad.json"]

    @staticmethod
    def run(*arguments: str) -> Result:
        return CliRunner(env={"COLUMNS": "100"}).invoke(cli.app, ["analyze", *arguments])

    def test_one_report_of_several_files_is_the_librarys(self, files: list[str], analyzer: Analyzer) -> None:
        result = self.run("--case", *files, "--format", "json")
        assert result.stdout == analyzer.case([CLINIC, RADIOLOGY]).to_json() + "\n"

    def test_without_case_each_note_has_its_own_report_and_the_context(
        self, files: list[str], analyzer: Analyzer
    ) -> None:
        reports = self.run(*files, "--context", "2023-visit.json", "--format", "json").stdout.splitlines()
        expected = [analyzer.case([n], [EARLIER]).model_copy(update={"case_id": None}) for n in (CLINIC, RADIOLOGY)]
        assert reports == [report.to_json() for report in expected]
        assert any(r.answered_elsewhere for r in expected[1].requirements)

    def test_on_screen_every_quote_names_its_note(self, files: list[str]) -> None:
        shown = " ".join(self.run("--case", *files).stdout.split())
        assert "clinic (2025-11-10, orthopedic surgeon)" in shown
        assert "rad (2025-11-03, radiologist)" in shown

    def test_on_screen_an_answer_names_its_source(self, files: list[str]) -> None:
        shown = " ".join(self.run("rad.json", "--context", "2023-visit.json").stdout.split())
        assert "Answered elsewhere, in 2023-visit (2023-06-09, physician): “" in shown

    def test_the_page_shows_every_note_with_its_day_and_author(self, files: list[str]) -> None:
        page = self.run("--case", *files, "--format", "html").stdout
        for note in (RADIOLOGY, CLINIC):
            assert f'{note.note_id} <span class="about">{note.date_of_service}, {note.author_role}</span>' in page
            assert f'aria-label="Text of {note.note_id}"' in page

    def test_notes_of_two_patients_end_in_one_line(self, files: list[str]) -> None:
        Path("rad.json").write_text(RADIOLOGY.model_copy(update={"patient_id": "p2"}).model_dump_json())
        result = self.run("--case", *files)
        assert result.exit_code == 2
        assert result.stderr == "chartgap: notes of different patients (patient_id differs): clinic, rad\n"

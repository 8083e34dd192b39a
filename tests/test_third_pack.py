"""A pack of another specialty, written with docs/writing-a-pack.md alone and kept outside of the program.

Nothing of it is known to the program: no injury, no event, no imaging, a code that the code table does not carry.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import analyzer.cli as cli
from analyzer.analyze import Analyzer
from analyzer.note import Note
from analyzer.packcheck import check_pack
from analyzer.packs import load_pack

FOLDER = Path(__file__).resolve().parent / "third_pack"
PACK = FOLDER / "diabetic-foot"
NOTES, LABELS = PACK / "notes" / "notes.jsonl", PACK / "notes" / "labels.jsonl"


def run(*arguments: str | Path, ok: bool = True) -> str:
    """What a command prints (with `ok` false: its complaint) with the pack's folder given."""
    result = CliRunner(env={"COLUMNS": "100"}).invoke(cli.app, [*map(str, arguments), "--pack-folder", str(FOLDER)])
    assert result.exit_code == (0 if ok else 2), (result.stdout, result.stderr)
    return result.stdout if ok else result.stderr


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer("E11.621", pack_folders=[FOLDER])


def test_its_examples_hold() -> None:
    results = check_pack(load_pack(PACK))
    assert [r for r in results if not r.ok] == []
    assert sum(r.file.startswith("diabetic-foot/") for r in results) > 40


def test_it_agrees_with_its_labels() -> None:
    found = json.loads(run("evaluate", NOTES, LABELS, "--json", "--bootstrap", "0"))
    assert found["notes"] == len(LABELS.read_text(encoding="utf-8").splitlines()) == 10
    assert found["status_accuracy"] == found["verdict_accuracy"] == 1
    assert found["offsets_exact"] == 1


def test_it_is_listed_and_shown() -> None:
    assert "diabetic-foot 0.1.0: Type 2 diabetes with foot ulcer (E11.621)" in run("packs", "list")
    assert "Depth of the ulcer" in run("packs", "show", "diabetic-foot")


def test_a_note_is_analyzed(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("HPI: T2DM.\nAssessment: Plantar ulcer, right foot.\n", encoding="utf-8")
    printed = run("analyze", note, "--code", "E11.621")
    assert "Type 2 diabetes mellitus with foot ulcer" in printed
    assert "Which tissue does the ulcer reach?" in printed


def test_an_audit_judges_each_note_by_its_own_code(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    row = {"note_id": "tail", "code": "M48.38", "text": "Assessment: traumatic spondylopathy of the sacrum."}
    other.write_text(json.dumps(row) + "\n", encoding="utf-8")
    run("audit", NOTES, other, "--output", tmp_path / "audit", "--workers", "1")
    rows = [json.loads(line) for line in (tmp_path / "audit" / "reports.jsonl").read_text().splitlines()]
    packs = [row["provenance"]["pack"] for row in rows]
    assert packs == ["diabetic-foot"] * 10 + ["traumatic-spondylopathy"]
    assert json.loads((tmp_path / "audit" / "run.json").read_text())["settings"]["pack_folders"] == [str(FOLDER)]


def test_notes_of_an_encounter_are_judged_together(analyzer: Analyzer) -> None:
    """The other note, about no ulcer, tells of the diabetes (cases.yaml, follow_up)."""
    day = {"date_of_service": "2026-03-02", "encounter_id": "e1", "code": "E11.621"}
    one = Note.model_validate({"note_id": "a", "text": "Assessment: Superficial ulcer of the left heel.", **day})
    two = Note.model_validate({"note_id": "b", "text": "Assessment: Type 2 diabetes.", **day})
    report = analyzer.case([one, two])
    assert report.verdict == "supported"
    assert {e.note_id for r in report.requirements for e in r.evidence} == {"a", "b"}


def test_dates_are_no_findings_of_a_pack_that_names_none(analyzer: Analyzer) -> None:
    text = "HPI: Ulcer of the left heel since 2/1/2026.\nAssessment: diabetic ulcer of the left heel."
    report = analyzer.report(Note.model_validate({"note_id": "a", "text": text, "date_of_service": "2026-03-02"}))
    assert {f.element for f in report.findings} == {"ulcer", "site", "side", "diabetes"}


@pytest.mark.parametrize("command", ["analyze", "audit", "evaluate", "packs"])
def test_a_broken_pack_is_one_line_wherever_it_is_used(tmp_path: Path, command: str) -> None:
    pack = Path(shutil.copytree(PACK, tmp_path / "packs" / "diabetic-foot"))
    facts = pack / "facts.yaml"
    facts.write_text(facts.read_text(encoding="utf-8").replace("find: depth", "find: dept"), encoding="utf-8")
    arguments = {
        "analyze": ["analyze", str(NOTES), "--code", "E11.621"],
        "audit": ["audit", str(NOTES), "--output", str(tmp_path / "out"), "--workers", "1", "--code", "E11.621"],
        "evaluate": ["evaluate", str(NOTES), str(LABELS), "--code", "E11.621"],
        "packs": ["packs", "test", "diabetic-foot"],
    }[command]
    result = CliRunner().invoke(cli.app, [*arguments, "--pack-folder", str(tmp_path / "packs")])
    assert result.exit_code == 2
    assert result.stderr == (
        "chartgap: diabetic-foot/facts.yaml:19: facts.depth_said.find: "
        "no element is called 'dept'; did you mean 'depth'?\n"
    )


@pytest.mark.parametrize(
    ("folder", "told"),
    [("nowhere", "nowhere: No such file"), ("docs", "docs: holds no pack (a folder with a pack.yaml)")],
)
def test_a_folder_without_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, told: str) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["packs", "list", "--pack-folder", folder])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"chartgap: {told}")

"""The auditor's guide: every command in it runs, from first to last, and does what the guide says it does."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import analyzer.cli as cli

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.S) for line in block.splitlines() if line.strip()
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command prints, run in order in a folder of its own; the folder under the key `.`."""
    folder = tmp_path_factory.mktemp("guide")
    shutil.copytree(ROOT / "sample_notes", folder / "sample_notes")
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    printed = {".": str(folder)}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            program, *arguments = shlex.split(command)
            assert program == "chartgap"
            result = CliRunner(env={"COLUMNS": "100"}).invoke(cli.app, arguments)
            assert result.exit_code == 0, (command, result.stderr)
            printed[command] = result.stdout
    return printed


def test_the_guide_has_commands() -> None:
    assert {shlex.split(command)[1] for command in COMMANDS} == {
        "audit",
        "review",
        "evaluate",
        "compare",
        "verify",
        "exhibit",
    }


def test_the_folder_holds_what_the_guide_lists(outputs: dict[str, str]) -> None:
    names = set(re.findall(r"^\| `([a-z.]+)` \|", GUIDE.split("## Read")[0], flags=re.M))
    folder = Path(outputs["."]) / "audit-1"
    assert names <= {path.name for path in folder.iterdir()}
    assert {"claims.csv", "claims.json", "sample.csv", "decisions.jsonl", "agreement.json"} <= set(
        json.loads((folder / "run.json").read_text())["outputs"]
    )


def test_the_kinds_of_claims_rows_are_those_of_the_guide(outputs: dict[str, str]) -> None:
    with (Path(outputs["."]) / "audit-1" / "claims.csv").open(newline="") as handle:
        kinds = {row["kind"].partition(":")[0] for row in csv.DictReader(handle)}
    described = set(
        re.findall(r"^\| `([a-z_]+)(?::\.\.\.)?` \|", GUIDE.split("## Hold")[1].split("## Let")[0], flags=re.M)
    )
    assert {"billed_without_support", "support_without_code", "rule", "code_not_reportable", "not_readable"} <= kinds
    assert kinds <= described


def test_readers_are_measured(outputs: dict[str, str]) -> None:
    printed = outputs["chartgap review audit-1 --decisions docs/examples/decisions.csv"]
    assert "errors in" in printed
    assert "Ann Reader and Ben Reader agree on 21 of 24 findings, Cohen's kappa" in printed
    carried = outputs["chartgap audit sample_notes/text --output audit-2 --decisions audit-1/decisions.jsonl"]
    assert printed.splitlines()[0] == carried.splitlines()[0]


def test_the_addendum_is_named(outputs: dict[str, str]) -> None:
    printed = outputs["chartgap compare audit-1 audit-amended"]
    assert "1 notes in both audits, 1 with changed text" in printed
    assert re.search(r"closed +Date of the injury: missing -> documented, by an addendum", printed)
    assert "June 3, 2022" in printed


def test_the_audit_holds(outputs: dict[str, str]) -> None:
    assert "28 reports hold, byte for byte" in outputs["chartgap verify audit-1"]


def test_without_text_no_output_holds_a_note_s_words(outputs: dict[str, str]) -> None:
    folder = Path(outputs["."])
    text = (folder / "sample_notes" / "text" / "checkbox-intake-template.txt").read_text()
    lines = [line.strip() for line in text.splitlines() if len(line.split()) > 3]
    for path in (folder / "audit-bare").rglob("*"):
        if path.suffix in (".html", ".jsonl", ".csv", ".json"):
            content = path.read_text()
            assert not [line for line in lines if line in content], path.name
    assert "This is no de-identification" in (folder / "audit-bare" / "report.html").read_text()


def test_the_exhibit_is_about_the_note(outputs: dict[str, str]) -> None:
    html = (Path(outputs["."]) / "exhibit.html").read_text()
    assert "checkbox-intake-template.txt" in html
    assert "Reader Ann Reader" in html

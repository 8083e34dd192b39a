"""The pack author's guide: every command in it runs and every edit is made, from first to last."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import analyzer.cli as cli
from analyzer.linking import HOLDS
from analyzer.pack_files import LINKED, FindFact, Linking
from analyzer.pack_names import ASSERTIONS, TIES

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "writing-a-pack.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"(?:Write `(?P<write>[^`]+)`|Add at the end of `(?P<end>[^`]+)`|Add to `(?P<into>[^`]+)` above `(?P<line>[^`]+)`)"
    r":\n\n```(?:yaml|json)\n(?P<content>.*?)```|```sh\n(?P<commands>.*?)```",
    re.S,
)


def edit(folder: Path, step: re.Match[str]) -> None:
    """Make the edit that a step of the guide asks for."""
    if step["write"]:
        (folder / step["write"]).write_text(step["content"], encoding="utf-8")
        return
    file = folder / (step["end"] or step["into"])
    text = file.read_text(encoding="utf-8")
    if step["end"]:
        file.write_text(text + step["content"], encoding="utf-8")
    else:
        assert text.count("\n" + step["line"]) == 1
        file.write_text(text.replace("\n" + step["line"], "\n" + step["content"] + step["line"]), encoding="utf-8")


def run(folder: Path, command: str) -> tuple[int, str, str]:
    """Run a command in a folder: exit code, what it prints, what it complains of."""
    program, *arguments = shlex.split(command)
    assert program == "chartgap"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner(env={"COLUMNS": "100"}).invoke(cli.app, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder after the guide was followed, and what each command printed the last time it ran."""
    folder = tmp_path_factory.mktemp("guide")
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    printed: dict[str, str] = {}
    for step in STEP.finditer(GUIDE):
        if step["commands"] is None:
            edit(folder, step)
            continue
        for command in step["commands"].splitlines():
            code, out, err = run(folder, command)
            assert code == 0, (command, out, err)
            printed[command] = out
    return folder, printed


def test_no_edit_and_no_command_is_passed_over() -> None:
    blocks = re.findall(r"^```(sh|yaml|json)$", GUIDE, flags=re.M)
    assert len(blocks) == sum(1 for _ in STEP.finditer(GUIDE))
    assert {"new", "test", "words", "coverage", "list", "show"} <= set(re.findall(r"chartgap packs (\w+)", GUIDE))


def test_the_pack_holds_and_agrees_with_its_labels(followed: tuple[Path, dict[str, str]]) -> None:
    _folder, printed = followed
    assert re.search(r"gout-foot: \d+ examples hold, 0 fail, 0 known misses", printed["chartgap packs test gout-foot"])
    measured = next(out for command, out in printed.items() if command.startswith("chartgap evaluate"))
    assert re.search(r"status accuracy +1\.000", measured)
    assert re.search(r"verdict accuracy +1\.000", measured)
    assert "5 notes" in measured


def test_it_is_used_from_its_folder(followed: tuple[Path, dict[str, str]]) -> None:
    folder, printed = followed
    assert "gout-foot 0.1.0: Idiopathic gout, right ankle and foot" in printed["chartgap packs list --pack-folder ."]
    assert "Idiopathic gout" in printed["chartgap analyze gout-foot/notes/notes.jsonl --pack-folder ."]
    reports = (folder / "audit-gout" / "reports.jsonl").read_text(encoding="utf-8")
    assert reports.count('"pack":"gout-foot"') == 5


def test_words_are_shown_as_patterns_see_them(followed: tuple[Path, dict[str, str]]) -> None:
    printed = next(out for command, out in followed[1].items() if command.startswith("chartgap packs words"))
    told = re.search(r"^prints `([^`]+)`", GUIDE, flags=re.M)
    assert told is not None
    assert printed.splitlines() == [told[1], "  condition named, possible: gout"]


def test_the_error_is_the_one_that_is_shown(followed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    shown = re.findall(r"```text\n(.*?)```", GUIDE, flags=re.S)
    pack = Path(shutil.copytree(followed[0] / "gout-foot", tmp_path / "gout-foot"))
    facts = (pack / "facts.yaml").read_text(encoding="utf-8")
    (pack / "facts.yaml").write_text(facts.replace("find: condition", "find: conditon", 1), encoding="utf-8")
    assert run(tmp_path, "chartgap packs test gout-foot") == (2, "", shown[0])


def test_its_tables_are_whole() -> None:
    facts, linking = GUIDE.split("## Facts")[1].split("## Sites")
    keys = {field.alias or name for name, field in FindFact.model_fields.items()}
    named = set(re.findall(r"\w+", facts))
    assert {*keys, *LINKED, *ASSERTIONS, *TIES} <= named
    assert HOLDS == ("affirmed", "historical")
    assert set(Linking.model_fields) <= set(re.findall(r"\w+", linking))

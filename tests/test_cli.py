"""The command line: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sample_reports import NOTE, TEXT, full_report, report_of
from typer.testing import CliRunner

import analyzer.cli as cli
from analyzer import Analyzer
from analyzer.audit.workers import InProcess
from analyzer.errors import CodeError
from analyzer.note import Note
from analyzer.packcheck import ExampleResult
from analyzer.report import GapReport

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_notes"
SECRET = "Jane Q. Sentinel"


class FakeAnalyzer:
    """Answers from the note's own words: a verdict's name is the verdict, `boom` breaks the analyzer."""

    def __init__(self, code: str | None, pack_folders: Sequence[Path]) -> None:
        if code == "X99":
            raise CodeError("X99: no such code")
        self.code = code or "M48.38"

    def report(self, note: Note) -> GapReport:
        if note.code == "X99":
            raise CodeError("X99: no such code")
        if "boom" in note.text:
            raise ValueError(note.text)
        if note.text == TEXT:
            return full_report(note)
        verdict = note.text.strip()
        return report_of(note, verdict if verdict in ("supported", "not_supported") else "query", code=self.code)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.analyze.Analyzer", FakeAnalyzer)
    # The fake stays behind in this process, so an audit's notes do too.
    monkeypatch.setattr("analyzer.audit.run.local_engine", lambda workers: InProcess)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Result:
    """A finished run, its output split."""

    def __init__(self, *args: str, stdin: str | bytes | None = None) -> None:
        result = CliRunner(env={"COLUMNS": "80"}).invoke(cli.app, args, input=stdin)
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr

    def fails(self, *said: str) -> None:
        """One clear line on stderr, exit code 2."""
        assert self.code == 2, self.err
        assert self.out == ""
        assert self.err.count("\n") == 1
        assert "Traceback" not in self.err
        assert "Sentinel" not in self.err
        for words in said:
            assert words in self.err


def jsonl(path: str, *records: Any) -> str:
    Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


# analyze


@pytest.mark.usefixtures("fake")
def test_analyze_prints_a_readable_report(inside: Path) -> None:
    Path("visit.txt").write_text(TEXT)
    result = Result("analyze", "visit.txt", "--date-of-service", "2025-11-10", "--queries")
    assert result.code == 0
    assert "NEEDS A QUERY" in result.out
    assert "Date of service: 2025-11-10" in result.out
    assert "Please document when it happened." in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.err == ""


@pytest.mark.usefixtures("fake")
def test_analyze_writes_the_librarys_json(inside: Path) -> None:
    Path("visit.txt").write_text(TEXT)
    result = Result("analyze", "visit.txt", "--format", "json", "--date-of-service", "2025-11-10")
    note = NOTE.model_copy(update={"note_id": "visit.txt"})
    assert result.out == full_report(note).to_json() + "\n"


@pytest.mark.usefixtures("fake")
def test_several_notes_are_json_lines(inside: Path) -> None:
    path = jsonl("n.jsonl", {"note_id": "a", "text": "supported"}, {"note_id": "b", "text": "query"})
    reports = [json.loads(line) for line in Result("analyze", path, "--format", "json").out.splitlines()]
    assert [(r["note_id"], r["verdict"]) for r in reports] == [("a", "supported"), ("b", "query")]


@pytest.mark.usefixtures("fake")
def test_output_goes_to_a_file(inside: Path) -> None:
    Path("visit.txt").write_text(TEXT)
    for form, start in (("html", "<!doctype html>"), ("json", '{"schema_version"'), ("text", "visit.txt")):
        result = Result("analyze", "visit.txt", "--format", form, "--output", f"out.{form}")
        assert (result.code, result.out) == (0, "")
        assert Path(f"out.{form}").read_text().lstrip().startswith(start)
    assert Result("analyze", "visit.txt", "--format", "html").out.encode() == Path("out.html").read_bytes()


@pytest.mark.usefixtures("fake")
def test_an_output_that_can_not_be_written(inside: Path) -> None:
    Path("visit.txt").write_text(TEXT)
    Result("analyze", "visit.txt", "--format", "html", "--output", "no/where.html").fails("no/where.html: No such file")


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("stdin", "ids"),
    [("supported", ["stdin"]), ('{"note_id": "a", "text": "x"}\n{"note_id": "b", "text": "y"}\n', ["a", "b"])],
)
def test_standard_input_is_text_or_json_lines(stdin: str, ids: list[str]) -> None:
    result = Result("analyze", "-", "--format", "json", stdin=stdin)
    assert [json.loads(line)["note_id"] for line in result.out.splitlines()] == ids


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("verdicts", "fail_on", "code"),
    [
        (["supported"], "query", 0),
        (["supported", "query"], "query", 1),
        (["not_supported"], "query", 1),
        (["query"], "not_supported", 0),
        (["query", "not_supported"], "not_supported", 1),
    ],
)
def test_fail_on(inside: Path, verdicts: list[str], fail_on: str, code: int) -> None:
    path = jsonl("n.jsonl", *({"note_id": str(n), "text": v} for n, v in enumerate(verdicts)))
    result = Result("analyze", path, "--fail-on", fail_on, "--format", "json")
    assert result.code == code
    assert len(result.out.splitlines()) == len(verdicts)


@pytest.mark.usefixtures("fake")
def test_code_and_setting_are_handed_on(inside: Path) -> None:
    Path("n.txt").write_text("x")
    assert json.loads(Result("analyze", "n.txt", "--format", "json", "--code", "M48.37").out)["code"] == "M48.37"
    Result("analyze", "n.txt", "--code", "X99").fails("X99: no such code")
    Result("analyze", jsonl("n.jsonl", {"note_id": "a", "text": "x", "code": "X99"})).fails(
        "n.jsonl:1: X99: no such code"
    )
    assert Result("analyze", "n.txt", "--setting", "inpatient").code == 0
    Result("analyze", "n.txt", "--setting", "ward").fails("--setting", "ward")


@pytest.mark.usefixtures("fake")
def test_warnings_go_to_stderr_and_into_the_report(inside: Path) -> None:
    Path("old.txt").write_bytes(b"caf\xe9")
    Path("empty.txt").write_bytes(b"")
    result = Result("analyze", "old.txt", "empty.txt", "--format", "json")
    assert result.code == 0
    assert result.err == "chartgap: warning: old.txt: read as cp1252\nchartgap: warning: empty.txt: the file is empty\n"
    old, empty = map(json.loads, result.out.splitlines())
    assert old["warnings"] == ["read as cp1252"]
    assert empty["warnings"] == ["the file is empty"]


@pytest.mark.usefixtures("fake")
def test_duplicate_ids_are_kept_and_warned_of(inside: Path) -> None:
    path = jsonl("n.jsonl", {"note_id": "a", "text": "x"}, {"note_id": "a", "text": "y"})
    result = Result("analyze", path, "--format", "json")
    assert len(result.out.splitlines()) == 2
    assert result.err == "chartgap: warning: n.jsonl:2: note_id a is used more than once\n"


@pytest.mark.usefixtures("fake")
def test_bad_input_is_one_line_that_names_the_place(inside: Path) -> None:
    Path("scan.bin").write_bytes(b"\x00\x01\x02")
    Path("none.jsonl").write_text("\n")
    Result("analyze", "nope.txt").fails("nope.txt: no such file or folder")
    Result("analyze", "scan.bin").fails("scan.bin: holds NUL bytes")
    Result("analyze", "none.jsonl").fails("none.jsonl: holds no notes")
    path = jsonl("n.jsonl", {"note_id": "a", "text": "x"}, {"text": SECRET}, {"note_id": SECRET})
    Result("analyze", path).fails("n.jsonl:2: note_id: Field required (and 1 more)")
    path = jsonl("d.jsonl", {"note_id": "a", "text": SECRET, "date_of_service": "2025-13-01"})
    Result("analyze", path).fails("d.jsonl:1: date_of_service 2025-13-01: ")


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("day", ["2025-02-30", "yesterday", "20250101", "2025-1-1"])
def test_an_impossible_date_of_service_is_named(inside: Path, day: str) -> None:
    Path("n.txt").write_text("x")
    Result("analyze", "n.txt", "--date-of-service", day).fails(f"--date-of-service {day}: no such day")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nonsense"], "No such command"),
        (["analyze"], "Missing argument"),
        (["analyze", "x", "--format", "pdf"], "pdf"),
        (["analyze", "x", "--nonsense"], "--nonsense"),
        (["audit", "x"], "--output"),
        (["evaluate", "a", "b", "--bootstrap", "-1"], "--bootstrap"),
    ],
)
def test_usage_errors_are_one_line(args: list[str], said: str) -> None:
    Result(*args).fails(said)


@pytest.mark.usefixtures("fake")
def test_a_note_that_breaks_the_analyzer_is_not_quoted(inside: Path) -> None:
    Path("n.txt").write_text(f"boom {SECRET}")
    Result("analyze", "n.txt").fails("n.txt: the analyzer failed (ValueError)")


def test_an_unexpected_error_says_where_and_not_what(monkeypatch: pytest.MonkeyPatch, inside: Path) -> None:
    def broken(code: str | None, pack_folders: Sequence[Path]) -> FakeAnalyzer:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("analyzer.analyze.Analyzer", broken)
    Path("n.txt").write_text("x")
    Result("analyze", "n.txt").fails("internal error: RuntimeError at test_cli.py:")


# audit


@pytest.mark.usefixtures("fake")
def test_audit_accounts_for_every_record(inside: Path) -> None:
    path = jsonl(
        "n.jsonl", {"note_id": "a", "text": "supported"}, {"note_id": "b"}, {"note_id": "c", "text": f"boom {SECRET}"}
    )
    Path("one.txt").write_text("query")
    result = Result("audit", path, "one.txt", "--output", "out", "--code", "M48.37", "--without-text")
    assert result.code == 0
    assert result.out == "4 records = 2 reports + 2 failures, in out\n"
    run = json.loads(Path("out/run.json").read_text())
    assert run["settings"]["code"] == "M48.37"
    assert run["settings"]["without_text"] is True
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "failures.jsonl",
        "gaps.parquet",
        "report.html",
        "reports.jsonl",
        "run.json",
        "summary.csv",
    ]
    assert "Sentinel" not in result.err + Path("out/failures.jsonl").read_text()


@pytest.mark.usefixtures("fake")
def test_audit_keeps_the_notes_unless_told_not_to(inside: Path) -> None:
    Path("one.txt").write_text("query")
    assert Result("audit", "one.txt", "--output", "out", "--date-of-service", "2025-01-02").code == 0
    (note,) = map(json.loads, Path("out/notes.jsonl").read_text().splitlines())
    assert (note["note_id"], note["date_of_service"], note["text"]) == ("one.txt", "2025-01-02", "query")


@pytest.mark.usefixtures("fake")
def test_audit_tells_of_warnings(inside: Path) -> None:
    Path("old.txt").write_bytes(b"caf\xe9")
    assert "there were warnings; out/run.json counts them" in Result("audit", "old.txt", "--output", "out").err


@pytest.mark.usefixtures("fake")
def test_audit_refuses_bad_inputs(inside: Path) -> None:
    Path("one.txt").write_text("query")
    Result("audit", "nope", "--output", "out").fails("nope: no such file or folder")
    Result("audit", "-", "--output", "out").fails("audit reads files and folders")
    Result("audit", "one.txt", "--output", ".").fails("one.txt: lies in the output folder")
    Result("audit", "one.txt", "--output", "out", "--date-of-service", "2025-02-30").fails("2025-02-30")
    Result("audit", "one.txt", "--output", "out", "--by", "text").fails("--by text: no field of a note")
    Result("audit", "one.txt", "--output", "out", "--workers", "0").fails("--workers")
    assert not Path("out").exists()


@pytest.mark.usefixtures("fake")
def test_audit_that_is_stopped_says_how_to_go_on(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("one.txt").write_text("query")
    with monkeypatch.context() as patch:

        def stopped(self: FakeAnalyzer, note: Note) -> GapReport:
            raise KeyboardInterrupt

        patch.setattr(FakeAnalyzer, "report", stopped)
        result = Result("audit", "one.txt", "--output", "out")
    assert result.code == 130
    assert "what is done is kept: run it again with --resume" in result.err
    assert Result("audit", "one.txt", "--output", "out", "--resume").code == 0
    Result("audit", "one.txt", "--output", "out", "--resume", "--setting", "inpatient").fails(
        "--resume: setting was None, is inpatient"
    )


# evaluate


def gold(note_id: str, verdict: str) -> dict[str, Any]:
    statuses = {"it": {"status": "missing", "value": None, "evidence": [SECRET]}}
    return {"note_id": note_id, "verdict": verdict, "alerts": [], "requirements": statuses}


@pytest.mark.usefixtures("fake")
def test_evaluate_prints_measures_and_no_disagreement_unless_asked(inside: Path) -> None:
    notes = jsonl("n.jsonl", *({"note_id": n, "text": "supported"} for n in "abc"))
    labels = jsonl("g.jsonl", gold("a", "supported"), gold("b", "query"))
    quiet = Result("evaluate", notes, labels, "--bootstrap", "50")
    assert quiet.code == 0
    assert "verdict accuracy  0.500  0.000-1.000" in quiet.out
    assert "2 notes" in quiet.out
    assert "Sentinel" not in quiet.out
    assert "b verdict" not in quiet.out
    loud = Result("evaluate", notes, labels, "--errors", "--bootstrap", "0")
    assert "b verdict: gold query, found supported" in loud.out
    assert SECRET in loud.out
    result = json.loads(Result("evaluate", notes, labels, "--json", "--bootstrap", "50").out)
    assert result["verdict_accuracy"] == 0.5
    assert result["intervals"]["verdict_accuracy"] == [0.0, 1.0]
    assert result["by_requirement"]["it"]["confusion"] == {"missing->None": 2}


@pytest.mark.usefixtures("fake")
def test_evaluate_takes_reports_that_are_there(inside: Path) -> None:
    notes = jsonl("n.jsonl", {"note_id": "a", "text": "supported"})
    labels = jsonl("g.jsonl", gold("a", "query"))
    Path("r.jsonl").write_text(report_of(Note(note_id="a", text="supported"), "query").to_json() + "\n")
    result = Result("evaluate", notes, labels, "--reports", "r.jsonl", "--json", "--bootstrap", "0")
    assert json.loads(result.out)["verdict_accuracy"] == 1.0
    Result("evaluate", notes, labels, "--reports", "none.jsonl").fails("none.jsonl")
    Result("evaluate", notes, jsonl("g2.jsonl", gold("z", "query"))).fails("z: labelled, but not among the notes")


# The program as it is installed


def test_version_and_help() -> None:
    assert Result("version").out == f"chartgap {cli.VERSION}\n"
    for args in ([], ["--help"], ["analyze", "--help"], ["audit", "--help"], ["packs", "--help"]):
        result = Result(*args)
        assert result.code == 0
        assert "Usage" in result.out


def test_a_whole_run_says_nothing_of_the_note_on_stderr() -> None:
    command = [
        sys.executable,
        "-m",
        "analyzer.cli",
        "analyze",
        "-",
        "--format",
        "json",
        "--date-of-service",
        "2025-11-10",
    ]
    text = f"{SECRET} fell on the tailbone in 2019.\n\nASSESSMENT: healed fracture of the coccyx.\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT, encoding="utf-8")
    assert done.stderr == ""
    GapReport.model_validate_json(done.stdout)


def test_help_does_not_load_spacy() -> None:
    script = "import sys; import analyzer.cli; assert not {'spacy', 'medspacy', 'jinja2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_packs_are_listed_and_shown() -> None:
    listed = Result("packs", "list")
    assert listed.code == 0
    name = listed.out.split()[0]
    assert "codes: " in listed.out
    shown = Result("packs", "show", name)
    assert shown.code == 0
    for title in ("Codes", "Requirements", "Alerts", "Elements", "Sources"):
        assert f"\n{title}\n" in shown.out or f"\n {title}\n" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    Result("packs", "show", "nope").fails("nope: no pack of this name")


@pytest.mark.parametrize(("broken", "code"), [(True, 1), (False, 0)])
def test_packs_test_counts_examples_and_names_those_that_fail(
    monkeypatch: pytest.MonkeyPatch, broken: bool, code: int
) -> None:
    results = [
        ExampleResult("words.yaml", 3, "element.rule", "match", "a sentence", True, False, ""),
        ExampleResult("words.yaml", 9, "element.rule", "todo", "a sentence", False, True, "does not match"),
        ExampleResult("words.yaml", 8, "element.rule", "todo", "a sentence", False, False, "passes now"),
    ]
    if broken:
        results.append(
            ExampleResult("words.yaml", 5, "element.rule", "no_match", "a sentence", False, False, "matches")
        )
    monkeypatch.setattr("analyzer.packs.load_pack", lambda name, folders: name)
    monkeypatch.setattr("analyzer.packcheck.check_pack", lambda pack: results)
    result = Result("packs", "test", "sample")
    assert result.code == code
    assert ("words.yaml:5: element.rule: matches" in result.out) == broken
    assert "words.yaml:8: element.rule: passes now" in result.out
    assert "words.yaml:9" not in result.out
    assert f": 1 examples hold, {int(broken)} fail, 2 known misses" in result.out


@pytest.fixture(scope="module")
def real_audit(tmp_path_factory: pytest.TempPathFactory, analyzer: Analyzer) -> Iterator[Path]:
    """An audit of all sample notes. The tests that use it share one analyzer, as building one takes seconds."""
    output = tmp_path_factory.mktemp("audit") / "out"
    patch = pytest.MonkeyPatch()
    patch.setattr("analyzer.analyze.Analyzer", lambda code, pack_folders: analyzer)
    result = Result("audit", str(SAMPLES / "text"), str(SAMPLES / "notes.jsonl"), "--output", str(output))
    assert result.code == 0, result.err
    yield output
    patch.undo()


def test_the_sample_notes_run_through(real_audit: Path) -> None:
    run = json.loads((real_audit / "run.json").read_text())
    assert run["failures"] == 0
    assert run["records"] == run["reports"] == 2 * len((SAMPLES / "notes.jsonl").read_text().splitlines())
    texts = {n["note_id"]: n["text"] for n in map(json.loads, (real_audit / "notes.jsonl").read_text().splitlines())}
    for report in map(json.loads, (real_audit / "reports.jsonl").read_text().splitlines()):
        GapReport.model_validate(report)
        for requirement in report["requirements"]:
            for evidence in requirement["evidence"]:
                assert texts[report["note_id"]][evidence["start"] : evidence["end"]] == evidence["text"]


def test_a_sample_note_in_every_form(real_audit: Path, inside: Path) -> None:
    records = map(json.loads, (SAMPLES / "notes.jsonl").read_text().splitlines())
    path = jsonl("one.jsonl", next(records))
    report = next(
        line
        for line in (real_audit / "reports.jsonl").read_text().splitlines()
        if json.loads(line)["note_id"] == json.loads(Path(path).read_text())["note_id"]
    )
    assert Result("analyze", path, "--format", "json").out == report + "\n"
    assert Result("analyze", path, "--format", "html").out.count("<mark") > 3
    text = Result("analyze", path, "--queries").out
    assert max(map(len, text.splitlines())) <= 80
    assert "Requirements" in text


def test_the_sample_notes_can_be_evaluated(real_audit: Path) -> None:
    reports = str(real_audit / "reports.jsonl")
    result = Result(
        "evaluate",
        str(SAMPLES / "notes.jsonl"),
        str(SAMPLES / "gold.jsonl"),
        "--reports",
        reports,
        "--json",
        "--bootstrap",
        "0",
    )
    measures = json.loads(result.out)
    assert measures["notes"] == len((SAMPLES / "gold.jsonl").read_text().splitlines())
    assert measures["offsets_exact"] == 1.0

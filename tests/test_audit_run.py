"""The running of an audit: every record accounted for, the same bytes whatever dies, no text where none is wanted."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from audit_judges import HANG, POISON, SampleSource
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_reports import full_report, report_of

from analyzer import Analyzer
from analyzer.audit import outputs, workers
from analyzer.audit.grouping import grouped, sorted_outside_memory
from analyzer.audit.run import AuditOptions, Engine, Progress, local_engine, packs_sha256, run_audit
from analyzer.audit.tasks import AnalyzerSource, Item, JudgeSource, WorkOptions
from analyzer.audit.textless import report_without_text
from analyzer.audit.workers import InProcess
from analyzer.errors import CodeError, InputError
from analyzer.formats import Record, find_inputs
from analyzer.note import Note
from analyzer.report import GapReport

SECRET = "Jane Q. Sentinel"
OUTPUTS = ["failures.jsonl", "gaps.parquet", "notes.jsonl", "reports.jsonl", "run.json", "summary.csv"]


@dataclass(frozen=True)
class Judged:
    """A judge made of one function."""

    report: Callable[[Note], GapReport] = report_of
    code: str = "M48.38"
    modules: tuple[str, ...] = ()

    def build(self) -> Judged:
        return self

    def case(self, notes: Sequence[Note], *, case_id: str) -> GapReport:
        return report_of(notes[0], case_id=case_id, note_ids=[n.note_id for n in notes])


def in_process(source: JudgeSource, options: WorkOptions, shards: Path) -> AbstractContextManager[Engine]:
    return InProcess(source, options, shards)


def audit(
    inputs: list[Path],
    output: Path,
    source: JudgeSource | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    **more: Any,
) -> dict[str, Any]:
    files = find_inputs([str(path) for path in inputs], outside=output)
    options = AuditOptions(**{"source": source or Judged(), "engine": in_process, **more})
    return run_audit(files, output, options, on_progress)


def file(tmp_path: Path, name: str, content: bytes | str) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(*records: Any) -> str:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)


def many(tmp_path: Path, count: int = 400) -> list[Path]:
    """A large file that is read by the coordinator, a bad line in it, and small ones that are read by the workers."""
    padding = "word " * 60
    records = [{"note_id": f"n{i}", "text": f"{padding}{i}", "encounter_id": f"e{i % 150}"} for i in range(count)]
    big = file(tmp_path, "in/a.jsonl", jsonl(*records[:250], "{", *records[250:]))
    small = [file(tmp_path, f"in/b{i:03d}.txt", f"small {i}") for i in range(60)]
    return [big, *small]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def contents(folder: Path) -> dict[str, bytes]:
    """Every output's bytes, run.json without its timing."""
    found = {p.name: p.read_bytes() for p in folder.iterdir()}
    run = json.loads(found["run.json"])
    del run["timing"]
    return {**found, "run.json": json.dumps(run).encode()}


# What an audit writes


def test_every_record_is_a_report_or_a_failure(tmp_path: Path) -> None:
    notes = file(
        tmp_path,
        "in/notes.jsonl",
        jsonl({"note_id": "a", "text": "x"}, "{", {"note_id": "b", "text": 1}, {"note_id": "a", "text": "y"}),
    )
    file(tmp_path, "in/one.txt", b"caf\xe9")
    scan = file(tmp_path, "in/scan", b"\x00\x01")
    run = audit([tmp_path / "in"], tmp_path / "out")
    assert (run["records"], run["reports"], run["notes"], run["failures"]) == (6, 3, 3, 3)
    assert run["cases"] is None
    assert json.loads((tmp_path / "out/run.json").read_text()) == run
    assert [r["note_id"] for r in lines(tmp_path / "out/reports.jsonl")] == ["a", "a", "one.txt"]
    assert [r["note_id"] for r in lines(tmp_path / "out/notes.jsonl")] == ["a", "a", "one.txt"]
    failures = lines(tmp_path / "out/failures.jsonl")
    assert [(f["input"], f["record"], f["note_id"]) for f in failures] == [
        (str(notes), 2, None),
        (str(notes), 3, "b"),
        (str(scan), 1, None),
    ]
    assert [(i["path"], i["records"]) for i in run["inputs"]] == [
        (str(notes), 4),
        (str(tmp_path / "in/one.txt"), 1),
        (str(scan), 1),
    ]
    assert {"message": "note_id used more than once", "count": 1} in run["warnings"]
    assert {"message": "read as cp1252", "count": 1} in run["warnings"]
    assert lines(tmp_path / "out/reports.jsonl")[2]["warnings"] == ["read as cp1252"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == run["outputs"] == OUTPUTS


def test_the_run_file_says_what_was_read_and_found(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl(*({"note_id": str(n), "text": "x"} for n in range(5))))

    def report(note: Note) -> GapReport:
        verdicts = {"0": "supported", "1": "query", "2": "not_supported", "3": None, "4": "not_supported"}
        return report_of(note, verdicts[note.note_id], relevant=note.note_id != "4", warnings=["careful"])

    run = audit([path], tmp_path / "out", Judged(report), settings={"setting": "x"})
    assert run["verdicts"] == {"supported": 1, "query": 1, "not_supported": 1, "unfinished": 1}
    assert run["irrelevant"] == 1
    assert run["warnings"] == [{"message": "careful", "count": 5}]
    assert run["settings"] == {"setting": "x", "code": "M48.38"}
    assert [p["pack"] for p in run["provenance"]] == ["sample"]
    assert run["packs_sha256"] == packs_sha256()
    assert run["without_text"] is None
    (entry,) = run["inputs"]
    assert entry["bytes"] == path.stat().st_size
    assert len(entry["sha256"]) == 64


def test_a_warning_about_each_notes_day_is_one_warning_of_the_run(tmp_path: Path) -> None:
    records = [{"note_id": d, "text": "x", "date_of_service": d} for d in ("2025-01-02", "2025-01-03")]
    path = file(tmp_path, "n.jsonl", jsonl(*records))

    def report(note: Note) -> GapReport:
        return report_of(note, warnings=[f"date of service {note.date_of_service} lies outside"])

    run = audit([path], tmp_path / "out", Judged(report))
    assert run["warnings"] == [{"message": "date of service lies outside", "count": 2}]


def test_tables_have_a_row_a_note_and_a_row_a_requirement(tmp_path: Path) -> None:
    record = {
        "note_id": "=1+1",
        "text": "some text",
        "date_of_service": "2025-01-02",
        "signed": True,
        "author_role": "physician",
    }
    path = file(tmp_path, "n.jsonl", jsonl(record, {"note_id": "b", "text": ""}))

    def report(note: Note) -> GapReport:
        requirements = full_report().requirements
        alerts = full_report().alerts
        kept = requirements if note.note_id == "b" else requirements[:3]
        return report_of(note, requirements=kept, alerts=alerts, warnings=["one", "two"])

    audit([path], tmp_path / "out", Judged(report))
    with (tmp_path / "out/summary.csv").open(newline="", encoding="utf-8") as handle:
        first, second = csv.DictReader(handle)
    assert first["note_id"] == "'=1+1"
    assert (first["input"], first["record"], first["characters"]) == (str(path), "1", "9")
    assert (first["date_of_service"], first["signed"], first["author_role"]) == ("2025-01-02", "true", "physician")
    assert (first["verdict"], first["gaps"], first["alerts"]) == ("query", "injury_date", "sample_alert")
    assert first["warnings"] == "one; two"
    assert (first["status_injury_date"], first["status_care_phase"]) == ("insufficient", "")
    assert (second["status_care_phase"], second["signed"], second["case_id"]) == ("documented", "", "")
    rows = pq.read_table(tmp_path / "out/gaps.parquet").to_pylist()
    assert [r["requirement"] for r in rows if r["note_id"] == "=1+1"] == ["region", "trauma_mechanism", "injury_date"]
    gap = next(r for r in rows if r["gap"])
    assert (gap["requirement"], gap["status"], gap["query_template"]) == (
        "injury_date",
        "insufficient",
        "injury_date@1",
    )
    assert gap["evidence"][0]["text"] == "years ago"
    assert json.loads(rows[0]["value"]) == ["coccygeal"]
    assert len(rows) == 3 + 8


def test_without_pyarrow_the_audit_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "can_write_parquet", lambda: False)
    run = audit([file(tmp_path, "n.txt", "x")], tmp_path / "out")
    assert "gaps.parquet" not in run["outputs"]
    assert ["pyarrow" in w["message"] for w in run["warnings"]] == [True]


def test_a_note_that_breaks_the_analyzer_becomes_a_failure_without_its_text(tmp_path: Path) -> None:
    def report(note: Note) -> GapReport:
        if note.note_id == "b":
            raise KeyError(note.text)
        if note.note_id == "c":
            raise CodeError("X99: no such code")
        return report_of(note)

    path = file(tmp_path, "n.jsonl", jsonl(*({"note_id": n, "text": SECRET} for n in "abc")))
    run = audit([path], tmp_path / "out", Judged(report), without_text=True)
    assert (run["reports"], run["failures"]) == (1, 2)
    first, second = lines(tmp_path / "out/failures.jsonl")
    assert first["reason"] == "the analyzer failed (KeyError)"
    assert second["reason"] == "X99: no such code"
    for written in (tmp_path / "out").iterdir():
        assert b"Sentinel" not in written.read_bytes()


def test_the_output_folder_is_never_read(tmp_path: Path) -> None:
    file(tmp_path, "n.txt", "x")
    run = audit([tmp_path], tmp_path / "out")
    again = audit([tmp_path], tmp_path / "out")
    assert run["records"] == again["records"] == 1
    for inside in (tmp_path / "out/notes.jsonl", tmp_path / "out"):
        with pytest.raises(InputError, match="lies in the output folder"):
            find_inputs([str(inside)], outside=tmp_path / "out")
    with pytest.raises(InputError, match="lies in the output folder"):
        find_inputs([str(tmp_path / "n.txt")], outside=tmp_path)


def test_an_output_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    path = file(tmp_path, "n.txt", "x")
    with pytest.raises(InputError, match="taken"):
        audit([path], file(tmp_path, "taken", "x"))


def test_progress_counts_records_and_bytes(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    seen: list[tuple[str, int, int, int, int]] = []

    def on_progress(progress: Progress) -> None:
        seen.append((progress.stage, progress.records, progress.failures, progress.bytes_done, progress.bytes_total))

    audit(inputs, tmp_path / "out", on_progress=on_progress)
    size = sum(path.stat().st_size for path in inputs)
    assert seen[0][0] == "reading the inputs' hashes"
    assert seen[-1] == ("writing the outputs", 461, 1, size, size)
    assert len({row[1] for row in seen}) > 5


def test_a_file_without_notes_is_named_in_the_warnings(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", "\n\n")
    run = audit([path], tmp_path / "out")
    assert run["records"] == 0
    assert run["warnings"] == [{"message": f"{path}: holds no notes", "count": 1}]
    assert (tmp_path / "out/summary.csv").read_text().startswith("input,record,note_id")


def test_a_file_that_cannot_be_opened_is_a_failed_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = file(tmp_path, "a.txt", "x"), file(tmp_path, "b.txt", "y")
    real = Path.open

    def closed(path: Path, *args: Any, **more: Any) -> Any:
        if path == bad:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **more)

    monkeypatch.setattr(Path, "open", closed)
    run = audit([good, bad], tmp_path / "out")
    assert (run["records"], run["reports"], run["failures"]) == (2, 1, 1)
    assert run["inputs"][1]["sha256"] is None
    (failure,) = lines(tmp_path / "out/failures.jsonl")
    assert (failure["input"], failure["reason"]) == (str(bad), "the file can't be read: Permission denied")


# Without text


def test_without_text_no_output_quotes_the_notes(tmp_path: Path, analyzer: Analyzer, samples: list[Note]) -> None:
    """Six words in a row that stand in a note stand in no output."""
    path = file(tmp_path, "n.jsonl", "".join(note.model_dump_json() + "\n" for note in samples))
    run = audit([path], tmp_path / "out", Judged(analyzer.report), without_text=True)
    assert run["reports"] == len(samples)
    assert "no de-identification" in run["without_text"]
    assert not (tmp_path / "out/notes.jsonl").exists()
    written = (tmp_path / "out/reports.jsonl").read_text() + (tmp_path / "out/summary.csv").read_text()
    rows = pq.read_table(tmp_path / "out/gaps.parquet").to_pylist()
    assert {e["text"] for r in rows for e in r["evidence"]} == {""}
    said = " ".join(written.lower().split())
    for note in samples:
        text = note.text.lower().split()
        for i in range(len(text) - 5):
            assert " ".join(text[i : i + 6]) not in said
    for report in lines(tmp_path / "out/reports.jsonl"):
        pieces = [e for r in report["requirements"] for e in r["evidence"]]
        pieces += [e for name in ("alerts", "review_flags") for x in report[name] for e in x["evidence"]]
        pieces += report["findings"]
        assert {p["text"] for p in pieces} <= {""}
        assert all(p["end"] > p["start"] for p in pieces)
        assert {f["cue"] for f in report["findings"]} <= {None}
        for query in report["queries"]:
            assert "[quote left out]" in query["text"] or "no statement cited" in query["text"]


def test_a_report_without_text_keeps_its_offsets_and_questions() -> None:
    report = full_report()
    bare = report_without_text(report)
    assert "years ago" not in bare.to_json()
    assert [r.status for r in bare.requirements] == [r.status for r in report.requirements]
    assert bare.requirements[2].evidence[0].start == report.requirements[2].evidence[0].start
    assert bare.requirements[2].query is not None
    assert bare.requirements[2].query.question.startswith("Please document")
    assert bare.requirements[2].reason == "The injury is only placed [quote left out]."
    assert bare.queries[0].text.startswith("The note says that the injury happened [quote left out].")


def test_a_question_that_quotes_is_emptied() -> None:
    report = full_report()
    query = report.requirements[2].query
    assert query is not None
    asked = query.model_copy(update={"question": 'The note says "years ago". When was it?', "options": ['"x"', "y"]})
    requirement = report.requirements[2].model_copy(update={"query": asked})
    bare = report_without_text(report.model_copy(update={"requirements": [requirement]})).requirements[0].query
    assert bare is not None
    assert (bare.question, bare.options) == ("", ["[quote left out]", "y"])


def test_without_text_removes_the_notes_of_an_earlier_run(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))
    audit([path], tmp_path / "out")
    audit([path], tmp_path / "out", without_text=True)
    assert not (tmp_path / "out/notes.jsonl").exists()


def test_what_finish_adds_is_published_and_goes_with_the_next_run(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))

    def finish(folder: Path) -> None:
        assert json.loads((folder / "run.json").read_text())["reports"] == 1
        file(folder, "report.html", "page")
        file(folder, "pages/2.html", "page")

    run = audit([path], tmp_path / "out", finish=[finish])
    assert {"report.html", "pages"} <= set(run["outputs"])
    assert (tmp_path / "out/pages/2.html").read_text() == "page"
    audit([path], tmp_path / "out", finish=[finish])
    assert (tmp_path / "out/pages/2.html").read_text() == "page"
    file(tmp_path, "out/of-the-user.txt", "kept")
    audit([path], tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*OUTPUTS, "of-the-user.txt"])


# Cases


def test_notes_of_an_encounter_are_judged_together(tmp_path: Path) -> None:
    def note(n: str, encounter: str | None) -> dict[str, Any]:
        return {"note_id": n, "text": n, "encounter_id": encounter}

    first = file(tmp_path, "a.jsonl", jsonl(note("1", "x"), note("2", None), "{", note("3", "y")))
    second = file(tmp_path, "b.jsonl", jsonl(note("4", "x"), note("5", ""), note("6", "y")))
    run = audit([first, second], tmp_path / "out", by="encounter_id")
    reports = lines(tmp_path / "out/reports.jsonl")
    assert [(r["case_id"], r["note_ids"]) for r in reports] == [
        ("x", ["1", "4"]),
        (None, ["2"]),
        ("y", ["3", "6"]),
        (None, ["5"]),
    ]
    assert (run["records"], run["notes"], run["failures"], run["reports"], run["cases"]) == (7, 6, 1, 4, 2)
    assert run["warnings"] == [{"message": "no encounter_id: judged alone", "count": 2}]
    assert [n["note_id"] for n in lines(tmp_path / "out/notes.jsonl")] == ["1", "4", "2", "3", "6", "5"]
    with (tmp_path / "out/summary.csv").open(newline="") as handle:
        rows = [(r["note_id"], r["case_id"]) for r in csv.DictReader(handle)]
    assert rows == [("1", "x"), ("4", "x"), ("2", ""), ("3", "y"), ("6", "y"), ("5", "")]


def test_each_note_of_a_case_that_fails_is_a_failure(tmp_path: Path) -> None:
    class Broken(Judged):
        def build(self) -> Broken:
            return self

        def case(self, notes: Sequence[Note], *, case_id: str) -> GapReport:
            raise ValueError(SECRET)

    path = file(tmp_path, "n.jsonl", jsonl(*({"note_id": n, "text": "x", "patient_id": "p"} for n in "ab")))
    run = audit([path], tmp_path / "out", Broken(), by="patient_id")
    assert (run["records"], run["notes"], run["failures"]) == (2, 0, 2)
    assert [f["note_id"] for f in lines(tmp_path / "out/failures.jsonl")] == ["a", "b"]


@pytest.mark.parametrize("field", ["text", "nonsense"])
def test_cases_by_something_that_is_no_field(tmp_path: Path, field: str) -> None:
    with pytest.raises(InputError, match=f"--by {field}: no field of a note"):
        audit([file(tmp_path, "n.txt", "x")], tmp_path / "out", by=field)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(["a", "b", "c", None])), st.integers(1, 4))
def test_grouping_outside_memory_is_grouping(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str | None], at_once: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    notes = [Note(note_id=str(i), text="x", encounter_id=key) for i, key in enumerate(keys)]
    items = [Item(0, Record("f", i, 1, note, note.note_id, None)) for i, note in enumerate(notes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analyzer.audit.grouping._IN_MEMORY", at_once)
        patch.setattr("analyzer.audit.grouping._RUNS_AT_ONCE", 2)
        units = [[int(i.record.note_id or "") for i in unit.items] for unit in grouped(items, "encounter_id", folder)]
        numbers = [len(keys) - i for i in range(len(keys))]
        assert [n for (n,) in sorted_outside_memory(((n,) for n in numbers), folder)] == sorted(numbers)
    together: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        together.setdefault(key or f"alone {i}", []).append(i)
    assert units == list(together.values())


# Workers


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    for name, engine in (("none", in_process), ("one", local_engine(1)), ("three", local_engine(3))):
        run = audit(inputs, tmp_path / name, SampleSource(), engine=engine)
        assert (run["records"], run["reports"], run["failures"]) == (461, 460, 1)
    assert contents(tmp_path / "none") == contents(tmp_path / "one") == contents(tmp_path / "three")
    assert [r["note_id"] for r in lines(tmp_path / "three/reports.jsonl")] == [
        *(f"n{i}" for i in range(400)),
        *(f"b{i:03d}.txt" for i in range(60)),
    ]


def test_a_note_that_kills_workers_is_a_failure_and_the_others_are_reported(tmp_path: Path) -> None:
    records = [{"note_id": f"n{i}", "text": POISON if i in (60, 61) else "word " * 300} for i in range(120)]
    big = file(tmp_path, "a.jsonl", jsonl(*records))
    small = file(tmp_path, "b.txt", POISON)
    run = audit([big, small], tmp_path / "out", SampleSource(), engine=local_engine(2))
    assert (run["records"], run["reports"], run["failures"]) == (121, 118, 3)
    failures = lines(tmp_path / "out/failures.jsonl")
    assert [f["note_id"] for f in failures] == ["n60", "n61", "b.txt"]
    assert {f["reason"] for f in failures} == {"the process that read it ended or hung every time it was tried"}


def test_a_worker_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole", SampleSource())
    audit(inputs, tmp_path / "killed", SampleSource(die_once=tmp_path / "died"), engine=local_engine(2))
    assert (tmp_path / "died").exists()
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_a_worker_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SECONDS_ALLOWED", 0.2)
    monkeypatch.setattr(workers, "_TICK_SECONDS", 0.05)
    monkeypatch.setattr(workers, "DEATHS_ALLOWED", 1)
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": HANG}, {"note_id": "b", "text": "x"}))
    run = audit([path], tmp_path / "out", SampleSource(), engine=local_engine(1))
    assert (run["reports"], run["failures"]) == (1, 1)


def test_a_code_that_cannot_be_used_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    path = file(tmp_path, "n.txt", "x")
    with pytest.raises(InputError, match="X99: no such code"):
        audit([path], tmp_path / "out", SampleSource(refuse="X99: no such code"), engine=local_engine(2))
    assert not (tmp_path / "out/run.json").exists()


def test_a_machine_that_kills_every_worker_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_DEATHS_IN_A_ROW", 3)
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": POISON}))
    with pytest.raises(InputError, match=r"died 3 times in a row.*--resume"):
        audit([path], tmp_path / "out", SampleSource(), engine=local_engine(1))


def test_workers_that_die_as_they_start_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="end as they start"):
        audit([file(tmp_path, "a.txt", "x")], tmp_path / "out", SampleSource(refuse=POISON), engine=local_engine(1))


# Broken off and resumed


def broken_off(inputs: list[Path], output: Path, at: str, error: BaseException, **more: Any) -> None:
    def report(note: Note) -> GapReport:
        if note.note_id == at:
            raise error
        return report_of(note)

    with pytest.raises(type(error)):
        audit(inputs, output, Judged(report), **more)


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole")
    broken_off(inputs, tmp_path / "out", "n200", KeyboardInterrupt())
    assert not (tmp_path / "out/run.json").exists()
    seen: list[str] = []

    def report(note: Note) -> GapReport:
        seen.append(note.note_id)
        return report_of(note)

    run = audit(inputs, tmp_path / "out", Judged(report), resume=True)
    assert run["timing"]["resumed_records"] == 200
    assert "n10" not in seen
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_cases_that_were_broken_off_go_on(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole", by="encounter_id")
    broken_off(inputs, tmp_path / "out", "b030.txt", KeyboardInterrupt(), by="encounter_id")
    run = audit(inputs, tmp_path / "out", by="encounter_id", resume=True)
    assert run["timing"]["resumed_records"] > 300
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_broken_off_run_leaves_the_earlier_one_alone(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))
    audit([path], tmp_path / "out")
    before = contents(tmp_path / "out")
    broken_off([path], tmp_path / "out", "a", KeyboardInterrupt())
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*before, ".audit"}
    assert (tmp_path / "out/.audit").stat().st_mode & 0o077 == 0
    audit([path], tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_torn_shard_is_done_again(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole")
    broken_off(inputs, tmp_path / "out", "n200", KeyboardInterrupt())
    _whole, cut, changed, empty = sorted((tmp_path / "out/.audit").glob("shards-*/*/*"))[:4]
    cut.write_bytes(cut.read_bytes()[:-20])
    changed.write_bytes(changed.read_bytes().replace(b"M48.38", b"M48.35", 1))
    empty.write_bytes(b"")
    run = audit(inputs, tmp_path / "out", resume=True)
    assert run["timing"]["resumed_records"] == 50
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_kill_while_publishing_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole")
    real, moved = os.replace, 0

    def killed(source: Any, target: Any) -> None:
        nonlocal moved
        moved += Path(target).parent == tmp_path / "out"
        if moved == 3:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            audit(inputs, tmp_path / "out")
    assert not (tmp_path / "out/run.json").exists()
    audit(inputs, tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"settings": {"setting": "inpatient"}}, "setting was outpatient, is inpatient"),
        ({"source": Judged(code="M48.35")}, "code was M48.38, is M48.35"),
    ],
)
def test_other_settings_cannot_be_resumed(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))
    first = {"settings": {"setting": "outpatient"}}
    broken_off([path], tmp_path / "out", "a", KeyboardInterrupt(), **first)
    with pytest.raises(InputError, match=message):
        audit([path], tmp_path / "out", **{**first, **more}, resume=True)
    assert audit([path], tmp_path / "out", **first, resume=True)["reports"] == 1
    with pytest.raises(InputError, match=message):
        audit([path], tmp_path / "out", **{**first, **more}, resume=True)


def test_other_inputs_cannot_be_resumed(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))
    broken_off([path], tmp_path / "out", "a", KeyboardInterrupt())
    with pytest.raises(InputError, match=r"the inputs are others \(1 files then, 2 now\)"):
        audit([path, file(tmp_path, "m.txt", "y")], tmp_path / "out", resume=True)
    path.write_text(jsonl({"note_id": "a", "text": "z"}))
    with pytest.raises(InputError, match=r"n\.jsonl has changed since"):
        audit([path], tmp_path / "out", resume=True)


def test_resuming_a_finished_audit_changes_nothing(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))
    run = audit([path], tmp_path / "out", resume=True)
    before = (tmp_path / "out/run.json").stat().st_mtime_ns
    assert audit([path], tmp_path / "out", resume=True) == run
    assert (tmp_path / "out/run.json").stat().st_mtime_ns == before
    assert not (tmp_path / "out/.audit").exists()


def test_two_audits_cannot_write_to_one_folder(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))

    def report(note: Note) -> GapReport:
        with pytest.raises(InputError, match="another audit is writing here"):
            audit([path], tmp_path / "out")
        return report_of(note)

    assert audit([path], tmp_path / "out", Judged(report))["reports"] == 1


def test_an_input_that_changes_under_the_run_is_noticed(tmp_path: Path) -> None:
    path = file(tmp_path, "n.jsonl", jsonl({"note_id": "a", "text": "x"}))

    def report(note: Note) -> GapReport:
        with path.open("a") as handle:
            handle.write("\n")
        return report_of(note)

    with pytest.raises(InputError, match=r"n\.jsonl: changed while the audit ran"):
        audit([path], tmp_path / "out", Judged(report))
    assert list((tmp_path / "out").iterdir()) == []


def test_an_input_that_vanishes_ends_in_a_message_and_can_be_resumed(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole")
    aside = tmp_path / "aside"

    def report(note: Note) -> GapReport:
        if inputs[-1].exists():
            inputs[-1].rename(aside)
        return report_of(note)

    with pytest.raises(InputError, match=r"b059\.txt: No such file.*--resume"):
        audit(inputs, tmp_path / "out", Judged(report))
    aside.rename(inputs[-1])
    assert audit(inputs, tmp_path / "out", resume=True)["timing"]["resumed_records"] > 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


# Whole runs in a process of their own


def started(output: Path, inputs: list[Path], *, resume: bool = False, limit: int = 0) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("audit_judges.py")
    return subprocess.Popen(
        [sys.executable, script, output, "2", "resume" if resume else "anew", str(limit), *inputs],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": "."},
    )


def test_a_full_disk_ends_in_a_message_and_can_be_resumed(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: shards fit, the joined outputs don't."""
    inputs = many(tmp_path, 300)
    run = started(tmp_path / "out", inputs, limit=400_000)
    _, told = run.communicate(timeout=60)
    assert run.returncode == 2
    assert told.count("\n") == 1
    assert "File too large; what is done is kept: run it again with --resume" in told
    audit(inputs, tmp_path / "whole", SampleSource())
    run_file = audit(inputs, tmp_path / "out", SampleSource(), resume=True)
    assert run_file["timing"]["resumed_records"] == 361
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_killed_at_any_moment_and_resumed_gives_the_same_bytes(tmp_path: Path) -> None:
    inputs = many(tmp_path)
    audit(inputs, tmp_path / "whole", SampleSource())
    chance = random.Random(5)
    out = tmp_path / "out"
    for shards in (1, 4):
        run = started(out, inputs, resume=True)
        while run.poll() is None and len(list(out.glob(".audit/shards-*/*/*-?????????"))) < shards:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.1)
        run.send_signal(signal.SIGKILL)
        run.communicate(timeout=60)
        assert not (out / "run.json").exists()
    run_file = audit(inputs, out, SampleSource(), resume=True)
    assert run_file["timing"]["resumed_records"] >= 200
    assert contents(out) == contents(tmp_path / "whole")


def test_the_real_analyzer_works_in_workers(tmp_path: Path, analyzer: Analyzer, samples: list[Note]) -> None:
    path = file(tmp_path, "n.jsonl", "".join(note.model_dump_json() + "\n" for note in samples))
    run = audit([path], tmp_path / "out", AnalyzerSource(), engine=local_engine(1))
    assert run["reports"] == len(samples)
    written = (tmp_path / "out/reports.jsonl").read_text().split("\n")[:-1]
    assert written == [analyzer.report(note).to_json() for note in samples]

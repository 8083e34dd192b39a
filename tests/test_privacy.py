"""A note's text goes to where the user asked for it, and nowhere else: no log, no warning, no error, no stderr."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from loguru import logger as loguru_logger
from pydantic import ValidationError

from analyzer import Analyzer, Note
from analyzer.cli import app
from analyzer.errors import CodeError

MARK = "ZQXMARKER"
TEXT = f"""CC: tailbone pain, {MARK}-one.
Patient {MARK}two, DOB 01/02/1980, MRN {MARK}3.

{MARK} SECTION: denies {MARK} numbness.
HPI: Fell on the ice onto his {MARK} coccyx on 2019-03-04 ({MARK}), no saddle anesthesia, {MARK}?? 13/45/2019.
[ ] {MARK} [x] old coccyx fracture {MARK}
IMAGING: CT 2025: healed {MARK} fracture of the coccyx with angulation. Possible {MARK} sacral fracture.
ASSESSMENT: Post-traumatic coccydynia due to the old {MARK} fracture. \U0001f642 {MARK}\u0301
"""


@dataclass
class Overheard:
    """Everything said beside the result: standard logging, loguru, warnings, and both output streams."""

    logged: list[str] = field(default_factory=list)
    streams: Callable[[], tuple[str, str]] = field(default=lambda: ("", ""))

    def assert_no_mark(self) -> str:
        """Check all but stdout, which is returned: whether it may hold the note is the caller's to say."""
        out, err = self.streams()
        assert MARK not in err
        for line in self.logged:
            assert MARK not in line
        return out


class _Keeping(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.NOTSET)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture
def overheard(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Overheard]:
    heard = Overheard(streams=lambda: tuple(capfd.readouterr()))  # type: ignore[arg-type,return-value]
    root = logging.getLogger()
    level, handler = root.level, _Keeping(heard.logged)
    root.setLevel(logging.NOTSET)
    root.addHandler(handler)
    sink = loguru_logger.add(lambda message: heard.logged.append(f"{message} {message.record}"), level=0)
    monkeypatch.setattr(
        warnings, "showwarning", lambda message, *place, **more: heard.logged.append(f"{message} {place}")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield heard
    loguru_logger.remove(sink)
    root.removeHandler(handler)
    root.setLevel(level)


def run(*arguments: str | Path) -> int:
    """The command line's exit code."""
    with pytest.raises(SystemExit) as ended:
        app([str(argument) for argument in arguments])
    return ended.value.code if isinstance(ended.value.code, int) else -1


@pytest.fixture
def note_file(tmp_path: Path) -> Path:
    file = tmp_path / "note.txt"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_this_test_would_hear_a_leak(overheard: Overheard) -> None:
    logging.getLogger("some.library").debug("%s", MARK)
    loguru_logger.debug(MARK)
    warnings.warn(MARK, stacklevel=1)
    assert sum(MARK in line for line in overheard.logged) == 3
    overheard.logged.clear()
    overheard.assert_no_mark()


def test_library_says_nothing(overheard: Overheard) -> None:
    note = Note(note_id="n", text=TEXT)
    analyzer = Analyzer()
    for complete in (True, False):
        report = analyzer.report(note.model_copy(update={"complete": complete}))
        assert any(MARK in evidence.text for r in report.requirements for evidence in r.evidence)
        assert not [warning for warning in report.warnings if MARK in warning]
    analyzer.doc(note)
    assert overheard.assert_no_mark() == ""


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_analyze_writes_the_note_to_its_output_only(overheard: Overheard, note_file: Path, form: str) -> None:
    assert run("analyze", note_file, "--format", form, "--date-of-service", "2025-06-01") == 0
    assert MARK in overheard.assert_no_mark()
    assert run("analyze", note_file, "--format", form, "--output", note_file.with_suffix(".out")) == 0
    assert MARK not in overheard.assert_no_mark()


@pytest.mark.parametrize("arguments", [("--code", "M48.3"), ("--date-of-service", "2025-02-30"), ("--no-such-option",)])
def test_wrong_arguments(overheard: Overheard, note_file: Path, arguments: tuple[str, ...]) -> None:
    assert run("analyze", note_file, *arguments) == 2
    assert overheard.assert_no_mark() == ""


BROKEN_RECORDS = {
    "half an object": f'{{"note_id": "n", "text": "{MARK}',
    "no object": f'"{MARK}"',
    "a stray key": f'{{"note_id": "n", "text": "{MARK}", {MARK}}}',
    "a text that is a list": json.dumps({"note_id": "n", "text": [MARK]}),
    "no id": json.dumps({"text": MARK}),
    "an id that is none": json.dumps({"note_id": {"x": MARK}, "text": MARK}),
    "a date that is none": json.dumps({"note_id": "n", "text": MARK, "date_of_service": MARK}),
    "a setting that is none": json.dumps({"note_id": "n", "text": MARK, "setting": MARK}),
    "a code that is none": json.dumps({"note_id": "n", "text": MARK, "code": f"{MARK} {MARK}"}),
    "a wrong code": json.dumps({"note_id": "n", "text": MARK, "code": "M48.3"}),
    "half a character": f'{{"note_id": "n", "text": "{MARK} \\ud800"}}',
    "a binary line": f'{{"note_id": "n", "text": "{MARK}\x00\x01"}}',
}


@pytest.fixture
def broken_file(tmp_path: Path) -> Path:
    file = tmp_path / "notes.jsonl"
    good = json.dumps({"note_id": "good", "text": TEXT})
    file.write_text("\n".join([good, *BROKEN_RECORDS.values()]) + "\n", encoding="utf-8")
    return file


def test_analyze_of_a_broken_record(overheard: Overheard, broken_file: Path) -> None:
    for record in BROKEN_RECORDS.values():
        broken_file.write_text(record + "\n", encoding="utf-8")
        assert run("analyze", broken_file) == 2
        assert overheard.assert_no_mark() == ""


def test_audit_of_broken_records(overheard: Overheard, broken_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("audit", broken_file, "--output", out, "--without-text") == 0
    assert MARK not in overheard.assert_no_mark()
    assert len((out / "failures.jsonl").read_text(encoding="utf-8").splitlines()) == len(BROKEN_RECORDS)
    assert not [file.name for file in out.rglob("*") if file.is_file() and MARK.encode() in file.read_bytes()]


def test_a_failure_inside_keeps_the_note_back(
    overheard: Overheard, note_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Analyzer, note: Note) -> NoReturn:
        raise ValueError(note.text)

    monkeypatch.setattr(Analyzer, "report", fail)
    assert run("analyze", note_file) == 2
    assert overheard.assert_no_mark() == ""
    assert run("audit", note_file, "--output", tmp_path / "out", "--without-text") == 0
    assert MARK not in overheard.assert_no_mark()
    assert MARK not in (tmp_path / "out" / "failures.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "fields",
    [{"text": [MARK]}, {"text": MARK, "note_id": 7}, {"text": MARK, "setting": MARK}, {"date_of_service": MARK}],
)
def test_errors_of_a_note_do_not_quote_it(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        Note.model_validate({"note_id": "n", "text": MARK, **fields})
    assert MARK not in str(caught.value)
    assert MARK not in repr(caught.value)


def test_a_code_that_is_none_is_not_quoted(analyzer: Analyzer) -> None:
    for make in (lambda: Analyzer(code=MARK * 2), lambda: analyzer.report(Note(note_id="n", text=TEXT, code=MARK * 2))):
        with pytest.raises(CodeError) as caught:
            make()
        assert MARK not in str(caught.value)

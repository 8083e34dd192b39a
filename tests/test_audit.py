"""The reading of files under an audit: every record is accounted for, no note is quoted in an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.formats import Defaults, Record, decode, find_inputs, read_records

SECRET = "Jane Q. Sentinel"


def records_of(path: Path, defaults: Defaults | None = None, encoding: str | None = None) -> list[Record]:
    return [r for f in find_inputs([str(path)]) for r in read_records(f, defaults or Defaults(), encoding=encoding)]


def file(tmp_path: Path, name: str, content: bytes | str) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(*records: Any) -> str:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)


# Reading


def test_a_text_file_is_one_note_named_after_itself(tmp_path: Path) -> None:
    (record,) = records_of(file(tmp_path, "visit.txt", "a\r\nb\r\n"), Defaults("2025-01-02", "inpatient"))
    assert record.note is not None
    assert record.note.note_id == "visit.txt"
    assert record.note.text == "a\r\nb\r\n"
    assert str(record.note.date_of_service) == "2025-01-02"
    assert record.note.setting == "inpatient"
    assert record.warnings == ()


def test_a_folder_is_walked_in_name_order_and_names_notes_below_it(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/.hidden", ".git/x"):
        file(tmp_path, name, name)
    assert [record.note_id for record in records_of(tmp_path)] == ["a/z.txt", "b.txt"]


@pytest.mark.parametrize(
    ("raw", "text", "used"),
    [
        (b"caf\xc3\xa9", "café", "utf-8"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "café", "utf-8-sig"),
        ("café".encode("utf-16"), "café", "utf-16"),
        ("café".encode("utf-32"), "café", "utf-32"),
        (b"caf\xe9 \x93quoted\x94", "café “quoted”", "cp1252"),
        (b"caf\xe9 and more words \x81", "café and more words \x81", "latin-1"),
        (b"", "", "utf-8"),
    ],
)
def test_the_encoding_ladder(raw: bytes, text: str, used: str) -> None:
    assert decode(raw) == (text, used)


def test_an_encoding_can_be_named(tmp_path: Path) -> None:
    (record,) = records_of(file(tmp_path, "mac.txt", "café".encode("mac-roman")), encoding="mac-roman")
    assert record.note is not None
    assert record.note.text == "café"
    assert record.warnings == ("read as mac-roman",)
    (record,) = records_of(file(tmp_path, "x.txt", b"\xff"), encoding="ascii")
    assert record.reason == "is not ascii text (byte 0)"
    (record,) = records_of(file(tmp_path, "x.txt", b"x"), encoding="klingon")
    assert record.reason == "unknown encoding 'klingon'"


def test_another_encoding_is_warned_of(tmp_path: Path) -> None:
    (record,) = records_of(file(tmp_path, "old.txt", b"caf\xe9"))
    assert record.warnings == ("read as cp1252",)


def test_an_empty_file_is_a_note_with_a_warning(tmp_path: Path) -> None:
    (record,) = records_of(file(tmp_path, "empty.txt", b""))
    assert record.note is not None
    assert record.note.text == ""
    assert record.warnings == ("the file is empty",)


@pytest.mark.parametrize("raw", [b"\x00\x01\x02", bytes(range(1, 32)) * 20, b"\x80\x81\x8d\x8f\x90" * 50])
def test_a_binary_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    (record,) = records_of(file(tmp_path, "scan", raw))
    assert record.note is None
    assert record.reason is not None
    assert "binary" in record.reason


def test_json_lines_give_a_note_a_line_with_its_own_fields_first(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        "notes.jsonl",
        jsonl({"note_id": "a", "text": "x", "setting": "outpatient", "extra": 1}, "", {"note_id": "b", "text": ""}),
    )
    first, second = records_of(path, Defaults("2025-01-02", "inpatient"))
    assert first.note is not None
    assert second.note is not None
    assert first.note.setting == "outpatient"
    assert second.note.setting == "inpatient"
    assert (second.number, second.place) == (3, f"{path}:3")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_json_lines_in_other_unicode_encodings(tmp_path: Path, encoding: str) -> None:
    path = file(
        tmp_path, "n.ndjson", jsonl({"note_id": "a", "text": "é"}, {"note_id": "b", "text": "x"}).encode(encoding)
    )
    assert [record.note_id for record in records_of(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ('{"note_id": "a", "text": "x"}', ["a"]),
        ('[{"note_id": "a", "text": "x"},\n {"note_id": "b", "text": "y"}]', ["a", "b"]),
        ('{"note_id": "a", "text": "x"}\n{"note_id": "b", "text": "y"}\n', ["a", "b"]),
    ],
)
def test_a_json_file_holds_a_note_an_array_or_lines(tmp_path: Path, content: str, ids: list[str]) -> None:
    assert [record.note_id for record in records_of(file(tmp_path, "n.json", content))] == ids


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f'{{"note_id": "a", "text": "{SECRET}"', "not valid JSON"),
        (f'["{SECRET}"]', "a note is a JSON object"),
        (json.dumps({"text": SECRET}), "note_id: Field required"),
        (json.dumps({"note_id": "a", "text": None, "signed": SECRET}), "text: Input should be a valid string; signed"),
        (json.dumps({"note_id": "a", "text": "x", "date_of_service": "2025-02-30"}), "date_of_service 2025-02-30: "),
        (json.dumps({"note_id": "a", "text": "x", "date_of_service": SECRET}), "date_of_service: must be"),
        (json.dumps({"note_id": "a", "text": "x", "setting": SECRET}), "setting: Input should be 'outpatient'"),
        (f'{{"note_id": "a", "text": "{SECRET} \\ud800"}}', "text: holds half of a surrogate pair"),
        ("[" * 100_000, "nested too deeply"),
        ('{"note_id": "a", "text": "x", "n": ' + "1" * 5000 + "}", "a number is too long"),
    ],
)
def test_a_bad_record_says_why_and_never_quotes_the_note(tmp_path: Path, line: str, reason: str) -> None:
    good = json.dumps({"note_id": "z", "text": "x"})
    bad, fine = records_of(file(tmp_path, "notes.jsonl", f"{line}\n{good}\n"))
    assert bad.note is None
    assert bad.reason is not None
    assert reason in bad.reason
    assert "Sentinel" not in bad.reason
    assert "\n" not in bad.reason
    assert fine.note_id == "z"


def test_inputs_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_inputs([str(tmp_path / "nope")])
    with pytest.raises(InputError, match="holds no files"):
        find_inputs([str(tmp_path)])


@given(st.text())
def test_text_comes_back_as_it_was_written(text: str) -> None:
    # Control characters are how binary files are told; a byte order mark is no part of the text.
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text) or text.startswith("\ufeff"):
        return
    assert decode(text.encode()) == (text, "utf-8")


@given(st.binary())
def test_any_bytes_give_text_or_a_reason(raw: bytes) -> None:
    try:
        text, reason = decode(raw)[0], ""
    except InputError as error:
        text, reason = "", str(error)
    assert "\n" not in reason
    assert "\x00" not in text

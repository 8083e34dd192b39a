"""Which reader reads what, what no reader can be made to do, and that nothing is held that need not be."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from format_files import docx, note_of, pdf, read, reason_of, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.formats import Defaults, find_inputs, read_records
from analyzer.formats.choice import _read
from analyzer.formats.records import Source

SAMPLES: dict[str, bytes] = {
    "a.txt": b"Fell on ice.",
    "b.jsonl": b'{"note_id": "b", "text": "x"}\n',
    "c.rtf": b"{\\rtf1 rich}",
    "d.html": b"<html><p>page</p></html>",
    "e.xml": b"<ClinicalDocument><component><nonXMLBody><text>x</text></nonXMLBody></component></ClinicalDocument>",
    "f.pdf": pdf("printed"),
    "g.docx": docx("<w:p><w:r><w:t>word</w:t></w:r></w:p>"),
    "h.hl7": b"MSH|^~\\&|||||||MDM^T02|m1\rTXA|1|PR\rOBX|1|TX|||x\r",
    "i.csv": b"note_id,text\nrow,x\n",
    "j.ndjson": b'{"resourceType": "DiagnosticReport", "id": "r", "conclusion": "x"}\n',
    "k.json": b'[{"note_id": "k", "text": "x"}]',
    "l.zip": zipped({"inner.txt": "x"}),
    "m.txt.gz": gzip.compress(b"x"),
}
MEDIA_TYPES = {
    "a.txt": "text/plain; charset=utf-8",
    "b.jsonl": "application/x-ndjson",
    "c.rtf": "application/rtf",
    "d.html": "text/html",
    "e.xml": "text/xml",
    "f.pdf": "application/pdf",
    "g.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "h.hl7": "x-application/hl7-v2+er7",
    "i.csv": "text/csv",
    "j.ndjson": "application/fhir+ndjson",
    "k.json": "application/json",
    "l.zip": "application/zip",
    "m.txt.gz": "application/gzip",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_is_read_by_name_by_media_type_and_by_content(name: str) -> None:
    by_name, by_type, by_content = (
        note_of(SAMPLES[name], shown, media_type=media_type)
        for shown, media_type in ((name, None), ("body", MEDIA_TYPES[name]), ("body", None))
    )
    assert by_name.text == by_type.text == by_content.text


def test_content_wins_where_it_is_plain() -> None:
    for name, raw in SAMPLES.items():
        if name != "a.txt":
            assert note_of(raw, "wrong.txt").text == note_of(raw, name).text
    assert note_of(SAMPLES["f.pdf"], "x", media_type="text/plain").text == "printed"


def test_text_that_only_looks_like_another_format_is_text() -> None:
    for text in ("[x] pain", "{see below}", "<5 mm step", "MSH: normal", "PKG note", "note_id, text, and more"):
        assert note_of(text, "visit.txt").text == text


def test_a_media_type_that_is_not_read() -> None:
    assert reason_of("words", "body", media_type="application/x-unknown") == "its media type is not read"
    assert reason_of("words", "body", media_type="application/pdf") == "is named as PDF, but is none"
    assert note_of("words", "body", media_type="application/octet-stream").text == "words"


def test_defaults_and_encoding_reach_every_reader() -> None:
    for name, raw in SAMPLES.items():
        note = note_of(raw, name, defaults=Defaults("2025-01-02", "inpatient"))
        assert (str(note.date_of_service), note.setting) == ("2025-01-02", "inpatient"), name
    for name, raw in {"a.txt": "é", "c.rtf": "{\\rtf1 é}", "d.html": "<html>é", "i.csv": "note_id,text\na,é\n"}.items():
        assert note_of(raw.encode("mac-roman"), name, encoding="mac-roman").text == "é"


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_damaged_files_give_records_never_an_exception(name: str, data: Any) -> None:
    raw = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=6))
    read(bytes(raw[: data.draw(st.integers(0, len(raw)))]), name)
    read(bytes(raw), name)


@given(raw=st.binary(max_size=300), name=st.sampled_from([*SAMPLES, "x", "x.parquet"]))
@settings(max_examples=150, deadline=None)
def test_any_bytes_under_any_name_give_records_never_an_exception(raw: bytes, name: str) -> None:
    read(raw, name)


class _Endless(io.RawIOBase):
    """A file of many rows that are made as they are read; how far it was read is its place."""

    def __init__(self, header: bytes, row: bytes, rows: int) -> None:
        self._header, self._row = header, row
        self._size = len(header) + rows * len(row)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self._size - self._place)
        start = self._place - len(self._header)
        head = self._header[self._place : self._place + size]
        left = size - len(head)
        first = max(0, start) % len(self._row)
        body = (self._row * (left // len(self._row) + 2))[first : first + left]
        buffer[:size] = head + body
        self._place += size
        return size


@pytest.mark.parametrize(
    ("suffix", "header", "row"),
    [
        (".ndjson", b"", json.dumps({"note_id": "n", "text": "word " * 100}).encode() + b"\n"),
        (".json", b"", json.dumps({"note_id": "n", "text": "word " * 100}).encode() + b"\n"),
        (".csv", b"note_id,text\n", b'n,"word\n' + b"word " * 100 + b'"\n'),
        (".hl7", b"", b"MSH|^~\\&|||||||MDM^T02|m\rTXA|1|PR\rOBX|1|TX|||" + b"word " * 100 + b"\r"),
    ],
)
def test_a_file_of_gigabytes_is_read_as_it_comes(suffix: str, header: bytes, row: bytes) -> None:
    rows = 4_000_000 if suffix != ".hl7" else 2_000
    endless = _Endless(header, row, rows)
    raw = io.BufferedReader(endless, 1 << 16)
    records = _read(Source("big", "big", raw, suffix=suffix))
    for _ in range(500):
        assert next(records).note is not None
    assert endless.tell() < 500 * len(row) + (1 << 19)


def test_a_long_array_is_parsed_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.formats.json_notes._LONG", 64)
    notes = [{"note_id": str(n), "text": "é,] [" * (n % 40)} for n in range(300)]
    array = json.dumps([*notes[:100], 7, *notes[100:]], ensure_ascii=False, indent=1)
    for raw in (array.encode(), array.encode("utf-8-sig"), array.encode("utf-16")):
        records = read(raw, "x.json")
        assert [r.note and r.note.text for r in records] == [n["text"] for n in notes[:100]] + [None] + [
            n["text"] for n in notes[100:]
        ]
        assert records[100].reason == "a note is a JSON object"
    for broken, reason in (
        (array[:-9], "not valid JSON (item 301 of the array); what follows was not read"),
        (array.replace('"text"', "text", 1), "not valid JSON (item 1 of the array); what follows was not read"),
        (array + "x", "not valid JSON: something follows the array"),
        ("[" * 100_000, "not valid JSON (item 1 of the array); what follows was not read"),
    ):
        assert read(broken, "x.json")[-1].reason == reason
    assert "is not UTF-8 text" in str(read(array.encode("latin-1"), "x.json")[-1].reason)


# Inputs


def test_links_that_go_round_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_text("x")
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    records = [record for file in find_inputs([str(tmp_path / "in")]) for record in read_records(file)]
    assert [(Path(r.input).name, r.reason) for r in records] == [
        ("a.txt", None),
        ("gone.txt", "No such file or directory"),
        ("pipe", "is no regular file"),
    ]


def test_a_folder_of_everything_accounts_for_everything(tmp_path: Path) -> None:
    for name, raw in SAMPLES.items():
        (tmp_path / name).write_bytes(raw)
    noise = random.Random(5)
    for name in SAMPLES:
        (tmp_path / f"broken-{name}").write_bytes(noise.randbytes(400))
    files = find_inputs([str(tmp_path)])
    assert len(files) == 2 * len(SAMPLES)
    for file in files:
        records = list(read_records(file))
        assert records, file.shown
        for record in records:
            assert record.input.startswith(file.shown)
            assert (record.reason is None) is not file.name.startswith("broken-"), record

"""ZIP and gzip: members in name order under the archive's name; bombs, tricks and what cannot be unpacked refused."""

from __future__ import annotations

import gzip
import io
import json
import stat
import struct
import warnings
import zipfile

import pytest
from format_files import MARK, docx, note_of, read, reason_of, zipped


def line(note_id: str) -> str:
    return json.dumps({"note_id": note_id, "text": "x"}) + "\n"


def test_members_in_name_order() -> None:
    raw = zipped(
        {"b/two.txt": "two", "a.jsonl": line("n1") + "{\n" + line("n2"), "b/": "", "__MACOSX/._a": "x", ".hid": "x"}
    )
    records = read(raw, "in/export.zip")
    assert [(r.place, r.note_id) for r in records] == [
        ("in/export.zip/a.jsonl:1", "n1"),
        ("in/export.zip/a.jsonl:2", None),
        ("in/export.zip/a.jsonl:3", "n2"),
        ("in/export.zip/b/two.txt", "in/export.zip/b/two.txt"),
    ]


def test_every_format_is_read_inside() -> None:
    raw = zipped(
        {
            "a.rtf": "{\\rtf1 rich}",
            "b.csv": "note_id,text\nrow,x\n",
            "c.docx": docx("<w:p><w:r><w:t>word</w:t></w:r></w:p>"),
            "d.zip": zipped({"inner.txt": "deep"}),
            "e.txt.gz": gzip.compress(b"packed"),
            "f.txt": b"caf\xe9",
        }
    )
    records = read(raw, "x.zip")
    assert [(r.note_id, r.note and r.note.text) for r in records] == [
        ("x.zip/a.rtf", "rich"),
        ("row", "x"),
        ("x.zip/c.docx", "word"),
        ("x.zip/d.zip/inner.txt", "deep"),
        ("x.zip/e.txt.gz", "packed"),
        ("x.zip/f.txt", "café"),
    ]
    assert records[-1].warnings == ("read as cp1252",)


def test_gzip() -> None:
    records = read(gzip.compress((line("a") + line("b")).encode()), "notes.jsonl.gz")
    assert [(r.place, r.note_id) for r in records] == [("notes.jsonl.gz:1", "a"), ("notes.jsonl.gz:2", "b")]
    assert note_of(gzip.compress(b"words"), "visit.txt.gz").note_id == "visit.txt.gz"
    assert note_of(gzip.compress(b"note_id\ttext\na\tx\n"), "x.tsv.gz").note_id == "a"
    assert note_of(gzip.compress(b"one") + gzip.compress(b" two"), "x.gz").text == "one two"


def named(name: str, attributes: int = 0, flags: int = 0) -> bytes:
    info = zipfile.ZipInfo("member.txt")
    info.external_attr = attributes
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, MARK)
        archive.writestr("z.txt", "fine")
        archive.filelist[0].filename = name
        archive.filelist[0].flag_bits |= flags
    return out.getvalue()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (named("../up.txt"), "leads out of the archive"),
        (named("/etc/passwd"), "leads out of the archive"),
        (named("a/../../up.txt"), "leads out of the archive"),
        (named("C:\\x.txt"), "leads out of the archive"),
        (named("..\\x.txt"), "leads out of the archive"),
        (named("link.txt", (stat.S_IFLNK | 0o777) << 16), "a link or no regular file"),
        (named("pipe", (stat.S_IFIFO | 0o600) << 16), "a link or no regular file"),
        (named("locked.txt", flags=1), "encrypted"),
        (zipped({"bomb.txt": bytes(20 << 20), "z.txt": "fine"}), "as a zip bomb does"),
    ],
)
def test_members_that_are_refused(raw: bytes, reason: str) -> None:
    bad, fine = read(raw, "x.zip")
    assert bad.reason is not None
    assert bad.reason.startswith("refused: ")
    assert reason in bad.reason
    assert bad.input.startswith("x.zip/")
    assert fine.note is not None
    assert fine.note.text == "fine"


def test_names_on_one_line() -> None:
    (first, _) = read(named("a\nb\x1b.txt"), "x.zip")
    assert first.input in ("x.zip/a?b?.txt",)


def test_archives_in_archives_end_somewhere() -> None:
    raw: bytes = b"bottom"
    for _ in range(6):
        raw = zipped({"in.zip" if raw[:2] == b"PK" else "in.txt": raw})
    (record,) = read(raw, "x.zip")
    assert record.reason == "refused: archives more than 3 deep in each other"
    assert record.input == "x.zip/in.zip/in.zip/in.zip"
    packed = b"bottom"
    for _ in range(6):
        packed = gzip.compress(packed)
    assert "deep in each other" in reason_of(packed, "x.gz")


def test_a_gzip_bomb_is_refused() -> None:
    bomb = gzip.compress(bytes(60 << 20), 9)
    assert reason_of(bomb, "x.txt.gz") == "refused: expands more than 250 times, as a bomb does"
    assert reason_of(bomb, "x.csv.gz").startswith("refused")


def test_text_that_packs_well_is_no_bomb() -> None:
    notes = "".join(json.dumps({"note_id": str(n), "text": f"Visit {n}: pain. " * 120}) + "\n" for n in range(3_000))
    assert len(read(gzip.compress(notes.encode()), "x.jsonl.gz")) == 3_000
    assert len(read(zipped({"x.jsonl": notes}), "x.zip")) == 3_000


def test_broken_archives() -> None:
    good = zipped({"a.txt": "one" * 200, "b.txt": "two" * 200})
    assert reason_of(good[:-30], "x.zip") == "a ZIP archive that cannot be read: broken or cut off"
    assert reason_of(b"PK\x03\x04" + b"\xff" * 300, "x.zip").startswith("a ZIP archive that cannot be read")
    assert reason_of("words", "x.zip") == "is named as a ZIP archive, but is none"
    place = good.index(b"a.txt") + 5
    bad, fine = read(good[:place] + b"\xff\xff\xff" + good[place + 3 :], "x.zip")
    assert (bad.input, fine.note_id) == ("x.zip/a.txt", "x.zip/b.txt")
    assert bad.reason is not None
    packed = gzip.compress("".join(line(str(n)) for n in range(9)).encode())
    for cut in (5, 12, len(packed) // 2, len(packed) - 2):
        records = read(packed[:cut], "x.jsonl.gz")
        assert records[-1].reason == "a gzip file that cannot be unpacked: broken or cut off"
    damaged = packed[:-8] + struct.pack("<II", 1, 1)
    assert read(damaged, "x.jsonl.gz")[-1].reason is not None


def test_a_method_of_packing_that_is_not_known() -> None:
    raw = zipped({"a.txt": "x", "b.txt": "fine"})
    directory = raw.index(b"PK\x01\x02")
    bad, fine = read(raw[: directory + 10] + b"\x63\x00" + raw[directory + 12 :], "x.zip")
    assert bad.reason is not None
    assert fine.note_id == "x.zip/b.txt"


def test_members_of_one_name_are_both_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a.txt", "one")
        archive.writestr("a.txt", "two")
    assert sorted(r.note.text for r in read(out.getvalue(), "x.zip") if r.note) == ["one", "two"]


def test_other_containers_are_refused_by_name() -> None:
    assert "spreadsheet" in reason_of(zipped({"[Content_Types].xml": "", "xl/workbook.xml": ""}), "x.xlsx")
    assert "presentation" in reason_of(zipped({"ppt/presentation.xml": ""}), "x.pptx")
    assert "OpenDocument" in reason_of(zipped({"mimetype": "", "content.xml": ""}), "x.odt")
    tar = b"a.txt".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 300
    assert "tar archives are not read" in reason_of(tar, "x.tar")
    assert "tar archives are not read" in reason_of(gzip.compress(tar), "x.tar.gz")
    assert "7z" in reason_of(b"7z\xbc\xaf\x27\x1c", "x.7z")

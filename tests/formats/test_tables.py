"""CSV, TSV and Parquet: columns by name, notes split over rows, quoting, encodings, and rows that can't be read."""

from __future__ import annotations

import csv
import datetime
import io
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from format_files import MARK, note_of, read, reason_of
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.errors import InputError
from analyzer.formats import given_columns


def table(*rows: list[Any], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def parquet(**columns: list[Any]) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue()


def test_usual_column_names_and_values() -> None:
    header = [
        "NOTE_ID",
        "PAT_ID",
        "PAT_ENC_CSN_ID",
        "NOTE_TYPE",
        "AUTHOR_ROLE",
        "DOS",
        "PATIENT_CLASS",
        "NOTE_STATUS",
        "DX_CODE",
        "NOTE_TEXT",
    ]
    row = ["7", "P1", "E1", "Progress", "MD", "3/10/2025 8:00", "Inpatient", "Signed", "X1", 'Fell,\r\n"hard".']
    note = note_of(table(header, row), "x.csv")
    assert note.model_dump(mode="json", exclude={"complete"}) == {
        "note_id": "7",
        "text": 'Fell,\r\n"hard".',
        "date_of_service": "2025-03-10",
        "note_type": "Progress",
        "setting": "inpatient",
        "author_role": "MD",
        "signed": True,
        "patient_id": "P1",
        "encounter_id": "E1",
        "code": "X1",
    }


@pytest.mark.parametrize("delimiter", [",", "\t", "|", ";"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x"])
def test_separators(delimiter: str, name: str) -> None:
    raw = table(["note_id", "other", "text"], ["a", "", f"x{delimiter}y"], delimiter=delimiter)
    assert note_of(raw, name).text == f"x{delimiter}y"


def test_columns_can_be_named() -> None:
    raw = table(["KEY", "Note, long", "text", "id"], ["a", "this", "not this", "nor this"])
    assert note_of(raw, "x.csv", columns={"note_id": "key", "text": "Note, long"}).text == "this"
    assert given_columns(["text=Note, long,note_id=KEY", "line = LN"]) == {
        "text": "Note, long",
        "note_id": "KEY",
        "line": "LN",
    }
    for wrong in ("text", "text=", "words=X", "=X"):
        with pytest.raises(InputError, match=r"write FIELD=COLUMN; fields are note_id, text, .*, line"):
            given_columns([wrong])
    with pytest.raises(InputError, match="given twice"):
        given_columns(["text=A", "text=B"])


def test_missing_columns_are_named_with_those_there_are() -> None:
    raw = table(["A", "B C"], ["1", MARK])
    assert reason_of(raw, "x.csv", columns={"text": "BODY"}) == "column BODY (for text) is missing; there are A, B C"
    assert reason_of(raw, "x.csv") == "no column for text is known; there are A, B C; --map text=COLUMN names one"
    # Without a header line the first row is data, which is not shown.
    assert "does not look like names" in reason_of(table(["17", f"Pain. {MARK}"]), "x.csv")
    assert reason_of("", "x.csv") == "the file is empty"


def rows(*texts: str, ids: str = "", numbers: list[Any] | None = None) -> str:
    lines = numbers or list(range(1, len(texts) + 1))
    return table(
        ["NOTE_ID", "LINE", "NOTE_TEXT"],
        *([i, n, t] for i, n, t in zip(ids or "a" * len(texts), lines, texts, strict=True)),
    )


@pytest.mark.parametrize(
    ("texts", "text"),
    [
        (["Patient fell on ", "ice in 2019."], "Patient fell on ice in 2019."),
        (["chronic sac", "ral pain after a fa", "ll"], "chronic sacral pain after a fall"),
        (["HPI: fell.\nASS", "ESSMENT: pain"], "HPI: fell.\nASSESSMENT: pain"),
        (["12345678", "90. Next", " one."], "1234567890. Next one."),
        (["HPI:", "Fell on ice.", "ASSESSMENT:", "Pain."], "HPI:\nFell on ice.\nASSESSMENT:\nPain."),
        (["one line"], "one line"),
        (["", "x"], "\nx"),
    ],
)
def test_rows_of_a_note(texts: list[str], text: str) -> None:
    assert note_of(rows(*texts), "x.csv").text == text


def test_rows_are_put_in_order_and_gaps_are_told() -> None:
    (record,) = read(rows("c ", "a ", "b ", numbers=[10, 2, 9]), "x.csv")
    assert record.note is not None
    assert record.note.text == "a b c "
    assert record.warnings == ("line numbers have a gap: rows of the note may be missing",)
    (record,) = read(rows("a ", "a ", numbers=[1, 1]), "x.csv")
    assert record.warnings == ("a line number is used twice",)
    (record,) = read(rows("a ", "b ", numbers=[1, "?"]), "x.csv")
    assert record.warnings == ("rows without a line number were joined as they stand",)


def test_rows_that_stand_apart() -> None:
    records = read(rows("a ", "b ", "c ", "d ", ids="xxyx", numbers=[1, 2, 1, 3]), "x.csv")
    assert [(r.number, r.note and r.note.text) for r in records] == [(2, "a b "), (4, "c "), (5, "d ")]
    assert records[2].warnings == ("rows of the same note_id stand apart in the file and were read as notes apart",)


def test_without_line_numbers_every_row_is_a_note() -> None:
    records = read(table(["note_id", "text"], ["a", "x"], ["a", "y"]), "x.csv")
    assert [r.note and r.note.text for r in records] == ["x", "y"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (f"b,{MARK}\n", "the row has 2 columns, the header 3"),
        (f"b,2025-01-01,{MARK},{MARK}\n", "the row has 4 columns, the header 3"),
        (f'b,2025-01-01,"{MARK}" x\n', "quotes in the row are not as in CSV"),
        (f",2025-01-01,{MARK}\n", "note_id is empty"),
        ("b,2025-01-01," + "\x01\x02\x03" * 9 + "\n", "looks like a binary file"),
    ],
)
def test_a_bad_row_is_told_and_passed(bad: str, reason: str) -> None:
    raw = "note_id,date,text\na,2025-01-01,x\n" + bad + "c,2025-01-01,y\n"
    first, second, third = read(raw, "x.csv")
    assert (first.note_id, third.note_id) == ("a", "c")
    assert second.place == "x.csv:3"
    assert second.reason is not None
    assert reason in second.reason


def test_a_quote_that_is_never_closed() -> None:
    records = read(f'note_id,text\na,x\nb,"open\nc,{MARK}\n', "x.csv")
    assert [(r.number, r.reason) for r in records] == [
        (2, None),
        (3, "a quote that opens here is never closed: the rest of the file could not be read"),
    ]
    assert "header line is not closed" in reason_of('note_id,"text\na,x\n', "x.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding: str, end: str) -> None:
    raw = end.join(["note_id,text", "a,café ’s", "b,plain", ""]).encode(encoding)
    first, second = read(raw, "x.csv")
    assert first.note is not None
    assert first.note.text == "café ’s"
    expected = {"utf-8-sig": (), "utf-16": ("read as utf-16",), "cp1252": ("read as cp1252",)}[encoding]
    assert first.warnings == expected
    assert second.warnings == (expected if encoding == "utf-16" else ())
    assert note_of("note_id,text\na,caf\x8e\n".encode("latin-1"), "x.csv", encoding="mac-roman").text == "café"
    assert reason_of(b"note_id,text\na,\xff\n", "x.csv", encoding="ascii") == "is not ascii text"


def test_texts_in_other_clothes() -> None:
    texts = [
        "{\\rtf1 kept{\\v gone}}",
        "<html><p>page</p></html>",
        "a&#x20;b &#233;",
        "a\x00b" * 9,
        "x" * 32767,
        "",
        "A &amp; B",
    ]
    records = read(table(["note_id", "text"], *([str(n), t] for n, t in enumerate(texts))), "x.csv")
    assert [r.note and r.note.text for r in records] == [
        "kept",
        "page",
        "a b é",
        "ab" * 9,
        "x" * 32767,
        "",
        "A &amp; B",
    ]
    assert [r.warnings for r in records] == [
        (),
        (),
        ("character references in the text were resolved",),
        ("NUL characters in the text were left out",),
        ("the text is 32767 characters long, where exports cut off",),
        ("the text is empty",),
        (),
    ]


def test_values_that_are_not_understood_are_told() -> None:
    header = ["note_id", "text", "date", "setting", "status", "dx_codes"]
    records = read(
        table(
            header,
            ["a", "x", "soon", "elsewhere", "odd", "X1;X2"],
            ["b", MARK, "", "", "Deleted", ""],
            ["c", "x", "", "", "draft", ""],
        ),
        "x.csv",
    )
    assert records[0].warnings == (
        "date_of_service is not a date that is understood",
        "setting is neither inpatient nor outpatient",
        "several codes are given: none of them was taken",
    )
    assert records[1].reason == "deleted: the note is not to be used"
    assert records[2].note is not None
    assert records[2].note.signed is False


@pytest.mark.parametrize(
    ("day", "iso"),
    [
        ("2025-03-10", "2025-03-10"),
        ("2025-03-10 23:59:59.000", "2025-03-10"),
        ("2025-03-10T23:59:59-05:00", "2025-03-10"),
        ("20250310", "2025-03-10"),
        ("20250310235959-0500", "2025-03-10"),
        ("3/10/2025", "2025-03-10"),
        ("03/10/2025 08:00 AM", "2025-03-10"),
        ("10-MAR-2025", "2025-03-10"),
        ("2025-02-30", None),
        ("13/10/2025", None),
        ("2025-03", None),
        ("3/10/25", None),
        ("10-XXX-2025", None),
    ],
)
def test_days(day: str, iso: str | None) -> None:
    note = note_of(table(["note_id", "text", "date"], ["a", "x", day]), "x.csv")
    assert (note.date_of_service and str(note.date_of_service)) == iso


def test_a_field_of_megabytes() -> None:
    assert len(note_of(table(["note_id", "text"], ["a", "x y\n" * 500_000]), "x.csv").text) == 2_000_000


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
@settings(max_examples=40, deadline=None)
def test_what_csv_writes_comes_back(pairs: list[tuple[str, str]]) -> None:
    try:
        raw = table(["note_id", "text"], *map(list, pairs)).encode()
    except UnicodeEncodeError:
        return
    records = read(raw, "x.csv")
    assert len(records) == len(pairs)
    for record, (note_id, text) in zip(records, pairs, strict=True):
        if record.note is not None:
            assert record.note_id == note_id
            if not record.warnings and "<" not in text:
                assert record.note.text == text


@given(st.text(alphabet='a,"\n\r\t|\x00é', max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_rows_are_accounted_for(body: str) -> None:
    for record in read("note_id,text\n" + body, "x.csv"):
        assert record.unit == "line"


def test_parquet() -> None:
    raw = parquet(
        NOTE_ID=[1, 2, 3, 4],
        NOTE_TEXT=["Fell.", None, "é", "x"],
        CONTACT_DATE=[datetime.date(2025, 3, 10), None, datetime.date(2025, 3, 11), None],
        OTHER=[[1], [2], [3], [4]],
    )
    records = read(raw, "x.parquet")
    assert [(r.place, r.note_id, r.reason) for r in records] == [
        ("x.parquet", "1", None),
        ("x.parquet: row 2", "2", "text is null"),
        ("x.parquet: row 3", "3", None),
        ("x.parquet: row 4", "4", None),
    ]
    assert records[0].note is not None
    assert str(records[0].note.date_of_service) == "2025-03-10"


def test_parquet_split_rows_types_and_columns() -> None:
    split = parquet(NOTE_ID=["a", "a", "b"], LINE=[2, 1, 1], NOTE_TEXT=["ice.", "on ", "x"])
    assert [r.note and r.note.text for r in read(split, "x")] == ["on ice.", "x"]
    stamped = parquet(KEY=[1.0], B=[b"caf\xe9"], WHEN=[datetime.datetime(2025, 3, 10, 9)], OK=[True])
    columns = {"note_id": "KEY", "text": "B", "date_of_service": "WHEN", "signed": "OK"}
    note = note_of(stamped, "x.parquet", columns=columns)
    assert (note.note_id, note.text, str(note.date_of_service), note.signed) == ("1", "café", "2025-03-10", True)
    assert (
        reason_of(stamped, "x.parquet", columns={"text": "T"})
        == "column T (for text) is missing; there are KEY, B, WHEN, OK"
    )
    assert "neither text" in reason_of(parquet(note_id=["a"], text=[[MARK]]), "x.parquet")


def test_broken_parquet() -> None:
    raw = parquet(note_id=["a"], text=["x"])
    assert reason_of(b"words", "x.parquet") == "is named as Parquet, but is none"
    for broken in (raw[:60], raw[:-5], b"PAR1" + b"\xff" * 60 + b"PAR1", raw[:4] + b"\xff" * 20 + raw[24:]):
        assert "cannot be read" in reason_of(broken, "x.parquet")

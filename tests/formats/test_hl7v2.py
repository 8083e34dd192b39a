"""HL7 v2: documents of MDM and ORU messages, escapes, corrections and withdrawals, batches and framing."""

from __future__ import annotations

import base64

import pytest
from format_files import MARK, note_of, pdf, read, reason_of


def message(kind: str, *segments: str, control: str = "m1", charset: str = "", end: str = "\r") -> str:
    head = f"MSH|^~\\&|APP|FAC|||20250311||{kind}|{control}|P|2.5.1||||||{charset}"
    return end.join((head, "PID|1||P7^^^FAC^MR", "PV1|1|O|||||||||||||||||V9", *segments)) + end


def txa(number: str = "doc1", parent: str = "", completion: str = "AU", availability: str = "AV") -> str:
    return f"TXA|1|PR|TX|20250310|||||99^DOE^J^^^^MD|||{number}|{parent}||||{completion}||{availability}"


def obx(value: str, kind: str = "TX", status: str = "F", number: int = 1, code: str = "11506-3^Progress note") -> str:
    return f"OBX|{number}|{kind}|{code}||{value}||||||{status}"


def obr(number: str = "ord1", code: str = "72195^MRI pelvis", status: str = "F") -> str:
    return f"OBR|1||{number}|{code}|||20250308{'|' * 18}{status}"


def test_what_an_mdm_message_says() -> None:
    note = note_of(message("MDM^T02", txa(), obx("Fell on ice."), obx("Pain.", number=2)), "x.hl7")
    assert note.model_dump(mode="json", exclude={"complete", "code"}) == {
        "note_id": "doc1",
        "text": "Fell on ice.\nPain.\n",
        "date_of_service": "2025-03-10",
        "note_type": "Progress note",
        "setting": "outpatient",
        "author_role": "MD",
        "signed": True,
        "patient_id": "P7",
        "encounter_id": "V9",
    }


def test_what_an_oru_message_says() -> None:
    sent = message("ORU^R01", obr(), obx("Healed fracture.", code="72195"), "NTE|1||Compared with 2019.")
    note = note_of(sent, "x.hl7")
    assert (note.note_id, note.text) == ("ord1", "Healed fracture.\nCompared with 2019.\n")
    assert (note.note_type, str(note.date_of_service), note.signed) == ("MRI pelvis", "2025-03-08", True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", r"a|b^c&d~e\f"),
        (r"one\.br\two\.sp2\three", "one\ntwo\n\nthree"),
        (r"\H\bold\N\ \.in4\x", "bold     x"),
        (r"caf\XC3A9\ \X0D0A\x", "café \nx"),
        ("one~two~~three", "one\ntwo\n\nthree"),
        ("10^9 & more", "10^9 & more"),
        (r"C:\notes\today", r"C:\notes\today"),
        ("a\\Zown\\b \\C2842\\", "ab \ufffd"),
        ('""', ""),
    ],
)
def test_escapes_and_repetitions(value: str, text: str) -> None:
    note = note_of(message("MDM^T02", txa(), obx("x"), obx(value, "FT", number=2)), "x.hl7")
    assert note.text == f"x\n{text}\n"


def test_separators_are_those_the_message_declares() -> None:
    raw = "MSH#*%!@#A#F###20250311##MDM*T02#m1\rTXA#1#PR#TX#20250310########d9*X\rOBX#1#TX###a|b^c!S!d%e!F!\r"
    note = note_of(raw, "x.hl7")
    assert (note.note_id, note.text) == ("d9", "a|b^c*d\ne#\n")


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("frame", [("", ""), ("\x0b", "\x1c\r"), ("\n\n", "\n")])
def test_line_ends_and_framing(end: str, frame: tuple[str, str]) -> None:
    one = message("MDM^T02", txa("a"), obx("x"), end=end)
    two = message("MDM^T02", txa("b"), obx("y"), end=end)
    records = read(f"{frame[0]}{one}{frame[1]}{frame[0]}{two}{frame[1]}", "x.hl7")
    assert [(r.number, r.note_id, r.note and r.note.text) for r in records] == [(1, "a", "x\n"), (2, "b", "y\n")]


def test_a_line_break_inside_a_field() -> None:
    assert note_of(message("MDM^T02", txa(), obx("one\ntwo"), obx("three")), "x.hl7").text == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("charset", "encoding", "warnings"),
    [
        ("UNICODE UTF-8", "utf-8", ()),
        ("", "utf-8", ()),
        ("", "cp1252", ("read as cp1252",)),
        ("8859/2", "iso8859-2", ("read as iso8859-2",)),
        ("ASCII", "cp1252", ("read as cp1252",)),
        ("8859/1~UNICODE UTF-8", "cp1252", ("read as cp1252",)),
    ],
)
def test_character_sets(charset: str, encoding: str, warnings: tuple[str, ...]) -> None:
    (record,) = read(message("MDM^T02", txa(), obx("é"), charset=charset).encode(encoding), "x.hl7")
    assert record.note is not None
    assert (record.note.text, record.warnings) == ("é\n", warnings)
    utf16 = message("MDM^T02", txa(), obx("é")).encode("utf-16")
    assert note_of(utf16, "x.hl7").text == "é\n"


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (b"plain", "text^plain", "plain"),
        (b"{\\rtf1 rich}", "TEXT^RTF", "rich"),
        (pdf("printed"), "Application^PDF", "printed"),
        (b"<html><p>page</p></html>", "text^html", "page"),
    ],
)
def test_encapsulated_documents(data: bytes, kind: str, text: str) -> None:
    encoded = base64.b64encode(data).decode()
    assert note_of(message("MDM^T02", txa(), obx(f"^{kind}^Base64^{encoded}", "ED")), "x.hl7").text == text
    (record,) = read(message("MDM^T02", txa(), obx("as text"), obx(f"^{kind}^Base64^{encoded}", "ED")), "x.hl7")
    assert record.note is not None
    assert record.note.text == "as text\n"
    assert record.warnings == ("an attachment beside the text was not read",)


@pytest.mark.parametrize(
    ("segments", "kind", "reason"),
    [
        ((txa(), obx(MARK, status="D")), "MDM^T02", "deleted (OBX-11 D)"),
        ((txa(), obx(MARK, status="X")), "MDM^T02", "cancelled (OBX-11 X)"),
        ((txa(), obx(MARK, status="W")), "MDM^T02", "wrong (OBX-11 W)"),
        ((txa(availability="CA"), obx(MARK)), "MDM^T02", "cancelled: the document is not to be used"),
        ((txa(availability="OB"), obx(MARK)), "MDM^T02", "obsolete"),
        ((txa(completion="CA"), obx(MARK)), "MDM^T08", "cancelled"),
        ((txa(),), "MDM^T11", "cancelled: MDM^T11 withdraws"),
        ((txa(),), "MDM^T01", "without its text"),
        ((txa(),), "MDM^T02", "holds no text"),
        ((obr(status="X"), obx(MARK)), "ORU^R01", "cancelled"),
        ((obr(),), "ORU^R01", "holds no results"),
        ((), "ADT^A01", "ADT^A01: holds no document"),
        ((), f"{MARK}^A01", "messages of this type"),
        ((txa(), obx(f"^text^plain^Base64^{MARK}!", "ED")), "MDM^T02", "no valid base64"),
        ((txa(), obx("^text^plain^Hex^zz", "ED")), "MDM^T02", "no valid hexadecimal"),
        ((txa(), obx(f"\\\\server\\{MARK}.pdf", "RP")), "MDM^T02", "a link (OBX-2 RP)"),
    ],
)
def test_messages_without_a_document(segments: tuple[str, ...], kind: str, reason: str) -> None:
    assert reason in reason_of(message(kind, *segments), "x.hl7")


def test_lines_of_a_corrected_result() -> None:
    lines = (obx("S1"), obx("S2", number=2), obx("S3", status="C", number=2))
    (record,) = read(message("ORU^R01", obr(), *lines), "x.hl7")
    assert record.note is not None
    assert record.note.text == "S1\nS3\n"
    assert record.warnings == ("a line was replaced by its correction (OBX-11 C)",)


@pytest.mark.parametrize(
    ("later", "fate"),
    [
        (message("MDM^T08", txa("a"), obx("new")), "replaced by a later version in message 2"),
        (message("MDM^T10", txa("b", "a"), obx("new")), "replaced by a later version in message 2"),
        (message("MDM^T02", txa("a"), obx("new")), "replaced by a later version in message 2"),
        (message("MDM^T11", txa("a")), "cancelled by message 2"),
        (message("MDM^T04", txa("a", availability="CA"), obx("new")), "cancelled by message 2"),
        (message("MDM^T06", txa("b", "a"), obx("more")), None),
        (message("MDM^T03", txa("a")), None),
        (message("MDM^T02", txa("b"), obx("other")), None),
    ],
)
def test_what_later_messages_do_to_a_document(later: str, fate: str | None) -> None:
    first, second = read(message("MDM^T02", txa("a"), obx("old")) + later, "x.hl7")
    assert (first.reason, first.note_id) == (fate, "a")
    if "MDM^T06" in later:
        assert "an addendum: the document it belongs to is a note of its own" in second.warnings


def test_a_preliminary_result_gives_way_to_the_final_one() -> None:
    first, second, third = read(
        message("ORU^R01", obr(status="P"), obx("maybe", status="P"))
        + message("ORU^R01", obr(), obx("final"))
        + message("ORU^R01", obr("other"), obx("else")),
        "x.hl7",
    )
    assert first.reason == "replaced by a later version in message 2"
    assert second.note is not None
    assert (second.note.text, second.note.signed) == ("final\n", True)
    assert third.note is not None


def test_several_reports_in_one_message() -> None:
    records = read(message("ORU^R01", obr("o1", "A^One"), obx("a"), obr("o1", "B^Two"), obx("b")), "x.hl7")
    assert [(r.number, r.note_id, r.note and r.note.text) for r in records] == [(1, "o1/A", "a\n"), (1, "o1/B", "b\n")]


def test_sections_and_values_of_a_result() -> None:
    note = note_of(
        message(
            "ORU^R01",
            obr(),
            obx("Old fracture.", code="1^Findings"),
            obx("IMPRESSION: healed.", code="2^Impression"),
            "OBX|3|NM|718-7^Hemoglobin||13.5|g/dL|||||F",
            "OBX|4|CWE|9^Grade||2^Moderate^L||||||F",
        ),
        "x.hl7",
    )
    assert note.text == ("Findings:\nOld fracture.\nIMPRESSION: healed.\nHemoglobin: 13.5 g/dL\nGrade: Moderate\n")


def test_a_batch_file() -> None:
    body = message("MDM^T02", txa("a"), obx("x")) + message("MDM^T02", txa("b"), obx("y"))
    whole = f"FHS|^~\\&|APP\rBHS|^~\\&|APP\r{body}BTS|2\rFTS|1\r"
    assert [r.note_id for r in read(whole, "x.hl7")] == ["a", "b"]
    cut = read(whole[: whole.index("BTS")], "x.hl7")
    assert [r.note_id for r in cut] == ["a", "b", None]
    assert cut[-1].reason == "the file ends without the trailer of its batch (FTS, BTS): it may be cut off"
    short = read(whole.replace("BTS|2", "BTS|3"), "x.hl7")
    assert short[-1].reason == "the batch trailer (BTS) counts 3 messages, 2 were found"


def test_what_stands_outside_of_messages() -> None:
    records = read("stray line\r" + message("MDM^T02", txa(), obx("x")), "x.hl7")
    assert [(r.note_id, r.reason) for r in records] == [
        ("doc1", None),
        (None, "1 lines stand outside of any message and were not read"),
    ]
    assert reason_of("no message", "x.hl7") == "1 lines stand outside of any message and were not read"
    assert reason_of("", "x.hl7") == "holds no HL7 message"


@pytest.mark.parametrize(
    "head", ["MSH|", "MSH|^~", "MSH|||||", "MSH|^^^^|", "MSH|^~\\&", "MSH\r", "MSH|^~\\&|\x00\x01\x02\x03"]
)
def test_broken_headers(head: str) -> None:
    for record in read(f"{head}\rOBX|1|TX|||{MARK}\r" + message("MDM^T02", txa(), obx("x")), "x.hl7")[:-1]:
        assert record.reason is not None


def test_messages_are_read_whatever_the_name() -> None:
    assert note_of(message("MDM^T02", txa(), obx("x")), "feed.txt").note_id == "doc1"

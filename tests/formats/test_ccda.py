"""C-CDA: sections under their titles, encoded bodies, header data; XML that attacks is refused."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest
from format_files import MARK, note_of, pdf, read, reason_of

HEADER = """
<id root="1.2.3" extension="doc-7"/>
<code code="11506-3" codeSystem="2.16.840.1.113883.6.1" displayName="Progress note"/>
<title>Visit</title><effectiveTime value="20250310120000-0500"/>
<recordTarget><patientRole>
  <id root="2.16.840.1.113883.4.1" extension="000-00-0000"/><id root="1.2" extension="P1"/>
</patientRole></recordTarget>
<author><assignedAuthor><code code="363L00000X" displayName="Nurse Practitioner"/></assignedAuthor></author>
<legalAuthenticator><signatureCode code="S"/></legalAuthenticator>
<componentOf><encompassingEncounter>
  <id extension="E9"/><code code="AMB"/><effectiveTime><low value="20250309"/></effectiveTime>
</encompassingEncounter></componentOf>
"""


def cda(*sections: str, header: str = HEADER, declaration: str = '<?xml version="1.0"?>') -> str:
    body = "".join(f"<component>{section}</component>" for section in sections)
    return (
        f'{declaration}<ClinicalDocument xmlns="urn:hl7-org:v3">{header}'
        f"<component><structuredBody>{body}</structuredBody></component></ClinicalDocument>"
    )


def section(text: str, title: str = "", code: str = "", entry: str = "") -> str:
    code = f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>' if code else ""
    return f"<section>{code}<title>{title}</title><text>{text}</text>{entry}</section>"


def unstructured(content: str, attributes: str) -> str:
    return (
        f'<ClinicalDocument xmlns="urn:hl7-org:v3">{HEADER}<component><nonXMLBody><text {attributes}>{content}</text>'
        "</nonXMLBody></component></ClinicalDocument>"
    )


def test_what_the_header_says() -> None:
    note = note_of(cda(section("x")), "visit.xml")
    assert note.model_dump(mode="json", exclude={"text", "complete", "code"}) == {
        "note_id": "doc-7",
        "date_of_service": "2025-03-09",
        "note_type": "Progress note",
        "setting": "outpatient",
        "author_role": "Nurse Practitioner",
        "signed": True,
        "patient_id": "P1",
        "encounter_id": "E9",
    }


def test_a_document_without_encounter_or_header() -> None:
    (record,) = read(cda(section("x"), header='<effectiveTime value="20250310"/>'), "a/visit.xml")
    assert record.note is not None
    assert record.note_id == "a/visit.xml"
    assert str(record.note.date_of_service) == "2025-03-10"
    assert record.warnings == ("date_of_service is the day the document was made: it names no encounter",)


@pytest.mark.parametrize(
    ("title", "code", "heading"),
    [
        ("Assessment", "51848-0", "Assessment:\n"),
        ("What we think", "51848-0", "Assessment:\nWhat we think:\n"),
        ("", "10164-2", "History of present illness:\n"),
        ("Story:", "", "Story:\n"),
        ("", "", ""),
    ],
)
def test_section_titles(title: str, code: str, heading: str) -> None:
    assert note_of(cda(section("Fell.", title, code)), "x.xml").text == f"{heading}Fell.\n"


@pytest.mark.parametrize(
    ("narrative", "text"),
    [
        ("<paragraph>a  b\n   c</paragraph><paragraph>d</paragraph>", "a b c\n\nd"),
        ("a<br/>b<br/><br/>c", "a\nb\n\nc"),
        (
            "<list><caption>Dx</caption><item>one</item><item><paragraph>two</paragraph></item></list>",
            "Dx\n- one\n- two",
        ),
        (
            "<table><thead><tr><th>What</th><th>When</th></tr></thead>"
            "<tbody><tr><td>CT</td><td/></tr><tr><td/><td>2024</td></tr></tbody></table>",
            "What | When\nCT |\n| 2024",
        ),
        (
            'kept <content revised="delete">gone <b>too</b></content>new',
            "kept new",
        ),
        ('kept <content styleCode="Strikethrough">gone</content>on', "kept on"),
        ("x<sup>2</sup> <renderMultiMedia referencedObject='#p'/>y", "x2 y"),
        ("line one\n      line two\n", "line one\nline two"),
        ("<content ID='a'>line one\nline two</content>", "line one\nline two"),
        ("A &amp; B &#233;", "A & B é"),
    ],
)
def test_narrative(narrative: str, text: str) -> None:
    assert note_of(cda(section(narrative)), "x.xml").text == f"{text}\n"


def test_sections_in_order_with_those_inside_them() -> None:
    inner = section("inner", "B")
    outer = "<section><title>A</title><text>outer</text><component>" + inner + "</component></section>"
    assert note_of(cda(outer, section("last", "C")), "x.xml").text == "A:\nouter\n\nB:\ninner\n\nC:\nlast\n"


def test_structured_entries_are_not_read_beside_the_narrative() -> None:
    encoded = base64.b64encode(b"{\\rtf1 from the entry}").decode()
    entry = f'<entry><act><text mediaType="text/rtf" representation="B64">{encoded}</text></act></entry>'
    assert note_of(cda(section("narrative", entry=entry)), "x.xml").text == "narrative\n"
    assert note_of(cda(section("", "Nursing", entry=entry)), "x.xml").text == "Nursing:\nfrom the entry\n"


@pytest.mark.parametrize(
    ("content", "media_type", "text"),
    [
        (b"plain \xe9", "text/plain", "plain é"),
        (b"{\\rtf1 rich\\par}", "text/rtf", "rich\n"),
        (b"<html><p>page</p></html>", "text/html", "page"),
        (pdf("printed"), "application/pdf", "printed"),
    ],
)
def test_encoded_bodies(content: bytes, media_type: str, text: str) -> None:
    encoded = base64.encodebytes(content).decode()
    note = note_of(unstructured(encoded, f'mediaType="{media_type}" representation="B64"'), "x.xml")
    assert (note.note_id, note.text) == ("doc-7", text)


def test_a_compressed_body_and_one_that_is_a_bomb() -> None:
    attributes = 'mediaType="text/plain" representation="B64" compression="GZ"'
    assert (
        note_of(unstructured(base64.b64encode(gzip.compress(b"small")).decode(), attributes), "x.xml").text == "small"
    )
    bomb = base64.b64encode(gzip.compress(bytes(120 << 20), 9)).decode()
    assert reason_of(unstructured(bomb, attributes), "x.xml").startswith("refused")


@pytest.mark.parametrize(
    ("content", "attributes", "reason"),
    [
        ("@@@", 'mediaType="text/plain" representation="B64"', "no valid base64"),
        ('<reference value="scan.tif"/>', 'mediaType="image/tiff"', "a link to another file"),
        ("", 'mediaType="text/plain"', "is empty"),
        ("SUkqAA==", 'mediaType="image/tiff" representation="B64"', "no text layer"),
        ("eA==", 'mediaType="text/plain" representation="B64" compression="Z"', "not read"),
        ("eA==", 'mediaType="text/plain" representation="B64" compression="DF"', "broken"),
    ],
)
def test_bodies_that_cannot_be_read(content: str, attributes: str, reason: str) -> None:
    assert reason in reason_of(unstructured(content, attributes), "x.xml")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (cda(section("&i;"), declaration=BOMB + "]>"), "refused"),
        (cda(section("&f;"), declaration='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'), "refused"),
        (cda(section("x"), declaration='<!DOCTYPE x SYSTEM "http://example.org/x.dtd">'), "refused"),
        (cda(section(MARK))[:-30], "not well-formed XML (line "),
        (cda(section(f"{MARK} &nbsp; x")), "not well-formed XML"),
        (f'<?xml version="1.0"?><order>{MARK}</order>', "no clinical document (its root element is order)"),
        (f'<?xml version="1.0" encoding="klingon"?><x>{MARK}</x>', "encoding is unknown"),
        (cda(), "without any text"),
        (cda(section("")), "without any text"),
        ("<ClinicalDocument/>", "without any text"),
        ("no xml", "not well-formed XML"),
    ],
)
def test_xml_that_is_refused(document: str, reason: str) -> None:
    assert reason in reason_of(document, "x.xml")


def test_nesting_as_deep_as_a_file_likes() -> None:
    deep = "<content>" * 50_000 + "deep" + "</content>" * 50_000
    assert note_of(cda(section(deep)), "x.xml").text == "deep\n"
    sections = "<section><component>" * 5_000 + section("deep") + "</component></section>" * 5_000
    assert note_of(cda(sections), "x.xml").text == "deep\n"


def test_windows_characters_in_a_file_that_says_utf8() -> None:
    (record,) = read(cda(section("caf\u00e9 \u2019s")).encode("cp1252"), "x.xml")
    assert record.note is not None
    assert record.note.text == "café ’s\n"
    assert record.warnings == ("read as cp1252",)
    latin = cda(section("café"), declaration='<?xml version="1.0" encoding="iso-8859-1"?>')
    assert note_of(latin.encode("latin-1"), "x.xml").text == "café\n"
    assert note_of(cda(section("café")).encode("utf-16"), "x.xml").text == "café\n"


def test_a_document_is_read_whatever_its_name() -> None:
    assert note_of(cda(section("x")), "export.txt").note_id == "doc-7"


EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "ccda"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.xml")) or [None], ids=str)
def test_published_examples(path: Path | None) -> None:
    """Runs on HL7's example documents where they lie beside the project; what they hold is tested above as well."""
    if path is not None:
        note = note_of(path.read_bytes(), path.name)
        assert len(note.text) > 300
        assert "<" not in note.text

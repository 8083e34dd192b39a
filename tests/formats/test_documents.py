"""RTF, HTML, Word and PDF: what a reader of the page sees is read, what is deleted or hidden is not."""

from __future__ import annotations

import io
import time

import docx as python_docx
import pypdf
import pytest
from format_files import MARK, docx, note_of, pdf, read, reason_of
from hypothesis import given, settings
from hypothesis import strategies as st

# RTF


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"Fell on ice.\par Coccyx pain.", "Fell on ice.\nCoccyx pain."),
        (r"caf\'e9 \u8217?s \ldblquote x\rdblquote \emdash", "café ’s “x”—"),
        (r"\u-10179?\u-8704?", "😀"),
        (r"{\v hidden }seen", "seen"),
        (r"a \v hidden\v0 b", "a b"),
        (r"a \v hidden \plain b", "a b"),
        (r"{\deleted old }{\revised new}", "new"),
        (r"{\strike struck }kept", "kept"),
        (r"{\strike0 kept}", "kept"),
        (r"{\v a {\b b} \'e9 \u8217? \emdash c}d", "d"),
        (r'{\field{\*\fldinst{HYPERLINK "http://example.org"}}{\fldrslt link}}', "link"),
        (r"{\pict\wmetafile8\bin5 }}}}}seen}x", "x"),
        (r"{\*\generator Writer;}seen", "seen"),
        (r"\trowd a\cell b\cell\row c", "a|b|\nc"),
        (r"no\~break soft\-hyphen", "no break softhyphen"),
        (r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}}\f1\'cf\'f0", "Пр"),
        (r"\{braces\} and \\", "{braces} and \\"),
    ],
)
def test_rtf(body: str, text: str) -> None:
    note = note_of(rf"{{\rtf1\ansi\ansicpg1252\deff0 {body}}}", "a/letter.rtf")
    assert (note.note_id, note.text) == ("a/letter.rtf", text)


def test_rtf_is_read_whatever_the_name() -> None:
    assert note_of(r"{\rtf1 seen}", "letter.doc").text == "seen"
    assert note_of(b"\xef\xbb\xbf{\\rtf1 seen}", "letter.txt").text == "seen"
    assert reason_of("no rtf", "letter.rtf") == "is no RTF: it does not begin with {\\rtf"


def test_rtf_says_what_it_left_out() -> None:
    (record,) = read(r"{\rtf1 a{\footnote b}{\shp{\*\shpinst{\shptxt c}}}", "x.rtf")
    assert record.warnings == (
        "footnotes in the RTF were not read",
        "text boxes in the RTF were not read",
        "the RTF ends before its last brace: it may be cut off",
    )


@pytest.mark.parametrize(
    "raw",
    [
        rb"{\rtf1\uc x",
        rb"{\rtf1 \u99999999999 \u-99999 \u",
        rb"{\rtf1\ansicpg\f\fcharset\bin",
        rb"{\rtf1\bin9999999999 x",
        rb"{\rtf1 \'",
        rb"{\rtf1" + rb"{\field{\*\fldinst{HYPERLINK " * 20_000,
        rb"{\rtf1{\fonttbl" + rb"\f1" * 100_000,
        rb"{\rtf1 " + b"{" * 100_000,
        rb"{\rtf1 " + b"}" * 100_000 + b"x",
        rb"{\rtf1\pict\bin1" * 20_000,
    ],
    ids=range(10),
)
def test_hostile_rtf_neither_raises_nor_hangs(raw: bytes) -> None:
    began = time.monotonic()
    assert len(read(raw, "x.rtf")) == 1
    assert time.monotonic() - began < 10


_RTF_PIECES = [
    "\\u",
    "\\uc",
    "\\'e9",
    "\\'",
    "{",
    "}",
    "\\v",
    "\\v0",
    "\\bin3",
    "\\fonttbl",
    "\\f1",
    "\\fcharset2",
    "\\*",
    "9",
]


@given(st.lists(st.sampled_from([*_RTF_PIECES, "\\ansicpg9", "\\par", " ", "x", "\\", "\\plain", "\\deleted", "é"])))
@settings(max_examples=150, deadline=None)
def test_any_rtf_is_a_note_or_a_reason(pieces: list[str]) -> None:
    (record,) = read("{\\rtf1" + "".join(pieces), "x.rtf")
    assert record.reason is None or "RTF" in record.reason


# HTML


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>A &amp; B &#233;<br>c</p><p>d</p>", "A & B é\nc\n\nd"),
        ("<html><head><title>t</title><style>p{}</style></head><body>x<script>y</script></body></html>", "x"),
        ("<html><head><title>t<body>x", "x"),
        ("<p>kept <del>gone</del><s>gone</s><strike>gone</strike>too</p>", "kept too"),
        ('<p>a<span style="display:none">gone</span><span style="TEXT-DECORATION: line-through">gone</span></p>', "a"),
        ("<div hidden>gone</div><div>a</div><div>b</div>", "a\nb"),
        ("<table><tr><th>h</th><td>x</td></tr><tr><td></td><td>y</td></tr></table>", "h | x\n| y"),
        ("<ul><li><p>one</p></li><li>two</ul>end", "- one\n\n- two\n\nend"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<p><input type=checkbox checked> yes <input type='checkbox'> no</p>", "[x] yes [ ] no"),
        ("<p>HR <60 and BP >90 </p>", "HR <60 and BP >90"),
        ("<!-- <p>gone</p> --><p>kept</p><![if !x]>too<![endif]>", "kept\n\ntoo"),
        ("<p>a&nbsp;b\n  c</p>", "a b c"),
    ],
)
def test_html(markup: str, text: str) -> None:
    assert note_of(markup, "visit.html").text == text


def test_the_encoding_a_page_declares() -> None:
    page = '<html><meta charset="{}"><p>café</p></html>'
    assert note_of(page.format("iso-8859-1").encode("latin-1"), "x.html").text == "café"
    assert note_of(page.format("windows-1251").encode("cp1251", "replace"), "x.html").text == "caf?"
    # Exports are re-encoded without touching the tag.
    assert note_of(page.format("iso-8859-1").encode(), "x.html").text == "café"
    assert note_of(page.format("klingon").encode(), "x.html").text == "café"


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "<![x>", "<![CDATA[", "<a x='>", "</ >", "<div>", "<?", "<p/ '", "&#x"]
)
def test_hostile_html_neither_raises_nor_hangs(piece: str) -> None:
    began = time.monotonic()
    assert len(read("<html>" + piece * 30_000, "x.html")) == 1
    assert time.monotonic() - began < 10


# Word


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p><w:p><w:r><w:t>c</w:t></w:r></w:p>", "a\tb\nc"),
        (
            "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>",
            "new",
        ),
        ("<w:p><w:del><w:r><w:t>old</w:t></w:r></w:del><w:moveFrom><w:r><w:t>old</w:t></w:r></w:moveFrom></w:p>", ""),
        ("<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>gone</w:t></w:r><w:r><w:t>kept</w:t></w:r></w:p>", "kept"),
        ('<w:p><w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>kept</w:t></w:r></w:p>', "kept"),
        ("<w:p><w:r><w:rPr><w:strike/></w:rPr><w:t>gone</w:t></w:r></w:p>", ""),
        (
            "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc>"
            "</w:tr></w:tbl><w:p><w:r><w:t>c</w:t></w:r></w:p>",
            "a | b\nc",
        ),
        ("<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>item</w:t></w:r></w:p>", "- item"),
        ("<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:noBreakHyphen/></w:r></w:p>", "a\nb-"),
        ("<w:p><w:r><w:instrText>FORMCHECKBOX</w:instrText></w:r><w:r><w:t>x</w:t></w:r></w:p>", "x"),
        (
            '<w:p><w:ffData><w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox></w:ffData>'
            "<w:r><w:t>yes</w:t></w:r>"
            '<w:ffData><w:checkBox><w:default w:val="0"/></w:checkBox></w:ffData><w:r><w:t>no</w:t></w:r></w:p>',
            "[x] yes[ ] no",
        ),
    ],
)
def test_word(body: str, text: str) -> None:
    assert note_of(docx(body), "letter.docx").text == text


def test_a_document_that_word_would_write() -> None:
    document = python_docx.Document()
    document.add_heading("Assessment")
    paragraph = document.add_paragraph("Old coccyx fracture")
    paragraph.add_run(" not").font.hidden = True
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "MRI", "healed"
    out = io.BytesIO()
    document.save(out)
    assert note_of(out.getvalue(), "no-suffix").text == "Assessment\nOld coccyx fracture\nMRI | healed"


def test_word_documents_that_are_none() -> None:
    assert reason_of(b"text", "x.docx") == "is named as a Word document, but is none"
    assert "cannot be read" in reason_of(docx("<w:p/>")[:-40], "x.docx")
    assert "not well-formed XML" in reason_of(docx("<w:p>"), "x.docx")
    assert "old or encrypted Office file" in reason_of(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "x.doc")


def test_word_nested_as_deep_as_a_file_likes() -> None:
    body = "<w:sdt>" * 20_000 + "<w:p><w:r><w:t>deep</w:t></w:r></w:p>" + "</w:sdt>" * 20_000
    assert note_of(docx(body), "x.docx").text == "deep"


# PDF


def test_pdf_pages() -> None:
    (record,) = read(pdf("Coccyx pain.", "", "Plan: PT."), "scan.pdf")
    assert record.note is not None
    assert record.note.text == "Coccyx pain.\nPlan: PT."
    assert record.warnings == ("pages without a text layer were not read: 1 of 3",)


def test_a_scan_is_refused() -> None:
    assert reason_of(pdf("", ""), "scan.pdf").startswith("scanned, no text layer")
    assert reason_of(b"\x89PNG\r\n\x1a\n", "scan.png") == "an image: scanned, no text layer"


def test_an_encrypted_pdf_is_refused_unless_anybody_may_open_it() -> None:
    for password, readable in (("secret", False), ("", True)):
        writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(f"{MARK} pain")))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
        out = io.BytesIO()
        writer.write(out)
        (record,) = read(out.getvalue(), "x.pdf")
        assert (record.note is not None) is readable
        if not readable:
            assert record.reason == "the PDF is encrypted: it needs a password"


@pytest.mark.parametrize(
    "raw", [b"%PDF-1.4\n", pdf("x")[:150], b"%PDF-1.4\n" + b"\xff" * 500, pdf("x").replace(b"/Kids", b"/Kidz")]
)
def test_a_broken_pdf_is_refused(raw: bytes) -> None:
    assert "PDF" in reason_of(raw, "x.pdf")


def test_pypdf_says_nothing_of_what_it_met(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(0)
    whole = pdf(MARK, MARK)
    for cut in range(20, len(whole), 40):
        read(whole[:cut] + b"\xff" + whole[cut + 3 :], "x.pdf")
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


def test_a_pdf_by_name_only() -> None:
    assert reason_of("plain words", "x.pdf") == "is named as PDF, but is none"

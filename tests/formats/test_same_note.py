"""A note says the same in every format it comes in: the verdict and each requirement's status are those of its text."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
from collections.abc import Callable

import pytest
from format_files import docx, note_of

from analyzer import Analyzer, Note

Writer = Callable[[str], str | bytes]


def rtf(text: str) -> str:
    marked = text.replace("\\", "\\\\").replace("{", "\\{").replace("}", "\\}").replace("\n", "\\par\n")
    return "{\\rtf1\\ansi " + "".join(c if ord(c) < 128 else f"\\u{ord(c)}?" for c in marked) + "}"


def page(text: str) -> str:
    return "<html><body>" + "<br>".join(html.escape(line) for line in text.split("\n")) + "</body></html>"


def word(text: str) -> bytes:
    return docx("".join(f"<w:p><w:r><w:t>{html.escape(line)}</w:t></w:r></w:p>" for line in text.split("\n")))


def cda(text: str) -> str:
    narrative = "<br/>".join(html.escape(line) for line in text.split("\n"))
    section = f"<component><section><text>{narrative}</text></section></component>"
    return f"<ClinicalDocument><component><structuredBody>{section}</structuredBody></component></ClinicalDocument>"


def fhir(text: str) -> str:
    data = base64.b64encode(text.encode()).decode()
    attachment = {"contentType": "text/plain", "data": data}
    return json.dumps({"resourceType": "DocumentReference", "content": [{"attachment": attachment}]})


def hl7_escaped(line: str) -> str:
    for mark, escape in (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("&", "\\T\\"), ("~", "\\R\\")):
        line = line.replace("\\", "\\E\\") if mark == "\\" else line.replace(mark, escape)
    return line


def hl7_lines(text: str) -> str:
    lines = (f"OBX|{n}|TX|||{hl7_escaped(line)}" for n, line in enumerate(text.split("\n"), start=1))
    return "\r".join(("MSH|^~\\&|||||||MDM^T02|m1", "TXA|1|PR", *lines)) + "\r"


def hl7_breaks(text: str) -> str:
    body = "\\.br\\".join(map(hl7_escaped, text.split("\n")))
    return f"MSH|^~\\&|||||||MDM^T02|m1\rTXA|1|PR\rOBX|1|FT|||{body}\r"


def csv_rows(text: str, pieces: list[str]) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["NOTE_ID", "LINE", "NOTE_TEXT"])
    rows.writerows(["n", number, piece] for number, piece in enumerate(pieces, start=1))
    return out.getvalue()


def csv_lines(text: str) -> str:
    return csv_rows(text, text.split("\n"))


def csv_chunks(text: str) -> str:
    return csv_rows(text, [text[place : place + 255] for place in range(0, len(text), 255)])


WRITERS: dict[str, Writer] = {
    "x.rtf": rtf,
    "x.html": page,
    "x.docx": word,
    "x.xml": cda,
    "x.json": fhir,
    "lines.hl7": hl7_lines,
    "breaks.hl7": hl7_breaks,
    "lines.csv": csv_lines,
    "chunks.csv": csv_chunks,
}
_EVERY = 9


@pytest.mark.parametrize("name", WRITERS)
def test_the_report_does_not_depend_on_the_format(name: str, samples: list[Note], analyzer: Analyzer) -> None:
    for sample in samples[::_EVERY]:
        read = note_of(WRITERS[name](sample.text.rstrip("\n")), name).model_copy(
            update={"date_of_service": sample.date_of_service, "code": sample.code}
        )
        assert read.text.split() == sample.text.split(), sample.note_id
        plain = analyzer.report(sample.model_copy(update={"setting": None, "note_type": None, "author_role": None}))
        found = analyzer.report(read.model_copy(update={"setting": None, "note_type": None, "author_role": None}))
        assert (found.verdict, [(r.id, r.status) for r in found.requirements]) == (
            plain.verdict,
            [(r.id, r.status) for r in plain.requirements],
        ), sample.note_id

"""What the tests of the readers share: reading bytes, and small files written from the standards."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from analyzer.formats import Record, records_of_bytes
from analyzer.note import Note

MARK = "ZQXMARKER"
"""Stands for what must not get out of a note: no reason and no warning may hold it."""


def read(data: bytes | str, name: str = "x", **more: Any) -> list[Record]:
    """All records of bytes that came as a file of this name; none of their words may quote the mark."""
    raw = data if isinstance(data, bytes) else data.encode()
    records = list(records_of_bytes(raw, name=name, **{"media_type": None, **more}))
    for record in records:
        assert (record.note is None) == (record.reason is not None)
        assert MARK not in f"{record.reason} {record.warnings}"
        assert "\n" not in f"{record.reason} {record.place}"
    return records


def note_of(data: bytes | str, name: str = "x", **more: Any) -> Note:
    """The one note of a file that holds one."""
    (record,) = read(data, name, **more)
    assert record.note is not None, record.reason
    return record.note


def reason_of(data: bytes | str, name: str = "x", **more: Any) -> str:
    """Why a file that holds one unreadable record can't be read."""
    (record,) = read(data, name, **more)
    assert record.reason is not None
    return record.reason


def zipped(members: dict[str, bytes | str]) -> bytes:
    """A ZIP archive of members, in the order given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page; a page without text has no text layer."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for page in pages:
        content = f"BT /F1 12 Tf 72 720 Td ({page}) Tj ET" if page else "0 0 m 10 10 l S"
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> "
            f"/Contents {len(objects) + 2} 0 R >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out = "%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}"
    return out.encode("latin-1")


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def docx(body: str) -> bytes:
    """A Word document around the XML of its body."""
    document = f'<?xml version="1.0"?><w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": document})

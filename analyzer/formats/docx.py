"""Word documents (.docx) from their XML: what a reader of the page sees, in order.

Deleted and moved-away tracked changes, hidden and struck-out text are left out; inserted text is read. Headers,
footers, comments and footnotes are not the body and are not read.
"""

from __future__ import annotations

import io
import zipfile
from xml.etree.ElementTree import Element

from analyzer.errors import InputError
from analyzer.formats.safe_xml import attribute, children, first, local, parse_xml
from analyzer.formats.textflow import TextFlow

BODY = "word/document.xml"

_MOST_BYTES = 100 << 20
_UNREAD = frozenset(
    [
        "del",
        "moveFrom",
        "instrText",
        "delText",
        "delInstrText",
        "Fallback",
        "rPr",
        "sectPr",
        "tblPr",
        "tblGrid",
        "trPr",
        "tcPr",
        "drawingProps",
    ]
)
_OFF = frozenset({"0", "false", "off"})


def docx_text(raw: bytes) -> str:
    """Text of the document's body. Raises InputError for what is no readable Word document."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as package:
            part = package.getinfo(BODY)
            if part.flag_bits & 1:
                raise InputError("the Word document is encrypted")
            if part.file_size > _MOST_BYTES:
                raise InputError("the Word document's body is too large")
            body = package.read(part)
    except KeyError:
        raise InputError("is no Word document: it has no body") from None
    except InputError:
        raise
    except Exception as error:
        # zipfile lets zlib's, struct's and its own errors through.
        raise InputError(f"a Word document that cannot be read ({type(error).__name__})") from None
    root, _ = parse_xml(body)
    flow = TextFlow()
    _read(root, flow)
    return flow.text()


def _read(root: Element, flow: TextFlow) -> None:
    """Walks without recursion: nesting is the file's to choose."""
    cells = [0]
    todo: list[tuple[Element, bool]] = [(root, False)]
    while todo:
        element, closing = todo.pop()
        name = local(element)
        if closing:
            if name == "p":
                flow.new_line()
            elif name == "tbl":
                cells.pop()
                flow.new_line()
            continue
        if name in _UNREAD or (name == "r" and _not_read(element)):
            continue
        if name == "t":
            flow.verbatim(element.text or "")
        elif name == "tab":
            # Tab stops in a paragraph's properties have the same name.
            flow.verbatim("\t")
        elif name in ("br", "cr"):
            flow.line_break()
        elif name == "noBreakHyphen":
            flow.verbatim("-")
        elif name == "checkBox":
            flow.verbatim("[x] " if _ticked(element) else "[ ] ")
        elif name == "tbl":
            cells.append(0)
            flow.new_line()
        elif name == "tr":
            cells[-1] = 0
            flow.new_line()
        elif name == "tc":
            flow.cell(first=not cells[-1])
            cells[-1] += 1
        elif name == "p" and first(element, "pPr", "numPr") is not None:
            flow.bullet()
        if name == "pPr":
            continue
        todo.append((element, True))
        todo.extend((child, False) for child in reversed(element))


def _not_read(run: Element) -> bool:
    properties = first(run, "rPr")
    return any(_is_on(first(properties, name)) for name in ("vanish", "strike", "dstrike"))


def _is_on(switch: Element | None) -> bool:
    return switch is not None and (attribute(switch, "val") or "true").lower() not in _OFF


def _ticked(box: Element) -> bool:
    """Of a form field's check box: what was chosen, else its default."""
    for name in ("checked", "default"):
        for switch in children(box, name):
            return _is_on(switch)
    return False

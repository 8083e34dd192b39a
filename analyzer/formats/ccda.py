"""C-CDA documents: the narrative of their sections under their titles, or the document encoded in them.

Structured entries repeat the narrative and are not read. What a reader would not see, deleted text, is left out.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

from analyzer.errors import InputError
from analyzer.formats.days import iso_day
from analyzer.formats.document_codes import document_codes
from analyzer.formats.safe_xml import attribute, children, first, local
from analyzer.formats.textflow import TextFlow

AttachmentText = Callable[[bytes, str | None], tuple[str, tuple[str, ...]]]
"""Text and warnings of an encoded document of a media type; raises InputError."""

_LOINC = "2.16.840.1.113883.6.1"
_SOCIAL_SECURITY = "2.16.840.1.113883.4.1"
_INPATIENT, _OUTPATIENT = frozenset({"IMP", "ACUTE", "NONAC"}), frozenset({"AMB", "EMER", "HH", "VR", "FLD"})
_PARAGRAPHS = frozenset({"paragraph", "list", "table"})
_LINES = frozenset({"item", "caption", "tr", "thead", "tbody", "tfoot", "footnote"})
_MARKUP = _PARAGRAPHS | _LINES | {"br", "td", "th"}
_MOST_BYTES = 100 << 20


def is_clinical_document(root: Element) -> bool:
    """Whether this is a CDA document, or a section cut out of one."""
    return local(root) in ("ClinicalDocument", "section")


def note_fields(root: Element, attachment_text: AttachmentText) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the document's note (no `note_id` when it has none) and warnings.

    Raises InputError when it holds no text that can be read.
    """
    fields: dict[str, Any] = {}
    warnings: list[str] = []
    if local(root) == "ClinicalDocument":
        fields, warnings = _header(root)
    body = first(root, "component", "nonXMLBody", "text")
    if body is not None:
        fields["text"], more = _encoded_text(body, attachment_text)
        warnings.extend(more)
    else:
        sections = [root] if local(root) == "section" else list(_sections(first(root, "component", "structuredBody")))
        parts = []
        for section in sections:
            text, more = _section_text(section, attachment_text)
            warnings.extend(more)
            if text:
                parts.append(text)
        if not parts:
            raise InputError("a clinical document without any text")
        fields["text"] = "\n\n".join(parts) + "\n"
    return fields, tuple(warnings)


def _header(root: Element) -> tuple[dict[str, Any], list[str]]:
    warnings: list[str] = []
    encounter = first(root, "componentOf", "encompassingEncounter")
    service = first(root, "documentationOf", "serviceEvent")
    day = _day(first(encounter, "effectiveTime")) or _day(first(service, "effectiveTime"))
    if day is None and (day := _day(first(root, "effectiveTime"))):
        warnings.append("date_of_service is the day the document was made: it names no encounter")
    setting = attribute(first(encounter, "code"), "code")
    code = first(root, "code")
    signature = attribute(first(root, "legalAuthenticator", "signatureCode"), "code")
    known = {
        "note_id": _identifier(first(root, "id")),
        "date_of_service": day,
        "note_type": attribute(code, "displayName") or _plain(first(root, "title")),
        "setting": "inpatient" if setting in _INPATIENT else "outpatient" if setting in _OUTPATIENT else None,
        "author_role": _author_role(root),
        "signed": True if signature == "S" else None,
        "patient_id": _patient(root),
        "encounter_id": _identifier(first(encounter, "id")),
    }
    return {key: value for key, value in known.items() if value is not None}, warnings


def _day(time: Element | None) -> str | None:
    return iso_day(attribute(time, "value")) or iso_day(attribute(first(time, "low"), "value"))


def _identifier(element: Element | None) -> str | None:
    return attribute(element, "extension") or attribute(element, "root")


def _patient(root: Element) -> str | None:
    found = [
        element
        for role in children(first(root, "recordTarget"), "patientRole")
        for element in children(role, "id")
        if attribute(element, "root") != _SOCIAL_SECURITY
    ]
    return next((identifier for element in found if (identifier := _identifier(element))), None)


def _author_role(root: Element) -> str | None:
    for author in children(root, "author"):
        code = first(author, "assignedAuthor", "code")
        if role := attribute(code, "displayName") or _plain(first(author, "functionCode", "originalText")):
            return role
    return None


def _plain(element: Element | None) -> str | None:
    return " ".join("".join(element.itertext()).split()) or None if element is not None else None


def _sections(body: Element | None) -> Iterator[Element]:
    """Sections in document order, those inside a section after it."""
    todo = [body] if body is not None else []
    while todo:
        element = todo.pop()
        if local(element) == "section":
            yield element
        inside = [section for component in children(element, "component") for section in children(component, "section")]
        todo.extend(reversed(inside))


def _section_text(section: Element, attachment_text: AttachmentText) -> tuple[str, tuple[str, ...]]:
    text = ""
    warnings: tuple[str, ...] = ()
    narrative = first(section, "text")
    if narrative is not None:
        text = _narrative(narrative)
    if not text:
        text, warnings = _encoded_entries(section, attachment_text)
    if not text:
        return "", warnings
    return "".join(f"{title}:\n" for title in _titles(section)) + text, warnings


def _titles(section: Element) -> list[str]:
    """What the code stands for, where the title does not say it, and the title as written, next to the text."""
    written = (_plain(first(section, "title")) or "").rstrip(" :")
    code = first(section, "code")
    known = None
    if attribute(code, "codeSystem") in (None, _LOINC):
        known = document_codes().section_titles.get(attribute(code, "code") or "")
    title = known or ("" if written else attribute(code, "displayName"))
    titles = [title] if title and title.casefold() not in written.casefold() else []
    return [*titles, *([written] if written else [])]


def _narrative(narrative: Element) -> str:
    """Walks without recursion: nesting is the file's to choose."""
    flow = TextFlow()
    marked_up = any(local(element) in _MARKUP for element in narrative.iter())
    # Without any markup, line ends are all the layout there is.
    words = flow.words if marked_up else flow.lines
    cells = [0]
    todo: list[tuple[Element, bool]] = [(narrative, False)]
    while todo:
        element, closing = todo.pop()
        name = local(element)
        unread = attribute(element, "revised") == "delete" or "strike" in (
            (attribute(element, "styleCode") or "").casefold()
        )
        if not closing and not unread:
            _open(name, flow, cells)
            words(element.text)
            todo.append((element, True))
            todo.extend((child, False) for child in reversed(element))
            continue
        if closing:
            _break(name, flow)
            if name == "table":
                cells.pop()
        if element is not narrative:
            words(element.tail)
    return flow.text()


def _open(name: str, flow: TextFlow, cells: list[int]) -> None:
    if name == "br":
        flow.line_break()
    elif name in ("td", "th"):
        flow.cell(first=not cells[-1])
        cells[-1] += 1
        return
    elif name == "table":
        cells.append(0)
    elif name == "tr":
        cells[-1] = 0
    _break(name, flow)
    if name == "item":
        flow.bullet()


def _break(name: str, flow: TextFlow) -> None:
    if name in _PARAGRAPHS:
        flow.paragraph()
    elif name in _LINES:
        flow.new_line()


def _encoded_entries(section: Element, attachment_text: AttachmentText) -> tuple[str, tuple[str, ...]]:
    """Documents encoded in a section without narrative (Note Activity)."""
    texts, warnings = [], []
    for entry in children(section, "entry"):
        for act in children(entry, "act"):
            encoded = first(act, "text")
            if encoded is None or attribute(encoded, "representation") != "B64":
                continue
            try:
                text, more = _encoded_text(encoded, attachment_text)
            except InputError as error:
                warnings.append(f"a document encoded in a section was not read: {error}")
                continue
            texts.append(text.strip("\n"))
            warnings.extend(more)
    return "\n\n".join(texts), tuple(warnings)


def _encoded_text(element: Element, attachment_text: AttachmentText) -> tuple[str, tuple[str, ...]]:
    content = "".join(element.itertext())
    if attribute(element, "representation") != "B64":
        if content.strip():
            return content, ()
        linked = next(children(element, "reference"), None) is not None
        raise InputError("the document's body is a link to another file" if linked else "the document's body is empty")
    try:
        raw = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the document's body is no valid base64") from None
    return attachment_text(_expanded(raw, attribute(element, "compression")), attribute(element, "mediaType"))


def _expanded(raw: bytes, compression: str | None) -> bytes:
    if compression is None:
        return raw
    try:
        if compression == "GZ":
            data = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(_MOST_BYTES + 1)
        elif compression in ("DF", "ZL"):
            window = -zlib.MAX_WBITS if compression == "DF" else zlib.MAX_WBITS
            unpacking = zlib.decompressobj(window)
            data = unpacking.decompress(raw, _MOST_BYTES + 1)
            if not unpacking.eof and len(data) <= _MOST_BYTES:
                raise EOFError
        else:
            raise InputError("the document's body is compressed in a way that is not read")
    except (OSError, EOFError, zlib.error):
        raise InputError("the document's compressed body is broken") from None
    if len(data) > _MOST_BYTES:
        raise InputError("refused: the document's compressed body expands too far")
    return data

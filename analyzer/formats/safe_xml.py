"""XML from strangers: no document types, no entities, nothing fetched; elements told by their local names."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml import ElementTree

from analyzer.errors import InputError
from analyzer.formats.encoding import decode


def parse_xml(raw: bytes, encoding: str | None = None) -> tuple[Element, str]:
    """The root element and the encoding used where it is not the document's own ('utf-8' else).

    Raises InputError for anything that is not well formed or holds a document type.
    """
    if encoding is not None:
        text, used = decode(raw, encoding)
        return _parsed(text), used
    try:
        return _parsed(raw), "utf-8"
    except InputError as error:
        # Windows characters in a file that says it is UTF-8 are common; other faults are the file's.
        text, used = decode(raw)
        if used != "cp1252":
            raise error from None
        return _parsed(text), used


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def children(element: Element | None, name: str) -> Iterator[Element]:
    """Child elements of a local name."""
    if element is not None:
        yield from (child for child in element if local(child) == name)


def first(element: Element | None, *path: str) -> Element | None:
    """The first element down a path of local names; at each step the first child of the name counts."""
    for name in path:
        element = next(children(element, name), None)
    return element


def attribute(element: Element | None, name: str) -> str | None:
    """An attribute by its local name; None when there is no such element or attribute, or it is blank."""
    if element is None:
        return None
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value.strip() or None
    return None


def _parsed(source: bytes | str) -> Element:
    try:
        root = ElementTree.fromstring(source, forbid_dtd=True)
    except defusedxml.DTDForbidden:
        raise InputError("refused: XML with a document type (DTD), which can hold entity bombs") from None
    except defusedxml.DefusedXmlException:
        raise InputError("refused: XML with entities of its own or references to other files") from None
    except ParseError as error:
        line, column = error.position
        raise InputError(f"not well-formed XML (line {line}, column {column})") from None
    except (ValueError, LookupError):
        raise InputError("not XML: its encoding is unknown or its content no text") from None
    if not isinstance(root, Element):
        raise InputError("not well-formed XML (no root element)")
    return root

"""HTML to text: scripts, styles, hidden and struck-out text left out; blocks on lines, table cells side by side."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

from analyzer.errors import InputError
from analyzer.formats.encoding import decode
from analyzer.formats.textflow import TextFlow

_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_PARAGRAPHS = frozenset(
    ["p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "dl", "pre", "blockquote", "section", "article"]
)
_LINES = frozenset(
    [
        "div",
        "li",
        "tr",
        "dt",
        "dd",
        "header",
        "footer",
        "address",
        "caption",
        "center",
        "form",
        "fieldset",
        "legend",
        "hr",
        "body",
    ]
)
_UNREAD = frozenset(
    ["script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg", "select", "textarea"]
)
_DELETED = frozenset(["del", "s", "strike"])
_UNSEEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|line-through", re.I)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.I)
_HEAD_BYTES = 4096
_DECLARATION = re.compile(r"<[!?][^<>]*>")
_OPEN_END = re.compile(r"<(?=[^<>]*(?:<|\Z))")


def html_text(raw: bytes, encoding: str | None = None) -> tuple[str, str]:
    """Text of an HTML document or fragment and the encoding used. Raises InputError for bytes that are not text."""
    if encoding is None and (declared := _CHARSET.search(raw[:_HEAD_BYTES])):
        encoding = _known(declared[1].decode("ascii"), raw)
    markup, used = decode(raw, encoding)
    return text_of_markup(markup), used


def text_of_markup(markup: str) -> str:
    """Text of HTML that is decoded already. Raises InputError when html.parser gives up on it."""
    parser = _Parser()
    # A `<` that no `>` closes is text; left as it is, html.parser looks for its end through the whole rest, each time.
    markup = _OPEN_END.sub("&lt;", _DECLARATION.sub("", _without_comments(markup)))
    try:
        parser.feed(markup)
        parser.close()
    except (AssertionError, ValueError, IndexError) as error:
        raise InputError(f"HTML that cannot be read ({type(error).__name__})") from None
    return parser.flow.text()


def _without_comments(markup: str) -> str:
    kept: list[str] = []
    position = 0
    while (start := markup.find("<!--", position)) >= 0 and (end := markup.find("-->", start + 4)) >= 0:
        kept.append(markup[position:start])
        position = end + 3
    return "".join(kept) + markup[position:]


def _known(declared: str, raw: bytes) -> str | None:
    """The declared encoding, unless the bytes say otherwise: exports are re-encoded without touching the tag."""
    if declared.lower() in ("utf-8", "utf8", "utf-16", "utf-16le", "unicode"):
        return None
    try:
        raw.decode("ascii")
        return None
    except UnicodeDecodeError:
        pass
    try:
        # The names of Latin-1 mean its Windows superset on the web.
        name = "cp1252" if declared.lower() in ("iso-8859-1", "latin1", "us-ascii", "ascii") else declared
        raw.decode(name)
    except (LookupError, UnicodeDecodeError):
        return None
    try:
        raw.decode("utf-8")
        return None
    except UnicodeDecodeError:
        return name


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.flow = TextFlow()
        self._open: list[tuple[str, bool]] = []
        self._count: Counter[str] = Counter()
        self._unread = 0
        self._cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "body":
            # A head that was never closed ends here.
            while self._open:
                self._close_last()
        if tag not in _VOID:
            unread = (
                tag in _UNREAD
                or tag in _DELETED
                or "hidden" in given
                or _UNSEEN_STYLE.search(given.get("style") or "") is not None
            )
            self._open.append((tag, unread))
            self._count[tag] += 1
            self._unread += unread
        if self._unread:
            return
        if tag == "br":
            self.flow.line_break()
        elif tag == "tr":
            self.flow.new_line()
            self._cells = 0
        elif tag in ("td", "th"):
            self.flow.cell(first=not self._cells)
            self._cells += 1
        elif tag == "li":
            self.flow.bullet()
        elif tag == "input" and (given.get("type") or "").lower() in ("checkbox", "radio"):
            self.flow.words("[x] " if "checked" in given else "[ ] ")
        else:
            self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._count[tag]:
            while self._close_last() != tag:
                pass
        if not self._unread:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._unread:
            return
        if self._count["pre"]:
            self.flow.verbatim(data.replace("\r\n", "\n"))
        else:
            self.flow.words(data)

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self.flow.paragraph()
        elif tag in _LINES:
            self.flow.new_line()

    def _close_last(self) -> str:
        tag, unread = self._open.pop()
        self._count[tag] -= 1
        self._unread -= unread
        return tag

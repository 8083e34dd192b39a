"""Plain text built from marked-up text: white space collapsed, a line for what stands on its own line."""

from __future__ import annotations

import re

_SPACE = re.compile(r"[ \t\r\n\f\v\xa0]+")
_LINE_END = re.compile(r"[ \t]+\n")

CELL_SEPARATOR = " | "


class TextFlow:
    """Collects words and line breaks in reading order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._breaks = 0
        self._mid_line = False
        self._bulleted = False
        self._row_is_empty = False

    def words(self, text: str | None) -> None:
        """Running text: any white space counts as one blank."""
        if not text:
            return
        text = _SPACE.sub(" ", text)
        if not self._mid_line or self._breaks or self._parts[-1].endswith(" "):
            text = text.lstrip(" ")
        if text:
            self.verbatim(text)

    def verbatim(self, text: str) -> None:
        """Text whose white space is to be kept."""
        if self._breaks:
            self._parts.append("\n" * self._breaks)
            self._breaks = 0
        self._parts.append(text)
        self._mid_line = not text.endswith("\n")
        self._bulleted = self._row_is_empty = False

    def lines(self, text: str | None) -> None:
        """Running text whose line ends count, its indents do not."""
        for number, line in enumerate((text or "").splitlines()):
            if number:
                self.new_line()
            self.words(line)

    def bullet(self) -> None:
        """What follows is an item of a list, even if it is a paragraph by itself."""
        self.new_line()
        self.verbatim("- ")
        self._bulleted = True

    def new_line(self) -> None:
        """What follows begins a line."""
        if self._parts and not self._bulleted:
            self._breaks = max(self._breaks, 1 if self._mid_line else 0)

    def paragraph(self) -> None:
        """What follows stands after an empty line."""
        if self._parts and not self._bulleted:
            self._breaks = max(self._breaks, 2)

    def line_break(self) -> None:
        """One more line break, as many as are asked for."""
        if self._parts:
            self._breaks += 1

    def cell(self, *, first: bool) -> None:
        """What follows is a table cell: the first of its row, or one on the same line as the cell before."""
        if first:
            self.new_line()
            self._row_is_empty = True
            return
        if not self._row_is_empty:
            # The cell before may have ended with a paragraph.
            self._breaks = 0
        if self._breaks or not self._parts:
            self.verbatim(CELL_SEPARATOR.lstrip(" "))
        else:
            self._parts[-1] = self._parts[-1].rstrip(" ")
            self.verbatim(CELL_SEPARATOR)

    def text(self) -> str:
        """Everything collected, without blanks at line ends and without empty lines at either end."""
        return _LINE_END.sub("\n", "".join(self._parts)).strip("\n ")

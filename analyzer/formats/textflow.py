"""Plain text built from marked-up text: white space collapsed, a line for what stands on its own line."""

from __future__ import annotations

import re

_SPACE = re.compile(r"[ \t\r\n\f\v\xa0]+")
_LINE_EDGES = re.compile(r"[ \t]*\n[ \t]*")

CELL_SEPARATOR = " | "


class TextFlow:
    """Collects words and line breaks in reading order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._breaks = 0
        self._mid_line = False

    def words(self, text: str | None) -> None:
        """Running text: any white space counts as one blank."""
        if not text:
            return
        text = _SPACE.sub(" ", text)
        if not self._mid_line or self._breaks:
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

    def new_line(self) -> None:
        """What follows begins a line."""
        if self._parts:
            self._breaks = max(self._breaks, 1 if self._mid_line else 0)

    def paragraph(self) -> None:
        """What follows stands after an empty line."""
        if self._parts:
            self._breaks = max(self._breaks, 2)

    def line_break(self) -> None:
        """One more line break, as many as are asked for."""
        if self._parts:
            self._breaks += 1

    def cell(self, *, first: bool) -> None:
        """What follows is a table cell: the first of its row, or one on the same line as the cell before."""
        if first:
            self.new_line()
        else:
            self._breaks = 0
            self._parts.append(CELL_SEPARATOR)
            self._mid_line = True

    def text(self) -> str:
        """Everything collected, without blanks at line ends and without empty lines at either end."""
        return _LINE_EDGES.sub("\n", "".join(self._parts)).strip("\n ")

"""RTF to text, by striprtf, after what must not be read has been taken out: hidden, deleted and struck-out text.

striprtf knows none of these, and parts of it take quadratic time or raise on hostile input. So the token stream is
rewritten first: runs that are not to be read are dropped, the font table is put in a plain form, field instructions
lose the word that sends striprtf searching, and numbers out of range go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from striprtf.striprtf import rtf_to_text

from analyzer.errors import InputError
from analyzer.formats.encoding import decode

_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    r"|(?P<hex>\\'[0-9a-fA-F]{2})|(?P<symbol>\\[^a-zA-Z])|(?P<brace>[{}])|(?P<text>[^\\{}]+)",
    re.DOTALL,
)
_NOT_READ = {"v": "v", "deleted": "deleted", "strike": "strike", "striked": "strike"}
_RESET = frozenset({"v", "strike"})
_TEXT_WORDS = frozenset(
    [
        "u",
        "tab",
        "emdash",
        "endash",
        "emspace",
        "enspace",
        "qmspace",
        "bullet",
        "lquote",
        "rquote",
        "ldblquote",
        "rdblquote",
        "line",
    ]
)
_OLD_CHARACTER_SETS = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_LEFT_OUT = {"shptxt": "text boxes", "footnote": "footnotes"}
_MOST_FONTS = 10_000


@dataclass(slots=True)
class _Group:
    not_read: frozenset[str]
    fonts: bool = False


def rtf_text(raw: bytes, encoding: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Text of an RTF document and warnings. Raises InputError for what is no RTF.

    `encoding` is that of bytes beyond ASCII written without an escape; escapes follow the document's own code page.
    """
    source, _ = decode(raw, encoding)
    source = source.lstrip("\ufeff \t\r\n")
    if not source.startswith("{\\rtf"):
        raise InputError("is no RTF: it does not begin with {\\rtf")
    source, code_page, warnings = _rewritten(source)
    try:
        text = str(rtf_to_text(source, encoding=code_page, errors="replace"))  # type: ignore[no-untyped-call]
    except Exception as error:
        # striprtf raises whatever its own code runs into.
        raise InputError(f"RTF that cannot be read ({type(error).__name__})") from None
    # Characters beyond the first plane are written as two halves.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\xad", "").replace("\xa0", " ").replace("\x00", ""), warnings


def _rewritten(source: str) -> tuple[str, str, tuple[str, ...]]:
    """The RTF without what is not to be read, its default code page, and warnings."""
    out: list[str] = []
    groups = [_Group(frozenset())]
    fonts: dict[int, int] = {}
    font = 0
    code_page = "cp1252"
    left_out: set[str] = set()
    position = 0
    while match := _TOKEN.match(source, position):
        position = match.end()
        group = groups[-1]
        if brace := match["brace"]:
            if brace == "{":
                groups.append(_Group(group.not_read, group.fonts))
            elif len(groups) > 1:
                was_fonts = groups.pop().fonts
                if was_fonts and not groups[-1].fonts:
                    out.append(_font_table(fonts) + "}")
            if not group.fonts:
                out.append(brace)
            continue
        word = match["word"]
        number = int(match["number"]) if match["number"] else None
        if word == "fonttbl":
            group.fonts = True
        if group.fonts:
            if word == "f" and number is not None and len(fonts) < _MOST_FONTS:
                font = number
            elif word == "fcharset" and number is not None and font >= 0 and number >= 0:
                fonts[font] = number
            continue
        if word is None:
            if not group.not_read or match["symbol"] == "\\*":
                out.append(match[0])
            continue
        if word == "bin":
            position += max(0, number or 0)
            continue
        if word in _NOT_READ:
            mark = {_NOT_READ[word]}
            group.not_read = group.not_read - mark if number == 0 else group.not_read | mark
        elif word == "plain":
            group.not_read -= _RESET
        if word in _OLD_CHARACTER_SETS and len(groups) == 2:
            code_page = _OLD_CHARACTER_SETS[word]
        if word in _LEFT_OUT:
            left_out.add(_LEFT_OUT[word])
        if (
            word == "field"
            or (word == "uc" and (number is None or not 0 <= number <= 100))
            or (word == "u" and (number is None or not -0x8000 <= number <= 0xFFFF))
            or (group.not_read and word in _TEXT_WORDS)
        ):
            # The blank that ends a word is gone with it; nothing else is.
            continue
        out.append(match[0])
    warnings = [f"{what} in the RTF were not read" for what in sorted(left_out)]
    if len(groups) > 1:
        warnings.append("the RTF ends before its last brace: it may be cut off")
    return "".join(out), code_page, tuple(warnings)


def _font_table(fonts: dict[int, int]) -> str:
    """The inside of a font table group, in the one form that striprtf's pattern reads in linear time."""
    return "\\fonttbl" + "".join(f"{{\\f{font}\\fcharset{charset} x;}}" for font, charset in fonts.items())

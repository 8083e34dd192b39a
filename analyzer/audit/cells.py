"""Cells of the CSV files that an audit writes and reads back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from analyzer.errors import InputError
from analyzer.formats.encoding import decode

# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_DELIMITERS = ",;\t|"
SEVERAL = "; "
"""Stands between the values of a cell that holds several."""


def safe_cell(value: Any) -> Any:
    """A value as a cell: nothing for None, and an apostrophe before text that would be taken for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def plain_cell(cell: str) -> str:
    """The value behind a cell that `safe_cell` made."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA_STARTS else cell


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file (UTF-8, RFC 4180) under its final name only when it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows([safe_cell(value) for value in row] for row in rows)
    partial.replace(path)


def read_table(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Column names of a table with a header line, and its rows with the line each ends on.

    The delimiter (comma, semicolon, tab or bar) is the one the header holds most of. Raises InputError for a file that
    can't be read or has no header.
    """
    try:
        text, _ = decode(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or type(error).__name__}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    header = text.split("\n", 1)[0]
    if not header.strip():
        raise InputError(f"{path}:1: no column names")
    delimiter = max(_DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = [name.strip() for name in next(reader)]
    twice = next((name for place, name in enumerate(columns) if name and name in columns[:place]), None)
    if twice is not None:
        raise InputError(f"{path}:1: column {twice} stands twice")

    def rows() -> Iterator[tuple[int, dict[str, str]]]:
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    if len(cells) > len(columns):
                        raise InputError(f"{path}:{reader.line_num}: {len(cells)} cells under {len(columns)} columns")
                    filled = [plain_cell(cell.strip()) for cell in cells] + [""] * (len(columns) - len(cells))
                    yield reader.line_num, dict(zip(columns, filled, strict=True))
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not readable as CSV: {error}") from None

    return columns, rows()

"""Parquet tables, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from analyzer.errors import InputError
from analyzer.formats.encoding import decode_line, encoding_warnings
from analyzer.formats.records import Record, Source
from analyzer.formats.rows import Row, records_of_rows
from analyzer.formats.table_columns import LINE, columns_of

_BATCH = 256


def read_parquet(source: Source) -> Iterator[Record]:
    """A record for each note of the table, numbered by row."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise InputError("Parquet needs the optional part 'parquet' (pip install 'chartgap[parquet]')") from None
    try:
        table = pyarrow.parquet.ParquetFile(source.stream)
        header, rows = list(table.schema_arrow.names), table.metadata.num_rows
    except Exception as error:
        # Beside its own errors, Arrow lets those of the operating system and of thrift through.
        raise InputError(f"a Parquet file that cannot be read ({type(error).__name__})") from None
    columns = columns_of(header, source.columns)
    size = source.stream.seek(0, 2) // max(1, rows)
    yield from records_of_rows(source, _rows(table, columns, size), split=LINE in columns, unit="row")


def _rows(table: Any, columns: dict[str, str], size: int) -> Iterator[Row]:
    number = 0
    try:
        for batch in table.iter_batches(batch_size=_BATCH, columns=sorted(set(columns.values()))):
            cells = {field: batch.column(column).to_pylist() for field, column in columns.items()}
            for place in range(batch.num_rows):
                number += 1
                yield _row(number, size, {field: values[place] for field, values in cells.items()})
    except GeneratorExit:
        raise
    except Exception as error:
        problem = f"the rows from here on cannot be read ({type(error).__name__})"
        yield Row(number + 1, 0, {}, problem=problem)


def _row(number: int, size: int, cells: dict[str, Any]) -> Row:
    values: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    for field, value in cells.items():
        if value is None:
            continue
        if isinstance(value, bytes):
            values[field], used = decode_line(value)
            warnings = (*warnings, *encoding_warnings(used))
        elif isinstance(value, str):
            values[field] = value
        elif isinstance(value, date):
            values[field] = value.isoformat()
        elif isinstance(value, bool):
            values[field] = str(value).lower()
        elif isinstance(value, (int, float)):
            values[field] = (
                str(int(value)) if value == value and abs(value) < 1e18 and value == int(value) else str(value)
            )
        else:
            return Row(number, size, {}, problem=f"{field}: neither text, number nor date")
    if "text" not in values:
        note_id = {"note_id": values["note_id"]} if "note_id" in values else {}
        return Row(number, size, note_id, problem="text is null")
    return Row(number, size, values, warnings)

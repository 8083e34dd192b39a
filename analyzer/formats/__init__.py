"""Files and bytes in, a stream of records out: a module for each format, and the choice among them."""

from analyzer.formats.choice import read_records, records_of_bytes
from analyzer.formats.encoding import decode
from analyzer.formats.inputs import STDIN, InputFile, file_sha256, find_inputs
from analyzer.formats.records import Defaults, Record, note_problem
from analyzer.formats.table_columns import given_columns

__all__ = [
    "STDIN",
    "Defaults",
    "InputFile",
    "Record",
    "decode",
    "file_sha256",
    "find_inputs",
    "given_columns",
    "note_problem",
    "read_records",
    "records_of_bytes",
]

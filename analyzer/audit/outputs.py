"""An audit's output files: made from its shards in a folder aside, then given their places one by one.

`run.json` is taken away first and comes last: a folder with a `run.json` is a complete audit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from analyzer.audit.grouping import sorted_outside_memory
from analyzer.audit.tables import write_gaps, write_summary
from analyzer.audit.tasks import FAILURE_LINE, GAPS_LINE, NOTE_LINE, REPORT_LINE, SUMMARY_LINE, TRAILER, Key, Tally
from analyzer.audit.workers import shard_path
from analyzer.errors import InputError

REPORTS: Final = "reports.jsonl"
FAILURES: Final = "failures.jsonl"
NOTES: Final = "notes.jsonl"
SUMMARY: Final = "summary.csv"
GAPS: Final = "gaps.parquet"
RUN: Final = "run.json"

_NOTE_ID = 2
"""Place of the note's id in a summary row."""


def write_outputs(folder: Path, shards: Path, keys: Iterable[Key], *, without_text: bool) -> Tally:
    """Write every output but `run.json` into `folder`, records in the order of `keys`; return what they count.

    Raises InputError for a shard that is missing or damaged, which is then removed so that a resumed run redoes it.
    """
    tally = Tally()
    rows = {SUMMARY_LINE: folder / "summary.rows", GAPS_LINE: folder / "gaps.rows"}
    paths = {REPORT_LINE: folder / REPORTS, FAILURE_LINE: folder / FAILURES, **rows}
    if not without_text:
        paths[NOTE_LINE] = folder / NOTES
    with ExitStack() as stack:
        handles: dict[int, IO[bytes]] = {}
        for kind, path in paths.items():
            handles[ord(kind)] = stack.enter_context(path.open("wb"))
        for key in keys:
            tally.add(_share_out(shard_path(shards, key), handles))
    with (folder / SUMMARY).open("w", encoding="utf-8", newline="") as handle:
        write_summary(_rows(rows[SUMMARY_LINE]), tally.requirements, handle)
    ids = ((hashlib.blake2b(row[_NOTE_ID].encode(), digest_size=16).digest(),) for row in _rows(rows[SUMMARY_LINE]))
    again = _repeated(sorted_outside_memory(ids, folder))
    if again:
        tally.warnings["note_id used more than once"] = again
    if can_write_parquet():
        write_gaps(_rows(rows[GAPS_LINE]), folder / GAPS)
    else:
        tally.warnings[f"{GAPS} is not written: it needs pyarrow (chartgap[parquet])"] = 1
    for path in rows.values():
        path.unlink()
    return tally


def can_write_parquet() -> bool:
    """Whether pyarrow is installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def _share_out(shard: Path, handles: dict[int, IO[bytes]]) -> Tally:
    check = 0
    try:
        with shard.open("rb") as lines:
            for line in lines:
                if line[0] == ord(TRAILER):
                    trailer = line.decode("utf-8")
                    if json.loads(trailer[1:])["crc32"] == check:
                        return Tally.from_trailer(trailer)
                    break
                check = zlib.crc32(memoryview(line)[:-1], check)
                handles[line[0]].write(memoryview(line)[1:])
    except (FileNotFoundError, ValueError, KeyError):
        pass
    shard.unlink(missing_ok=True)
    raise InputError(f"{shard}: the part of the audit in this file was damaged and has been dropped")


def _rows(path: Path) -> Iterator[list[Any]]:
    with path.open("rb") as handle:
        for line in handle:
            yield from json.loads(line)


def _repeated(ids: Iterable[tuple[Any, ...]]) -> int:
    count, last = 0, None
    for one in ids:
        count += one == last
        last = one
    return count


def write_run(folder: Path, run: dict[str, Any]) -> None:
    """Write `run.json`."""
    (folder / RUN).write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_run(folder: Path) -> dict[str, Any] | None:
    """What the complete audit in a folder says of itself; None where there is none."""
    try:
        run: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return run


def publish(staging: Path, output: Path, earlier: Sequence[str]) -> None:
    """Move everything from `staging` into `output` and remove what of `earlier` (output names) is not in it."""
    names = sorted(child.name for child in staging.iterdir() if child.name != RUN)
    for name in (*names, RUN):
        _to_disk(staging / name)
    # From here to the last rename the folder holds no run.json, so a mix of two runs never looks complete.
    (output / RUN).unlink(missing_ok=True)
    for name in earlier:
        if name not in names and Path(name).name == name:
            _remove(output / name)
    for name in (*names, RUN):
        if (staging / name).is_dir():
            _remove(output / name)
        os.replace(staging / name, output / name)


def _to_disk(path: Path) -> None:
    if path.is_dir():
        return
    with path.open("r+b") as handle:
        os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

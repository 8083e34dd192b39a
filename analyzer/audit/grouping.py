"""Records grouped into cases in bounded memory, in the order of each case's first record.

The records are laid down in a file, their places sorted outside memory: first by case, then by first record.
"""

from __future__ import annotations

import hashlib
import heapq
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, Final

from analyzer.audit.tasks import Item, Unit

_IN_MEMORY: Final = 100_000
"""Entries sorted at once; an entry is a small tuple."""

_RUNS_AT_ONCE: Final = 64


def sorted_outside_memory(entries: Iterable[tuple[Any, ...]], folder: Path) -> Iterator[tuple[Any, ...]]:
    """The entries in order. Sorted runs lie in nameless files of `folder`, which vanish with the process."""
    runs: list[IO[bytes]] = []
    entries = iter(entries)
    try:
        while batch := sorted(islice(entries, _IN_MEMORY)):
            runs.append(_laid_down(batch, folder))
            if len(runs) == _RUNS_AT_ONCE:
                merged = _laid_down(_merged(runs), folder)
                while runs:
                    runs.pop().close()
                runs.append(merged)
        yield from _merged(runs)
    finally:
        for run in runs:
            run.close()


def _merged(runs: Iterable[IO[bytes]]) -> Iterator[tuple[Any, ...]]:
    return heapq.merge(*map(_read_back, runs))


def _laid_down(entries: Iterable[tuple[Any, ...]], folder: Path) -> IO[bytes]:
    handle = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the caller
    for entry in entries:
        pickle.dump(entry, handle, pickle.HIGHEST_PROTOCOL)
    return handle


def _read_back(handle: IO[bytes]) -> Iterator[tuple[Any, ...]]:
    handle.seek(0)
    while True:
        try:
            yield pickle.load(handle)
        except EOFError:
            return


def grouped(items: Iterable[Item], by: str, folder: Path) -> Iterator[Unit]:
    """The records as units: those whose notes share the field `by`, and alone each that has no note or no such value.

    The records' text lies in a nameless file of `folder` meanwhile: no other process can open it, and it is gone with
    this one, however that ends.
    """
    with tempfile.TemporaryFile(dir=folder) as store:

        def entries() -> Iterator[tuple[bytes, int, int]]:
            for number, item in enumerate(items):
                note = item.record.note
                value = getattr(note, by) if note is not None else None
                alone = value is None or value == ""
                key = b"" if alone else hashlib.blake2b(str(value).encode("utf-8"), digest_size=16).digest()
                place = store.tell()
                pickle.dump((None if alone else str(value), item), store, pickle.HIGHEST_PROTOCOL)
                yield key, number, place

        def groups() -> Iterator[tuple[int, tuple[int, ...]]]:
            for key, members in groupby(sorted_outside_memory(entries(), folder), key=lambda entry: entry[0]):
                if key:
                    together = list(members)
                    yield together[0][1], tuple(place for _, _, place in together)
                else:
                    yield from ((number, (place,)) for _, number, place in members)

        for _, places in sorted_outside_memory(groups(), folder):
            taken = []
            case_id = None
            for place in places:
                store.seek(place)
                case_id, item = pickle.load(store)
                taken.append(item)
            yield Unit(tuple(taken), case_id)

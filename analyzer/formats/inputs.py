"""The files behind the inputs that a user names."""

from __future__ import annotations

import hashlib
import io
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from analyzer.errors import InputError

STDIN = "-"
"""The input name that means standard input."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read. `shown` is how messages and outputs name it; `name` is the note id of a plain text file."""

    path: Path
    shown: str
    name: str

    @property
    def is_stdin(self) -> bool:
        """Whether this is standard input."""
        return self.shown == STDIN


def find_inputs(named: Sequence[str], *, outside: Path | None = None) -> list[InputFile]:
    """Files behind the inputs named on a command line, folders walked in name order, hidden files left out.

    Files below `outside` (an output folder) are left out of a walk, and refused when named.
    Raises InputError for an input that does not exist or a folder without files.
    """
    found: list[InputFile] = []
    barred = outside.resolve() if outside is not None else None
    for name in named:
        if name == STDIN:
            found.append(InputFile(Path(STDIN), STDIN, "stdin"))
            continue
        path = Path(name)
        if not path.exists():
            raise InputError(f"{name}: no such file or folder")
        if barred is not None and path.resolve().is_relative_to(barred):
            raise InputError(f"{name}: lies in the output folder, where it could be overwritten; name another --output")
        if not path.is_dir():
            found.append(InputFile(path, name, path.name))
            continue
        inside = [p for p in _walk(path) if barred is None or not p.resolve().is_relative_to(barred)]
        if not inside:
            raise InputError(f"{name}: the folder holds no files to read")
        found.extend(InputFile(p, p.as_posix(), p.relative_to(path).as_posix()) for p in inside)
    return found


def is_hidden(path: PurePath) -> bool:
    """Whether a path leads through a hidden name, or one that a system keeps its own notes under."""
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in path.parts)


def _walk(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    resolved = folder.resolve()
    if resolved in above:
        # A link back to a folder that is being walked.
        return
    try:
        inside = sorted(folder.iterdir(), key=lambda p: p.name)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or type(error).__name__}") from None
    for child in inside:
        if is_hidden(PurePath(child.name)):
            continue
        if child.is_dir():
            yield from _walk(child, (*above, resolved))
        else:
            yield child


def file_sha256(file: InputFile) -> tuple[str, int]:
    """SHA-256 (hexadecimal) and size in bytes of a file. Raises InputError when it can't be opened."""
    with opened(file) as handle:
        digest = hashlib.sha256()
        while block := handle.read(1 << 20):
            digest.update(block)
        return digest.hexdigest(), handle.tell()


def opened(file: InputFile) -> BinaryIO:
    """The file's bytes, to be closed by the caller. Raises InputError when it can't be opened."""
    if file.is_stdin:
        return io.BytesIO(sys.stdin.buffer.read())
    try:
        # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(file.path.stat().st_mode):
            raise InputError(f"{file.shown}: is no regular file")
        return file.path.open("rb")
    except OSError as error:
        raise InputError(f"{file.shown}: {error.strerror or type(error).__name__}") from None

"""ZIP archives and gzip files: their members, read in name order; what is not a plain file of plain size is refused.

The reason of a refusal names the member. Members are read from the archive as a stream; nothing is unpacked to disk.
"""

from __future__ import annotations

import gzip
import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from analyzer.errors import InputError
from analyzer.formats.inputs import is_hidden
from analyzer.formats.records import Reader, Record, Source

UNPACKING_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError)
"""What a member of a broken archive raises while it is read."""

BROKEN_MEMBER = "a member of the archive that cannot be unpacked"

DEEPEST = 3
"""Archives inside each other that are opened."""

_MOST_EXPANSION, _SMALL = 250, 4 << 20
"""Text packs 3 to 30 times; what packs better than this, beyond a small size, is a bomb."""
_MOST_BYTES = 32 << 30
_MOST_MEMBERS = 1_000_000


def read_zip(source: Source, read: Reader) -> Iterator[Record]:
    """Records of every member; `read` chooses the reader for one."""
    if source.depth >= DEEPEST:
        raise InputError(f"refused: archives more than {DEEPEST} deep in each other")
    try:
        archive = zipfile.ZipFile(source.stream)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RecursionError):
        raise InputError("a ZIP archive that cannot be read: broken or cut off") from None
    with archive:
        members = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
        if len(members) > _MOST_MEMBERS:
            raise InputError(f"refused: an archive of more than {_MOST_MEMBERS} members")
        total = 0
        for member in members:
            if is_hidden(PurePosixPath(member.filename.replace("\\", "/"))):
                continue
            shown = _shown(member.filename)
            inside = replace(
                source,
                shown=f"{source.shown}/{shown}",
                name=f"{source.name}/{shown}",
                suffix=PurePosixPath(shown).suffix.lower(),
                media_type=None,
                depth=source.depth + 1,
            )
            total += member.file_size
            if reason := _refusal(member, total):
                yield inside.failure(1, member.compress_size, f"refused: {reason}")
                continue
            packed = min(1.0, member.compress_size / max(1, member.file_size))
            try:
                with archive.open(member) as stream:
                    for record in read(replace(inside, stream=cast(BinaryIO, stream))):
                        yield replace(record, size=int(record.size * packed))
            except (*UNPACKING_ERRORS, OSError, ValueError, NotImplementedError, RuntimeError):
                yield inside.failure(1, 0, BROKEN_MEMBER)


def read_gzip(source: Source, read: Reader) -> Iterator[Record]:
    """Records of the file inside; it is named as the gzip file is."""
    if source.depth >= DEEPEST:
        raise InputError(f"refused: archives more than {DEEPEST} deep in each other")
    bare = source.name[:-3] if source.suffix == ".gz" else source.name
    inside = replace(source, suffix=PurePosixPath(bare).suffix.lower(), media_type=None, depth=source.depth + 1)
    # BufferedReader knows how to look back and read lines; what it reads is watched.
    stream = io.BufferedReader(_Watched(source.stream), 1 << 16)
    before = source.stream.tell()
    for record in read(replace(inside, stream=stream)):
        now = source.stream.tell()
        yield replace(record, size=max(0, now - before))
        before = now


def _refusal(member: zipfile.ZipInfo, total: int) -> str | None:
    name = member.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        return "the member's name leads out of the archive"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "the member is a link or no regular file"
    if member.flag_bits & 1:
        return "the member is encrypted"
    if member.file_size > _SMALL and member.file_size > _MOST_EXPANSION * max(1, member.compress_size):
        return f"the member expands more than {_MOST_EXPANSION} times, as a zip bomb does"
    if total > _MOST_BYTES:
        return f"the archive expands to more than {_MOST_BYTES >> 30} GB"
    return None


def _shown(name: str) -> str:
    """A member's name on one line, whatever characters it is made of."""
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)


class _Watched(io.RawIOBase):
    """The unpacked bytes of a gzip stream. Raises InputError when they are broken, or grow as a bomb does."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._unpacked = gzip.GzipFile(fileobj=packed)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            if whence == io.SEEK_END:
                while self._read(1 << 20):
                    pass
                return self._unpacked.seek(self._unpacked.tell() + offset)
            return self._unpacked.seek(offset, whence)
        except (OSError, EOFError, zlib.error):
            raise InputError("a gzip file that cannot be unpacked: broken or cut off") from None

    def tell(self) -> int:
        return self._unpacked.tell()

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            data = self._unpacked.read1(size)
        except (OSError, EOFError, zlib.error):
            raise InputError("a gzip file that cannot be unpacked: broken or cut off") from None
        done = self._unpacked.tell()
        if done > _SMALL and done > _MOST_EXPANSION * max(1, self._packed.tell()):
            raise InputError(f"refused: expands more than {_MOST_EXPANSION} times, as a bomb does")
        if done > _MOST_BYTES:
            raise InputError(f"refused: expands to more than {_MOST_BYTES >> 30} GB")
        return data

"""API keys: a file of hashes that is read again when it changes, so keys come and go without a restart.

A key is 256 random bits, so a plain SHA-256 protects it at rest: there is nothing to guess that a slow hash would slow
down. The file never holds a key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analyzer.errors import InputError

PREFIX = "cg_"
_LOOK_AGAIN = 1.0
"""Seconds between two looks at the file."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Key(_Strict):
    """Whose key it is. `expires` is the first day on which it no longer holds; `per_minute` replaces the usual rate."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.@-]{0,63}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: date
    expires: date | None = None
    per_minute: int | None = Field(default=None, ge=1)


class _File(_Strict):
    keys: list[Key]


def new_key(name: str, *, expires: date | None = None, per_minute: int | None = None) -> tuple[str, Key]:
    """A new key in clear, to be shown once, and what the file keeps of it. Raises InputError for a wrong name."""
    clear = PREFIX + secrets.token_urlsafe(32)
    try:
        kept = Key(name=name, sha256=_hash(clear), created=_today(), expires=expires, per_minute=per_minute)
    except ValidationError:
        raise InputError(f"{name}: a key's name is letters, digits and . _ @ -") from None
    return clear, kept


def read_keys(file: Path) -> list[Key]:
    """The keys of a file. Raises InputError for a file that is none."""
    try:
        return _File.model_validate_json(file.read_bytes()).keys
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file}: {place + ': ' if place else ''}{first['msg']}") from None


def write_keys(file: Path, keys: list[Key]) -> None:
    """Replace a file of keys in one step, readable by its owner only."""
    partial = file.with_name(file.name + ".partial")
    content = json.dumps(_File(keys=keys).model_dump(mode="json", exclude_none=True), indent=2) + "\n"
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, file)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None


class KeyRing:
    """The keys of a file as they are now. A broken new state of the file leaves the last good one in force."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._keys = read_keys(file)
        self._state = self._look()
        self._looked = time.monotonic()
        self.problem: str | None = None

    def holder(self, presented: str) -> Key | None:
        """Whose key this is, or None. Every key is compared, each in constant time."""
        self._refresh()
        digest = _hash(presented)
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if found is not None and found.expires is not None and found.expires <= _today():
            return None
        return found

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        try:
            state = self._look()
            if state != self._state:
                self._keys, self._state, self.problem = read_keys(self._file), state, None
        except (InputError, OSError) as error:
            self.problem = str(error)

    def _look(self) -> tuple[int, int, int]:
        found = self._file.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size


def _hash(clear: str) -> str:
    return hashlib.sha256(clear.encode("utf-8", "surrogateescape")).hexdigest()


def _today() -> date:
    return datetime.now(UTC).date()

"""Errors a user can act on: one clear line, never holding a note's text."""

from __future__ import annotations


class ChartgapError(Exception):
    """Base of every error that is shown to a user as one line (exit code 2 on the command line)."""


class InputError(ChartgapError):
    """A file or record that cannot be read as a note; names the place and the reason."""


class CodeError(ChartgapError):
    """A code that cannot be reported or that no pack covers."""


class PackError(ChartgapError):
    """A broken pack; names file, line and key."""

    def __init__(self, file: str, line: int | None, key: str, reason: str) -> None:
        self.file, self.line, self.key, self.reason = file, line, key, reason
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {key}: {reason}" if key else f"{where}: {reason}")

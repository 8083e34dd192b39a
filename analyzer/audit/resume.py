"""The state of an unfinished audit: what it was started with, and the shards that are done.

It lies in a hidden folder of the output folder until the audit is published. A shard is there whole or not at all, so
an audit that ended at any moment, in any way, goes on from the shards it has.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from analyzer.errors import InputError

STATE_FOLDER: Final = ".audit"


class AuditState:
    """The state folder of one output folder, locked against a second audit while this object lives.

    `shards` is where the shards lie, `staging` where the outputs are made before they get their places.
    """

    def __init__(self, output: Path) -> None:
        """Make and lock the folder. Raises InputError where that fails or another audit is at work."""
        self._folder = output / STATE_FOLDER
        self._plan = self._folder / "plan.json"
        self.staging = self._folder / "outputs"
        self.shards = self._folder
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # A note's text may lie in here, so it is the user's alone.
            self._folder.chmod(0o700)
            self._lock = (self._folder / "lock").open("w")
        except OSError as error:
            raise InputError(f"{output}: {error.strerror}") from None
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._lock.close()
                raise InputError(f"{output}: another audit is writing here") from None

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.close()

    def unfinished(self) -> dict[str, Any] | None:
        """What an unfinished audit was started with."""
        try:
            plan: dict[str, Any] = json.loads(self._plan.read_text(encoding="utf-8"))
            self.shards = self._folder / plan["shards"]
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return plan["started_with"] if self.shards.is_dir() else None

    def new_shards(self) -> None:
        """Make a folder for shards. What an earlier audit left stays until `begin`."""
        # A name of its own: a worker that outlived a killed run can't write into this one.
        self.shards = self._folder / f"shards-{secrets.token_hex(4)}"
        self.shards.mkdir()

    def begin(self, started_with: dict[str, Any]) -> None:
        """Note what this audit is started with, and drop what an earlier one left."""
        partial = self._plan.with_suffix(".partial")
        partial.write_text(json.dumps({"shards": self.shards.name, "started_with": started_with}), encoding="utf-8")
        os.replace(partial, self._plan)
        for child in self._folder.iterdir():
            if child.is_dir() and child != self.shards:
                shutil.rmtree(child)

    def new_staging(self) -> Path:
        """An empty folder to make the outputs in."""
        if self.staging.exists():
            shutil.rmtree(self.staging)
        self.staging.mkdir()
        return self.staging

    def remove(self) -> None:
        """The audit is published: nothing is left to resume."""
        self._plan.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def check_unchanged(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with an audit that was started with something else. Raises InputError naming the first change."""
    change = _first_change(before, now)
    if change is not None:
        raise InputError(f"--resume: {change} since that audit was started; run without --resume to start anew")


def _first_change(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    for name in now:
        if name not in ("settings", "inputs") and before.get(name) != now[name]:
            return f"{name} was {before.get(name)}, is {now[name]}"
    for name, value in now["settings"].items():
        if before["settings"].get(name) != value:
            return f"{name} was {before['settings'].get(name)}, is {value}"
    old, new = ([(i["path"], i["sha256"]) for i in x["inputs"]] for x in (before, now))
    if old == new:
        return None
    for path, sha256 in new:
        if path in dict(old) and dict(old)[path] != sha256:
            return f"{path} has changed"
    return f"the inputs are others ({len(old)} files then, {len(new)} now)"

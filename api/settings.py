"""How the service runs. Every value can come from the environment as CHARTGAP_<NAME>; lists have commas."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from analyzer.errors import InputError

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds and bytes where nothing else is said.

    `workers` 0 means one for each core the process may use. `queue` is how many requests may wait beside those worked
    on. `open_to_network` lets a service without keys answer callers on other machines. `per_minute` is the rate of a
    caller whose key names none. `origins` are web pages elsewhere that may call, by their addresses.
    """

    code: str | None = None
    pack_folders: tuple[str, ...] = ()
    workers: int = 0
    queue: int = 32
    job_seconds: float = 30.0
    body_limit: int = 4 * _MIB
    line_limit: int = _MIB
    batches: int = 4
    keys_file: str | None = None
    issuers_file: str | None = None
    open_to_network: bool = False
    per_minute: int = 6000
    origins: tuple[str, ...] = ()
    audit_file: str | None = None

    @property
    def worker_count(self) -> int:
        """The number of worker processes."""
        return self.workers or len(os.sched_getaffinity(0))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Settings as the environment has them. Raises InputError naming the variable."""
        env = os.environ if environment is None else environment
        hints = get_type_hints(cls)
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = f"CHARTGAP_{field.name.upper()}"
            if (text := env.get(name)) is not None and text != "":
                values[field.name] = _value(name, text, hints[field.name])
        return cls(**values)


def _value(name: str, text: str, kind: Any) -> Any:
    try:
        if kind is bool:
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        if kind in (int, float):
            number = kind(text)
            if number < 0:
                raise ValueError
            return number
    except (KeyError, ValueError):
        raise InputError(f"{name}: {kind.__name__} wanted") from None
    return tuple(text.split(",")) if kind == tuple[str, ...] else text

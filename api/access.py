"""Who may ask: API keys, bearer tokens, a rate for each caller, and a service without either only on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.keys import PREFIX, KeyRing
from api.problems import ProblemError
from api.settings import Settings
from api.tokens import TokenCheck, read_issuers
from api.trail import Trail

_OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/cds-services"})
"""What needs no key: none of it holds anything about a patient. The page's files are the same for everybody."""
_OPEN_BELOW = "/page/"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_MOST_CALLERS = 10_000
_BURST_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `kind` is key, token or local."""

    name: str
    kind: str
    per_minute: int | None = None


class Rates:
    """A bucket of requests for each caller, filled evenly; it holds as many as six seconds bring."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: Caller) -> float:
        """Take one request. Returns 0, or the seconds until there is one to take."""
        rate = (caller.per_minute or self._per_minute) / 60
        most = max(1.0, rate * _BURST_SECONDS)
        now = time.monotonic()
        left, seen = self._buckets.pop(caller.name, (most, now))
        left = min(most, left + (now - seen) * rate)
        missing = 1 - left
        self._buckets[caller.name] = (left - 1 if missing <= 0 else left, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return max(0.0, missing / rate)


class Gate:
    """Decides who a request comes from. Built before the application, so that a broken file of keys stops the start."""

    def __init__(self, settings: Settings, trail: Trail) -> None:
        self._trail = trail
        self._ring = KeyRing(Path(settings.keys_file)) if settings.keys_file else None
        self._tokens = TokenCheck(read_issuers(Path(settings.issuers_file))) if settings.issuers_file else None
        self._anyone = settings.open_to_network
        self._rates = Rates(settings.per_minute)
        self._key_problem: str | None = None

    async def caller(self, scope: Scope) -> Caller:
        """Who asks. Raises ProblemError for somebody who may not."""
        try:
            return await self._caller(scope)
        except ProblemError as error:
            self._trail.refused(scope, error.problem.status)
            raise

    async def _caller(self, scope: Scope) -> Caller:
        headers = Headers(scope=scope)
        if self._ring is None and self._tokens is None:
            return self._local(scope, headers)
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        presented = credential.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if not presented:
            raise ProblemError("unauthorized", headers={"WWW-Authenticate": 'Bearer realm="chartgap"'})
        caller = None
        if presented.startswith(PREFIX):
            key = self._ring.holder(presented) if self._ring is not None else None
            self._tell_of_keys()
            if key is not None:
                caller = Caller(key.name, "key", key.per_minute)
        elif self._tokens is not None:
            subject = await asyncio.to_thread(self._tokens.subject, presented)
            if subject is not None:
                caller = Caller(subject, "token")
        if caller is None:
            refusal = 'Bearer realm="chartgap", error="invalid_token"'
            raise ProblemError("unauthorized", headers={"WWW-Authenticate": refusal})
        seconds = self._rates.wait(caller)
        if seconds:
            raise ProblemError("too-many-requests", headers={"Retry-After": str(int(seconds) + 1)})
        return caller

    def _local(self, scope: Scope, headers: Headers) -> Caller:
        """Without keys only this machine may ask: not another, nor through a proxy or a name made to point here."""
        if not self._anyone:
            client = (scope.get("client") or ("", 0))[0]
            if not _is_local(client) or any(name in headers for name in _FORWARDED):
                raise ProblemError("forbidden", "this service has no keys, so it answers this machine only")
            if not _is_local_name(headers.get("host", "")):
                raise ProblemError("forbidden", "this service has no keys, so it answers to a local name only")
        return Caller("local", "local")

    def _tell_of_keys(self) -> None:
        problem = self._ring.problem if self._ring is not None else None
        if problem != self._key_problem:
            self._key_problem = problem
            self._trail.note("keys_unreadable" if problem else "keys_readable", reason=problem)


class Access:
    """Lets a request through, with its caller in `scope["state"]["caller"]`, or ends it with a problem."""

    def __init__(self, app: ASGIApp, *, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path not in _OPEN and not path.startswith(_OPEN_BELOW):
                scope["state"]["caller"] = await self._gate.caller(scope)
        await self._app(scope, receive, send)


def _is_local(address: str) -> bool:
    """A loopback address, a Unix socket (no address), or a test client's name."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return True


def _is_local_name(host: str) -> bool:
    """A name without a dot cannot be anybody's domain; an address must be loopback."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return "." not in name or name.endswith(".localhost")

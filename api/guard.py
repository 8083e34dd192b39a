"""The outermost layer: request ids, strict headers, the limit on bodies, and a clean answer whatever fails below.

Pure ASGI. The framework would print an unexpected error's text, which may quote a note; here it never gets that far.
"""

from __future__ import annotations

import re
import time
import traceback
from pathlib import Path
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.problems import Problem, ProblemError, problem
from api.trail import Trail, method_of, route_of

_REQUEST_ID = re.compile(r"[\w.-]{1,64}\Z", re.A)

STRICT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def send_problem(send: Send, detail: Problem, headers: dict[str, str] | None = None) -> None:
    """Send a problem as a whole answer."""
    body = detail.model_dump_json().encode()
    raw = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    raw.extend((k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in (headers or {}).items())
    await send({"type": "http.response.start", "status": detail.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class Guard:
    """Wraps the whole application."""

    def __init__(
        self, app: ASGIApp, *, body_limit: int, unlimited: frozenset[str], trail: Trail, metrics: Metrics
    ) -> None:
        self._app, self._limit, self._unlimited = app, body_limit, unlimited
        self._trail, self._metrics = trail, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        clock = time.perf_counter()
        status = 0

        async def strict_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["X-Request-Id"] = request_id
                for name, value in STRICT_HEADERS.items():
                    out.setdefault(name, value)
                if scope["scheme"] == "https":
                    out.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        limited = receive if scope["path"] in self._unlimited else self._limited(headers, receive)
        try:
            await self._app(scope, limited, strict_send)
        except Exception as error:
            await self._ended(error, scope, strict_send, started=status != 0)
        seconds = time.perf_counter() - clock
        self._metrics.request(method_of(scope), route_of(scope), status, seconds)
        self._trail.request(scope, status, seconds)

    async def _ended(self, error: Exception, scope: Scope, send: Send, *, started: bool) -> None:
        """Answer for what failed below. An answer that has begun can only be broken off, which its reader notices."""
        known = error if isinstance(error, ProblemError) else None
        if known is None:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            scope["state"]["fault"] = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        if not started:
            await send_problem(send, known.problem if known else problem("internal"), known.headers if known else None)

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        seen = 0
        too_large = ProblemError("too-large", f"at most {self._limit} bytes are read", headers={"Connection": "close"})
        declared = headers.get("content-length", "")

        async def limited() -> Message:
            nonlocal seen
            if declared.isdigit() and int(declared) > self._limit:
                raise too_large
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
                    raise too_large
            return message

        return limited

"""The Model Context Protocol face: one tool that takes a note and answers its gap report, over HTTP or stdio."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from analyzer.version import VERSION
from api.access import Caller
from api.jobs import Job
from api.metrics import Metrics
from api.pool import WorkerPool
from api.problems import ProblemError
from api.settings import Settings
from api.shapes import GapReportAnswer, NoteRequest
from api.trail import Trail

TOOL = "documentation_gaps"
PATH = "/mcp"

_DESCRIPTION = (
    "Reads one clinical note and reports, for one ICD-10-CM code, what its documentation shows, what is missing and "
    "what contradicts it, with evidence and compliant questions to the provider. For an unfinished note "
    "(complete: false) it gives neutral prompts. It assigns no code and suggests no wording for the note."
)

# Its messages may quote a request; the service's own log says what failed.
logging.getLogger("mcp").propagate = False
logging.getLogger("mcp").addHandler(logging.NullHandler())


def build_server(pool: WorkerPool, trail: Trail, metrics: Metrics) -> Server[Any]:
    """The MCP server. Every call is a job of the pool and an entry of the trail, as over HTTP."""
    tool = types.Tool(
        name=TOOL,
        title="Documentation gaps of a clinical note",
        description=_DESCRIPTION,
        input_schema=NoteRequest.model_json_schema(),
        output_schema=GapReportAnswer.model_json_schema(mode="serialization"),
        annotations=types.ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
    )

    async def list_tools(
        context: ServerRequestContext[Any], parameters: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool])

    async def call_tool(
        context: ServerRequestContext[Any], parameters: types.CallToolRequestParams
    ) -> types.CallToolResult:
        if parameters.name != TOOL:
            return _result(b'"there is one tool, ' + TOOL.encode() + b'"', failed=True)
        try:
            answer = await pool.run(Job("gap_report", json.dumps(parameters.arguments or {}).encode()))
            trail.notes_read(_scope(context), answer)
        except ProblemError as error:
            return _result(error.problem.model_dump_json().encode(), failed=True)
        metrics.report(answer)
        return _result(answer.body, failed=answer.status != 200)

    return Server(
        "chartgap",
        version=VERSION,
        title="Chartgap",
        instructions=_DESCRIPTION,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


class HttpFace:
    """The server over HTTP, as an ASGI application. It keeps no sessions, and every answer is plain JSON."""

    def __init__(self, server: Server[Any], body_limit: int) -> None:
        self._manager = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=body_limit
        )
        self._running = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer requests for as long as this lasts; once only."""
        async with self._manager.run():
            self._running = True
            try:
                yield
            finally:
                self._running = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = PATH
        if not self._running:
            raise ProblemError("not-ready")
        await self._manager.asgi_app(scope, receive, send)


async def run_stdio(settings: Settings) -> None:
    """Serve standard input and output until the input ends."""
    pool = WorkerPool(
        settings.worker_count,
        code=settings.code,
        pack_folders=settings.pack_folders,
        queue_limit=settings.queue,
        job_seconds=settings.job_seconds,
    )
    server = build_server(pool, Trail(settings.audit_file), Metrics(pool))
    pool.start()
    try:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
    finally:
        await asyncio.to_thread(pool.stop)


def _scope(context: ServerRequestContext[Any]) -> MutableMapping[str, Any]:
    request = context.request
    if isinstance(request, Request):
        return request.scope
    return {"state": {"caller": Caller("stdio", "local"), "route": "stdio"}}


def _result(body: bytes, *, failed: bool) -> types.CallToolResult:
    text = body.decode()
    content: list[types.ContentBlock] = [types.TextContent(text=text)]
    return types.CallToolResult(
        content=content, structured_content=None if failed else json.loads(text), is_error=failed
    )

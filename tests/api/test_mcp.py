"""A real MCP client against the tool, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from analyzer import Analyzer, Note

ROOT = Path(__file__).resolve().parents[2]


async def exchange(where: Any, note: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    async with Client(where) as client:
        tools = (await client.list_tools()).tools
        good = await client.call_tool("documentation_gaps", note)
        draft = await client.call_tool("documentation_gaps", {**note, "complete": False, "offset_unit": "utf16"})
        bad = await client.call_tool("documentation_gaps", {"note_id": "ZQXMARKER"})
        return tools, good, draft, bad


@pytest.fixture(params=["stdio", "http"])
def where(request: pytest.FixtureRequest) -> Any:
    if request.param == "http":
        return f"{request.getfixturevalue('server').address}/mcp"
    return StdioServerParameters(command=sys.executable, args=["-m", "analyzer.cli", "mcp"], cwd=str(ROOT))


def test_the_tool_answers_the_same_report(where: Any, samples: list[Note], analyzer: Analyzer) -> None:
    note = next(note for note in samples if note.note_id == "checkbox-intake-template")
    given = note.model_dump(mode="json", exclude_none=True)
    tools, good, draft, bad = asyncio.run(asyncio.wait_for(exchange(where, given), 120))
    (tool,) = tools
    assert tool.name == "documentation_gaps"
    assert tool.input_schema["required"] == ["note_id", "text"]
    assert tool.annotations.read_only_hint
    assert not good.is_error
    assert good.structured_content == json.loads(analyzer.report(note).to_json())
    assert json.loads(good.content[0].text) == good.structured_content
    assert draft.structured_content["prompts"]
    assert draft.structured_content["verdict"] is None
    assert bad.is_error
    assert json.loads(bad.content[0].text)["errors"][0]["pointer"] == "/text"

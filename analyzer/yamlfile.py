"""YAML files that remember where every key stands, so that an error can name file, line and key."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from analyzer.errors import PackError

LINES = "__lines__"
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(file: Path | Traversable, shown: str) -> tuple[Any, dict[tuple[str | int, ...], int]]:
    """The content, and the line (from 1) of every key path. Raises PackError naming file and line."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(shown, None, "", f"cannot be read: {type(error).__name__}") from None
    try:
        loader = _BASE(text)
        try:
            node = loader.get_single_node()
            content = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise PackError(shown, line, "", f"is not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise PackError(shown, None, "", f"is not valid YAML: {type(error).__name__}") from None
    lines: dict[tuple[str | int, ...], int] = {(): 1}
    if node is not None:
        _walk(node, (), lines, shown)
    return content, lines


def _walk(node: Any, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], shown: str) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise PackError(shown, key.start_mark.line + 1, name, "stands twice")
            seen.add(name)
            lines[(*path, name)] = key.start_mark.line + 1
            _walk(value, (*path, name), lines, shown)
            lines[(*path, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, (*path, i), lines, shown)


def line_of(lines: dict[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int | None:
    """The line of the longest known beginning of a key path."""
    for size in range(len(path), -1, -1):
        found = lines.get(path[:size])
        if found is not None:
            return found
    return None

"""Filling a family's rules in for one of its codes: `{name}` in a text, `$name` in place of a whole list.

A family shares its rules; what differs between its codes stands in `pack.yaml` under each code. A name that the code
does not define stays as it is, so that braces of other meaning pass through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLACE = re.compile(r"\{([a-z_]+)\}")


def filled(data: Any, words: Mapping[str, str], lists: Mapping[str, Sequence[str]]) -> Any:
    """A copy of pack data with every known `{name}` replaced by its words and every known `$name` by its list."""
    if isinstance(data, str):
        if data.startswith("$") and data[1:] in lists:
            return list(lists[data[1:]])
        return _PLACE.sub(lambda m: words.get(m.group(1), m.group()), data)
    if isinstance(data, dict):
        return {filled(k, words, {}): filled(v, words, lists) for k, v in data.items()}
    if isinstance(data, list):
        return [filled(v, words, lists) for v in data]
    return data

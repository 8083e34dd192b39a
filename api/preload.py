"""Imported once, by the process that workers are forked from: the analyzer is built there and shared by all of them.

So a worker takes milliseconds to start, or to start again, and little memory of its own.
"""

from __future__ import annotations

import gc
import json
import os

from analyzer.errors import ChartgapError
from api.answers import answers_for
from api.worker import WANTED


def _build() -> None:
    wanted = os.environ.get(WANTED)
    if wanted is None:
        return
    code, folders = json.loads(wanted)
    try:
        answers_for(code, tuple(folders))
    except ChartgapError:
        # The worker meets the same error and says so.
        return
    gc.collect()
    gc.freeze()


_build()

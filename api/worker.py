"""The worker process: says that it is ready, then answers jobs until its pipe is closed."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection

from analyzer.errors import ChartgapError

WANTED = "CHARTGAP_PRELOAD"
"""The environment variable that tells `api.preload` the code and the pack folders, as JSON."""

READY, FAILED = b"ready", b"failed "


def run(pipe: Connection, code: str | None, pack_folders: Sequence[str]) -> None:
    """Serve one front process. Ends quietly when that one goes away."""
    # A Ctrl-C reaches the whole process group; the front process decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from api.answers import answers_for

    try:
        try:
            answers = answers_for(code, tuple(pack_folders))
        except ChartgapError as error:
            pipe.send_bytes(FAILED + str(error).encode())
            return
        pipe.send_bytes(READY)
        while True:
            pipe.send(answers.answer(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return

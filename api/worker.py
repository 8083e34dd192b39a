"""The worker process: builds one analyzer, says that it is ready, answers jobs until its pipe is closed."""

from __future__ import annotations

import gc
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection

from analyzer.errors import ChartgapError

READY, FAILED = b"ready", b"failed "


def run(pipe: Connection, code: str | None, pack_folders: Sequence[str]) -> None:
    """Serve one front process. Ends quietly when that one goes away."""
    # A Ctrl-C reaches the whole process group; the front process decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from api.answers import Answers

    try:
        try:
            answers = Answers(code, pack_folders)
        except ChartgapError as error:
            pipe.send_bytes(FAILED + str(error).encode())
            return
        gc.freeze()
        pipe.send_bytes(READY)
        while True:
            pipe.send(answers.answer(pipe.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return

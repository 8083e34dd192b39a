"""Stand-ins for the Analyzer that cross to worker processes, and a way to run an audit with one in a process to kill.

`python audit_judges.py OUTPUT WORKERS RESUME FILE_LIMIT INPUT...` runs an audit with a judge that takes its time.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample_reports import full_report, report_of, span

from analyzer.note import Note
from analyzer.report import GapReport

POISON = "poison"
HANG = "hang"


@dataclass(frozen=True)
class SampleSource:
    """Reports without reading; dies on a note that says `poison`, and once where `die_once` is no file yet."""

    seconds: float = 0.0
    die_once: Path | None = None
    refuse: str | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        return ()

    def build(self) -> SampleJudge:
        if self.refuse == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.refuse is not None:
            from analyzer.errors import CodeError

            raise CodeError(self.refuse)
        return SampleJudge(self)


@dataclass
class SampleJudge:
    source: SampleSource
    code: str = "M48.38"

    def report(self, note: Note) -> GapReport:
        return self.case([note])

    def case(self, notes: Sequence[Note], context: Sequence[Note] = (), **more: Any) -> GapReport:
        time.sleep(self.source.seconds)
        first = notes[0]
        for note in notes:
            if note.text == POISON:
                os.kill(os.getpid(), signal.SIGKILL)
            if note.text == HANG:
                time.sleep(3600)
        once = self.source.die_once
        if once is not None and first.note_id == "n70" and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        flags = []
        if first.text:
            flag = full_report().review_flags[0]
            flags = [flag.model_copy(update={"evidence": [span(first, first.text)]})]
        return report_of(
            first,
            note_ids=[n.note_id for n in notes],
            requirements=full_report().requirements[:2],
            review_flags=flags,
            **more,
        )


def main() -> None:
    from analyzer.audit.run import AuditOptions, local_engine, run_audit
    from analyzer.errors import ChartgapError
    from analyzer.formats import find_inputs

    output, workers, resume, limit, *inputs = sys.argv[1:]
    if int(limit):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    options = AuditOptions(
        source=SampleSource(seconds=0.002), resume=resume == "resume", engine=local_engine(int(workers))
    )
    try:
        run_audit(find_inputs(inputs), Path(output), options)
    except ChartgapError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()

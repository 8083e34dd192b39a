"""Chartgap: documentation gaps of clinical notes, for an ICD-10-CM code.

`from analyzer import Analyzer, Note`; `Analyzer(code=...).report(Note(note_id=..., text=...))` gives a `GapReport`.
"""

from loguru import logger as _loguru

# medspaCy's sentence splitter logs every token of a note to stderr by default; silence it before anything loads it.
_loguru.disable("PyRuSH")
_loguru.disable("PyFastNER")

from analyzer.note import Note  # noqa: E402
from analyzer.report import GapReport  # noqa: E402

__all__ = ["Analyzer", "GapReport", "Note"]


def __getattr__(name: str) -> object:
    """`Analyzer` brings spaCy with it; it is loaded when it is first asked for."""
    if name == "Analyzer":
        from analyzer.analyze import Analyzer

        return Analyzer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

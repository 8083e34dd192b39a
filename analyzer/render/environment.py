"""The Jinja environment of every page: all text escaped, undefined names refused, nothing fetched."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from analyzer.render import wording
from analyzer.report import VERDICT_WORDS


@cache
def environment() -> Environment:
    """Templates of this folder, with the words and filters they share."""
    made = Environment(
        loader=PackageLoader("analyzer", "render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        counted=wording.counted,
        one_line=wording.one_line,
        readable=wording.readable,
        share=wording.share,
        visible=wording.visible,
        words=wording.words,
    )
    made.globals.update(
        because=wording.because,
        completeness=wording.completeness,
        RELATION_WORDS=wording.RELATION_WORDS,
        REVIEWER_ONLY=wording.REVIEWER_ONLY,
        SEND_QUERY_WORDS=wording.SEND_QUERY_WORDS,
        SEVERITY_WORDS=wording.SEVERITY_WORDS,
        STATUS_GLYPHS=wording.STATUS_GLYPHS,
        VERDICT_GLYPHS=wording.VERDICT_GLYPHS,
        VERDICT_WORDS=VERDICT_WORDS,
    )
    return made

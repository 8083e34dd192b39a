"""Where another document answers a gap: who said it, when, in which words. It never changes a status.

A document of the context (an earlier note, a referral, a transcript) is judged alone; what it documents by itself
answers. Where it is about the same problem, it may also answer together with the case, as "that fall was in 2021" does.
Notes of the case whose statements count less (unsigned drafts, authors who do not answer for a diagnosis) are looked at
in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from analyzer.case import Document
from analyzer.report import Evidence

MOST = 3


def answers(
    gaps: Sequence[str],
    documents: Sequence[Document],
    alone: Callable[[Document], Mapping[str, Evidence]],
    beside: Callable[[Document], Mapping[str, Evidence]],
) -> dict[str, list[Evidence]]:
    """For each gap the places that answer it, newest document first, at most `MOST`."""
    newest = sorted(documents, key=lambda d: d.note.note_id)
    newest.sort(key=lambda d: d.note.date_of_service or date.min, reverse=True)
    out: dict[str, list[Evidence]] = {}
    for document in newest:
        found = dict(alone(document))
        if any(gap not in found for gap in gaps):
            found = {**beside(document), **found}
        for gap in gaps:
            if gap in found and len(out.setdefault(gap, [])) < MOST:
                out[gap].append(found[gap])
    return {gap: places for gap, places in out.items() if places}

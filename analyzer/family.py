"""Which code of a family a note would support: every member judges one reading, the best supported is chosen.

A member is in question when the note's problem lies in its own region. Among those, the one that the note calls the
primary region comes first, then the one with most of what coding rests on, then the better verdict, then the one named
more often; at last the pack's default code, then the order of the pack. Nothing here knows a region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from analyzer.members import Member
from analyzer.reading.reader import Reading

AUTO = "auto"
"""Asks for the member that the note would support in place of a code."""

_VERDICTS = {"supported": 2, "query": 1, "not_supported": 0}


def best_member(
    members: Sequence[Member], reading: Reading, service: date | None, about: Mapping[str, str | None]
) -> Member | None:
    """The member of one family that the reading would support; None where its problem is in no member's region."""
    chosen: tuple[tuple[int, ...], Member] | None = None
    for number, member in enumerate(members):
        linked, judged = member.assess(member.view(reading), service, about)
        if not judged.relevant or linked.focus != "target":
            continue
        spec, head = member.pack.head.spec(member.code), member.pack.head
        own = sum(m.tied == "index" and m.assertion != "negated" for m in linked.reading.mentions)
        primary = judged.env.get(head.primary_fact or "", False)
        rank = (
            not spec.last_resort,
            primary,
            sum(r.basis == "coding" and r.status == "documented" for r in judged.requirements),
            _VERDICTS[judged.verdict],
            own,
            member.code == head.default_code,
            -number,
        )
        if chosen is None or rank > chosen[0]:
            chosen = rank, member
    return chosen[1] if chosen is not None else None

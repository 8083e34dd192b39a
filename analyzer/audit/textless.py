"""A gap report without a note's words.

This is no de-identification: ids, dates, roles, offsets and hashes stay, and they can lead back to a patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from analyzer.report import (
    Alert,
    CandidateCode,
    CombinedQuery,
    Evidence,
    GapReport,
    Query,
    Requirement,
    ReviewFlag,
)

NO_DEIDENTIFICATION = (
    "Note text and quotes are left out. This is no de-identification: ids, dates, author roles, offsets and hashes "
    "are kept and can lead back to a patient."
)

_Remark = TypeVar("_Remark", Alert, ReviewFlag)

_LEFT_OUT = "[quote left out]"
# A cited statement of a combined query: a bullet, a quote that may itself hold quotation marks, its source.
_CITED = re.compile(r'^- ".*"', re.M)
_QUOTED = re.compile(r"“[^”]*”|‘[^’]*’|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")


def report_without_text(report: GapReport) -> GapReport:
    """The report with every quote emptied. Offsets stay; a question that quotes the note is emptied whole."""
    return report.model_copy(
        update={
            "requirements": [_requirement(r) for r in report.requirements],
            "alerts": [_remark(a) for a in report.alerts],
            "review_flags": [_remark(f) for f in report.review_flags],
            "candidate_codes": [_candidate(c) for c in report.candidate_codes],
            "queries": [_combined(q) for q in report.queries],
            "prompts": [p.model_copy(update={"question": _unquoted(p.question)}) for p in report.prompts],
            "findings": [f.model_copy(update={"text": "", "cue": None}) for f in report.findings],
        }
    )


def _unquoted(text: str) -> str:
    return _QUOTED.sub(_LEFT_OUT, text)


def _evidence(evidence: Sequence[Evidence]) -> list[Evidence]:
    return [e.model_copy(update={"text": ""}) for e in evidence]


def _requirement(requirement: Requirement) -> Requirement:
    return requirement.model_copy(
        update={
            "reason": _unquoted(requirement.reason),
            "evidence": _evidence(requirement.evidence),
            "query": _query(requirement.query) if requirement.query else None,
            "answered_elsewhere": [e.model_copy(update={"text": ""}) for e in requirement.answered_elsewhere],
        }
    )


def _query(query: Query) -> Query:
    question = "" if _QUOTED.search(query.question) else query.question
    return query.model_copy(update={"question": question, "options": [_unquoted(o) for o in query.options]})


def _combined(query: CombinedQuery) -> CombinedQuery:
    return query.model_copy(update={"text": _unquoted(_CITED.sub(f"- {_LEFT_OUT}", query.text))})


def _remark(remark: _Remark) -> _Remark:
    return remark.model_copy(update={"message": _unquoted(remark.message), "evidence": _evidence(remark.evidence)})


def _candidate(candidate: CandidateCode) -> CandidateCode:
    return candidate.model_copy(
        update={"reason": _unquoted(candidate.reason), "evidence": _evidence(candidate.evidence)}
    )

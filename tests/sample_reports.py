"""Hand-made notes and gap reports for tests of what is built on reports: no text is read here."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

from analyzer.note import Note
from analyzer.report import (
    Alert,
    CandidateCode,
    CombinedQuery,
    Evidence,
    Finding,
    GapReport,
    Indicator,
    Provenance,
    Query,
    Requirement,
    ReviewFlag,
    VerdictBecause,
)

TEXT = """SPINE CLINIC FOLLOW-UP
CC: tailbone pain when sitting.

HPI: 41-year-old carpenter. Slid off an icy loading dock years ago and landed hard on his backside; an outside film
at the time showed a broken coccyx. He has sat on a cushion since. Denies numbness between the legs. Bladder is fine.

EXAM: Tender over the coccyx. Ankle reflexes 2+ and equal, perianal sensation intact.

IMAGING: CT pelvis 09/04/2025: old united fracture of the coccyx with 40 degrees of forward angulation.

ASSESSMENT: Post-traumatic deformity of the coccyx, residual of the old fracture.
PLAN: Cushion, consider injection. Return in 3 months.
"""

NOTE = Note(note_id="clinic-017", text=TEXT, date_of_service=date(2025, 11, 10))


def span(note: Note, quote: str, section: str = "other", assertion: str = "affirmed", **more: Any) -> Evidence:
    """Evidence at the first place of `quote` in the note."""
    start = note.text.index(quote)
    return Evidence.model_validate(
        {
            "note_id": note.note_id,
            "start": start,
            "end": start + len(quote),
            "text": quote,
            "section": section,
            "assertion": assertion,
            "date": note.date_of_service,
            **more,
        }
    )


def requirement(identifier: str, status: str, evidence: list[Evidence], **more: Any) -> Requirement:
    """A requirement; a gap gets a query."""
    label = identifier.replace("_", " ").capitalize()
    query = Query(
        id=f"q-{identifier}",
        template=f"{identifier}@1",
        title=label,
        indicators=[Indicator(note_id=e.note_id, start=e.start, end=e.end) for e in evidence],
        question=f"Please document what is known about this: {label.lower()}.",
        options=[],
    )
    fields = {
        "id": identifier,
        "label": label,
        "basis": "audit",
        "status": status,
        "value": None,
        "reason": f"{label} is {status}.",
        "evidence": evidence,
        "send_query": "no" if status == "documented" else "optional",
        "query": None if status == "documented" else query,
        "sources": ["guidelines"],
    }
    return Requirement.model_validate(fields | more)


def report_of(note: Note, verdict: str | None = "query", **more: Any) -> GapReport:
    """A gap report without requirements for any note."""
    fields: dict[str, Any] = {
        "note_id": note.note_id,
        "note_ids": [note.note_id],
        "text_sha256": hashlib.sha256(note.text.encode()).hexdigest(),
        "code": note.code or "M48.38",
        "code_title": "Traumatic spondylopathy, sacral and sacrococcygeal region",
        "date_of_service": note.date_of_service,
        "relevant": True,
        "verdict": verdict,
        "verdict_because": VerdictBecause(rule="gaps", requirements=[], alerts=[]),
        "coding_complete": True,
        "audit_complete": verdict == "supported",
        "requirements": [],
        "alerts": [],
        "review_flags": [],
        "candidate_codes": [],
        "queries": [],
        "findings": [],
        "provenance": Provenance(
            chartgap="0.1.0",
            pack="sample",
            pack_version="1.0.0",
            pack_sha256="0" * 64,
            code_set="FY2026 (April 2026)",
            settings={},
        ),
        "warnings": [],
    }
    return GapReport.model_validate(fields | more)


def full_report(note: Note = NOTE) -> GapReport:
    """A report with something under every heading; `note` holds the phrases of `TEXT`."""
    coccyx = span(note, "Tender over the coccyx", "physical_exam")
    slid = span(note, "Slid off an icy loading dock", "history_of_present_illness")
    ago = span(note, "years ago", "history_of_present_illness")
    broken = span(note, "broken coccyx", "history_of_present_illness")
    scan = span(note, "old united fracture of the coccyx with 40 degrees of forward angulation", "imaging")
    united = span(note, "old united fracture of the coccyx", "imaging")
    tied = span(note, "Post-traumatic deformity of the coccyx, residual of the old fracture", "assessment")
    numb = span(note, "Denies numbness between the legs", "history_of_present_illness", "negated")
    reflexes = span(note, "Ankle reflexes 2+ and equal", "physical_exam", "negated")
    requirements = [
        requirement("region", "documented", [coccyx, united], basis="coding", value=["coccygeal"]),
        requirement("trauma_mechanism", "documented", [slid], value="fall"),
        requirement("injury_date", "insufficient", [ago], reason="The injury is only placed “years ago”."),
        requirement("injury_diagnosis", "documented", [broken], value=["fracture"]),
        requirement(
            "imaging_findings",
            "documented",
            [scan],
            value={"modalities": ["ct"], "findings": ["alignment", "healed_fracture"]},
        ),
        requirement("care_phase", "documented", [united], basis="coding", value="past_acute"),
        requirement("provider_statement", "documented", [tied], basis="coding"),
        requirement(
            "neurological_findings",
            "documented",
            [numb, reflexes],
            value={"present": [], "absent": ["reflex", "sensory"]},
        ),
    ]
    finding = Finding(
        id="f1",
        note_id=note.note_id,
        element="symptom",
        value="chronic_pain",
        assertion="affirmed",
        section="chief_complaint",
        start=note.text.index("tailbone pain"),
        end=note.text.index("tailbone pain") + len("tailbone pain"),
        text="tailbone pain",
        site=["coccygeal"],
        date=None,
        cue=None,
    )
    return report_of(
        note,
        verdict_because=VerdictBecause(rule="gaps", requirements=["injury_date"], alerts=[]),
        requirements=requirements,
        alerts=[
            Alert(
                id="sample_alert",
                severity="warning",
                message="Two parts of the note need a second look.",
                codes=["M53.3"],
                evidence=[broken],
            )
        ],
        review_flags=[
            ReviewFlag(id="stale_imaging", message="The study is older than the last injury.", evidence=[scan])
        ],
        candidate_codes=[
            CandidateCode(
                code="S32.2XXS",
                sequence=2,
                pair_id="sequela",
                relation="with",
                rule="sequela",
                reason="The injury behind the condition is reported second.",
                evidence=[broken],
            )
        ],
        queries=[
            CombinedQuery(
                id="combined",
                recipient_role="provider",
                title="Clarification of the visit note",
                query_ids=["q-injury_date"],
                text="The note says that the injury happened “years ago”.\n\nPlease document when it happened.",
            )
        ],
        findings=[finding],
        warnings=["a warning about the note"],
    )

"""The way through the house: a note is read, linked, judged and reported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from analyzer.assessment import Assessment, Judged
from analyzer.codes import CodeTable, normalise
from analyzer.errors import CodeError
from analyzer.family import AUTO, best_member
from analyzer.judging import Spot
from analyzer.linking import Linked
from analyzer.members import Member
from analyzer.note import Note
from analyzer.packs import Pack, available_packs, load_pack
from analyzer.reading.reader import Reading
from analyzer.report import (
    Alert,
    CandidateCode,
    Evidence,
    Finding,
    GapReport,
    Prompt,
    Provenance,
    Query,
    Requirement,
    ReviewFlag,
    VerdictBecause,
)
from analyzer.version import VERSION

_QUOTE_LEFT, _QUOTE_RIGHT, _QUOTE_MOST = 4, 6, 20
_STOPS = {";", "|"}


class Analyzer:
    """Reports documentation gaps for one code. Build once, use for many notes; keeps no note between calls.

    `code` is used for notes that carry none; "auto" judges such a note for the member of the first pack's family that
    it would support, or for the family's default code. `pack_folders` hold packs of a hospital's own.
    Raises CodeError where the code is unknown, cannot be billed or is covered by no pack.
    """

    def __init__(self, code: str | None = None, *, pack_folders: Sequence[str | Path] = ()) -> None:
        self._folders = list(pack_folders)
        self._packs: dict[str, Pack] = {}
        self._members: dict[str, Member] = {}
        self._infos = available_packs(self._folders)
        self._default = self._infos_default()
        self.code = code or self._default
        self._member(self._default if self.code == AUTO else self.code, None)

    def _infos_default(self) -> str:
        return load_pack_cached(self._packs, self._infos[0].id, self._folders).head.default_code

    def _member(self, code: str, service: date | None) -> Member:
        known = self._members.get(code)
        if known is not None:
            return known
        table = CodeTable.load(service)
        problem = table.check(code)
        name = normalise(code)
        if problem is not None and (problem.kind != "not_carried" or not self._covers(name)):
            raise CodeError(problem.message)
        assert name is not None
        for info in self._infos:
            if name in info.codes:
                pack = load_pack_cached(self._packs, info.id, self._folders)
                member = Member.of(pack, name)
                self._members[code] = self._members[name] = member
                return member
        raise CodeError(f"{name}: no pack covers this code; `chartgap packs list` shows those that are covered")

    def _for_note(self, note: Note) -> Member:
        """The note's own code decides; a reportable one without a pack leaves the analyzer's code, with a warning."""
        if note.code is None:
            return self._own(note)
        name = normalise(note.code)
        if not self._covers(name):
            problem = CodeTable.load(note.date_of_service).check(note.code)
            if problem is None or problem.kind == "not_carried":
                return self._own(note)
        return self._member(note.code, note.date_of_service)

    def _own(self, note: Note) -> Member:
        """The member for a note without a code that decides: the analyzer's, or the one that fits the note best."""
        if self.code != AUTO:
            return self._member(self.code, note.date_of_service)
        default = self._member(self._default, note.date_of_service)
        family = [self._member(code, note.date_of_service) for code in default.pack.head.codes]
        reading = default.pack.reader.read(note.text)
        return best_member(family, reading, note.date_of_service, _about(note)) or default

    def _covers(self, name: str | None) -> bool:
        return any(name in info.codes for info in self._infos)

    def report(self, note: Note) -> GapReport:
        """The gap report of one note. Raises CodeError for the note's own code."""
        member = self._for_note(note)
        reading = member.read(note.text)
        linked, assessment = member.assess(reading, note.date_of_service, _about(note))
        return _Builder(member, note, linked, assessment).report()

    def reports(self, notes: Iterable[Note]) -> Iterator[GapReport]:
        """Reports in the order of the notes, one note in memory at a time."""
        for note in notes:
            yield self.report(note)

    def doc(self, note: Note) -> Any:
        """A spaCy Doc over the note's own text with every finding as a labelled span in `doc.spans["chartgap"]`."""
        import spacy
        from spacy.tokens import SpanGroup

        member = self._for_note(note)
        nlp = spacy.blank("en")
        doc = nlp.make_doc(note.text)
        report = self.report(note)
        spans = []
        for finding in report.findings:
            span = doc.char_span(
                finding.start, finding.end, label=finding.element, kb_id=finding.value, alignment_mode="expand"
            )
            if span is not None:
                spans.append(span)
        doc.spans["chartgap"] = SpanGroup(doc, name="chartgap", spans=spans)
        doc.user_data["chartgap_pack"] = member.pack.id
        return doc

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """The JSON Schema of a gap report."""
        return GapReport.model_json_schema(mode="serialization")


def load_pack_cached(cache: dict[str, Pack], name: str, folders: Sequence[str | Path]) -> Pack:
    """A pack, loaded once an analyzer."""
    if name not in cache:
        cache[name] = load_pack(name, folders)
    return cache[name]


def _about(note: Note) -> dict[str, str | None]:
    """What is known of a note beside its text, for the pack's facts."""
    return {
        "setting": note.setting,
        "author_role": note.author_role,
        "note_type": note.note_type,
        "code": normalise(note.code) if note.code else None,
    }


def _period(earliest: date | None, latest: date | None) -> str | None:
    """A day as YYYY-MM-DD, a longer time as YYYY-MM-DD/YYYY-MM-DD."""
    if earliest is None or latest is None:
        return None
    return earliest.isoformat() if earliest == latest else f"{earliest.isoformat()}/{latest.isoformat()}"


class _Builder:
    """Turns one assessment into the report's shapes."""

    def __init__(self, member: Member, note: Note, linked: Linked, assessment: Assessment) -> None:
        self._member, self._note, self._linked, self._assessment = member, note, linked, assessment
        self._reading: Reading = linked.reading

    def report(self) -> GapReport:
        note, judged, member = self._note, self._assessment, self._member
        table = CodeTable.load(note.date_of_service)
        requirements = [self._requirement(r) for r in judged.requirements]
        by_basis = {
            basis: all(r.status == "documented" for r in requirements if r.basis == basis)
            for basis in ("coding", "audit")
        }
        queries: list[Query] = [r.query for r in requirements if r.query is not None]
        prompts = []
        if not note.complete:
            prompts = [
                Prompt(requirement=r.id, question=member.queries.prompt(r.id))
                for r in requirements
                if r.status != "documented" and judged.relevant
            ]
            queries = []
            requirements = [r.model_copy(update={"query": None}) for r in requirements]
        warnings = []
        if note.date_of_service is None:
            warnings.append("no date of service: relative dates cannot be resolved")
        elif table.warning:
            warnings.append(table.warning)
        if note.code is not None and normalise(note.code) != member.code:
            warnings.append(f"no pack covers the note's code {normalise(note.code)}: judged for {member.code}")
        return GapReport(
            note_id=note.note_id,
            note_ids=[note.note_id],
            text_sha256=hashlib.sha256(note.text.encode("utf-8", "surrogatepass")).hexdigest(),
            code=member.code,
            code_title=table.lookup(member.code).title,
            date_of_service=note.date_of_service,
            relevant=judged.relevant,
            verdict=judged.verdict if note.complete else None,
            verdict_because=VerdictBecause(
                rule=judged.verdict_rule, requirements=judged.verdict_requirements, alerts=judged.verdict_alerts
            ),
            coding_complete=by_basis["coding"],
            audit_complete=by_basis["audit"],
            requirements=requirements,
            alerts=[
                Alert(
                    id=a.id,
                    severity=a.severity,
                    message=a.message,
                    codes=list(a.codes),
                    evidence=self._evidence(a.spots[:3]),
                )
                for a in judged.alerts
            ],
            review_flags=[
                ReviewFlag(id=f.id, message=f.message, evidence=self._evidence(f.spots[:3])) for f in judged.flags
            ],
            candidate_codes=self._candidates(table),
            queries=member.queries.combine(
                queries, requirements, {note.note_id: note.text}, {note.note_id: note.date_of_service}
            )
            if queries
            else [],
            prompts=prompts,
            findings=self._findings(),
            provenance=Provenance(
                chartgap=VERSION,
                pack=member.pack.id,
                pack_version=member.pack.head.version,
                pack_sha256=member.pack.sha256,
                code_set=table.release.label,
                settings={"setting": note.setting or "unknown, judged as outpatient"},
            ),
            warnings=warnings,
        )

    def _requirement(self, r: Judged) -> Requirement:
        evidence = self._evidence(r.spots[:6], r.sides)[:4]
        query = None
        if self._assessment.relevant and r.status != "documented":
            query = self._member.queries.build(r.id, r.status, self._facts_asked, evidence)  # type: ignore[arg-type]
        return Requirement(
            id=r.id,
            label=r.label,
            basis=r.basis,
            status=r.status,
            value=r.value,
            reason=r.reason,
            evidence=evidence,
            send_query=r.send_query if query is not None else "no",
            query=query,
            sources=r.sources,
        )

    @cached_property
    def _facts_asked(self) -> frozenset[str]:
        """Those facts that hold, of all that the pack's questions ask for."""
        facts = self._assessment.facts
        return frozenset(name for name in self._member.pack.queries.facts if facts[name].holds)

    def _candidates(self, table: CodeTable) -> list[CandidateCode]:
        judged = self._assessment
        return [
            CandidateCode(
                code=c.code,
                sequence=number,
                pair_id=c.pair,
                relation=c.relation,
                rule=c.rule,
                reason=c.reason,
                evidence=self._evidence(c.spots[:3]),
            )
            for number, c in enumerate(self._member.candidates.suggest(judged.facts, judged.env, table), 1)
        ]

    def _evidence(self, spots: Sequence[Spot], sides: dict[int, str] | None = None) -> list[Evidence]:
        out: list[Evidence] = []
        for spot in spots:
            start, end = self._quote(spot)
            side = (sides or {}).get(spot.start)
            if any(e.start < end and start < e.end and e.side == side for e in out):
                continue
            out.append(
                Evidence(
                    note_id=self._note.note_id,
                    start=start,
                    end=end,
                    text=self._note.text[start:end],
                    section=self._reading.segments[spot.segment].section,
                    assertion=spot.assertion,
                    author_role=self._note.author_role,
                    date=self._note.date_of_service,
                    side=side,
                )
            )
        return out

    def _quote(self, spot: Spot) -> tuple[int, int]:
        """Widen a mention to a readable quote inside its clause."""
        words = self._reading.words[spot.segment]
        if not words.norm:
            return spot.start, spot.end
        first = words.index_of_offset(spot.start)
        last = first
        while last < len(words.norm) and words.starts[last] < spot.end:
            last += 1
        low, high = first, last
        for _ in range(_QUOTE_LEFT):
            if low == 0 or words.norm[low - 1] in _STOPS or high - low >= _QUOTE_MOST:
                break
            low -= 1
        for _ in range(_QUOTE_RIGHT):
            if high >= len(words.norm) or words.norm[high] in _STOPS or high - low >= _QUOTE_MOST:
                break
            high += 1
        start, end = words.starts[low], words.ends[high - 1]
        while end > start and self._note.text[end - 1] in ".,:;":
            end -= 1
        return min(start, spot.start), max(end, spot.end)

    def _findings(self) -> list[Finding]:
        shown = self._member.pack.shown_elements
        out: list[Finding] = []
        seen: dict[tuple[str, ...], int] = {}
        rows: list[tuple[int, int, str, str, str, int, tuple[str, ...], str | None, tuple[int, int] | None]] = []
        for m in self._reading.mentions:
            if m.element in shown and m.value in shown[m.element]:
                rows.append(
                    (
                        m.start,
                        m.end,
                        m.element,
                        m.value,
                        m.assertion,
                        m.segment,
                        m.site,
                        _period(m.earliest, m.latest),
                        m.cue,
                    )
                )
        for c in self._linked.dates:
            d = c.mention
            span = _period(d.earliest, d.latest)
            rows.append(
                (
                    c.start,
                    c.end,
                    self._member.pack.head.linking["event_date"],
                    d.precision,
                    "affirmed",
                    c.segment,
                    (),
                    span,
                    None,
                )
            )
        for start, end, element, value, assertion, segment, site, when, cue in sorted(
            rows, key=lambda r: (r[0], r[1], r[2], r[3])
        ):
            section = self._reading.segments[segment].section
            text = self._note.text[start:end]
            key = (element, value, section, re.sub(r"\s+", " ", text.lower()))
            seen[key] = seen.get(key, 0) + 1
            digest = hashlib.sha256(json.dumps([*key, seen[key]]).encode("utf-8", "surrogatepass")).hexdigest()[:12]
            words = self._reading.words[segment]
            out.append(
                Finding(
                    id=digest,
                    note_id=self._note.note_id,
                    element=element,
                    value=value,
                    assertion=assertion,
                    section=section,
                    start=start,
                    end=end,
                    text=text,
                    site=[s for s in site if s != "elsewhere"],
                    date=when,
                    cue=self._note.text[words.starts[cue[0]] : words.ends[cue[1] - 1]] if cue else None,
                )
            )
        return out

"""The way through the house: a note is read, linked, judged and reported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from analyzer.assessment import Assessment, Judged
from analyzer.case import Document, case_code, case_sha256, concluding, document_at, moved, notes_in_order
from analyzer.codes import CodeTable, normalise
from analyzer.elsewhere import answers
from analyzer.errors import CodeError
from analyzer.family import AUTO, best_member
from analyzer.judging import Spot
from analyzer.linking import Linked
from analyzer.members import Member, about
from analyzer.note import Note
from analyzer.pack_files import FAMILY
from analyzer.packs import Pack, available_packs, load_pack, pack_covering
from analyzer.reading.reader import Mention, Reading
from analyzer.report import (
    Alert,
    CandidateCode,
    Elsewhere,
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
from analyzer.weighing import leave_out_irrelevant, weigh

_QUOTE_LEFT, _QUOTE_RIGHT, _QUOTE_MOST = 4, 6, 20
_STOPS = {";", "|"}
_OPENING, _CLOSING = "\"'“‘([<>≥≤~", ".,:;-–—/"
_SPACE = re.compile(r"\s+")
_in_json = json.encoder.encode_basestring_ascii


def _opens(text: str, at: int) -> bool:
    """Whether a quote may begin here: at a letter, digit, quote or bracket that no token runs on into."""
    return (text[at].isalnum() or text[at] in _OPENING) and (
        at == 0 or text[at - 1].isspace() or text[at - 1] in _OPENING
    )


def _closes(text: str, at: int) -> bool:
    """Whether a quote may end before this place: not amid a token, nor at a stop, comma or space."""
    amid = at < len(text) and text[at].isalnum() and not text[at - 1].isspace()
    return not amid and not text[at - 1].isspace() and text[at - 1] not in _CLOSING


class Analyzer:
    """Reports documentation gaps for one code. Build once, use for many notes; keeps no note between calls.

    `code` is used for notes that carry none; "auto" judges such a note for the member of the first pack's family that
    it would support, or for the family's default code. `pack_folders` hold packs of a hospital's own.
    `plain` reads the slow way round, to the same reports: see `Reader`.
    Raises CodeError where the code is unknown, cannot be billed or is covered by no pack.
    """

    def __init__(
        self, code: str | None = None, *, pack_folders: Sequence[str | Path] = (), plain: bool = False
    ) -> None:
        self._plain = plain
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
        info = pack_covering(self._infos, name)
        if info is not None:
            pack = load_pack_cached(self._packs, info.id, self._folders)
            pack.reader.plain = self._plain
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
        codes = [code for code in default.pack.head.codes if not code.endswith(FAMILY)]
        family = [self._member(code, note.date_of_service) for code in codes]
        reading = default.pack.reader.read(note.text)
        return best_member(family, reading, note.date_of_service, about(note)) or default

    def _covers(self, name: str | None) -> bool:
        return name is not None and any(info.covers(name) for info in self._infos)

    def pack(self, name: str) -> Pack:
        """A pack by its name, loaded once. Raises PackError for a name that is none."""
        return load_pack_cached(self._packs, name, self._folders)

    def report(self, note: Note) -> GapReport:
        """The gap report of one note. Raises CodeError for the note's own code."""
        member = self._for_note(note)
        reading = member.read(note.text)
        linked, assessment = member.assess(reading, note.date_of_service, about(note))
        return _Builder(member, note, [Document(note, reading)], linked, assessment).report()

    def reports_for(self, note: Note, codes: Sequence[str]) -> list[GapReport]:
        """The gap reports of one note for several codes, in their order; the note's own code is not asked.

        Each pack reads the note once, whatever the number of its codes. Raises CodeError as `Analyzer` does.
        """
        readings: dict[str, Reading] = {}
        out: list[GapReport] = []
        for code in codes:
            member = self._member(code, note.date_of_service)
            if member.pack.id not in readings:
                readings[member.pack.id] = member.pack.reader.read(note.text)
            asked = note.model_copy(update={"code": member.code})
            reading = member.view(readings[member.pack.id])
            linked, assessment = member.assess(reading, note.date_of_service, about(asked))
            out.append(_Builder(member, asked, [Document(asked, reading)], linked, assessment).report())
        return out

    def case(
        self,
        notes: Sequence[Note],
        context: Sequence[Note] = (),
        *,
        case_id: str | None = None,
        code: str | None = None,
    ) -> GapReport:
        """The gap report of the notes of one encounter, judged together; docs/cases.md has the rules.

        The order of `notes` does not matter. `context` (earlier notes, a referral, a transcript) never changes a
        status or the verdict: a gap that it answers says where, in `answered_elsewhere`. `case_id` is by default the
        encounter's id, else the notes' ids joined by "+". The code is the notes' own, else `code`, else the analyzer's.
        Raises InputError for no notes, for notes of different patients or encounters and for one id with two texts;
        CodeError as `report` does.
        """
        kept, beside, warnings = notes_in_order(notes, context)
        carried, disagreeing = case_code(kept)
        service = max((n.date_of_service for n in kept if n.date_of_service is not None), default=None)
        member = self._for_note(kept[-1].model_copy(update={"code": carried or code, "date_of_service": service}))
        drafts = member.pack.authors.drafts(kept)
        documents = [member.document(n, draft=draft) for n, draft in zip(kept, drafts, strict=True)]
        if len(documents) > 1:
            weigh(documents, member.pack.cases, member.pack.authors, member.pack.dates, member.alone)
        last = concluding(documents).note
        whole = last.model_copy(
            update={
                "code": carried or code,
                "date_of_service": service,
                "setting": next((n.setting for n in kept if n.setting == "inpatient"), last.setting),
                "complete": all(n.complete for n in kept),
            }
        )
        linked, assessment = member.together(documents, whole)
        if not assessment.relevant and len(documents) > 1 and leave_out_irrelevant(documents):
            linked, assessment = member.together(documents, whole)
        told = _Elsewhere(member, whole, documents, [member.document(n) for n in beside])
        told.lift(assessment, linked)
        gaps = [r.id for r in assessment.requirements if r.status != "documented"]
        report = _Builder(member, whole, documents, linked, assessment, told.answers(gaps), beside).report()
        encounter = next((n.encounter_id for n in kept if n.encounter_id is not None), None)
        return report.model_copy(
            update={
                "case_id": case_id or encounter or "+".join(n.note_id for n in kept),
                "warnings": [*warnings, *disagreeing, *report.warnings],
            }
        )

    def reports(self, notes: Iterable[Note]) -> Iterator[GapReport]:
        """Reports in the order of the notes, one note in memory at a time."""
        for note in notes:
            yield self.report(note)

    def doc(self, note: Note) -> Any:
        """A spaCy Doc over the note's own text: its sentences, medspaCy sections in `doc._.sections`, and every
        finding as a labelled span in `doc.spans["chartgap"]`. Its vocabulary is its own and goes with it.
        """
        from analyzer.reading.docs import as_doc

        member = self._for_note(note)
        doc = as_doc(note.text, member.pack.reader.segments(note.text), self.report(note).findings)
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


def _period(earliest: date | None, latest: date | None) -> str | None:
    """A day as YYYY-MM-DD, a longer time as YYYY-MM-DD/YYYY-MM-DD."""
    if earliest is None or latest is None:
        return None
    return earliest.isoformat() if earliest == latest else f"{earliest.isoformat()}/{latest.isoformat()}"


class _Elsewhere:
    """What drafts, authors who do not answer for a diagnosis, and the context know beside the case."""

    def __init__(self, member: Member, whole: Note, documents: Sequence[Document], context: Sequence[Document]) -> None:
        self._member, self._whole, self._documents, self._context = member, whole, documents, context

    def lift(self, assessment: Assessment, linked: Linked) -> None:
        """What only an unsigned draft says is not missing, but no more than insufficient."""
        for judged in assessment.requirements:
            for number, document in enumerate(self._documents):
                if judged.status != "missing" or not document.draft or document.alone is None:
                    continue
                own = next(r for r in document.alone[1].requirements if r.id == judged.id)
                if own.status != "missing" and own.spots:
                    first = linked.reading.parts[number].first
                    judged.status = "insufficient"
                    judged.reason = self._member.pack.authors.draft_reason
                    judged.spots = [
                        replace(
                            s, start=s.start + document.start, end=s.end + document.start, segment=s.segment + first
                        )
                        for s in own.spots
                    ]

    def answers(self, gaps: Sequence[str]) -> dict[str, list[Evidence]]:
        """Where each gap is answered, newest document first."""
        lesser = [d for d in self._documents if not d.counts] if len(self._documents) > 1 else []
        return answers(gaps, [*lesser, *self._context], self._alone, self._beside)

    def _alone(self, document: Document) -> dict[str, Evidence]:
        own = Document(document.note, document.reading, document.age)
        linked, assessment = self._member.alone(own)
        return _Builder(self._member, own.note, [own], linked, assessment).shown(own)

    def _beside(self, document: Document) -> dict[str, Evidence]:
        """What a document of the context answers together with the case, where it is about the same problem."""
        if document not in self._context:
            return {}
        authors, note = self._member.pack.authors, document.note
        same = note.encounter_id is not None and note.encounter_id == self._whole.encounter_id
        if not (same or authors.transcript.holds(note) or self._member.alone(document)[1].relevant):
            return {}
        beside = replace(document, accountable=False, read_as=document.read_as or authors.told)
        documents = [*(replace(d) for d in self._documents), beside]
        linked, assessment = self._member.together(documents, self._whole)
        return _Builder(self._member, self._whole, documents, linked, assessment).shown(beside)


class _Builder:
    """Turns one assessment into the report's shapes. `note` heads the report; `documents` are all that were read."""

    def __init__(
        self,
        member: Member,
        note: Note,
        documents: Sequence[Document],
        linked: Linked,
        assessment: Assessment,
        answers: Mapping[str, Sequence[Evidence]] = MappingProxyType({}),
        context: Sequence[Note] = (),
    ) -> None:
        self._member, self._note, self._linked, self._assessment = member, note, linked, assessment
        self._documents = documents
        self._reading: Reading = linked.reading
        self._answers = answers
        self._context = {n.note_id: n for n in context}

    def report(self) -> GapReport:
        note, judged, member = self._note, self._assessment, self._member
        table = CodeTable.load(note.date_of_service)
        requirements = [self._requirement(r) for r in judged.requirements]
        by_basis = {
            basis: all(r.status == "documented" for r in requirements if r.basis == basis)
            for basis in ("coding", "audit")
        }
        queries: list[Query] = [r.query for r in requirements if r.query is not None]
        notes = [*(d.note for d in self._documents), *self._context.values()]
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
        undated = [d.note.note_id for d in self._documents if d.note.date_of_service is None]
        if undated:
            which = f"note {', '.join(undated)}: " if len(self._documents) > 1 else ""
            warnings.append(f"{which}no date of service: relative dates cannot be resolved")
        if note.date_of_service is not None and table.warning:
            warnings.append(table.warning)
        if note.code is not None and normalise(note.code) != member.code:
            warnings.append(f"no pack covers the note's code {normalise(note.code)}: judged for {member.code}")
        return GapReport(
            note_id=note.note_id,
            note_ids=[d.note.note_id for d in self._documents],
            text_sha256=case_sha256([d.note for d in self._documents]),
            code=member.code,
            code_title=member.title(table),
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
                queries,
                requirements,
                {n.note_id: n.text for n in notes},
                {n.note_id: n.date_of_service for n in notes},
                [e for r in requirements for e in self._citable(r.id)],
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

    def shown(self, document: Document) -> dict[str, Evidence]:
        """The first place in one document of every requirement that is documented."""
        out: dict[str, Evidence] = {}
        for r in self._assessment.requirements:
            if r.status == "documented":
                places = (e for e in self._evidence(r.spots, r.sides) if e.note_id == document.note.note_id)
                first = next(places, None)
                if first is not None:
                    out[r.id] = first
        return out

    def _citable(self, requirement: str) -> list[Evidence]:
        """The newest answer of the context that a query may cite: a dated record, of a fact of the past."""
        cases = self._member.pack.cases
        if requirement not in cases.cite_context or not (
            cases.cite_when is None or self._assessment.facts[cases.cite_when].holds
        ):
            return []
        places = self._answers.get(requirement, ())
        return [e for e in places if e.note_id in self._context and e.date is not None][:1]

    def _requirement(self, r: Judged) -> Requirement:
        evidence = self._evidence(r.spots[:6], r.sides)[:4]
        query = None
        if self._assessment.relevant and r.status != "documented":
            query = self._member.queries.build(
                r.id,
                r.status,  # type: ignore[arg-type]
                self._facts_asked,
                evidence,
                self._citable(r.id),
            )
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
            answered_elsewhere=[
                Elsewhere(**e.model_dump(include={"note_id", "author_role", "date", "text", "start", "end"}))
                for e in self._answers.get(r.id, ())
            ],
            sources=r.sources,
        )

    @cached_property
    def _facts_asked(self) -> frozenset[str]:
        """Those facts that hold, of all that the pack's questions ask for."""
        facts = self._assessment.facts
        return frozenset(name for name in self._member.queries.facts if facts[name].holds)

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
            document = document_at(self._documents, spot.start)
            note = document.note
            start, end = (offset - document.start for offset in self._quote(spot, document))
            side = (sides or {}).get(spot.start)
            if any(e.note_id == note.note_id and e.start < end and start < e.end and e.side == side for e in out):
                continue
            out.append(
                Evidence(
                    note_id=note.note_id,
                    start=start,
                    end=end,
                    text=note.text[start:end],
                    section=self._section(spot.segment),
                    assertion=spot.assertion,
                    author_role=note.author_role,
                    date=note.date_of_service,
                    side=side,
                )
            )
        return out

    def _section(self, segment: int) -> str:
        """The section as the note itself has it."""
        parts = self._reading.parts
        if not parts:
            return self._reading.segments[segment].section
        number = self._reading.part_of(segment)
        return self._documents[number].reading.segments[segment - parts[number].first].section

    def _quote(self, spot: Spot, document: Document) -> tuple[int, int]:
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
        text, at = document.note.text, document.start
        start, end = words.starts[low], words.ends[high - 1]
        # A quote begins at a word, not amid a date or at the comma before it, and does not end amid one.
        while start < spot.start and not _opens(text, start - at):
            start += 1
        while end > spot.end and not _closes(text, end - at):
            end -= 1
        return min(start, spot.start), max(end, spot.end)

    def _aside(self) -> Iterator[Mention]:
        """What was read and decides nothing beside the other notes."""
        for part, document in zip(self._reading.parts, self._documents, strict=False):
            if document.alone is not None:
                for i, m in enumerate(document.alone[0].reading.mentions):
                    if document.draft or i in document.set_aside:
                        yield moved(m, document.start, part.first)

    def _findings(self) -> list[Finding]:
        shown = self._member.pack.shown_elements
        out: list[Finding] = []
        seen: dict[tuple[str, ...], int] = {}
        rows: list[tuple[int, int, str, str, str, int, tuple[str, ...], str | None, tuple[int, int] | None]] = []
        for m in [*self._reading.mentions, *self._aside()]:
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
        dated = self._member.pack.head.linking.event_date
        for c in self._linked.dates:
            if dated is None:
                break
            d = c.mention
            span = _period(d.earliest, d.latest)
            rows.append(
                (
                    c.start,
                    c.end,
                    dated,
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
            document = document_at(self._documents, start)
            note = document.note
            begin, stop = start - document.start, end - document.start
            section = self._section(segment)
            text = note.text[begin:stop]
            key = (element, value, section, _SPACE.sub(" ", text.lower()))
            seen[(note.note_id, *key)] = count = seen.get((note.note_id, *key), 0) + 1
            digest = hashlib.sha256(f"[{', '.join(map(_in_json, key))}, {count}]".encode()).hexdigest()[:12]
            words = self._reading.words[segment]
            out.append(
                Finding(
                    id=digest,
                    note_id=note.note_id,
                    element=element,
                    value=value,
                    assertion=assertion,
                    section=section,
                    start=begin,
                    end=stop,
                    text=text,
                    site=[s for s in site if s != "elsewhere"],
                    date=when,
                    cue=self._reading.text[words.starts[cue[0]] : words.ends[cue[1] - 1]] if cue else None,
                )
            )
        return out

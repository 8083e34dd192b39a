"""The way through the house: a note is read, linked, judged and reported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from analyzer.assessment import Assessment, Judge, Judged
from analyzer.case import Document, case_code, case_sha256, concluding, document_at, merge, notes_in_order
from analyzer.codes import CodeTable, normalise
from analyzer.errors import CodeError
from analyzer.judging import Spot
from analyzer.linking import Linked, Linker
from analyzer.note import Note
from analyzer.packs import Pack, available_packs, load_pack
from analyzer.reading.reader import Reading
from analyzer.report import (
    Alert,
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

_QUOTE_LEFT, _QUOTE_RIGHT, _QUOTE_MOST = 4, 6, 20
_STOPS = {";", "|"}
_ANSWERS = 3


@dataclass
class _Member:
    """One pack made ready for one of its codes."""

    pack: Pack
    code: str
    linker: Linker
    judge: Judge


class Analyzer:
    """Reports documentation gaps for one code. Build once, use for many notes; keeps no note between calls.

    `code` is used for notes that carry none. `pack_folders` hold packs of a hospital's own.
    Raises CodeError where the code is unknown, cannot be billed or is covered by no pack.
    """

    def __init__(self, code: str | None = None, *, pack_folders: Sequence[str | Path] = ()) -> None:
        self._folders = list(pack_folders)
        self._packs: dict[str, Pack] = {}
        self._members: dict[str, _Member] = {}
        self._infos = available_packs(self._folders)
        self.code = code or self._infos_default()
        self._member(self.code, None)

    def _infos_default(self) -> str:
        return load_pack_cached(self._packs, self._infos[0].id, self._folders).head.default_code

    def _member(self, code: str, service: date | None) -> _Member:
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
                spec = pack.head.codes[name]
                linker = Linker(pack.head.linking, pack.dates, spec.target, spec.neighbours)
                member = _Member(pack, name, linker, Judge(pack.judging, pack.dates))
                self._members[code] = self._members[name] = member
                return member
        raise CodeError(f"{name}: no pack covers this code; `chartgap packs list` shows those that are covered")

    def _for_note(self, note: Note) -> _Member:
        """The note's own code decides; a reportable one without a pack leaves the analyzer's code, with a warning."""
        if note.code is None:
            return self._member(self.code, note.date_of_service)
        name = normalise(note.code)
        if not self._covers(name):
            problem = CodeTable.load(note.date_of_service).check(note.code)
            if problem is None or problem.kind == "not_carried":
                return self._member(self.code, note.date_of_service)
        return self._member(note.code, note.date_of_service)

    def _covers(self, name: str | None) -> bool:
        return any(name in info.codes for info in self._infos)

    def report(self, note: Note) -> GapReport:
        """The gap report of one note. Raises CodeError for the note's own code."""
        member = self._for_note(note)
        reading = member.pack.reader.read(note.text)
        linked = member.linker.link(reading, note.date_of_service, member.pack.age_of(note.text))
        assessment = member.judge.assess(linked, note.date_of_service, _about(note))
        return _Builder(member, note, [Document(note, reading, True)], linked, assessment).report()

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
        kept, about, warnings = notes_in_order(notes, context)
        carried, disagreeing = case_code(kept)
        service = max((n.date_of_service for n in kept if n.date_of_service is not None), default=None)
        member = self._for_note(kept[-1].model_copy(update={"code": carried or code, "date_of_service": service}))
        pack = member.pack
        documents = [Document(n, pack.reader.read(n.text), pack.authors.accountable(n)) for n in kept]
        whole = concluding(documents).note.model_copy(
            update={
                "code": carried or code,
                "date_of_service": service,
                "setting": next((n.setting for n in kept if n.setting == "inpatient"), kept[-1].setting),
                "complete": all(n.complete for n in kept),
            }
        )
        ages = [pack.age_of(n.text) for n in kept]
        linked = member.linker.link(merge(documents, pack.authors, ages), service, ages[0])
        assessment = member.judge.assess(linked, service, _about(whole))
        report = _Builder(member, whole, documents, linked, assessment).report()
        answers = [self._answers(member, note) for note in about]
        requirements = [
            r if r.status == "documented" else r.model_copy(update={"answered_elsewhere": _newest(r.id, answers)})
            for r in report.requirements
        ]
        encounter = next((n.encounter_id for n in kept if n.encounter_id is not None), None)
        return report.model_copy(
            update={
                "requirements": requirements,
                "case_id": case_id or encounter or "+".join(n.note_id for n in kept),
                "warnings": [*warnings, *disagreeing, *report.warnings],
            }
        )

    @staticmethod
    def _answers(member: _Member, note: Note) -> dict[str, Elsewhere]:
        """What another note documents, judged alone: the place that shows it best, by requirement."""
        reading = member.pack.reader.read(note.text)
        linked = member.linker.link(reading, note.date_of_service, member.pack.age_of(note.text))
        assessment = member.judge.assess(linked, note.date_of_service, _about(note))
        other = _Builder(member, note, [Document(note, reading, True)], linked, assessment).report()
        return {
            r.id: Elsewhere(
                note_id=note.note_id,
                author_role=note.author_role,
                date=note.date_of_service,
                **r.evidence[0].model_dump(include={"text", "start", "end"}),
            )
            for r in other.requirements
            if r.status == "documented" and r.evidence
        }

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


def _period(earliest: date | None, latest: date | None) -> str | None:
    """A day as YYYY-MM-DD, a longer time as YYYY-MM-DD/YYYY-MM-DD."""
    if earliest is None or latest is None:
        return None
    return earliest.isoformat() if earliest == latest else f"{earliest.isoformat()}/{latest.isoformat()}"


def _newest(requirement: str, answers: Sequence[dict[str, Elsewhere]]) -> list[Elsewhere]:
    """The first few answers to a requirement; `answers` come newest note first."""
    return [found[requirement] for found in answers if requirement in found][:_ANSWERS]


def _about(note: Note) -> dict[str, str | None]:
    return {
        "setting": note.setting,
        "author_role": note.author_role,
        "note_type": note.note_type,
        "code": normalise(note.code) if note.code else None,
    }


class _Builder:
    """Turns one assessment into the report's shapes. `note` heads the report; `documents` are all that were read."""

    def __init__(
        self, member: _Member, note: Note, documents: Sequence[Document], linked: Linked, assessment: Assessment
    ) -> None:
        self._member, self._note, self._linked, self._assessment = member, note, linked, assessment
        self._documents = documents
        self._reading: Reading = linked.reading

    def report(self) -> GapReport:
        note, judged, member = self._note, self._assessment, self._member
        table = CodeTable.load(note.date_of_service)
        facts = frozenset(name for name, fact in judged.facts.items() if fact.holds)
        requirements = [self._requirement(r, facts) for r in judged.requirements]
        by_basis = {
            basis: all(r.status == "documented" for r in requirements if r.basis == basis)
            for basis in ("coding", "audit")
        }
        queries: list[Query] = [r.query for r in requirements if r.query is not None]
        prompts = []
        if not note.complete:
            prompts = [
                Prompt(requirement=r.id, question=member.pack.queries.prompt(r.id))
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
            candidate_codes=[],
            queries=member.pack.queries.combine(
                queries,
                requirements,
                {d.note.note_id: d.note.text for d in self._documents},
                {d.note.note_id: d.note.date_of_service for d in self._documents},
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

    def _requirement(self, r: Judged, facts: frozenset[str]) -> Requirement:
        evidence = self._evidence(r.spots[:6], r.sides)[:4]
        query = None
        if self._assessment.relevant and r.status != "documented":
            query = self._member.pack.queries.build(r.id, r.status, facts, evidence)  # type: ignore[arg-type]
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
        start, end = words.starts[low], words.ends[high - 1]
        while end > start and document.note.text[end - document.start - 1] in ".,:;":
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
            document = document_at(self._documents, start)
            note = document.note
            begin, stop = start - document.start, end - document.start
            section = self._section(segment)
            text = note.text[begin:stop]
            key = (element, value, section, re.sub(r"\s+", " ", text.lower()))
            seen[(note.note_id, *key)] = count = seen.get((note.note_id, *key), 0) + 1
            digest = hashlib.sha256(json.dumps([*key, count]).encode("utf-8", "surrogatepass")).hexdigest()[:12]
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

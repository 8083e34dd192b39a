"""What a worker process does with a job: body in, answer out. One analyzer, built once, kept warm.

Bodies are read here rather than in the front process, so that a large or hostile one delays nobody else.
"""

from __future__ import annotations

import copy
import hashlib
import json
import traceback
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from analyzer.analyze import Analyzer
from analyzer.errors import CodeError, InputError
from analyzer.note import Note
from analyzer.packs import available_packs
from analyzer.querylint import LintProblem, lint
from analyzer.reference import CodePage, code_page
from analyzer.report import GapReport
from api.cards import cards, unread
from api.cds_notes import records_of_call
from api.cds_shapes import SERVICES, Card, HookAnswer, HookRequest
from api.jobs import PROBLEM_JSON, Answer, Gap, Job, Kind, NoteRead
from api.note_bodies import read_case, read_json, read_note, records
from api.offsets import convert, converter
from api.problems import Fault, Problem, ProblemError, problem, refusing
from api.shapes import (
    CaseRequest,
    CombineAnswer,
    CombineRequest,
    DocumentsAnswer,
    DocumentText,
    EditedQuery,
    LintAnswer,
    LintFinding,
    LintRequest,
    NoteRequest,
    OffsetUnit,
    PackAnswer,
    PackRequirement,
    PacksAnswer,
    PackSummary,
)


def problem_answer(detail: Problem, fault: str | None = None) -> Answer:
    """A problem as an answer; `fault` is for the log."""
    return Answer(detail.status, detail.model_dump_json().encode(), PROBLEM_JSON, fault=fault)


class Answers:
    """Answers jobs. Built once a process."""

    def __init__(self, code: str | None, pack_folders: Sequence[str]) -> None:
        self._folders = pack_folders
        self._packs_known = available_packs(pack_folders)
        self._analyzer = Analyzer(code, pack_folders=pack_folders)
        self._analyzer.report(Note(note_id="warm", text="CC: low back pain."))
        self._by_kind: dict[Kind, Callable[[Job], Answer]] = {
            "gap_report": self._gap_report,
            "case": self._case,
            "packs": self._packs,
            "pack": self._pack,
            "code": self._code,
            "lint": self._lint,
            "combine": self._combine,
            "documents": self._documents,
            "cds": self._cds,
        }

    def answer(self, job: Job) -> Answer:
        """The answer to a job, a problem where there is one. The text of an unexpected error is kept back."""
        try:
            with refusing():
                return self._by_kind[job.kind](job)
        except ProblemError as error:
            return problem_answer(error.problem)
        except CodeError as error:
            return problem_answer(problem("invalid", errors=[Fault(pointer="/code", detail=str(error))]))
        except InputError as error:
            return problem_answer(problem("invalid", str(error)))
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            return problem_answer(problem("internal"), place)

    def _for_code(self, code: str | None) -> Analyzer:
        if code is None:
            return self._analyzer
        analyzer = copy.copy(self._analyzer)
        analyzer.code = code
        return analyzer

    def _gap_report(self, job: Job) -> Answer:
        note, warnings = read_note(job.body, job.media_type)
        report = self._for_code(job.parameters.get("code")).report(note)
        return _report_answer(report, [note], job, note, warnings)

    def _case(self, job: Job) -> Answer:
        case, warnings = read_case(job.body, job.media_type)
        code = case.code or job.parameters.get("code")
        report = self._analyzer.case(case.notes, case.context, case_id=case.case_id, code=code)
        return _report_answer(report, [*case.notes, *case.context], job, case, warnings)

    def _packs(self, job: Job) -> Answer:
        packs = [PackSummary(id=p.id, title=p.title, version=p.version, codes=p.codes) for p in self._packs_known]
        return Answer(200, PacksAnswer(packs=packs).model_dump_json().encode())

    def _pack(self, job: Job) -> Answer:
        known = {info.id: info for info in self._packs_known}
        info = known.get(job.parameters["id"])
        if info is None:
            raise ProblemError("not-found", f"the packs are {', '.join(known)}")
        pack = self._analyzer.pack(info.id)
        answer = PackAnswer(
            id=info.id,
            title=info.title,
            version=info.version,
            codes=info.codes,
            sha256=pack.sha256,
            default_code=pack.head.default_code,
            requirements=[
                PackRequirement(
                    id=item["id"], label=item["label"], basis=item["basis"], prompt=pack.queries.prompt(item["id"])
                )
                for item in pack.judging["requirements"]["requirements"]
            ],
            elements={element: sorted(values) for element, values in pack.shown_elements.items()},
            sections=list(pack.head.sections),
            sources=dict(pack.head.sources),
        )
        return Answer(200, answer.model_dump_json().encode())

    def _code(self, job: Job) -> Answer:
        try:
            page = _code_page(job.parameters["code"], tuple(self._folders))
        except CodeError as error:
            raise ProblemError("not-found", str(error)) from None
        return Answer(200, page.model_dump_json().encode())

    def _lint(self, job: Job) -> Answer:
        asked = LintRequest.model_validate_json(job.body)
        answer = LintAnswer(findings=_found(lint(asked.text, asked.record), asked.text, asked.offset_unit))
        return Answer(200, answer.model_dump_json().encode())

    def _combine(self, job: Job) -> Answer:
        asked = read_json(CombineRequest, job.body)
        report = self._report_of(asked.notes, asked.case_id, asked.code or job.parameters.get("code"))
        drafted = {r.id: r.query for r in report.requirements}
        chosen = []
        for number, edited in enumerate(asked.queries):
            query = drafted.get(edited.requirement)
            if query is None:
                reason = "the notes leave no query to this requirement" if edited.requirement in drafted else "unknown"
                raise ProblemError("invalid", errors=[Fault(pointer=f"/queries/{number}/requirement", detail=reason)])
            changes = _changes(edited)
            if changes:
                content = json.dumps([query.id, changes], sort_keys=True).encode()
                changes["id"] = hashlib.sha256(content).hexdigest()[:12]
            chosen.append(query.model_copy(update=changes))
        texts = {note.note_id: note.text for note in asked.notes}
        messages = self._analyzer.pack(report.provenance.pack).queries.combine(
            chosen, report.requirements, texts, {note.note_id: note.date_of_service for note in asked.notes}
        )
        found = {m.id: _found(lint(m.text, list(texts.values())), m.text, "codepoint") for m in messages}
        answer = CombineAnswer(messages=messages, findings=found, compliant=not any(found.values()))
        return Answer(200, answer.model_dump_json().encode(), notes=_notes_read(asked.notes), code=report.code)

    def _documents(self, job: Job) -> Answer:
        found = records(job.body, job.media_type, job.parameters["name"])
        if not found:
            raise ProblemError("invalid", "the document holds no notes")
        texts = [DocumentText(note=r.note, reason=r.reason, warnings=list(r.warnings)) for r in found]
        # Named by their hashes only: the id may be the file's name, and that a patient's.
        notes = [record.note.model_copy(update={"note_id": ""}) for record in found if record.note is not None]
        return Answer(200, DocumentsAnswer(documents=texts).model_dump_json().encode(), notes=_notes_read(notes))

    def _cds(self, job: Job) -> Answer:
        call = HookRequest.model_validate_json(job.body)
        found = records_of_call(call, SERVICES[job.parameters["service"]])
        notes = [record.note for record in found if record.note is not None]
        out: list[Card] = []
        report = None
        if notes:
            report = self._report_of(notes, call.context.encounter_id, None)
            book = self._analyzer.pack(report.provenance.pack).queries
            out.extend(cards(report, notes, book, call.hook_instance))
        unread_reasons = [record.reason for record in found if record.reason is not None]
        if unread_reasons:
            out.append(unread(len(unread_reasons), len(found), unread_reasons, call.hook_instance))
        return Answer(
            200,
            HookAnswer(cards=out).model_dump_json(by_alias=True).encode(),
            notes=_notes_read(notes),
            **_judged(report),
        )

    def _report_of(self, notes: Sequence[Note], case_id: str | None, code: str | None) -> GapReport:
        """One note alone, several together."""
        if len(notes) == 1:
            return self._for_code(code).report(notes[0])
        return self._analyzer.case(notes, case_id=case_id, code=code)


@cache
def answers_for(code: str | None, pack_folders: tuple[str, ...]) -> Answers:
    """The answers of this process, built when first asked for. Raises ChartgapError for a wrong code or pack."""
    return Answers(code, pack_folders)


@lru_cache(maxsize=256)
def _code_page(code: str, folders: tuple[str, ...]) -> CodePage:
    return code_page(code, pack_folders=folders)


def _changes(edited: EditedQuery) -> dict[str, Any]:
    return edited.model_dump(exclude={"requirement"}, exclude_none=True)


def _found(problems: Sequence[LintProblem], text: str, unit: OffsetUnit) -> list[LintFinding]:
    at = converter(text, unit)
    return [
        LintFinding(rule=p.rule, start=at(p.start), end=at(p.end), text=p.text, message=p.message) for p in problems
    ]


def _notes_read(notes: Sequence[Note]) -> tuple[NoteRead, ...]:
    return tuple(NoteRead(note.note_id, hashlib.sha256(note.text.encode()).hexdigest()) for note in notes)


def _judged(report: GapReport | None) -> dict[str, Any]:
    """What the trail and the metrics are told of a report."""
    if report is None:
        return {}
    gaps = tuple(Gap(r.id, r.status) for r in report.requirements) if report.relevant else ()
    return {"code": report.code, "verdict": report.verdict, "gaps": gaps}


def _report_answer(
    report: GapReport, notes: Sequence[Note], job: Job, asked: NoteRequest | CaseRequest, warnings: Sequence[str]
) -> Answer:
    """The report's own bytes, unless the caller counts otherwise or named a revision. `warnings` are of the reading."""
    if warnings:
        report = report.model_copy(update={"warnings": [*report.warnings, *warnings]})
    unit: OffsetUnit = asked.offset_unit
    extra: dict[str, Any] = {}
    if "offset_unit" in asked.model_fields_set or "offset_unit" in job.parameters:
        if "offset_unit" not in asked.model_fields_set:
            unit = job.parameters["offset_unit"]  # type: ignore[assignment]
        extra["offset_unit"] = unit
    revision = asked.revision if asked.revision is not None else job.parameters.get("revision")
    if revision is not None:
        extra["revision"] = revision
    if not extra:
        body = report.to_json()
    else:
        value: Any = report.model_dump(mode="json")
        if unit != "codepoint":
            value = convert(value, {note.note_id: converter(note.text, unit) for note in notes})
        body = json.dumps({**value, **extra}, ensure_ascii=False, separators=(",", ":"))
    return Answer(200, body.encode(), notes=_notes_read(notes), **_judged(report))

"""One pack made ready for one of its codes: its texts, lists and region values filled in, its rules compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from pydantic import ValidationError

from analyzer.apart import find_apart
from analyzer.assessment import Assessment, Judge
from analyzer.candidates import CandidateRule, Candidates
from analyzer.case import Document, merge
from analyzer.codes import CodeTable, normalise
from analyzer.errors import CodeError, PackError
from analyzer.filling import filled
from analyzer.judging import ExpressionError
from analyzer.linking import Linked, Linker
from analyzer.note import Note
from analyzer.pack_files import CodeSpec
from analyzer.packs import Pack, judging_for
from analyzer.queries import QueryBook
from analyzer.reading.reader import Reading
from analyzer.yamlfile import line_of


@dataclass
class Member:
    """A pack's reading, linking, judging and candidate rules for one code."""

    pack: Pack
    code: str
    linker: Linker
    judge: Judge
    candidates: Candidates
    queries: QueryBook

    @classmethod
    def of(cls, pack: Pack, code: str) -> Member:
        """Make ready. Raises PackError where an expression of the pack cannot be read, KeyError for a foreign code."""
        spec: CodeSpec = pack.head.spec(code)
        judge = Judge(judging_for(pack.family_judging, spec), pack.dates)
        rules: list[CandidateRule] = []
        if pack.candidates is not None:
            data = filled([r.model_dump(by_alias=True) for r in pack.candidates.rules], spec.words, spec.all_lists)
            rules = [CandidateRule.model_validate(r) for r in data]
        shown, lines = pack.candidate_lines
        try:
            candidates = Candidates(rules, judge.names, judge.facts.names, code)
        except (ExpressionError, ValidationError) as error:
            raise PackError(shown, line_of(lines, ("rules",)), "rules", str(error)) from None
        linker = Linker(pack.head.linking.model_dump(), pack.dates, spec.target, spec.neighbours)
        queries = pack.queries if code == pack.head.default_code else pack.query_book(code)
        return cls(pack, code, linker, judge, candidates, queries)

    def title(self, table: CodeTable) -> str:
        """The code's title: the table's, else the pack's own where the table does not carry the code."""
        own = self.pack.head.spec(self.code).title
        try:
            return table.lookup(self.code).title
        except CodeError:
            return own or self.pack.head.title

    def read(self, text: str) -> Reading:
        """The mentions of a note, with regions as this code tells them apart."""
        return self.view(self.pack.reader.read(text))

    def view(self, reading: Reading) -> Reading:
        """A reading's mentions as this code tells regions apart: a copy, free to be written to."""
        called = self.pack.head.spec(self.code).regions
        site = self.pack.head.linking.site
        mentions = [
            replace(m, value=called.get(m.value, m.value)) if m.element == site else replace(m)
            for m in reading.mentions
        ]
        return Reading(reading.text, reading.segments, reading.words, mentions)

    def assess(
        self, reading: Reading, service: date | None, about: Mapping[str, str | None]
    ) -> tuple[Linked, Assessment]:
        """Link and judge a reading for this code. The reading's mentions are written to."""
        linked = self.linker.link(reading, service, self.pack.age_of(reading.text))
        return linked, self.judge.assess(linked, service, {**about, "judged_code": self.code})

    def document(self, note: Note, *, draft: bool = False) -> Document:
        """A note of a case, read."""
        authors = self.pack.authors
        text = authors.transcript.spoken(note.text) if authors.transcript.holds(note) else note.text
        kind = authors.kind_of(note)
        return Document(
            note,
            self.read(text),
            age=self.pack.age_of(note.text),
            accountable=kind is None,
            draft=draft,
            read_as=kind.read_as if kind is not None else {},
        )

    def alone(self, document: Document) -> tuple[Linked, Assessment]:
        """A note of a case judged by itself."""
        note = document.note
        return self.assess(document.copy_of_reading(), note.date_of_service, about(note))

    def together(self, documents: Sequence[Document], whole: Note) -> tuple[Linked, Assessment]:
        """The notes of a case judged as one. `whole` carries what is known of all of them."""
        linked = self.linker.link(merge(documents), whole.date_of_service, documents[0].age)
        find_apart(linked, self.pack.cases.same_event, self.pack.cases.vague)
        known = {**about(whole), "judged_code": self.code}
        return linked, self.judge.assess(linked, whole.date_of_service, known)


def about(note: Note) -> dict[str, str | None]:
    """What is known of a note beside its text, as the pack's facts ask for it."""
    return {
        "setting": note.setting,
        "author_role": note.author_role,
        "note_type": note.note_type,
        "code": normalise(note.code) if note.code else None,
    }

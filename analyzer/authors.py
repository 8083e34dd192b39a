"""Who wrote a note and what kind of note it is beside others: rules of patterns/common/authors.yaml.

Source: ICD-10-CM Official Guidelines I.B.14. An author nothing is known of is taken for the treating provider, as in a
note judged alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from analyzer.errors import PackError
from analyzer.note import Note
from analyzer.pack_files import validated
from analyzer.yamlfile import line_of, read_yaml


def _compiled(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return re.compile(value, re.I | re.M)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None


Pattern = Annotated[re.Pattern[str], BeforeValidator(_compiled)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _Example(_Strict):
    """What is known of a note."""

    author_role: str | None = None
    note_type: str | None = None
    text: str = ""


class _Examples(_Strict):
    match: list[_Example] = Field(min_length=1)
    no_match: list[_Example] = Field(min_length=1)


class AuthorKind(_Strict):
    """Notes of one kind of author who does not answer for a diagnosis."""

    kind: str
    label: str
    role: Pattern
    note_type: Pattern
    text: Pattern
    always: bool = False
    unless: Pattern | None = None
    read_as: dict[str, str]
    examples: _Examples

    def holds(self, note: Note) -> bool:
        """Whether the note is of this kind: by its author's role, else its type, else its words."""
        by_type = note.note_type is not None and self.note_type.search(note.note_type) is not None
        if self.always and by_type:
            found = True
        elif note.author_role is not None:
            found = self.role.search(note.author_role) is not None
        elif note.note_type is not None:
            found = by_type
        else:
            found = self.text.search(note.text) is not None
        return found and not (self.unless is not None and self.unless.search(note.text))


class _Draft(_Strict):
    reason: str


class _ByTypeOrText(_Strict):
    note_type: Pattern
    text: Pattern
    examples: _Examples

    def holds(self, note: Note) -> bool:
        """Whether the note is of this kind: by its type, or by its words."""
        if note.note_type is not None and self.note_type.search(note.note_type):
            return True
        return self.text.search(note.text) is not None


class Correction(_ByTypeOrText):
    """A note that puts an earlier one right."""

    words: Pattern
    replaced: Pattern


class Transcript(_ByTypeOrText):
    """A visit as it was spoken."""

    speaker: Pattern
    question: Pattern

    def spoken(self, text: str) -> str:
        """The text with speakers' names and questions blanked out; every other character keeps its place."""
        for pattern in (self.speaker, self.question):
            text = pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
        # A line left empty is no end of a paragraph.
        return re.sub(r"^[ \t]+\n", lambda m: " " * len(m.group()), text, flags=re.M)


class _AuthorsFile(_Strict):
    told: dict[str, str]
    kinds: list[AuthorKind] = Field(min_length=1)
    draft: _Draft
    correction: Correction
    transcript: Transcript


class Authors:
    """The kinds of authors and notes. Raises PackError naming file, line and key; also for an example that fails."""

    def __init__(self, file: Path | Traversable) -> None:
        shown = f"common/{file.name}"
        content, lines = read_yaml(file, shown)
        data = validated(_AuthorsFile, content, shown, lines)
        self._kinds = data.kinds
        self.told = data.told
        self.correction = data.correction
        self.transcript = data.transcript
        self.draft_reason = data.draft.reason
        for path, examples, holds in self._examples():
            for name, wanted in (("match", True), ("no_match", False)):
                for i, example in enumerate(getattr(examples, name)):
                    if holds(Note(note_id="example", **example.model_dump())) != wanted:
                        key = (*path, "examples", name, i)
                        reason = "is not of this kind" if wanted else "is of this kind"
                        raise PackError(shown, line_of(lines, key), ".".join(map(str, key)), reason)

    def _examples(self) -> Iterator[tuple[tuple[str | int, ...], _Examples, Any]]:
        for i, kind in enumerate(self._kinds):
            yield ("kinds", i), kind.examples, lambda note, kind=kind: self.kind_of(note) is kind
        yield ("correction",), self.correction.examples, self.correction.holds
        yield ("transcript",), self.transcript.examples, self.transcript.holds

    def kind_of(self, note: Note) -> AuthorKind | None:
        """The kind of a note whose author does not answer for a diagnosis; None for a treating provider's."""
        return next((kind for kind in self._kinds if kind.holds(note)), None)

    @staticmethod
    def drafts(notes: Sequence[Note]) -> list[bool]:
        """Which notes are unsigned drafts beside others; none where no other note would be left."""
        unsigned = [note.signed is False and note.complete for note in notes]
        return unsigned if not all(unsigned) else [False] * len(notes)

"""Who wrote a note, and whether that person answers for a diagnosis: rules of patterns/common/authors.yaml.

Source: ICD-10-CM Official Guidelines I.B.14. An author nothing is known of is taken for the treating provider, as in a
note judged alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from analyzer.errors import PackError
from analyzer.note import Note
from analyzer.yamlfile import line_of, read_yaml


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AuthorExample(_Strict):
    """What is known of a note."""

    author_role: str | None = None
    note_type: str | None = None
    text: str = ""


class AuthorExamples(_Strict):
    """Notes that are of a kind, and notes that are not."""

    match: list[AuthorExample] = Field(min_length=1)
    no_match: list[AuthorExample] = Field(min_length=1)


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
    examples: AuthorExamples


class _Draft(_Strict):
    label: str
    read_as: dict[str, str]


class _AuthorsFile(_Strict):
    kinds: list[AuthorKind] = Field(min_length=1)
    draft: _Draft


class Authors:
    """The kinds of authors. Raises PackError naming file, line and key for a broken file or an example that fails."""

    def __init__(self, file: Path | Traversable) -> None:
        shown = f"common/{file.name}"
        content, lines = read_yaml(file, shown)
        try:
            data = _AuthorsFile.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            path = tuple(first["loc"])
            raise PackError(shown, line_of(lines, path), ".".join(map(str, path)), first["msg"]) from None
        self._kinds = data.kinds
        self._draft = data.draft
        flags = re.I | re.M
        self._patterns = {
            kind.kind: {
                name: re.compile(pattern, flags)
                for name in ("role", "note_type", "text", "unless")
                if (pattern := getattr(kind, name)) is not None
            }
            for kind in data.kinds
        }
        for i, kind in enumerate(data.kinds):
            for name, wanted in (("match", True), ("no_match", False)):
                for j, example in enumerate(getattr(kind.examples, name)):
                    found = self.kind_of(Note(note_id="example", **example.model_dump()))
                    if (found is not None and found.kind == kind.kind) != wanted:
                        key = ("kinds", i, "examples", name, j)
                        reason = f"is read as {found.kind if found else 'an accountable author'}"
                        raise PackError(shown, line_of(lines, key), ".".join(map(str, key)), reason)

    def kind_of(self, note: Note) -> AuthorKind | None:
        """The kind of a note whose author does not answer for a diagnosis; None for a treating provider's."""
        for kind in self._kinds:
            if self._is(kind, self._patterns[kind.kind], note):
                return kind
        return None

    def accountable(self, note: Note) -> bool:
        """Whether the author answers for a diagnosis, as far as can be told."""
        return self.kind_of(note) is None

    def read_as(self, note: Note) -> Mapping[str, str]:
        """What sections of the note stand for beside other notes; empty for a treating provider's finished note."""
        kind = self.kind_of(note)
        if kind is not None:
            return kind.read_as
        return self._draft.read_as if note.signed is False else {}

    @staticmethod
    def _is(kind: AuthorKind, patterns: Mapping[str, re.Pattern[str]], note: Note) -> bool:
        by_type = note.note_type is not None and patterns["note_type"].search(note.note_type) is not None
        if kind.always and by_type:
            found = True
        elif note.author_role is not None:
            found = patterns["role"].search(note.author_role) is not None
        elif note.note_type is not None:
            found = by_type
        else:
            found = patterns["text"].search(note.text) is not None
        return found and not ("unless" in patterns and patterns["unless"].search(note.text))

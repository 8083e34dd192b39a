"""A pack's cases.yaml: how findings of several notes of one encounter are weighed against each other."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Course(_Strict):
    """Values of an element in the order in which they follow each other, and the requirement that judges them."""

    requirement: str
    element: str
    order: list[str] = Field(min_length=2)
    source: str


class CaseRules(_Strict):
    """cases.yaml. A pack without one has no rules of its own: notes are laid one after the other and judged."""

    course: list[Course] = Field(default_factory=list)
    states: list[str] = Field(default_factory=list)
    everywhere: list[str] = Field(default_factory=list)
    follow_up: list[str] = Field(default_factory=list)
    opinions: list[str] = Field(default_factory=list)
    corrects: list[str] = Field(default_factory=list)
    vague: list[str] = Field(default_factory=list)
    same_event: list[tuple[str, str]] = Field(default_factory=list)
    cite_when: str | None = None
    cite_context: list[str] = Field(default_factory=list)
    facts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    rules: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)

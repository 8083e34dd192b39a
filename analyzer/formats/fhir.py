"""FHIR R4: the notes in DocumentReference, DiagnosticReport and Composition resources, alone or in a Bundle.

Only what is read is modelled: exports carry profiles and extensions of every kind. Attachments of several content
types are the same note written several ways, so the plainest that can be read is taken.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TypeGuard

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from analyzer.errors import InputError
from analyzer.formats.days import iso_day
from analyzer.formats.document_codes import document_codes
from analyzer.formats.documents import attachment_text
from analyzer.formats.html import text_of_markup
from analyzer.formats.records import Record, Source, note_problem

NoteFields = tuple[dict[str, Any], tuple[str, ...]]
"""Fields of a note and warnings."""

_INPATIENT, _OUTPATIENT = frozenset({"IMP", "ACUTE", "NONAC"}), frozenset({"AMB", "EMER", "HH", "VR", "FLD", "OBSENC"})
_PLAINEST_FIRST = ("text/plain", "text/html", "application/xhtml+xml", "text/rtf", "application/rtf")
_MOST_SECTIONS = 10_000


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Coding(_Model):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class _Concept(_Model):
    coding: list[_Coding] = Field(default_factory=list)
    text: str | None = None

    def words(self) -> str | None:
        """What the concept is called."""
        displays = (coding.display or coding.code for coding in self.coding)
        return self.text or next((shown for shown in displays if shown), None)


class _Identifier(_Model):
    value: str | None = None


class _Reference(_Model):
    reference: str | None = None
    identifier: _Identifier | None = None

    def id(self) -> str | None:
        """The id of the resource referred to, without its type."""
        if self.reference and not self.reference.startswith("#"):
            return self.reference.partition("/_history/")[0].rpartition("/")[2].removeprefix("urn:uuid:") or None
        return self.identifier.value if self.identifier else None


class _Period(_Model):
    start: str | None = None
    end: str | None = None


class _Attachment(_Model):
    contentType: str | None = None
    data: str | None = None
    url: str | None = None
    creation: str | None = None
    size: int | None = None


class _Content(_Model):
    attachment: _Attachment


class _Context(_Model):
    encounter: list[_Reference] = Field(default_factory=list)
    period: _Period | None = None


class _Relation(_Model):
    code: Any = None
    target: _Reference | None = None


class _Narrative(_Model):
    div: str | None = None


class _Section(_Model):
    title: str | None = None
    code: _Concept | None = None
    text: _Narrative | None = None
    section: list[dict[str, Any]] = Field(default_factory=list)


def _as_context(value: Any) -> Any:
    """In R5 the context is the list of encounters."""
    return {"encounter": value} if isinstance(value, list) else value


class _Resource(_Model):
    id: str | None = None
    status: str | None = None
    subject: _Reference | None = None
    identifier: Any = None

    def own_id(self) -> str | None:
        """The resource's id, else its first business identifier."""
        found = self.identifier if isinstance(self.identifier, list) else [self.identifier]
        values = [item["value"] for item in found if isinstance(item, dict) and isinstance(item.get("value"), str)]
        return self.id or next((value for value in values if value), None)


class _DocumentReference(_Resource):
    masterIdentifier: _Identifier | None = None
    docStatus: str | None = None
    type: _Concept | None = None
    date: str | None = None
    author: list[_Reference] = Field(default_factory=list)
    relatesTo: list[_Relation] = Field(default_factory=list)
    content: list[_Content] = Field(default_factory=list)
    context: Annotated[_Context, BeforeValidator(_as_context)] = Field(default_factory=_Context)
    period: _Period | None = None


class _DiagnosticReport(_Resource):
    code: _Concept | None = None
    encounter: _Reference | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: _Period | None = None
    issued: str | None = None
    performer: list[_Reference] = Field(default_factory=list)
    resultsInterpreter: list[_Reference] = Field(default_factory=list)
    presentedForm: list[_Attachment] = Field(default_factory=list)
    conclusion: str | None = None
    text: _Narrative | None = None


class _Composition(_Resource):
    type: _Concept | None = None
    encounter: _Reference | None = None
    date: str | None = None
    author: list[_Reference] = Field(default_factory=list)
    section: list[dict[str, Any]] = Field(default_factory=list)


class Neighbours:
    """The other resources of a Bundle and those contained in a resource, found by reference."""

    def __init__(self, bundle: Mapping[str, Any] | None = None) -> None:
        self._found: dict[str, Mapping[str, Any]] = {}
        self._replaced: set[str] = set()
        for entry in _list(bundle, "entry"):
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if not isinstance(resource, dict):
                continue
            self._found.setdefault(f"{resource.get('resourceType')}/{resource.get('id')}", resource)
            if isinstance(entry.get("fullUrl"), str):
                self._found.setdefault(entry["fullUrl"], resource)
            for relation in _list(resource, "relatesTo"):
                target = relation.get("target") if isinstance(relation, dict) else None
                if isinstance(target, dict) and "replaces" in str(relation.get("code")):
                    self._replaced.add(str(target.get("reference")))

    def resource(self, reference: str | None, owner: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The resource that `owner` refers to, if it is at hand."""
        if not reference:
            return None
        if reference.startswith("#"):
            contained = (item for item in _list(owner, "contained") if isinstance(item, dict))
            return next((item for item in contained if item.get("id") == reference[1:]), None)
        reference = reference.partition("/_history/")[0]
        return self._found.get(reference) or self._found.get("/".join(reference.split("/")[-2:]))

    def replaces(self, resource_type: str, resource_id: str | None) -> bool:
        """Whether another document says that it replaces this one."""
        return f"{resource_type}/{resource_id}" in self._replaced


def is_resource(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is a FHIR resource."""
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def holds_note(resource: Mapping[str, Any]) -> bool:
    """Whether a resource is of a type that is read as a note."""
    return resource["resourceType"] in _READERS


def resource_record(
    source: Source,
    resource: Mapping[str, Any],
    number: int,
    size: int,
    *,
    neighbours: Neighbours | None = None,
    unit: str = "record",
    name: str | None = None,
) -> Record:
    """The record of a resource that holds a note; `name` is its id when it has none."""
    try:
        fields, warnings = _READERS[resource["resourceType"]](resource, neighbours or Neighbours())
    except InputError as error:
        return source.failure(number, size, str(error), note_id=resource.get("id"), unit=unit)
    except ValidationError as error:
        reason = f"{resource['resourceType']}: {note_problem(error, {})}"
        return source.failure(number, size, reason, note_id=resource.get("id"), unit=unit)
    fields = {"note_id": name or source.name, **{key: value for key, value in fields.items() if value is not None}}
    return source.record(number, size, fields, warnings, unit=unit)


def bundle_records(
    source: Source, bundle: Mapping[str, Any], size: int, *, line: int | None = None
) -> Iterator[Record]:
    """Records of a Bundle's notes, in the order of its entries; its other resources only tell about them.

    They are numbered by entry, or all by the `line` that the Bundle stands on.
    """
    entries = _list(bundle, "entry")
    neighbours = Neighbours(bundle)
    share = size // max(1, len(entries))
    unit = "entry" if line is None else "line"
    found = False
    for number, entry in enumerate(entries, start=1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        place = number if line is None else line
        if not is_resource(resource):
            if not isinstance(entry, dict) or resource is not None:
                found = True
                yield source.failure(place, share, "an entry of the Bundle is no resource", unit=unit)
            continue
        if holds_note(resource):
            found = True
            name = f"{source.name}#{number}"
            yield resource_record(source, resource, place, share, neighbours=neighbours, unit=unit, name=name)
    if not found:
        yield source.failure(
            line or 1, size, f"the Bundle holds no {_TYPES_READ}", unit="record" if line is None else unit
        )


def _list(owner: Mapping[str, Any] | None, key: str) -> list[Any]:
    value = owner.get(key) if owner is not None else None
    return value if isinstance(value, list) else []


def _document_reference(resource: Mapping[str, Any], neighbours: Neighbours) -> NoteFields:
    document = _DocumentReference.model_validate(resource)
    for status in (document.status, document.docStatus):
        _refuse(status)
    encounters = document.context.encounter
    encounter = neighbours.resource(encounters[0].reference, resource) if encounters else None
    attachments = [content.attachment for content in document.content]
    text, warnings = _text_of(attachments, resource, neighbours)
    if document.status == "superseded" or neighbours.replaces("DocumentReference", document.id):
        warnings = (*warnings, "superseded: a later version of this document exists")
    period = document.context.period or document.period
    created = next((attachment.creation for attachment in attachments if attachment.creation), None)
    day = _first_day(period.start if period else None, _start_of(encounter))
    if day is None and (day := _first_day(created, document.date)):
        warnings = (*warnings, "date_of_service is the day the document was made: it names no visit")
    identifier = document.masterIdentifier
    return {
        "note_id": document.own_id() or (identifier.value if identifier else None),
        "text": text,
        "date_of_service": day,
        "note_type": document.type.words() if document.type else None,
        "setting": _setting(encounter),
        "author_role": _role(document.author, resource, neighbours),
        "signed": {"final": True, "amended": True, "preliminary": False}.get(document.docStatus or ""),
        "patient_id": document.subject.id() if document.subject else None,
        "encounter_id": encounters[0].id() if encounters else None,
    }, warnings


def _diagnostic_report(resource: Mapping[str, Any], neighbours: Neighbours) -> NoteFields:
    report = _DiagnosticReport.model_validate(resource)
    _refuse(report.status)
    warnings: tuple[str, ...] = ()
    conclusion = (report.conclusion or "").strip()
    narrative = text_of_markup(report.text.div) if report.text and report.text.div else ""
    if report.presentedForm:
        try:
            text, warnings = _text_of(report.presentedForm, resource, neighbours)
        except InputError as error:
            if not (narrative or conclusion):
                raise
            text, warnings = narrative, (f"presentedForm was not read: {error}",)
    else:
        text = narrative
    if conclusion and " ".join(conclusion.split()) not in " ".join(text.split()):
        text = f"{text.rstrip()}\n\nConclusion:\n{conclusion}\n".lstrip("\n")
    if not text.strip():
        raise InputError("DiagnosticReport without text: no presentedForm, conclusion or narrative")
    encounter = neighbours.resource(report.encounter.reference, resource) if report.encounter else None
    period = report.effectivePeriod
    day = _first_day(report.effectiveDateTime, period.start if period else None, _start_of(encounter))
    if day is None and (day := _first_day(report.issued)):
        warnings = (*warnings, "date_of_service is the day the document was made: it names no visit")
    final = report.status in ("final", "amended", "corrected", "appended")
    return {
        "note_id": report.own_id(),
        "text": text,
        "date_of_service": day,
        "note_type": report.code.words() if report.code else None,
        "setting": _setting(encounter),
        "author_role": _role([*report.resultsInterpreter, *report.performer], resource, neighbours),
        "signed": True if final else False if report.status in ("registered", "partial", "preliminary") else None,
        "patient_id": report.subject.id() if report.subject else None,
        "encounter_id": report.encounter.id() if report.encounter else None,
    }, warnings


def _composition(resource: Mapping[str, Any], neighbours: Neighbours) -> NoteFields:
    composition = _Composition.model_validate(resource)
    _refuse(composition.status)
    text = _sections_text(composition.section)
    if not text:
        raise InputError("Composition without text in its sections")
    encounter = neighbours.resource(composition.encounter.reference, resource) if composition.encounter else None
    warnings: tuple[str, ...] = ()
    day = _start_of(encounter)
    if day is None and (day := _first_day(composition.date)):
        warnings = ("date_of_service is the day the document was made: it names no visit",)
    return {
        "note_id": composition.own_id(),
        "text": text,
        "date_of_service": day,
        "note_type": composition.type.words() if composition.type else None,
        "setting": _setting(encounter),
        "author_role": _role(composition.author, resource, neighbours),
        "signed": {"final": True, "amended": True, "preliminary": False}.get(composition.status or ""),
        "patient_id": composition.subject.id() if composition.subject else None,
        "encounter_id": composition.encounter.id() if composition.encounter else None,
    }, warnings


_READERS: Mapping[str, Callable[[Mapping[str, Any], Neighbours], NoteFields]] = {
    "DocumentReference": _document_reference,
    "DiagnosticReport": _diagnostic_report,
    "Composition": _composition,
}
_TYPES_READ = "DocumentReference, DiagnosticReport or Composition"


def _refuse(status: str | None) -> None:
    if status in ("entered-in-error", "cancelled"):
        raise InputError(f"{status}: the document is not to be used")


def _sections_text(sections: list[dict[str, Any]]) -> str:
    parts: list[str] = []
    todo = list(reversed(sections))
    read = 0
    while todo and (read := read + 1) <= _MOST_SECTIONS:
        section = _Section.model_validate(todo.pop())
        text = text_of_markup(section.text.div) if section.text and section.text.div else ""
        if text:
            parts.append("".join(f"{title}:\n" for title in _titles(section)) + text)
        todo.extend(reversed(section.section))
    return "\n\n".join(parts) + "\n" if parts else ""


def _titles(section: _Section) -> list[str]:
    written = (section.title or "").strip().rstrip(" :")
    codes = [coding.code or "" for coding in section.code.coding] if section.code else []
    known = next((title for code in codes if (title := document_codes().section_titles.get(code))), None)
    title = known or ("" if written or section.code is None else section.code.words())
    return [text for text in (title if title and title.casefold() not in written.casefold() else "", written) if text]


def _text_of(
    attachments: list[_Attachment], owner: Mapping[str, Any], neighbours: Neighbours
) -> tuple[str, tuple[str, ...]]:
    """Text of the plainest content type that can be read; several attachments of one type follow each other."""
    if not attachments:
        raise InputError(f"{owner['resourceType']} without an attachment")
    kinds = sorted({_media(a) for a in attachments}, key=lambda kind: (_rank(kind), kind))
    problems: list[str] = []
    for kind in kinds:
        texts: list[str] = []
        warnings: list[str] = []
        try:
            for attachment in attachments:
                if _media(attachment) != kind:
                    continue
                raw, media_type = _data(attachment, owner, neighbours)
                text, more = attachment_text(raw, media_type)
                texts.append(text)
                warnings.extend(more)
                if attachment.size is not None and attachment.data and attachment.size != len(raw):
                    warnings.append("an attachment is not as long as it says: it may be cut off")
        except InputError as error:
            problems.append(
                f"attachment{f' ({kind})' if kind.isprintable() and len(kind) <= 80 and kind else ''}: {error}"
            )
            continue
        if any(text.strip() for text in texts):
            return "\n\n".join(texts), (*problems, *warnings)
        problems.append("attachment: is empty")
    raise InputError("; ".join(problems))


def _media(attachment: _Attachment) -> str:
    return (attachment.contentType or "").partition(";")[0].strip().lower()


def _rank(media_type: str) -> int:
    return _PLAINEST_FIRST.index(media_type) if media_type in _PLAINEST_FIRST else len(_PLAINEST_FIRST)


def _data(attachment: _Attachment, owner: Mapping[str, Any], neighbours: Neighbours) -> tuple[bytes, str | None]:
    data, media_type = attachment.data, attachment.contentType
    if data is None and attachment.url:
        binary = neighbours.resource(attachment.url, owner)
        linked = binary.get("data") if binary is not None else None
        if binary is None or not isinstance(linked, str):
            raise InputError("is a link (url) whose data is not in this file")
        data = linked
        media_type = media_type or (binary["contentType"] if isinstance(binary.get("contentType"), str) else None)
    if data is None:
        raise InputError("has neither data nor a url")
    try:
        return base64.b64decode("".join(data.split()), validate=True), media_type
    except (binascii.Error, ValueError):
        raise InputError("is no valid base64") from None


def _first_day(*times: str | None) -> str | None:
    return next((day for time in times if (day := iso_day(time))), None)


def _start_of(encounter: Mapping[str, Any] | None) -> str | None:
    period = encounter.get("period") if encounter is not None else None
    start = period.get("start") if isinstance(period, dict) else None
    return iso_day(start) if isinstance(start, str) else None


def _setting(encounter: Mapping[str, Any] | None) -> str | None:
    found = encounter.get("class") if encounter is not None else None
    code = found.get("code") if isinstance(found, dict) else None
    if not isinstance(code, str):
        return None
    return "inpatient" if code in _INPATIENT else "outpatient" if code in _OUTPATIENT else None


def _role(authors: list[_Reference], owner: Mapping[str, Any], neighbours: Neighbours) -> str | None:
    """What the first author whose resource is at hand is: a role, else a qualification."""
    for author in authors:
        person = neighbours.resource(author.reference, owner)
        for item in _list(person, "code"):
            if isinstance(item, dict) and (words := _words(item)):
                return words
        for item in _list(person, "qualification"):
            if isinstance(item, dict) and isinstance(item.get("code"), dict) and (words := _words(item["code"])):
                return words
    return None


def _words(concept: dict[str, Any]) -> str | None:
    try:
        return _Concept.model_validate(concept).words()
    except ValidationError:
        return None

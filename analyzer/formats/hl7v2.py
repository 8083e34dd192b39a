"""HL7 v2: the documents in MDM and ORU messages, one message or a batch file of them, with or without MLLP framing.

A file is read twice: once for which document a later message corrects or cancels, once for the documents. An earlier
version is a failure that says so; nothing is read twice as two notes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from analyzer.errors import InputError
from analyzer.formats.days import iso_day
from analyzer.formats.document_codes import document_codes
from analyzer.formats.documents import attachment_text
from analyzer.formats.encoding import decode, encoding_warnings, utf8_stream
from analyzer.formats.records import MOST_DOCUMENT_BYTES, Record, Source

_ENDS = bytes.maketrans(b"\n\x0b\x1c", b"\r\r\r")
"""Line ends and the bytes that frame a message (MLLP), all read as the standard's segment end."""
_BATCH_BEGINS, _BATCH_ENDS = (b"FHS", b"BHS"), (b"FTS", b"BTS")
_CHARACTER_SETS = {
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "cp1252",
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/7": "iso8859-7",
    "8859/9": "cp1254",
    "8859/15": "iso8859-15",
}

_WITH_TEXT = frozenset({"T02", "T04", "T06", "T08", "T10"})
_CANCELS = "T11"
_TEXT_TYPES = frozenset({"TX", "FT", "ST", "", "CF", "GTS"})
_GONE = {"D": "deleted", "W": "wrong", "X": "cancelled"}
_NOT_AVAILABLE = {"CA": "cancelled", "OB": "obsolete", "UN": "not available"}
_SIGNED = {"AU": True, "LA": True, "DI": False, "IP": False, "IN": False, "PA": False, "DO": False}
_SETTINGS = {"I": "inpatient", "O": "outpatient", "E": "outpatient", "R": "outpatient"}
_MOST_FORMATTING = 200
_HEAD_OF_RESULT = 400


@dataclass(slots=True)
class _Message:
    """The bytes of one message's lines, in order; `number` counts messages from 1."""

    number: int
    lines: list[bytes] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _Counted:
    """What batch headers and trailers say, against what was found."""

    opened: int = 0
    closed: int = 0
    stray: int = 0
    said: int | None = None
    in_batch: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Marks:
    """The separators that a message declares for itself."""

    fields: str
    component: str
    repetition: str
    escape: str
    subcomponent: str


@dataclass(slots=True)
class _Segment:
    name: str
    fields: list[str]

    def get(self, number: int) -> str:
        """A field as sent, '' when it is not there; numbered as in the standard."""
        index = number - 1 if self.name == "MSH" else number
        return self.fields[index] if 0 <= index < len(self.fields) else ""


Key = tuple[str, ...]
_Fate = dict[tuple[int, int], str]
"""What became of a document, by message and group in it."""


def read_hl7(source: Source) -> Iterator[Record]:
    """A record for each document of each message, numbered by message."""
    fate = _fates(source)
    counted = _Counted()
    number = 0
    for message in _messages(_rewound(source), counted):
        number = message.number
        try:
            segments, marks, used = _parsed(message.lines, source.encoding)
            groups = _groups(segments, marks)
        except InputError as error:
            yield source.failure(number, message.size, str(error), unit="message")
            continue
        share = message.size // len(groups)
        for index, group in enumerate(groups):
            note_id = _document_id(segments, group, marks, several=len(groups) > 1)
            try:
                if reason := fate.get((number, index)):
                    raise InputError(reason)
                fields, warnings = _note(segments, group, marks, used)
            except InputError as error:
                yield source.failure(number, share, str(error), note_id=note_id, unit="message")
                continue
            fields = {"note_id": note_id or f"{source.name}#{number}", **fields}
            yield source.record(number, share, fields, (*encoding_warnings(used), *warnings), unit="message")
    for problem in (*counted.problems, *_batch_problems(counted, number)):
        number += 1
        yield source.failure(number, 0, problem, unit="message")


def _rewound(source: Source) -> BinaryIO:
    source.stream.seek(0)
    # Other encodings keep the bytes of the separators; the two- and four-byte ones do not.
    stream, _ = utf8_stream(source.stream, None)
    return stream


def _messages(stream: BinaryIO, counted: _Counted) -> Iterator[_Message]:
    message: _Message | None = None
    number = 0
    for line in _lines(stream):
        name = line[:3]
        if name == b"MSH" and not line[3:4].isalnum():
            if message is not None:
                yield message
            number += 1
            counted.in_batch += 1
            message = _Message(number)
        elif name in _BATCH_BEGINS and not line[3:4].isalnum():
            if message is not None:
                yield message
            message = None
            counted.opened += 1
            if name == b"BHS":
                counted.in_batch = 0
            continue
        elif name in _BATCH_ENDS and not line[3:4].isalnum():
            if message is not None:
                yield message
            message = None
            counted.closed += 1
            said = line[4:].split(line[3:4] or b"|")[0].strip()
            if name == b"BTS" and said.isdigit() and len(said) < 10 and int(said) != counted.in_batch:
                counted.problems.append(
                    f"the batch trailer (BTS) counts {int(said)} messages, {counted.in_batch} were found"
                )
            continue
        if message is None:
            counted.stray += 1
            continue
        message.size += len(line) + 1
        if message.size > MOST_DOCUMENT_BYTES:
            raise InputError("a message too long to be read; what follows it was not read")
        message.lines.append(line)
    if message is not None:
        yield message


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    parts: list[bytes] = []
    held = 0
    while chunk := stream.read(1 << 16):
        pieces = chunk.translate(_ENDS).split(b"\r")
        for piece in pieces[:-1]:
            parts.append(piece)
            if line := b"".join(parts):
                yield line
            parts, held = [], 0
        parts.append(pieces[-1])
        held += len(pieces[-1])
        if held > MOST_DOCUMENT_BYTES:
            raise InputError("a segment too long to be read; what follows it was not read")
    if line := b"".join(parts).removeprefix(b"\xef\xbb\xbf"):
        yield line


def _batch_problems(counted: _Counted, messages: int) -> list[str]:
    problems = []
    if counted.opened > counted.closed:
        problems.append("the file ends without the trailer of its batch (FTS, BTS): it may be cut off")
    if counted.stray:
        problems.append(f"{counted.stray} lines stand outside of any message and were not read")
    if not messages and not counted.opened and not counted.stray:
        problems.append("holds no HL7 message")
    return problems


def _parsed(lines: Sequence[bytes], encoding: str | None) -> tuple[list[_Segment], _Marks, str]:
    head = lines[0].decode("latin-1")
    if len(head) < 8:
        raise InputError("MSH: the segment is cut off")
    marks = _Marks(head[3], head[4], head[5], head[6], head[7])
    if len({*head[3:8]}) < 5 or any(c.isalnum() or c.isspace() for c in head[3:8]):
        # Some senders leave out separators that they don't use.
        declared = head[4:].partition(head[3])[0]
        marks = _Marks(head[3], *(declared[i : i + 1] or usual for i, usual in enumerate("^~\\&")))
        if len({marks.fields, marks.component, marks.repetition, marks.escape, marks.subcomponent}) < 5:
            raise InputError("MSH-2: the encoding characters are not five different ones")
    declared_set = head.split(marks.fields)[17:18]
    named = declared_set[0].partition(marks.repetition)[0].strip().upper() if declared_set else ""
    raw = b"\r".join(lines)
    wanted = encoding or _CHARACTER_SETS.get(named)
    try:
        text, used = decode(raw, wanted)
    except InputError:
        if encoding is not None or wanted is None:
            raise
        text, used = decode(raw)
    starts = re.compile(r"[A-Z][A-Z0-9]{2}(?:" + re.escape(marks.fields) + r"|\Z)")
    whole: list[str] = []
    for line in text.split("\r"):
        if starts.match(line) or not whole:
            whole.append(line)
        else:
            # A line break inside a field, sent as it is.
            whole[-1] += "\n" + line
    segments = [_Segment(line[:3], line.split(marks.fields)) for line in whole]
    return segments, marks, used


def _first(segments: Sequence[_Segment], name: str) -> _Segment:
    return next((segment for segment in segments if segment.name == name), _Segment(name, [name]))


def _groups(segments: Sequence[_Segment], marks: _Marks) -> list[list[_Segment]]:
    """The segments of each document: of an MDM message the whole, of an ORU message those of each order with text.

    Raises InputError for a message that holds no document.
    """
    kind, _, event = _first(segments, "MSH").get(9).partition(marks.component)
    event = event.partition(marks.component)[0]
    shown = f"{kind}^{event}" if re.fullmatch(r"[A-Z0-9]{3}", kind) and re.fullmatch(r"[A-Z0-9]{0,3}", event) else ""
    if kind == "MDM":
        if event == _CANCELS:
            raise InputError("cancelled: MDM^T11 withdraws a document")
        if event not in _WITH_TEXT and not any(segment.name == "OBX" for segment in segments):
            raise InputError(f"{shown} tells of a document without its text")
        return [list(segments)]
    if kind != "ORU":
        raise InputError(f"{shown or 'messages of this type'}: holds no document (MDM and ORU are read)")
    groups: list[list[_Segment]] = []
    for segment in segments:
        if segment.name == "OBR" or (segment.name == "OBX" and not groups):
            groups.append([])
        if groups:
            groups[-1].append(segment)
    with_results = [group for group in groups if any(segment.name in ("OBX", "NTE") for segment in group)]
    if not with_results:
        raise InputError(f"{shown}: holds no results (OBX)")
    return with_results


def _document_id(
    segments: Sequence[_Segment], group: Sequence[_Segment], marks: _Marks, *, several: bool
) -> str | None:
    txa, obr = _first(group, "TXA"), _first(group, "OBR")
    numbers = (txa.get(12), obr.get(3), obr.get(2), _first(segments, "MSH").get(10))
    found = next((number for n in numbers if (number := _component(n, 1, marks))), None)
    if found and several:
        return f"{found}/{_component(obr.get(4), 1, marks) or obr.get(1)}"
    return found


def _note(
    segments: Sequence[_Segment], group: Sequence[_Segment], marks: _Marks, used: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    txa, obr, pid, pv1 = (
        _first(part, name) for part, name in ((group, "TXA"), (group, "OBR"), (segments, "PID"), (segments, "PV1"))
    )
    for status in (txa.get(17), txa.get(19)):
        if reason := _NOT_AVAILABLE.get(status):
            raise InputError(f"{reason}: the document is not to be used (TXA {status})")
    if obr.get(25) == "X":
        raise InputError("cancelled: no results, the order was cancelled (OBR-25 X)")
    results = [segment for segment in group if segment.name in ("OBX", "NTE")]
    text, warnings = _text(results, marks, used)
    statuses = {segment.get(11) for segment in results if segment.name == "OBX"}
    signed = _SIGNED.get(txa.get(17))
    if signed is None and txa.name not in {s.name for s in group}:
        signed = (
            False
            if statuses & {"P", "R", "S"} or obr.get(25) in ("P", "R", "S")
            else True
            if statuses & {"F", "C"}
            else None
        )
    day = _first_day(txa.get(4), obr.get(7), pv1.get(44))
    if day is None and (day := _first_day(txa.get(6), obr.get(22), _first(segments, "MSH").get(7))):
        warnings = (*warnings, "date_of_service is the day the document was made: it names no visit")
    if txa.get(13) and _event(segments, marks) == "T06":
        warnings = (*warnings, "an addendum: the document it belongs to is a note of its own")
    kind = _component(txa.get(2), 1, marks)
    known = {
        "text": text,
        "date_of_service": day,
        "note_type": _component(txa.get(2), 2, marks)
        or document_codes().hl7_document_types.get(kind or "", kind)
        or _component(obr.get(4), 2, marks)
        or _component(obr.get(4), 1, marks),
        "setting": _SETTINGS.get(pv1.get(2)),
        "author_role": _degree(txa, obr, marks),
        "signed": signed,
        "patient_id": _component(pid.get(3), 1, marks),
        "encounter_id": _component(pv1.get(19), 1, marks) or _component(pid.get(18), 1, marks),
    }
    return {key: value for key, value in known.items() if value is not None}, warnings


def _event(segments: Sequence[_Segment], marks: _Marks) -> str:
    parts = _first(segments, "MSH").get(9).split(marks.component)
    return parts[1] if len(parts) > 1 else ""


def _degree(txa: _Segment, obr: _Segment, marks: _Marks) -> str | None:
    """The author's degree or credential: of the originator, or of the result's interpreter."""
    if degree := _component(txa.get(9), 7, marks):
        return degree
    interpreter = obr.get(32).split(marks.repetition)[0].split(marks.component)[0].split(marks.subcomponent)
    return (_unescaped(interpreter[6], marks, "utf-8") or None) if len(interpreter) > 6 else None


def _component(value: str, number: int, marks: _Marks) -> str | None:
    """A component of a field's first repetition; None when it is empty or the explicit null."""
    parts = value.split(marks.repetition)[0].split(marks.component)
    found = (
        _unescaped(parts[number - 1].split(marks.subcomponent)[0], marks, "utf-8").strip()
        if len(parts) >= number
        else ""
    )
    return found if found and found != '""' else None


def _text(results: Sequence[_Segment], marks: _Marks, used: str) -> tuple[str, tuple[str, ...]]:
    """The text of results in order. Raises InputError when there is none, with the reason."""
    corrected = {(s.get(1), s.get(3), s.get(4)) for s in results if s.name == "OBX" and s.get(11) == "C" and s.get(1)}
    lines: list[str] = []
    attached: list[_Segment] = []
    gone: list[str] = []
    warnings: list[str] = []
    titles = {title for s in results if s.name == "OBX" and (title := _title(s, marks))}
    title = ""
    for segment in results:
        if segment.name == "NTE":
            lines.extend(_repetitions(segment.get(3), marks, used))
            continue
        status = segment.get(11)
        if status in _GONE:
            gone.append(f"{_GONE[status]} (OBX-11 {status})")
            continue
        if status != "C" and (segment.get(1), segment.get(3), segment.get(4)) in corrected:
            warnings.append("a line was replaced by its correction (OBX-11 C)")
            continue
        kind = segment.get(2)
        if kind in ("ED", "RP"):
            attached.append(segment)
            continue
        if kind not in _TEXT_TYPES:
            lines.extend(_coded(segment, marks))
            continue
        found = _repetitions(segment.get(5), marks, used)
        if len(titles) > 1 and (named := _title(segment, marks)) != title:
            title = named
            if named and not found[0].casefold().startswith(named.casefold()):
                lines.append(f"{named}:")
        lines.extend(found)
    text = "\n".join(lines)
    if text.strip():
        if attached:
            warnings.append("an attachment beside the text was not read")
        return text + "\n", tuple(dict.fromkeys(warnings))
    parts = []
    for segment in attached:
        part, more = _attachment(segment, marks, used)
        parts.append(part)
        warnings.extend(more)
    if parts:
        return "\n".join(parts), tuple(dict.fromkeys(warnings))
    raise InputError(f"{gone[0]}: the document is not to be used" if gone else "holds no text (OBX-5)")


def _title(segment: _Segment, marks: _Marks) -> str:
    return _component(segment.get(3), 2, marks) or ""


def _repetitions(value: str, marks: _Marks, used: str) -> list[str]:
    """A line for each repetition. A tilde that is text should be sent as an escape."""
    return (
        ["" if part == '""' else _unescaped(part, marks, used) for part in value.split(marks.repetition)]
        if value
        else [""]
    )


def _coded(segment: _Segment, marks: _Marks) -> list[str]:
    """A value that is no text, such as a number with its unit, beside its name."""
    value = segment.get(5)
    shown = (
        value
        if segment.get(2) not in ("CE", "CWE", "CNE")
        else _component(value, 2, marks) or _component(value, 1, marks)
    )
    if not value or value == '""' or not shown:
        return []
    words = (shown.replace(marks.component, " "), _component(segment.get(6), 1, marks) or "")
    name = _component(segment.get(3), 2, marks) or _component(segment.get(3), 1, marks)
    line = " ".join(word for word in words if word)
    return [f"{name}: {line}" if name else line]


def _attachment(segment: _Segment, marks: _Marks, used: str) -> tuple[str, tuple[str, ...]]:
    if segment.get(2) == "RP":
        raise InputError("the document is a link (OBX-2 RP) whose data is not in this file")
    parts = segment.get(5).split(marks.repetition)[0].split(marks.component)
    kind, subtype, encoding, data = (parts[i].strip() if i < len(parts) else "" for i in range(1, 5))
    media_type = f"{kind}/{subtype}".lower() if kind and subtype else None
    if encoding.casefold() == "base64":
        breaks = f"{marks.escape}.br{marks.escape}"
        try:
            raw = base64.b64decode("".join(data.replace(breaks, "").split()), validate=True)
        except (binascii.Error, ValueError):
            raise InputError("the document (OBX-5) is no valid base64") from None
    elif encoding.casefold() == "hex":
        try:
            raw = bytes.fromhex(data)
        except ValueError:
            raise InputError("the document (OBX-5) is no valid hexadecimal") from None
    else:
        raw = _unescaped(data, marks, used).encode("utf-8")
    return attachment_text(raw, media_type)


def _unescaped(text: str, marks: _Marks, used: str) -> str:
    """Escapes resolved; what is no escape, such as a lone backslash of a sender that does not escape, stays."""
    mark = marks.escape
    if mark not in text:
        return text
    sent = {"F": marks.fields, "S": marks.component, "T": marks.subcomponent, "R": marks.repetition, "E": mark}
    sent |= {"P": "#", "H": "", "N": ""}

    def resolved(match: re.Match[str]) -> str:
        code = match[1]
        if code in sent:
            return sent[code]
        if code[0] == ".":
            return _formatting(code[1:])
        if code[0] == "X":
            return _hexadecimal(code[1:], used)
        # Escapes to other character sets and those of one sender's own.
        return "\ufffd" if code[0] in "CM" else ""

    quoted = re.escape(mark)
    pattern = (
        rf"{quoted}([FSTREPHN]|X(?:[0-9A-Fa-f]{{2}}){{1,64}}|[CM][0-9A-Fa-f]{{4,6}}|Z[^{quoted}\s]{{0,20}}"
        rf"|\.(?:br|sp|in|ti|fi|nf|ce|sk)[ ]?[+-]?\d{{0,3}}){quoted}"
    )
    return re.sub(pattern, resolved, text)


def _formatting(command: str) -> str:
    name, digits = command[:2], re.sub(r"\D", "", command[2:])
    count = min(int(digits), _MOST_FORMATTING) if digits else 1
    if name in ("br", "ce"):
        return "\n"
    if name == "sp":
        return "\n" * count
    return " " * count if name in ("sk", "in", "ti") else ""


def _hexadecimal(digits: str, used: str) -> str:
    raw = bytes.fromhex(digits)
    try:
        text = raw.decode(used)
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _first_day(*times: str) -> str | None:
    return next((day for time in times if (day := iso_day(time))), None)


def _beginning(line: bytes) -> bytes:
    """A line without most of its text: what is asked of a result here is only whether it has a value."""
    return line[:_HEAD_OF_RESULT] if line[:3] in (b"OBX", b"NTE") else line


def _fates(source: Source) -> _Fate:
    """Which documents a later message of the file replaces or cancels, and the words for it."""
    fate: _Fate = {}
    last: dict[Key, tuple[int, int]] = {}
    for message in _messages(_rewound(source), _Counted()):
        try:
            segments, marks, _ = _parsed([_beginning(line) for line in message.lines], source.encoding)
            event = _event(segments, marks)
            if event == _CANCELS and _first(segments, "MSH").get(9).startswith("MDM"):
                groups = [segments]
            else:
                groups = _groups(segments, marks)
        except InputError:
            continue
        facility = _first(segments, "MSH").get(4)
        for index, group in enumerate(groups):
            txa, obr = _first(group, "TXA"), _first(group, "OBR")
            order = obr.get(3) or obr.get(2)
            keys: list[Key] = []
            if txa.get(12):
                keys.append((facility, txa.get(12)))
            elif order and obr.get(25) != "A":
                keys.append((facility, order, _component(obr.get(4), 1, marks) or ""))
            if event == "T10" and txa.get(13):
                keys.append((facility, txa.get(13)))
            withdraws = (
                event == _CANCELS
                or obr.get(25) == "X"
                or txa.get(17) in _NOT_AVAILABLE
                or txa.get(19) in _NOT_AVAILABLE
            )
            holds_text = any(segment.name == "OBX" and segment.get(5) for segment in group)
            for key in keys:
                if key in last and (withdraws or holds_text):
                    words = "cancelled by" if withdraws else "replaced by a later version in"
                    fate[last[key]] = f"{words} message {message.number}"
                if keys[0] == key and holds_text:
                    last[key] = (message.number, index)
    return fate

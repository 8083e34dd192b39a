"""How a note is laid out: sections, lines, list items, boxes, carried-forward passages, sentences.

The words that name sections and mark carried-forward text are data of the pack. Nothing here looks at what a sentence
says, only at how the page is built: hard-wrapped lines are joined, table cells and boxes told apart, dictation without
punctuation cut where a speaker starts anew.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analyzer.reading.followers import needed_letters

_LINE = re.compile(r"[^\n\r\f\v\x85\u2028\u2029]+")
_RULE_LINE = re.compile(r"[\s\-=*#_~.+|>/<]{3,}\Z")
_BULLET = re.compile(
    r"\s*(?:[-*•·–—>+◦▪●]+(?=\s)|\(?\d{1,2}[.)](?:\d{1,2}\.?)*(?=[\s\[]|[A-Za-z])|[A-Z][.)](?=\s)|[IVX]{1,4}\.(?=\s)|\d\s*\|(?=\s)|#(?=\s?\w))\s*"
)
_NUMBERED = re.compile(r"(?<=[.;:)\w%\"])\s+(?=(?:\(\d{1,2}\)|\d{1,2}[.)/])\s+\(?[A-Za-z])")
_BOX = re.compile(r"\[\s*(?P<mark>[xX✓✔]?)\s*\]|\((?P<round>[xX✓✔]|\s{1,3})\)(?=\s*\S)|(?P<on>[☑☒✓✔])|(?P<off>[☐□])")
_SENTENCE = re.compile(
    r"(?<=[.!?])(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\bvs\.)(?<!\bMrs\.)(?<!\bNo\.)(?<!\bapprox\.)(?<!\bPt\.)(?<!\bDRS\.)"
    r"(?<!\bDR\.)(?<!\bMR\.)(?<!\bST\.)(?<!\b[A-Z]\.)(?<!\bi\.e\.)(?<!\be\.g\.)(?<!\ba\.m\.)(?<!\bp\.m\.)(?<!\by\.o\.)"
    r"[\"'”’)\]]*(?:\s+|(?=[A-Z][a-z]{2}))(?=[\"'“‘(\[>]*[^\W_a-z]|[a-z]{3})"
    r"|(?<=[^\W\d_]{2}\.)(?=[A-Z][a-z]+\s)"
    r"|\s*\|+\s*|\s+>{2,}\s*|\s*\t+\s*|(?<=\S) {3,}(?=\S)|\s+/{3}\s+"
)
_LABEL = re.compile(
    r"(?P<title>[^\W\d_][\w/&'’.,+\- \xa0()]{0,58}?)\s*(?P<sep>:(?!\d)|\s[-–—]{1,2}\s|\s*\|\s|\s{3,}|\t|\s*=\s)"
)
_INLINE = re.compile(r"(?:(?<=[.;|/\])\"])\s+|(?<=\s\s)|(?<=[-–—]\s))(?P<title>[A-Z][A-Za-z/&'+\- ]{0,40}?):(?!\d)")
_ASIDE = re.compile(r"\(.*?\)|\[.*?\]")
_SHORT_TITLE = re.compile(r"[A-Z][A-Za-z/&]*(?: [A-Z][A-Z/&]+)?(?=\s)")
_TITLE_WORD = re.compile(r"[a-z0-9&/]+")
_NOT_TITLE = re.compile(r"[^a-z0-9&/]+")
_LOOK, _SPOKEN = 60, 3
# Letters that match i and s where case is ignored, though their small letters differ.
_FOLDING = re.compile("[\u0131\u017f]")
_CLOSE = re.compile(r"\[?\s*(?:end|end of (?:report|paste|copied text)|<<)\s*\]?", re.I)


@dataclass(slots=True)
class Segment:
    """A sentence-like stretch, text[start:end].

    `section` is a pack's section name, `label` the lower-cased words of a line label ("sacrum", "mri pelvis 3/14/25"),
    `box` is 'on'/'off' for a ticked or unticked box, `stale` marks carried-forward text, `block` counts paragraphs and
    `line` joined lines.
    """

    start: int
    end: int
    section: str
    label: str
    line: int
    block: int
    box: str | None = None
    stale: bool = False
    heading: str = ""


@dataclass(slots=True)
class _Line:
    start: int
    end: int
    blank_before: bool
    indent: int


@dataclass(frozen=True)
class LayoutRules:
    """Data of the pack: title words to section names, spoken titles, marks of carried-forward text."""

    titles: Mapping[str, str]
    short_titles: frozenset[str]
    suffix_titles: frozenset[str]
    prefix_titles: frozenset[str]
    spoken: re.Pattern[str] | None
    stale: re.Pattern[str] | None
    stale_tail: re.Pattern[str] | None
    restart: re.Pattern[str] | None
    one_line: frozenset[str]
    line_starts: Mapping[str, str]
    speakers: Mapping[str, str]
    line_starts_not_in: frozenset[str]
    one_sentence: frozenset[str]
    yes: frozenset[str]
    no: frozenset[str]


def _plain(title: str) -> str:
    return _NOT_TITLE.sub(" ", title.lower()).strip()


def _lines(text: str) -> list[_Line]:
    out: list[_Line] = []
    previous_end = 0
    for match in _LINE.finditer(text):
        raw = match.group()
        body = raw.strip()
        if not body or _RULE_LINE.match(raw):
            previous_end = -1
            continue
        start = match.start() + raw.index(body[0])
        blank = previous_end == -1 or text.count("\n", max(previous_end, 0), match.start()) > 1
        out.append(_Line(start, start + len(body), blank or not out, start - match.start()))
        previous_end = match.end()
    return out


def _join_wrapped(text: str, lines: Sequence[_Line], titles: Mapping[str, str]) -> list[tuple[int, int, bool]]:
    """Join hard-wrapped lines. Returns (start, end, begins a paragraph)."""
    groups: list[list[_Line]] = []
    for line in lines:
        if line.blank_before or not groups:
            groups.append([line])
        else:
            groups[-1].append(line)
    out: list[tuple[int, int, bool]] = []
    for group in groups:
        lengths = sorted(line.end - line.start for line in group)
        longest = lengths[-1]
        # A wrapped paragraph: most lines fill the same width, which is that of a page and not of a cell.
        filled = sum(1 for n in lengths if n >= longest * 0.8) / len(lengths)
        wrapped = len(group) >= 2 and 38 <= longest <= 110 and (filled >= 0.6 or (len(group) >= 4 and filled >= 0.5))
        current: tuple[int, int] | None = None
        first = True
        for i, line in enumerate(group):
            body = text[line.start : line.end]
            join = False
            if current is not None:
                prev = text[current[0] : current[1]]
                prev_line = group[i - 1]
                full = (prev_line.end - prev_line.start) >= longest * 0.72
                open_end = prev[-1] not in ".!?:|]>" or prev.endswith((" Dr.", " Mr.", " St.", " Mrs.", " vs."))
                bullet = _BULLET.match(body) is not None or _BOX.match(body) is not None
                label = _LABEL.match(body)
                titled = label is not None and _plain(label["title"]) in titles
                if not bullet and not titled:
                    if body[0].islower() or body[0] in "(,;&" or (body[0].isdigit() and open_end and prev[-1] in ",;"):
                        join = longest <= 130 and (full or open_end)
                    elif (
                        wrapped
                        and full
                        and (open_end or filled >= 0.7)
                        and not (label and label["sep"] == ":" and not open_end)
                    ):
                        join = label is None or label["sep"] != ":" or body[: label.end()].islower()
            if join and current is not None:
                current = (current[0], line.end)
            else:
                if current is not None:
                    out.append((current[0], current[1], first))
                    first = False
                current = (line.start, line.end)
        if current is not None:
            out.append((current[0], current[1], first))
    return out


class Layout:
    """Cuts a note into segments. Linear in the note's length."""

    def __init__(self, rules: LayoutRules) -> None:
        self._rules = rules
        self._stale_ways = [way for p in (rules.stale, rules.stale_tail) if p is not None for way in needed_letters(p)]
        self._title_starts = frozenset(title.split(" ")[0] for title in rules.titles)

    def segments(self, text: str) -> list[Segment]:
        """All segments in text order; together they hold every word of the note."""
        rules = self._rules
        may_be_stale = self._may_be_stale(text)
        lines = _lines(text)
        joined = _join_wrapped(text, lines, rules.titles)
        out: list[Segment] = []
        section, scope_line = "other", False
        stale_until_blank = False
        block = 0
        heading = ""
        for number, (start, end, opens) in enumerate(joined):
            if opens:
                block += 1
                if scope_line:
                    section, scope_line = "other", False
                if stale_until_blank:
                    stale_until_blank = False
            body = text[start:end]
            if stale_until_blank and _CLOSE.match(body.strip()):
                stale_until_blank = False
                continue
            offset = 0
            bullet = _BULLET.match(body)
            if bullet:
                offset = bullet.end()
            found = self._title(body[offset:])
            spoken = self._spoken(body[offset:])
            if spoken is not None:
                found = None
            label = ""
            if found is not None:
                name, size, whole = found
                title_text = body[offset : offset + size]
                line_scoped = name in rules.one_line and not whole
                if scope_line or line_scoped or not (bullet and name == "other"):
                    section = name
                scope_line = line_scoped
                heading = title_text.strip(" :|-#*=")[:80]
                out.append(Segment(start, start + offset + size, "header", "", number, block, heading=heading))
                out[-1].section = "header"
                offset += size
            else:
                named = _LABEL.match(body, offset)
                if (named and named["sep"].strip() in (":", "=")) or (named and named["sep"].isspace()):
                    label = _plain(named["title"])
                if scope_line and (label or bullet is None):
                    section, scope_line = "other", False
            # "MRI 4/2/26: ..." under the examination is a study all the same; the next line is not.
            own = spoken
            if own is None and label and section not in rules.line_starts_not_in:
                own = rules.line_starts.get(label.split(" ", 1)[0])
            if offset < len(body):
                stale_here = self._stale_spans(text, start + offset, end) if may_be_stale else []
                marker_only = any(
                    a <= start + offset + 2 and b >= end - 2 for a, b, label_only in stale_here if label_only
                )
                if marker_only:
                    stale_until_blank = True
                self._cut(
                    text,
                    start + offset,
                    end,
                    own or section,
                    label,
                    number,
                    block,
                    heading,
                    stale_here,
                    stale_until_blank,
                    out,
                )
                if own is not None:
                    continue
                section = out[-1].section if out and out[-1].line == number and out[-1].section != "header" else section
        return [s for s in out if s.end > s.start]

    def _title(self, body: str) -> tuple[str, int, bool] | None:
        """(section, length of the title, whether it fills the line)."""
        rules = self._rules
        stripped = body.strip(" *#=_-:|>~")
        # Most lines are no titles; the first word tells.
        if self._may_be_title(stripped):
            plain = _plain(stripped)
            if plain in rules.titles and len(plain) > 1:
                return rules.titles[plain], len(body), True
        if len(body) < 110 and ("(" in stripped or "[" in stripped) and not stripped.endswith("."):
            aside = " ".join(_ASIDE.findall(stripped))
            trimmed = _plain(_ASIDE.sub(" ", stripped))
            if len(aside.split()) <= 7 and trimmed in rules.titles and len(trimmed) > 2:
                return rules.titles[trimmed], len(body), True
        match = _LABEL.match(body)
        while match is not None:
            plain = _plain(match["title"])
            name = rules.titles.get(plain) or rules.titles.get(_plain(_ASIDE.sub(" ", match["title"])))
            if name is not None and (len(plain) > 1 or match["title"].isupper()):
                return name, match.end(), False
            last = plain.rsplit(" ", 1)[-1]
            if last in rules.suffix_titles and match["sep"].strip() in (":", "-", "|") and len(plain.split()) <= 4:
                return rules.titles[last], match.end(), False
            first = plain.split(" ", 1)[0]
            if first in rules.prefix_titles and match["sep"].strip() == ":" and 1 < len(plain.split()) <= 4:
                return rules.titles[first], match.end(), False
            break
        word = _SHORT_TITLE.match(body)
        if word is not None and _plain(word.group()) in rules.short_titles:
            return rules.titles[_plain(word.group())], word.end(), False
        return None

    def _spoken(self, body: str) -> str | None:
        """The section of a line of dialogue ("Patient: It was two years ago."), by who speaks."""
        who, colon, said = body.partition(":")
        if not colon or len(who) > _LOOK or len(said.split()) < _SPOKEN or said.rstrip()[-1:] not in ".?!\"'”":
            return None
        return self._rules.speakers.get(_plain(who))

    def _may_be_stale(self, text: str) -> bool:
        """Whether any mark of carried-forward text can stand in a note."""
        if not text.isascii() and _FOLDING.search(text):
            return True
        low = text.lower()
        return any(all(any(word in low for word in group) for group in way) for way in self._stale_ways)

    def _may_be_title(self, body: str) -> bool:
        """Whether a line begins as some title does."""
        low = body[:_LOOK].lower()
        word = _TITLE_WORD.search(low)
        return len(body) >= _LOOK if word is None else word.end() == len(low) or word.group() in self._title_starts

    def _stale_spans(self, text: str, start: int, end: int) -> list[tuple[int, int, bool]]:
        """Carried-forward stretches of a line: (from, to, whether the mark is only a label for what follows)."""
        rules = self._rules
        out: list[tuple[int, int, bool]] = []
        if rules.stale is not None:
            for match in rules.stale.finditer(text, start, end):
                opening = text.rfind("[", start, match.end())
                if opening >= 0 and text.find("]", opening, match.start()) < 0:
                    depth, close = 0, end
                    for i in range(opening, end):
                        if text[i] == "[":
                            depth += 1
                        elif text[i] == "]":
                            depth -= 1
                            if depth == 0:
                                close = i + 1
                                break
                    inside = text[match.end() : close]
                    if len(inside.split()) > 8:
                        out.append((opening, close, False))
                    else:
                        stop = text.find("<<", close, end)
                        label_only = not text[close:end].strip(" :-")
                        out.append((opening, end if stop < 0 else stop, label_only))
                else:
                    out.append((match.start(), end, not text[match.end() : end].strip(" :-").count(" ")))
        if rules.stale_tail is not None and rules.stale_tail.search(text, start, end):
            out.append((start, end, False))
        return out

    def _cut(
        self,
        text: str,
        start: int,
        end: int,
        section: str,
        label: str,
        line: int,
        block: int,
        heading: str,
        stale: Sequence[tuple[int, int, bool]],
        all_stale: bool,
        out: list[Segment],
    ) -> None:
        """Cut one joined line at inline titles, boxes and sentence ends."""
        rules = self._rules
        pieces: list[tuple[int, int, str, str]] = []
        cursor, name, head = start, section, heading
        for match in _INLINE.finditer(text, start, end):
            title = _plain(match["title"])
            if title in rules.titles and (len(title) > 1 or match["title"].isupper()):
                pieces.append((cursor, match.start("title"), name, head))
                cursor, name, head = match.end(), rules.titles[title], match["title"]
        pieces.append((cursor, end, name, head))
        for a, b, name, head in pieces:
            first_end = -1
            for c, d, box, box_label in _boxes(text, a, b, rules):
                for e, f, inner in self._sentences(text, c, d, name):
                    if name in rules.one_sentence and inner == name:
                        # "Meds: x, y. Tender over the sacrum." - a list of drugs ends with its sentence.
                        if first_end < 0:
                            first_end = f
                        else:
                            inner = "other"
                    while e < f and text[e].isspace():
                        e += 1
                    while f > e and text[f - 1].isspace():
                        f -= 1
                    if e < f:
                        old = all_stale or any(x <= e < y for x, y, _ in stale)
                        out.append(Segment(e, f, inner, box_label or label, line, block, box, old, head))

    def _sentences(self, text: str, start: int, end: int, section: str) -> list[tuple[int, int, str]]:
        rules = self._rules
        cuts = [start]
        for match in _sentence_ends(text, start, end):
            if match.end() > cuts[-1]:
                cuts.append(match.end())
        for match in _NUMBERED.finditer(text, start, end):
            cuts.append(match.end())
        cuts = [*sorted(set(cuts)), end]
        out: list[tuple[int, int, str]] = []
        for a, b in itertools.pairwise(cuts):
            if rules.restart is not None and b - a > 100:
                spoken = len(text[a:b].split())
                if spoken > 18 and sum(text.count(c, a, b) for c in ".;:,|/") * 20 < spoken:
                    out.extend(self._dictation(text, a, b, section))
                    section = out[-1][2]
                    continue
            out.append((a, b, section))
        return out

    def _dictation(self, text: str, start: int, end: int, section: str) -> list[tuple[int, int, str]]:
        """Speech without punctuation: cut where a speaker starts a new clause or names a section."""
        rules = self._rules
        marks: list[tuple[int, str | None]] = [(start, None)]
        if rules.restart is not None:
            marks.extend((m.start(), None) for m in rules.restart.finditer(text, start, end))
        if rules.spoken is not None:
            for m in rules.spoken.finditer(text, start, end):
                marks.append((m.start(), rules.titles.get(_plain(m.group()))))
        marks.sort(key=lambda item: (item[0], item[1] is None))
        out: list[tuple[int, int, str]] = []
        for (a, name), (b, _next) in zip(marks, [*marks[1:], (end, None)], strict=False):
            if name is not None:
                section = name
            if b > a:
                out.append((a, b, section))
        return out


def _sentence_ends(text: str, start: int, end: int) -> Iterator[re.Match[str]]:
    """What `_SENTENCE` finds. Without table marks it can only begin right behind a full stop, so only there it runs."""
    if _TABLE.search(text, start, end):
        yield from _SENTENCE.finditer(text, start, end)
        return
    done = start
    for stop in _STOP.finditer(text, max(start - 1, 0), end):
        if stop.end() >= done:
            match = _SENTENCE.match(text, stop.end(), end)
            if match is not None:
                yield match
                done = match.end()


_TABLE = re.compile(r"\||\t|>>|   |///")
_STOP = re.compile(r"[.!?]")
_TAIL_LABEL = re.compile(r"(?:\s{2,}|[.;,]\s+|\A\s*)(?P<label>[^\W\d_][^:\[\]]{0,40}):\s*\Z")


def _boxes(text: str, start: int, end: int, rules: LayoutRules) -> list[tuple[int, int, str | None, str]]:
    """Cut a line at its boxes: (start, end, state, label).

    States: 'on' and 'off' for ticked and unticked words; a question before its boxes ("Fever: [ ] yes [x] no") takes
    'no' or 'yes' from the box that is ticked, 'off' when none is; None for text without a box.
    """
    found = list(_BOX.finditer(text, start, end))
    if not found or (len(found) == 1 and found[0]["round"] is not None and not found[0]["round"].strip()):
        return [(start, end, None, "")]

    def ticked(match: re.Match[str]) -> bool:
        return bool(match["on"] or (match["mark"] or "").strip() or (match["round"] or "").strip())

    lead = text[start : found[0].start()]
    # "Fever [ ] Cough [x]": a box follows its word when the line ends with a box and starts with a word.
    if lead.strip() and not lead.rstrip().endswith(":") and not text[found[-1].end() : end].strip():
        out: list[tuple[int, int, str | None, str]] = []
        cursor = start
        for match in found:
            out.append((cursor, match.start(), "on" if ticked(match) else "off", ""))
            cursor = match.end()
        return out
    out = []
    question: int | None = None
    label = ""

    def open_question(a: int, b: int) -> None:
        nonlocal question, label
        label = _plain(text[a:b])
        question = len(out)
        out.append((a, b, "off", ""))

    if lead.strip():
        tail = _TAIL_LABEL.search(lead) if lead.rstrip().endswith(":") else None
        if tail is None:
            out.append((start, found[0].start(), None, ""))
        else:
            if lead[: tail.start("label")].strip():
                out.append((start, start + tail.start("label"), None, ""))
            open_question(start + tail.start("label"), found[0].start())
    for i, match in enumerate(found):
        stop = found[i + 1].start() if i + 1 < len(found) else end
        tail = _TAIL_LABEL.search(text[match.end() : stop]) if i + 1 < len(found) else None
        piece_end = match.end() + tail.start("label") if tail else stop
        if ticked(match):
            answer = _plain(text[match.end() : piece_end]).split(" ")[0]
            if question is not None and out[question][2] != "yes":
                a, b, _, _ = out[question]
                out[question] = (a, b, "no" if answer in rules.no else "yes", "")
            answer_words = text[match.end() : piece_end].split()
            alone = question is not None and not text[out[question][1] : match.start()].strip()
            if (
                question is not None
                and alone
                and answer not in rules.no
                and answer not in rules.yes
                and len(answer_words) <= 3
            ):
                # "Bowel/bladder: [x] nl" is one statement.
                out.append((out[question][0], piece_end, "on", label))
                out[question] = (out[question][0], out[question][0], None, "")
                question = None
            else:
                out.append((match.end(), piece_end, "on", label))
        else:
            out.append((match.end(), piece_end, "off", label))
        if tail:
            open_question(match.end() + tail.start("label"), stop)
    return out

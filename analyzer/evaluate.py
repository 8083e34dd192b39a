"""How well gap reports agree with labelled notes.

A *gap* is a requirement whose status is not `documented`. Requirements are those that the labels name, so any pack can
be evaluated. Every measure is a ratio of counts that add up over notes, so the bootstrap can resample notes.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import mul
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analyzer.audit.decisions import Decision, latest
from analyzer.errors import InputError
from analyzer.formats import decode, note_problem
from analyzer.report import GapReport

Key = tuple[str, ...]
Counts = Counter[Key]

EXACT_DATE_SLACK = 3
"""Days by which a found date may differ from a gold date given to the day."""

CITED_SPANS, CITED_WORDS = 3, 25
"""A status is grounded by one of its first spans, and only by a short one: quoting the whole note proves nothing."""

_BOOTSTRAP_SEED = 20251001


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class GoldRequirement(_Shape):
    """What a reader says about one requirement; `evidence` holds verbatim quotes (white space may differ)."""

    status: str
    value: Any = None
    evidence: list[str] = Field(default_factory=list)


class GoldNote(_Shape):
    """A labelled note. `whole` is false where only some requirements are labelled, and nothing else of the note."""

    note_id: str
    verdict: str | None
    alerts: list[str]
    requirements: dict[str, GoldRequirement]
    whole: bool = True


class _FoundSpan(_Shape):
    start: int
    end: int
    text: str


class _FoundRequirement(_Shape):
    id: str
    status: str | None = None
    value: Any = None
    evidence: list[_FoundSpan] | None = None


class _FoundAlert(_Shape):
    id: str


class FoundReport(_Shape):
    """The part of a gap report that is measured."""

    note_id: str
    verdict: str | None
    requirements: list[_FoundRequirement]
    alerts: list[_FoundAlert]

    @classmethod
    def of(cls, report: GapReport) -> FoundReport:
        """The measured part of a report."""
        return cls.model_validate(report.model_dump(mode="json", include=set(cls.model_fields)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`measures` over all notes, 95 % `intervals` by the measure's dotted name, and every `disagreements` line.

    A disagreement quotes gold and report, hence notes: print it only when asked to.
    """

    measures: dict[str, Any]
    intervals: dict[str, tuple[float, float]]
    disagreements: list[str]


_Line = TypeVar("_Line", bound=_Shape)


def read_gold(path: Path) -> list[GoldNote]:
    """Labels, one note a line. Raises InputError naming file, line and key; all lines name the same requirements."""
    found: list[GoldNote] = []
    for number, gold in _read_lines(path, GoldNote):
        if found and gold.requirements.keys() != found[0].requirements.keys():
            raise InputError(f"{path}:{number}: requirements: names others than the first line")
        for name, requirement in gold.requirements.items():
            if _is_interval(requirement.value) and None in _interval(requirement.value):
                raise InputError(f"{path}:{number}: requirements.{name}.value: not two dates written YYYY-MM-DD")
        found.append(gold)
    if not found:
        raise InputError(f"{path}: holds no labelled notes")
    return found


def gold_of_decisions(decisions: Iterable[Decision], texts: Mapping[str, str]) -> tuple[list[GoldNote], list[str]]:
    """Readers' decisions as labels of some requirements, in the order of `texts`, and what could not be used.

    `texts` are the notes' texts by note id. A decision labels every note with its text; without a hash, the note it
    names. Left out, and told of: decisions on other texts, those that say no status, and what readers differ on.
    Raises InputError when nothing is left.
    """
    ids: dict[str, list[str]] = {}
    for note_id, text in texts.items():
        ids.setdefault(hashlib.sha256(text.encode("utf-8")).hexdigest(), []).append(note_id)
    said: dict[tuple[str, str], list[Decision]] = {}
    left_out: Counter[str] = Counter()
    for decision in latest(decisions):
        named = ids.get(decision.text_sha256, []) if decision.text_sha256 else [decision.note_id]
        named = [note_id for note_id in named if note_id in texts]
        if not named:
            left_out["decisions are on texts that are not among the notes"] += 1
        elif decision.status is None:
            left_out["decisions do not say what the status should be"] += 1
        else:
            for note_id in named:
                said.setdefault((note_id, decision.requirement), []).append(decision)
    labels: dict[str, dict[str, GoldRequirement]] = {}
    for (note_id, name), same in said.items():
        if len({decision.status for decision in same}) > 1:
            left_out["requirements are left out because readers differ on them"] += 1
            continue
        labels.setdefault(note_id, {})[name] = GoldRequirement(status=str(same[0].status), value=same[0].value)
    if not labels:
        raise InputError("; ".join(f"{count} {why}" for why, count in left_out.items()))
    gold = [
        GoldNote(note_id=note_id, verdict=None, alerts=[], requirements=labels[note_id], whole=False)
        for note_id in texts
        if note_id in labels
    ]
    return gold, [f"{count} {why}" for why, count in left_out.items()]


def read_reports(path: Path) -> list[FoundReport]:
    """Gap reports, one a line. Raises InputError naming file, line and key."""
    return [report for _, report in _read_lines(path, FoundReport)]


def _read_lines(path: Path, shape: type[_Line]) -> Iterator[tuple[int, _Line]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or type(error).__name__}") from None
    try:
        text, _ = decode(raw)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, shape.model_validate_json(line)
        except ValidationError as error:
            raise InputError(f"{path}:{number}: {note_problem(error, {})}") from None


def evaluate(
    texts: Mapping[str, str], gold: Sequence[GoldNote], reports: Iterable[FoundReport], *, resamples: int = 1000
) -> Evaluation:
    """Measure `reports` against `gold`. `texts` are the notes' texts by note id.

    A note reported twice counts with its first report, a note without a report as wrong throughout. Intervals come
    from `resamples` seeded resamples of the notes (none for 0). Raises InputError for a labelled note without a text.
    """
    found: dict[str, FoundReport] = {}
    disagreements: list[str] = []
    for report in reports:
        if report.note_id in found:
            disagreements.append(f"{report.note_id} reported twice, the first counts")
        found.setdefault(report.note_id, report)
    names = list(dict.fromkeys(name for note in gold for name in note.requirements))
    per_note: list[Counts] = []
    for note in gold:
        if note.note_id not in texts:
            raise InputError(f"{note.note_id}: labelled, but not among the notes")
        counts = Counts()
        disagreements.extend(_compare(note, found.get(note.note_id), texts[note.note_id], counts))
        per_note.append(counts)
    total = Counts()
    for counts in per_note:
        total.update(counts)
    return Evaluation(measures(total, names), _intervals(per_note, names, resamples), disagreements)


def _compare(gold: GoldNote, report: FoundReport | None, text: str, counts: Counts) -> Iterator[str]:
    """Add one note's counts and yield its disagreements."""
    if report is None:
        yield f"{gold.note_id} no report"
        report = FoundReport(note_id=gold.note_id, verdict=None, requirements=[], alerts=[])
    counts["notes",] += 1
    if gold.whole:
        counts["whole",] += 1
        counts["verdict", "right"] += report.verdict == gold.verdict
        counts["verdicts", f"{gold.verdict}->{report.verdict}"] += 1
        if report.verdict != gold.verdict:
            yield f"{gold.note_id} verdict: gold {gold.verdict}, found {report.verdict}"
        _count_sets(counts, ("alerts",), gold.alerts, [alert.id for alert in report.alerts])
    by_id = {requirement.id: requirement for requirement in report.requirements}
    for name, want in gold.requirements.items():
        got = by_id.get(name) or _FoundRequirement(id=name)
        yield from _compare_requirement(f"{gold.note_id} {name}", name, want, got, text, counts)


def _compare_requirement(
    place: str, name: str, want: GoldRequirement, got: _FoundRequirement, text: str, counts: Counts
) -> Iterator[str]:
    evidence = got.evidence or []
    hit = want.status == got.status
    counts["status", name, "total"] += 1
    counts["status", name, "right"] += hit
    counts["confusion", name, f"{want.status}->{got.status}"] += 1
    if not hit:
        yield f"{place}: gold {want.status} {want.evidence}, found {got.status} {[span.text for span in evidence]}"
    for label in {want.status, got.status} - {None}:
        _count(counts, ("class", str(label)), hit, got.status == label and not hit, want.status == label and not hit)
    gap, found_gap = want.status != "documented", got.status != "documented"
    _count(counts, ("gap", name), gap and found_gap, found_gap and not gap, gap and not found_gap)
    for span in evidence:
        counts["offsets", "total"] += 1
        counts["offsets", "right"] += text[span.start : span.end] == span.text
    if hit and want.status != "missing":
        cited = [(s.start, s.end) for s in evidence if len(s.text.split()) <= CITED_WORDS][:CITED_SPANS]
        quoted = [place for quote in want.evidence for place in _places(text, quote)]
        counts["grounded", "total"] += 1
        counts["grounded", "right"] += any(a < d and c < b for a, b in cited for c, d in quoted)
    if isinstance(want.value, dict) and not _is_interval(want.value):
        parts = got.value if isinstance(got.value, dict) else {}
        for part, members in want.value.items():
            _count_sets(counts, ("set", f"{name}.{part}"), members, parts.get(part))
    elif want.value:
        right = _same_value(want.value, got.value)
        counts["value", name, "total"] += 1
        counts["value", name, "right"] += right
        if not right:
            yield f"{place} value: gold {want.value}, found {got.value}"


def _count(counts: Counts, key: Key, both: int, only_found: int, only_gold: int) -> None:
    counts[*key, "both"] += both
    counts[*key, "only_found"] += only_found
    counts[*key, "only_gold"] += only_gold


def _count_sets(counts: Counts, key: Key, gold: Iterable[str] | None, found: Iterable[str] | None) -> None:
    wanted, got = set(gold or ()), set(found or ())
    _count(counts, key, len(wanted & got), len(got - wanted), len(wanted - got))


def _places(text: str, quote: str) -> list[tuple[int, int]]:
    words = r"\s+".join(re.escape(word) for word in quote.split())
    return [match.span() for match in re.finditer(words, text)]


def _is_interval(value: Any) -> bool:
    return isinstance(value, dict) and "earliest" in value


def _interval(value: Mapping[str, Any]) -> tuple[date | None, date | None]:
    return _day(value.get("earliest")), _day(value.get("latest"))


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _same_value(gold: Any, found: Any) -> bool:
    """Sets are equal whatever their order, intervals lie close, anything else is the same.

    A found interval agrees with a wider gold one when they overlap and it is at most twice as wide and a month.
    """
    if _is_interval(gold):
        first, last = _interval(gold)
        found_first, found_last = _interval(found) if isinstance(found, dict) else (None, None)
        if first is None or last is None or found_first is None or found_last is None:
            return False
        width = (last - first).days
        if width == 0:
            apart = max(abs((found_first - first).days), abs((found_last - last).days))
            return apart <= EXACT_DATE_SLACK
        return found_first <= last and first <= found_last and (found_last - found_first).days <= 2 * width + 31
    if isinstance(gold, list):
        return isinstance(found, list) and set(gold) == set(found)
    return bool(gold == found)


def measures(counts: Mapping[Key, int], names: Sequence[str]) -> dict[str, Any]:
    """Ratios from counts, rounded to four places. `names` are the requirements, in order.

    What only whole labels tell (verdict, alerts, grounds) is None where no note has one.
    """
    gap_keys = [("gap", name) for name in names]
    labels = sorted({key[1] for key in counts if key[0] == "class"})
    class_f1 = [_agreement(counts, [("class", label)])["f1"] for label in labels if _any(counts, ("class", label))]
    sets = sorted({key[1] for key in counts if key[0] == "set"})
    notes, whole = counts["notes",], counts.get(("whole",), 0)
    status_right, status_total = (sum(counts["status", name, part] for name in names) for part in ("right", "total"))
    return {
        "notes": notes,
        "gap": _agreement(counts, gap_keys),
        "status_accuracy": _ratio(status_right, status_total),
        "status_macro_f1": round(sum(class_f1) / max(1, len(class_f1)), 4),
        "verdict_accuracy": _ratio(counts["verdict", "right"], whole) if whole else None,
        "alerts": _agreement(counts, [("alerts",)]) if whole else None,
        "grounded": _ratio(counts.get(("grounded", "right"), 0), counts.get(("grounded", "total"), 0))
        if whole
        else None,
        "offsets_exact": _ratio(counts.get(("offsets", "right"), 0), counts.get(("offsets", "total"), 0)),
        "by_requirement": {
            name: {
                "status_accuracy": _ratio(counts["status", name, "right"], counts["status", name, "total"]),
                "gap": _agreement(counts, [("gap", name)]),
                "value_accuracy": round(counts["value", name, "right"] / counts["value", name, "total"], 4)
                if counts.get(("value", name, "total"))
                else None,
                "confusion": _table(counts, ("confusion", name)),
            }
            for name in names
        },
        "value_sets": {name: _agreement(counts, [("set", name)]) for name in sets},
        "verdict_confusion": _table(counts, ("verdicts",)),
    }


def _any(counts: Mapping[Key, int], key: Key) -> bool:
    return any(counts.get((*key, part), 0) for part in ("both", "only_found", "only_gold"))


def _agreement(counts: Mapping[Key, int], keys: Sequence[Key]) -> dict[str, float]:
    """Precision, recall and F1 of added-up counts; nothing to find and nothing found is full agreement."""
    both, only_found, only_gold = (
        sum(counts.get((*key, part), 0) for key in keys) for part in ("both", "only_found", "only_gold")
    )
    return {
        "precision": round(both / (both + only_found), 4) if both + only_found else 1.0,
        "recall": round(both / (both + only_gold), 4) if both + only_gold else 1.0,
        "f1": round(2 * both / (2 * both + only_found + only_gold), 4) if both + only_found + only_gold else 1.0,
    }


def _ratio(right: int, total: int) -> float:
    return round(right / max(1, total), 4)


def _table(counts: Mapping[Key, int], key: Key) -> dict[str, int]:
    rows = {found[-1]: count for found, count in counts.items() if found[:-1] == key and count}
    return dict(sorted(rows.items()))


def _intervals(per_note: Sequence[Counts], names: Sequence[str], resamples: int) -> dict[str, tuple[float, float]]:
    """Percentile intervals over resamples of the notes, by dotted measure name."""
    if not resamples:
        return {}
    keys = sorted({key for counts in per_note for key in counts if key[0] not in ("confusion", "verdicts")})
    columns = [[counts[key] for counts in per_note] for key in keys]
    chosen = random.Random(_BOOTSTRAP_SEED)
    everyone = range(len(per_note))
    drawn: dict[str, list[float]] = {}
    for _ in range(resamples):
        times = Counter(chosen.choices(everyone, k=len(per_note)))
        weights = [times[index] for index in everyone]
        counts = Counter({key: sum(map(mul, weights, column)) for key, column in zip(keys, columns, strict=True)})
        for name, value in _leaves(measures(counts, names)):
            drawn.setdefault(name, []).append(value)
    return {name: (_quantile(values, 0.025), _quantile(values, 0.975)) for name, values in drawn.items()}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name}", value


def _quantile(values: Sequence[float], share: float) -> float:
    """Linear between the two nearest ranks."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 4)

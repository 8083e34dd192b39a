"""Cases labelled before any rule was run on them (tests/cases/): statuses, verdicts, conflicts and answers by context.

`first.jsonl` was at hand while the rules were written, `second.jsonl` and later files were not.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from analyzer import Analyzer, GapReport, Note
from analyzer.errors import InputError
from analyzer.querylint import lint

FOLDER = Path(__file__).parent / "cases"
FILES = sorted(path.name for path in FOLDER.glob("*.jsonl"))


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


JUDGED = [case for name in FILES for case in cases(name) if "error" not in case["expected"]]
REFUSED = [case for name in FILES for case in cases(name) if "error" in case["expected"]]


@cache
def report_of(analyzer: Analyzer, case_id: str) -> GapReport:
    case = next(c for c in JUDGED if c["case_id"] == case_id)
    notes, context = ([Note.model_validate(n) for n in case.get(key, ())] for key in ("notes", "context"))
    return analyzer.case(notes, context, case_id=case_id)


def by_name(items: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("case", items, ids=lambda case: case["case_id"])


@pytest.mark.parametrize("name", FILES)
def test_gaps_are_found_and_no_others(analyzer: Analyzer, name: str) -> None:
    count: Counter[str] = Counter()
    for case in (c for c in cases(name) if "error" not in c["expected"]):
        report = report_of(analyzer, case["case_id"])
        for requirement in report.requirements:
            expected = case["expected"]["requirements"][requirement.id]
            found, wanted = requirement.status != "documented", expected != "documented"
            count["both"] += found and wanted
            count["either"] += found or wanted
            count["right"] += requirement.status == expected
            count["all"] += 1
        count["verdicts"] += report.verdict == case["expected"]["verdict"]
        count["cases"] += 1
    f1 = 2 * count["both"] / (count["both"] + count["either"])
    assert f1 >= 0.95, f"gap F1 {f1:.3f}"
    assert count["right"] / count["all"] >= 0.95
    assert count["verdicts"] == count["cases"]


@by_name([c for c in JUDGED if "conflicts" in c["expected"]])
def test_a_conflict_quotes_both_sides(analyzer: Analyzer, case: dict[str, Any]) -> None:
    report = report_of(analyzer, case["case_id"])
    for name, sides in case["expected"]["conflicts"].items():
        requirement = next(r for r in report.requirements if r.id == name)
        found = [sorted({e.note_id for e in requirement.evidence if e.side == side}) for side in "ab"]
        assert sorted(found) == sorted(sides)
        assert requirement.send_query == "yes"


@by_name(JUDGED)
def test_answers_elsewhere_are_those_labelled(analyzer: Analyzer, case: dict[str, Any]) -> None:
    report = report_of(analyzer, case["case_id"])
    found = {r.id: [a.note_id for a in r.answered_elsewhere] for r in report.requirements if r.answered_elsewhere}
    assert found == case["expected"].get("answered_elsewhere", {})


@by_name([c for c in JUDGED if "values" in c["expected"]])
def test_values(analyzer: Analyzer, case: dict[str, Any]) -> None:
    values = {r.id: r.value for r in report_of(analyzer, case["case_id"]).requirements}
    assert {name: values[name] for name in case["expected"]["values"]} == case["expected"]["values"]


@by_name(JUDGED)
def test_every_quote_stands_where_it_says(analyzer: Analyzer, case: dict[str, Any]) -> None:
    texts = {n["note_id"]: n["text"] for n in (*case["notes"], *case.get("context", ()))}
    report = report_of(analyzer, case["case_id"])
    places = [
        *(e for r in report.requirements for e in (*r.evidence, *r.answered_elsewhere)),
        *(e for a in report.alerts for e in a.evidence),
        *(e for f in report.review_flags for e in f.evidence),
        *report.findings,
    ]
    assert [p for p in places if texts[p.note_id][p.start : p.end] != p.text] == []


@by_name(JUDGED)
def test_context_changes_no_status_and_no_verdict(analyzer: Analyzer, case: dict[str, Any]) -> None:
    report = report_of(analyzer, case["case_id"])
    alone = analyzer.case([Note.model_validate(n) for n in case["notes"]])
    assert [(r.status, r.value, r.reason, r.evidence) for r in report.requirements] == [
        (r.status, r.value, r.reason, r.evidence) for r in alone.requirements
    ]
    assert (report.verdict, report.alerts, report.findings) == (alone.verdict, alone.alerts, alone.findings)


@by_name(JUDGED)
def test_queries_keep_the_rules(analyzer: Analyzer, case: dict[str, Any]) -> None:
    report = report_of(analyzer, case["case_id"])
    record = [n["text"] for n in (*case["notes"], *case.get("context", ()))]
    assert [p for query in report.queries for p in lint(query.text, record)] == []
    assert [p for r in report.requirements if r.query for p in lint(r.query, record)] == []


@by_name(REFUSED)
def test_notes_of_others_are_refused_by_name(analyzer: Analyzer, case: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        analyzer.case([Note.model_validate(n) for n in case["notes"]])
    assert str(caught.value).endswith(", ".join(case["expected"]["error"]))
    assert "P-" not in str(caught.value)

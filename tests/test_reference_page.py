"""Every fact of the reference page behind the pack has exactly one treatment, and every rule it names is at work."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from typing import Any

import pytest

from analyzer.analyze import Analyzer
from analyzer.codes import CodeTable
from analyzer.errors import CodeError
from analyzer.note import Note
from analyzer.packs import load_pack
from analyzer.report import GapReport
from analyzer.yamlfile import read_yaml

PACK = "traumatic-spondylopathy"
_DATA, _ = read_yaml(files("patterns") / PACK / "reference.yaml", f"{PACK}/reference.yaml")
ENTRIES: list[dict[str, Any]] = _DATA["entries"]
RULES = [e for e in ENTRIES if "rule" in e]
EXAMPLES = [(e["id"], i, x) for e in RULES for i, x in enumerate(e["examples"])]


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


@pytest.fixture(scope="module")
def known() -> set[str]:
    judging = load_pack(PACK).judging
    return (
        {f"requirement.{r['id']}" for r in judging["requirements"]["requirements"]}
        | {f"alert.{a['id']}" for a in judging["alerts"]["alerts"]}
        | {f"flag.{f['id']}" for f in judging["flags"]["flags"]}
    )


def outcome(report: GapReport, rule: str) -> str:
    """What a rule came to in a report: a requirement's status, or whether an alert or flag was raised."""
    kind, name = rule.split(".", 1)
    if kind == "requirement":
        return next(r.status for r in report.requirements if r.id == name)
    raised = report.alerts if kind == "alert" else report.review_flags
    return "raised" if name in {r.id for r in raised} else "not raised"


def test_counts_are_those_of_the_page() -> None:
    # Counted on the page: title block, tips, bare sections, pitfalls, statements of context, questions, scribe.
    page = {"head": 6, "tip": 5, "section": 2, "pitfall": 5, "context": 9, "question": 6, "scribe": 5}
    assert _DATA["counts"] == page
    assert Counter(e["kind"] for e in ENTRIES) == page


def test_ids_are_unique_and_say_their_kind() -> None:
    assert len({e["id"] for e in ENTRIES}) == len(ENTRIES)
    assert all(e["id"].startswith(f"{e['kind']}-") for e in ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["id"])
def test_exactly_one_treatment(entry: dict[str, Any]) -> None:
    treatment = {"rule", "answer", "refusal"} & entry.keys()
    assert len(treatment) == 1
    assert set(entry) <= {"id", "kind", "fact", "examples"} | treatment
    assert ("examples" in entry) == ("rule" in entry)
    assert entry["fact"]
    if "answer" in entry:
        assert set(entry["answer"]) == {"text", "source"}
        assert all(entry["answer"].values())
    if "refusal" in entry:
        assert "source:" in entry["refusal"]


@pytest.mark.parametrize("entry", RULES, ids=lambda e: e["id"])
def test_named_rules_exist_and_have_an_example(entry: dict[str, Any], known: set[str]) -> None:
    shown = {rule for example in entry["examples"] for rule in example["expect"]}
    assert set(entry["rule"]) <= known
    assert set(entry["rule"]) == shown


@pytest.mark.parametrize(("name", "number", "example"), EXAMPLES, ids=[f"{n}-{i}" for n, i, _ in EXAMPLES])
def test_example_triggers_its_rules(analyzer: Analyzer, name: str, number: int, example: dict[str, Any]) -> None:
    note = Note(note_id=f"{name}-{number}", text=example["text"], date_of_service=example["date"])
    report = analyzer.report(note)
    assert {rule: outcome(report, rule) for rule in example["expect"]} == example["expect"]


def test_heading_of_the_family_is_refused_as_a_code() -> None:
    with pytest.raises(CodeError):
        Analyzer(code="M48.3")


def test_answers_about_the_code_hold_in_the_code_table() -> None:
    table = CodeTable.load(None)
    for code in ("M48.30", "M48.37", "M48.38"):
        assert table.check(code) is None
    assert table.check("M48.38XA") is not None

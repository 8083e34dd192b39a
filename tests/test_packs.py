"""Packs: their own examples hold, broken ones are refused in one clear line, and the code itself knows no medicine."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from analyzer.assessment import Judge
from analyzer.errors import PackError
from analyzer.packcheck import ExampleResult, check_pack
from analyzer.packs import Pack, available_packs, load_pack

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = "traumatic-spondylopathy"


@cache
def shipped(name: str) -> Pack:
    return load_pack(name)


@cache
def results(name: str) -> list[ExampleResult]:
    return check_pack(shipped(name))


def example_files() -> Iterator[tuple[str, str]]:
    """Every pack with every file that should hold examples for it."""
    for info in available_packs():
        yield from ((info.id, f"common/{name}.yaml") for name in ("assertion", "dates", "query_rules"))
        folder = Path(info.folder)
        yield from ((info.id, f"{folder.name}/vocabulary/{f.name}") for f in sorted(folder.glob("vocabulary/*.yaml")))


def shown(result: ExampleResult) -> str:
    return f"{result.file}:{result.line}: {result.rule}: {result.kind} {result.sentence!r}: {result.message}"


class TestShippedExamples:
    @pytest.mark.parametrize(("pack", "file"), list(example_files()))
    def test_they_hold(self, pack: str, file: str) -> None:
        here = [r for r in results(pack) if r.file == file]
        failed = [shown(r) for r in here if not r.ok and not r.todo]
        assert here, f"{file} holds no examples"
        assert not failed, "\n" + "\n".join(failed)

    def test_each_is_found_where_it_says(self) -> None:
        for result in results(SHIPPED):
            lines = (ROOT / "patterns" / result.file).read_text(encoding="utf-8").splitlines()
            assert result.line is not None
            assert 0 < result.line <= len(lines), shown(result)

    def test_every_rule_has_both_kinds(self) -> None:
        kinds: dict[str, set[str]] = {}
        for result in results(SHIPPED):
            if "/vocabulary/" in result.file:
                kinds.setdefault(result.rule, set()).add(result.kind)
        assert {rule for rule, seen in kinds.items() if not {"match", "no_match"} <= seen} == set()


VOCABULARY = """\
element: body_part
rules:
  - id: patch
    value: elsewhere
    match: ['elbow patch']
    not_before: 'second'
    sections: [plan]
    examples: {match: ["An elbow patch."], no_match: ["A second elbow patch."]}
    source: project
"""
LOOKALIKE = """\
element: lookalike
rules:
  - id: sewing
    value: sewing
    match: ['sew ~3 patch']
    blocks: [body_part]
    examples: {match: ["Sew on a patch."], no_match: ["A patch."]}
    source: project
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped pack with a vocabulary of one word, so that it loads fast."""
    pack = tmp_path / "pack"
    shutil.copytree(ROOT / "patterns" / SHIPPED, pack, ignore=shutil.ignore_patterns("vocabulary"))
    (pack / "vocabulary").mkdir()
    # Rules for candidate codes and claims rest on flags and have examples over the whole vocabulary.
    (pack / "candidate_codes.yaml").unlink()
    (pack / "claims.yaml").unlink()
    (pack / "vocabulary" / "patch.yaml").write_text(VOCABULARY, encoding="utf-8")
    (pack / "flags.yaml").write_text(FLAGS, encoding="utf-8")
    (pack / "flag_facts.yaml").write_text(FACTS, encoding="utf-8")
    return pack


FLAGS = """\
flags:
  - {id: first, when: has_assessment, message: "One.", source: project}
  - {id: second, when: "patched and (has_assessment or not patched)", message: "Two.", evidence: [patched], source: x}
"""
FACTS = """\
facts:
  patched: {find: body_part, value: elsewhere}
"""


class TestTheCheck:
    """A pack whose examples are wrong is told so."""

    def checked(self, folder: Path, file: str, old: str, new: str) -> list[str]:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
        found = [r for r in check_pack(load_pack(folder)) if r.file == f"pack/{file}" and not (r.ok or r.todo)]
        return [f"{r.line} {r.rule} {r.kind}: {r.message}" for r in found]

    def test_a_good_one(self, folder: Path) -> None:
        found = [r for r in check_pack(load_pack(folder)) if r.file.startswith("pack/")]
        assert [(r.kind, r.ok, r.todo, r.message) for r in found] == [
            ("match", True, False, ""),
            ("no_match", True, False, ""),
        ]

    def test_a_miss(self, folder: Path) -> None:
        told = self.checked(folder, "vocabulary/patch.yaml", '"An elbow patch."', '"A knee patch."')
        assert told == ["8 body_part.patch match: does not match"]

    def test_a_false_alarm(self, folder: Path) -> None:
        told = self.checked(folder, "vocabulary/patch.yaml", '"A second elbow patch."', '"A third elbow patch."')
        assert told == ["8 body_part.patch no_match: matches, and must not"]

    def test_a_lookalike_takes_the_words(self, folder: Path) -> None:
        (folder / "vocabulary" / "other.yaml").write_text(LOOKALIKE, encoding="utf-8")
        told = self.checked(folder, "vocabulary/patch.yaml", '"An elbow patch."', '"Sew an elbow patch."')
        assert told == ["8 body_part.patch match: does not match"]

    def test_another_value_takes_the_words(self, folder: Path) -> None:
        longer = VOCABULARY.replace("value: elsewhere", "value: further").replace("'elbow patch'", "'left elbow patch'")
        longer = longer.replace('"An elbow', '"A left elbow').replace("A second elbow", "An elbow")
        (folder / "vocabulary" / "longer.yaml").write_text(longer, encoding="utf-8")
        head = folder / "pack.yaml"
        text = head.read_text(encoding="utf-8")
        head.write_text(text.replace("body_part: [elsewhere", "body_part: [elsewhere, further"), encoding="utf-8")
        told = self.checked(folder, "vocabulary/patch.yaml", '"An elbow patch."', '"A left elbow patch."')
        assert told == ["8 body_part.patch match: matches, but another rule takes the words"]

    def test_a_known_miss_is_no_failure(self, folder: Path) -> None:
        assert self.checked(folder, "vocabulary/patch.yaml", "}\n", ', todo: ["The patch on the elbow."]}\n') == []
        known = [r for r in check_pack(load_pack(folder)) if r.todo]
        assert [(r.kind, r.ok, r.sentence) for r in known if r.file.startswith("pack/")] == [
            ("todo", False, "The patch on the elbow.")
        ]

    def test_a_known_miss_that_is_found_after_all(self, folder: Path) -> None:
        told = self.checked(folder, "vocabulary/patch.yaml", "}\n", ', todo: ["His elbow patch."]}\n')
        assert told == ["8 body_part.patch todo: passes now: move it to match"]

    @pytest.mark.parametrize(
        ("category", "match", "no_match", "told"),
        [
            ("NEGATED", "No <numbness>.", "Has <numbness>.", []),
            (
                "NEGATED",
                "Has <numbness>.",
                "No <numbness>.",
                ["match: does not reach the marked words", "no_match: NEGATED"],
            ),
            ("NEGATED", "No numbness.", "Has <numbness>.", ["match: marks no words with <...>"]),
            ("NEGATED", "No <numbness> or <tingling>.", "No fever; <numbness> and <tingling>.", []),
            ("BREAK", None, "No fever but <numbness>.", []),
            ("BREAK", None, "No <numbness>.", ["no_match: NEGATED"]),
            ("BREAK", None, "Return for <numbness>.", ["no_match: HYPOTHETICAL"]),
        ],
    )
    def test_cues(self, category: str, match: str | None, no_match: str, told: list[str]) -> None:
        pack = shipped(SHIPPED)
        cue = next(c for c in pack.cues if c.category == category)
        examples = cue.examples.model_copy(
            update={"match": [match] if match else [], "no_match": [no_match], "todo": []}
        )
        changed = replace(pack, vocabularies=[], cues=[cue.model_copy(update={"examples": examples})])
        found = [r for r in check_pack(changed) if r.file == "common/assertion.yaml" and not r.ok]
        assert [f"{r.kind}: {r.message.removeprefix('the marked words are reached by ')}" for r in found] == told


@dataclass(frozen=True)
class Break:
    """One way to break a pack: what is replaced where, and what the error must say. `at`: words of the line named."""

    name: str
    file: str
    old: str
    new: str
    at: str | None
    key: str
    reason: str


PATCH = "vocabulary/patch.yaml"
RULE = "id: patch"
BROKEN = [
    Break("unknown element", PATCH, "element: body_part", "element: bodypart", "element:", "element", "not declared"),
    Break("undeclared value", PATCH, "value: elsewhere", "value: somewhere", RULE, "rules.0.value", "no declared"),
    Break("no sentence to match", PATCH, '["An elbow patch."]', "[]", RULE, "rules.0.examples", "needs a"),
    Break("no sentence to leave", PATCH, '["A second elbow patch."]', "[]", RULE, "rules.0.examples", "needs a"),
    Break("no examples", PATCH, "    examples:", "    # examples:", RULE, "rules.0.examples", "Field required"),
    Break("no source", PATCH, "    source: project\n", "", RULE, "rules.0.source", "Field required"),
    Break("bad pattern", PATCH, "'elbow patch'", "'elbow (patch'", RULE, "rules.0", "unterminated subpattern"),
    Break("bad side condition", PATCH, "'second'", "'(second'", RULE, "rules.0", "unterminated subpattern"),
    Break("begins with anything", PATCH, "'elbow patch'", r"'\w+ patch'", RULE, "rules.0", "must begin with a word"),
    Break("may match nothing", PATCH, "'elbow patch'", "'(?:elbow)?'", RULE, "rules.0", "must begin with a word"),
    Break("unknown macro", PATCH, "'elbow patch'", "'{elbows} patch'", RULE, "rules.0", "unknown macro {elbows}"),
    Break("no pattern", PATCH, "['elbow patch']", "[]", "    match:", "rules.0.match", "at least 1 item"),
    Break("pattern of the wrong type", PATCH, "['elbow patch']", "elbow", "    match:", "rules.0.match", "valid list"),
    Break("unknown key", PATCH, "not_before:", "not_befor:", "not_befor:", "rules.0.not_befor", "not permitted"),
    Break("key twice", PATCH, "    sections: [plan]", "    value: elsewhere", "    value: elsewhere", "value", "twice"),
    Break("no YAML", PATCH, "['elbow patch']", "['elbow patch'", "not_before", "", "not valid YAML"),
    Break("a tab", PATCH, "    match:", "\tmatch:", "\tmatch:", "", "not valid YAML"),
    Break("no mapping", PATCH, VOCABULARY, "- patch\n", "- patch", "", "valid dictionary"),
    Break("wrong type in the head", "pack.yaml", "shown: [", "shown: 3 # [", "shown:", "shown", "valid list"),
    Break("unknown key in the head", "pack.yaml", "shown: [", "shwn: []\nshown: [", "shwn:", "shwn", "not permitted"),
    Break("unknown fact", "flags.yaml", "patched and", "mended and", "id: second", "second.when", "'mended'"),
    Break("open parenthesis", "flags.yaml", 'patched)"', 'patched"', "id: second", "second.when", "too early"),
    Break("stray parenthesis", "flags.yaml", 'patched)"', 'patched))"', "id: second", "second.when", "past ')'"),
    Break("unreadable sign", "flags.yaml", "patched and", "patched &", "id: second", "second.when", "cannot read"),
    Break("unknown evidence", "flags.yaml", "[patched]", "[mended]", "id: second", "second.when", "'mended'"),
    Break("a fact twice", "flag_facts.yaml", "patched:", "inpatient:", "inpatient", "facts.inpatient", "already"),
]  # fmt: skip


def refused(folder: Path) -> PackError:
    with pytest.raises(PackError) as caught:
        check_pack(load_pack(folder))
    return caught.value


class TestBrokenPacks:
    def test_the_unbroken_one_loads(self, folder: Path) -> None:
        pack = load_pack(folder)
        Judge(pack.judging, pack.dates)
        assert pack.id == SHIPPED

    @pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
    def test_refused(self, folder: Path, case: Break) -> None:
        file = folder / case.file
        text = file.read_text(encoding="utf-8")
        assert case.old in text
        broken = _last_replaced(text, case.old, case.new)
        file.write_text(broken, encoding="utf-8")
        error = refused(folder)
        line = max(i for i, row in enumerate(broken.splitlines(), start=1) if case.at is not None and case.at in row)
        assert (error.file, error.line, error.key) == (f"pack/{case.file}", line, case.key)
        assert case.reason in error.reason
        assert str(error).startswith(f"pack/{case.file}:{line}: ")
        assert "\n" not in str(error)

    def test_macros_in_a_circle(self, folder: Path) -> None:
        with (folder / "macros.yaml").open("a", encoding="utf-8") as macros:
            macros.write("here: '{there}'\nthere: '{here}'\n")
        (folder / PATCH).write_text(VOCABULARY.replace("'elbow patch'", "'{here} patch'"), encoding="utf-8")
        error = refused(folder)
        assert (error.file, error.line, error.key) == (f"pack/{PATCH}", 3, "rules.0")
        assert "circle" in error.reason

    @pytest.mark.parametrize(
        "file", ["macros.yaml", "facts.yaml", "requirements.yaml", "alerts.yaml", "flags.yaml", "queries.yaml"]
    )
    def test_a_file_is_missing(self, folder: Path, file: str) -> None:
        (folder / file).unlink()
        error = refused(folder)
        assert (error.file, error.line) == (f"pack/{file}", None)
        assert re.search(r"missing|cannot be read", error.reason)

    def test_a_question_that_leads(self, folder: Path) -> None:
        file = folder / "queries.yaml"
        text = file.read_text(encoding="utf-8")
        broken = re.sub(r'question: "[^"]*"', 'question: "Would you agree that it is the tail end?"', text, count=1)
        file.write_text(broken, encoding="utf-8")
        error = refused(folder)
        first = broken.splitlines().index(next(row for row in broken.splitlines() if "- template:" in row)) + 1
        assert (error.file, error.line) == ("pack/queries.yaml", first)
        assert re.fullmatch(r"requirements\.\w+\.templates\.0", error.key)
        assert "breaks the rule" in error.reason

    def test_a_fact_that_rests_on_an_unknown_one(self, folder: Path) -> None:
        (folder / "flag_facts.yaml").write_text(FACTS + "  odd: {when: patched and mended}\n", encoding="utf-8")
        error = refused(folder)
        assert error.line is not None
        assert error.key.startswith("facts")
        assert "'mended'" in error.reason

    def test_no_pack_of_this_name(self) -> None:
        with pytest.raises(PackError, match="nowhere: no pack of this name"):
            load_pack("nowhere")


def _last_replaced(text: str, old: str, new: str) -> str:
    before, _, after = text.rpartition(old)
    return before + new + after


BODY = re.compile(
    r"sacr(?:um|al|oc)|coccy|tail ?bone|buttock|lumb(?:ar|o)|pelvi[sc]|vertebr|spondyl|\bspin(?:e|al)\b|fractur"
    r"|dislocat|radicul|\b(?:hip|knee|ankle|wrist)s?\b",
    re.I,
)
CODE = re.compile(r"(?<![\w.])[A-TV-Z]\d[\dA-Z](?:\.[\dA-Z]{1,4})?(?![\w.])")
# Names of HL7 v2 events and of an encoding in C-CDA look like codes and are none.
PROTOCOL = re.compile(r"\bB64\b|\bT(?:0[2468]|1[01])\b")
SOURCES = sorted(p for p in (ROOT / "analyzer").rglob("*.py") if p.name != "codes_import.py")


def words_of(file: Path) -> Iterator[tuple[int, str]]:
    """The names and strings of a source file, docstrings and comments left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docs: set[int] = set()
    for parent in ast.walk(tree):
        if isinstance(parent, ast.Module | ast.ClassDef | ast.FunctionDef):
            docs.update(id(node.value) for node in parent.body if isinstance(node, ast.Expr))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value
        for field in ("id", "attr", "arg", "name"):
            word = getattr(node, field, None)
            if isinstance(word, str):
                yield getattr(node, "lineno", 0), word


class TestTheCodeKnowsNoMedicine:
    """Another family of codes is another pack, never another program."""

    def test_no_body_part_and_no_code(self) -> None:
        found = [
            f"{file.relative_to(ROOT)}:{line}: {word!r}"
            for file in SOURCES
            for line, word in words_of(file)
            if BODY.search(word) or CODE.search(PROTOCOL.sub("", word))
        ]
        assert not found, "\n" + "\n".join(found)

    def test_no_name_that_only_a_pack_gives(self) -> None:
        """Elements, requirements and alerts with names of two words or more; single words are plain English."""
        names: set[str] = set()
        for info in available_packs():
            pack = shipped(info.id)
            names.update(pack.head.elements)
            names.update(r["id"] for r in pack.judging["requirements"]["requirements"])
            names.update(a["id"] for a in pack.judging["alerts"]["alerts"])
        names = {name for name in names if "_" in name}
        found = [
            f"{file.relative_to(ROOT)}:{line}: {word!r}"
            for file in SOURCES
            for line, word in words_of(file)
            if word in names
        ]
        assert not found, "\n" + "\n".join(found)

"""Packs: their own examples hold, broken ones are refused in one clear line, and the code itself knows no medicine."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import analyzer.cli as cli
from analyzer import packs
from analyzer.analyze import Analyzer
from analyzer.assessment import Judge
from analyzer.audit.coverage import coverage
from analyzer.errors import ChartgapError, PackError
from analyzer.note import Note
from analyzer.pack_scaffold import new_pack
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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack as `packs new` writes it, with a further word, facts and flags to break."""
    pack, _files = new_pack("pack", "L89.154", tmp_path_factory.mktemp("small"))
    head = (pack / "pack.yaml").read_text(encoding="utf-8")
    (pack / "pack.yaml").write_text(
        head.replace("elements:\n", "elements:\n  body_part: [elsewhere]\n"), encoding="utf-8"
    )
    (pack / "vocabulary" / "patch.yaml").write_text(VOCABULARY, encoding="utf-8")
    for name, content in FILES.items():
        (pack / name).write_text(content, encoding="utf-8")
    return pack


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may break."""
    return Path(shutil.copytree(small, tmp_path / "pack"))


FLAGS = """\
flags:
  - {id: first, when: has_assessment, message: "One.", source: project}
  - {id: second, when: "patched and (has_assessment or not patched)", message: "Two.", evidence: [patched], source: x}
"""
FACTS = """\
facts:
  patched: {find: body_part, value: elsewhere}
"""
CASES = """\
states: [symptom]
cite_context: [side]
facts:
  sides_apart: {apart: [side_said, denied]}
rules:
  side:
    - {status: conflicting, when: sides_apart, reason: "Two sides.", a: [side_said], b: [denied]}
"""
CANDIDATES = """\
example_date: 2026-03-02
facts:
  odd: {when: "patched and named"}
rules:
  - id: other
    when: "odd and gap_side and flag_first"
    code: L89.156
    relation: query
    reason: "Another stage."
    evidence: [odd]
    source: TAB
    examples: {match: [{text: "x"}], no_match: [{text: "y"}]}
"""
FILES = {"flags.yaml": FLAGS, "flag_facts.yaml": FACTS, "cases.yaml": CASES, "candidate_codes.yaml": CANDIDATES}


class TestTheCheck:
    """A pack whose examples are wrong is told so."""

    def checked(self, folder: Path, file: str, old: str, new: str) -> list[str]:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new), encoding="utf-8")
        found = [r for r in check_pack(load_pack(folder)) if r.file == f"pack/{file}" and not (r.ok or r.todo)]
        return [f"{r.line} {r.rule} {r.kind}: {r.message}" for r in found]

    def test_a_good_one(self, folder: Path) -> None:
        found = [r for r in check_pack(load_pack(folder)) if r.file == "pack/vocabulary/patch.yaml"]
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
        longer = (
            VOCABULARY.replace("id: patch", "id: longer")
            .replace("value: elsewhere", "value: further")
            .replace("'elbow patch'", "'left elbow patch'")
        )
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
        assert [(r.kind, r.ok, r.sentence) for r in known if r.file == "pack/vocabulary/patch.yaml"] == [
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
    at: str
    key: str
    reason: str


PATCH, FACT, FLAG = "vocabulary/patch.yaml", "facts.yaml", "flags.yaml"
BROKEN = [Break(**one) for one in yaml.safe_load((ROOT / "tests" / "pack_breaks.yaml").read_text(encoding="utf-8"))]


def refused(folder: Path) -> PackError:
    with pytest.raises(PackError) as caught:
        check_pack(load_pack(folder))
    return caught.value


class TestBrokenPacks:
    def test_the_unbroken_one_loads(self, folder: Path) -> None:
        pack = load_pack(folder)
        Judge(pack.judging, pack.dates)
        assert pack.id == "pack"

    @pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
    def test_refused(self, folder: Path, case: Break) -> None:
        file = folder / case.file
        text = file.read_text(encoding="utf-8")
        assert case.old in text
        broken = _last_replaced(text, case.old, case.new)
        file.write_text(broken, encoding="utf-8")
        error = refused(folder)
        line = max(i for i, row in enumerate(broken.splitlines(), start=1) if case.at in row)
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

    def test_a_fact_may_not_rest_on_a_later_one(self, folder: Path) -> None:
        file = folder / FACT
        lines = file.read_text(encoding="utf-8").splitlines()
        lines.insert(2, "  early: {any: [named]}")
        file.write_text("\n".join(lines), encoding="utf-8")
        at = next(i for i, row in enumerate(lines, start=1) if row.startswith("  named:"))
        error = refused(folder)
        assert str(error) == (
            f"pack/facts.yaml:3: facts.early.any: rests on 'named', which stands below (line {at}): "
            "a fact may rest on facts above it"
        )

    def test_a_flag_with_one_message_twice(self, folder: Path) -> None:
        (folder / FLAG).write_text(FLAGS + FLAGS.splitlines(keepends=True)[1], encoding="utf-8")
        error = refused(folder)
        assert (error.file, error.line, error.key) == (f"pack/{FLAG}", 4, "flags.2.id")

    @pytest.mark.parametrize("file", ["macros.yaml", "flags.yaml", "flag_facts.yaml", "candidate_codes.yaml"])
    def test_a_file_that_may_be_left_out(self, folder: Path, file: str) -> None:
        if file == "macros.yaml":
            symptom = folder / "vocabulary" / "symptom.yaml"
            text = symptom.read_text(encoding="utf-8")
            symptom.write_text(text.replace("'{about_pain}'", "medication"), encoding="utf-8")
        elif file != "candidate_codes.yaml":
            (folder / "candidate_codes.yaml").unlink()
            (folder / "flags.yaml").unlink()
        (folder / file).unlink(missing_ok=True)
        assert load_pack(folder).id == "pack"

    @pytest.mark.parametrize("file", ["pack.yaml", "facts.yaml", "requirements.yaml", "alerts.yaml", "queries.yaml"])
    def test_a_file_is_missing(self, folder: Path, file: str) -> None:
        (folder / file).unlink()
        error = refused(folder)
        if file == "pack.yaml":
            assert "no pack of this name" in error.reason
            return
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

    def test_two_packs_of_one_name(self, folder: Path, tmp_path: Path) -> None:
        other = Path(shutil.copytree(folder, tmp_path / "other" / "pack"))
        assert [i.id for i in available_packs([folder, folder.parent / "pack"])].count("pack") == 1
        with pytest.raises(PackError) as caught:
            available_packs([folder, other])
        assert str(caught.value).startswith("pack/pack.yaml:2: id: 'pack' is the name of the pack in ")

    def test_a_given_pack_stands_before_a_shipped_one(self, folder: Path) -> None:
        head = folder / "pack.yaml"
        head.write_text(head.read_text(encoding="utf-8").replace("L89.154", "M48.38"), encoding="utf-8")
        assert (
            Analyzer("M48.38", pack_folders=[folder]).report(Note(note_id="n", text="Cough.")).provenance.pack == "pack"
        )

    def test_a_claim_rule_that_asks_for_an_unknown_flag(self, folder: Path) -> None:
        rule = {"id": "r", "codes": "A.*", "when": {"flag": "frist"}, "message": "m", "source": "s"}
        content = {"rules": [{**rule, "examples": {"match": ["A01"], "no_match": ["B01"]}}]}
        (folder / "claims.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        error = refused(folder)
        assert (error.file, error.line, error.key) == ("pack/claims.yaml", 5, "rules.0.when.flag")
        assert "did you mean 'first'?" in error.reason

    def test_no_pack_of_this_name(self) -> None:
        with pytest.raises(PackError, match="nowhere: no pack of this name"):
            load_pack("nowhere")


@pytest.fixture
def common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what packs share, in its place."""
    place = Path(shutil.copytree(ROOT / "patterns" / "common", tmp_path / "common"))
    monkeypatch.setattr(packs, "_common", lambda: place)
    return place


class TestWhatPacksShare:
    @pytest.mark.parametrize(
        ("file", "old", "new", "at", "key", "reason"),
        [
            ("words.yaml", "\nabbreviations:\n", "\nabreviations:\n", "abreviations:", "abreviations", "ions'?"),
            ("words.yaml", "\nmended: [", "\nmended: [3, ", "mended:", "mended.0", "this is 3: write it in quotes"),
            (
                "sections.yaml",
                "\nsuffix_titles:",
                "\nsufix_titles:",
                "sufix_titles",
                "sufix_titles",
                "'suffix_titles'?",
            ),
            ("sections.yaml", "one_line: [family", "one_line: [famly", "one_line", "one_line", "'family_history'?"),
            ("sections.yaml", "\n  plan: [", "\n  plan: [assessment, ", "  plan:", "titles.plan.0", "under assessment"),
            ("sections.yaml", "\nage: [", "\nage: ['(', ", "age:", "age.0", "is no regular expression"),
            (
                "sections.yaml",
                "family_history: family,",
                "family_history: famly,",
                "assertion:",
                "assertion",
                "'family'?",
            ),
            ("assertion.yaml", "  - category: TEMPLATE", "  - category: TEMPLAT", "TEMPLAT", "category", "'TEMPLATE'?"),
            ("macros.yaml", "\nnum: ", "\nnum: 3 #", "num:", "num", "written as text"),
            ("authors.yaml", "\nkinds:", "\nkindz:", "kindz:", "kindz", "'kinds'?"),
        ],
    )
    def test_a_broken_file_is_refused(
        self, folder: Path, common: Path, file: str, old: str, new: str, at: str, key: str, reason: str
    ) -> None:
        text = (common / file).read_text(encoding="utf-8")
        assert old in text
        broken = _last_replaced(text, old, new)
        (common / file).write_text(broken, encoding="utf-8")
        error = refused(folder)
        line = max(i for i, row in enumerate(broken.splitlines(), start=1) if at in row)
        assert (error.file, error.line) == (f"common/{file}", line)
        assert key in error.key
        assert reason in error.reason


class TestNewPacks:
    """`packs new` writes packs that pass their own examples, whatever the code is called."""

    @pytest.mark.parametrize(
        ("code", "title", "phrase"),
        [
            ("M54.50", None, None),
            ("I10", "Essential hypertension", None),
            ("N20.0", "Calculus", "kidney stone's"),
        ],
    )
    def test_they_pass(self, tmp_path: Path, code: str, title: str | None, phrase: str | None) -> None:
        place, files = new_pack("made-here", code, tmp_path, title=title, phrase=phrase)
        assert "pack.yaml" in files
        pack = load_pack(place)
        failed = [shown(r) for r in check_pack(pack) if not (r.ok or r.todo)]
        assert not failed
        assert pack.head.default_code == code

    @pytest.mark.parametrize(
        ("name", "code", "title", "phrase", "told"),
        [
            ("Two Words", "M54.50", None, None, "small letters"),
            ("one", "M54.5", None, None, "M54.5"),
            ("one", "nonsense", None, None, "not written like"),
            ("one", "I10", None, None, "--title"),
            ("one", "M54.50", None, '"pain"', "phrase: use letters"),
        ],
    )
    def test_what_cannot_be_made(
        self, tmp_path: Path, name: str, code: str, title: str | None, phrase: str | None, told: str
    ) -> None:
        with pytest.raises(ChartgapError, match=re.escape(told)):
            new_pack(name, code, tmp_path, title=title, phrase=phrase)
        assert not list(tmp_path.iterdir())

    def test_nothing_is_written_over(self, tmp_path: Path) -> None:
        new_pack("one", "M54.50", tmp_path)
        with pytest.raises(ChartgapError, match="is there already"):
            new_pack("one", "M54.50", tmp_path)


CLAIMS = """\
Claim No,ICD10_1,ICD10_2,DX Codes
1,L89.154,I10,
2,l89154,,I10; E11.9
3,Z99.89,M48.38,
4,,,
5,oops,I10,I10
"""


class TestCoverage:
    def test_billed_codes_are_ranked_by_pack(self, folder: Path, tmp_path: Path) -> None:
        claims = tmp_path / "claims.csv"
        claims.write_text(CLAIMS, encoding="utf-8")
        found = coverage(claims, [folder])
        assert (found.rows, found.covered, found.unreadable) == (4, 3, 1)
        assert [(p.pack, p.rows, [(c.code, c.rows) for c in p.codes]) for p in found.packs] == [
            ("pack", 2, [("L89.154", 2)]),
            (SHIPPED, 1, [("M48.38", 1)]),
        ]
        assert [(c.code, c.rows) for c in found.without] == [("I10", 3), ("E11.9", 1), ("Z99.89", 1)]

    @pytest.mark.parametrize(
        ("text", "told"), [("claim,amount\n1,2\n", "no column of billed codes"), ("claim,dx\n1,\n", "bills no codes")]
    )
    def test_what_cannot_be_counted(self, tmp_path: Path, text: str, told: str) -> None:
        claims = tmp_path / "claims.csv"
        claims.write_text(text, encoding="utf-8")
        with pytest.raises(ChartgapError, match=told):
            coverage(claims)

    def test_the_command(self, folder: Path, tmp_path: Path) -> None:
        claims = tmp_path / "claims.csv"
        claims.write_text(CLAIMS, encoding="utf-8")
        arguments = ["packs", "coverage", str(claims), "--pack-folder", str(folder), "--most", "1"]
        printed = CliRunner().invoke(cli.app, arguments).stdout
        assert re.search(r"rows with a pack +3 +75\.0%  of 4 rows", printed)
        assert re.search(r"^pack +2 +50\.0%$", printed, flags=re.M)
        assert "and 2 more" in printed
        whole = json.loads(CliRunner().invoke(cli.app, [*arguments, "--json"]).stdout)
        assert whole["packs"][0]["codes"][0]["title"].startswith("Pressure ulcer of sacral region")


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

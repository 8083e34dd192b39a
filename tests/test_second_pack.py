"""A pack of another kind, fractures of sacrum and coccyx: labelled notes, and what it asks of the engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from analyzer import Analyzer, Note
from analyzer.codes import CodeTable
from analyzer.errors import CodeError, PackError
from analyzer.evaluate import FoundReport, evaluate, read_gold
from analyzer.pack_files import covering
from analyzer.packs import available_packs, load_pack, pack_covering

FOLDER = Path(__file__).resolve().parent / "second_pack"
PATTERNS = Path(__file__).resolve().parents[1] / "patterns"
PACK = "sacral-fracture"
# Measured by `chartgap evaluate tests/second_pack/notes.jsonl tests/second_pack/gold.jsonl` (and later_*.jsonl); the
# figures of the first run, before any rule had been changed for these notes, are in docs/sacral-fracture.md.
FLOORS = {"": (0.97, 0.96, 0.95), "later_": (0.97, 0.9, 0.95)}


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def notes(which: str) -> list[Note]:
    return [Note.model_validate(row) for row in rows(f"{which}notes.jsonl")]


@pytest.mark.parametrize("which", FLOORS)
def test_labels_are_whole_and_quote_their_notes(which: str) -> None:
    texts = {note.note_id: note.text for note in notes(which)}
    labels = rows(f"{which}gold.jsonl")
    assert [g["note_id"] for g in labels] == list(texts)
    for label in labels:
        for name, requirement in label["requirements"].items():
            assert bool(requirement["evidence"]) == (requirement["status"] != "missing"), (label["note_id"], name)
            assert all(quote in texts[label["note_id"]] for quote in requirement["evidence"])


def test_enough_notes_of_every_seventh_character() -> None:
    codes = [note.code or "" for note in notes("")]
    assert len(codes) >= 24
    assert {code[-1] for code in codes} == set("ABDGKS")
    assert {code[:5] for code in codes} == {"S32.1", "S32.2"}


@pytest.mark.parametrize("which", FLOORS)
def test_reports_agree_with_the_labels(analyzer: Analyzer, which: str) -> None:
    read = notes(which)
    found = [FoundReport.of(report) for report in analyzer.reports(read)]
    gold = read_gold(FOLDER / f"{which}gold.jsonl")
    measured = evaluate({n.note_id: n.text for n in read}, gold, found, resamples=0).measures
    figures = (measured["gap"]["f1"], measured["verdict_accuracy"], measured["alerts"]["f1"])
    print("gap F1 {:.3f}, verdict {:.3f}, alerts F1 {:.3f}".format(*figures))
    assert measured["offsets_exact"] == 1.0
    assert all(figure >= floor for figure, floor in zip(figures, FLOORS[which], strict=True))


def told(assessment: str) -> str:
    return (
        "HPI: Slipped on the stairs at home and landed on her buttock.\n"
        "Imaging: CT sacrum: zone I fracture of the sacral ala.\n"
        "Exam: Strength and sensation intact in both legs.\n"
        f"Assessment: {assessment}\n"
        "Plan: Return in 4 weeks."
    )


PHASES = {
    "A": ("Acute closed zone I sacral fracture, nondisplaced.", "initial"),
    "B": ("Acute open zone I sacral fracture, nondisplaced.", "initial"),
    "D": ("Closed zone I sacral fracture, nondisplaced, routine healing.", "routine"),
    "G": ("Delayed union of closed zone I sacral fracture, nondisplaced.", "delayed"),
    "K": ("Nonunion of closed zone I sacral fracture, nondisplaced.", "nonunion"),
    "S": ("Chronic pain, sequela of closed zone I sacral fracture, nondisplaced.", "sequela"),
}


@pytest.mark.parametrize("said", PHASES)
@pytest.mark.parametrize("coded", PHASES)
def test_the_seventh_character_follows_the_phase(analyzer: Analyzer, said: str, coded: str) -> None:
    sentence, phase = PHASES[said]
    report = analyzer.report(Note(note_id="n", text=told(sentence), code=f"S32.110{coded}"))
    by_id = {r.id: r for r in report.requirements}
    assert (by_id["care_phase"].status, by_id["care_phase"].value) == ("documented", phase)
    differs = "seventh_character_differs" in {a.id for a in report.alerts}
    assert differs == (said != coded)
    assert report.verdict == ("not_supported" if differs else "supported")
    assert f"S32.110{said}" in [c.code for c in report.candidate_codes]


def test_zone_and_bone_of_the_code_are_held_against_the_note(analyzer: Analyzer) -> None:
    text = told(PHASES["A"][0])
    for code, differs in (("S32.110A", False), ("S32.10XA", False), ("S32.120A", True), ("S32.2XXA", True)):
        report = analyzer.report(Note(note_id="n", text=text, code=code))
        assert ("code_site_differs" in {a.id for a in report.alerts}) == differs, code


def test_every_code_below_a_family_is_covered_and_no_other() -> None:
    (info,) = [p for p in available_packs() if p.id == PACK]
    table = CodeTable.load()
    for family in info.codes:
        assert table.children(family.removesuffix("-")) or table.lookup(family.removesuffix("-")).stem
    assert info.covers("S32.2XXA")
    assert info.covers("S32.119K")
    assert not info.covers("S32.810A")
    assert not info.covers("S33.2XXA")
    assert covering(["S32.-", "S32.1-", "S32.10XA"], "S32.10XA") == "S32.10XA"
    assert covering(["S32.-", "S32.1-"], "S32.10XD") == "S32.1-"


def test_a_code_without_seventh_character_is_refused(analyzer: Analyzer) -> None:
    with pytest.raises(CodeError, match="7th character"):
        analyzer.report(Note(note_id="n", text="Coccyx fracture.", code="S32.2"))


def test_notes_without_a_code_are_judged_as_before(analyzer: Analyzer) -> None:
    assert available_packs()[0].id == "traumatic-spondylopathy"
    assert analyzer.report(Note(note_id="n", text=told(PHASES["A"][0]))).code == "M48.38"


def test_several_codes_cost_one_reading_a_pack(analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    note = Note(note_id="n", text=told(PHASES["A"][0]))
    codes = ["M48.38", "S32.110A", "M48.37", "S32.2XXA"]
    alone = [analyzer.report(note.model_copy(update={"code": code})) for code in codes]
    count = 0
    for name in ("traumatic-spondylopathy", PACK):
        reader = analyzer.pack(name).reader
        read = reader.read

        def counted(text: str, *rest: Any, read: Any = read) -> Any:
            nonlocal count
            count += 1
            return read(text, *rest)

        monkeypatch.setattr(reader, "read", counted)
    assert analyzer.reports_for(note, codes) == alone
    assert count == 2


class TestUses:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        shutil.copytree(PATTERNS / PACK, tmp_path / "mine")
        return tmp_path / "mine"

    def edit(self, folder: Path, change: dict[str, Any]) -> None:
        file = folder / "pack.yaml"
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        data["uses"].update(change)
        file.write_text(yaml.safe_dump(data), encoding="utf-8")

    def test_a_pack_elsewhere_may_use_a_shipped_one(self, folder: Path) -> None:
        assert load_pack(folder).head.elements["region"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"pack": "nowhere"}, "uses.pack: no pack folder is called 'nowhere'"),
            ({"vocabulary": ["nothing"]}, "traumatic-spondylopathy/vocabulary/nothing.yaml: is missing"),
            ({"facts": ["alerts"]}, "facts"),
            ({"else": 1}, "else"),
        ],
    )
    def test_mistakes_are_named(self, folder: Path, change: dict[str, Any], message: str) -> None:
        self.edit(folder, change)
        with pytest.raises(PackError) as caught:
            load_pack(folder)
        assert message in str(caught.value)

    def test_a_given_pack_stands_before_a_shipped_one_of_any_rank(self, folder: Path) -> None:
        file = folder / "pack.yaml"
        text = file.read_text(encoding="utf-8").replace("id: sacral-fracture", "id: mine").replace("rank: 1", "rank: 0")
        file.write_text(text, encoding="utf-8")
        infos = available_packs([folder])
        assert [info.id for info in infos] == ["traumatic-spondylopathy", "mine", PACK]
        found = pack_covering(infos, "S32.110A")
        assert found is not None
        assert found.id == "mine"

    def test_a_fact_is_defined_once(self, folder: Path) -> None:
        file = folder / "facts.yaml"
        file.write_text(file.read_text(encoding="utf-8") + "  event: {linked: event}\n", encoding="utf-8")
        with pytest.raises(PackError, match=r"facts\.event: is defined already \(traumatic-spondylopathy/facts\.yaml:"):
            load_pack(folder)

    def test_a_change_of_the_used_pack_changes_the_hash(self, folder: Path) -> None:
        shutil.copytree(PATTERNS / "traumatic-spondylopathy", folder.parent / "traumatic-spondylopathy")
        before = load_pack(folder).sha256
        file = folder.parent / "traumatic-spondylopathy" / "macros.yaml"
        file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        assert load_pack(folder).sha256 != before

    def test_the_default_code_must_be_covered(self, folder: Path) -> None:
        file = folder / "pack.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("default_code: S32.10XA", "default_code: M48.38"), encoding="utf-8")
        with pytest.raises(PackError, match=r"default_code: no code of this pack is 'M48\.38'"):
            load_pack(folder)

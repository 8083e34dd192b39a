"""The code table: facts of the tabular list, what is said of a code that cannot be reported, and the data file itself.

`CHARTGAP_VERIFIED_CODES` may name a CSV of further facts to check the table against, with the columns `code`,
`official_description`, `tabular_status`, `seventh_chars`, `example_full_code_sequela` and `own_notes`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import analyzer.codes_import as codes_import
from analyzer.codes import NOTE_FIELDS, CodeTable, ProblemKind, normalise
from analyzer.codes_import import Extract, ReleaseInfo, file_name, load_extract, read_rows, render, write_release
from analyzer.errors import CodeError

DATA = Path(__file__).parents[1] / "patterns" / "icd10cm" / "FY2026-April-2026.json"
CONTENT: dict[str, Any] = json.loads(DATA.read_text(encoding="utf-8"))
ROWS: dict[str, dict[str, Any]] = CONTENT["codes"]
TABLE = CodeTable.load(date(2026, 5, 1))

# code | leaf, stem (needs a 7th character) or category | 7th characters, any order | official title
FACTS = """
M48.3 | category | - | Traumatic spondylopathy
M48.30 | leaf | - | Traumatic spondylopathy, site unspecified
M48.31 | leaf | - | Traumatic spondylopathy, occipito-atlanto-axial region
M48.32 | leaf | - | Traumatic spondylopathy, cervical region
M48.33 | leaf | - | Traumatic spondylopathy, cervicothoracic region
M48.34 | leaf | - | Traumatic spondylopathy, thoracic region
M48.35 | leaf | - | Traumatic spondylopathy, thoracolumbar region
M48.36 | leaf | - | Traumatic spondylopathy, lumbar region
M48.37 | leaf | - | Traumatic spondylopathy, lumbosacral region
M48.38 | leaf | - | Traumatic spondylopathy, sacral and sacrococcygeal region
S32 | category | ABDGKS | Fracture of lumbar spine and pelvis
S32.1 | category | ABDGKS | Fracture of sacrum
S32.10 | stem | ABDGKS | Unspecified fracture of sacrum
S32.11 | category | ABDGKS | Zone I fracture of sacrum
S32.110 | stem | ABDGKS | Nondisplaced Zone I fracture of sacrum
S32.111 | stem | ABDGKS | Minimally displaced Zone I fracture of sacrum
S32.112 | stem | ABDGKS | Severely displaced Zone I fracture of sacrum
S32.119 | stem | ABDGKS | Unspecified Zone I fracture of sacrum
S32.12 | category | ABDGKS | Zone II fracture of sacrum
S32.120 | stem | ABDGKS | Nondisplaced Zone II fracture of sacrum
S32.121 | stem | ABDGKS | Minimally displaced Zone II fracture of sacrum
S32.122 | stem | ABDGKS | Severely displaced Zone II fracture of sacrum
S32.129 | stem | ABDGKS | Unspecified Zone II fracture of sacrum
S32.13 | category | ABDGKS | Zone III fracture of sacrum
S32.130 | stem | ABDGKS | Nondisplaced Zone III fracture of sacrum
S32.131 | stem | ABDGKS | Minimally displaced Zone III fracture of sacrum
S32.132 | stem | ABDGKS | Severely displaced Zone III fracture of sacrum
S32.139 | stem | ABDGKS | Unspecified Zone III fracture of sacrum
S32.14 | stem | ABDGKS | Type 1 fracture of sacrum
S32.15 | stem | ABDGKS | Type 2 fracture of sacrum
S32.16 | stem | ABDGKS | Type 3 fracture of sacrum
S32.17 | stem | ABDGKS | Type 4 fracture of sacrum
S32.19 | stem | ABDGKS | Other fracture of sacrum
S32.2 | stem | ABDGKS | Fracture of coccyx
S32.8 | category | ABDGKS | Fracture of other parts of pelvis
S32.810 | stem | ABDGKS | Multiple fractures of pelvis with stable disruption of pelvic ring
S32.811 | stem | ABDGKS | Multiple fractures of pelvis with unstable disruption of pelvic ring
S32.82 | stem | ABDGKS | Multiple fractures of pelvis without disruption of pelvic ring
S32.89 | stem | ABDGKS | Fracture of other parts of pelvis
S32.9 | stem | ABDGKS | Fracture of unspecified parts of lumbosacral spine and pelvis
S33 | category | ADS | Dislocation and sprain of joints and ligaments of lumbar spine and pelvis
S33.2 | stem | ADS | Dislocation of sacroiliac and sacrococcygeal joint
S33.30 | stem | ADS | Dislocation of unspecified parts of lumbar spine and pelvis
S33.39 | stem | ADS | Dislocation of other parts of lumbar spine and pelvis
S33.4 | stem | ADS | Traumatic rupture of symphysis pubis
S33.5 | stem | ADS | Sprain of ligaments of lumbar spine
S33.6 | stem | ADS | Sprain of sacroiliac joint
S34 | category | ADS | Injury of lumbar and sacral spinal cord and nerves at abdomen, lower back and pelvis level
S34.02 | stem | ADS | Concussion and edema of sacral spinal cord
S34.131 | stem | ADS | Complete lesion of sacral spinal cord
S34.132 | stem | ADS | Incomplete lesion of sacral spinal cord
S34.139 | stem | ADS | Unspecified injury to sacral spinal cord
S34.22 | stem | ADS | Injury of nerve root of sacral spine
S34.3 | stem | ADS | Injury of cauda equina
S34.4 | stem | ADS | Injury of lumbosacral plexus
S34.5 | stem | ADS | Injury of lumbar, sacral and pelvic sympathetic nerves
M47.28 | leaf | - | Other spondylosis with radiculopathy, sacral and sacrococcygeal region
M47.818 | leaf | - | Spondylosis without myelopathy or radiculopathy, sacral and sacrococcygeal region
M47.898 | leaf | - | Other spondylosis, sacral and sacrococcygeal region
M47.9 | leaf | - | Spondylosis, unspecified
M48.07 | leaf | - | Spinal stenosis, lumbosacral region
M48.08 | leaf | - | Spinal stenosis, sacral and sacrococcygeal region
M48.18 | leaf | - | Ankylosing hyperostosis [Forestier], sacral and sacrococcygeal region
M80.08 | stem | ADGKPS | Age-related osteoporosis with current pathological fracture, vertebra(e)
M80.0A | stem | ADGKPS | Age-related osteoporosis with current pathological fracture, other site
M80.0B1 | stem | ADGKPS | Age-related osteoporosis with current pathological fracture, right pelvis
M80.0B2 | stem | ADGKPS | Age-related osteoporosis with current pathological fracture, left pelvis
M80.0B9 | stem | ADGKPS | Age-related osteoporosis with current pathological fracture, unspecified pelvis
M80.88 | stem | ADGKPS | Other osteoporosis with current pathological fracture, vertebra(e)
M80.8B1 | stem | ADGKPS | Other osteoporosis with current pathological fracture, right pelvis
M80.8B9 | stem | ADGKPS | Other osteoporosis with current pathological fracture, unspecified pelvis
M48.47 | stem | ADGS | Fatigue fracture of vertebra, lumbosacral region
M48.48 | stem | ADGS | Fatigue fracture of vertebra, sacral and sacrococcygeal region
M48.57 | stem | ADGS | Collapsed vertebra, not elsewhere classified, lumbosacral region
M48.58 | stem | ADGS | Collapsed vertebra, not elsewhere classified, sacral and sacrococcygeal region
M84.350 | stem | ADGKPS | Stress fracture, pelvis
M84.38 | stem | ADGKPS | Stress fracture, other site
M84.454 | stem | ADGKPS | Pathological fracture, pelvis
M84.48 | stem | ADGKPS | Pathological fracture, other site
M84.550 | stem | ADGKPS | Pathological fracture in neoplastic disease, pelvis
M84.58 | stem | ADGKPS | Pathological fracture in neoplastic disease, other specified site
M53.3 | leaf | - | Sacrococcygeal disorders, not elsewhere classified
M53.2X7 | leaf | - | Spinal instabilities, lumbosacral region
M53.2X8 | leaf | - | Spinal instabilities, sacral and sacrococcygeal region
M53.88 | leaf | - | Other specified dorsopathies, sacral and sacrococcygeal region
M53.9 | leaf | - | Dorsopathy, unspecified
M43.07 | leaf | - | Spondylolysis, lumbosacral region
M43.08 | leaf | - | Spondylolysis, sacral and sacrococcygeal region
M43.17 | leaf | - | Spondylolisthesis, lumbosacral region
M43.18 | leaf | - | Spondylolisthesis, sacral and sacrococcygeal region
M43.28 | leaf | - | Fusion of spine, sacral and sacrococcygeal region
M45.8 | leaf | - | Ankylosing spondylitis sacral and sacrococcygeal region
M45.A8 | leaf | - | Non-radiographic axial spondyloarthritis of sacral and sacrococcygeal region
M46.08 | leaf | - | Spinal enthesopathy, sacral and sacrococcygeal region
M46.1 | leaf | - | Sacroiliitis, not elsewhere classified
M46.28 | leaf | - | Osteomyelitis of vertebra, sacral and sacrococcygeal region
M46.38 | leaf | - | Infection of intervertebral disc (pyogenic), sacral and sacrococcygeal region
M46.48 | leaf | - | Discitis, unspecified, sacral and sacrococcygeal region
M54.16 | leaf | - | Radiculopathy, lumbar region
M54.17 | leaf | - | Radiculopathy, lumbosacral region
M54.18 | leaf | - | Radiculopathy, sacral and sacrococcygeal region
M54.30 | leaf | - | Sciatica, unspecified side
M54.31 | leaf | - | Sciatica, right side
M54.32 | leaf | - | Sciatica, left side
M54.40 | leaf | - | Lumbago with sciatica, unspecified side
M54.41 | leaf | - | Lumbago with sciatica, right side
M54.42 | leaf | - | Lumbago with sciatica, left side
M54.50 | leaf | - | Low back pain, unspecified
M54.51 | leaf | - | Vertebrogenic low back pain
M54.59 | leaf | - | Other low back pain
M54.89 | leaf | - | Other dorsalgia
M54.9 | leaf | - | Dorsalgia, unspecified
M99.03 | leaf | - | Segmental and somatic dysfunction of lumbar region
M99.04 | leaf | - | Segmental and somatic dysfunction of sacral region
M99.05 | leaf | - | Segmental and somatic dysfunction of pelvic region
M99.13 | leaf | - | Subluxation complex (vertebral) of lumbar region
M99.14 | leaf | - | Subluxation complex (vertebral) of sacral region
C41.4 | leaf | - | Malignant neoplasm of pelvic bones, sacrum and coccyx
C79.51 | leaf | - | Secondary malignant neoplasm of bone
D16.8 | leaf | - | Benign neoplasm of pelvic bones, sacrum and coccyx
M88.1 | leaf | - | Osteitis deformans of vertebrae
Q76.0 | leaf | - | Spina bifida occulta
O71.6 | leaf | - | Obstetric damage to pelvic joints and ligaments
O94 | leaf | - | Sequelae of complication of pregnancy, childbirth, and the puerperium
P11.5 | leaf | - | Birth injury to spine and spinal cord
Z87.81 | leaf | - | Personal history of (healed) traumatic fracture
Z87.311 | leaf | - | Personal history of (healed) other pathological fracture
Z87.312 | leaf | - | Personal history of (healed) stress fracture
Z87.828 | leaf | - | Personal history of other (healed) physical injury and trauma
Z47.2 | leaf | - | Encounter for removal of internal fixation device
Z47.89 | leaf | - | Encounter for other orthopedic aftercare
Z98.1 | leaf | - | Arthrodesis status
Z91.81 | leaf | - | History of falling
L89.150 | leaf | - | Pressure ulcer of sacral region, unstageable
L89.153 | leaf | - | Pressure ulcer of sacral region, stage 3
L89.154 | leaf | - | Pressure ulcer of sacral region, stage 4
L05.91 | leaf | - | Pilonidal cyst without abscess
L05.01 | leaf | - | Pilonidal cyst with abscess
W00.0 | stem | ADS | Fall on same level due to ice and snow
W03 | stem | ADS | Other fall on same level due to collision with another person
W06 | stem | ADS | Fall from bed
W10.9 | stem | ADS | Fall (on) (from) unspecified stairs and steps
W18.30 | stem | ADS | Fall on same level, unspecified
W19 | stem | ADS | Unspecified fall
W40.9 | stem | ADS | Explosion of unspecified explosive materials
V00.311 | stem | ADS | Fall from snowboard
V18.4 | stem | ADS | Pedal cycle driver injured in noncollision transport accident in traffic accident
V43.52 | stem | ADS | Car driver injured in collision with other type car in traffic accident
V80.010 | stem | ADS | Animal-rider injured by fall from or being thrown from horse in noncollision accident
V89.2 | stem | ADS | Person injured in unspecified motor-vehicle accident, traffic
X50.0 | stem | ADS | Overexertion from strenuous movement or load
X58 | stem | ADS | Exposure to other specified factors
X80 | stem | ADS | Intentional self-harm by jumping from a high place
Y01 | stem | ADS | Assault by pushing from high place
Y30 | stem | ADS | Falling, jumping or pushed from a high place, undetermined intent
Y92.9 | leaf | - | Unspecified place or not applicable
"""


class Fact(NamedTuple):
    code: str
    kind: str
    seventh: str
    title: str
    sequela: str = ""
    notes: str = ""


STATUS = {
    "LEAF reportable": "leaf",
    "LEAF but 7th character required": "stem",
    "PARENT (not reportable)": "category",
}


def further_facts() -> Iterator[Fact]:
    """Facts of the CSV named by the environment, none when there is no such file."""
    path = Path(os.environ.get("CHARTGAP_VERIFIED_CODES", ""))
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield Fact(
                    row["code"],
                    STATUS[row["tabular_status"]],
                    row["seventh_chars"],
                    row["official_description"],
                    row["example_full_code_sequela"],
                    row["own_notes"],
                )


def own_facts() -> Iterator[Fact]:
    for line in FACTS.strip().splitlines():
        code, kind, seventh, title = (part.strip() for part in line.split("|"))
        yield Fact(code, kind, seventh.strip("-"), title)


FURTHER = list(further_facts())


@pytest.mark.parametrize("fact", [*own_facts(), *FURTHER], ids=lambda fact: fact.code)
def test_a_code_is_as_the_tabular_list_has_it(fact: Fact) -> None:
    entry = TABLE.lookup(fact.code)
    assert entry.title == fact.title
    assert ("leaf" if entry.leaf else "stem" if entry.stem else "category") == fact.kind
    assert set(entry.seventh) == set(fact.seventh)
    problem = TABLE.check(fact.code)
    expected = {"leaf": None, "stem": "seventh_character_missing", "category": "category"}[fact.kind]
    assert (problem.kind if problem else None) == expected


def test_every_full_form_of_a_stem_is_reportable_and_no_other() -> None:
    letters = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    for fact in own_facts():
        entry = TABLE.lookup(fact.code)
        if entry.stem:
            assert len(entry.stem.replace(".", "")) == 6
            reportable = {letter for letter in letters if TABLE.check(entry.stem + letter) is None}
            assert reportable == set(fact.seventh)


def test_further_facts_hold_in_full() -> None:
    """The full sequela forms, and the code's own notes: `kind: line / line; kind: line`, perhaps cut off."""
    kinds = {
        "includes": "includes",
        "inclusionTerm": "inclusion_terms",
        "excludes1": "excludes1",
        "excludes2": "excludes2",
        "codeFirst": "code_first",
        "useAdditionalCode": "use_additional",
        "codeAlso": "code_also",
        "notes": "notes",
    }
    for fact in FURTHER:
        entry = TABLE.lookup(fact.code)
        if fact.sequela:
            assert TABLE.check(fact.sequela) is None, fact
            assert TABLE.lookup(fact.sequela).parent == fact.code
        parts = re.split(rf"(?:^|; )({'|'.join(kinds)}|sevenChrNote): ", " ".join(fact.notes.split()))[1:]
        for kind, stated in zip(parts[::2], parts[1::2], strict=True):
            if kind in kinds:
                assert " / ".join(getattr(entry, kinds[kind])).startswith(stated), (fact.code, kind)


@pytest.mark.parametrize(
    "spelling", ["M48.38", "m48.38", "M4838", " m48 38 ", "M48.38\n", "m 4 8 . 3 8", "M48\u00a0.38"]
)
def test_usual_spellings_are_understood(spelling: str) -> None:
    assert normalise(spelling) == "M48.38"
    assert TABLE.check(spelling) is None
    assert TABLE.lookup(spelling).code == "M48.38"


@given(st.sampled_from(sorted(code for code in ROWS if normalise(code))), st.booleans(), st.booleans(), st.booleans())
def test_spelling_never_changes_the_answer(code: str, lower: bool, undotted: bool, spaced: bool) -> None:
    spelling = code.replace(".", "") if undotted else code
    spelling = spelling.lower() if lower else spelling
    spelling = " ".join(spelling) if spaced else spelling
    assert TABLE.lookup(spelling) == TABLE.lookup(code)
    assert TABLE.check(spelling) == TABLE.check(code)


@given(st.text(max_size=12))
def test_any_text_gets_an_answer(text: str) -> None:
    problem = TABLE.check(text)
    if problem is None:
        assert TABLE.lookup(text).leaf
    else:
        assert problem.message
        assert "\n" not in problem.message


PROBLEMS: list[tuple[str, ProblemKind, str]] = [
    ("M48.3", "category", "M48.3 is a category that cannot be billed; its billable members are M48.30 ... M48.38"),
    ("S32.1", "category", "S32.1 is a category that cannot be billed; its billable members are S32.10XA ... S32.19XS"),
    (
        "S32.1XXA",
        "category",
        "S32.1XXA: S32.1 is a category that cannot be billed; its billable members are S32.10XA ... S32.19XS",
    ),
    ("M48.38XA", "no_seventh_character", "M48.38XA: M48.38 takes no 7th character"),
    ("M48.38S", "no_seventh_character", "M48.38S: M48.38 takes no 7th character"),
    ("R32XXXA", "no_seventh_character", "R32.XXXA: R32 takes no 7th character"),
    ("M48.381", "no_seventh_character", "M48.381: M48.38 takes no further character"),
    (
        "S32.2",
        "seventh_character_missing",
        "S32.2 needs a 7th character A, B, D, G, K or S, written S32.2XXA",
    ),
    (
        "S32.2XX",
        "seventh_character_missing",
        "S32.2XX needs a 7th character A, B, D, G, K or S, written S32.2XXA",
    ),
    ("W19", "seventh_character_missing", "W19 needs a 7th character A, D or S, written W19.XXXA"),
    (
        "S32.2XXP",
        "seventh_character_not_allowed",
        "S32.2XXP: S32.2 has no 7th character P; it takes A, B, D, G, K or S",
    ),
    ("M48.58XK", "seventh_character_not_allowed", "M48.58XK: M48.58 has no 7th character K; it takes A, D, G or S"),
    ("S32.2S", "placeholder", "S32.2S: the 7th character must stand in seventh place, written S32.2XXS"),
    ("S32.110XA", "placeholder", "S32.110XA: the 7th character must stand in seventh place, written S32.110A"),
    ("W19.S", "placeholder", "W19.S: the 7th character must stand in seventh place, written W19.XXXS"),
    (
        "M48.39",
        "unknown",
        "M48.39 does not exist in FY2026 (April 2026); the members of M48.3 are M48.30 ... M48.38",
    ),
    ("S32.210A", "unknown", "S32.210A does not exist in FY2026 (April 2026)"),
    ("E11.9", "not_carried", "E11.9: category E11 is not among those carried from FY2026 (April 2026)"),
    *(
        (
            text,
            "malformed",
            "the code is not written like an ICD-10-CM code (a letter, a digit, and one to five characters more)",
        )
        for text in ("", "M4", "48.38", "M48.", "M483.8", "S32.1-", "M48.38, S32.2XXS", "Jane Doe", "М48.38")
    ),
]


@pytest.mark.parametrize(("code", "kind", "message"), PROBLEMS)
def test_a_problem_is_said_precisely(code: str, kind: str, message: str) -> None:
    problem = TABLE.check(code)
    assert problem is not None
    assert (problem.kind, problem.message) == (kind, message)
    assert problem.code == (normalise(code) or "")


def test_every_kind_of_problem_has_an_example() -> None:
    assert {kind for _, kind, _ in PROBLEMS} == set(get_args(ProblemKind))


def test_lookup_refuses_what_the_table_does_not_hold() -> None:
    for code, kind, message in PROBLEMS:
        if normalise(code) in ROWS:
            assert TABLE.lookup(code).code == normalise(code)
            assert kind in ("category", "seventh_character_missing")
        else:
            with pytest.raises(CodeError, match=re.escape(message)):
                TABLE.lookup(code)


def test_a_full_form_is_an_entry_of_its_own() -> None:
    entry = TABLE.lookup("s322xxs")
    assert (entry.code, entry.parent, entry.chapter) == ("S32.2XXS", "S32.2", "19")
    assert entry.title == "Fracture of coccyx, sequela"
    assert entry.leaf
    assert entry.seventh == {}
    assert [above.code for above in TABLE.lineage("S32.2XXS")] == ["S32.2XXS", "S32.2", "S32", "S30-S39", "19"]


def test_seventh_characters_carry_the_meaning_of_their_own_category() -> None:
    assert TABLE.lookup("S32.2").seventh["B"] == "initial encounter for open fracture"
    assert TABLE.lookup("M48.58").seventh["S"] == "sequela of fracture"
    assert TABLE.lookup("M80.08").seventh["P"] == "subsequent encounter for fracture with malunion"
    assert TABLE.lookup("S32").seventh == TABLE.lookup("S32.2").seventh
    assert TABLE.lookup("M48").seventh == {}


def test_lineage_shows_where_a_note_stands() -> None:
    line = TABLE.lineage("M48.38")
    assert [entry.code for entry in line] == ["M48.38", "M48.3", "M48", "M45-M49", "13"]
    assert not any(entry.excludes1 for entry in line)
    assert [entry.code for entry in line if entry.excludes2] == ["13"]
    assert any("(S00-T88)" in note for note in line[-1].excludes2)
    assert any("current injury" in note for note in TABLE.lineage("M54.18")[3].excludes1)
    assert any("(S34.-)" in note for note in TABLE.lookup("S32").code_first)
    assert any("(S32.8-)" in note for note in TABLE.lookup("S32.1").code_also)
    assert any("displaced" in note for note in TABLE.lookup("S32").notes)
    assert any("M48" in note for note in TABLE.lookup("G55").excludes1)
    assert "Coccygodynia" in TABLE.lookup("M53.3").inclusion_terms


def test_a_block_named_like_its_only_category_is_kept_apart() -> None:
    line = TABLE.lineage("M95.5")
    assert [entry.code for entry in line] == ["M95.5", "M95", "M95-M95", "13"]
    assert line[1].title != line[2].title


def test_children_come_in_the_order_of_the_tabular_list() -> None:
    assert [entry.code for entry in TABLE.children("M48.3")] == [f"M48.3{digit}" for digit in range(9)]
    assert TABLE.children("M48.38") == ()
    assert TABLE.children("S32.2XXS") == ()


def release(folder: Path, label: str, start: str, end: str) -> None:
    info = ReleaseInfo(
        label=label, effective_from=date.fromisoformat(start), effective_to=date.fromisoformat(end), source="made up"
    )
    row = {"title": label, "parent": "", "chapter": "13", "leaf": True}
    (folder / file_name(info)).write_text(render(info, {"M99": row}), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    release(tmp_path, "FY A", "2023-10-01", "2024-09-30")
    release(tmp_path, "FY B", "2025-10-01", "2026-09-30")
    release(tmp_path, "FY B early", "2025-10-01", "2026-03-31")
    return tmp_path


@pytest.mark.parametrize(
    ("day", "label", "outside"),
    [
        (None, "FY B", False),
        ("2000-01-01", "FY A", True),
        ("2023-09-30", "FY A", True),
        ("2023-10-01", "FY A", False),
        ("2024-09-30", "FY A", False),
        ("2024-10-01", "FY A", True),
        ("2025-03-01", "FY A", True),
        ("2025-06-01", "FY B early", True),
        ("2025-10-01", "FY B early", False),
        ("2026-03-31", "FY B early", False),
        ("2026-04-01", "FY B", False),
        ("2026-09-30", "FY B", False),
        ("2026-10-01", "FY B", True),
        ("2099-01-01", "FY B", True),
    ],
)
def test_the_date_of_service_picks_the_release(folder: Path, day: str | None, label: str, outside: bool) -> None:
    table = CodeTable.load(date.fromisoformat(day) if day else None, folder)
    assert table.release.label == label
    assert table.lookup("M99").title == label
    assert (table.warning is not None) == outside


@pytest.mark.parametrize("day", ["2025-09-30", "2026-10-01"])
def test_a_date_outside_every_release_is_warned_of(day: str) -> None:
    assert CodeTable.load(date.fromisoformat(day)).warning == (
        f"date of service {day} lies outside the code-set release FY2026 (April 2026), "
        "which holds from 2025-10-01 to 2026-09-30"
    )


def test_the_shipped_release_is_read_once() -> None:
    assert TABLE.warning is None
    assert CodeTable.load() is TABLE
    assert CodeTable.load(date(2025, 10, 1)) is TABLE
    assert CodeTable.load(date(2030, 1, 1)).release is TABLE.release
    assert TABLE.release.amended == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "x.json: not a code-set release: Expecting"),
        ("[]", "x.json: not a code-set release: a value is of the wrong type"),
        ("{}", "x.json: not a code-set release: 'release' is missing"),
        ('{"release": {"label": "FY"}, "codes": {}}', "x.json: not a code-set release: 'effective_from' is missing"),
        (
            '{"release": {"label": "FY", "effective_from": "soon"}, "codes": {}}',
            "x.json: not a code-set release: Invalid isoformat",
        ),
    ],
)
def test_a_broken_release_file_is_named(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(CodeError, match=re.escape(reason)):
        CodeTable.load(folder=tmp_path)


def test_a_folder_without_releases_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodeError, match="no code-set release here"):
        CodeTable.load(folder=tmp_path)
    with pytest.raises(CodeError, match="cannot be read"):
        CodeTable.load(folder=tmp_path / "absent")


def test_the_data_file_holds_one_code_a_line_and_stays_small() -> None:
    raw = DATA.read_bytes()
    assert len(raw) < 1_500_000
    assert b"\r" not in raw
    lines = raw.decode("utf-8").splitlines()
    assert len(lines) == len(ROWS) + 5
    assert [json.loads(line.split(": ", 1)[0]) for line in lines[3:-2]] == list(ROWS)
    assert render(ReleaseInfo.model_validate(CONTENT["release"]), ROWS) == raw.decode("utf-8")
    assert file_name(load_extract().release) == DATA.name
    assert CONTENT["release"] == load_extract().release.model_dump(mode="json")


def test_the_rows_form_a_tree() -> None:
    seen = {""}
    for code, row in ROWS.items():
        assert row["parent"] in seen, code
        seen.add(code)
        assert row["title"]
        assert set(row) <= {"title", "parent", "chapter", "leaf", "stem", "seventh", "seventh_meanings", *NOTE_FIELDS}
        assert not ("leaf" in row and "stem" in row), code
        assert ("stem" in row) == ("seventh" in row)
    assert all(TABLE.lineage(code)[-1].code == row["chapter"] for code, row in ROWS.items() if normalise(code))


def test_exactly_the_bottom_of_the_tree_is_reportable() -> None:
    inner = {row["parent"] for row in ROWS.values()}
    for code, row in ROWS.items():
        if normalise(code):
            assert (code not in inner) == ("leaf" in row or "stem" in row), code
            assert (TABLE.check(code) is None) == ("leaf" in row), code


def test_the_extract_names_what_it_carries() -> None:
    extract = load_extract()
    carried = {code for code in ROWS if len(code) == 3 and normalise(code)}
    assert all(any(wanted.holds(category) for wanted in extract.categories) for category in carried)
    assert all(any(wanted.holds(category) for category in carried) for wanted in extract.categories)


EXTRACT: dict[str, Any] = {
    "release": {"label": "FY", "effective_from": "2025-10-01", "effective_to": "2026-09-30", "source": "made up"},
    "categories": [{"from": "M48", "why": "family"}],
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"categories": []}, "e.yaml: categories: "),
        ({"categories": [{"from": "M48"}]}, "e.yaml: categories.0.why: Field required"),
        ({"categories": [{"from": "M483", "why": "too long"}]}, "e.yaml: categories.0.from: "),
        ({"codes": 1}, "e.yaml: codes: Extra inputs"),
        ({"release": EXTRACT["release"] | {"effective_to": "2024-09-30"}}, "effective_to lies before effective_from"),
    ],
)
def test_a_broken_extract_is_named_with_its_key(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump(EXTRACT | change), encoding="utf-8")
    with pytest.raises(CodeError, match=re.escape(reason)) as caught:
        load_extract(path)
    assert "\n" not in str(caught.value)


def test_an_extract_that_is_no_yaml_or_absent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    with pytest.raises(CodeError, match=r"e\.yaml: cannot be read"):
        load_extract(path)
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(CodeError, match=r"e\.yaml: not YAML: ") as caught:
        load_extract(path)
    assert "\n" not in str(caught.value)


def test_without_a_list_the_development_package_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(codes_import, "find_spec", lambda name: None)
    with pytest.raises(CodeError, match="read from simple-icd-10-cm"):
        write_release(tmp_path, load_extract())
    assert list(tmp_path.iterdir()) == []


def test_the_table_never_loads_the_development_package() -> None:
    code = (
        "import sys, analyzer.codes, analyzer.codes_import; analyzer.codes.CodeTable.load().check('M48.38'); "
        "analyzer.codes_import.load_extract(); sys.exit('simple_icd_10_cm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=DATA.parents[2], check=False).returncode == 0


TABULAR = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular><version>2030</version><introduction/>
<chapter><name>13</name><desc>Chapter
 thirteen (M00-M99)</desc>
 <section id="M95"><desc>Block (M95)</desc><excludes1><note>of the block</note></excludes1>
  <diag><name>M95</name><desc>Category</desc>
   <sevenChrDef><extension char="A">initial</extension><extension char="S">sequela</extension></sevenChrDef>
   <diag><name>M95.0</name><desc>First</desc><codeFirst><note>one</note><note>two</note></codeFirst></diag>
   <diag><name>M95.1</name><desc>Second</desc></diag>
  </diag>
 </section>
 <section id="M96-M97"><desc>Others (M96-M97)</desc><diag><name>M96</name><desc>Whole</desc></diag></section>
</chapter></ICD10CM.tabular>
"""


@pytest.fixture
def tabular(tmp_path: Path) -> tuple[Path, Path]:
    """A small tabular list and its list of valid codes."""
    lists = tmp_path / "tabular.xml", tmp_path / "codes.txt"
    lists[0].write_text(TABULAR, encoding="utf-8")
    lists[1].write_text("M950XXA First\nM950XXS First\nM951XXA Second\nM96 Whole\n", encoding="utf-8")
    return lists


def small_extract(first: str, to: str | None = None) -> Extract:
    return Extract.model_validate(EXTRACT | {"categories": [{"from": first, "to": to, "why": "test"}]})


@pytest.mark.skipif(find_spec("simple_icd_10_cm") is None, reason="the tabular list comes with the extra dev")
def test_the_data_file_is_what_the_tabular_list_gives(tmp_path: Path) -> None:
    assert write_release(tmp_path, load_extract()).read_bytes() == DATA.read_bytes()


def test_another_tabular_list_can_be_read(tabular: tuple[Path, Path], tmp_path: Path) -> None:
    table = CodeTable.load(folder=write_release(tmp_path, small_extract("M95", "M96"), *tabular).parent)
    assert [entry.code for entry in table.lineage("M95.0XXS")] == ["M95.0XXS", "M95.0", "M95", "M95-M95", "13"]
    assert table.lookup("M95.0").code_first == ("one", "two")
    assert table.lineage("M95")[1].excludes1 == ("of the block",)
    assert table.lineage("M95")[2].title == "Chapter thirteen (M00-M99)"
    # M95.1 inherits two characters, but only one of its full forms is valid
    assert table.lookup("M95.1").seventh == {"A": "initial"}
    assert table.check("M96") is None


def test_without_a_list_of_codes_every_full_form_counts(tabular: tuple[Path, Path]) -> None:
    rows = read_rows(small_extract("M95", "M96"), tabular[0])
    assert rows["M95.1"] | {"parent": ""} == {
        "title": "Second",
        "parent": "",
        "chapter": "13",
        "stem": "M95.1XX",
        "seventh": "AS",
    }


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.xml"
    other.write_text("<a><b/></a>", encoding="utf-8")
    with pytest.raises(CodeError, match=r"other\.xml: not a tabular list: it has no chapter"):
        read_rows(small_extract("M95"), other)


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xml"
    bomb.write_text('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', encoding="utf-8")
    with pytest.raises(CodeError, match=r"bomb\.xml: not a readable tabular list"):
        read_rows(small_extract("M95"), bomb)


def test_a_list_of_codes_that_does_not_match_is_refused(tabular: tuple[Path, Path]) -> None:
    tabular[1].write_text("M96 Whole\n", encoding="utf-8")
    with pytest.raises(CodeError, match=r"M95\.0: takes a 7th character, but"):
        read_rows(small_extract("M95"), *tabular)


def test_a_category_that_is_not_in_the_list_is_refused(tabular: tuple[Path, Path]) -> None:
    with pytest.raises(CodeError, match="A18: no such category"):
        read_rows(small_extract("A18"), *tabular)


def test_unreadable_lists_are_named(tmp_path: Path) -> None:
    xml, codes = tmp_path / "tabular.xml", tmp_path / "codes.txt"
    with pytest.raises(CodeError, match=r"tabular\.xml: not a readable tabular list"):
        read_rows(small_extract("M95"), xml)
    xml.write_text(TABULAR, encoding="utf-8")
    with pytest.raises(CodeError, match=r"codes\.txt: not a readable list of valid codes"):
        read_rows(small_extract("M95"), xml, codes)
    xml.write_text("<broken", encoding="utf-8")
    with pytest.raises(CodeError, match=r"tabular\.xml: not a readable tabular list"):
        read_rows(small_extract("M95"), xml)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, tabular: tuple[Path, Path]) -> None:
    with pytest.raises(CodeError, match="cannot be written"):
        write_release(tmp_path / "absent", small_extract("M95"), *tabular)

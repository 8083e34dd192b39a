"""The reference page of a code, on the command line too; another year's tabular list taken in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

import analyzer.codes
from analyzer.cli import app
from analyzer.codes import OWN_FOLDER, CodeTable
from analyzer.codes_import import load_extract, release_of
from analyzer.errors import CodeError
from analyzer.reference import CodePage, code_page

RUN = CliRunner()


class TestThePage:
    def test_of_the_first_code(self) -> None:
        page = code_page("m4838")
        assert (page.code, page.billable, page.not_billable_because) == ("M48.38", True, None)
        assert page.title == "Traumatic spondylopathy, sacral and sacrococcygeal region"
        assert page.above[-1].code == "13"
        assert [s.code for s in page.siblings] == [f"M48.3{n}" for n in range(8)]
        assert {d.requirement for d in page.documentation} >= {"region", "care_phase", "provider_statement"}
        assert any("external cause" in n.text for n in page.notes)
        assert not [n for n in page.notes if n.level in ("M48.38", "M48.3", "M48", "M45-M49") and "excludes" in n.kind]
        chiropractic = next(p for p in page.profiles if p.id == "chiropractic")
        said = " ".join(p.text for p in [*chiropractic.points, *chiropractic.caveats])
        assert all(word in said for word in ("subluxation", "P.A.R.T.", "AT", "instability", "not verified"))
        assert page.corrections
        assert page.verified == date(2026, 11, 25)

    def test_answers_every_question_of_the_published_page(self) -> None:
        questions = {q.question for q in code_page("M48.38").questions}
        assert "How do M48.38 and M48.37 differ?" in questions
        assert len(questions) == len(code_page("M48.38").questions) >= 15

    @pytest.mark.parametrize("code", [f"M48.3{n}" for n in range(8)])
    def test_of_a_sibling_speaks_of_its_own_region(self, code: str) -> None:
        page = code_page(code)
        assert page.billable
        said = page.model_dump_json()
        assert "{" not in " ".join([*(d.text for d in page.documentation), *(q.answer for q in page.questions)])
        assert "sacrum or coccyx" not in said
        assert not page.corrections

    def test_of_a_heading_says_why_not(self) -> None:
        page = code_page("M48.3")
        assert not page.billable
        assert page.not_billable_because is not None
        assert "category that cannot be billed" in page.not_billable_because
        assert [f.code for f in page.billable_forms] == [f"M48.3{n}" for n in range(9)]
        assert page.pack == "traumatic-spondylopathy"

    def test_of_a_code_without_its_seventh_character(self) -> None:
        page = code_page("S32.2")
        assert not page.billable
        assert list(page.seventh_characters) == list("ABDGKS")
        assert [f.code for f in page.billable_forms] == [f"S32.2XX{c}" for c in "ABDGKS"]
        assert page.pack == "sacral-fracture"

    def test_of_a_full_form(self) -> None:
        page = code_page("S32.10XS")
        assert page.billable
        assert [s.code for s in page.siblings] == [f"S32.10X{c}" for c in "ABDGK"]
        assert page.title.endswith("sequela")

    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            ("M48.39", "does not exist"),
            ("M48.38XA", "takes no 7th character"),
            ("S32.2XXP", "no 7th character P"),
            ("Z99.9", "not among those carried"),
            ("hello", "not written like"),
        ],
    )
    def test_of_no_code(self, code: str, reason: str) -> None:
        with pytest.raises(CodeError, match=reason):
            code_page(code)

    def test_outside_the_release_warns(self) -> None:
        assert code_page("M48.38", service=date(2020, 1, 1)).warnings
        assert not code_page("M48.38", service=date(2026, 1, 1)).warnings

    def test_json_comes_back(self) -> None:
        page = code_page("M48.38")
        assert CodePage.model_validate_json(page.model_dump_json()) == page


class TestTheCommand:
    def test_text(self) -> None:
        result = RUN.invoke(app, ["codes", "M48.38"])
        assert result.exit_code == 0
        for part in ("Can be reported", "Pitfalls", "Chiropractic", "goes wrong", "Verified 2026-11-25"):
            assert part in result.output

    def test_json(self) -> None:
        result = RUN.invoke(app, ["codes", "M48.3", "--format", "json"])
        assert result.exit_code == 0
        assert json.loads(result.stdout)["billable"] is False

    @pytest.mark.parametrize("code", ["M48.39", "M48.38XA", "nonsense"])
    def test_an_unknown_code_is_an_error(self, code: str) -> None:
        result = RUN.invoke(app, ["codes", code])
        assert result.exit_code == 2
        assert result.output.count("\n") == 1


def tabular_list(year: str = "2031") -> str:
    """A list in the official shape, with one code in each category that Chartgap carries; M48 has its family."""
    chapter = []
    for wanted in load_extract().categories:
        inner = ""
        if wanted.first == "M40":
            inner = (
                "<diag><name>M48</name><desc>Other</desc><diag><name>M48.3</name><desc>Traumatic spondylopathy</desc>"
            )
            inner += "<diag><name>M48.38</name><desc>Renamed</desc></diag></diag></diag>"
        chapter.append(f"<diag><name>{wanted.first}</name><desc>Category</desc></diag>{inner}")
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<ICD10CM.tabular><version>{year}</version><introduction/>'
        f'<chapter><name>13</name><desc>Chapter</desc><section id="A00-Z99"><desc>Block</desc>{"".join(chapter)}'
        f"</section></chapter></ICD10CM.tabular>\n"
    )


class TestImport:
    @pytest.fixture
    def tabular(self, tmp_path: Path) -> Iterator[Path]:
        file = tmp_path / "icd10cm_tabular_2031.xml"
        file.write_text(tabular_list(), encoding="utf-8")
        yield file
        analyzer.codes._read_folder.cache_clear()

    def test_takes_the_fiscal_year_of_the_file(self, tabular: Path) -> None:
        release = release_of(tabular)
        assert (release.label, release.effective_from, release.effective_to) == (
            "FY2031",
            date(2030, 10, 1),
            date(2031, 9, 30),
        )

    def test_is_chosen_by_date_of_service(self, tabular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = tmp_path / "own"
        monkeypatch.setenv(OWN_FOLDER, str(own))
        result = RUN.invoke(app, ["codes", "import", str(tabular)])
        assert result.exit_code == 0, result.output
        assert "FY2031, dates of service 2030-10-01 to 2031-09-30" in result.output
        assert CodeTable.load(date(2031, 1, 1)).lookup("M48.38").title == "Renamed"
        assert CodeTable.load(date(2026, 1, 1)).lookup("M48.38").title != "Renamed"
        assert code_page("M48.38", service=date(2031, 1, 1)).title == "Renamed"

    def test_says_how_to_use_another_folder(
        self, tabular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(OWN_FOLDER, raising=False)
        arguments = ["codes", "import", str(tabular), "--into", str(tmp_path / "x"), "--label", "FY2031 April"]
        result = RUN.invoke(app, [*arguments, "--from", "2031-04-01", "--amended", "2031-04-01"])
        assert result.exit_code == 0, result.output
        assert f"Set {OWN_FOLDER}=" in result.output
        assert (tmp_path / "x" / "FY2031-April.json").is_file()

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "say where the release goes"),
            (["--into", "{tmp}/x", "--from", "soon"], "effective_from"),
            (["--into", "{tmp}/x", "--to", "2001-01-01"], "effective_to lies before"),
            (["--into", "{tmp}/x", "--code-list", "{tmp}/absent.txt"], "absent.txt: not a readable list"),
        ],
    )
    def test_bad_arguments(
        self, tabular: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
    ) -> None:
        monkeypatch.delenv(OWN_FOLDER, raising=False)
        filled = [a.replace("{tmp}", str(tmp_path)) for a in arguments]
        result = RUN.invoke(app, ["codes", "import", str(tabular), *filled])
        assert result.exit_code == 2
        assert reason in result.output
        assert result.output.count("\n") == 1

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        other = tmp_path / "other.xml"
        other.write_text("<notes/>", encoding="utf-8")
        result = RUN.invoke(app, ["codes", "import", str(other), "--into", str(tmp_path / "x")])
        assert result.exit_code == 2
        assert "other.xml: not a tabular list" in result.output


def test_one_warning_a_run_outside_every_release(tmp_path: Path) -> None:
    lines = [{"note_id": f"n{i}", "text": "Sacral pain.", "date_of_service": "2012-05-01"} for i in range(3)]
    file = tmp_path / "notes.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    result = RUN.invoke(app, ["analyze", str(file), "--format", "json"])
    assert result.exit_code == 0
    assert result.stderr.count("outside the code-set releases") == 1
    assert "3 of 3 dates" in result.stderr

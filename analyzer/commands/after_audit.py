"""What can be done with an audit once its reports are there: options of `audit`, and the command `review`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from analyzer.commands.options import PackFolderOption
from analyzer.errors import InputError

ClaimsOption = Annotated[
    Path | None,
    typer.Option("--claims", metavar="FILE", help="Billed codes (CSV) to hold against the notes; writes claims.csv."),
]
SampleOption = Annotated[
    int | None, typer.Option("--sample", metavar="N", help="Draw N notes for a reader; writes sample.csv.")
]
SeedOption = Annotated[int, typer.Option("--seed", metavar="S", help="Of the sample: the same seed, the same notes.")]
DecisionsOption = Annotated[
    list[Path] | None,
    typer.Option("--decisions", metavar="FILE", help="Readers' decisions (CSV or JSON lines). Can be repeated."),
]


@dataclass(slots=True)
class Steps:
    """Steps on a finished audit's folder, in order; each adds to `said` what it found."""

    steps: list[Callable[[Path], None]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        claims: Path | None,
        sample: int | None,
        seed: int,
        decisions: Sequence[Path],
        pack_folders: Sequence[Path],
    ) -> Steps:
        """The steps asked for, the report last. Raises InputError for a file that can't be used, before any work."""
        from analyzer.audit.claims import read_claims
        from analyzer.audit.committee_report import write_report
        from analyzer.audit.decisions import read_decisions

        made = cls()
        if claims is not None:
            read_claims(claims)
            made.steps.append(lambda folder: made._hold_claims(folder, claims, pack_folders))
        if sample is not None:
            if sample < 1:
                raise InputError(f"--sample {sample}: draw at least one note")
            made.steps.append(lambda folder: made._draw(folder, sample, seed))
        if decisions:
            for path in decisions:
                read_decisions(path)
            made.steps.append(lambda folder: made._measure(folder, decisions))
        made.steps.append(write_report)
        return made

    def _hold_claims(self, folder: Path, claims: Path, pack_folders: Sequence[Path]) -> None:
        from analyzer.audit.claims import CLAIMS, write_claims

        found = write_claims(folder, claims, pack_folders)
        billed, documented = found["billed_without_support"], found["support_without_code"]
        self.said.append(
            f"{billed['claims']} of {billed['of']} billed codes without support, "
            f"{documented['reports']} of {documented['of']} documented notes without the code, in {CLAIMS}"
        )
        if found["rows_not_readable"]:
            self.said.append(f"{found['rows_not_readable']} rows of {claims} could not be used; {CLAIMS} says why")

    def _draw(self, folder: Path, sample: int, seed: int) -> None:
        from analyzer.audit.sample import SAMPLE, write_sample

        there = write_sample(folder, sample, seed)
        self.said.append(f"{min(sample, there)} of {there} relevant notes drawn with seed {seed}, in {SAMPLE}")

    def _measure(self, folder: Path, decisions: Sequence[Path]) -> None:
        from analyzer.audit.decisions import AGREEMENT, write_decisions

        found = write_decisions(folder, decisions)
        every = found["all"]
        interval = every["interval"]
        between = f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        self.said.append(f"{every['errors']} errors in {every['decided']} decided findings{between}, in {AGREEMENT}")
        for pair in found["agreement"]:
            kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.3f}"
            who = " and ".join(pair["readers"])
            self.said.append(f"{who} agree on {pair['agree']} of {pair['items']} findings, Cohen's kappa {kappa}")
        self.said += found["warnings"]


def review(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished audit's folder.")],
    claims: ClaimsOption = None,
    sample: SampleOption = None,
    seed: SeedOption = 0,
    decisions: DecisionsOption = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Hold claims against a finished audit, draw a sample, measure decisions, and write its report.html again."""
    from analyzer.audit.folder import AuditFolder

    audit = AuditFolder.open(folder)
    steps = Steps.of(claims, sample, seed, decisions or (), pack_folder or ())
    for step in steps.steps:
        step(folder)
    audit.record_outputs()
    for line in steps.said:
        typer.echo(line)
    typer.echo(f"report: {folder / 'report.html'}")

"""`chartgap packs`: the requirement packs."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from analyzer.commands.options import EXIT_FAILED, PackFolderOption, terminal

packs_app = typer.Typer(help="The requirement packs: one for each code family.")


@packs_app.command("list")
def packs_list(pack_folder: PackFolderOption = None) -> None:
    """List the packs and the codes they cover."""
    from analyzer.packs import available_packs

    for info in available_packs(pack_folder or ()):
        typer.echo(f"{info.id} {info.version}: {info.title}\n  codes: {', '.join(info.codes)}")


@packs_app.command("show")
def packs_show(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A pack's name or folder.")],
    pack_folder: PackFolderOption = None,
) -> None:
    """Show what a pack knows: codes, requirements, elements with their values, sources."""
    from analyzer.packs import load_pack
    from analyzer.render.terminal import print_pack

    print_pack(load_pack(pack, pack_folder or ()), terminal())


@packs_app.command("test")
def packs_test(
    pack: Annotated[
        str | None, typer.Argument(metavar="[PACK]", help="A pack's name or folder. [default: all]")
    ] = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Run the packs' own examples. Exits with 1 when one fails; `todo` examples are known misses."""
    from analyzer.packcheck import check_pack
    from analyzer.packs import available_packs, load_pack

    folders = pack_folder or ()
    names = [pack] if pack is not None else [info.id for info in available_packs(folders)]
    failed = 0
    for name in names:
        counts: Counter[str] = Counter()
        for result in check_pack(load_pack(name, folders)):
            outcome = "todo" if result.kind == "todo" else "ok" if result.ok else "failed"
            counts[outcome] += 1
            if not result.ok and not result.todo:
                place = result.file if result.line is None else f"{result.file}:{result.line}"
                typer.echo(f"{place}: {result.rule}: {result.message}")
        typer.echo(f"{name}: {counts['ok']} examples hold, {counts['failed']} fail, {counts['todo']} known misses")
        failed += counts["failed"]
    if failed:
        raise typer.Exit(EXIT_FAILED)

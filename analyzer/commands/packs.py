"""`chartgap packs`: the requirement packs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
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


@packs_app.command("words")
def packs_words(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="A pack's name or folder.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A sentence, in quotes.")],
    pack_folder: PackFolderOption = None,
) -> None:
    """Show a sentence as patterns see it, and what the pack finds in it."""
    from analyzer.packs import load_pack

    reading = load_pack(pack, pack_folder or ()).reader.read(text)
    for words in reading.words:
        typer.echo(" ".join(words.norm))
    for m in reading.mentions:
        typer.echo(f"  {m.element} {m.value}, {m.assertion}: {text[m.start : m.end]}")


@packs_app.command("new")
def packs_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the pack and its folder, as in asthma-adult.")],
    code: Annotated[str, typer.Option("--code", help="The ICD-10-CM code that the pack is about.")],
    folder: Annotated[Path, typer.Option("--folder", help="Where the pack's folder is made.")] = Path(),
    title: Annotated[
        str | None, typer.Option("--title", help="Of the code. [default: as in the code table, where it is carried]")
    ] = None,
    phrase: Annotated[
        str | None,
        typer.Option("--phrase", help="How notes name the condition. [default: the title up to its first comma]"),
    ] = None,
) -> None:
    """Write a small pack that passes its own examples, to start a pack of your own from."""
    from analyzer.pack_scaffold import new_pack

    place, written = new_pack(name, code, folder, title=title, phrase=phrase)
    for path in written:
        typer.echo(str(place / path))
    typer.echo(f"Try it: chartgap packs test {place}")


@packs_app.command("coverage")
def packs_coverage(
    claims: Annotated[Path, typer.Argument(metavar="CLAIMS.csv", help="Billed codes, one claim or claim line a row.")],
    pack_folder: PackFolderOption = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Codes without a pack to print.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything counted as JSON.")] = False,
) -> None:
    """Rank the billed codes of a claims file by pack, and those that no pack covers."""
    from analyzer.audit.coverage import coverage

    found = coverage(claims, pack_folder or ())
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return

    def line(name: str, rows: int, title: str = "") -> str:
        return f"{name:<28} {rows:>8} {rows / found.rows:>7.1%}  {title}".rstrip()

    typer.echo(line("rows with a pack", found.covered, f"of {found.rows} rows that bill a code"))
    for pack in found.packs:
        typer.echo(line(pack.pack, pack.rows))
        for one in pack.codes:
            typer.echo(line(f"  {one.code}", one.rows, one.title))
    typer.echo(f"codes without a pack: {len(found.without)}")
    for one in found.without[:most]:
        typer.echo(line(f"  {one.code}", one.rows, one.title))
    if len(found.without) > most:
        typer.echo(f"  and {len(found.without) - most} more (--most, --json)")
    if found.unreadable:
        typer.echo(f"not written like a code: {found.unreadable}")

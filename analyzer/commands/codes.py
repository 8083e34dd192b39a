"""`chartgap codes`: the reference page of a code; another release of the tabular list."""

from __future__ import annotations

import os
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from analyzer.commands.options import PackFolderOption, note_defaults, terminal, warn
from analyzer.errors import CodeError


class _CodeOrCommand(TyperGroup):
    """Takes a code in place of a command: `codes CODE` is `codes show M48.38`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put `show` before anything that is neither a command nor an option of this group."""
        if args and args[0] not in self.commands and args[0] not in ("--help",):
            args = ["show", *args]
        return super().parse_args(ctx, args)


codes_app = typer.Typer(
    cls=_CodeOrCommand, help="The reference page of a code: `codes CODE`. Other releases: `codes import`."
)


class PageFormat(StrEnum):
    """How a page is written."""

    TEXT = "text"
    JSON = "json"


@codes_app.command("show")
def show(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A code, a category, or a full form.")],
    form: Annotated[PageFormat, typer.Option("--format")] = PageFormat.TEXT,
    date_of_service: Annotated[
        str | None, typer.Option("--date-of-service", metavar="YYYY-MM-DD", help="[default: the newest release]")
    ] = None,
    pack_folder: PackFolderOption = None,
) -> None:
    """Show everything said of a code. An unknown code is an error."""
    from analyzer.reference import code_page

    note_defaults(date_of_service, None)
    service = date.fromisoformat(date_of_service) if date_of_service else None
    page = code_page(code, service=service, pack_folders=pack_folder or ())
    for warning in page.warnings:
        warn(warning)
    if form is PageFormat.JSON:
        typer.echo(page.model_dump_json(indent=2))
    else:
        from analyzer.render.code_page import print_code_page

        print_code_page(page, terminal())


@codes_app.command("import")
def import_release(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The tabular list of another year, XML as published.")],
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder of releases. [default: the folder CHARTGAP_CODE_SETS names]")
    ] = None,
    code_list: Annotated[
        Path | None,
        typer.Option("--code-list", help="The list of valid codes published with it, to confirm the forms."),
    ] = None,
    label: Annotated[str | None, typer.Option("--label", help="[default: from the file's fiscal year]")] = None,
    first_day: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="[default: October 1]")] = None,
    last_day: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="[default: September 30]")] = None,
    amended: Annotated[str | None, typer.Option("--amended", metavar="YYYY-MM-DD")] = None,
) -> None:
    """Take in another year's tabular list: the categories that Chartgap carries, with the days on which they hold."""
    from analyzer.codes import OWN_FOLDER, CodeTable
    from analyzer.codes_import import load_extract, release_of, write_release

    named = os.environ.get(OWN_FOLDER)
    folder = into if into is not None else Path(named) if named else None
    if folder is None:
        raise CodeError(f"say where the release goes: --into FOLDER, or set {OWN_FOLDER}")
    known = {"label": label, "effective_from": first_day, "effective_to": last_day, "amended": amended}
    extract = load_extract().model_copy(update={"release": release_of(file, **known)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CodeError(f"{folder}: cannot be made: {error.strerror}") from error
    path = write_release(folder, extract, file, code_list)
    release = CodeTable.load(extract.release.effective_from, folder=folder).release
    typer.echo(f"{path}: {release.label}, dates of service {release.effective_from} to {release.effective_to}")
    if named is None or Path(named).resolve() != folder.resolve():
        typer.echo(f"Set {OWN_FOLDER}={folder} for Chartgap to use it.")

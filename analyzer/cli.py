"""The command line. What brings spaCy is imported inside the commands, so that help and mistakes answer at once."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from analyzer.commands.after_audit import review
from analyzer.commands.analyze import analyze
from analyzer.commands.audit import audit
from analyzer.commands.codes import codes_app
from analyzer.commands.evaluate import evaluate
from analyzer.commands.folders import compare, exhibit, verify
from analyzer.commands.packs import packs_app
from analyzer.commands.serve import keys_app, mcp, serve
from analyzer.errors import ChartgapError
from analyzer.version import VERSION

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130


class OneLineErrors(TyperGroup):
    """Ends every error as one line on stderr. The text of an unexpected one is kept back: it may quote a note."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line; takes what `TyperGroup.main` takes."""
        standalone_mode = extra.get("standalone_mode", True)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except typer.Abort:
            code = EXIT_INTERRUPTED
        except Exception as error:
            line, code = _explained(error)
            typer.echo(f"chartgap: {line}", err=True)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, ChartgapError):
        return str(error), EXIT_BAD_INPUT
    # Typer and click have different base classes for the same usage errors in different versions.
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        return " ".join(error.format_message().split()) + hint, EXIT_BAD_INPUT
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror, EXIT_BAD_INPUT
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"internal error: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}", EXIT_BAD_INPUT


app = typer.Typer(cls=OneLineErrors, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Documentation gaps in clinical notes, for an ICD-10-CM code. Output is for a reviewer: it assigns no code."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"chartgap {VERSION}")


for _command in (analyze, audit, review, compare, verify, exhibit, evaluate, serve, mcp):
    app.command()(_command)
app.add_typer(packs_app, name="packs")
app.add_typer(codes_app, name="codes")
app.add_typer(keys_app, name="keys")

if __name__ == "__main__":
    app()

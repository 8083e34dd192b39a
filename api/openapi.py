"""The OpenAPI description. Bodies are read by the workers, so their shapes are put in here."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI


def describe(app: FastAPI) -> None:
    """Complete the description that FastAPI makes of the routes."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        return made()

    app.openapi = openapi  # type: ignore[method-assign]

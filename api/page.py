"""The page at `/` and its files. Nothing comes from elsewhere: the policy allows this origin only."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.guard import PAGE_POLICY

_SHARED = ("tokens.css", "base.css")
"""Style sheets that the page has in common with the HTML reports, from analyzer/render/."""

_HEADERS = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}


class _PageFiles(StaticFiles):
    """Files of the page, with its policy. Browsers ask again each time and are told when nothing changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update(_HEADERS)
        return answer


def add_page(app: FastAPI) -> None:
    """Serve `api/page/`: index.html at `/`, everything else under `/page/`."""
    folder = Path(str(importlib.resources.files("api"))) / "page"
    shared = Path(str(importlib.resources.files("analyzer"))) / "render"

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(folder / "index.html", media_type="text/html; charset=utf-8", headers=_HEADERS)

    def add_shared(name: str) -> None:
        @app.get(f"/page/{name}", include_in_schema=False)
        async def style() -> Response:
            return FileResponse(shared / name, media_type="text/css; charset=utf-8", headers=_HEADERS)

    for name in _SHARED:
        add_shared(name)
    app.mount("/page", _PageFiles(directory=folder, check_dir=False), name="page")

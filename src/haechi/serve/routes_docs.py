"""The API's own page, at /docs: files of this package that read /openapi.json. Like the dashboard's they hold
no secrets, and are open to whoever reaches the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from haechi.serve.page import TYPES

FOLDER = Path(__file__).resolve().parent / "docs"

routes = APIRouter(include_in_schema=False)


@routes.get("/docs")
async def page() -> Response:
    return await _file("index.html")


@routes.get("/docs/{name}")
async def file(name: str) -> Response:
    """Looked up among those that are there, so that no name leads out of the folder."""
    return await _file(name)


async def _file(name: str) -> Response:
    path = {each.name: each for each in FOLDER.iterdir() if each.suffix in TYPES}.get(name)
    if path is None:
        raise HTTPException(404, "there is no such file of this page")
    content = await asyncio.to_thread(path.read_bytes)
    return Response(content, media_type=TYPES[path.suffix], headers={"cache-control": "no-cache"})

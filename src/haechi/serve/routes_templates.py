"""The route of the template explorer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field, StringConstraints

from haechi.native.control import ControlError
from haechi.serve.fleet import FleetError
from haechi.serve.plane import Plane
from haechi.serve.routes import Count, ThePlane, Word
from haechi.serve.templates import Book, Found, Row, Sort, Wanted

ANSWER_S = 5.0
ASKING = 2  # threads of their own: a detector that hangs keeps nobody from steering the others
Words = Annotated[str, StringConstraints(max_length=200)]


class TemplateView(BaseModel):
    """One template; log_key null: of the lines that fit none."""

    log_key: int | None
    template: str | None
    count: int
    share: float = Field(description="Of the lines, 0 to 1.")
    eps: float = Field(description="Over the last ten seconds of looking; at the first look since `since`.")
    example: str | None = Field(description="One line of it, of the last second that it came in; as text.")
    example_source: str | None
    example_offset: int | None = Field(description="Where the line begins in its source, in bytes.")
    example_cut: bool = Field(description="The line is longer than the 256 bytes that are shown.")


class TemplatePage(BaseModel):
    total: int = Field(description="Templates that fit, on all pages.")
    lines: int = Field(description="Counted since `since`, with those that fit no template.")
    bundle: str
    since: str = Field(description="When the detector loaded its bundle; all counts begin there.")
    templates: list[TemplateView]


def make_router() -> APIRouter:
    """With what it remembers of each detector."""
    routes = APIRouter(tags=["jobs"])
    books: dict[str, Book] = {}
    threads = ThreadPoolExecutor(ASKING, "haechi-templates")

    @routes.get("/detectors/{job_id}/templates")
    async def templates(
        plane: ThePlane,
        job_id: Word,
        query: Annotated[Words, Query(description="Part of a template's text, in any case.")] = "",
        sort: Sort = "count",
        unseen: Annotated[bool, Query(description="With the lines that fit no template.")] = True,
        limit: Count = 100,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> TemplatePage:
        """What a running detector reads, by template. Examples are lines as they came: show them as text."""
        book = _book(plane, job_id, books)
        job = plane.fleet.get("detector", job_id)
        if job is None or job.tool is None or not job.alive:
            raise FleetError(f"{job_id} does not run")
        wanted = Wanted(query, sort, unseen, limit, offset)
        asking = asyncio.get_running_loop().run_in_executor(threads, book.find, job.tool, wanted)
        try:
            async with asyncio.timeout(ANSWER_S):
                return _page(await asking)
        except TimeoutError:
            raise ControlError(f"templates: {job_id} did not answer in {ANSWER_S:g} s") from None

    return routes


def _book(plane: Plane, job_id: str, books: dict[str, Book]) -> Book:
    """Of a detector that is there; of those that are not, nothing is kept."""
    for gone in books.keys() - {job.id for job in plane.fleet.jobs("detector") if job.alive}:
        del books[gone]
    if plane.fleet.get("detector", job_id) is None:
        raise HTTPException(404, f"there is no detector {job_id}")
    return books.setdefault(job_id, Book(plane.clock))


def _page(found: Found) -> TemplatePage:
    return TemplatePage(
        total=found.total,
        lines=found.lines,
        bundle=found.bundle,
        since=found.since,
        templates=[_view(row, found.lines) for row in found.rows],
    )


def _view(row: Row, lines: int) -> TemplateView:
    return TemplateView(
        log_key=row.log_key,
        template=row.template,
        count=row.count,
        share=row.count / lines if lines else 0.0,
        eps=row.eps,
        example=row.example.get("example"),
        example_source=row.example.get("example_source"),
        example_offset=row.example.get("example_offset"),
        example_cut=row.example.get("example_cut", False),
    )

"""Routes of the last five minutes of a storm, a sink or a detector, for who begins to look at it."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from haechi.serve.fleet import Kind
from haechi.serve.routes import ThePlane, Word
from haechi.serve.watch import STORM_HISTORY, TOOL_HISTORY

routes = APIRouter(tags=["jobs"])


class HistoryView(BaseModel):
    """A row a second, the oldest first; null where there was no value."""

    fields: list[str]
    rows: list[list[float | None]] = Field(description="As `fields`; the first is seconds since 1970.")


def _history_route(kind: Kind) -> None:
    async def history(plane: ThePlane, job_id: Word) -> HistoryView:
        """A row a second; of one that has ended, its last ones."""
        job = plane.fleet.get(kind, job_id)
        if job is None:
            raise HTTPException(404, f"there is no {kind} {job_id}")
        fields = STORM_HISTORY if kind == "storm" else TOOL_HISTORY
        rows = [] if job.watch is None else [list(row) for row in job.watch.history]
        return HistoryView(fields=list(fields), rows=rows)

    routes.add_api_route(
        f"/{kind}s/{{job_id}}/history",
        history,
        methods=["GET"],
        name=f"{kind} history",
        summary=f"The last five minutes of a {kind}",
    )


for _kind in ("storm", "sink", "detector"):
    _history_route(_kind)

"""Routes of the journal, and the switches of healing and tuning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from haechi.serve.fleet import Kind
from haechi.serve.journal import EventKind
from haechi.serve.routes import Count, ThePlane, Word

routes = APIRouter(tags=["events"])


class EventView(BaseModel):
    """One step of an operator, of healing, of tuning or of a rule; or a tool's end."""

    number: int = Field(description="Grows, over restarts of the server too; the `before` of the next page.")
    time: str
    kind: EventKind
    subject: str = Field(description="A tool's id; or what else it is about.")
    action: str
    why: str
    outcome: str = Field(description="tried, helped, kept, undone, failed, recovered, done, fired ...")
    text: str
    data: dict[str, Any]


class EventPage(BaseModel):
    """The newest first. `next` is the next page's `before`; null: there is none."""

    events: list[EventView]
    next: int | None


class Switch(BaseModel):
    enabled: bool


class SwitchView(BaseModel):
    """Where healing or tuning of one tool stands."""

    id: str
    enabled: bool
    state: dict[str, Any]


@routes.get("/events")
async def list_events(
    plane: ThePlane,
    kind: EventKind | None = None,
    subject: Word | None = None,
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Count = 100,
) -> EventPage:
    """What was done, by whom and why, and how it went."""
    found = plane.journal.find(limit + 1, kind=kind, subject=subject, before=before)
    return EventPage(
        events=[EventView.model_validate(entry.view()) for entry in found[:limit]],
        next=found[limit - 1].number if len(found) > limit else None,
    )


def _switch_route(kind: Kind, what: Literal["healing", "tuning"], does: str) -> None:
    async def switch(plane: ThePlane, job_id: Word, said: Switch) -> SwitchView:
        job = plane.fleet.get(kind, job_id)
        if job is None:
            raise HTTPException(404, f"there is no {kind} {job_id}")
        if not job.alive:
            raise HTTPException(409, f"{job.id} has ended")
        (plane.healer if what == "healing" else plane.tuner).enable(job, said.enabled)
        state = dict(job.healing if what == "healing" else job.tuning)
        return SwitchView(id=job.id, enabled=said.enabled, state=state)

    path, name = f"/{kind}s/{{job_id}}/{what}", f"switch {what} of a {kind}"
    routes.add_api_route(path, switch, methods=["PUT"], name=name, description=does)


for _kind in ("storm", "sink", "detector"):
    _switch_route(_kind, "healing", "Whether it is begun anew when it dies, stands still or fails.")
    _switch_route(_kind, "tuning", "Whether its settings are changed where it does not do what it should.")

"""Routes of incidents: alerts of one cause, listed, shown, acknowledged."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BaseModel, Field

from haechi.config.incidents import Severity
from haechi.incidents.incident import State
from haechi.serve.incidents import Entry, Wanted
from haechi.serve.routes import Count, ThePlane
from haechi.serve.routes_alerts import AlertView, alert_view

routes = APIRouter(tags=["incidents"])


class Names(BaseModel):
    """`number` different ones; the most frequent of the first that came are named."""

    number: int
    at_least: bool = Field(description="There may be more: so many are counted at most.")
    names: list[str]


class IncidentView(BaseModel):
    """Alerts of one cause (docs/incidents.md)."""

    number: int = Field(description="Grows; the `before` of the next page.")
    id: str
    state: State
    severity: Severity
    raised: bool = Field(description="Worth a person's time.")
    held_back: bool = Field(description="It would be raised, had its cause not been a short while ago.")
    acknowledged: bool
    first: str | None = Field(description="Event time of its first alert.")
    last: str | None
    count: int
    summary: str
    cause: dict[str, Any]
    line: str | None = Field(description="Of its first alert.")
    evidence: float
    detectors: list[dict[str, Any]]
    rules: list[str]
    sessions: Names
    hosts: Names
    kinds: Names
    sources: Names
    users: Names
    alert_numbers: list[int] = Field(description="The first ones and the last.")


class IncidentWhole(IncidentView):
    alerts: list[AlertView] = Field(description="Of alert_numbers, those that are still kept.")


class IncidentPage(BaseModel):
    """The newest first. `next` is the next page's `before`; null: there is none."""

    incidents: list[IncidentView]
    next: int | None
    open: int
    opened: int
    raised: int
    held_back: int
    ungrouped: int = Field(description="Alerts that say too little to be grouped.")


@routes.get("/incidents", summary="List incidents")
async def list_incidents(
    plane: ThePlane,
    state: Annotated[State | None, Query(description="open, closed")] = None,
    severity: Annotated[Severity | None, Query(description="This or a higher one.")] = None,
    raised: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    acknowledged: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    limit: Count = 100,
    before: Annotated[int | None, Query(ge=1, description="`next` of the page before.")] = None,
) -> IncidentPage:
    """The newest first; open ones still grow."""
    book = plane.incidents
    found = book.find(Wanted(state, severity, raised, acknowledged), limit + 1, before)
    grouping = book.grouping
    return IncidentPage(
        incidents=[IncidentView.model_validate(entry.view()) for entry in found[:limit]],
        next=found[limit - 1].number if len(found) > limit else None,
        open=grouping.open,
        opened=grouping.opened,
        raised=grouping.raised,
        held_back=grouping.held_back,
        ungrouped=book.ungrouped,
    )


def _entry(plane: ThePlane, name: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]) -> Entry:
    entry = plane.incidents.get(name)
    if entry is None:
        raise HTTPException(404, f"incident {name} is not kept")
    return entry


TheEntry = Annotated[Entry, Depends(_entry)]


@routes.get("/incidents/{name}", summary="Show an incident")
async def one_incident(plane: ThePlane, entry: TheEntry) -> IncidentWhole:
    """With its alerts, as far as they are kept."""
    view = entry.view()
    alerts = [plane.alerts.get(number) for number in view["alert_numbers"]]
    kept = [alert_view(plane, alert) for alert in alerts if alert is not None]
    del view["alerts"]
    return IncidentWhole.model_validate({**view, "alerts": kept})


@routes.post("/incidents/{name}/acknowledge", summary="Acknowledge an incident")
async def acknowledge_incident(plane: ThePlane, entry: TheEntry) -> IncidentView:
    """Somebody sees to it."""
    plane.incidents.acknowledge(entry.view()["id"])
    return IncidentView.model_validate(entry.view())

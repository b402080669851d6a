"""Routes of alerts: read in pages, acknowledged, muted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, Field, StringConstraints

from haechi.config.serve import Severity
from haechi.serve.alertlog import Alert, Filter
from haechi.serve.plane import Plane
from haechi.serve.routes import Count, ThePlane, Word

Moment = Annotated[
    str, StringConstraints(max_length=40, pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z?)?$")
]

routes = APIRouter(tags=["alerts"])


class Mute(BaseModel):
    seconds: float = Field(default=3600, gt=0, le=31_536_000)


class AlertView(BaseModel):
    """An alert of a detector; docs/alert.schema.json has the fields of `alert`."""

    number: int = Field(description="Grows; the `before` of the next page.")
    job: str
    acknowledged: bool
    muted: bool
    alert: dict[str, Any]


class AlertPage(BaseModel):
    """The newest first. `next` is the next page's `before`; null: there is none."""

    alerts: list[AlertView]
    next: int | None
    kept: int
    older: int = Field(description="That are not kept any more; only counted.")
    unreadable: int
    counts: dict[str, int] = Field(description="Of all that came, by severity.")


@routes.get("/alerts", summary="List alerts")
async def list_alerts(
    plane: ThePlane,
    severity: Annotated[Severity | None, Query(description="This or a higher one.")] = None,
    detector: Annotated[Word | None, Query(description="deeplog, new_event ...")] = None,
    session: Annotated[Word | None, Query(description="As the alert names it.")] = None,
    job: Annotated[Word | None, Query(description="The detector's id, such as detector-1.")] = None,
    since: Annotated[Moment | None, Query(description="Of the event's time.")] = None,
    until: Annotated[Moment | None, Query(description="As 2026-01-05T10:00:00Z.")] = None,
    acknowledged: Annotated[bool | None, Query(description="Only those that are, or are not.")] = None,
    limit: Count = 100,
    before: Annotated[int | None, Query(ge=1, description="`next` of the page before.")] = None,
) -> AlertPage:
    """The newest first, in pages that hold still while alerts arrive."""
    log = plane.alerts
    wanted = Filter(severity, detector, session, job, since, until, acknowledged)
    found = log.find(wanted, limit + 1, before)
    counts: dict[str, int] = {}
    for (_, of), count in log.counts.items():
        counts[of] = counts.get(of, 0) + count
    return AlertPage(
        alerts=[alert_view(plane, alert) for alert in found[:limit]],
        next=found[limit - 1].number if len(found) > limit else None,
        kept=len(log),
        older=log.older,
        unreadable=log.unreadable,
        counts=counts,
    )


def _alert(plane: ThePlane, number: int) -> Alert:
    alert = plane.alerts.get(number)
    if alert is None:
        raise HTTPException(404, f"alert {number} is not kept")
    return alert


TheAlert = Annotated[Alert, Depends(_alert)]


def alert_view(plane: Plane, alert: Alert) -> AlertView:
    return AlertView.model_validate(alert.view(plane.alerts.is_muted(alert.kind)))


@routes.get("/alerts/{number}", summary="Show an alert")
async def one_alert(plane: ThePlane, alert: TheAlert) -> AlertView:
    """As long as it is kept."""
    return alert_view(plane, alert)


@routes.post("/alerts/{number}/acknowledge", summary="Acknowledge an alert")
async def acknowledge(plane: ThePlane, alert: TheAlert) -> AlertView:
    """Somebody has seen to it."""
    alert.acknowledged = True
    return alert_view(plane, alert)


@routes.post("/alerts/{number}/mute", summary="Mute alerts like this one")
async def mute(plane: ThePlane, alert: TheAlert, said: Mute) -> AlertView:
    """Alerts of the same detector, rule and template are still listed; no message is sent for them."""
    plane.alerts.mute(alert, said.seconds)
    return alert_view(plane, alert)


@routes.delete("/alerts/{number}/mute", summary="Mute them no more")
async def unmute(plane: ThePlane, alert: TheAlert) -> AlertView:
    """Messages are sent for such alerts again."""
    plane.alerts.unmute(alert)
    return alert_view(plane, alert)


@routes.get("/mutes", summary="List mutes")
async def mutes(plane: ThePlane) -> list[dict[str, Any]]:
    """What is muted, and for how many seconds still."""
    return [
        {"detector": kind[0], "rule": kind[1], "template": kind[2], "seconds": seconds}
        for kind, seconds in plane.alerts.mutes()
    ]

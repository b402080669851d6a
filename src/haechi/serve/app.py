"""The routes: what is asked over HTTP, and which part of the plane answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field, StringConstraints, WithJsonSchema
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from haechi import __version__
from haechi.config.detect import DetectConfig
from haechi.config.serve import ServeConfig, Severity
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.native.control import ControlError
from haechi.native.tools import ToolError, ToolRefusedError
from haechi.serve import exposition, wishes
from haechi.serve.alertlog import Alert, Filter
from haechi.serve.fleet import Fleet, FleetError, Job, Kind
from haechi.serve.guard import COOKIE, Guard, session_of
from haechi.serve.keys import SESSION_S, Keys
from haechi.serve.plane import Plane
from haechi.serve.streams import Streams
from haechi.storm.profile import ProfileError
from haechi.storm.targets import TargetError

StormWish = Annotated[dict[str, Any], WithJsonSchema(wishes.schema_of(StormConfig, preset=True))]
SinkWish = Annotated[dict[str, Any], WithJsonSchema(wishes.schema_of(SinkConfig))]
DetectorWish = Annotated[dict[str, Any], WithJsonSchema(wishes.schema_of(DetectConfig))]
Moment = Annotated[
    str, StringConstraints(max_length=40, pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z?)?$")
]
Word = Annotated[str, StringConstraints(max_length=200)]
Count = Annotated[int, Query(ge=1, le=500)]


class Refusal(BaseModel):
    """Why something is not done."""

    detail: str


class JobView(BaseModel):
    """A storm, a sink or a detector."""

    id: str
    kind: Kind
    state: Literal["starting", "running", "paused", "stopping", "done", "failed"]
    settings: dict[str, Any]
    started: str
    ended: str | None
    error: str | None = Field(description="Why it failed, in the tool's words.")
    words: list[str] = Field(description="What it said last on standard error.")
    metrics: dict[str, Any] = Field(
        description="Of the last second; worker_metrics of one that is asked for."
    )
    result: dict[str, Any] | None = Field(description="The totals, when it has ended.")


class Rate(BaseModel):
    """As people write it: 20000, "500k", "4M"; of a sink null: as many as come."""

    eps: float | Annotated[str, StringConstraints(max_length=40)] | None


class Token(BaseModel):
    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Mute(BaseModel):
    seconds: float = Field(default=3600, gt=0, le=31_536_000)


class Health(BaseModel):
    """stalled, with status 503: it answers, but its figures are old."""

    status: Literal["ok", "stalled"]
    version: str
    uptime_seconds: float


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


_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal} for status in (400, 401, 403, 404, 408, 409, 413, 421, 422, 429)
}
_STATUS: dict[type[Exception], int] = {
    wishes.WishError: 422,
    TargetError: 422,
    ProfileError: 422,
    ToolRefusedError: 422,
    FleetError: 409,
    ControlError: 409,
    ToolError: 409,
}


def make_app(config: ServeConfig, keys: Keys, clock: Callable[[], float] = time.monotonic) -> ASGIApp:
    """The whole application, guarded."""
    plane = Plane(config, clock)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with plane.running():
            yield

    app = FastAPI(
        title="haechi",
        version=__version__,
        summary="Storms, sinks and detectors: run, watched, steered",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        responses=_REFUSALS,
        redirect_slashes=False,
    )
    app.state.plane, app.state.keys, app.state.streams = plane, keys, Streams(config.websockets)
    for error, status in _STATUS.items():
        app.add_exception_handler(error, _refusing(status))
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    for router in (_general, _jobs, _alerts, _messages):
        app.include_router(router)
    if config.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
    return Guard(app, config, keys, clock)


def _refusing(status: int) -> Callable[[Request, Exception], JSONResponse]:
    return lambda _, error: JSONResponse({"detail": str(error)}, status)


def _refuse_invalid(_: Request, error: Exception) -> JSONResponse:
    """In sentences, and without what came, which may be large or not printable."""
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()[:20]]
    text = "\n".join(lines).encode("utf-8", "replace").decode()
    return JSONResponse({"detail": text}, 422)


def _plane(request: Request) -> Plane:
    plane = request.app.state.plane
    assert isinstance(plane, Plane)
    return plane


ThePlane = Annotated[Plane, Depends(_plane)]
_general, _jobs = APIRouter(tags=["general"]), APIRouter(tags=["jobs"])
_alerts, _messages = APIRouter(tags=["alerts"]), APIRouter(tags=["messages"])


@_general.get("/health", responses={503: {"model": Health}})
async def health(plane: ThePlane, answer: Response) -> Health:
    """Whether it works. Needs no token."""
    answer.status_code = 503 if plane.stalled else 200
    uptime = plane.clock() - plane.started_s
    return Health(status="stalled" if plane.stalled else "ok", version=__version__, uptime_seconds=uptime)


@_general.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(plane: ThePlane) -> Response:
    """For Prometheus. As a WebSocket: a JSON message a second."""
    return Response(exposition.render(plane), media_type=CONTENT_TYPE_LATEST)


@_general.get("/status")
async def status(plane: ThePlane) -> dict[str, Any]:
    """Everything that runs or ran, without streams and totals; what is wrong now; the host."""
    return {
        "jobs": [job.view(whole=False) for job in plane.fleet.jobs()],
        "firing": [
            {"rule": rule, "subject": subject, "value": standing.value}
            for (rule, subject), standing in plane.standings.items()
            if standing.phase == "firing"
        ],
        "host": plane.host,
    }


@_general.get("/kpis")
async def kpis(plane: ThePlane) -> dict[str, Any]:
    """Of each storm, running or kept. As a WebSocket, /kpi-stream: a message a second."""
    return {"storms": plane.kpis()}


@_general.post("/session", status_code=204)
async def begin_session(request: Request, said: Token) -> Response:
    """From a browser: the token once, for a cookie that lasts twelve hours."""
    keys: Keys = request.app.state.keys
    if not keys.opens(said.token):
        raise HTTPException(401, "this is not the token of this server")
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE,
        keys.begin_session(),
        max_age=int(SESSION_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@_general.delete("/session", status_code=204)
async def end_session(request: Request) -> Response:
    keys: Keys = request.app.state.keys
    keys.end_session(session_of(request.headers.get("cookie", "")))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@_general.websocket("/metrics")
async def stream_metrics(socket: WebSocket) -> None:
    plane: Plane = socket.app.state.plane
    await socket.app.state.streams.serve(socket, lambda: plane.metrics_text, plane.next_tick)


@_general.websocket("/kpi-stream")
async def stream_kpis(socket: WebSocket) -> None:
    plane: Plane = socket.app.state.plane
    await socket.app.state.streams.serve(socket, lambda: plane.kpis_text, plane.next_tick)


@_jobs.post("/storms", status_code=201)
async def start_storm(plane: ThePlane, wish: StormWish) -> JobView:
    """The settings of configs/storm.yaml, and `preset` and `classic` as on the command line."""
    return _view(await plane.fleet.start_storm(wish))


@_jobs.post("/sinks", status_code=201)
async def start_sink(plane: ThePlane, wish: SinkWish) -> JobView:
    """The settings of configs/sink.yaml."""
    return _view(await plane.fleet.start_sink(wish))


@_jobs.post("/detectors", status_code=201)
async def start_detector(plane: ThePlane, wish: DetectorWish) -> JobView:
    """The settings of configs/detect.yaml. Its alerts are at /alerts."""
    return _view(await plane.fleet.start_detector(wish))


def _view(job: Job) -> JobView:
    return JobView.model_validate(job.view())


def _job_routes(kind: Kind) -> None:
    path = f"/{kind}s"

    def chosen(plane: ThePlane, job_id: Word) -> Job:
        job = plane.fleet.get(kind, job_id)
        if job is None:
            raise HTTPException(404, f"there is no {kind} {job_id}")
        return job

    async def all_of(plane: ThePlane) -> list[JobView]:
        return [JobView.model_validate(job.view(whole=False)) for job in plane.fleet.jobs(kind)]

    async def one(job: Job = Depends(chosen)) -> JobView:  # noqa: B008  (how FastAPI is told)
        return _view(job)

    async def forget(plane: ThePlane, job: Job = Depends(chosen)) -> Response:  # noqa: B008
        """Of one that has ended."""
        await plane.fleet.forget(job)
        return Response(status_code=204)

    async def change(plane: ThePlane, said: Rate, job: Job = Depends(chosen)) -> JobView:  # noqa: B008
        await plane.fleet.set_rate(job, said.eps)
        return _view(job)

    _jobs.add_api_route(path, all_of, methods=["GET"], name=f"list {kind}s")
    _jobs.add_api_route(f"{path}/{{job_id}}", one, methods=["GET"], name=f"get {kind}")
    _jobs.add_api_route(
        f"{path}/{{job_id}}", forget, methods=["DELETE"], name=f"forget {kind}", status_code=204
    )
    if kind != "detector":
        _jobs.add_api_route(f"{path}/{{job_id}}/rate", change, methods=["PUT"], name=f"set {kind} rate")

    def act(name: str, action: Callable[[Fleet, Job], Any]) -> None:
        async def route(plane: ThePlane, job: Job = Depends(chosen)) -> JobView:  # noqa: B008
            await action(plane.fleet, job)
            return _view(job)

        _jobs.add_api_route(f"{path}/{{job_id}}/{name}", route, methods=["POST"], name=f"{name} {kind}")

    act("stop", Fleet.stop)
    act("pause", Fleet.pause)
    act("resume", Fleet.resume)


for _kind in ("storm", "sink", "detector"):
    _job_routes(_kind)


@_alerts.get("/alerts")
async def list_alerts(
    plane: ThePlane,
    severity: Annotated[Severity | None, Query(description="This or a higher one.")] = None,
    detector: Word | None = None,
    session: Word | None = None,
    job: Word | None = None,
    since: Annotated[Moment | None, Query(description="Of the event's time.")] = None,
    until: Moment | None = None,
    acknowledged: bool | None = None,
    limit: Count = 100,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> AlertPage:
    log = plane.alerts
    wanted = Filter(severity, detector, session, job, since, until, acknowledged)
    found = log.find(wanted, limit + 1, before)
    counts: dict[str, int] = {}
    for (_, of), count in log.counts.items():
        counts[of] = counts.get(of, 0) + count
    return AlertPage(
        alerts=[_alert_view(plane, alert) for alert in found[:limit]],
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


def _alert_view(plane: Plane, alert: Alert) -> AlertView:
    return AlertView.model_validate(alert.view(plane.alerts.is_muted(alert.kind)))


@_alerts.get("/alerts/{number}")
async def one_alert(plane: ThePlane, alert: TheAlert) -> AlertView:
    return _alert_view(plane, alert)


@_alerts.post("/alerts/{number}/acknowledge")
async def acknowledge(plane: ThePlane, alert: TheAlert) -> AlertView:
    alert.acknowledged = True
    return _alert_view(plane, alert)


@_alerts.post("/alerts/{number}/mute")
async def mute(plane: ThePlane, alert: TheAlert, said: Mute) -> AlertView:
    """Alerts of the same detector, rule and template are still listed; no message is sent for them."""
    plane.alerts.mute(alert, said.seconds)
    return _alert_view(plane, alert)


@_alerts.delete("/alerts/{number}/mute")
async def unmute(plane: ThePlane, alert: TheAlert) -> AlertView:
    plane.alerts.unmute(alert)
    return _alert_view(plane, alert)


@_alerts.get("/mutes")
async def mutes(plane: ThePlane) -> list[dict[str, Any]]:
    return [
        {"detector": kind[0], "rule": kind[1], "template": kind[2], "seconds": seconds}
        for kind, seconds in plane.alerts.mutes()
    ]


@_messages.get("/rules")
async def list_rules(plane: ThePlane) -> list[dict[str, Any]]:
    """What is watched, and where each rule stands about each of its subjects."""
    return [
        rule.model_dump(mode="json")
        | {
            "standings": {
                subject: {"phase": standing.phase, "value": standing.value}
                for (name, subject), standing in plane.standings.items()
                if name == rule.name
            }
        }
        for rule in plane.config.rules
    ]


@_messages.get("/rules/events")
async def rule_events(plane: ThePlane, limit: Count = 100) -> list[dict[str, Any]]:
    """What fired and recovered, the newest first."""
    return list(reversed(plane.events))[:limit]


@_messages.get("/notifications")
async def notifications(
    plane: ThePlane,
    state: Literal["pending", "delivered", "failed"] | None = None,
    limit: Count = 100,
) -> list[dict[str, Any]]:
    """What became of each message, the newest first."""
    return [note.view() for note in plane.notifier.latest(limit, state)]

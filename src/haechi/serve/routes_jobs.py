"""Routes of storms, sinks and detectors: begun, steered, looked at, forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Response
from pydantic import BaseModel, Field, StringConstraints, WithJsonSchema

from haechi.config.detect import DetectConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.serve import wishes
from haechi.serve.fleet import Fleet, Job, Kind
from haechi.serve.routes import ThePlane, Word

_STORM = {"target": "127.0.0.1", "ports": "5514-5553", "eps": "20k", "account": True}
_SINK = {"ports": "5514-5553"}
_DETECTOR = {"bundle": "latest", "sources": ["app.log"]}
StormWish = Annotated[
    dict[str, Any],
    WithJsonSchema({**wishes.schema_of(StormConfig, preset=True), "examples": [_STORM]}),
]
SinkWish = Annotated[dict[str, Any], WithJsonSchema({**wishes.schema_of(SinkConfig), "examples": [_SINK]})]
DetectorWish = Annotated[
    dict[str, Any], WithJsonSchema({**wishes.schema_of(DetectConfig), "examples": [_DETECTOR]})
]

routes = APIRouter(tags=["jobs"])


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
    restarts: int = Field(description="Processes that took the place of one that was unwell.")
    healing: dict[str, Any] = Field(
        description="enabled; state: well, suspect, recovering, given_up; since; step"
    )
    tuning: dict[str, Any] = Field(
        description="enabled; state; settings that were changed, with their values"
    )
    result: dict[str, Any] | None = Field(description="The totals, when it has ended.")


class Rate(BaseModel):
    """As people write it: 20000, "500k", "4M"; of a sink null: as many as come."""

    eps: float | Annotated[str, StringConstraints(max_length=40)] | None = Field(examples=["50k"])


class Bundle(BaseModel):
    bundle: Annotated[str, StringConstraints(min_length=1, max_length=4096)] = Field(
        description="One that haechi train made, in a folder that this server may read.", examples=["latest"]
    )


@routes.post("/storms", status_code=201, summary="Start a storm")
async def start_storm(plane: ThePlane, wish: StormWish) -> JobView:
    """The settings of configs/storm.yaml, and `preset` and `classic` as on the command line."""
    return _view(await plane.fleet.start_storm(wish))


@routes.post("/sinks", status_code=201, summary="Start a sink")
async def start_sink(plane: ThePlane, wish: SinkWish) -> JobView:
    """The settings of configs/sink.yaml."""
    return _view(await plane.fleet.start_sink(wish))


@routes.post("/detectors", status_code=201, summary="Start a detector")
async def start_detector(plane: ThePlane, wish: DetectorWish) -> JobView:
    """The settings of configs/detect.yaml. Its alerts are at /alerts."""
    return _view(await plane.fleet.start_detector(wish))


@routes.put("/detectors/{job_id}/bundle", name="set detector bundle")
async def swap_bundle(plane: ThePlane, said: Bundle, job_id: Word) -> JobView:
    """Between two batches, while it runs: no line is lost, and what one line was judged by is never mixed."""
    job = plane.fleet.get("detector", job_id)
    if job is None:
        raise HTTPException(404, f"there is no detector {job_id}")
    await plane.fleet.load_bundle(job, said.bundle)
    return _view(job)


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
        """Those that run, and those that ended lately; without streams and totals."""
        return [JobView.model_validate(job.view(whole=False)) for job in plane.fleet.jobs(kind)]

    async def one(job: Job = Depends(chosen)) -> JobView:  # noqa: B008  (how FastAPI is told)
        """With its streams, and its totals when it has ended."""
        return _view(job)

    async def forget(plane: ThePlane, job: Job = Depends(chosen)) -> Response:  # noqa: B008
        """Of one that has ended."""
        await plane.fleet.forget(job)
        return Response(status_code=204)

    async def change(plane: ThePlane, said: Rate, job: Job = Depends(chosen)) -> JobView:  # noqa: B008
        """At once, without an end and a new beginning."""
        await plane.fleet.set_rate(job, said.eps)
        return _view(job)

    def add(method: str, place: str, route: Callable[..., Any], summary: str, **more: Any) -> None:
        name = f"{summary} {method}".lower()
        routes.add_api_route(path + place, route, methods=[method], name=name, summary=summary, **more)

    add("GET", "", all_of, f"List {kind}s")
    add("GET", "/{job_id}", one, f"Show a {kind}")
    add("DELETE", "/{job_id}", forget, f"Forget a {kind}", status_code=204)
    if kind != "detector":
        add("PUT", "/{job_id}/rate", change, f"Set a {kind}'s rate")

    def act(name: str, action: Callable[[Fleet, Job], Any], words: str) -> None:
        async def route(plane: ThePlane, job: Job = Depends(chosen)) -> JobView:  # noqa: B008
            await action(plane.fleet, job)
            return _view(job)

        add("POST", f"/{{job_id}}/{name}", route, f"{name.capitalize()} a {kind}", description=words)

    act("stop", Fleet.stop, "Asks it to end; the totals come with the state `done`.")
    act("pause", Fleet.pause, "It stays, and neither sends, takes nor reads.")
    act("resume", Fleet.resume, "Out of a pause.")


for _kind in ("storm", "sink", "detector"):
    _job_routes(_kind)

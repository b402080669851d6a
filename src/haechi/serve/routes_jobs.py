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

StormWish = Annotated[dict[str, Any], WithJsonSchema(wishes.schema_of(StormConfig, preset=True))]
SinkWish = Annotated[dict[str, Any], WithJsonSchema(wishes.schema_of(SinkConfig))]
DetectorWish = Annotated[dict[str, Any], WithJsonSchema(wishes.schema_of(DetectConfig))]

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

    eps: float | Annotated[str, StringConstraints(max_length=40)] | None


@routes.post("/storms", status_code=201)
async def start_storm(plane: ThePlane, wish: StormWish) -> JobView:
    """The settings of configs/storm.yaml, and `preset` and `classic` as on the command line."""
    return _view(await plane.fleet.start_storm(wish))


@routes.post("/sinks", status_code=201)
async def start_sink(plane: ThePlane, wish: SinkWish) -> JobView:
    """The settings of configs/sink.yaml."""
    return _view(await plane.fleet.start_sink(wish))


@routes.post("/detectors", status_code=201)
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

    routes.add_api_route(path, all_of, methods=["GET"], name=f"list {kind}s")
    routes.add_api_route(f"{path}/{{job_id}}", one, methods=["GET"], name=f"get {kind}")
    routes.add_api_route(
        f"{path}/{{job_id}}", forget, methods=["DELETE"], name=f"forget {kind}", status_code=204
    )
    if kind != "detector":
        routes.add_api_route(f"{path}/{{job_id}}/rate", change, methods=["PUT"], name=f"set {kind} rate")

    def act(name: str, action: Callable[[Fleet, Job], Any]) -> None:
        async def route(plane: ThePlane, job: Job = Depends(chosen)) -> JobView:  # noqa: B008
            await action(plane.fleet, job)
            return _view(job)

        routes.add_api_route(f"{path}/{{job_id}}/{name}", route, methods=["POST"], name=f"{name} {kind}")

    act("stop", Fleet.stop)
    act("pause", Fleet.pause)
    act("resume", Fleet.resume)


for _kind in ("storm", "sink", "detector"):
    _job_routes(_kind)

"""Routes of scenarios, their runs and the reports of these; of profiles and presets to choose from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, StringConstraints

from haechi.config.storm import CLASSIC, PRESETS, preset
from haechi.serve.routes import ThePlane, Word
from haechi.serve.scenarios import NAME, Entry
from haechi.serve.trial_record import TrialView
from haechi.serve.trials import Trial
from haechi.storm.profile import shipped
from haechi.trial import wording
from haechi.trial.difference import changes
from haechi.trial.page import POLICY
from haechi.trial.scenario import steps_of
from haechi.trial.writing import ReportError, read_report

routes = APIRouter(tags=["trials"])

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Scale = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class ScenarioEntry(BaseModel):
    """duration_s: null of a search, which ends when it has found its rate."""

    name: str
    description: str
    duration_s: float | None
    search: bool
    shipped: bool
    steps: int


class ScenarioStep(BaseModel):
    name: str
    duration_s: float
    pattern: str
    words: str
    eps_highest: float
    anomalies: bool
    criteria: list[str]


class ScenarioView(BaseModel):
    name: str
    description: str
    duration_s: float | None
    search: dict[str, Any] | None
    shipped: bool
    text: str = Field(description="YAML, as it was written.")
    steps: list[ScenarioStep]
    criteria: list[str] = Field(description="Of the whole.")
    target: dict[str, Any]


class ScenarioText(BaseModel):
    text: Annotated[str, StringConstraints(min_length=1, max_length=1 << 20)] = Field(
        description="YAML, as docs/trials.md explains it.",
        examples=["name: mine\nsteps: [{rate: 20k, duration: 1m, criteria: [loss_ratio == 0]}]\n"],
    )


class TrialWish(BaseModel):
    scenario: Annotated[str, StringConstraints(max_length=60)] = Field(examples=["burst"])
    scale_time: Scale = Field(default=1.0, description="Durations are multiplied by it.", examples=[0.01])
    scale_rate: Scale = Field(default=1.0, description="Rates are multiplied by it.", examples=[0.05])


class Change(BaseModel):
    name: str = Field(description="A figure; of a step: the step's name, a colon, and the figure.")
    step: str | None
    figure: str
    a: float | None
    b: float | None
    a_text: str
    b_text: str
    change: float | None = Field(description="By which share it got worse; negative: better.")


class Difference(BaseModel):
    rows: list[Change]


class Profile(BaseModel):
    name: str
    description: str


class Preset(BaseModel):
    name: str
    eps: float
    ports: str
    workers: int | None = Field(description="null: as many as the machine has processors for.")
    groups: int | None


@routes.get("/scenarios", summary="List scenarios")
async def list_scenarios(plane: ThePlane) -> list[ScenarioEntry]:
    """Those that come with haechi, and those kept here."""
    return [_entry(entry) for entry in await asyncio.to_thread(plane.trials.shelf.entries)]


@routes.get("/scenarios/{name}", summary="Show a scenario")
async def one_scenario(plane: ThePlane, name: Word) -> ScenarioView:
    """Its text, and what that means: steps, criteria, who receives."""
    return _scenario(await asyncio.to_thread(plane.trials.shelf.get, name))


@routes.put("/scenarios/{name}", summary="Keep a scenario")
async def keep_scenario(plane: ThePlane, name: Name, said: ScenarioText) -> ScenarioView:
    """Checked first, as it will be before it runs. One that comes with haechi cannot be replaced."""
    return _scenario(await asyncio.to_thread(plane.trials.shelf.keep, name, said.text))


@routes.delete("/scenarios/{name}", status_code=204, summary="Delete a scenario")
async def remove_scenario(plane: ThePlane, name: Word) -> Response:
    """One of those kept here. Trials of it, and their reports, stay."""
    await asyncio.to_thread(plane.trials.shelf.remove, name)
    return Response(status_code=204)


@routes.post("/trials", status_code=201, summary="Start a trial")
async def start_trial(plane: ThePlane, wish: TrialWish) -> TrialView:
    """One runs at a time. It counts as two of the tools that may run."""
    trial = await plane.trials.start(wish.scenario, wish.scale_time, wish.scale_rate)
    return trial.view()


@routes.get("/trials", summary="List trials")
async def list_trials(plane: ThePlane) -> list[TrialView]:
    """The newest first, without samples; also those of earlier runs of this server."""
    return [trial.brief() for trial in plane.trials.all()]


def _chosen(plane: ThePlane, trial_id: Word) -> Trial:
    return _found(plane, trial_id)


def _found(plane: ThePlane, trial_id: str) -> Trial:
    trial = plane.trials.get(trial_id)
    if trial is None:
        raise HTTPException(404, f"there is no trial {trial_id}")
    return trial


TheTrial = Annotated[Trial, Depends(_chosen)]


@routes.get("/trials/{trial_id}", summary="Show a trial")
async def one_trial(trial: TheTrial) -> TrialView:
    """With its samples and its criteria, as they stand now."""
    return trial.view()


@routes.post("/trials/{trial_id}/stop", summary="Stop a trial")
async def stop_trial(plane: ThePlane, trial: TheTrial) -> TrialView:
    """It ends with a report of what was seen, in some seconds."""
    await plane.trials.stop(trial)
    return trial.view()


@routes.delete("/trials/{trial_id}", status_code=204, summary="Forget a trial")
async def forget_trial(plane: ThePlane, trial: TheTrial) -> Response:
    """Of one that has ended; its report goes too."""
    await plane.trials.forget(trial)
    return Response(status_code=204)


def _report_file(trial: Trial, kind: str) -> Path:
    path = trial.folder / f"report.{kind}"
    if trial.alive or path.is_symlink() or not path.is_file():
        raise HTTPException(404, f"{trial.record.id} has left no report" + (" yet" if trial.alive else ""))
    return path


_KINDS = {"json": "application/json", "html": "text/html", "md": "text/markdown"}


def _report_route(kind: Literal["json", "html", "md"]) -> None:
    media = _KINDS[kind]

    async def report(trial: TheTrial) -> FileResponse:
        headers = {"content-disposition": f'inline; filename="{trial.record.id}.{kind}"'}
        if kind == "html":
            # It brings its own style, and needs nothing else: no script, no origin, no way out.
            headers["content-security-policy"] = f"{POLICY}; frame-ancestors 'none'; sandbox"
        return FileResponse(_report_file(trial, kind), media_type=media, headers=headers)

    routes.add_api_route(
        f"/trials/{{trial_id}}/report.{kind}",
        report,
        methods=["GET"],
        name=f"report_{kind}",
        summary=f"Fetch a report ({kind})",
        description="What haechi trial writes; docs/report.schema.json has the fields of report.json.",
        response_class=FileResponse,
        responses={200: {"content": {media: {}}, "description": "The report"}},
    )


for _kind in ("json", "html", "md"):
    _report_route(_kind)


@routes.get("/trials/{trial_id}/diff/{other_id}", summary="Compare two trials")
async def compare(plane: ThePlane, trial: TheTrial, other_id: Word) -> Difference:
    """Figure by figure, from the first to the second, as `haechi report diff` does."""
    files = [_report_file(each, "json") for each in (trial, _found(plane, other_id))]
    try:
        before, after = [await asyncio.to_thread(read_report, file) for file in files]
        found = changes(before, after)
    except (ReportError, KeyError, TypeError) as error:
        raise HTTPException(409, f"a report cannot be compared: {error}") from None
    return Difference(
        rows=[
            Change(
                name=f"{each.where}: {each.name}" if each.where else each.name,
                step=each.where or None,
                figure=each.name,
                a=each.before,
                b=each.after,
                a_text=wording.figure(each.name, each.before),
                b_text=wording.figure(each.name, each.after),
                change=each.regression,
            )
            for each in found
        ]
    )


@routes.get("/profiles", tags=["jobs"], summary="List profiles")
async def list_profiles() -> list[Profile]:
    """Of log lines, for the `profile` of a storm."""
    return [Profile(name=name, description=words) for name, words in await asyncio.to_thread(shipped)]


@routes.get("/presets", tags=["jobs"], summary="List presets")
async def list_presets() -> list[Preset]:
    """For the `preset` of a storm."""
    found = [(name, preset(name)) for base in PRESETS for name in (base, base + CLASSIC)]
    return [
        Preset(
            name=name,
            eps=of["eps"],
            ports=of["ports"],
            workers=of.get("workers"),
            groups=of.get("groups"),
        )
        for name, of in found
    ]


def _entry(entry: Entry) -> ScenarioEntry:
    scenario = entry.scenario
    return ScenarioEntry(
        name=entry.name,
        description=scenario.description,
        duration_s=_seconds(entry),
        search=scenario.search is not None,
        shipped=entry.shipped,
        steps=len(scenario.steps),
    )


def _scenario(entry: Entry) -> ScenarioView:
    scenario = entry.scenario
    search, target = scenario.search, scenario.target
    always = {"kind": target.kind, "address": target.address, "ports": target.ports}
    return ScenarioView(
        name=entry.name,
        description=scenario.description,
        duration_s=_seconds(entry),
        search=None if search is None else search.model_dump(mode="json", by_alias=True),
        shipped=entry.shipped,
        text=entry.text,
        steps=[
            ScenarioStep(
                name=step.name,
                duration_s=step.duration,
                pattern=written.pattern,
                words=step.words,
                eps_highest=step.pattern.highest_eps,
                anomalies=bool(step.anomalies.rate or step.anomalies.disturbance_events),
                criteria=list(written.criteria),
            )
            for step, written in zip(steps_of(scenario), scenario.steps, strict=True)
        ],
        criteria=list(scenario.criteria),
        target=target.model_dump(mode="json", by_alias=True, exclude_defaults=True) | always,
    )


def _seconds(entry: Entry) -> float | None:
    steps = entry.scenario.steps
    return sum(step.duration for step in steps) if steps else None

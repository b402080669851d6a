"""The route that explains an alert."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from haechi.config.detect import DetectConfig
from haechi.serve.explaining import Explainer
from haechi.serve.plane import Plane
from haechi.serve.routes import ThePlane
from haechi.serve.routes_alerts import TheAlert


class Explanation(BaseModel):
    """What is behind an alert (docs/incidents.md). Lines are as they came: show them as text."""

    alert: dict[str, Any]
    bundle: str = Field(description="The digest of the one that probabilities are of.")
    source: str | None = Field(description="The file that the lines were read from.")
    detectors: list[dict[str, Any]]
    session: dict[str, Any] | None = Field(
        description="Its events with lines, probabilities, what was expected."
    )
    counts: dict[str, Any] | None = Field(description="Against the nearest counts of training.")
    similar: dict[str, Any] | None = Field(description="The most similar normal session, side by side.")
    notes: list[str] = Field(description="What could not be found out, in sentences.")


def make_router() -> APIRouter:
    """With what it remembers of those that are being made."""
    routes = APIRouter(tags=["alerts"])
    explainers: dict[int, Explainer] = {}

    @routes.get("/alerts/{number}/explain", summary="Explain an alert")
    async def explain_alert(plane: ThePlane, alert: TheAlert) -> Explanation:
        """Reads the log around the alert's line again, where this server may, and asks the model again. Takes
        seconds; two at a time."""
        explainer = explainers.setdefault(id(plane), Explainer(plane.config))
        found = await explainer.explain(alert.line, _bundle_of(plane, alert.job))
        return Explanation.model_validate(found)

    return routes


def _bundle_of(plane: Plane, job_id: str) -> Path:
    job = plane.fleet.get("detector", job_id)
    if job is None or not isinstance(job.settings, DetectConfig):
        raise HTTPException(404, f"{job_id} is forgotten, and with it where its bundle is")
    return Path(job.settings.bundle)

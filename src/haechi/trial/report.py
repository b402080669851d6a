"""A run as report.json (docs/report.schema.json): what was seen, what was to be met, and what follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import haechi
from haechi.trial.criteria import Criterion, Figures
from haechi.trial.figures import Interval, figures, intervals
from haechi.trial.grade import Grade, grade
from haechi.trial.kpi import Counts, kpis
from haechi.trial.recommend import recommendations
from haechi.trial.runner import Run, StepRun
from haechi.trial.scenario import Scenario
from haechi.trial.score import Score

FORMAT = 1
POINTS_MAX = 1200  # of a series; more are merged, so that a day's report can be looked at

State = Literal["met", "missed", "interrupted", "failed"]
Json = dict[str, Any]
_SERIES_LATENCIES = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run was made in."""

    scenario: Scenario
    criteria: Sequence[Criterion]
    scale_time: float
    scale_rate: float
    target_words: str
    ports: str
    host: Mapping[str, Any]
    processors: int


def document(setting: Setting, run: Run, score: Score | None, now: datetime | None = None) -> Json:
    """The whole report; valid however the run ended."""
    whole, account = _whole(run, score), _account(run)
    whole |= {key: account[key] for key in ("sent", "received", "lost", "loss_ratio") if key in account}
    if whole.get("received_eps") is None and account["received"] is not None and (seconds := _seconds(run)):
        whole["received_eps"] = account["received"] / seconds
    summed = kpis(_counts(run, setting.processors, whole))
    graded = grade(summed)
    whole["points"] = graded.points
    steps = [_step(each) for each in run.steps]
    criteria = [_judged(criterion, whole) for criterion in setting.criteria]
    report = {
        **_head(setting, now),
        "began": run.began.isoformat(timespec="milliseconds"),
        "seconds": _seconds(run),
        "state": _state(
            run.interrupted, run.failure, [*criteria, *(c for s in steps for c in s["criteria"])]
        ),
        "failure": run.failure or None,
        "account": account,
        "figures": whole,
        "kpis": summed,
        "grade": _grade(graded),
        "criteria": criteria,
        "steps": steps,
        "series": _series(run),
        "detection": None if score is None else score.as_json(),
        "search": None,
    }
    return finished(report)


def finished(report: Json) -> Json:
    """With what follows from the figures, and without numbers that JSON cannot say."""
    clean: Json = _finite(report)
    clean["recommendations"] = [{"rule": rule, "text": text} for rule, text in recommendations(clean)]
    return clean


def of_search(
    setting: Setting,
    began: datetime,
    seconds: float,
    search: Json,
    interrupted: bool,
    failure: str,
    now: datetime | None = None,
) -> Json:
    """The same for a search of NDR and PDR, which has trials instead of steps."""
    whole: dict[str, float | None] = {
        "ndr_eps": search["ndr"]["eps"] if search["ndr"] else None,
        "pdr_eps": search["pdr"]["eps"] if search["pdr"] else None,
    }
    criteria = [_judged(criterion, whole) for criterion in setting.criteria]
    nothing = {"sent": 0, "received": None, "lost": None, "loss_ratio": None, "closed": None}
    return finished(
        {
            **_head(setting, now),
            "began": began.isoformat(timespec="milliseconds"),
            "seconds": seconds,
            "state": _state(interrupted, failure, criteria),
            "failure": failure or None,
            "account": {**nothing, "shed": None, "kernel_dropped": None, "lost_elsewhere": None},
            "figures": whole,
            "kpis": {},
            "grade": _grade(Grade(None, None, None)),
            "criteria": criteria,
            "steps": [],
            "series": {},
            "detection": None,
            "search": search,
        }
    )


def _head(setting: Setting, now: datetime | None) -> Json:
    scenario = setting.scenario
    return {
        "format": FORMAT,
        "haechi": haechi.__version__,
        "written": (now or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "scenario": scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "name": scenario.name,
        "description": scenario.description,
        "scale": {"time": setting.scale_time, "rate": setting.scale_rate},
        "target": {
            "kind": scenario.target.kind,
            "words": setting.target_words,
            "ports": setting.ports,
            "transport": scenario.target.transport,
        },
        "host": dict(setting.host),
    }


def _state(interrupted: bool, failure: str, criteria: Sequence[Json]) -> State:
    if failure:
        return "failed"
    if interrupted:
        return "interrupted"
    # What is not known does not meet a criterion.
    return "met" if all(criterion["verdict"] == "met" for criterion in criteria) else "missed"


def _judged(criterion: Criterion, found: Figures, reached: bool = True) -> Json:
    return {
        "text": criterion.text,
        "figure": criterion.name,
        "operator": criterion.operator,
        "bound": criterion.bound,
        "value": found.get(criterion.name),
        "verdict": criterion.verdict(found) if reached else "not_reached",
    }


def step_verdicts(run: StepRun) -> list[Json]:
    """The criteria of a step by what is known of it so far."""
    found = step_figures(run)
    return [_judged(criterion, found, bool(run.samples)) for criterion in run.step.criteria]


def step_figures(run: StepRun) -> dict[str, float | None]:
    from haechi.trial.figures import quantiles_s

    return figures(run.samples, {} if run.latency is None else quantiles_s(run.latency))


def _step(run: StepRun) -> Json:
    parts = list(intervals(run.samples))
    return {
        "name": run.step.name,
        "words": run.step.words,
        "duration": run.step.duration,
        "reached": bool(run.samples),
        "ended": run.ended,
        "begins_s": run.samples[0].at_s if run.samples else None,
        "seconds": sum(part.seconds for part in parts),
        "figures": step_figures(run),
        "criteria": step_verdicts(run),
    }


def _all_intervals(run: Run) -> list[Interval]:
    return [part for step in run.steps for part in intervals(step.samples)]


def _seconds(run: Run) -> float:
    return sum(part.seconds for part in _all_intervals(run))


def _whole(run: Run, score: Score | None) -> dict[str, float | None]:
    latency = run.ending.latency_s if run.ending is not None else {}
    found = figures(run.samples, latency)
    if score is not None:
        found |= {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return found


def _account(run: Run) -> Json:
    """The exact one where the target gave it; else what the last sample had."""
    samples, ending = run.samples, run.ending
    sent = sum(storm.events for storm in run.storms)
    if samples and (not run.storms or run.failure):
        sent = max(sent, samples[-1].sent)
    if ending is None:
        received = samples[-1].received if samples else None
        lost = samples[-1].lost if samples else None
    else:
        received = ending.received
        lost = ending.lost if ending.lost is not None else None
        if lost is None and received is not None:
            lost = max(0, sent - received)
    return {
        "sent": sent,
        "received": received,
        "lost": lost,
        "loss_ratio": None if lost is None else lost / max(1, sent),
        "shed": None if ending is None else ending.shed,
        "kernel_dropped": None if ending is None else ending.kernel_dropped,
        "lost_elsewhere": None if ending is None else ending.lost_elsewhere,
        "closed": None if ending is None else ending.closed,
    }


def _counts(run: Run, processors: int, whole: Figures) -> Counts:
    samples = run.samples
    first, last = (samples[0], samples[-1]) if samples else (None, None)
    lost = whole.get("lost")
    return Counts(
        asked=sum(part.asked for part in _all_intervals(run)),
        sent=last.sent - first.sent if first and last else 0,
        errors=last.errors - first.errors if first and last else 0,
        bytes=last.bytes if last else 0,
        lost=None if lost is None else int(lost),
        seconds=_seconds(run),
        storm_cpu_s=last.storm_cpu_s - first.storm_cpu_s if first and last else 0.0,
        processors=processors,
        storm_memory_bytes=max((sample.storm_memory_bytes for sample in samples), default=0),
        samples=samples,
    )


def _grade(graded: Grade) -> Json:
    return {
        "target": graded.target,
        "uptime": graded.uptime,
        "efficiency": graded.efficiency,
        "points": graded.points,
        "letter": graded.letter,
    }


def _series(run: Run) -> dict[str, list[float | None]]:
    """Columns; a point is of an interval, at its end. Many points are merged into as many as can be seen."""
    parts = _all_intervals(run)
    together = max(1, math.ceil(len(parts) / POINTS_MAX))
    columns: dict[str, list[float | None]] = {}
    for first in range(0, len(parts), together):
        for name, value in _point(parts[first : first + together]).items():
            columns.setdefault(name, []).append(value)
    return columns


def _point(parts: Sequence[Interval]) -> dict[str, float | None]:
    since, until = parts[0].since, parts[-1].until
    seconds = sum(part.seconds for part in parts)
    sent = sum(part.sent for part in parts)
    losses = [part.lost for part in parts]
    lost = None if any(n is None for n in losses) else sum(n or 0 for n in losses)
    received = None if until.received is None or since.received is None else until.received - since.received
    available = until.processors_s - since.processors_s
    target_cpu_s = (
        None
        if until.target_cpu_s is None or since.target_cpu_s is None
        else until.target_cpu_s - since.target_cpu_s
    )
    point: dict[str, float | None] = {
        "at_s": until.at_s,
        "step": until.step,
        "offered_eps": sum(part.asked for part in parts) / seconds,
        "sent_eps": sent / seconds,
        "received_eps": None if received is None else received / seconds,
        "loss_ratio": None if lost is None else lost / max(1, sent),
        "cpu": (until.busy_s - since.busy_s) / available if available > 0 else None,
        "storm_cores": (until.storm_cpu_s - since.storm_cpu_s) / seconds,
        "target_cores": None if target_cpu_s is None else target_cpu_s / seconds,
        "memory_bytes": until.memory_bytes,
        "storm_memory_bytes": until.storm_memory_bytes,
        "target_memory_bytes": until.target_memory_bytes,
    }
    for name in _SERIES_LATENCIES:
        # Quantiles cannot be merged; the highest of them hides no peak.
        seen = [part.until.latency_s[name] for part in parts if name in part.until.latency_s]
        point[f"latency_{name}_s"] = max(seen, default=None)
    return point


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return round(value, 9) if math.isfinite(value) else None
    return value

"""A scenario from beginning to end: its target is made, it is run, and judged."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from haechi.native.control import ControlError
from haechi.native.tools import ToolError
from haechi.trial import learning
from haechi.trial.criteria import parse
from haechi.trial.ndr import Attempt, Limits, Search, found
from haechi.trial.records import RecordError
from haechi.trial.report import Json, Setting, document, of_search
from haechi.trial.runner import Run, Runner, StepRun
from haechi.trial.scenario import AnomaliesSection, Scenario, SearchSection, Step, steps_of
from haechi.trial.score import Score
from haechi.trial.sender import Sender
from haechi.trial.target import DetectTarget, OtherTarget, SinkTarget, Target, TargetFailedError, ports_of

LOOK_S = 0.1


class Onlooker(Protocol):
    """Who is told how it goes."""

    def says(self, text: str) -> None: ...

    def begins(self, scenario: Scenario, steps: tuple[Step, ...]) -> None: ...

    def step_begins(self, number: int, step: Step) -> None: ...

    def sampled(self, run: StepRun) -> None: ...

    def step_ends(self, number: int, run: StepRun) -> None: ...

    def tried(self, attempt: Attempt) -> None: ...


class Onlookers:
    """Several, each told everything."""

    def __init__(self, *onlookers: Onlooker) -> None:
        self._onlookers = onlookers

    def says(self, text: str) -> None:
        for each in self._onlookers:
            each.says(text)

    def begins(self, scenario: Scenario, steps: tuple[Step, ...]) -> None:
        for each in self._onlookers:
            each.begins(scenario, steps)

    def step_begins(self, number: int, step: Step) -> None:
        for each in self._onlookers:
            each.step_begins(number, step)

    def sampled(self, run: StepRun) -> None:
        for each in self._onlookers:
            each.sampled(run)

    def step_ends(self, number: int, run: StepRun) -> None:
        for each in self._onlookers:
            each.step_ends(number, run)

    def tried(self, attempt: Attempt) -> None:
        for each in self._onlookers:
            each.tried(attempt)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a run has besides its scenario."""

    folder: Path  # of the run's own, empty
    host: Mapping[str, Any]
    ended: threading.Event  # set where the run is to end early
    scale_time: float = 1.0
    scale_rate: float = 1.0


def conduct(scenario: Scenario, conditions: Conditions, onlooker: Onlooker) -> Json:
    """The report. ConfigError, TargetError, ToolError and TargetFailedError where nothing could begin; what
    goes wrong later is in the report."""
    if scenario.search is not None:
        return _searched(scenario, scenario.search, conditions, onlooker)
    steps = steps_of(scenario, conditions.scale_time, conditions.scale_rate)
    highest = max(step.pattern.highest_eps for step in steps)
    bundle = _bundle(scenario, highest, conditions, onlooker)
    target = _target(scenario, bundle, conditions)
    onlooker.begins(scenario, steps)
    with target:
        run = Runner(scenario, steps, target, conditions.folder, conditions.ended, onlooker).run()
    score = None
    if isinstance(target, DetectTarget) and bundle is not None and run.ending is not None:
        score = _scored(scenario, target, bundle, run)
    return document(_setting(scenario, conditions, target.words, target.ports), run, score)


def _setting(scenario: Scenario, conditions: Conditions, words: str, ports: str) -> Setting:
    return Setting(
        scenario=scenario,
        criteria=[parse(text) for text in scenario.criteria],
        scale_time=conditions.scale_time,
        scale_rate=conditions.scale_rate,
        target_words=words,
        ports=ports,
        host=conditions.host,
        processors=len(os.sched_getaffinity(0)),
    )


def _bundle(
    scenario: Scenario, highest_eps: float, conditions: Conditions, onlooker: Onlooker
) -> Path | None:
    if scenario.target.kind != "detect":
        return None
    if scenario.target.bundle is not None:
        return scenario.target.bundle
    onlooker.says(f"training on {scenario.target.train_lines:,} normal lines of the storm's")
    ports = ports_of(scenario.target)
    return learning.learn(scenario.storm, scenario.target, ports, highest_eps, conditions.folder)


def _target(scenario: Scenario, bundle: Path | None, conditions: Conditions) -> Target:
    if scenario.target.kind == "other":
        return OtherTarget(scenario.target)
    if bundle is not None:
        return DetectTarget(scenario.target, bundle, conditions.folder)
    return SinkTarget(scenario.target)


def _scored(scenario: Scenario, target: DetectTarget, bundle: Path, run: Run) -> Score | None:
    """None where the storms hid nothing, or what was written of it cannot be read."""
    if not any(run.truths):
        return None
    ended_s = [float(storm.whole["began_us"]) / 1e6 + storm.seconds for storm in run.storms]
    try:
        return learning.scored(target.alerts, run.truths, bundle, ended_s, scenario.target.ignore_kinds)
    except RecordError as error:
        run.failure = run.failure or str(error)
        return None


class _EndedError(Exception):
    """The search was to end."""


def _searched(scenario: Scenario, wanted: SearchSection, conditions: Conditions, onlooker: Onlooker) -> Json:
    began, clock = datetime.now(UTC), time.monotonic()
    seconds = wanted.trial * conditions.scale_time
    limits = Limits(
        from_eps=max(1.0, wanted.from_rate * conditions.scale_rate),
        to_eps=wanted.to_rate * conditions.scale_rate,
        resolution=wanted.resolution,
        repeats=wanted.repeats,
        rate_error=wanted.rate_error,
    )
    bundle = _bundle(scenario, limits.to_eps, conditions, onlooker)
    words: list[tuple[str, str]] = []

    def attempt(eps: float) -> Attempt:
        target = _target(scenario, bundle, conditions)
        words.append((target.words, target.ports))
        return _attempt(scenario, target, eps, seconds, conditions)

    def said(attempt: Attempt) -> None:
        rate = "" if attempt.offered(limits.rate_error) else f", of which {attempt.sent_eps:,.0f} were sent"
        onlooker.says(f"at {attempt.eps:>12,.0f} events/s{rate}: {attempt.lost:,} of {attempt.sent:,} lost")
        onlooker.tried(attempt)

    onlooker.begins(scenario, ())
    search = Search(limits, attempt, said)
    losses = {"ndr": 0.0, "pdr": wanted.partial_loss}
    best: dict[str, float | None] = dict.fromkeys(losses)
    done: list[str] = []
    failure = ""
    try:
        for name, loss in losses.items():
            onlooker.says(
                f"{name.upper()}: the highest rate with "
                + (f"at most {loss:.2%} lost" if loss else "no loss")
            )
            best[name] = search.highest(loss, best["ndr"])
            done.append(name)
    except _EndedError:
        pass
    except (ToolError, ControlError, TargetFailedError) as error:
        if not words:
            raise
        failure = "" if conditions.ended.is_set() else str(error)
    attempts = [each for attempts in search.tried.values() for each in attempts]
    result: Json = {
        "trial_seconds": seconds,
        "repeats": limits.repeats,
        "resolution": limits.resolution,
        "from_eps": limits.from_eps,
        "to_eps": limits.to_eps,
        "complete": len(done) == len(losses),
        "storm_short": any(not each.offered(limits.rate_error) for each in attempts),
        "attempts": [
            {**dataclasses.asdict(each), "lost": each.lost, "loss_ratio": each.loss_ratio}
            for each in attempts
        ],
        **{name: found(search, best[name], loss, wanted.confidence) for name, loss in losses.items()},
    }
    setting = _setting(scenario, conditions, *(words[-1] if words else ("", "")))
    return of_search(setting, began, time.monotonic() - clock, result, conditions.ended.is_set(), failure)


def _attempt(
    scenario: Scenario, target: Target, eps: float, seconds: float, conditions: Conditions
) -> Attempt:
    """One trial: a receiver and a storm of their own, one rate, the account closed before counting."""
    storm = scenario.storm
    anomalies = AnomaliesSection(
        rate=storm.anomaly_rate, kinds=storm.anomaly_kinds, disturbance_events=storm.disturbance_events
    )
    sender = Sender(storm, scenario.target, target.ports, target.keeps_account, conditions.folder)
    with target, sender:
        began = sender.start(eps, anomalies)
        while (left := began + seconds - time.monotonic()) > 0:
            if conditions.ended.wait(min(LOOK_S, left)):
                raise _EndedError
            if death := target.death() or sender.death():
                if conditions.ended.wait(LOOK_S):
                    raise _EndedError
                raise TargetFailedError(death)
        sent = sender.finish()
        ending = target.finish(sent.events)
    return Attempt(eps, sent.events, ending.received or 0, bool(ending.closed), sent.eps)

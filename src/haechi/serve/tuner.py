"""What is planned to tune tools (haechi.heal.tuning), done: a setting changed over the control socket, or by
beginning the tool anew. Looked at once a second, with the plane's figures; every step is in the journal."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field, replace
from typing import Any

from haechi.config.serve import ServeConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.config.values import read_ports
from haechi.heal import knobs
from haechi.heal.tuning import Action, Change, Course, Knobs, Limits, Look, plan_tuning
from haechi.native.control import ControlError
from haechi.serve.alertlog import AlertLog
from haechi.serve.fleet import Fleet, Job
from haechi.serve.healing import Healer
from haechi.serve.jobs import Kind
from haechi.serve.journal import Journal
from haechi.serve.watch import SETTLE_S, StormWatch
from haechi.storm.run import Storm

ALERTS_LEAST = 1000
TRIM_EVERY_S = 10.0
_ANY = {"0.0.0.0", "::"}
_WORDS = {"apply": "tried", "keep": "kept", "undo": "undone"}


@dataclass(slots=True)
class Pupil:
    """What the tuner knows of a job."""

    job: Job
    enabled: bool
    course: Course = field(default_factory=Course)
    told: tuple[int, int] | None = None  # received and dropped at the last look

    def show(self) -> None:
        trial = self.course.trial
        self.job.tuning = {
            "enabled": self.enabled,
            "state": "judging" if trial is not None else "watching",
            "changed": {name: value for name, value in self.job.tuned.items() if name != "pin"},
            "trial": {"tool": trial.change.tool, "setting": trial.change.setting, "value": trial.change.after}
            if trial is not None
            else None,
        }


class Tuner:
    """Used from the event loop alone."""

    def __init__(
        self, config: ServeConfig, fleet: Fleet, healer: Healer, journal: Journal, alerts: AlertLog
    ) -> None:
        self._config = config.tuning
        self._fleet, self._healer, self._journal, self._alerts = fleet, healer, journal, alerts
        self._pupils: dict[str, Pupil] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()  # tools that are being changed
        self._trimmed_s = 0.0
        processors = len(os.sched_getaffinity(0))
        settings = self._config
        self._limits = Limits(
            interval_s=settings.interval,
            below=settings.below_percent / 100,
            loss_above=settings.loss_above_percent / 100,
            burst_us_most=settings.burst_us_most,
            workers_most=settings.workers_most or processors,
            processors=processors,
            buffer_bytes_most=settings.buffer_bytes_most,
        )
        self._memory: dict[Kind, float] = {
            "storm": settings.storm_gb * 1e9,
            "sink": settings.sink_gb * 1e9,
            "detector": settings.detector_gb * 1e9,
        }

    def admit(self, job: Job) -> None:
        self._pupils[job.id] = pupil = Pupil(job, self._config.enabled)
        pupil.show()

    def enable(self, job: Job, enabled: bool) -> None:
        """Whether this one is tuned. What was changed so far stays; a change on trial is undone."""
        pupil = self._pupils.get(job.id)
        if pupil is None:
            return
        pupil.enabled = enabled
        word = "tuned" if enabled else "not tuned any more"
        self._journal.add("operator", job.id, "tuning", f"{job.id} is {word}", outcome="done")
        if not enabled and (trial := pupil.course.trial) is not None:
            pupil.course = Course()
            undo = Action("undo", trial.change, trial.goal, "tuning is switched off")
            self._begin(pupil, undo)
        pupil.show()

    def look(self, at: float) -> None:
        """At every tool that runs as it should."""
        for pupil in list(self._pupils.values()):
            job = pupil.job
            if not job.alive:
                del self._pupils[job.id]
            elif pupil.enabled and job.state == "running" and not job.mending and not self._busy:
                self._look_at(pupil, at)

    def trim_alerts(self, rss_bytes: float, at: float) -> None:
        """Of this server itself: it keeps half as many alerts where it takes too much memory."""
        if rss_bytes <= self._config.serve_gb * 1e9 or at - self._trimmed_s < TRIM_EVERY_S:
            return
        self._trimmed_s = at
        before, after = self._alerts.kept, max(ALERTS_LEAST, self._alerts.kept // 2)
        if after < before:
            self._alerts.keep(after)
            text = f"the server has {rss_bytes / 1e6:.0f} MB: {after} alerts are kept, not {before}"
            data = {"setting": "alerts_kept", "before": before, "after": after}
            self._journal.add("tuning", "serve", "alerts_kept", text, outcome="kept", data=data)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _look_at(self, pupil: Pupil, at: float) -> None:
        look = self._seen(pupil, at)
        if look is None:
            return
        limits = _with_memory(self._limits, self._memory[pupil.job.kind])
        pupil.course, action = plan_tuning(
            pupil.course, look, self._knobs(pupil.job, limits), limits, SETTLE_S
        )
        if action is None:
            return
        if action.verb == "keep":
            self._note(pupil.job, action)
        else:
            self._begin(pupil, action)
        pupil.show()

    def _seen(self, pupil: Pupil, at: float) -> Look | None:
        watch = pupil.job.watch
        if watch is None or not watch.figures:
            return None
        memory = float(watch.figures["memory_usage_bytes"])
        beside = frozenset(other.id for other in self._fleet.jobs() if other.alive)
        settings = pupil.job.settings
        if not isinstance(watch, StormWatch) or not isinstance(settings, StormConfig):
            return Look(at, beside, memory_bytes=memory)
        rate = None if watch.rate_percent is None else watch.rate_percent / 100
        if settings.eps == "max" and not watch.figures["paused"]:
            rate = 1.0  # it has no target
        loss, told, before = None, watch.told, pupil.told
        pupil.told = told
        if told is not None and before is not None:
            received, dropped = told[0] - before[0], told[1] - before[1]
            loss = dropped / (received + dropped) if received + dropped > 0 else None
        # The rate as it was ordered: a page that has just been made has none yet.
        return Look(at, (settings.eps, beside), rate, loss, memory)

    def _knobs(self, job: Job, limits: Limits) -> Knobs:
        settings = self._fleet.settings_now(job)
        if isinstance(settings, StormConfig):
            workers = (
                len({row["worker"] for row in job.tool.page.rows()}) if job.tool and job.tool.page else 1
            )
            return knobs.of_storm(job.id, settings, workers, self._sink_of(settings), limits)
        if isinstance(settings, SinkConfig):
            return knobs.of_sink(job.id, settings)
        return knobs.of_detector(job.id, settings)

    def _sink_of(self, storm: StormConfig) -> tuple[str, SinkConfig] | None:
        """The sink of this server that takes all of what a storm sends."""
        ports = set(read_ports(storm.ports))
        for job in self._fleet.jobs("sink"):
            sink = self._fleet.settings_now(job)
            if not isinstance(sink, SinkConfig) or job.state != "running" or job.mending:
                continue
            at_home = sink.address in _ANY or set(storm.target) <= {sink.address}
            if at_home and sink.transport == storm.transport and ports <= set(read_ports(sink.ports)):
                return job.id, sink
        return None

    def _begin(self, pupil: Pupil, action: Action) -> None:
        target = self._pupils.get(action.change.tool)
        if target is None or not target.job.alive or target.job.mending:
            pupil.course = Course()
            return
        self._busy.add(target.job.id)
        task = asyncio.create_task(self._do(pupil, target.job, action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, pupil: Pupil, job: Job, action: Action) -> None:
        try:
            value = action.change.after if action.verb == "apply" else action.change.before
            problem = await self._set(job, action.change, value)
            if problem is not None:
                pupil.course = Course(conditions=pupil.course.conditions, tried=pupil.course.tried)
            self._note(job, action, problem)
        except Exception:  # a mistake of ours about one change must not end all others
            logging.exception("tuning %s failed", job.id)
        finally:
            self._busy.discard(job.id)
            pupil.show()
            if (target := self._pupils.get(job.id)) is not None:
                target.show()

    async def _set(self, job: Job, change: Change, value: int) -> str | None:
        """Why it could not be, or None."""
        if change.live and isinstance(job.tool, Storm):
            try:
                await asyncio.to_thread(job.tool.set_burst, value)
            except ControlError as error:
                return str(error)
            job.tuned[change.setting] = value
        else:
            before = dict(job.tuned)
            job.tuned[change.setting] = value
            if not await self._healer.begin_again(job):
                job.tuned = before
                return f"{job.id} did not come up with {change.setting} {value}"
        if value == getattr(job.settings, change.setting):
            job.tuned.pop(change.setting, None)
        return None

    def _note(self, job: Job, action: Action, problem: str | None = None) -> None:
        change = action.change
        outcome = "failed" if problem else _WORDS[action.verb]
        value = change.before if action.verb == "undo" else change.after
        text = f"{change.tool}: {change.setting} is {value}, {outcome}; {problem or action.why}"
        data: dict[str, Any] = {
            "goal": action.goal,
            "setting": change.setting,
            "before": change.before,
            "after": change.after,
            "restart": not change.live,
        }
        self._journal.add(
            "tuning", change.tool, change.setting, text, why=action.why, outcome=outcome, data=data
        )


def _with_memory(limits: Limits, memory_bytes: float) -> Limits:
    return replace(limits, memory_bytes=memory_bytes)

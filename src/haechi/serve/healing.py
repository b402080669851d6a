"""What is planned for tools that are unwell (haechi.heal), done: looked at four times a second, begun anew,
given up. Every step is in the journal.

A process that ends is told of by the fleet at once; one that has stopped, or sends nothing, is found by
looking. The kernel counts how often a thread was scheduled and for how long, which is a sign of life that no
tool has to give: the main thread of each of them wakes up at least ten times a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from haechi.config.detect import DetectConfig
from haechi.config.serve import HealingConfig, ServeConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.heal import health, restart
from haechi.heal.health import Finding, Pulse
from haechi.heal.restart import Attempt, Plan
from haechi.heal.resume import another, rest_of_sink, rest_of_storm
from haechi.native.control import ControlError
from haechi.native.tools import ToolError
from haechi.serve import emergencies, vitals
from haechi.serve.fleet import Fleet, Job
from haechi.serve.journal import Journal
from haechi.serve.notify import Notifier
from haechi.serve.patient import Patient
from haechi.storm.profile import ProfileError
from haechi.storm.targets import TargetError

LOOK_S = 0.25
FIRST_EVENT_S = 2.0  # that a storm begun anew is watched closely for its first event
_IN_USE = "in use"  # how the system says that somebody else has the port


class Healer:
    """Used from the event loop alone. `run` looks until it is cancelled."""

    def __init__(
        self,
        config: ServeConfig,
        fleet: Fleet,
        journal: Journal,
        notifier: Notifier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config: HealingConfig = config.healing
        self._state_folder = config.state
        self._fleet, self._journal, self._notifier, self._clock = fleet, journal, notifier, clock
        self._patients: dict[str, Patient] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._emergency = False  # until no more tools than may be are unwell
        self.emergencies = 0
        self.on_down: Callable[[Job], None] = lambda job: None
        self.on_read_again: Callable[[Job, Path], None] = lambda job, path: None
        self.on_begin_anew: Callable[[Job], None] = lambda job: None
        settings = self._config
        self._seen = health.Limits(settings.stuck_after, settings.silent_after, settings.failing_after)
        self._limits = restart.Limits(
            settings.settle,
            settings.most_restarts,
            settings.window,
            settings.restart_backoff,
            settings.restart_backoff_most,
            settings.port_wait,
            settings.emergency_above,
        )

    def admit(self, job: Job) -> None:
        """Of a job that has begun."""
        patient = Patient(job, self._config.enabled)
        self._patients[job.id] = patient
        patient.become("well")

    def enable(self, job: Job, enabled: bool) -> None:
        """Whether this one is healed. What is under way goes on."""
        patient = self._patients.get(job.id)
        if patient is None:
            return
        patient.enabled = enabled
        patient.show()
        word = "healed" if enabled else "not healed any more"
        self._journal.add("operator", job.id, "healing", f"{job.id} is {word}", outcome="done")

    def take(self, job: Job, error: str) -> bool:
        """Of a process that has ended badly. Whether the healer does something about it."""
        patient = self._patients.get(job.id)
        if patient is None or not patient.enabled or patient.state == "given_up" or not job.alive:
            return False
        return self._begin(patient, Finding("dead", error))

    async def begin_again(self, job: Job) -> bool:
        """For other settings, not because it is unwell: asked to end, and begun with what is tuned now.
        Whether it came up; where it did not, it is mended with what was before."""
        patient = self._patients.get(job.id)
        if patient is None or job.mending or job.tool is None or job.state not in ("running", "paused"):
            return False
        job.mending, before = True, dict(job.tuned)
        plan = Plan("soft", 0.0, "other settings")
        try:
            problem = await self._try(patient, plan)
            patient.pulse = Pulse()
            if problem is None or problem is _NOTHING_LEFT or job.stop_wanted.is_set():
                return problem is None
            job.tuned.clear()
            job.tuned.update({name: value for name, value in before.items() if name == "pin"})
            patient.unwell_s = self._clock()
            condition: health.Condition = "stuck" if job.tool is not None else "dead"
            await self._climb(patient, Finding(condition, problem))
            return False
        finally:
            self._fleet.hand_back(job)

    async def run(self) -> None:
        while True:
            try:
                self.look(self._clock())
            except Exception:  # a mistake of ours about one look must not end all others
                logging.exception("a look at the tools failed")
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """After the fleet was told to end: waits for what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look(self, at: float) -> None:
        """At every tool that is not being mended."""
        for job in self._fleet.jobs():
            patient = self._patients.get(job.id)
            if patient is None or job.tool is None or job.mending or job.state == "starting":
                continue
            if not job.tool.running:  # where the system tells of no process's end
                self._fleet.notice_end(job)
                continue
            patient.pulse, finding = health.assess(
                patient.pulse, vitals.signs(job, patient.pulse, at), self._seen
            )
            if job.state == "stopping":
                self._insist(patient, finding, at)
            else:
                self._judge(patient, finding, at)
        gone = [name for name, patient in self._patients.items() if not patient.job.alive]
        for name in gone:
            del self._patients[name]
        self._emergency = self._emergency and len(self._unwell()) > self._limits.emergency_above

    def _insist(self, patient: Patient, finding: Finding, at: float) -> None:
        """On the end of one that was told to end and stands still."""
        job, since = patient.job, patient.pulse.beat_at
        if finding.condition != "stuck" or since is None or at - since < self._seen.stuck_after_s:
            return
        text = f"{job.id} was to stop and shows {finding.why}: killed"
        self._journal.add("healing", job.id, "kill", text, why=finding.why, outcome="done")
        patient.pulse = Pulse()
        if job.tool is not None and job.tool.running:
            os.kill(job.tool.pid, signal.SIGKILL)

    def _judge(self, patient: Patient, finding: Finding, at: float) -> None:
        if finding.condition in ("stuck", "failing"):
            if patient.state == "given_up" or not patient.enabled:
                if patient.state != "given_up":
                    patient.become("suspect", finding.why)
                return
            self._begin(patient, finding)
        elif finding.condition == "suspect":
            if patient.state == "well":
                patient.become("suspect", finding.why)
        elif patient.state != "well":
            settled = not patient.history or at - patient.history[-1].at >= self._limits.settle_s
            if patient.state == "given_up" or settled:
                patient.job.error = None
                patient.become("well")

    def _begin(self, patient: Patient, finding: Finding) -> bool:
        job = patient.job
        job.mending = True
        patient.unwell_s = self._clock()
        patient.become("recovering", finding.why)
        if self._stop_in_emergency(finding) and job.kind == "storm":
            job.mending = False  # it is told to end, as all of them are
            return False
        task = asyncio.create_task(self._mend(patient, finding), name=f"mend {job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _mend(self, patient: Patient, finding: Finding) -> None:
        try:
            await self._climb(patient, finding)
        except Exception:  # whatever it is: the job must not stay in between
            logging.exception("mending %s failed", patient.job.id)
            self._give_up(patient, finding, "a mistake of haechi's own; standard error has it")
        finally:
            self._fleet.hand_back(patient.job)

    async def _climb(self, patient: Patient, finding: Finding) -> None:
        """Step by step, until one has brought it back, or all have failed."""
        job = patient.job
        while not job.stop_wanted.is_set():
            patient.history = restart.recall(patient.history, self._limits, self._clock())
            plan = restart.plan_restart(patient.history, self._limits, vitals.places(patient.job))
            if plan.step == "give_up":
                self._give_up(patient, finding, plan.why)
                return
            patient.become("recovering", finding.why, plan.step)
            self._note(patient, plan, finding, "tried")
            if await self._stopped_within(job, plan.wait_s):
                return
            problem = await self._try(patient, plan)
            if job.stop_wanted.is_set() or problem is _NOTHING_LEFT:
                return
            patient.history = restart.note(
                patient.history, Attempt(plan.step, self._clock(), failed=problem is not None)
            )
            if problem is None:
                await self._welcome(patient, plan, finding)
                return
            finding = Finding("dead" if job.tool is None else finding.condition, problem)
            self._note(patient, plan, finding, "failed")

    async def _try(self, patient: Patient, plan: Plan) -> str | None:
        """One step; why it has failed, or None."""
        job = patient.job
        grace = self._config.grace if plan.step == "soft" else 0.0
        if not await self._fleet.put_down(job, grace):
            return f"it did not end within {grace:g} s of TERM"
        self.on_down(job)
        if plan.step == "hard":
            job.tuned.clear()
        if plan.pin:
            job.tuned["pin"] = _pins(job, plan.pin)
        tries, since = 0, self._clock()
        while True:
            settings = self._settings(job)
            if settings is None or job.stop_wanted.is_set():
                return _NOTHING_LEFT
            try:
                await self._fleet.start_anew(job, settings)
                self.on_begin_anew(job)
                return None
            except (ToolError, TargetError, ProfileError, ControlError) as error:
                if _IN_USE not in str(error) or job.state == "stopping":
                    return str(error)
                problem = str(error)
            pause = restart.plan_port_wait(tries, since, self._limits, self._clock())
            if pause is None:
                return problem
            if tries == 0:
                text = f"{job.id} waits for its port: {problem}"
                self._journal.add("healing", job.id, "wait for port", text, why=problem, outcome="tried")
                patient.become("recovering", problem, "wait for port")
            tries += 1
            if await self._stopped_within(job, pause):
                return problem

    async def _welcome(self, patient: Patient, plan: Plan, finding: Finding) -> None:
        """Notes that it is back, with how long that took: of a storm until its first event has left."""
        job, patient.pulse = patient.job, Pulse()
        deadline = self._clock() + FIRST_EVENT_S
        while isinstance(job.settings, StormConfig) and not job.paused and self._clock() < deadline:
            tool = job.tool
            if tool is None or not tool.running or job.state == "stopping":
                return
            if tool.page is not None and tool.page.value("events"):
                break
            await asyncio.sleep(0.01)
        patient.become("suspect", f"was begun anew: {finding.why}", plan.step)
        self._note(patient, plan, finding, "recovered")

    def _settings(self, job: Job) -> Any:
        """Of its next process; None: there is nothing left to do."""
        settings = self._fleet.settings_now(job)
        elapsed = time.monotonic() - job.started_s
        if isinstance(settings, StormConfig):
            sent = sum(int(process.get("events", 0)) for process in job.past)
            change = rest_of_storm(settings, elapsed, sent, job.restarts)
            return None if change is None else settings.model_copy(update=change)
        if isinstance(settings, SinkConfig):
            change = rest_of_sink(settings, elapsed, job.restarts)
            return None if change is None else settings.model_copy(update=change)
        if isinstance(settings, DetectConfig) and settings.checkpoint is None:
            # It reads from the beginning: the alerts that it makes again are known by their ids.
            path = another(Path(job.original_alerts or settings.alerts), job.restarts)
            job.settings = settings.model_copy(update={"alerts": str(path)})
            self.on_read_again(job, path)
            return job.settings
        return settings

    def _give_up(self, patient: Patient, finding: Finding, why: str) -> None:
        """What still runs is left as it is; what does not, has failed."""
        job = patient.job
        patient.become("given_up", why, "give_up")
        text = f"{job.id} is given up: {finding.why}; {why}"
        job.error = text
        data = {"history": [[attempt.step, attempt.failed] for attempt in patient.history]}
        self._journal.add("healing", job.id, "give up", text, why=finding.why, outcome="failed", data=data)
        self._notifier.tell("healing", job.id, "given_up", "critical", text)
        self._stop_in_emergency(finding)

    def _stop_in_emergency(self, finding: Finding) -> bool:
        """Whether too many are unwell; then every storm is told to end, and a report says why."""
        storms = [job for job in self._fleet.jobs("storm") if job.alive]
        unwell = self._unwell()
        names = restart.plan_emergency(unwell, [job.id for job in storms], self._limits)
        if names is None or self._emergency:
            return False
        self._emergency = True
        self.emergencies += 1
        text = (
            f"emergency stop of {len(names)} storms: {len(unwell)} tools are unwell at once "
            f"({', '.join(sorted(unwell))}), more than {self._limits.emergency_above}"
        )
        report = emergencies.write(
            self._state_folder / "emergencies",
            text,
            list(names),
            [{"id": name, **self._patients[name].job.healing} for name in sorted(unwell)],
            [job.view() for job in self._fleet.jobs() if job.alive],
            [entry.view() for entry in self._journal.find(100)],
        )
        for job in storms:
            job.error = text
            self._fleet.ask_to_end(job)
        self._journal.add(
            "healing",
            "storms",
            "emergency stop",
            text,
            why=finding.why,
            outcome="tried",
            data={"report": str(report) if report else None, "storms": list(names), "unwell": sorted(unwell)},
        )
        self._notifier.tell("emergency", "storms", "fired", "critical", text)
        return True

    def _unwell(self) -> set[str]:
        return {
            name
            for name, patient in self._patients.items()
            if patient.job.alive and patient.state in ("recovering", "given_up")
        }

    async def _stopped_within(self, job: Job, seconds: float) -> bool:
        """Waits, unless the operator stops it meanwhile."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.stop_wanted.wait(), seconds)
        return job.stop_wanted.is_set()

    def _note(self, patient: Patient, plan: Plan, finding: Finding, outcome: str) -> None:
        job = patient.job
        took = self._clock() - (patient.unwell_s or self._clock())
        words = {
            "tried": f"{job.id} is {finding.condition}: {plan.step} restart",
            "failed": f"{job.id}: {plan.step} restart has failed: {finding.why}",
            "recovered": f"{job.id} is back after {took:.2f} s: {plan.step} restart",
        }
        data: dict[str, Any] = {"condition": finding.condition, "step": plan.step, "wait_s": plan.wait_s}
        if plan.pin:
            data["pin"] = list(plan.pin)
        if outcome == "recovered":
            data |= {"seconds": round(took, 3), "restarts": job.restarts}
        self._journal.add(
            "healing",
            job.id,
            f"{plan.step} restart",
            words[outcome],
            why=f"{finding.why}; {plan.why}",
            outcome=outcome,
            data=data,
        )


_NOTHING_LEFT = "there is nothing left to do"


def _pins(job: Job, pin: tuple[int, ...]) -> tuple[int, ...]:
    """A detector wants a processor for each worker."""
    if not isinstance(job.settings, DetectConfig):
        return pin
    return tuple(pin[i % len(pin)] for i in range(job.settings.workers))

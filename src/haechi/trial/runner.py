"""A scenario run to its end: storms driven along their steps' patterns, everything sampled on the way.

What comes out are raw counts; figures, criteria, KPIs and the grade are made of them elsewhere. However it
ends (by itself, by a signal, with a storm or a target that died), what was seen until then is in the result.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from haechi.native.control import ControlError
from haechi.native.stats import Histogram
from haechi.native.tools import ToolError
from haechi.storm import targets
from haechi.storm.run import StormResult
from haechi.trial import host
from haechi.trial.figures import Sample, difference, quantiles_s
from haechi.trial.patterns import rate_at
from haechi.trial.scenario import Scenario, Step, schedule_of, stretches
from haechi.trial.sender import Sender
from haechi.trial.target import Ending, Target, TargetFailedError

N = TypeVar("N", int, float)

TICK_S, SHORTEST_TICK_S = 0.1, 0.001
SAMPLE_S, SHORTEST_SAMPLE_S = 1.0, 0.2
SAMPLES_OF_A_STEP = 5  # at least, where it is that long


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step: its samples, from the one at its begin on; none where it was not reached."""

    step: Step
    samples: tuple[Sample, ...] = ()
    latency: Histogram | None = None  # within it, microseconds
    ended: bool = False


@dataclass(slots=True)
class Run:
    """What was seen."""

    began: datetime
    steps: list[StepRun] = field(default_factory=list)
    storms: Sequence[StormResult] = ()
    truths: Sequence[Path | None] = ()  # of each storm that was begun; None: without anomalies
    ending: Ending | None = None
    interrupted: bool = False
    failure: str = ""

    @property
    def samples(self) -> list[Sample]:
        """Of all steps; a step's first sample is the last one of the step before it, where one storm sent
        both."""
        found: list[Sample] = []
        for step in self.steps:
            found += step.samples[1:] if found and step.samples[:1] == (found[-1],) else step.samples
        return found


class Watch(Protocol):
    """Who looks on."""

    def step_begins(self, number: int, step: Step) -> None: ...

    def sampled(self, run: StepRun) -> None: ...

    def step_ends(self, number: int, run: StepRun) -> None: ...


class Runner:
    """One run of one scenario; `run` is called once."""

    def __init__(
        self,
        scenario: Scenario,
        steps: Sequence[Step],
        target: Target,
        folder: Path,
        ended: threading.Event,
        watch: Watch,
    ) -> None:
        self._steps = tuple(steps)
        self._target = target
        self._ended, self._watch = ended, watch
        self._sender = Sender(scenario.storm, scenario.target, target.ports, target.keeps_account, folder)
        self._sample_s = min(
            SAMPLE_S, max(SHORTEST_SAMPLE_S, min(s.duration for s in steps) / SAMPLES_OF_A_STEP)
        )
        self._asked_before = 0.0
        self._latency: Histogram | None = None
        self._samples: list[Sample] = []  # of the step that runs
        self._step_latency: Histogram | None = None

    def run(self) -> Run:
        """The target is there already. ValueError and TargetError for settings that a storm refuses before
        anything is sent; whatever happens later is in the result."""
        self._check()
        run = Run(datetime.now(UTC), [StepRun(step) for step in self._steps])
        self._t0 = time.monotonic()
        with self._sender:
            number = 0
            try:
                for stretch in stretches(self._steps):
                    self._send(run, number, stretch)
                    number += len(stretch)
                    if self._ended.is_set() or run.failure:
                        break
            except (ToolError, ControlError, TargetFailedError) as error:
                run.failure = self._target.death() or self._sender.death() or str(error)
            run.interrupted = self._ended.is_set()
            if run.interrupted:
                run.failure = ""  # a signal from a terminal reaches storm and sink as well
            self._sender.abandon()
            run.storms, run.truths = tuple(self._sender.results), tuple(self._sender.truths)
            self._end(run)
        return run

    def _check(self) -> None:
        for stretch in stretches(self._steps):
            targets.check(
                self._sender.config(max(s.pattern.highest_eps for s in stretch), stretch[0].anomalies)
            )

    def _send(self, run: Run, first: int, stretch: tuple[Step, ...]) -> None:
        """One storm through its steps."""
        schedule = schedule_of(stretch)
        sent_before = self._sender.read().events
        t0 = self._sender.start(rate_at(schedule, 0.0, TICK_S, 0.0), stretch[0].anomalies)
        begin = 0.0
        for offset, step in enumerate(stretch):
            number = first + offset
            self._watch.step_begins(number, step)
            # A step begins with the sample that the one before it ended with.
            self._samples = self._samples[-1:] if offset else [self._sample(number, 0.0)]
            self._step_latency = self._latency
            end = begin + step.duration
            sampled = begin
            while (now := time.monotonic() - t0) < end and not self._stops(run):
                sent = self._sender.read().events - sent_before
                # Not beyond the step: the next one sets its own rate as it begins.
                tick = min(TICK_S, max(SHORTEST_TICK_S, end - now))
                self._sender.set_rate(rate_at(schedule, now, tick, sent))
                if now - sampled >= self._sample_s:
                    sampled = now
                    self._samples.append(self._sample(number, schedule.events(now)))
                    run.steps[number] = self._step_run(step, ended=False)
                    self._watch.sampled(run.steps[number])
                # The pattern's next tick, or the step's end, whichever is first; a signal wakes it.
                self._ended.wait(max(0.0, min(TICK_S, t0 + end - time.monotonic())))
            stopped = self._ended.is_set() or bool(run.failure)
            last = stopped or offset == len(stretch) - 1
            at_s = time.monotonic() - self._t0
            done = schedule.events(min(end, time.monotonic() - t0))
            if last and not run.failure:
                # The account of this storm is then closed, and its last losses are in this step.
                self._sender.finish()
            if self._target.death() is None or stopped:
                self._take_last(self._sample(number, done, at_s))
            run.steps[number] = self._step_run(step, ended=not stopped)
            self._watch.step_ends(number, run.steps[number])
            if stopped:
                return
            begin = end
        self._asked_before += schedule.events(schedule.duration)

    def _stops(self, run: Run) -> bool:
        if self._ended.is_set():
            return True
        death = self._target.death() or self._sender.death()
        if death and not self._ended.wait(TICK_S):
            run.failure = death
        return bool(run.failure)

    def _take_last(self, sample: Sample) -> None:
        """Of a step. A moment behind the one before it, it takes its place: a rate over less is chance."""
        before = self._samples[-1]
        if len(self._samples) > 1 and sample.at_s - before.at_s < self._sample_s / 2:
            self._samples.pop()
            names = {**before.latency_s, **sample.latency_s}
            highest = {
                name: max(before.latency_s.get(name, 0.0), sample.latency_s.get(name, 0.0)) for name in names
            }
            sample = dataclasses.replace(sample, latency_s=highest)
        self._samples.append(sample)

    def _sample(self, step: int, asked: float, at_s: float | None = None) -> Sample:
        """asked is of the storm that runs."""
        sent, reading = self._sender.read(), self._target.read()
        busy_s, processors_s = host.processor_seconds()
        latency_s: dict[str, float] = {}
        if reading.latency is not None:
            if self._latency is not None:
                latency_s = quantiles_s(difference(reading.latency, self._latency))
            self._latency = reading.latency
        before = self._samples[-1] if self._samples else None
        return Sample(
            at_s=time.monotonic() - self._t0 if at_s is None else at_s,
            step=step,
            asked=self._asked_before + asked,
            sent=sent.events,
            errors=sent.errors,
            late=sent.late,
            bytes=sent.bytes,
            received=reading.received,
            lost=reading.lost,
            storm_cpu_s=sent.cpu_s,
            # A process that is gone has taken what it had taken.
            target_cpu_s=_last_known(reading.cpu_s, before.target_cpu_s if before else None),
            busy_s=busy_s,
            processors_s=processors_s,
            memory_bytes=host.memory_used_bytes(),
            storm_memory_bytes=sent.memory_bytes,
            target_memory_bytes=_last_known(
                reading.memory_bytes, before.target_memory_bytes if before else None
            ),
            latency_s=latency_s,
        )

    def _step_run(self, step: Step, ended: bool) -> StepRun:
        latency = None
        if self._latency is not None and self._step_latency is not None:
            latency = difference(self._latency, self._step_latency)
        return StepRun(step, tuple(self._samples), latency, ended)

    def _end(self, run: Run) -> None:
        """The target's account. One that is gone has none, and the last sample is what is known."""
        try:
            run.ending = self._target.finish(sum(storm.events for storm in run.storms))
        except (ToolError, ControlError, TargetFailedError) as error:
            run.failure = run.failure or str(error)


def _last_known(now: N | None, before: N | None) -> N | None:
    return before if now is None else now

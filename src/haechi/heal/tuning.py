"""Which setting is changed next, and whether the last change has helped. Pure: figures and time are given.

One change at a time. It is judged over the interval that follows, or two where one says nothing clear,
against the noise of both. What helped stays, what did not is undone, and no value is tried twice until the
conditions are others (another rate, other tools beside it). So there is an end to it.

Which way loss is worked against: a datagram is lost where a receive buffer is full. A larger buffer at the
receiver is the direct answer, then a second worker there to empty it. At the sender it is not plain. A turn
(`burst_us`) of a stream leaves at once, so a longer one is a larger burst into the same buffer: the shorter
turn is tried first. But longer turns fill larger segmented buffers, which a receiver takes with fewer calls,
and where the receiver's processor is what is short, that is what helps: the longer turn is tried second, and
the figures decide.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Goal = Literal["rate", "loss", "memory"]
Verb = Literal["apply", "keep", "undo"]

BURST_US, BURST_US_LEAST = 850, 100
BUFFER_BYTES, BUFFER_BYTES_LEAST = 8 << 20, 256 << 10  # what 0 stands for; what trimming stops at
SESSIONS_MOST, SESSIONS_LEAST = 4096, 1000
MEMO_LEAST, BATCH_LEAST = 4096, 64 << 10
INTERVALS_MOST = 2  # that a change is judged over
_LEAST_GAIN: Mapping[Goal, float] = {"rate": 0.01, "loss": 0.0005, "memory": 0.02}
_NOISE = 2.0  # standard errors that a difference must be beyond
_SAMPLES_LEAST = 3


@dataclass(frozen=True, slots=True)
class Limits:
    interval_s: float = 5.0
    below: float = 0.95  # of the target
    loss_above: float = 0.003
    memory_bytes: float = math.inf
    burst_us_most: int = 10_000
    workers_most: int = 2
    processors: int = 2
    buffer_bytes_most: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """Of one setting of one tool."""

    tool: str  # its id
    setting: str
    before: int
    after: int
    live: bool = False  # without a restart


@dataclass(frozen=True, slots=True)
class Action:
    verb: Verb
    change: Change
    goal: Goal
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """A second of a tool's. None: nothing to be said of it, as while it warms up or is paused."""

    at: float
    conditions: Hashable
    rate: float | None = 1.0  # of its target
    loss: float | None = None  # of what was sent
    memory_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """Where the tuning of one tool stands."""

    conditions: Hashable = None
    looks: tuple[Look, ...] = ()
    quiet_until: float = -math.inf  # what is seen before is of the change itself
    trial: Action | None = None
    baseline: tuple[Look, ...] = ()
    tried: frozenset[tuple[str, str, int]] = frozenset()  # values that settings of tools had by now


@dataclass(frozen=True, slots=True)
class Knobs:
    """What could be changed now, in order, by goal."""

    of: Mapping[Goal, Sequence[Change]] = field(default_factory=dict)


def plan_tuning(
    course: Course, look: Look, knobs: Knobs, limits: Limits, settle_s: float
) -> tuple[Course, Action | None]:
    """The next course, and what to do now, if anything. settle_s: how long a restart's traces are seen."""
    if look.conditions != course.conditions:
        trial = course.trial
        course = Course(conditions=look.conditions)
        if trial is not None:  # what cannot be judged any more is not left as it is
            undo = replace(trial, verb="undo", why="the conditions are others now")
            return replace(course, quiet_until=look.at + settle_s), undo
    if look.rate is None:
        return replace(course, looks=()), None
    if look.at < course.quiet_until:
        return course, None
    course = replace(course, looks=(*course.looks, look))
    seen_s = look.at - course.looks[0].at
    if seen_s < limits.interval_s - 1e-6 or len(course.looks) < _SAMPLES_LEAST:
        return course, None
    if course.trial is None:
        return _begin(course, knobs, limits, look.at, settle_s)
    return _judge(course, course.trial, limits, look.at, settle_s)


def goal_of(looks: Sequence[Look], limits: Limits) -> Goal | None:
    """The gravest first: a machine without memory does nothing well, and a rate at a loss is no rate."""
    if looks[-1].memory_bytes > limits.memory_bytes:
        return "memory"
    if (loss := _mean(_values(looks, "loss"))) is not None and loss > limits.loss_above:
        return "loss"
    if (rate := _mean(_values(looks, "rate"))) is not None and rate < limits.below:
        return "rate"
    return None


def _begin(
    course: Course, knobs: Knobs, limits: Limits, at: float, settle_s: float
) -> tuple[Course, Action | None]:
    looks = course.looks
    goal = goal_of(looks, limits)
    course = replace(course, looks=())
    if goal is None:
        return course, None
    for change in knobs.of.get(goal, ()):
        if change.after != change.before and _keys(change)[1] not in course.tried:
            action = Action("apply", change, goal, _reason(goal, looks, limits))
            quiet = at + (1.0 if change.live else settle_s)
            tried = course.tried | set(_keys(change))
            return replace(course, trial=action, baseline=looks, quiet_until=quiet, tried=tried), action
    return course, None


def _judge(
    course: Course, trial: Action, limits: Limits, at: float, settle_s: float
) -> tuple[Course, Action | None]:
    gain, noise = _gain(trial.goal, course.baseline, course.looks)
    needed = max(_LEAST_GAIN[trial.goal], noise)
    intervals = (at - course.looks[0].at) / limits.interval_s
    worse_elsewhere = trial.goal == "rate" and _has_new_loss(course, limits)
    figures = (
        f"{trial.goal}: {_shown(trial.goal, course.baseline)} before, {_shown(trial.goal, course.looks)}"
    )
    done = replace(course, looks=(), trial=None, baseline=())
    if gain >= needed and not worse_elsewhere:
        return done, replace(trial, verb="keep", why=f"{figures} after")
    if gain > -needed and not worse_elsewhere and intervals < INTERVALS_MOST - 1e-6:
        return course, None
    quiet = at + (1.0 if trial.change.live else settle_s)
    why = f"{figures} after" + ("; and loss has come" if worse_elsewhere else "")
    return replace(done, quiet_until=quiet), replace(trial, verb="undo", why=why)


def _gain(goal: Goal, before: Sequence[Look], after: Sequence[Look]) -> tuple[float, float]:
    """How much better it is (below nought: worse), and how much of that may be chance. Of memory as a
    share."""
    old, new = _values(before, goal), _values(after, goal)
    if not old or not new:
        return 0.0, 0.0
    if goal == "memory":
        was = statistics.fmean(old)
        return (was - statistics.fmean(new)) / max(1.0, was), 0.0
    noise = _NOISE * math.sqrt(_variance(old) / len(old) + _variance(new) / len(new))
    gain = statistics.fmean(new) - statistics.fmean(old)
    return (gain if goal == "rate" else -gain), noise


def _has_new_loss(course: Course, limits: Limits) -> bool:
    old, new = _mean(_values(course.baseline, "loss")), _mean(_values(course.looks, "loss"))
    return new is not None and new > max(limits.loss_above, 2 * (old or 0.0))


def _values(looks: Sequence[Look], goal: Goal) -> list[float]:
    name = {"rate": "rate", "loss": "loss", "memory": "memory_bytes"}[goal]
    return [value for look in looks if (value := getattr(look, name)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _variance(values: Sequence[float]) -> float:
    return statistics.variance(values) if len(values) > 1 else 0.0


def _keys(change: Change) -> tuple[tuple[str, str, int], tuple[str, str, int]]:
    """The value that is left and the one that is tried: neither is come back to, but by undoing."""
    return (change.tool, change.setting, change.before), (change.tool, change.setting, change.after)


def _shown(goal: Goal, looks: Sequence[Look]) -> str:
    mean = _mean(_values(looks, goal))
    if mean is None:
        return "not known"
    return f"{mean / 1e6:.0f} MB" if goal == "memory" else f"{100 * mean:.3g} %"


def _reason(goal: Goal, looks: Sequence[Look], limits: Limits) -> str:
    bound = {
        "rate": f"below {100 * limits.below:g} %",
        "loss": f"above {100 * limits.loss_above:g} %",
        "memory": f"above {limits.memory_bytes / 1e6:.0f} MB",
    }[goal]
    return f"{goal} is {_shown(goal, looks)}, {bound}"

"""What is tried with a tool that is not well, and when it is left alone. Pure: time is passed in.

The mildest step that has not failed yet: `soft` (TERM, a grace period, the same settings), `hard` (KILL, and
the settings as the operator gave them, without what tuning made of them), `move` (KILL, and other
processors), then `give_up`. A step has failed where the tool was unwell again before it had settled. Steps
that have helped are not climbed past, but they count: no more than so many restarts in any window."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Step = Literal["soft", "hard", "move", "give_up"]
LADDER: tuple[Step, ...] = ("soft", "hard", "move")


@dataclass(frozen=True, slots=True)
class Limits:
    """How often, how soon, and how many; times in seconds."""

    settle_s: float = 5.0  # well for so long: the step has helped
    most_restarts: int = 5
    window_s: float = 60.0
    backoff_s: float = 0.5  # after the first step that has failed; doubles
    backoff_most_s: float = 30.0
    port_wait_s: float = 3600.0  # for a port that somebody else has
    emergency_above: int = 3  # tools that are unwell at once


@dataclass(frozen=True, slots=True)
class Attempt:
    step: Step
    at: float  # when its new process was there, or when it was found that none would be
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """The processors that a tool may use, those that it has now, and how busy each is (0 to 1)."""

    allowed: Sequence[int]
    used: Collection[int]
    workers: int
    busy: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    step: Step
    wait_s: float  # before it
    why: str
    pin: tuple[int, ...] = ()  # of a move


def note(history: Sequence[Attempt], attempt: Attempt) -> tuple[Attempt, ...]:
    return (*history, attempt)


def recall(history: Sequence[Attempt], limits: Limits, at: float) -> tuple[Attempt, ...]:
    """The attempts that still matter, now that the tool is unwell: those of the window, the last one failed
    where the tool has not settled since."""
    kept = [attempt for attempt in history if at - attempt.at < limits.window_s]
    if kept and at - kept[-1].at < limits.settle_s:
        kept[-1] = replace(kept[-1], failed=True)
    return tuple(kept)


def plan_restart(history: Sequence[Attempt], limits: Limits, places: Places) -> Plan:
    """The next step for a tool that is unwell, of what `recall` gave."""
    failed = {attempt.step for attempt in history if attempt.failed}
    tried = ", ".join(attempt.step for attempt in history) or "nothing"
    if len(history) >= limits.most_restarts:
        why = f"{len(history)} restarts in {limits.window_s:g} s are enough; tried: {tried}"
        return Plan("give_up", 0.0, why)
    pause = backoff_s(sum(attempt.failed for attempt in history), limits)
    for step in LADDER:
        if step in failed:
            continue
        if step != "move":
            return Plan(step, pause, f"tried before: {tried}")
        if pin := other_places(places):
            return Plan("move", pause, f"tried before: {tried}; to processors {_shown(pin)}", pin)
    return Plan("give_up", 0.0, f"every step has failed; tried: {tried}")


def backoff_s(failed: int, limits: Limits) -> float:
    """None as long as restarts help, then growing pauses."""
    if not failed:
        return 0.0
    return min(limits.backoff_most_s, limits.backoff_s * 2.0 ** min(failed - 1, 30))


def other_places(places: Places) -> tuple[int, ...]:
    """Processors that it does not use now, the least busy first, no more than it has workers. Nothing where
    there are no others."""
    free = sorted(set(places.allowed) - set(places.used), key=lambda cpu: (places.busy.get(cpu, 0.0), cpu))
    return tuple(free[: max(1, places.workers)])


def plan_port_wait(tries: int, since: float, limits: Limits, at: float) -> float | None:
    """How long to wait before a port that somebody else has is tried again; None: no longer. It costs little
    and is not the tool's fault, so it counts as no restart, and the pauses grow to five seconds only."""
    if at - since >= limits.port_wait_s:
        return None
    return min(5.0, 0.25 * 2.0 ** min(tries, 10))


def plan_emergency(unwell: Collection[str], storms: Sequence[str], limits: Limits) -> tuple[str, ...] | None:
    """The storms to stop, where more tools are unwell at once than may be: something is wrong that no restart
    mends, and load on top of it does not help to find out what. None: no emergency."""
    return tuple(storms) if len(unwell) > limits.emergency_above else None


def _shown(pin: Sequence[int]) -> str:
    return ", ".join(map(str, pin))

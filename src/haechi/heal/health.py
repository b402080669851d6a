"""Whether a tool is well, out of what can be seen of it from outside. Pure: time is passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Condition = Literal["well", "suspect", "dead", "stuck", "failing"]

ERROR_GAP_S = 2.0  # errors that come no further apart than this are one trouble


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is wrong; seconds."""

    stuck_after_s: float = 1.0  # without a sign of life
    silent_after_s: float = 3.0  # without an event though some are due
    failing_after_s: float = 10.0  # of sends that fail


@dataclass(frozen=True, slots=True)
class Signs:
    """What is seen of a tool at a moment."""

    at: float
    running: bool
    beat: int | None  # grows while the process does anything at all, asleep or not; None: cannot be seen
    moved: int  # events that it has carried
    due: bool  # whether that should grow: it has a rate, and is not paused
    errors: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """What earlier looks have left behind for the next one."""

    beat: int | None = None
    beat_at: float | None = None  # when the beat was last seen to grow
    moved: int = -1
    moved_at: float | None = None
    errors: int | None = None
    errors_since: float | None = None  # of the trouble that lasts
    errors_at: float | None = None  # when there was last an error


@dataclass(frozen=True, slots=True)
class Finding:
    condition: Condition
    why: str = ""


WELL = Finding("well")


def assess(pulse: Pulse, signs: Signs, limits: Limits) -> tuple[Pulse, Finding]:
    """The next pulse, and what to think of it.

    A process that is stopped, or waits for something that never comes, does not beat: no thread of it is
    ever scheduled, which the kernel counts for us. One whose beat goes on may still send nothing though it
    should. A tool that has hardly begun is given the same time before anything is missed of it.
    """
    pulse = _felt(pulse, signs)
    if not signs.running:
        return pulse, Finding("dead", "its process has ended")
    assert pulse.beat_at is not None and pulse.moved_at is not None
    still, silent = signs.at - pulse.beat_at, signs.at - pulse.moved_at
    if signs.beat is not None and still >= limits.stuck_after_s:
        return pulse, Finding("stuck", f"no sign of life for {still:.1f} s")
    if signs.due and silent >= limits.silent_after_s:
        return pulse, Finding("stuck", f"nothing was sent for {silent:.1f} s, though it should")
    if pulse.errors_since is not None and signs.at - pulse.errors_since >= limits.failing_after_s:
        return pulse, Finding("failing", f"sends have failed for {signs.at - pulse.errors_since:.0f} s")
    if signs.beat is not None and still >= limits.stuck_after_s / 2:
        return pulse, Finding("suspect", f"no sign of life for {still:.1f} s")
    if signs.due and silent >= limits.silent_after_s / 2:
        return pulse, Finding("suspect", f"nothing was sent for {silent:.1f} s, though it should")
    if pulse.errors_since is not None:
        return pulse, Finding("suspect", "sends fail")
    return pulse, WELL


def _felt(pulse: Pulse, signs: Signs) -> Pulse:
    at = signs.at
    if pulse.beat_at is None or signs.beat is None or signs.beat != pulse.beat:
        pulse = replace(pulse, beat=signs.beat, beat_at=at)
    if pulse.moved_at is None or not signs.due or signs.moved != pulse.moved:
        pulse = replace(pulse, moved=signs.moved, moved_at=at)
    if pulse.errors is not None and signs.errors > pulse.errors:
        since = at if pulse.errors_since is None else pulse.errors_since
        pulse = replace(pulse, errors_since=since, errors_at=at)
    elif pulse.errors_at is not None and at - pulse.errors_at > ERROR_GAP_S:
        pulse = replace(pulse, errors_since=None, errors_at=None)
    return replace(pulse, errors=signs.errors)

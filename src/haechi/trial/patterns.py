"""How many events a step asks for by when. A pattern is its integral, so that what is offered can be driven
and checked exactly, whatever the ticks of the clock that drives it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Pattern(Protocol):
    """Events a second over a step; times count from the step's beginning."""

    def words(self) -> str:
        """For people."""

    @property
    def highest_eps(self) -> float:
        """No moment of the pattern asks for more."""

    def events(self, seconds: float) -> float:
        """How many have been asked for by then."""


@dataclass(frozen=True, slots=True)
class Steady:
    eps: float

    def words(self) -> str:
        return f"{self.eps:,.0f} events/s"

    @property
    def highest_eps(self) -> float:
        return self.eps

    def events(self, seconds: float) -> float:
        return self.eps * seconds


@dataclass(frozen=True, slots=True)
class Ramp:
    """A straight line from one rate to another; the last one from then on."""

    from_eps: float
    to_eps: float
    duration: float

    def words(self) -> str:
        return f"{self.from_eps:,.0f} to {self.to_eps:,.0f} events/s"

    @property
    def highest_eps(self) -> float:
        return max(self.from_eps, self.to_eps)

    def events(self, seconds: float) -> float:
        within = min(seconds, self.duration)
        climbed = (self.to_eps - self.from_eps) * within * within / (2 * self.duration)
        return self.from_eps * within + climbed + self.to_eps * (seconds - within)


@dataclass(frozen=True, slots=True)
class Burst:
    """The peak for `width` seconds at the end of every period, the base rate before it."""

    eps: float
    peak_eps: float
    period: float
    width: float

    def words(self) -> str:
        every = f"{self.width:g} s of every {self.period:g} s"
        return f"{self.eps:,.0f} events/s, {self.peak_eps:,.0f} for {every}"

    @property
    def highest_eps(self) -> float:
        return max(self.eps, self.peak_eps)

    def events(self, seconds: float) -> float:
        periods, rest = divmod(seconds, self.period)
        bursting = periods * self.width + max(0.0, rest - (self.period - self.width))
        return self.eps * (seconds - bursting) + self.peak_eps * bursting


@dataclass(frozen=True, slots=True)
class Sine:
    """Around the rate, by the amplitude to either side, upwards first."""

    eps: float
    amplitude: float
    period: float

    def words(self) -> str:
        return f"{self.eps:,.0f} +- {self.amplitude:,.0f} events/s, period {self.period:g} s"

    @property
    def highest_eps(self) -> float:
        return self.eps + self.amplitude

    def events(self, seconds: float) -> float:
        turn = 2 * math.pi / self.period
        return self.eps * seconds + self.amplitude / turn * (1 - math.cos(turn * seconds))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Patterns one after another: (seconds, pattern) each."""

    parts: Sequence[tuple[float, Pattern]]

    @property
    def duration(self) -> float:
        return sum(seconds for seconds, _ in self.parts)

    def events(self, seconds: float) -> float:
        """How many have been asked for by then, of all parts."""
        total = 0.0
        for duration, pattern in self.parts:
            total += pattern.events(min(seconds, duration))
            seconds -= duration
            if seconds <= 0:
                break
        return total

    def highest_eps(self, seconds: float) -> float:
        """Of the part that is on at that time."""
        for duration, pattern in self.parts:
            if seconds < duration:
                return pattern.highest_eps
            seconds -= duration
        return self.parts[-1][1].highest_eps


LEAST_EPS = 1.0  # what a storm can be told
NEAR_S = 0.005  # what is sent may be this far from what was asked for without anybody turning at the rate
MAKE_UP_S = 0.2  # what is missing is made up for in about this time
MAKE_UP = 0.2  # at most this share of the part's highest rate above or below the pattern


def rate_at(schedule: Schedule, now: float, tick: float, sent: float) -> float:
    """The rate for the next tick: the pattern's, and something for what has not been sent by now though it
    was asked for, or was sent too early. Ticks may come late, and a storm takes some time to follow."""
    pattern = (schedule.events(now + tick) - schedule.events(now)) / tick
    highest = max(schedule.highest_eps(now), schedule.highest_eps(now + tick))
    missing = schedule.events(now) - sent
    if abs(missing) <= NEAR_S * highest:
        missing = 0.0
    more = min(max(missing / MAKE_UP_S, -MAKE_UP * highest), MAKE_UP * highest)
    return max(LEAST_EPS, pattern + more)

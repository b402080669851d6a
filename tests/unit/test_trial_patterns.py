"""Patterns: their integral is what is offered, however the clock's ticks come."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from haechi.trial.patterns import LEAST_EPS, Burst, Pattern, Ramp, Schedule, Sine, Steady, rate_at

RATES = st.floats(10, 5e6)
SECONDS = st.floats(0.5, 100)


@st.composite
def patterns(draw: st.DrawFn) -> Pattern:
    kind = draw(st.sampled_from(["steady", "ramp", "burst", "sine"]))
    eps = draw(RATES)
    if kind == "ramp":
        return Ramp(eps, draw(RATES), draw(SECONDS))
    if kind == "burst":
        period = draw(SECONDS)
        return Burst(eps, draw(RATES), period, period * draw(st.floats(0.05, 0.95)))
    if kind == "sine":
        return Sine(eps, eps * draw(st.floats(0.01, 0.9)), draw(SECONDS))
    return Steady(eps)


def by_hand(pattern: Pattern, at: float) -> float:
    """The rate at a moment, from the pattern's words."""
    match pattern:
        case Ramp(first, last, duration):
            return first + (last - first) * min(at, duration) / duration
        case Burst(eps, peak, period, width):
            return peak if at % period >= period - width else eps
        case Sine(eps, amplitude, period):
            return eps + amplitude * math.sin(2 * math.pi * at / period)
        case Steady(eps):
            return eps
    raise AssertionError(pattern)


@given(patterns(), SECONDS)
def test_the_events_are_the_rates_integral(pattern: Pattern, seconds: float) -> None:
    pieces = 1000
    width = seconds / pieces
    summed = sum(by_hand(pattern, (i + 0.5) * width) * width for i in range(pieces))
    # A burst's edges fall within a piece of the sum.
    edges = 2 * (seconds / pattern.period + 1) if isinstance(pattern, Burst) else 0
    room = pattern.highest_eps * (width * edges + seconds * 1e-4)
    assume(not isinstance(pattern, Sine) or pattern.period > 20 * width)
    assert pattern.events(seconds) == pytest.approx(summed, abs=room + 1e-6, rel=1e-3)


@given(patterns(), SECONDS, st.floats(0, 1))
def test_events_only_grow_and_never_faster_than_the_highest_rate(
    pattern: Pattern, seconds: float, share: float
) -> None:
    before, after = pattern.events(seconds * share), pattern.events(seconds)
    assert pattern.events(0) == 0
    assert before <= after * (1 + 1e-12) + 1e-6
    assert after - before <= pattern.highest_eps * seconds * (1 - share) * (1 + 1e-9) + 1e-3


@given(st.lists(st.tuples(SECONDS, patterns()), min_size=1, max_size=5), st.floats(0, 1))
def test_a_schedule_adds_its_parts_up(parts: list[tuple[float, Pattern]], share: float) -> None:
    schedule = Schedule(parts)
    whole = sum(pattern.events(seconds) for seconds, pattern in parts)
    assert schedule.events(schedule.duration) == pytest.approx(whole, rel=1e-9)
    assert schedule.events(schedule.duration * share) <= whole * (1 + 1e-9) + 1e-6


@given(
    st.lists(st.tuples(st.floats(5, 30), patterns()), min_size=1, max_size=3),
    st.lists(st.floats(0.05, 0.3), min_size=1, max_size=8),
    st.floats(0, 0.03),
)
def test_what_is_driven_is_what_is_asked_for(
    parts: list[tuple[float, Pattern]], ticks: list[float], follows_s: float
) -> None:
    """A sender that takes rates on a little late, on a clock whose ticks come unevenly: in the end it has
    sent what the schedule asks for, less what changed in the last half second."""
    schedule = Schedule(parts)
    now = sent = 0.0
    old = rate_at(schedule, 0.0, 0.1, 0.0)
    count = 0
    while now < schedule.duration:
        new = rate_at(schedule, now, 0.1, sent)
        assert LEAST_EPS <= new <= max(p.highest_eps for _, p in parts) * 1.2 + 1
        tick = min(ticks[count % len(ticks)], schedule.duration - now)
        late = min(follows_s, tick)
        sent += old * late + new * (tick - late)
        old, now, count = new, now + tick, count + 1
    # Short waves and bursts are missed by late ticks, and made up for on average.
    highest = max(pattern.highest_eps for _, pattern in parts)
    assert abs(sent - schedule.events(schedule.duration)) <= highest * 0.5 + 2

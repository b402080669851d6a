"""Which step is next, and that there is an end to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haechi.heal.restart import (
    LADDER,
    Attempt,
    Limits,
    Places,
    Step,
    backoff_s,
    note,
    other_places,
    plan_emergency,
    plan_port_wait,
    plan_restart,
    recall,
)

LIMITS = Limits(settle_s=5, most_restarts=5, window_s=60, backoff_s=0.5, backoff_most_s=4)
PLACES = Places(allowed=(0, 1, 2, 3), used={1}, workers=2, busy={0: 0.9, 2: 0.1, 3: 0.5})


def failed(*steps: Step) -> tuple[Attempt, ...]:
    return tuple(Attempt(step, float(i), failed=True) for i, step in enumerate(steps))


@pytest.mark.parametrize(
    ("history", "step", "wait_s"),
    [
        ((), "soft", 0.0),
        (failed("soft"), "hard", 0.5),
        (failed("soft", "hard"), "move", 1.0),
        (failed("soft", "hard", "move"), "give_up", 0.0),
        ((Attempt("soft", 0.0),), "soft", 0.0),  # it has helped: the mildest again
        ((Attempt("soft", 0.0, failed=True), Attempt("hard", 1.0)), "hard", 0.5),
        (tuple(Attempt("soft", float(i)) for i in range(5)), "give_up", 0.0),
    ],
)
def test_the_mildest_step_that_has_not_failed(
    history: tuple[Attempt, ...], step: Step, wait_s: float
) -> None:
    plan = plan_restart(history, LIMITS, PLACES)
    assert (plan.step, plan.wait_s) == (step, wait_s)


def test_a_move_goes_to_the_least_busy_of_the_others() -> None:
    assert plan_restart(failed("soft", "hard"), LIMITS, PLACES).pin == (2, 3)
    assert other_places(Places((0, 1), {0}, 8)) == (1,)


def test_without_another_processor_it_is_given_up() -> None:
    alone = Places(allowed=(0,), used={0}, workers=1)
    plan = plan_restart(failed("soft", "hard"), LIMITS, alone)
    assert plan.step == "give_up"
    assert "soft, hard" in plan.why


def test_none_at_all() -> None:
    assert plan_restart((), Limits(most_restarts=0), PLACES).step == "give_up"


def test_what_is_long_ago_is_forgotten_and_what_just_was_has_failed() -> None:
    history = (Attempt("soft", 0.0, failed=True), Attempt("soft", 50.0), Attempt("soft", 58.0))
    kept = recall(history, LIMITS, 62.0)
    assert [(attempt.at, attempt.failed) for attempt in kept] == [(50.0, False), (58.0, True)]
    assert not recall(history, LIMITS, 70.0)[-1].failed


def test_pauses_grow_and_are_bounded() -> None:
    assert [backoff_s(n, LIMITS) for n in range(6)] == [0, 0.5, 1, 2, 4, 4]


def test_a_port_is_waited_for_and_not_for_ever() -> None:
    limits = Limits(port_wait_s=100)
    waits = [plan_port_wait(n, 0.0, limits, 50.0) for n in range(8)]
    assert waits == [0.25, 0.5, 1, 2, 4, 5, 5, 5]
    assert plan_port_wait(3, 0.0, limits, 100.0) is None


@pytest.mark.parametrize(
    ("unwell", "stops"), [(0, False), (3, False), (4, True)], ids=["none", "as many as may be", "more"]
)
def test_an_emergency_stops_every_storm(unwell: int, stops: bool) -> None:
    names = [f"tool-{i}" for i in range(unwell)]
    found = plan_emergency(names, ["storm-1", "storm-2"], Limits(emergency_above=3))
    assert found == (("storm-1", "storm-2") if stops else None)


@given(
    lives=st.lists(st.floats(min_value=0.0, max_value=200.0), min_size=1, max_size=60),
    most=st.integers(min_value=0, max_value=8),
    others=st.integers(min_value=0, max_value=3),
)
def test_restarts_of_any_window_are_bounded_whenever_it_dies(
    lives: list[float], most: int, others: int
) -> None:
    limits = Limits(settle_s=5, most_restarts=most, window_s=60, backoff_s=0.5, backoff_most_s=30)
    places = Places(allowed=range(1 + others), used={0}, workers=1)
    at, begun = 0.0, list[float]()
    history: tuple[Attempt, ...] = ()
    for life in lives:
        at += life
        history = recall(history, limits, at)
        plan = plan_restart(history, limits, places)
        if plan.step == "give_up":
            break
        assert 0 <= plan.wait_s <= limits.backoff_most_s
        assert (plan.pin != ()) == (plan.step == "move")
        at += plan.wait_s
        history = note(history, Attempt(plan.step, at))
        begun.append(at)
    for since in begun:
        # The pause before the last one may carry it beyond the window that was counted.
        assert sum(since <= moment < since + limits.window_s for moment in begun) <= most
    assert len(history) <= max(1, most)


@given(most=st.integers(min_value=1, max_value=50), life=st.floats(min_value=0.0, max_value=4.9))
def test_one_that_dies_at_once_is_given_up(most: int, life: float) -> None:
    limits = Limits(settle_s=5, most_restarts=most, window_s=60)
    at, steps = 0.0, list[Step]()
    history: tuple[Attempt, ...] = ()
    while True:
        history = recall(history, limits, at)
        plan = plan_restart(history, limits, PLACES)
        steps.append(plan.step)
        if plan.step == "give_up":
            break
        at += plan.wait_s
        history = note(history, Attempt(plan.step, at))
        at += life
    assert steps == [*LADDER[:most], "give_up"]

"""What a trial says while it runs, on a terminal and without one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from haechi.trial.progress import LinesView, LiveView, is_due, recent
from haechi.trial.runner import StepRun
from haechi.trial.scenario import Scenario
from tests.unit.test_trial_kpi import GOOD, LOSSY, samples
from tests.unit.test_trial_report import step

SCENARIO = Scenario.model_validate({"name": "[b]made[/b]", "steps": [{"rate": 1000, "duration": 4}]})
STEPS = (step("[red]one", "loss_ratio < 0.01", "latency_p99 < 5ms"), step("two", "cpu < 1"))
GREEN, RED, YELLOW, DIM = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m"


def told(view: LinesView | LiveView) -> None:
    """A step that turns bad, and ends."""
    view.begins(SCENARIO, STEPS)
    view.step_begins(0, STEPS[0])
    view.sampled(StepRun(STEPS[0], tuple(samples(GOOD, GOOD))))
    view.step_ends(0, StepRun(STEPS[0], tuple(samples(GOOD, LOSSY)), None, True))
    view.close()


def test_lines_without_a_terminal() -> None:
    out = io.StringIO()
    told(LinesView(Console(file=out, width=100)))
    said = out.getvalue().splitlines()
    assert said == [
        "trial [b]made[/b]: 2 steps, 0:08",
        "[red]one: 1,000 events/s, 0:04",
        "[red]one: 1.00 k events/s, 5.0000% lost, cpu 25%",
        "  x loss_ratio < 0.01 (0.05)",
        "  ? latency_p99 < 5ms",
    ]


def test_criteria_turn_green_or_red_on_a_terminal() -> None:
    out = io.StringIO()
    told(LiveView(Console(file=out, width=120, force_terminal=True, color_system="standard")))
    said = out.getvalue()
    assert f"{GREEN}+ loss_ratio < 0.01 (0)" in said
    assert f"{RED}x loss_ratio < 0.01 (0.05)" in said
    assert said.index(f"{GREEN}+ loss_ratio") < said.index(f"{RED}x loss_ratio")
    assert f"{YELLOW}? latency_p99 < 5ms" in said
    assert f"{DIM}- cpu < 1" in said
    assert "[red]one" in said


def test_a_long_steps_end_is_looked_at() -> None:
    run = StepRun(STEPS[0], tuple(samples(*[GOOD] * 100)))
    assert len(recent(run).samples) == 61
    assert recent(run).samples[-1] is run.samples[-1]


@pytest.mark.parametrize(("until", "looks"), [(299, 299), (86_400, 2200)])
def test_looking_does_not_grow_with_the_hours(until: int, looks: int) -> None:
    assert sum(map(is_due, range(1, until + 1))) == pytest.approx(looks, rel=0.3)

"""A trial told to another program: the lines, and the picture that they add up to."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest

from haechi.trial.ndr import Attempt
from haechi.trial.picture import SAMPLES_KEPT, Picture
from haechi.trial.runner import StepRun
from haechi.trial.scenario import Scenario, steps_of
from haechi.trial.ticker import Ticker
from tests.unit.test_trial_kpi import GOOD, LOSSY, samples

SCENARIO = Scenario.model_validate(
    {
        "name": "made",
        "steps": [
            {"name": "one", "rate": 1000, "duration": 4, "criteria": ["loss_ratio == 0", "sent < 1M"]},
            {"name": "two", "rate": 2000, "duration": 6, "criteria": ["cpu < 1"]},
        ],
        "criteria": ["sent > 2500", "latency_p99 < 5ms"],
    }
)
STEPS = steps_of(SCENARIO)


def report(*verdicts: str) -> dict[str, Any]:
    judged = [{"verdict": verdict, "value": n} for n, verdict in enumerate(verdicts)]
    steps = [{"criteria": judged[:2]}, {"criteria": judged[2:3]}]
    return {"state": "missed", "grade": {"letter": "A"}, "steps": steps, "criteria": judged[3:]}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_criteria_turn_as_soon_as_they_are_certain() -> None:
    out, clock = io.StringIO(), Clock()
    ticker, picture = Ticker(out), Picture(clock)
    read = 0

    def seen() -> dict[str, Any]:
        nonlocal read
        lines = out.getvalue()[read:].splitlines()
        read = len(out.getvalue())
        for line in lines:
            picture.take(line)
        return picture.view()

    def states() -> list[str]:
        return [one["state"] for one in seen()["criteria"]]

    assert seen()["steps"] == []
    assert picture.ready
    ticker.begins(SCENARIO, STEPS)
    ticker.step_begins(0, STEPS[0])
    begun = seen()
    assert [step["state"] for step in begun["steps"]] == ["running", "waiting"]
    assert [step["begin_s"] for step in begun["steps"]] == [0.0, 4.0]
    assert [step["eps_highest"] for step in begun["steps"]] == [1000.0, 2000.0]
    assert (begun["duration_s"], begun["step"], begun["eps"]) == (10.0, 0, None)
    assert [one["step"] for one in begun["criteria"]] == [0, 0, 1, None, None]
    assert {one["state"] for one in begun["criteria"]} == {"unknown"}

    first = samples(LOSSY, GOOD, GOOD, GOOD)
    ticker.sampled(StepRun(STEPS[0], tuple(first[:3])))
    assert states() == ["unknown"] * 5
    ticker.sampled(StepRun(STEPS[0], tuple(first[:4])))
    assert states() == ["failed", "unknown", "unknown", "met", "unknown"]
    ticker.step_ends(0, StepRun(STEPS[0], tuple(first), None, ended=True))
    assert states() == ["failed", "met", "unknown", "met", "unknown"]

    clock.now = 103.0
    shown = seen()
    assert shown["elapsed_s"] == 3.0
    assert shown["samples"][0] == [2.0, 1000.0, 1000.0, 0.0, None]
    assert (shown["target_eps"], shown["eps"], shown["loss_ratio"]) == (1000.0, 1000.0, 0.0)
    assert [step["state"] for step in shown["steps"]] == ["done", "waiting"]
    assert shown["criteria"][0] == {
        "text": "loss_ratio == 0",
        "step": 0,
        "state": "failed",
        "value": 0.025,
        "shown": "2.5 %",
    }

    ticker.step_begins(1, STEPS[1])
    ticker.step_ends(1, StepRun(STEPS[1], tuple(first[-1:]), None, ended=False))
    assert states()[2] == "unknown"
    ticker.ends(report("missed", "met", "unknown", "met", "missed"))
    assert states() == ["failed", "met", "unknown", "met", "failed"]
    picture.end()
    clock.now = 200.0
    assert seen()["elapsed_s"] == 3.0
    assert "samples" not in picture.view(samples=False)


def test_a_search_is_told_attempt_by_attempt() -> None:
    out = io.StringIO()
    ticker, picture = Ticker(out), Picture(Clock())
    search = Scenario.model_validate({"name": "s", "search": {"to": "1M"}, "criteria": ["ndr_eps > 1k"]})
    ticker.begins(search, ())
    ticker.says("NDR")
    ticker.tried(Attempt(1000.0, 1000, 990, True, 998.0))
    for line in out.getvalue().splitlines():
        picture.take(line)
    shown = picture.view()
    assert (shown["duration_s"], shown["steps"], shown["words"]) == (None, [], ["NDR"])
    assert shown["samples"] == [[0.0, 1000.0, 998.0, 0.01, None]]


def test_who_has_gone_away_is_not_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ticker = Ticker(os.fdopen(writing, "w"))
    ticker.begins(SCENARIO, STEPS)
    ticker.says("on it goes")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"3",
        b'"kind"',
        b"{}",
        b'{"kind": 3}',
        b'{"kind": "nosuch"}',
        b'{"kind": "step", "step": 7, "state": "running"}',
        b'{"kind": "begins"}',
        b'{"kind": "criteria", "criteria": [[9, "met", 1]]}',
        b'{"kind": "sample"}',
        b'{"kind": ["step"]}',
    ],
)
def test_lines_of_nobodys_change_nothing(line: bytes) -> None:
    picture = Picture(Clock())
    before = picture.view()
    picture.take(line)
    assert picture.view() == before


def test_samples_are_bounded() -> None:
    picture = Picture(Clock())
    for n in range(SAMPLES_KEPT + 5):
        sample = {"kind": "attempt", "target_eps": n, "eps": n, "loss_ratio": 0}
        picture.take(json.dumps(sample))
    assert len(picture.view()["samples"]) == SAMPLES_KEPT
    assert picture.view()["target_eps"] == SAMPLES_KEPT + 4

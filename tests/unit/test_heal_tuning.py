"""What tuning does to a storm that is only simulated: rate, loss and memory are functions of its settings."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haechi.config.detect import CheckpointConfig, DetectConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.heal import knobs
from haechi.heal.tuning import Action, Change, Course, Knobs, Limits, Look, plan_tuning

LIMITS = Limits(interval_s=5, workers_most=8, processors=4, burst_us_most=6800, memory_bytes=1e9)
SETTLE_S = 3.0

Figures = tuple[float, float | None, float]  # rate, loss, memory


@dataclass
class Simulated:
    """A storm and a sink with the settings that they have, and what that makes of the figures."""

    figures: Callable[[dict[str, int]], Figures]
    noise: float = 0.0
    values: dict[str, int] = field(default_factory=lambda: {"burst_us": 850, "workers": 2})
    truth: bool = False
    with_sink: bool = True
    course: Course = field(default_factory=Course)
    done: list[Action] = field(default_factory=list)
    at: float = 0.0

    def knobs(self) -> Knobs:
        more = {"truth": "t.jsonl"} if self.truth else {}
        storm = {k: self.values[k] for k in ("burst_us", "workers", "sessions") if k in self.values}
        config = StormConfig.model_validate({"target": "127.0.0.1", "ports": "5514-5553", **storm, **more})
        sink = SinkConfig(
            ports="5514-5553",
            buffer_bytes=self.values.get("sink_buffer_bytes", 0),
            workers=self.values.get("sink_workers", 1),
        )
        receiver = ("sink-1", sink) if self.with_sink else None
        return knobs.of_storm("storm-1", config, 2, receiver, LIMITS)

    def run(self, seconds: int, conditions: object = "same", seed: int = 1) -> list[tuple[str, str, int]]:
        draw, before = random.Random(seed), len(self.done)
        for _ in range(seconds):
            self.at += 1
            rate, loss, memory = self.figures(self.values)
            rate += draw.uniform(-self.noise, self.noise)
            look = Look(self.at, conditions, rate, loss, memory)
            self.course, action = plan_tuning(self.course, look, self.knobs(), LIMITS, SETTLE_S)
            if action is not None:
                self.done.append(action)
                change = action.change
                if action.verb != "keep":
                    name = change.setting if change.tool == "storm-1" else f"sink_{change.setting}"
                    self.values[name] = change.after if action.verb == "apply" else change.before
        return [(a.verb, a.change.setting, a.change.after) for a in self.done[before:]]


def test_a_storm_that_does_well_is_left_alone() -> None:
    assert Simulated(lambda _: (0.99, 0.0, 1e6)).run(300) == []


def test_one_setting_at_a_time_until_it_is_enough() -> None:
    """A longer turn helps; a second one gives what was missing."""
    gain = {850: 0.80, 1700: 0.90, 3400: 0.97}
    storm = Simulated(lambda v: (gain[v["burst_us"]], 0.0, 1e6), noise=0.005)
    assert storm.run(120) == [
        ("apply", "burst_us", 1700),
        ("keep", "burst_us", 1700),
        ("apply", "burst_us", 3400),
        ("keep", "burst_us", 3400),
    ]


def test_what_does_not_help_is_undone_and_not_tried_again() -> None:
    storm = Simulated(lambda _: (0.8, 0.0, 1e6), noise=0.02)
    done = storm.run(600)
    assert done == [
        ("apply", "burst_us", 1700),
        ("undo", "burst_us", 1700),
        ("apply", "workers", 4),
        ("undo", "workers", 4),
    ]
    assert storm.values == {"burst_us": 850, "workers": 2}
    # Another rate, or another tool beside it: the same again.
    assert storm.run(100, conditions="others")[0] == ("apply", "burst_us", 1700)


def test_what_helps_is_kept_though_another_did_not() -> None:
    storm = Simulated(lambda v: (min(1.0, 0.24 * v["workers"]), 0.0, 1e6))
    assert storm.run(200)[-1] == ("keep", "workers", 4)
    assert storm.values == {"burst_us": 850, "workers": 4}


def test_noise_is_not_taken_for_help() -> None:
    kept = 0
    for seed in range(20):
        storm = Simulated(lambda _: (0.85, 0.0, 1e6), noise=0.08)
        kept += sum(verb == "keep" for verb, _, _ in storm.run(300, seed=seed))
    assert kept <= 6  # of some 40 that were tried


def test_a_rate_that_is_bought_with_loss_is_undone() -> None:
    def figures(values: dict[str, int]) -> Figures:
        longer = values["burst_us"] > 850
        return (0.99 if longer else 0.8), (0.02 if longer else 0.0), 1e6

    done = Simulated(figures).run(30)
    assert done[:2] == [("apply", "burst_us", 1700), ("undo", "burst_us", 1700)]


def test_loss_is_worked_against_at_our_own_sink_first() -> None:
    lost = {0: 0.01, 16 << 20: 0.005, 32 << 20: 0.0}
    storm = Simulated(lambda v: (1.0, lost[v.get("sink_buffer_bytes", 0)], 1e6))
    done = storm.run(100)
    assert [setting for _, setting, _ in done] == ["buffer_bytes"] * 4
    assert storm.values["sink_buffer_bytes"] == 32 << 20
    assert {action.change.tool for action in storm.done} == {"sink-1"}


def test_without_a_sink_of_ours_the_shorter_turn_is_tried_before_the_longer() -> None:
    gentle = Simulated(lambda v: (1.0, 0.02 * v["burst_us"] / 850, 1e6), with_sink=False)
    assert gentle.run(15)[0] == ("apply", "burst_us", 425)
    assert gentle.run(400)[-1][0] == "keep"
    assert gentle.values["burst_us"] == 106
    busy = Simulated(lambda v: (1.0, 0.02 * 850 / v["burst_us"], 1e6), with_sink=False)
    assert busy.run(24) == [
        ("apply", "burst_us", 425),
        ("undo", "burst_us", 425),
        ("apply", "burst_us", 1700),
        ("keep", "burst_us", 1700),
    ]


def test_memory_comes_first_and_is_trimmed() -> None:
    storm = Simulated(lambda v: (0.5, 0.1, 5e5 * v.get("sessions", 4096)))
    done = storm.run(40)
    assert {setting for _, setting, _ in done[:2]} == {"sessions"}
    assert done[1][0] == "keep"


def test_a_storm_with_ground_truth_is_not_begun_anew() -> None:
    storm = Simulated(lambda _: (0.5, 0.0, 9e9), truth=True)
    storm.run(100)
    assert storm.done == []  # memory is too much, and nothing can be done about it live
    storm = Simulated(lambda _: (0.5, 0.0, 1e6), truth=True)
    storm.run(100)
    assert {action.change.setting for action in storm.done} == {"burst_us"}


def test_while_nothing_is_known_nothing_is_done() -> None:
    course = Course()
    for second in range(60):
        look = Look(float(second), "same", None, 0.5, 1e12)
        course, action = plan_tuning(course, look, Simulated(lambda _: (0, 0, 0)).knobs(), LIMITS, SETTLE_S)
        assert action is None


def test_a_change_on_trial_is_undone_when_the_conditions_change() -> None:
    storm = Simulated(lambda _: (0.8, 0.0, 1e6))
    assert storm.run(7) == [("apply", "burst_us", 1700)]
    assert storm.run(1, conditions="another rate") == [("undo", "burst_us", 1700)]
    assert storm.values["burst_us"] == 850


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), eps=st.floats(0.0, 1.2), loss=st.floats(0.0, 0.2), noise=st.floats(0, 0.2))
def test_there_is_an_end_to_it_and_limits_hold(seed: int, eps: float, loss: float, noise: float) -> None:
    draw = random.Random(seed)
    known: dict[tuple[tuple[str, int], ...], Figures] = {}

    def figures(values: dict[str, int]) -> Figures:
        key = tuple(sorted(values.items()))
        return known.setdefault(
            key, (eps * draw.uniform(0.5, 1.5), loss * draw.random(), draw.random() * 2e9)
        )

    storm = Simulated(figures, noise=noise)
    storm.run(600, seed=seed)
    assert storm.run(60, seed=seed) == []
    applied = [a.change for a in storm.done if a.verb == "apply"]
    assert len({(c.tool, c.setting, c.after) for c in applied}) == len(applied)
    for change in applied:
        most = {"burst_us": 6800, "workers": 8, "buffer_bytes": 64 << 20, "sessions": 4096}[change.setting]
        assert 0 < change.after <= most
    # Between a change and its end there is no other.
    verbs = [a.verb for a in storm.done]
    assert all(verb == "apply" for verb in verbs[::2])
    assert all(verb in ("keep", "undo") for verb in verbs[1::2])


def test_what_other_tools_can_be_trimmed_of() -> None:
    (change,) = knobs.of_sink("sink-1", SinkConfig()).of["memory"]
    assert change == Change("sink-1", "buffer_bytes", 0, 4 << 20)
    assert knobs.of_sink("sink-1", SinkConfig(buffer_bytes=1000)).of["memory"] == []
    detector = DetectConfig(bundle="b", sources=("x",))  # type: ignore[arg-type]
    assert knobs.of_detector("d", detector).of == {}
    kept = detector.model_copy(update={"checkpoint": CheckpointConfig(path="c")})  # type: ignore[arg-type]
    assert [c.setting for c in knobs.of_detector("d", kept).of["memory"]] == ["memo_entries", "batch_bytes"]


@pytest.mark.parametrize(("workers", "most", "found"), [(2, 8, [4]), (8, 8, [4]), (4, 4, []), (40, 4, [20])])
def test_workers_go_towards_the_processors(workers: int, most: int, found: list[int]) -> None:
    limits = Limits(workers_most=most, processors=4, burst_us_most=850)
    storm = StormConfig.model_validate({"target": "127.0.0.1", "ports": "5514-5553", "workers": workers})
    changes = knobs.of_storm("s", storm, 2, None, limits).of["rate"]
    assert [change.after for change in changes if change.setting == "workers"] == found

"""Scenarios: the shipped ones, what is refused, how steps are scaled and joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from haechi.config.load import ConfigError
from haechi.trial.patterns import Burst, Ramp, Sine, Steady
from haechi.trial.scenario import load, schedule_of, steps_of, stretches

ROOT = Path(__file__).resolve().parents[2]


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "minutes", "events"),
    [
        ("gradual", 60, (600 + 1200 + 2700 + 6000) * 1e6),
        ("endurance", 24 * 60, 4e6 * 86_400),
        ("burst", 30, (600 + 600 + 5520) * 1e6),
        ("detect-under-load", 7, None),
    ],
)
def test_the_shipped_ones_are_as_they_say(name: str, minutes: float, events: float | None) -> None:
    scenario = load(ROOT / "scenarios" / f"{name}.yaml")
    assert scenario.name == name
    schedule = schedule_of(steps_of(scenario))
    assert schedule.duration == minutes * 60
    assert events is None or schedule.events(schedule.duration) == pytest.approx(events)
    assert scenario.criteria


def test_the_shipped_search() -> None:
    search = load(ROOT / "scenarios" / "ndr.yaml").search
    assert search is not None
    assert (search.trial, search.repeats, search.partial_loss) == (60, 3, 0.005)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x", "either steps or search is needed"),
        ("steps: [{rate: 1k, duration: 1s}]", "name: is required"),
        ("name: x\nsteps: [{rate: 1k}]", "steps.0.duration: is required"),
        ("name: x\nsteps:\n- rate: 1x\n  duration: 1s", "steps.0.rate: '1x' is not a number above 0"),
        ("name: x\nsteps:\n- duration: 1s\n  rate: 1x", "such as 500, 20k or 2M (line 4)"),
        ("name: x\nsteps: [{rate: 1k, duration: 1s, to: 2k}]", "to is of no use with pattern steady"),
        ("name: x\nsteps: [{pattern: ramp, from: 1k, duration: 1s}]", "pattern ramp needs from, to"),
        (
            "name: x\nsteps: [{pattern: sine, rate: 100, amplitude: 100, period: 1s, duration: 1s}]",
            "the rate falls below 1 event a second",
        ),
        (
            "name: x\nsteps: [{pattern: burst, rate: 1k, peak: 2k, period: 1s, width: 1s, duration: 9s}]",
            "width: 1 s is not below the period",
        ),
        ("name: x\nsteps:\n- {rate: 1k, duration: 1s, criteria: [los < 1]}", "'los' is no figure"),
        ("name: x\nsteps: [{rate: 1k, duration: 1s, criteria: [f1 > 0.9]}]", "of the whole trial only"),
        ("name: x\nsteps: [{rate: 1k, duration: 1s}]\ncriteria: [f1 > 0.9]", "target.kind: detect only"),
        ("name: x\nsteps: [{rate: 1k, duration: 1s}]\ncriteria: [ndr_eps > 1k]", "of a search only"),
        ("name: x\nsearch: {from: 5k, to: 1k}", "from: 5,000 is not below to"),
        ("name: x\nsearch: {to: 90k}\ncriteria: [cpu < 1]", "cpu is not known of a search"),
        ("name: x\ntarget: {kind: other}\nsteps: [{rate: 1k, duration: 1s}]", "received is needed"),
        ("name: x\ntarget: {bundle: b}\nsteps: [{rate: 1k, duration: 1s}]", "bundle is of kind detect"),
        ("name: x\ntarget: {ports: 999 free}\nsteps: [{rate: 1k, duration: 1s}]", "from 1 to 100 free ports"),
        ("name: x\nstorm: {seeds: 1}\nsteps: [{rate: 1k, duration: 1s}]", "did you mean seed?"),
        (
            "name: x\nstorm: {workers: 1, groups: 2}\nsteps: [{rate: 1k, duration: 1s}]",
            "groups: 2 is more than the 1 workers",
        ),
        (
            "name: x\nstorm: {anomaly_kinds: odd}\nsteps: [{rate: 1k, duration: 1s}]",
            "odd is none of the kinds step_skipped",
        ),
        (
            "name: x\ntarget: {kind: other, ports: '45514', received: {command: x}}\n"
            "steps: [{rate: 1k, duration: 1s, criteria: [loss_ratio < 1]}]",
            "not known second by second",
        ),
        (
            "name: x\ntarget: {kind: other, ports: '45514', received: {url: 'http://h/', pattern: '('}}\n"
            "steps: [{rate: 1k, duration: 1s}]",
            "is no regular expression",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")


def test_steps_are_scaled(tmp_path: Path) -> None:
    text = """
name: x
steps:
  - {rate: 10k, duration: 1m}
  - {pattern: ramp, from: 1k, to: 3k, duration: 1m}
  - {pattern: burst, rate: 1k, peak: 9k, period: 10s, width: 2s, duration: 1m}
  - {pattern: sine, rate: 4k, amplitude: 2k, period: 20s, duration: 1m}
  - {rate: 1, duration: 1m, criteria: [{recovers_within: 30s}]}
"""
    steps = steps_of(load(written(tmp_path, text)), scale_time=0.1, scale_rate=0.5)
    assert [step.duration for step in steps] == pytest.approx([6] * 5)
    assert [step.pattern for step in steps] == [
        Steady(5000),
        Ramp(500, 1500, 6),
        Burst(500, 4500, 1, 0.2),
        Sine(2000, 1000, 2),
        Steady(1),
    ]
    assert [step.name for step in steps] == [f"step {n}" for n in range(1, 6)]
    assert steps[4].criteria[0].bound == 30


def test_steps_with_the_same_anomalies_are_one_storm(tmp_path: Path) -> None:
    text = """
name: x
storm: {anomaly_rate: 0.1}
steps:
  - {rate: 1k, duration: 1s}
  - {rate: 2k, duration: 1s, anomalies: {rate: 0.1}}
  - {rate: 3k, duration: 1s, anomalies: {rate: 0.2}}
  - {rate: 4k, duration: 1s}
"""
    joined = stretches(steps_of(load(written(tmp_path, text))))
    assert [[step.pattern.highest_eps for step in stretch] for stretch in joined] == [
        [1000, 2000],
        [3000],
        [4000],
    ]

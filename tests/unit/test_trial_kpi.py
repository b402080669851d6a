"""Figures, key figures and the grade, from counters written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from haechi.native.stats import Histogram
from haechi.trial.figures import Outage, Sample, difference, figures, outages, quantiles_s
from haechi.trial.grade import EFFICIENCY, TARGET, UPTIME, Grade, grade, points_of
from haechi.trial.kpi import Counts, kpis

NOTHING = Sample(
    at_s=0,
    step=0,
    asked=0,
    sent=0,
    errors=0,
    late=0,
    bytes=0,
    received=0,
    lost=0,
    storm_cpu_s=0,
    target_cpu_s=0,
    busy_s=0,
    processors_s=0,
    memory_bytes=1000,
    storm_memory_bytes=10,
    target_memory_bytes=20,
    latency_s={},
)


def samples(*seconds: tuple[int, int]) -> list[Sample]:
    """One a second at 1000 events asked for: (sent, lost) in each."""
    found = [NOTHING]
    for sent, lost in seconds:
        last = found[-1]
        found.append(
            replace(
                last,
                at_s=last.at_s + 1,
                asked=last.asked + 1000,
                sent=last.sent + sent,
                bytes=last.bytes + 100 * sent,
                received=(last.received or 0) + sent - lost,
                lost=(last.lost or 0) + lost,
                storm_cpu_s=last.storm_cpu_s + 0.5,
                target_cpu_s=(last.target_cpu_s or 0) + 0.25,
                busy_s=last.busy_s + 1,
                processors_s=last.processors_s + 4,
            )
        )
    return found


GOOD, SHORT, LOSSY = (1000, 0), (500, 0), (1000, 100)


def test_figures_are_of_the_counters() -> None:
    found = figures(samples(GOOD, LOSSY, SHORT, GOOD), {"p99": 0.004})
    wanted = {
        "sent": 3500,
        "received": 3400,
        "lost": 100,
        "loss_ratio": 100 / 3500,
        "offered_eps": 1000,
        "achieved_eps": 875,
        "achieved_ratio": 0.875,
        "received_eps": 850,
        "peak_eps": 1000,
        "cpu": 0.25,
        "storm_cores": 0.5,
        "target_cores": 0.25,
        "uptime_ratio": 0.5,
        "recovery": 2,
        "latency_p99": 0.004,
        "latency_p50": None,
        "memory": 1000,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_what_a_target_does_not_tell_is_not_known() -> None:
    silent = [replace(s, received=None, lost=None, target_cpu_s=None) for s in samples(GOOD, GOOD)]
    found = figures(silent, {})
    assert found["sent"] == 2000
    assert [found[name] for name in ("received", "lost", "loss_ratio", "target_cores")] == [None] * 4
    assert "sent" not in figures(silent[:1], {})


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        ([GOOD, GOOD], []),
        ([GOOD, SHORT, GOOD], [Outage(1, True)]),
        ([SHORT, LOSSY, GOOD, LOSSY], [Outage(2, True), Outage(1, False)]),
        ([(960, 4), (950, 0)], []),
    ],
)
def test_outages(seconds: list[tuple[int, int]], wanted: list[Outage]) -> None:
    assert outages(samples(*seconds)) == wanted


def test_an_outage_that_goes_on_counts_so_far() -> None:
    assert figures(samples(GOOD, SHORT, SHORT), {})["recovery"] == 2
    assert figures(samples(GOOD, GOOD), {})["recovery"] == 0


def test_a_histogram_of_an_interval() -> None:
    before = Histogram(3, 30, 10, (0,) * 10 + (3,) + (0,) * 581)
    after = Histogram(5, 42, 10, (0,) * 5 + (1,) + (0,) * 1 + (1,) + (0,) * 2 + (3,) + (0,) * 581)
    between = difference(after, before)
    assert (between.count, between.sum, between.max) == (2, 12, 7)
    assert quantiles_s(between)["p50"] == 5e-6
    assert quantiles_s(difference(after, after)) == {}


def counts(found: list[Sample], lost: int | None = 0) -> Counts:
    last = found[-1]
    return Counts(
        asked=last.asked,
        sent=last.sent,
        errors=10,
        bytes=last.bytes,
        lost=lost,
        seconds=last.at_s,
        storm_cpu_s=last.storm_cpu_s,
        processors=4,
        storm_memory_bytes=500_000_000,
        samples=found,
    )


def test_key_figures() -> None:
    found = kpis(counts(samples(GOOD, SHORT, SHORT, GOOD, LOSSY, GOOD), lost=100))
    wanted = {
        "achieved_eps": 5000 / 6,
        "target_achievement_percent": 100 * 5000 / 6000,
        "peak_eps": 1000,
        "average_eps": 5000 / 6,
        "uptime_percentage": 50,
        "packet_loss_rate": 0.02,
        "error_rate": 10 / 5010,
        "mtbf_hours": 3 / 2 / 3600,
        "mttr_minutes": 3 / 2 / 60,
        "cpu_efficiency": 5000 / 6 / 12.5,
        "memory_efficiency": 5000 / 6 / 0.5,
        "network_tx_bytes": 500_000,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert found["eps_consistency_score"] == pytest.approx(100 * (1 - 0.2357 / 0.8333), abs=0.01)
    assert found["network_utilization"] is None
    assert found["linear_scalability"] is None


def test_key_figures_that_cannot_be_known() -> None:
    found = kpis(counts(samples(GOOD), lost=None))
    assert [found[name] for name in ("packet_loss_rate", "mtbf_hours", "mttr_minutes")] == [None] * 3
    assert found["eps_consistency_score"] is None
    assert found["uptime_percentage"] == 100


@pytest.mark.parametrize(
    ("steps", "figure", "points"),
    [
        (TARGET, 100.0, 40),
        (TARGET, 99.9, 35),
        (TARGET, 95.0, 35),
        (TARGET, 94.9, 30),
        (TARGET, 90.0, 30),
        (TARGET, 89.9, 0),
        (UPTIME, 99.95, 30),
        (UPTIME, 99.9, 25),
        (UPTIME, 99.0, 20),
        (UPTIME, 98.99, 0),
        (EFFICIENCY, 50_000.0, 30),
        (EFFICIENCY, 40_000.0, 25),
        (EFFICIENCY, 30_000.0, 20),
        (EFFICIENCY, 29_999.0, 0),
        (EFFICIENCY, None, None),
    ],
)
def test_points(steps: tuple[tuple[float, int], ...], figure: float | None, points: int | None) -> None:
    assert points_of(figure, steps) == points


@pytest.mark.parametrize(
    ("parts", "letter"),
    [
        ((40, 30, 30), "A+"),
        ((40, 30, 20), "A+"),
        ((40, 25, 20), "A"),
        ((35, 25, 20), "A"),
        ((40, 30, 0), "B"),
        ((40, 20, 0), "C"),
        ((35, 20, 0), "D"),
        ((40, 30, None), None),
    ],
)
def test_letters(parts: tuple[int | None, int | None, int | None], letter: str | None) -> None:
    assert Grade(*parts).letter == letter


def test_a_clocks_jitter_costs_no_points() -> None:
    good: Mapping[str, float | None] = {
        "target_achievement_percent": 99.96,
        "uptime_percentage": 100.0,
        "cpu_efficiency": 60_000.0,
    }
    assert grade(good) == Grade(40, 30, 30)

"""`haechi bench storm` in small: the figures' names, how even sending is, and what several runs come to."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable

import pytest

from haechi.bench import machine, storm
from haechi.bench.loggen import LoggenRun
from haechi.bench.spread import spread
from haechi.bench.storm import Sample, smooth_ratio
from haechi.config.values import read_ports
from tests.conftest import Ran

NAMES = {
    *("compose_eps", "sent_eps", "received_eps", "loss_ratio", "account_closed", "plain_eps"),
    *("plain_loss_ratio", "paced_eps", "rate_error_ratio", "sender_cpu_cores", "rss_mb", "latency_avg_us"),
    *("latency_p50_us", "latency_p95_us", "latency_p99_us", "latency_p999_us", "paced_loss_ratio"),
    "smooth_ratio",
}
SENT_BY_LOGGEN = 100


def send_some(port: int, seconds: float, size: int) -> LoggenRun:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(SENT_BY_LOGGEN):
            sender.sendto(b"x" * size, ("127.0.0.1", port))
    return LoggenRun(SENT_BY_LOGGEN, 0.5)


def test_the_last_line_is_numbers_under_stable_names(
    haechi: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm, "PACED_EPS", 20_000)
    monkeypatch.setattr(storm, "measure_loggen", send_some)
    ran = haechi("bench", "storm", "--seconds", "0.2", "--paced-seconds", "0.6", "--repeats", "2", "--json")
    assert ran.status == 0, ran.err
    figures = json.loads(ran.out.splitlines()[-1])
    assert figures.keys() >= NAMES
    assert all(isinstance(value, int | float) for value in figures.values())
    assert figures["plain_eps_min"] <= figures["plain_eps"] <= figures["plain_eps_max"]
    assert figures["account_closed"] == 1
    assert 0 < figures["latency_p50_us"] <= figures["latency_p99_us"] <= figures["latency_p999_us"]
    assert figures["loggen_eps"] == SENT_BY_LOGGEN / 0.5
    assert figures["loggen_ratio"] == pytest.approx(figures["plain_eps"] / figures["loggen_eps"], rel=0.001)


def test_without_loggen_it_is_said(haechi: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storm, "PACED_EPS", 5_000)
    monkeypatch.setattr(storm, "measure_loggen", lambda port, seconds, size: None)
    ran = haechi("bench", "storm", "--seconds", "0.1", "--paced-seconds", "0.1", "--repeats", "1")
    assert "loggen_eps and loggen_ratio are not measured" in ran.out
    assert "_min" not in ran.out


def even(count: int, slice_s: float = 0.1, eps: float = 1000) -> list[Sample]:
    return [Sample(10 + i * slice_s, round(i * slice_s * eps)) for i in range(count)]


@pytest.mark.parametrize(
    ("samples", "ratio"),
    [
        ([], 0.0),
        (even(4), 0.0),  # too few to say anything
        (even(10), 0.0),
        # A slice that was twice as long by the clock has twice as much in it.
        ([s for i, s in enumerate(even(12)) if i != 5], 0.0),
        ([Sample(s.at, s.events + (20 if i == 5 else 0)) for i, s in enumerate(even(12))], 0.2),
        ([Sample(s.at, 5) for s in even(10)], 1.0),  # stands still
    ],
)
def test_how_even_sending_is(samples: list[Sample], ratio: float) -> None:
    assert smooth_ratio(samples) == pytest.approx(ratio, abs=1e-6)


@pytest.mark.parametrize(
    ("runs", "figures"),
    [
        ([{"a": 5}], {"a": 5}),
        ([{"a": 5}, {"a": 1}, {"a": 2}], {"a": 2, "a_min": 1, "a_max": 5}),
        (
            [{"a": 5, "b": 1.0}, {"a": 7}],
            {"a": 6, "a_min": 5, "a_max": 7, "b": 1.0, "b_min": 1.0, "b_max": 1.0},
        ),
        ([], {}),
    ],
)
def test_several_runs_are_a_median_and_its_bounds(
    runs: list[dict[str, float]], figures: dict[str, float]
) -> None:
    assert spread(runs) == figures


def test_ports_are_free_ones_in_a_row() -> None:
    ports = read_ports(machine.free_ports(5, random.Random(1)))
    assert [port - ports[0] for port in ports] == [0, 1, 2, 3, 4]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        assert not machine.all_free(taken.getsockname()[1], 1)


def test_no_free_ports_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "all_free", lambda first, count: False)
    with pytest.raises(machine.MachineError, match="no 40 free UDP ports"):
        machine.free_ports(40)


def test_a_processor_for_each_end_where_there_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {7, 3, 5})
    assert machine.both_ends() == ((3,), (5,))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3})
    assert machine.both_ends() == ((), ())


def test_facts_and_pressure_are_of_this_machine() -> None:
    facts = machine.facts()
    assert facts["processor"]
    assert isinstance(facts["cores"], int) and facts["cores"] >= 1
    assert int(facts["net.core.rmem_max"]) > 0
    pressure = machine.pressure()
    assert pressure["load_1m"] >= 0
    assert all(0 <= value <= 1 for name, value in pressure.items() if name.endswith("_ratio"))

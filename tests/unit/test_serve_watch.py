"""Figures of a storm out of its counters."""

from __future__ import annotations

import os
from typing import Any, cast

import pytest

from haechi.config.storm import StormConfig
from haechi.native.stats import StatsPage
from haechi.serve.watch import StormWatch

ROW = dict.fromkeys(
    "events bytes controls errors sends late_events refused reconnects received dropped reported".split(), 0
)


class Page:
    """A stats page of two streams of one worker, to two ports."""

    def __init__(self) -> None:
        self.streams = [{**ROW, "port": 5514 + i, "worker": 0} for i in range(2)]
        self.tool = {"episodes": 0, "target_eps": 200, "paused": 0, "running": 1}

    def rows(self) -> list[dict[str, int]]:
        return [dict(row) for row in self.streams]

    def tool_row(self) -> dict[str, int]:
        return dict(self.tool)

    def send(self, *events: int) -> None:
        for row, n in zip(self.streams, events, strict=True):
            row["events"] += n
            row["bytes"] += 100 * n
            row["sends"] += 1


def watch_of(**settings: Any) -> StormWatch:
    config = StormConfig.model_validate({"target": "127.0.0.1", "ports": "5514-5515", **settings})
    return StormWatch(os.getpid(), 0.0, config)


def run(watch: StormWatch, page: Page, rates: list[tuple[int, int]], begin: int = 0) -> None:
    for second, events in enumerate(rates, begin + 1):
        page.send(*events)
        watch.read(cast(StatsPage, page), float(second))


def test_rates_and_totals() -> None:
    watch, page = watch_of(pin=[3]), Page()
    run(watch, page, [(100, 100)] * 6)
    figures = watch.figures
    assert figures["total_events"] == 1200
    assert figures["network_tx_bytes"] == 120_000
    assert figures["current_eps"] == pytest.approx(200)
    assert watch.rate_percent == pytest.approx(100)
    assert figures["packet_loss_percent"] is None  # nobody reported
    assert [worker["eps"] for worker in figures["worker_metrics"]] == [pytest.approx(100)] * 2
    first = figures["worker_metrics"][0]
    assert (first["id"], first["port"], first["cpu_core"], first["status"]) == (0, 5514, 3, "running")


def test_no_rate_is_judged_while_it_warms_up_or_is_paused() -> None:
    watch, page = watch_of(ramp_up=2, duration=60), Page()
    run(watch, page, [(10, 10)] * 4)
    assert watch.rate_percent is None
    run(watch, page, [(10, 10)], begin=4)
    assert watch.rate_percent == pytest.approx(10)
    page.tool["paused"] = 1
    run(watch, page, [(0, 0)], begin=5)
    assert watch.rate_percent is None
    assert {worker["status"] for worker in watch.figures["worker_metrics"]} == {"stopped"}
    assert watch.workers_down == 0


def test_a_stream_that_stands_still_is_down() -> None:
    watch, page = watch_of(), Page()
    run(watch, page, [(100, 100)] * 2)
    run(watch, page, [(100, 0)] * 3, begin=2)
    assert watch.workers_down == 0
    run(watch, page, [(100, 0)], begin=5)
    assert [worker["status"] for worker in watch.figures["worker_metrics"]] == ["running", "error"]
    run(watch, page, [(100, 100)], begin=6)
    assert watch.workers_down == 0


def test_errors_are_of_the_second_in_which_they_came() -> None:
    watch, page = watch_of(), Page()
    run(watch, page, [(100, 100)])
    page.streams[1]["errors"] += 50
    run(watch, page, [(100, 100)], begin=1)
    assert watch.workers_down == 1
    assert watch.figures["error_rate"] == pytest.approx(50 / 450)
    run(watch, page, [(100, 100)], begin=2)
    assert watch.workers_down == 0


def test_loss_is_what_the_sink_reports_of_each_port() -> None:
    watch, page = watch_of(), Page()
    for row in page.streams:
        row.update(reported=1, received=990, dropped=10)
    page.streams[1].update(received=970, dropped=30)
    run(watch, page, [(1000, 1000)])
    assert watch.loss_percent == pytest.approx(2.0)


def test_loss_of_a_port_that_two_workers_send_to_counts_once() -> None:
    watch, page = watch_of(ports="5514"), Page()
    for row, received in zip(page.streams, (980, 990), strict=True):
        row.update(port=5514, reported=1, received=received, dropped=10)
    run(watch, page, [(500, 500)])
    assert watch.loss_percent == pytest.approx(1.0)


def test_kpis_of_an_outage() -> None:
    watch, page = watch_of(), Page()
    assert watch.kpis() == {}
    run(watch, page, [(100, 100)] * 12)
    assert watch.kpis()["mtbf_hours"] is None
    assert watch.kpis()["uptime_percentage"] == pytest.approx(100)
    run(watch, page, [(0, 0)] * 4, begin=12)
    run(watch, page, [(100, 100)] * 4, begin=16)
    kpis = watch.kpis()
    judged = 18  # seconds after the first three, of 20
    assert kpis["uptime_percentage"] == pytest.approx(100 * (judged - 4) / judged)
    assert kpis["mttr_minutes"] == pytest.approx(4 / 60)
    assert kpis["mtbf_hours"] == pytest.approx((judged - 4) / 3600)
    assert kpis["achieved_eps"] == pytest.approx(200 * 16 / 20)
    assert kpis["target_achievement_percent"] == pytest.approx(80)
    assert 0 < kpis["eps_consistency_score"] < 100
    assert kpis["network_utilization"] is None
    assert kpis["grade"] in ("C", "D")  # by how much this very process costs


def test_a_ramp_asks_for_less_and_a_pause_for_nothing() -> None:
    watch, page = watch_of(ramp_up=4, duration=60), Page()
    run(watch, page, [(25, 25), (50, 50), (75, 75), (100, 100)])
    assert watch.kpis()["target_achievement_percent"] == pytest.approx(100)
    run(watch, page, [(100, 100)] * 5, begin=4)
    page.tool["paused"] = 1
    run(watch, page, [(0, 0)] * 5, begin=9)
    kpis = watch.kpis()
    assert kpis["target_achievement_percent"] == pytest.approx(100)
    assert kpis["uptime_percentage"] == pytest.approx(100)
    assert kpis["mtbf_hours"] is None


def test_samples_are_bounded() -> None:
    watch, page = watch_of(), Page()
    run(watch, page, [(100, 100)] * 700)
    assert len(watch._samples) == 600
    assert watch.kpis()["achieved_eps"] == pytest.approx(200)

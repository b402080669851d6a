"""Figures and alerts over a change of process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import pytest

from haechi.native.stats import StatsPage
from haechi.serve.alertlog import AlertLog
from haechi.serve.watch import ToolWatch
from tests.unit.test_serve_watch import Page, run, watch_of


def test_what_was_sent_before_stays() -> None:
    watch, first = watch_of(), Page()
    run(watch, first, [(100, 100)] * 5)
    watch.begin_anew(os.getpid(), 5.2)
    second = Page()
    run(watch, second, [(100, 100)] * 3, begin=5)
    assert watch.figures["total_events"] == 1600
    assert [worker["total_sent"] for worker in watch.figures["worker_metrics"]] == [800, 800]
    assert watch.figures["network_tx_bytes"] == 160_000
    assert watch.figures["current_eps"] == pytest.approx(200)
    assert watch.figures["uptime_seconds"] == 8


def test_an_outage_is_seen() -> None:
    watch, page = watch_of(), Page()
    run(watch, page, [(100, 100)] * 10)
    for second in range(11, 15):
        watch.miss(float(second))
    assert watch.rate_percent == 0
    assert watch.workers_down == 2
    # The number of the process that is gone is this one's, which goes on working.
    assert (watch.figures["cpu_usage"], watch.figures["memory_usage_bytes"]) == (0, 0)
    assert watch.figures["total_events"] == 2000
    watch.begin_anew(os.getpid(), 14.5)
    run(watch, Page(), [(100, 100)] * 6, begin=14)
    assert watch.workers_down == 0
    kpis = watch.kpis()
    assert kpis["mttr_minutes"] == pytest.approx(4 / 60)
    assert kpis["mtbf_hours"] is not None
    assert kpis["uptime_percentage"] < 100


def test_a_process_with_more_streams_is_folded_into_those_that_there_were() -> None:
    watch = watch_of()
    run(watch, Page(), [(100, 100)] * 3)
    watch.begin_anew(os.getpid(), 3.0)
    more = Page()
    more.streams += [{**row, "worker": 1} for row in more.streams]
    for row in more.streams:
        row["events"] = 10
    watch.read(cast(StatsPage, more), 4.0)
    assert [worker["total_sent"] for worker in watch.figures["worker_metrics"]] == [320, 320]


def test_reports_of_a_sink_that_took_anothers_place() -> None:
    watch, page = watch_of(), Page()
    run(watch, page, [(100, 100)])
    for row, received in zip(page.streams, (90, 80), strict=True):
        row |= {"reported": 1, "received": received, "dropped": 10}
    run(watch, page, [(100, 100)], begin=1)
    assert watch.told == (170, 20)
    for row in page.streams:
        row |= {"received": 50, "dropped": 0}
    run(watch, page, [(100, 100)] * 2, begin=2)
    assert (watch.told, watch.sinks) == ((270, 20), 2)


class Counters:
    names: tuple[str, ...] = ()

    def __init__(self, **values: int) -> None:
        self.values = values

    def snapshot(self) -> dict[str, int]:
        return self.values


def test_a_detectors_lines_go_on() -> None:
    watch = ToolWatch(os.getpid(), 0.0, "lines")
    watch.read(cast(StatsPage, Counters(lines=100, sessions_open=7)), 1.0)
    watch.begin_anew(os.getpid(), 1.5)
    watch.miss(1.6)
    watch.read(cast(StatsPage, Counters(lines=20, sessions_open=3)), 2.0)
    assert watch.counters == {"lines": 120, "sessions_open": 3}
    assert watch.figures["total_events"] == 120


def alert(number: int) -> bytes:
    whole = {"id": f"{number:032x}", "time": "2026-01-05T10:00:00Z", "detector": "deeplog", "rule": "r"}
    return json.dumps({**whole, "severity": "low", "session": "s", "template": "t"}).encode() + b"\n"


def test_a_torn_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    log, path = AlertLog(100, lambda: 0.0), tmp_path / "alerts.jsonl"
    log.follow("detector-1", path)
    path.write_bytes(alert(1) + alert(2)[:40])
    assert not log.read()
    log.hold("detector-1")  # it has died within a line
    path.write_bytes(alert(1))  # the next one takes it away,
    log.read()
    path.write_bytes(alert(1) + alert(2) + alert(3))  # and writes it again
    log.go_on("detector-1")
    log.read()
    assert [int(found.id, 16) for found in log._alerts] == [1, 2, 3]
    assert log.unreadable == 0


def test_alerts_that_are_made_again_are_not_taken_twice(tmp_path: Path) -> None:
    log, first, second = AlertLog(100, lambda: 0.0), tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    log.follow("detector-1", first)
    first.write_bytes(alert(1) + alert(2))
    log.read()
    log.follow_again("detector-1", second)
    second.write_bytes(alert(1) + alert(2) + alert(3))
    log.read()
    assert [int(found.id, 16) for found in log._alerts] == [1, 2, 3]
    assert log.counts["detector-1", "low"] == 3
    log.keep(2)
    assert len(log) == 2

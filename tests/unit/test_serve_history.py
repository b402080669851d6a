"""The last minutes of a tool, and latency as a sink sees it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from haechi.config.serve import ServeConfig
from haechi.native.stats import Histogram, StatsPage
from haechi.serve.app import make_app
from haechi.serve.keys import Keys
from haechi.serve.plane import Plane
from haechi.serve.watch import HISTORY, STORM_HISTORY, TOOL_HISTORY, ToolWatch
from tests.unit.test_serve_watch import Page, run, watch_of

BUCKETS = 592


class SinkPage:
    """Of a sink with two ports."""

    def __init__(self) -> None:
        self.received = 0
        self.ports = [[0] * BUCKETS for _ in range(2)]

    @property
    def names(self) -> list[str]:
        return ["received", "latency_us"]

    def snapshot(self) -> dict[str, int]:
        return {"received": self.received, "lines": self.received, "port": 5514}

    def histograms(self, name: str) -> list[Histogram]:
        assert name == "latency_us"
        return [Histogram(sum(port), 0, 15, tuple(port)) for port in self.ports]

    def take(self, port: int, bucket: int, count: int) -> None:
        self.ports[port][bucket] += count
        self.received += count


def test_latency_is_of_the_last_second_and_of_all_ports() -> None:
    watch, page = ToolWatch(os.getpid(), 0.0, "received"), SinkPage()
    page.take(0, 9, 1000)
    watch.read(cast(StatsPage, page), 1.0)
    assert watch.figures["latency_us"] is None  # from when these are is not known
    page.take(0, 2, 98)
    page.take(1, 7, 2)
    watch.read(cast(StatsPage, page), 2.0)
    assert watch.figures["latency_us"] == {"p50": 2, "p95": 2, "p99": 7, "max": 7}
    watch.read(cast(StatsPage, page), 3.0)
    assert watch.figures["latency_us"] is None  # nothing came
    rows = [dict(zip(TOOL_HISTORY, row, strict=True)) for row in watch.history]
    assert [row["latency_p99_us"] for row in rows] == [None, 7, None]
    assert rows[1]["current_eps"] == pytest.approx(100)


def test_a_process_that_is_begun_anew_has_latencies_of_its_own() -> None:
    watch, page = ToolWatch(os.getpid(), 0.0, "lines"), SinkPage()
    page.take(0, 9, 1000)
    watch.read(cast(StatsPage, page), 1.0)
    watch.begin_anew(os.getpid(), 1.5)
    other = SinkPage()
    other.take(0, 3, 10)
    watch.read(cast(StatsPage, other), 2.0)
    other.take(0, 3, 10)
    watch.read(cast(StatsPage, other), 3.0)
    rows = [dict(zip(TOOL_HISTORY, row, strict=True)) for row in watch.history]
    assert [row["latency_p99_us"] for row in rows] == [None, None, 3]


def test_a_storms_history_is_a_row_a_second_and_bounded() -> None:
    watch, page = watch_of(), Page()
    run(watch, page, [(100, 100)] * (HISTORY + 20))
    assert len(watch.history) == HISTORY
    rows = [dict(zip(STORM_HISTORY, row, strict=True)) for row in watch.history]
    last, before = rows[-1], rows[-2]
    assert last["time"] is not None and before["time"] is not None
    assert last["time"] - before["time"] == pytest.approx(1.0)
    assert abs(last["time"] - (HISTORY + 20) - time.time()) < 60
    assert last["current_eps"] == pytest.approx(200)
    assert last["target_eps"] == 200
    assert last["network_tx_bytes_per_second"] == pytest.approx(20_000)
    assert last["packet_loss_percent"] is None


@pytest.mark.parametrize("kind", ["storm", "sink", "detector"])
def test_there_is_none_of_what_is_not_there(tmp_path: Path, kind: str) -> None:
    app = make_app(ServeConfig(state=tmp_path), Keys(None, time.monotonic))
    client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    answer = client.get(f"/{kind}s/{kind}-9/history")
    assert (answer.status_code, answer.json()) == (404, {"detail": f"there is no {kind} {kind}-9"})


def test_what_was_done_is_published_before_the_second_is_over(tmp_path: Path) -> None:
    """Once for what happens together."""

    async def heard() -> tuple[dict[str, Any], dict[str, Any]]:
        plane = Plane(ServeConfig(state=tmp_path))
        async with plane.running():
            plane.tick()
            before = json.loads(plane.metrics_text)
            for _ in range(3):
                plane.journal.add("operator", "storm-1", "pause", "storm-1 is paused")
            await plane.next_tick()
            return before, json.loads(plane.metrics_text)

    before, after = asyncio.run(heard())
    assert after["events"]["last"] == before["events"]["last"] + 3

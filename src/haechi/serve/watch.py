"""Figures of a running tool, out of its stats page, once a second; samples of the last minutes only."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from haechi.config.storm import StormConfig
from haechi.config.values import read_ports
from haechi.heal import totals
from haechi.live.meter import Cost, Meter
from haechi.native.stats import Histogram, StatsPage
from haechi.trial.figures import Sample, difference
from haechi.trial.grade import grade
from haechi.trial.kpi import Counts, kpis

SETTLE_S = 3.0  # after its start a storm has no rate yet
STUCK_S = 3.0  # a stream that sends nothing for so long, though it should
_STUCK_EPS = 5.0  # below that a second without an event is nothing special
_SAMPLES = 600  # a second each: what the figures of steadiness and outages are taken over
_NOT_JUDGED = -1  # the step of a sample whose second is not measured against the target
GAUGES = {
    "target_eps",
    "paused",
    "running",
    "closed",
    "streams",
    "streams_ended",
    "sessions_open",
    "inputs_open",
    "max_eps",
    "net_kernel_dropped",
    "net_lost_elsewhere",
}
_NAMES = {"port", "worker", "reported"}  # what a row says of itself
HISTORY = 300  # a second each
STORM_HISTORY = (
    "time",  # seconds since 1970
    "target_eps",
    "current_eps",
    "packet_loss_percent",
    "cpu_usage",
    "memory_usage_bytes",
    "network_tx_bytes_per_second",
)
TOOL_HISTORY = ("time", "current_eps", "cpu_usage", "memory_usage_bytes", "latency_p50_us", "latency_p99_us")
LATENCY = "latency_us"  # the sink's, from when an event was due
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

Row = tuple[float | None, ...]


class ToolWatch:
    """Of a sink or a detector: every counter, the rate of one of them, and what it costs."""

    def __init__(self, pid: int, at: float, counter: str) -> None:
        self._counter = counter
        self._meter = Meter(at)
        self._cost = Cost(pid, at)
        self._past: list[Mapping[str, int]] = []  # the pages of processes before this one
        self._own: dict[str, int] = {}
        self._epoch = time.time() - at
        self._seen: Histogram | None = None  # the process's latencies so far
        self._latency: dict[str, float] | None = None  # of the last second
        self.history: deque[Row] = deque(maxlen=HISTORY)
        self.counters: dict[str, int] = {}
        self.figures: dict[str, Any] = {}

    def begin_anew(self, pid: int, at: float) -> None:
        """Another process goes on with the same work; what was counted so far stays."""
        if self._own:
            self._past.append(self._own)
        self._own, self._cost, self._seen = {}, Cost(pid, at), None

    def miss(self, at: float) -> None:
        """There is no process at the moment."""
        self._cost.end()
        self._latency = None
        if self.counters:
            self._figure(at)

    def read(self, page: StatsPage, at: float) -> None:
        self._latency = self._latency_since(page)
        self._own = {name: n for name, n in page.snapshot().items() if name not in _NAMES}
        add = totals.sink_counters if self._counter == "received" else totals.tool_counters
        self.counters = add(self._past, self._own)
        self._figure(at)

    def _figure(self, at: float) -> None:
        self._meter.read([self.counters.get(self._counter, 0)], at)
        self._cost.read(at)
        self.figures = {
            "current_eps": self._meter.now,
            "peak_eps": self._meter.peak,
            "average_eps": self._meter.average,
            "total_events": self._meter.total,
            "cpu_usage": self._cost.cores * 100,
            "memory_usage_bytes": self._cost.rss_bytes,
            "uptime_seconds": self._meter.elapsed,
            "counters": self.counters,
            "latency_us": self._latency,
        }
        self.history.append(
            (
                round(self._epoch + at, 3),
                self._meter.now,
                self._cost.cores * 100,
                self._cost.rss_bytes,
                self._latency["p50"] if self._latency else None,
                self._latency["p99"] if self._latency else None,
            )
        )

    def _latency_since(self, page: StatsPage) -> dict[str, float] | None:
        """Of what came since the last look. None: nothing came, or the tool does not know when events were
        due."""
        if LATENCY not in page.names:
            return None
        parts = page.histograms(LATENCY)
        now = Histogram(
            sum(part.count for part in parts),
            sum(part.sum for part in parts),
            max((part.max for part in parts), default=0),
            tuple(map(sum, zip(*(part.buckets for part in parts), strict=True))),
        )
        before, self._seen = self._seen, now
        if before is None:
            return None
        since = difference(now, before)
        if since.count <= 0:
            return None
        return {**{name: since.quantile(q) for name, q in _QUANTILES.items()}, "max": since.max}


class StormWatch:
    """Of a storm: all that, by streams, and against its target."""

    def __init__(self, pid: int, at: float, config: StormConfig) -> None:
        self._config = config
        self._meter = Meter(at)
        self._cost = Cost(pid, at)
        self._places = max(1, len(config.target)) * len(read_ports(config.ports))
        self._errors: list[int] = []
        self._moved: list[tuple[int, float]] = []  # of each stream: its events, and when they last grew
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self._epoch = time.time() - at
        self._sent_bytes = 0
        self.history: deque[Row] = deque(maxlen=HISTORY)
        self._asked = 0.0
        self._last_at = at
        self._process = _process(pid)
        self._cpu_s = self._cpu_before_s = 0.0
        self._before: list[dict[str, int]] = []  # of each stream: what processes before this one did
        self._own: list[dict[str, int]] = []  # and what this one did
        self._rows: list[dict[str, int]] = []  # both together
        self._tool: dict[str, int] = {}
        self._episodes_before = 0
        self.counters: dict[str, int] = {}
        self.figures: dict[str, Any] = {}
        self.rate_percent: float | None = None
        self.loss_percent: float | None = None
        self.workers_down = 0
        self.target_eps = 0.0
        self.sinks = 1  # one after the other, as far as their reports show it

    def begin_anew(self, pid: int, at: float) -> None:
        """Another process goes on with the same storm; what was sent so far stays."""
        self._before, self._own = self._rows, []
        self._episodes_before = self._tool.get("episodes", 0)
        self._cpu_before_s = self._cpu_seconds()
        self._process, self._cost = _process(pid), Cost(pid, at)

    def miss(self, at: float) -> None:
        """There is no process at the moment: nothing is sent, though it should."""
        self._cost.end()
        if self._rows:
            self._take(self._rows, self._tool, at, gone=True)

    def read(self, page: StatsPage, at: float) -> None:
        own, tool = page.rows(), page.tool_row()
        if self._before and len(own) != len(self._before):
            own = _folded(own, self._before)
        self._note_other_sink(own)
        self._own = own
        rows = [_added(row, was) for row, was in zip(own, self._before, strict=True)] if self._before else own
        self._take(rows, tool | {"episodes": tool["episodes"] + self._episodes_before}, at)

    @property
    def told(self) -> tuple[int, int] | None:
        """Events received and dropped, as sinks say; None: none says anything."""
        return self._reported(self._rows)

    def _note_other_sink(self, own: list[dict[str, int]]) -> None:
        """A sink that was begun anew reports from nought on: what the one before said of this run stays."""
        other = False
        for i, (row, was) in enumerate(zip(own, self._own, strict=False)):
            if row["received"] < was["received"]:
                if not self._before:
                    self._before = [
                        {name: value if name in _NAMES else 0 for name, value in row.items()} for row in own
                    ]
                self._before[i]["received"] += was["received"]
                self._before[i]["dropped"] += was["dropped"]
                other = True
        self.sinks += other

    def _take(self, rows: list[dict[str, int]], tool: dict[str, int], at: float, gone: bool = False) -> None:
        self._rows, self._tool = rows, tool
        self._meter.read([row["events"] for row in rows], at)
        self._cost.read(at)
        self.target_eps = float(tool["target_eps"])
        paused = bool(tool["paused"])
        workers = self._workers(rows, paused, at, gone)
        self.workers_down = sum(worker["status"] == "error" for worker in workers)
        events, errors = self._meter.total, sum(row["errors"] for row in rows)
        self.loss_percent = None
        if (reported := self._reported(rows)) is not None:
            received, dropped = reported
            self.loss_percent = 100 * dropped / (received + dropped) if received + dropped else 0.0
        names = {name for row in rows for name in row} - _NAMES - {"received", "dropped"}
        self.counters = {name: sum(row[name] for row in rows) for name in sorted(names)} | tool
        controls = self.counters["controls"]
        self.figures = {
            "target_eps": self.target_eps or None,
            "current_eps": self._meter.now,
            "peak_eps": self._meter.peak,
            "average_eps": self._meter.average,
            "total_events": events,
            "cpu_usage": self._cost.cores * 100,
            "memory_usage_bytes": self._cost.rss_bytes,
            "network_tx_bytes": self.counters["bytes"],
            "network_packets": events + controls
            if self._config.transport == "udp"
            else self.counters["sends"],
            "packet_loss_percent": self.loss_percent,
            "error_rate": errors / (events + errors) if events + errors else 0.0,
            "uptime_seconds": self._meter.elapsed,
            "late_events": self.counters["late_events"],
            "paused": paused,
            "worker_metrics": workers,
        }
        self._remember(at)
        self._judge(rows, paused, at)

    def kpis(self) -> dict[str, Any]:
        """What the storm so far is summed up by, and its grade; None where it cannot be known."""
        if not self._samples:
            return {}
        last, average = self._samples[-1], self.figures["average_eps"]
        counts = Counts(
            asked=self._asked,
            sent=last.sent,
            errors=last.errors,
            bytes=last.bytes,
            lost=last.lost,
            seconds=last.sent / average if average else 0.0,
            storm_cpu_s=last.storm_cpu_s,
            processors=len(os.sched_getaffinity(0)),
            storm_memory_bytes=last.storm_memory_bytes,
            samples=list(self._samples),
        )
        found = kpis(counts)
        given = grade(found)
        # Peak and average are of the whole storm, not of the samples that are kept.
        whole = {"peak_eps": self.figures["peak_eps"], "average_eps": average}
        parts = {"target": given.target, "uptime": given.uptime, "efficiency": given.efficiency}
        return found | whole | {"grade": given.letter, "points": given.points, "points_of": parts}

    def _remember(self, at: float) -> None:
        """Before the samples have this second: the last one's time is the second's begin."""
        sent, before = self.counters["bytes"], self._sent_bytes
        self._sent_bytes = sent
        seconds = at - self._last_at
        self.history.append(
            (
                round(self._epoch + at, 3),
                self.target_eps or None,
                self._meter.now,
                self.loss_percent,
                self._cost.cores * 100,
                self._cost.rss_bytes,
                (sent - before) / seconds if seconds > 0 else None,
            )
        )

    def _workers(
        self, rows: Sequence[dict[str, int]], paused: bool, at: float, gone: bool
    ) -> list[dict[str, Any]]:
        """A stream is a worker here: one socket, one port."""
        errors = [row["errors"] for row in rows]
        before = self._errors or errors
        self._errors = errors
        share = self.target_eps / max(1, len(rows))
        moved = self._moved or [(-1, at)] * len(rows)
        self._moved = [
            (row["events"], at) if row["events"] != was or paused else (was, since)
            for row, (was, since) in zip(rows, moved, strict=True)
        ]
        workers = []
        for i, (row, eps) in enumerate(zip(rows, self._meter.rates, strict=True)):
            stuck = share >= _STUCK_EPS and at - self._moved[i][1] > STUCK_S
            wrong = gone or errors[i] > before[i] or stuck
            workers.append(
                {
                    "id": i,
                    "port": row["port"],
                    "eps": eps,
                    "total_sent": row["events"],
                    "errors": row["errors"],
                    "refused": row["refused"],
                    "cpu_core": self._core(row["worker"]),
                    "status": "stopped" if paused else "error" if wrong else "running",
                }
            )
        return workers

    def _core(self, worker: int) -> int | None:
        pin = self._config.pin
        return pin[worker % len(pin)] if pin and pin != "auto" else None

    def _reported(self, rows: Sequence[dict[str, int]]) -> tuple[int, int] | None:
        """Received and dropped, as a sink says. Each stream to a port is told what came to the port in all,
        so the largest report is the port's."""
        if not any(row["reported"] for row in rows):
            return None
        received = dropped = 0
        for place in range(min(self._places, len(rows))):
            streams = rows[place :: self._places]
            received += max(row["received"] for row in streams)
            dropped += max(row["dropped"] for row in streams)
        return received, dropped

    def _judge(self, rows: Sequence[dict[str, int]], paused: bool, at: float) -> None:
        """Against the target: not while the storm warms up, is paused or has none."""
        since, self._last_at = self._last_at, at
        elapsed, ramp_up = self._meter.elapsed, self._config.ramp_up
        if not paused:
            self._asked += self.target_eps * (at - since) * min(1.0, elapsed / ramp_up if ramp_up else 1.0)
        judged = not paused and elapsed >= ramp_up + SETTLE_S
        self.rate_percent = 100 * self._meter.now / self.target_eps if judged and self.target_eps else None
        reported = self._reported(rows)
        self._samples.append(
            Sample(
                at_s=at,
                step=0 if judged else _NOT_JUDGED,
                asked=self._asked,
                sent=self._meter.total,
                errors=sum(row["errors"] for row in rows),
                late=self.counters["late_events"],
                bytes=self.counters["bytes"],
                received=reported[0] if reported else None,
                lost=reported[1] if reported else None,
                storm_cpu_s=self._cpu_seconds(),
                target_cpu_s=None,
                busy_s=0.0,
                processors_s=0.0,
                memory_bytes=0,
                storm_memory_bytes=self._cost.rss_bytes,
                target_memory_bytes=None,
                latency_s={},
            )
        )

    def _cpu_seconds(self) -> float:
        """Of all processes that the storm had; keeps the last value where one is gone."""
        with contextlib.suppress(psutil.Error):
            if self._process is not None:
                times = self._process.cpu_times()
                self._cpu_s = self._cpu_before_s + times.user + times.system
        return self._cpu_s


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None  # it has ended already


def _added(row: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: value if name in _NAMES else value + before.get(name, 0) for name, value in row.items()} | {
        "reported": max(row["reported"], before["reported"])
    }


def _folded(own: Sequence[dict[str, int]], before: Sequence[dict[str, int]]) -> list[dict[str, int]]:
    """As many streams as there were, where a process has more or fewer: the figures of a stream that is new
    count with one that was there."""
    rows = [{name: value if name in _NAMES else 0 for name, value in row.items()} for row in before]
    for i, row in enumerate(own):
        place = i % len(rows)
        rows[place] = row if i < len(rows) else _added(rows[place], row)
    return rows

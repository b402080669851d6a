"""Figures of a running tool, out of its stats page, once a second; samples of the last minutes only."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import psutil

from haechi.config.storm import StormConfig
from haechi.config.values import read_ports
from haechi.live.meter import Cost, Meter
from haechi.native.stats import StatsPage
from haechi.trial.figures import Sample
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


class ToolWatch:
    """Of a sink or a detector: every counter, the rate of one of them, and what it costs."""

    def __init__(self, pid: int, at: float, counter: str) -> None:
        self._counter = counter
        self._meter = Meter(at)
        self._cost = Cost(pid, at)
        self.counters: dict[str, int] = {}
        self.figures: dict[str, Any] = {}

    def read(self, page: StatsPage, at: float) -> None:
        self.counters = {name: n for name, n in page.snapshot().items() if name not in _NAMES}
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
        }


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
        self._asked = 0.0
        self._last_at = at
        self._process = psutil.Process(pid)
        self._cpu_s = 0.0
        self.counters: dict[str, int] = {}
        self.figures: dict[str, Any] = {}
        self.rate_percent: float | None = None
        self.loss_percent: float | None = None
        self.workers_down = 0
        self.target_eps = 0.0

    def read(self, page: StatsPage, at: float) -> None:
        rows, tool = page.rows(), page.tool_row()
        self._meter.read([row["events"] for row in rows], at)
        self._cost.read(at)
        self.target_eps = float(tool["target_eps"])
        paused = bool(tool["paused"])
        workers = self._workers(rows, paused, at)
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
        return found | whole | {"grade": given.letter, "points": given.points}

    def _workers(self, rows: Sequence[dict[str, int]], paused: bool, at: float) -> list[dict[str, Any]]:
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
            wrong = errors[i] > before[i] or stuck
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
        """Keeps the last value where the process is gone."""
        try:
            times = self._process.cpu_times()
        except psutil.Error:
            return self._cpu_s
        self._cpu_s = times.user + times.system
        return self._cpu_s

"""Figures of a running tool, out of its stats page, once a second; rates of the last minutes only."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence
from typing import Any

from haechi.config.storm import StormConfig
from haechi.config.values import read_ports
from haechi.live.meter import Cost, Meter
from haechi.native.stats import StatsPage

SETTLE_S = 3.0  # after its start a storm has no rate yet
STUCK_S = 3.0  # a stream that sends nothing for so long, though it should
_STUCK_EPS = 5.0  # below that a second without an event is nothing special
_MINUTES = 5
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
        self._rates: deque[float] = deque(maxlen=60 * _MINUTES)
        self._down_since: float | None = None
        self.outages: list[float] = []  # seconds in which nothing was sent though it should have been
        self._last_at = at
        self._up_s = self._watched_s = 0.0
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
        self.loss_percent = self._loss(rows)
        self._keep_rate(paused, at)
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

    def kpis(self) -> dict[str, Any]:
        """What can be said of the storm so far out of its counts; None where it cannot."""
        figures = self.figures
        if not figures:
            return {}
        average, target = figures["average_eps"], self.target_eps
        rates = list(self._rates)
        mean = statistics.fmean(rates) if rates else 0.0
        consistency = max(0.0, 1 - statistics.pstdev(rates) / mean) * 100 if mean else None
        uptime = 100 * self._up_s / self._watched_s if self._watched_s else None
        cpu, gigabytes = figures["cpu_usage"], figures["memory_usage_bytes"] / 1e9
        outages = [*self.outages, *([self._last_at - self._down_since] if self._down_since else [])]
        efficiency = figures["current_eps"] / cpu if cpu else None
        achieved = 100 * average / target if target else None
        return {
            "achieved_eps": average,
            "target_achievement_percent": achieved,
            "peak_eps": figures["peak_eps"],
            "average_eps": average,
            "eps_consistency_score": consistency,
            "uptime_percentage": uptime,
            "packet_loss_rate": None if self.loss_percent is None else self.loss_percent / 100,
            "error_rate": figures["error_rate"],
            "mtbf_hours": self._up_s / 3600 / len(outages) if outages else None,
            "mttr_minutes": statistics.fmean(outages) / 60 if outages else None,
            "cpu_efficiency": efficiency,
            "memory_efficiency": figures["current_eps"] / gigabytes if gigabytes else None,
        }

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

    def _loss(self, rows: Sequence[dict[str, int]]) -> float | None:
        """Of what a sink says that came or was dropped. Each stream to a port is told what came to the port
        in all, so the largest report is the port's."""
        if not any(row["reported"] for row in rows):
            return None
        received = dropped = 0
        for place in range(min(self._places, len(rows))):
            streams = rows[place :: self._places]
            received += max(row["received"] for row in streams)
            dropped += max(row["dropped"] for row in streams)
        return 100 * dropped / (received + dropped) if received + dropped else 0.0

    def _keep_rate(self, paused: bool, at: float) -> None:
        """A storm that is paused, warms up or has no target is not measured against one."""
        warm = self._meter.elapsed >= self._config.ramp_up + SETTLE_S
        since, self._last_at = self._last_at, at
        self.rate_percent = None
        if paused or not warm:
            return
        rate = self._meter.now
        self._rates.append(rate)
        self._watched_s += at - since
        if rate > 0:
            self._up_s += at - since
            if self._down_since is not None:
                self.outages = [*self.outages, at - self._down_since][-100:]
                self._down_since = None
        elif self._down_since is None:
            self._down_since = at
        if self.target_eps > 0:
            self.rate_percent = 100 * rate / self.target_eps

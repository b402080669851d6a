"""One storm at a detector over UDP on this machine, and what came of it: the account, the cost, and when each
alert stood in the alerts file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from haechi.bench.machine import both_ends
from haechi.config.detect import DetectConfig
from haechi.config.storm import StormConfig
from haechi.live.meter import Cost
from haechi.native.running import taken
from haechi.native.stats import StatsPage
from haechi.native.tools import Process, onnxruntime_library, read_summary
from haechi.storm.run import Storm, StormResult

LOOK_S = 0.002  # how often the alerts file is looked at
COMPARE_S = 0.1  # how often what was sent is compared with what was judged
SETTLE_S = 0.3  # what the detector has to itself before the storm
STILL_S, STILL_AT_MOST_S = 0.3, 15.0  # it is through when it has judged nothing more for so long
END_S = 120.0
READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """The network part of a detector's totals."""

    received: int
    sent: int
    kernel_dropped: int
    lost: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Fire:
    """One storm at a detector, at its end."""

    sent: StormResult
    network: Received
    detector: Mapping[str, Any]  # its own totals
    seen_s: Sequence[float]  # wall clock, for each line of the alerts file: when it could be read
    log_ahead_s: float  # by how much an event was due later than its line says
    backlog_s: float  # the most that was sent and not yet judged, as time at the storm's rate
    detect_cpu_cores: float  # until it had judged the last line, loading the bundle left out

    @property
    def began_s(self) -> float:
        """Wall clock: when the first event was due."""
        return float(self.sent.whole["began_us"]) / 1e6

    @property
    def loss_ratio(self) -> float:
        return max(0, self.sent.events - self.network.received) / max(1, self.sent.events)

    @property
    def received_eps(self) -> float:
        return self.network.received / self.sent.seconds if self.sent.seconds > 0 else 0.0

    @property
    def rss_mb(self) -> float:
        return float(self.detector["rss_peak_bytes"]) / 1e6


class Follower:
    """Notes when lines appear at the end of a file: how many, and when, nothing more, so that it costs little
    beside what it watches."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[tuple[float, int]] = []
        self._ended = threading.Event()

    @contextmanager
    def following(self) -> Iterator[None]:
        """What was written within it is known after it."""
        thread = threading.Thread(target=self._follow, name="alerts")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    @property
    def seen_s(self) -> list[float]:
        """For each line, the wall clock's time at which all of it was there."""
        return [at for at, lines in self._found for _ in range(lines)]

    def _follow(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            while not self._ended.wait(LOOK_S):
                self._look(file.fileno())
            self._look(file.fileno())

    def _look(self, fd: int) -> None:
        while chunk := os.read(fd, READ_BYTES):
            if lines := chunk.count(b"\n"):
                self._found.append((time.time(), lines))


def fire(
    bundle: Path, storm: Mapping[str, Any], folder: Path, ports: str, detect: Mapping[str, Any] | None = None
) -> Fire:
    """Starts a detector on these ports, storms it with these settings (of a StormConfig, without place,
    account and start), and ends it when the storm has ended. Alerts are in folder/alerts.jsonl, truth in
    folder/truth.jsonl. detect has settings of the detector's that are to be others. ToolError."""
    alerts, page = folder / "alerts.jsonl", folder / "detect.stats"
    for path in (alerts, page):
        path.unlink(missing_ok=True)
    alerts.touch()
    storm_pin, detect_pin = both_ends()
    begun = datetime.now(UTC)
    storm_config = StormConfig.model_validate(
        {
            "workers": 1,
            "pin": storm_pin,
            **storm,
            "target": "127.0.0.1",
            "ports": ports,
            "account": True,
            "start": begun.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "truth": folder / "truth.jsonl",
        }
    )
    settings = {
        "bundle": bundle,
        "udp": f"127.0.0.1:{ports}",
        "alerts": str(alerts),
        "stats_page": page,
        "pin": detect_pin,
        **(detect or {}),
    }
    engine = DetectConfig.model_validate(settings).engine_config(onnxruntime_library())
    follower = Follower(alerts)
    with (
        Process.start("haechi-detect", {**engine, "summary": "-"}) as detector,
        follower.following(),
        detector.stats() as counters,
    ):
        time.sleep(SETTLE_S)
        cost = Cost(detector.pid, time.monotonic())
        with Storm.start(storm_config) as running:
            backlog = 0
            while not running.wait(COMPARE_S):
                judged = counters.value("lines")
                if running.page is not None:
                    backlog = max(backlog, running.page.value("events") - judged)
            sent = running.finish(END_S)
        _wait_until_still(counters)
        cost.read(time.monotonic() - STILL_S)
        detector.terminate()
        totals = read_summary(detector.finish(END_S))
    return Fire(
        sent=sent,
        network=Received(**taken(Received, totals.get("network", {}), "the detector's network totals")),
        detector=totals,
        seen_s=follower.seen_s,
        log_ahead_s=float(sent.whole["began_us"]) / 1e6 - begun.timestamp(),
        backlog_s=backlog / max(1.0, sent.eps),
        detect_cpu_cores=cost.cores,
    )


def _wait_until_still(counters: StatsPage) -> None:
    """What waits in the sockets was sent in time and is still to be judged."""
    deadline = time.monotonic() + STILL_AT_MOST_S
    judged = -1
    while counters.value("lines") != judged and time.monotonic() < deadline:
        judged = counters.value("lines")
        time.sleep(STILL_S)

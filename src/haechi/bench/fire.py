"""One storm at a detector over UDP on this machine, and what came of it: the account, the cost, and when each
alert stood in the alerts file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from haechi.bench.machine import both_ends
from haechi.config.detect import DetectConfig
from haechi.config.storm import StormConfig
from haechi.live.meter import Cost
from haechi.native.running import RunningTool, taken
from haechi.native.stats import StatsPage
from haechi.serve.jobs import Detector
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
    shed: int
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


class Tools(Protocol):
    """Who begins the two tools of a fire, and what becomes of them after it. They end with the `with` block
    at the latest, where nothing else is said."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start_detector(self, config: DetectConfig) -> RunningTool: ...

    def start_storm(self, config: StormConfig) -> RunningTool: ...

    def storm_result(self) -> StormResult:
        """Of the storm, which has ended. ToolError."""

    def detector_totals(self) -> Mapping[str, Any]:
        """Of the detector, which has judged what came. ToolError, ControlError."""


class OwnTools:
    """Children of this process that nobody else knows of; the detector ends when its totals are asked for."""

    def __init__(self) -> None:
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def start_detector(self, config: DetectConfig) -> RunningTool:
        self._detector = self._opened.enter_context(Detector.start(config))
        return self._detector

    def start_storm(self, config: StormConfig) -> RunningTool:
        self._storm = self._opened.enter_context(Storm.start(config))
        return self._storm

    def storm_result(self) -> StormResult:
        return self._storm.finish(END_S)

    def detector_totals(self) -> Mapping[str, Any]:
        self._detector.stop()
        return self._detector.summary(END_S)


def fire(
    bundle: Path,
    storm: Mapping[str, Any],
    folder: Path,
    ports: str,
    detect: Mapping[str, Any] | None = None,
    tools: Callable[[], Tools] = OwnTools,
) -> Fire:
    """Starts a detector on these ports, storms it with these settings (of a StormConfig, without place,
    account and start), and takes its totals when the storm has ended. Alerts are in folder/alerts.jsonl,
    truth in folder/truth.jsonl. detect has settings of the detector's that are to be others. ToolError."""
    alerts, detect_page, storm_page = (folder / f for f in ("alerts.jsonl", "detect.stats", "storm.stats"))
    for path in (alerts, detect_page, storm_page):
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
            "stats_page": storm_page,
        }
    )
    settings = {
        "bundle": bundle,
        "udp": f"127.0.0.1:{ports}",
        "alerts": str(alerts),
        "stats_page": detect_page,
        "pin": detect_pin,
        **(detect or {}),
    }
    follower = Follower(alerts)
    with tools() as stage:
        detector = stage.start_detector(DetectConfig.model_validate(settings))
        with StatsPage(detect_page) as counters, follower.following():
            time.sleep(SETTLE_S)
            cost = Cost(detector.pid, time.monotonic())
            running = stage.start_storm(storm_config)
            backlog = 0
            with StatsPage(storm_page) as sending:
                while not running.wait(COMPARE_S):
                    judged = counters.value("lines")
                    backlog = max(backlog, sending.value("events") - judged)
            sent = stage.storm_result()
            _wait_until_still(counters)
            cost.read(time.monotonic() - STILL_S)
            totals = stage.detector_totals()
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

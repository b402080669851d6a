"""From the write of a line to its alert: a paced writer, a following engine, and one clock for both ends."""

from __future__ import annotations

import bisect
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.native.tools import Process

TICK_S = 0.001  # lines are written in bursts of this much time, as a daemon's buffer would
SETTLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Latencies:
    """delays_s: for each alert on a line, seconds from the scheduled write of its burst until the alert could
    be read from the alerts file, ascending."""

    delays_s: Sequence[float]
    lines_per_s: float  # that were really written

    def quantile_ms(self, q: float) -> float:
        """NaN where there was no alert."""
        if not self.delays_s:
            return math.nan
        return self.delays_s[max(0, math.ceil(q * len(self.delays_s)) - 1)] * 1e3


@dataclass(frozen=True, slots=True)
class Burst:
    end_offset: int  # in the followed file, of the byte after the burst
    due: float  # monotonic clock


def measure(log: Path, eps: int, folder: Path, config: dict[str, Any]) -> Latencies:
    """Appends the log's lines to a followed file at eps lines a second and times every alert that a line
    raises. Alerts on a session as a whole are left out: they wait for its end by design."""
    target, alerts = folder / "followed.log", folder / "followed.jsonl"
    target.touch()
    settings = {
        **config,
        "sources": [str(target)],
        "follow": True,
        "alerts": str(alerts),
        "stats_page": str(folder / "followed.stats"),
    }
    with Process.start("haechi-detect", settings), target.open("ab", buffering=0) as out:
        time.sleep(SETTLE_S)
        with alerts.open("rb") as reader:
            return _write_and_watch(log.read_bytes(), eps, out.fileno(), reader.fileno())


def _write_and_watch(data: bytes, eps: int, out: int, alerts: int) -> Latencies:
    ends = _burst_ends(data, round(eps * TICK_S))
    seen: list[tuple[float, bytes]] = []
    begun = time.monotonic()
    # The schedule runs from the beginning: a burst that is late counts against the latency.
    bursts = [Burst(end, begun + i * TICK_S) for i, end in enumerate(ends)]
    start = 0
    for burst in bursts:
        while (left_s := burst.due - time.monotonic()) > 0:
            _look(alerts, seen)
            time.sleep(min(left_s, 0.0002))
        os.write(out, data[start : burst.end_offset])
        start = burst.end_offset
        _look(alerts, seen)
    written_s = time.monotonic() - begun
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        _look(alerts, seen)
        time.sleep(0.0002)
    lines = data.count(b"\n")
    return Latencies(sorted(_delays(bursts, seen)), lines / written_s)


def _look(alerts: int, seen: list[tuple[float, bytes]]) -> None:
    """Notes what was appended to the alerts, and when it was found."""
    if more := os.read(alerts, 1 << 20):
        seen.append((time.monotonic(), more))


def _burst_ends(data: bytes, lines_each: int) -> list[int]:
    ends: list[int] = []
    at = 0
    while at < len(data):
        for _ in range(lines_each):
            at = data.find(b"\n", at) + 1 or len(data)
            if at == len(data):
                break
        ends.append(at)
    return ends


def _delays(bursts: Sequence[Burst], seen: Sequence[tuple[float, bytes]]) -> list[float]:
    ends = [burst.end_offset for burst in bursts]
    delays = []
    unfinished = b""
    for found, chunk in seen:
        *lines, unfinished = (unfinished + chunk).split(b"\n")
        for line in lines:
            alert = json.loads(line)
            if alert["rule"] != "session_likelihood":
                burst = bursts[bisect.bisect_right(ends, alert["lines"][0]["offset"])]
                delays.append(found - burst.due)
    return delays

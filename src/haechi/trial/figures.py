"""What samples say of a stretch of time: pure functions of counters that only grow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from haechi.native.stats import Histogram, bucket_floor

CARRIED_RATE = 0.95  # of what was asked for: below, a sample counts as down
CARRIED_LOSS = 0.005  # of what was sent: above, likewise
QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters at a moment, all since the trial began; latencies are those since the sample before, in
    seconds. None: not known of this kind of target."""

    at_s: float
    step: int
    asked: float  # events, by the steps' patterns
    sent: int
    errors: int
    late: int
    bytes: int
    received: int | None
    lost: int | None
    storm_cpu_s: float
    target_cpu_s: float | None
    busy_s: float  # of all processors that haechi may use, whoever used them
    processors_s: float  # busy or not
    memory_bytes: int
    storm_memory_bytes: int
    target_memory_bytes: int | None
    latency_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Interval:
    """From one sample to the next of the same storm."""

    since: Sample
    until: Sample

    @property
    def seconds(self) -> float:
        return self.until.at_s - self.since.at_s

    @property
    def asked(self) -> float:
        return self.until.asked - self.since.asked

    @property
    def sent(self) -> int:
        return self.until.sent - self.since.sent

    @property
    def lost(self) -> int | None:
        """Of what senders' marks told of by then; never less than nothing, though an estimate may shrink."""
        if self.until.lost is None or self.since.lost is None:
            return None
        return max(0, self.until.lost - self.since.lost)

    @property
    def carried(self) -> bool:
        """Whether what was asked for was sent and, as far as that is known, received."""
        if self.sent < CARRIED_RATE * self.asked:
            return False
        return self.lost is None or self.lost <= CARRIED_LOSS * max(1, self.sent)


def intervals(samples: Sequence[Sample]) -> Iterator[Interval]:
    """A stretch's first sample is of its begin: time between two storms belongs to neither."""
    for since, until in itertools.pairwise(samples):
        if until.at_s > since.at_s and until.step >= 0:
            yield Interval(since, until)


def difference(after: Histogram, before: Histogram) -> Histogram:
    """What was recorded between two looks at one histogram; its maximum to the edge of its bucket."""
    buckets = tuple(a - b for a, b in zip(after.buckets, before.buckets, strict=True))
    highest = max((bucket for bucket, n in enumerate(buckets) if n > 0), default=-1)
    largest = min(bucket_floor(highest + 1) - 1, after.max) if highest >= 0 else 0
    return Histogram(after.count - before.count, after.sum - before.sum, largest, buckets)


def quantiles_s(latency_us: Histogram) -> dict[str, float]:
    """Seconds, by name; empty where nothing was recorded."""
    if latency_us.count <= 0:
        return {}
    found = {name: latency_us.quantile(q) / 1e6 for name, q in QUANTILES.items()}
    return {**found, "max": latency_us.max / 1e6}


def figures(samples: Sequence[Sample], latency_s: Mapping[str, float]) -> dict[str, float | None]:
    """What criteria may name of a step, or of all samples; None where it is not known."""
    parts = list(intervals(samples))
    seconds = sum(part.seconds for part in parts)
    found: dict[str, float | None] = {f"latency_{name}": latency_s.get(name) for name in (*QUANTILES, "max")}
    if not parts or seconds <= 0:
        return found
    first, last = samples[0], samples[-1]
    sent, errors = last.sent - first.sent, last.errors - first.errors
    lost = None if first.lost is None or last.lost is None else max(0, last.lost - first.lost)
    received = None if first.received is None or last.received is None else last.received - first.received
    asked = sum(part.asked for part in parts)
    busy = sum(part.until.busy_s - part.since.busy_s for part in parts)
    available = sum(part.until.processors_s - part.since.processors_s for part in parts)
    down = outages(samples)
    target_cpu = _less(last.target_cpu_s, first.target_cpu_s)
    target_memory = [s.target_memory_bytes for s in samples if s.target_memory_bytes is not None]
    return found | {
        "sent": sent,
        "received": received,
        "lost": lost,
        "loss_ratio": None if lost is None else lost / max(1, sent),
        "errors": errors,
        "error_ratio": errors / max(1, sent + errors),
        "late_ratio": (last.late - first.late) / max(1, sent),
        "offered_eps": asked / seconds,
        "achieved_eps": sent / seconds,
        "achieved_ratio": sent / asked if asked > 0 else None,
        "received_eps": None if received is None else received / seconds,
        "peak_eps": max(part.sent / part.seconds for part in parts),
        "cpu": busy / available if available > 0 else None,
        "storm_cores": (last.storm_cpu_s - first.storm_cpu_s) / seconds,
        "target_cores": None if target_cpu is None else target_cpu / seconds,
        "memory": max(s.memory_bytes for s in samples),
        "storm_memory": max(s.storm_memory_bytes for s in samples),
        "target_memory": max(target_memory, default=None),
        "uptime_ratio": 1 - sum(outage.seconds for outage in down) / seconds,
        "recovery": max((outage.seconds for outage in down), default=0.0),
    }


@dataclass(frozen=True, slots=True)
class Outage:
    """Samples in a row in which the target did not carry what was asked for."""

    seconds: float
    ended: bool


def outages(samples: Sequence[Sample]) -> list[Outage]:
    found: list[Outage] = []
    seconds = 0.0
    for part in intervals(samples):
        if not part.carried:
            seconds += part.seconds
        elif seconds:
            found.append(Outage(seconds, ended=True))
            seconds = 0.0
    if seconds:
        found.append(Outage(seconds, ended=False))
    return found


def _less(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before

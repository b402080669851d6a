"""`haechi bench soak`: a storm to a sink at one rate for a long time, and what changed while it lasted.

A sample every ten seconds: what was sent, received and dropped since the last one, the latencies of those
ten seconds alone, what both processes cost, and how busy the machine was otherwise. At the end the account,
and how fast either process's memory grew, by least squares after the first tenth.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from haechi.bench import machine
from haechi.bench.ending import ended_by_signal
from haechi.bench.spread import Number
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.live.meter import Cost, clock
from haechi.native.stats import Histogram, StatsPage, bucket_floor
from haechi.sink.run import Sink, SinkResult
from haechi.storm.run import Storm, StormResult

PORTS = 40
PROFILE = "system"
SAMPLE_S = 10.0
LOOK_S = 0.2  # how often it is looked whether it is to end
SETTLED_SHARE = 0.1  # of the samples, in which memory may grow into its size
END_S = 60.0


@dataclass(frozen=True, slots=True)
class SoakSettings:
    seconds: float
    eps: float
    plain: bool = False
    plot: Path | None = None
    record: Path | None = None
    sample_s: float = SAMPLE_S


@dataclass(frozen=True, slots=True)
class Counts:
    """Both ends' counters at one time."""

    at: float  # monotonic clock
    sent: int
    received: int
    kernel_dropped: int  # datagrams where the sink is plain, else buffers of several (net.h)
    latency: Histogram


@dataclass(frozen=True, slots=True)
class Sample:
    """The time between two readings; seconds is from the first reading to the second of them."""

    seconds: float
    sent: int
    received: int
    kernel_dropped: int
    sent_eps: float
    received_eps: float
    latency_avg_us: float
    latency_p50_us: int
    latency_p95_us: int
    latency_p99_us: int
    latency_p999_us: int
    latency_max_us: int
    storm_cpu_cores: float
    sink_cpu_cores: float
    storm_rss_mb: float
    sink_rss_mb: float
    load_1m: float
    cpu_pressure_ratio: float | None  # None where the kernel keeps no PSI
    memory_pressure_ratio: float | None


@dataclass(frozen=True, slots=True)
class Soak:
    asked_eps: float
    sent: StormResult
    taken: SinkResult
    samples: Sequence[Sample]

    def as_json(self) -> dict[str, Number | None]:
        """Plain numbers under stable names; null where there were too few samples."""
        sent, taken, latency = self.sent, self.taken, self.taken.latency_us
        return {
            "seconds": round(sent.seconds, 1),
            "asked_eps": round(self.asked_eps),
            "sent_eps": round(sent.eps),
            "rate_error_ratio": round(abs(sent.rate_error_ratio or 0.0), 6),
            "sent": taken.sent,
            "received": taken.received,
            "controls": taken.sent_controls,
            "lost_controls": taken.lost_controls,
            "kernel_dropped": taken.kernel_dropped,
            "lost_elsewhere": taken.lost_elsewhere,
            "loss_ratio": round(taken.loss_ratio, 9),
            "account_closed": int(taken.closed),
            "latency_avg_us": round(latency.avg),
            "latency_p50_us": round(latency.p50),
            "latency_p95_us": round(latency.p95),
            "latency_p99_us": round(latency.p99),
            "latency_p999_us": round(latency.p999),
            "storm_cpu_cores": round(sent.cpu_cores, 3),
            "sink_cpu_cores": round(taken.cpu_cores, 3),
            "storm_rss_mb": round(sent.rss_peak_bytes / 1e6, 1),
            "sink_rss_mb": round(taken.rss_peak_bytes / 1e6, 1),
            "storm_mb_per_hour": growth([(s.seconds, s.storm_rss_mb) for s in self.samples]),
            "sink_mb_per_hour": growth([(s.seconds, s.sink_rss_mb) for s in self.samples]),
            "samples": len(self.samples),
            "interrupted": int(sent.interrupted),
        }


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """MB an hour out of (seconds, MB), by least squares without the first tenth; None of fewer than three."""
    kept = points[math.ceil(len(points) * SETTLED_SHARE) :]
    if len(kept) < 3:
        return None
    mean_s = sum(s for s, _ in kept) / len(kept)
    mean_mb = sum(mb for _, mb in kept) / len(kept)
    spread = sum((s - mean_s) ** 2 for s, _ in kept)
    together = sum((s - mean_s) * (mb - mean_mb) for s, mb in kept)
    return round(3600 * together / spread, 3) if spread > 0 else None


def since(now: Histogram, before: Histogram) -> Histogram:
    """What was recorded between two readings of one histogram. Its largest value is known to its bucket."""
    buckets = tuple(max(0, b - a) for a, b in zip(before.buckets, now.buckets, strict=True))
    top = max((i for i, n in enumerate(buckets) if n), default=None)
    largest = 0 if top is None else min(bucket_floor(top + 1) - 1, now.max)
    return Histogram(sum(buckets), max(0, now.sum - before.sum), largest, buckets)


def between(
    before: Counts, now: Counts, began: float, costs: Sequence[Cost], busy: Mapping[str, float]
) -> Sample:
    """costs: of the storm and of the sink, both read. busy: machine.pressure()."""
    took_s = max(now.at - before.at, 1e-9)
    latency = since(now.latency, before.latency)
    storm, sink = costs
    return Sample(
        seconds=round(now.at - began, 3),
        sent=now.sent,
        received=now.received,
        kernel_dropped=now.kernel_dropped,
        sent_eps=round((now.sent - before.sent) / took_s, 1),
        received_eps=round((now.received - before.received) / took_s, 1),
        latency_avg_us=round(latency.mean, 1),
        latency_p50_us=latency.quantile(0.5),
        latency_p95_us=latency.quantile(0.95),
        latency_p99_us=latency.quantile(0.99),
        latency_p999_us=latency.quantile(0.999),
        latency_max_us=latency.max,
        storm_cpu_cores=round(storm.cores, 4),
        sink_cpu_cores=round(sink.cores, 4),
        storm_rss_mb=round(storm.rss_bytes / 1e6, 3),
        sink_rss_mb=round(sink.rss_bytes / 1e6, 3),
        load_1m=busy["load_1m"],
        cpu_pressure_ratio=busy.get("cpu_pressure_ratio"),
        memory_pressure_ratio=busy.get("memory_pressure_ratio"),
    )


def run(settings: SoakSettings, as_json: bool) -> int:
    """Soaks and prints; the last line is JSON where that is asked for. PlotError, before anything is begun,
    where a plot is wanted and cannot be made."""

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    if settings.plot is not None:
        from haechi.bench.plot import require

        require()
    host = machine.facts()
    for name, value in host.items():
        say(f"  {name:28} {value}")
    with recording(settings.record) as note:
        note({"host": host, "eps": settings.eps, "duration_s": settings.seconds, "plain": settings.plain})
        result = soak(settings, note, say)
        figures = result.as_json()
        note({"end": figures})
    say("")
    for name, figure in figures.items():
        say(f"  {name:28} {'-' if figure is None else f'{figure:,}'}")
    if settings.plot is not None:
        from haechi.bench.plot import draw

        draw(result, settings.plot, f"{host['processor']}, {host['cores']} cores, Linux {host['kernel']}")
        say(f"  drawn: {settings.plot}")
    if as_json:
        click.echo(json.dumps({**figures, "host": host}))
    return 0


@contextmanager
def recording(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that writes one JSON line to the file at once, so that a machine that stops loses none."""
    if path is None:
        yield lambda record: None
        return
    with path.open("w", encoding="utf-8") as file:

        def note(record: dict[str, Any]) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        yield note


def soak(settings: SoakSettings, note: Callable[[dict[str, Any]], None], say: Callable[[str], None]) -> Soak:
    storm_pin, sink_pin = machine.both_ends()
    ports = machine.free_ports(PORTS)
    sink_config = SinkConfig(ports=ports, pin=sink_pin, plain=settings.plain)
    storm_config = StormConfig.model_validate(
        {
            "profile": PROFILE,
            "target": "127.0.0.1",
            "ports": ports,
            "eps": settings.eps,
            "duration": settings.seconds,
            "workers": 1,
            "pin": storm_pin,
            "account": True,
        }
    )
    samples = []
    with ended_by_signal() as ended, Sink.start(sink_config) as sink, Storm.start(storm_config) as storm:
        for sample in sampled(storm, sink, settings.sample_s, ended.is_set):
            samples.append(sample)
            note(asdict(sample))
            say(_line(sample))
        if storm.running:
            say("ended early")
            storm.stop()
        sent = storm.finish(END_S)
        sink.stop()
        return Soak(settings.eps, sent, sink.finish(END_S), samples)


def sampled(storm: Storm, sink: Sink, every_s: float, is_ended: Callable[[], bool]) -> Iterator[Sample]:
    """Until the storm has ended, or is to."""
    if storm.page is None or sink.page is None:
        return
    began = time.monotonic()
    costs = [Cost(storm.pid, began), Cost(sink.pid, began)]
    before = _counts(storm.page, sink.page)
    due = began + every_s
    while not is_ended():
        if storm.wait(min(LOOK_S, max(0.0, due - time.monotonic()))):
            return
        if time.monotonic() < due:
            continue
        now = _counts(storm.page, sink.page)
        for cost in costs:
            cost.read(now.at)
        if all(cost.rss_bytes for cost in costs):  # a process without memory has just ended
            yield between(before, now, began, costs, machine.pressure())
        before = now
        due = max(due + every_s, now.at)


def _counts(storm: StatsPage, sink: StatsPage) -> Counts:
    return Counts(
        at=time.monotonic(),
        sent=storm.value("events"),
        received=sink.value("received"),
        kernel_dropped=sink.value("kernel_dropped"),
        latency=sink.histogram("latency_us"),
    )


def _line(sample: Sample) -> str:
    return (
        f"{clock(sample.seconds):>8}  sent {sample.sent_eps:>12,.0f}/s  "
        f"received {sample.received_eps:>12,.0f}/s  dropped {sample.kernel_dropped:,}  "
        f"p50 {sample.latency_p50_us:,} us  p99 {sample.latency_p99_us:,} us  "
        f"{sample.storm_rss_mb:.1f} + {sample.sink_rss_mb:.1f} MB"
    )

"""`haechi bench storm`: what a storm sends, and what a receiver takes of it, over loopback.

Every figure is of a run of its own, so that none rests on what another one left behind: composing alone; as
fast as it goes to a sink that takes many datagrams at a time (GRO); the same to a plain one, as any other
receiver is; syslog-ng's loggen to a plain one, where it is installed; and paced, with the sender's cost, how
evenly it sends, and how late events arrive. Storm and sink have one thread each, and a processor each where
there are two.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import click

from haechi.bench.ending import term_interrupts
from haechi.bench.loggen import measure as measure_loggen
from haechi.bench.machine import both_ends, free_ports
from haechi.bench.spread import Number, spread
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.native.running import text_in_memory
from haechi.native.stats import StatsPage
from haechi.native.tools import ToolError, tool_path
from haechi.sink.run import Sink, SinkResult
from haechi.storm import profile as profiles
from haechi.storm.run import Storm, StormResult

PORTS = 40
PROFILE = "system"
PACED_EPS = 4_000_000
SLICE_S = 0.1
READ_WITHIN_S = 0.002  # a sample that took longer was interrupted: its time is not known well enough
END_S = 60.0  # how long the tools may take to end
MESSAGE_BYTES = 150  # of loggen's; the profile's lines have as many on average
COMPOSE_S = 2.0
WITHOUT_LOGGEN = (
    "loggen_eps and loggen_ratio are not measured: there is no loggen here "
    "(deploy/receivers.sh syslog-ng brings it)"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """How many events were sent by when."""

    at: float  # monotonic clock
    events: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A storm to a sink, and what was seen of the storm while it ran."""

    sent: StormResult
    taken: SinkResult
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class StormBench:
    """What was measured, every repetition of it."""

    compose: dict[str, Number]
    fast: Sequence[Pair]
    plain: Sequence[Pair]
    paced: Sequence[Pair]
    loggen_eps: Sequence[float]  # received a second; empty where loggen is not installed

    def as_json(self) -> dict[str, Number]:
        """Plain numbers under the names that documents and graders use."""
        pairs = [*self.fast, *self.plain, *self.paced]
        figures = {
            **self.compose,
            **spread([fast_figures(pair) for pair in self.fast]),
            **spread([plain_figures(pair) for pair in self.plain]),
            **spread([paced_figures(pair) for pair in self.paced]),
            "account_closed": int(all(pair.taken.closed for pair in pairs)),
            "runs": len(self.fast),
        }
        if self.loggen_eps:
            figures |= spread([{"loggen_eps": eps} for eps in self.loggen_eps])
            figures["loggen_ratio"] = figures["plain_eps"] / figures["loggen_eps"]
        return {name: _rounded(name, value) for name, value in figures.items()}


def fast_figures(pair: Pair) -> dict[str, Number]:
    return {
        "sent_eps": pair.sent.eps,
        "received_eps": received_eps(pair),
        "loss_ratio": pair.taken.loss_ratio,
        "events_per_send": pair.sent.events_per_send,
    }


def plain_figures(pair: Pair) -> dict[str, Number]:
    return {
        "plain_eps": received_eps(pair),
        "plain_sent_eps": pair.sent.eps,
        "plain_loss_ratio": pair.taken.loss_ratio,
    }


def paced_figures(pair: Pair) -> dict[str, Number]:
    sent, latency = pair.sent, pair.taken.latency_us
    return {
        "paced_eps": sent.eps,
        "rate_error_ratio": abs(sent.rate_error_ratio or 0.0),
        "smooth_ratio": smooth_ratio(pair.samples),
        "sender_cpu_cores": sent.cpu_cores,
        "rss_mb": sent.rss_peak_bytes / 1e6,
        "sink_cpu_cores": pair.taken.cpu_cores,
        "latency_avg_us": latency.avg,
        "latency_p50_us": latency.p50,
        "latency_p95_us": latency.p95,
        "latency_p99_us": latency.p99,
        "latency_p999_us": latency.p999,
        "paced_loss_ratio": pair.taken.loss_ratio,
        "late_ratio": sent.late_events / max(1, sent.events),
    }


def received_eps(pair: Pair) -> float:
    """Over the time of whichever took longer: what a sink takes from its buffers after the storm has ended
    was not taken at the storm's rate."""
    return pair.taken.received / max(pair.sent.seconds, pair.taken.seconds, 1e-9)


def smooth_ratio(samples: Sequence[Sample]) -> float:
    """The largest deviation of a slice's events from their share at the whole stretch's mean rate. A slice is
    as long as it was by the clock, not as long as it was meant to be."""
    whole = samples[1:-1]  # the first slice has the beginning in it, the last one the end
    if len(whole) < 3:
        return 0.0
    rate = (whole[-1].events - whole[0].events) / (whole[-1].at - whole[0].at)
    if rate <= 0:
        return 1.0
    return max(abs((b.events - a.events) / ((b.at - a.at) * rate) - 1) for a, b in pairwise(whole))


def run(seconds: float, paced_seconds: float, repeats: int, as_json: bool) -> int:
    """Measures and prints; the last line is JSON where that is asked for."""

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    with term_interrupts():
        result = bench(seconds, paced_seconds, repeats, say)
    _print(result, say)
    if as_json:
        click.echo(json.dumps(result.as_json()))
    return 0


def bench(seconds: float, paced_seconds: float, repeats: int, say: Callable[[str], None]) -> StormBench:
    say("composing into memory")
    compose = compose_figures(min(seconds, COMPOSE_S))
    say(f"as fast as it goes for {seconds:g} s, {repeats} times: to a sink with GRO, then to a plain one")
    fast, plain, loggen = [], [], []
    for _ in range(repeats):
        # In turns: what the machine does besides is then in all of them.
        fast.append(send(seconds, eps="max"))
        plain.append(send(seconds, eps="max", plain=True))
        loggen += loggen_eps(seconds)
    say(f"paced at {PACED_EPS:,} events a second for {paced_seconds:g} s, {repeats} times")
    paced = [send(paced_seconds, eps=PACED_EPS) for _ in range(repeats)]
    return StormBench(compose, fast, plain, paced, loggen)


def compose_figures(seconds: float) -> dict[str, Number]:
    """One core, events into memory (haechi-bench-compose)."""
    with text_in_memory(profiles.render(profiles.load(PROFILE))) as fd:
        command = [str(tool_path("haechi-bench-compose")), f"/dev/fd/{fd}", f"{seconds:g}", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=(fd,))
    if done.returncode != 0:
        raise ToolError(f"haechi-bench-compose ended with {done.returncode}. {done.stderr.strip()}")
    figures = json.loads(done.stdout.splitlines()[-1])
    return {"compose_eps": figures["next_eps"], "compose_mean_eps": figures["next_mean_eps"]}


def send(seconds: float, *, eps: float | str, plain: bool = False) -> Pair:
    """One storm to one sink, both fresh, to their account."""
    storm_pin, sink_pin = both_ends()
    ports = free_ports(PORTS)
    sink_config = SinkConfig(ports=ports, plain=plain, pin=sink_pin)
    storm_config = StormConfig.model_validate(
        {
            "profile": PROFILE,
            "target": "127.0.0.1",
            "ports": ports,
            "eps": eps,
            "duration": seconds,
            "workers": 1,
            "pin": storm_pin,
            "account": True,
        }
    )
    with Sink.start(sink_config) as sink, Storm.start(storm_config) as storm:
        samples = list(sampled(storm))
        sent = storm.finish(END_S)
        sink.stop()
        return Pair(sent, sink.finish(END_S), samples)


def sampled(storm: Storm) -> Iterator[Sample]:
    """The storm's events every SLICE_S, from its first event until it has ended."""
    page = storm.page
    due = time.monotonic()
    while page is not None and not storm.wait(max(0.0, due - time.monotonic())):
        sample = _sample(page)
        if sample.events:
            yield sample
        due = max(due + SLICE_S, time.monotonic())


def _sample(page: StatsPage) -> Sample:
    """Read again where the reading was interrupted, so that the time is that of the counters."""
    while True:
        before = time.monotonic()
        events = page.value("events")
        after = time.monotonic()
        if after - before <= READ_WITHIN_S:
            return Sample((before + after) / 2, events)


def loggen_eps(seconds: float) -> list[float]:
    """What a plain sink receives of loggen in a second, or nothing where loggen is not installed."""
    port = free_ports(1)
    with Sink.start(SinkConfig(ports=port, plain=True, pin=both_ends()[1])) as sink:
        ran = measure_loggen(int(port), seconds, MESSAGE_BYTES)
        sink.stop()
        received = sink.finish(END_S).received
    return [] if ran is None else [received / ran.seconds]


def _rounded(name: str, value: Number) -> Number:
    if name.removesuffix("_min").removesuffix("_max").endswith(("_eps", "_us")):
        return round(value)
    return round(value, 6 if "ratio" in name else 3)


def _print(result: StormBench, say: Callable[[str], None]) -> None:
    figures: dict[str, Any] = result.as_json()
    say("")
    for name, value in figures.items():
        if not name.endswith(("_min", "_max")):
            low, high = figures.get(f"{name}_min"), figures.get(f"{name}_max")
            between = f"   ({low:,} to {high:,})" if low != high and low is not None else ""
            say(f"  {name:18} {value:>14,}{between}")
    if not result.loggen_eps:
        say(f"  {WITHOUT_LOGGEN}")

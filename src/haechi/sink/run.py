"""A running sink: begun with a configuration, asked while it runs, its account at the end.

with Sink.start(config) as sink:
    ...
    sink.stop()
    result = sink.finish()
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from haechi.config.sink import SinkConfig
from haechi.native.running import RunningTool, taken

STDOUT = 1


@dataclass(frozen=True, slots=True)
class Latency:
    """From an event's scheduled time to when it was taken, in microseconds, of sampled probes."""

    count: int
    avg: float
    p50: float
    p95: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, latency: Mapping[str, Any]) -> Self:
        return cls(**taken(cls, latency, "the sink's latency"))


@dataclass(frozen=True, slots=True)
class PortAccount:
    """Where the messages went that storms sent to one port."""

    port: int
    received: int
    bytes: int
    controls: int
    sent: int
    sent_controls: int
    kernel_dropped: int
    lost_elsewhere: int
    closed: bool  # every stream that was seen has ended: the figures are final

    @classmethod
    def of(cls, port: Mapping[str, Any]) -> Self:
        return cls(**taken(cls, port, "a port of the sink's totals"))


@dataclass(frozen=True, slots=True)
class SinkResult:
    """What a sink has received, and the account of what was sent to it."""

    received: int
    received_bytes: int
    controls: int
    sent: int
    sent_bytes: int
    sent_controls: int
    kernel_dropped: int
    kernel_dropped_buffers: int
    lost_elsewhere: int
    closed: bool
    streams: int
    streams_ended: int
    seconds: float
    eps_peak: float
    latency_us: Latency
    truncated: int
    empty: int
    bad_framing: int
    clients: int
    refused: int
    tls_failed: int
    write_errors: int
    cpu_seconds: float
    rss_peak_bytes: int
    ports: tuple[PortAccount, ...]
    whole: Mapping[str, Any]  # the tool's own summary, with everything that is in it

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self:
        """From the tool's summary; ToolError where something is missing in it."""
        parts = {
            "ports": tuple(PortAccount.of(port) for port in summary.get("ports", ())),
            "latency_us": Latency.of(summary.get("latency_us", {})),
        }
        return cls(**taken(cls, {**summary, **parts, "whole": summary}, "the sink's totals"))

    @property
    def lost(self) -> int:
        """Messages and control messages that were sent and not received, wherever they went."""
        return self.kernel_dropped + self.lost_elsewhere

    @property
    def loss_ratio(self) -> float:
        """Of all that was sent, as far as it is known."""
        known = max(self.sent + self.sent_controls, self.received + self.controls + self.lost)
        return self.lost / known if known else 0.0

    @property
    def lost_controls(self) -> int:
        """How many of the lost were control messages."""
        return max(0, self.sent_controls - self.controls)

    @property
    def eps(self) -> float:
        return self.received / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_cores(self) -> float:
        return self.cpu_seconds / self.seconds if self.seconds > 0 else 0.0


class Sink(RunningTool):
    """The handle of a sink that runs in a process of its own."""

    TOOL = "haechi-sink"

    @classmethod
    def start(cls, config: SinkConfig, *, ready_s: float = 30.0) -> Self:
        """Listens when it returns. ToolRefusedError and ToolError with the tool's own words."""
        stdout = STDOUT if str(config.write) == "-" else subprocess.DEVNULL
        return cls._launch(config.tool_config(), {}, ready_s, stdout=stdout)

    def set_rate(self, max_eps: float) -> None:
        """From now on it takes at most so many messages a second; 0: as many as come."""
        self.ask("set_rate", eps=max_eps)

    def take_rate(self, config: SinkConfig) -> None:
        """The max_eps of another configuration."""
        self.set_rate(config.max_eps or 0)

    def pause(self) -> None:
        """Takes nothing, so that buffers fill and the kernel drops."""
        self.ask("pause")

    def resume(self) -> None:
        self.ask("resume")

    def finish(self, timeout_s: float | None = None) -> SinkResult:
        """Waits for the end. ToolError where it failed or still runs after timeout_s."""
        return SinkResult.of(self.summary(timeout_s))

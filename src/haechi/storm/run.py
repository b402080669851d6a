"""A running storm: begun with a configuration, steered while it runs, its result at the end.

with Storm.start(config) as storm:
    storm.set_rate(2_000_000)
    result = storm.finish()
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from haechi.config.storm import StormConfig
from haechi.native.running import RunningTool, taken
from haechi.storm import profile as profiles
from haechi.storm import targets

STDOUT = 1


@dataclass(frozen=True, slots=True)
class PortResult:
    """What one stream sent: one worker's events to one port of one target."""

    target: str
    port: int
    worker: int
    events: int
    bytes: int
    controls: int
    errors: int
    refused: int
    reconnects: int
    reported: bool  # a sink answered; received and dropped are what it said, of the whole port
    received: int
    dropped: int

    @classmethod
    def of(cls, port: Mapping[str, Any]) -> Self:
        return cls(**taken(cls, port, "a port of the storm's totals"))


@dataclass(frozen=True, slots=True)
class StormResult:
    """What a storm has sent, and what a sink that keeps account said it received."""

    events: int
    bytes: int
    controls: int
    errors: int
    refused: int  # sends after which the target's kernel said that nobody listens
    reconnects: int
    seconds: float
    offered_eps: float | None  # None: as fast as it goes
    eps_peak: float
    rate_error_ratio: float | None
    late_events: int
    late_max_us: float
    cpu_seconds: float
    rss_peak_bytes: int
    gso: bool
    sends: int
    workers: int
    episodes: int
    interrupted: bool
    reported: bool
    received: int | None  # None: no sink reported, or not for every stream
    kernel_dropped: int | None
    ports: tuple[PortResult, ...]
    whole: Mapping[str, Any]  # the tool's own summary, with everything that is in it

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self:
        """From the tool's summary; ToolError where something is missing in it."""
        ports = tuple(PortResult.of(port) for port in summary.get("ports", ()))
        return cls(**taken(cls, {**summary, "ports": ports, "whole": summary}, "the storm's totals"))

    @property
    def eps(self) -> float:
        return self.events / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_cores(self) -> float:
        return self.cpu_seconds / self.seconds if self.seconds > 0 else 0.0

    @property
    def events_per_send(self) -> float:
        return self.events / self.sends if self.sends else 0.0

    @property
    def lost(self) -> int | None:
        """Events that the sink did not receive; None where that is not known."""
        return None if self.received is None else max(0, self.events - self.received)

    @property
    def loss_ratio(self) -> float | None:
        return None if self.lost is None else self.lost / max(1, self.events)


class Storm(RunningTool):
    """The handle of a storm that runs in a process of its own."""

    TOOL = "haechi-storm"

    @classmethod
    def start(cls, config: StormConfig, *, ready_s: float = 30.0) -> Self:
        """Begins a storm. TargetError for what is refused, ProfileError for the profile; ToolRefusedError and
        ToolError with the tool's own words."""
        targets.check(config)
        rendered = profiles.render(profiles.load(config.profile))
        return cls._launch(
            config.tool_config("profile"),
            {"profile": rendered},
            ready_s,
            stdout=STDOUT if str(config.output) == "-" else subprocess.DEVNULL,
        )

    def set_rate(self, eps: float) -> None:
        """From now on so many events a second, of all workers together. ControlError where refused."""
        self.ask("set_rate", eps=eps)

    def set_burst(self, us: int) -> None:
        """From now on an event waits at most so long for others. ControlError where refused."""
        self.ask("set_burst", us=us)

    def take_rate(self, config: StormConfig) -> None:
        """The rate of another configuration, within its limit. TargetError or ControlError."""
        if config.eps == "max":
            raise targets.TargetError("a storm that has a rate cannot do without it; start anew for max")
        targets.check_rate(config)
        self.set_rate(config.eps)

    def pause(self) -> None:
        self.ask("pause")

    def resume(self) -> None:
        self.ask("resume")

    def finish(self, timeout_s: float | None = None) -> StormResult:
        """Waits for the end. ToolError where it failed or still runs after timeout_s."""
        return StormResult.of(self.summary(timeout_s))

"""What a user may set for a storm; configs/storm.yaml explains every key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from haechi.config.values import (
    Count,
    Ports,
    Processors,
    Quantity,
    Rate,
    Seconds,
    Texts,
    read_ports,
    show_ports,
)

PRESETS = {"100k": 100_000, "500k": 500_000, "1m": 1_000_000, "2m": 2_000_000, "4m": 4_000_000}
CLASSIC = "-classic"
CLASSIC_EPS, CLASSIC_GROUP = 100_000, 10  # of a worker, and workers of a group
PORTS = "514-553"
FILE_COUNT = 1_000_000
OF_HOSTS = ("message_burst", "host_silence")
KINDS = (
    "step_skipped",
    "steps_out_of_order",
    "failure_repeated",
    "never_seen_message",
    "value_out_of_range",
    *OF_HOSTS,
    "sessions",
    "all",
)

# What is for haechi and not for the tool.
_OURS = {"profile", "snapshot", "summary"}
# What a file has none of; ports only where they were named, for the lines that a storm would send there.
_OF_NETWORK = {"target", "allow_target", "allow_ports", "account"}


class StormConfig(BaseModel):
    """configs/storm.yaml as a whole. Frozen: what was validated is what the tool gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str = Field(default="system", min_length=1)
    form: Literal["iso", "rfc3164", "rfc5424"] = "iso"
    seed: int = Field(default=1, ge=0, le=2**64 - 1)
    start: str | None = Field(default=None, min_length=1)
    sessions: int = Field(default=0, ge=0, le=10_000_000)

    eps: Rate = 1000.0
    count: Count | None = None
    duration: Seconds | None = None
    ramp_up: Seconds = 0.0
    burst_us: int = Field(default=850, ge=50, le=1_000_000)
    max_eps: Quantity = 20_000_000.0

    target: Texts = Field(default=(), max_length=16)
    ports: Ports = PORTS
    allow_target: Texts = ()
    allow_ports: bool = False
    transport: Literal["udp", "tcp", "tls"] = "udp"
    framing: Literal["octets", "newline"] = "octets"
    gso: bool = True
    account: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_server_name: str | None = Field(default=None, min_length=1)
    tls_insecure: bool = False

    workers: int = Field(default=0, ge=0, le=256)
    groups: int = Field(default=0, ge=0, le=256)
    pin: Processors = ()

    anomaly_rate: float = Field(default=0.0, ge=0, le=1)
    anomaly_kinds: Texts = ("sessions",)
    disturbance_events: int = Field(default=0, ge=0)
    truth: Path | None = None

    output: Path | None = None
    paced: bool = False
    stats_page: Path | None = None
    control_socket: Path | None = None
    summary: str | None = Field(default=None, min_length=1)
    snapshot: Path | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = [*self._mistakes_of_place(), *self._mistakes_of_workers(), *self._mistakes_of_anomalies()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _mistakes_of_place(self) -> list[str]:
        wrong = []
        if not self.target and self.output is None:
            wrong.append("target is required: where events are sent; or output: the file they are written to")
        if self.target and self.output is not None:
            wrong.append("target and output exclude each other: events are sent, or written to a file")
        if self.output is not None and self.eps == "max":
            wrong.append("eps: max is of use with target only; a file's lines need times, such as eps: 1000")
        if self.paced and self.output is None:
            wrong.append("paced is of use with output only; what is sent to a target always is")
        if self.paced and self.count is None and self.duration is None:
            wrong.append("paced needs count or duration: a file does not grow for ever")
        if self.target and self.eps != "max" and self.eps < 1:
            wrong.append(f"eps: {self.eps:g} is not at least 1")
        if (self.tls_certificate is None) != (self.tls_key is None):
            wrong.append("tls_certificate and tls_key need each other")
        if self.duration == 0:
            wrong.append("duration: 0 is not above 0")
        if self.duration is not None and self.ramp_up > self.duration:
            wrong.append(f"ramp_up: {self.ramp_up:g} s is longer than the duration, {self.duration:g} s")
        return wrong

    def _mistakes_of_workers(self) -> list[str]:
        wrong = []
        if self.pin != "auto" and self.pin and min(self.pin) < 0:
            wrong.append(f"pin: {min(self.pin)} is not at least 0")
        if self.workers and self.groups > self.workers:
            wrong.append(f"groups: {self.groups} is more than the {self.workers} workers")
        return wrong

    def _mistakes_of_anomalies(self) -> list[str]:
        unknown = [kind for kind in self.anomaly_kinds if kind not in KINDS]
        if unknown or not self.anomaly_kinds:
            return [f"anomaly_kinds: {', '.join(unknown) or 'nothing'} is none of {', '.join(KINDS)}"]
        if self.disturbance_events and not set(self.anomaly_kinds) & {*OF_HOSTS, "all"}:
            return [f"disturbance_events needs anomaly_kinds that are of hosts: {', '.join(OF_HOSTS)} or all"]
        return []

    @property
    def file_count(self) -> int:
        """Lines of a file: as set, or as many as the duration has, or a million."""
        if self.count is not None:
            return self.count
        if self.duration is not None and self.eps != "max":
            return max(1, round(self.duration * self.eps))
        return FILE_COUNT

    @property
    def file_ports(self) -> str | None:
        """The ports that a file's lines are made for; None: for none."""
        return self.ports if "ports" in self.model_fields_set else None

    def tool_config(self, profile: str) -> dict[str, Any]:
        """The JSON object that haechi-storm reads; profile names the rendered profile."""
        config = self.model_dump(mode="json", exclude_none=True, exclude=_OURS)
        if self.output is not None:
            config = {key: value for key, value in config.items() if key not in _OF_NETWORK}
            if self.file_ports is None:
                del config["ports"]
        # As texts: a JSON number is not exact beyond 2^53, and neither has a rate more than three places.
        config |= {key: str(config[key]) for key in ("seed", "count", "disturbance_events") if key in config}
        if self.eps != "max":
            config["eps"] = f"{self.eps:.3f}"
        config["anomaly_kinds"] = ",".join(self.anomaly_kinds)
        return {"profile": profile, **config}


def preset(name: str) -> dict[str, Any]:
    """The settings of a preset: a rate to 40 ports; with -classic at its end in the classical shape."""
    base = name.removesuffix(CLASSIC)
    if base not in PRESETS:
        raise ValueError(f"preset: {name!r} is none of {', '.join(PRESETS)}, each also with {CLASSIC}")
    eps = PRESETS[base]
    return {"eps": eps, "ports": PORTS, **(classic(eps, PORTS) if name != base else {})}


def classic(eps: float | Literal["max"], ports: str) -> dict[str, Any]:
    """The classical shape for a rate: a worker for each 100,000 events a second, in groups of 10, each with
    a port of its own."""
    if eps == "max":
        raise ValueError("classic: eps max has no classical shape, a worker for each 100,000 events/s")
    workers = max(1, math.ceil(eps / CLASSIC_EPS))
    given = read_ports(ports)
    if len(given) < workers:
        raise ValueError(
            f"classic: {len(given)} ports are too few for {eps:,.0f} events/s, "
            f"which {workers} workers send to a port each"
        )
    groups = math.ceil(workers / CLASSIC_GROUP)
    return {"ports": show_ports(given[:workers]), "workers": workers, "groups": groups}

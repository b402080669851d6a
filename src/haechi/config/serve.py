"""What a user may set for the control plane; configs/serve.yaml explains every key."""

from __future__ import annotations

import ipaddress
import shlex
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from haechi.config.incidents import IncidentsConfig
from haechi.config.values import Quantity, Seconds, Texts

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")
Capability = Literal["net_bind_service", "net_admin", "dac_read_search"]
Metric = Literal[
    "rate_percent",
    "loss_percent",
    "workers_down",
    "cpu_percent",
    "memory_gb",
    "alerts_low",
    "alerts_medium",
    "alerts_high",
    "alerts_critical",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleConfig(_Section):
    """What is watched, from when on it is wrong, and how often that is said."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    metric: Metric
    above: float | None = None
    below: float | None = None
    duration: Seconds = 0.0
    cooldown: Seconds = 300.0
    severity: Severity = "high"

    @model_validator(mode="after")
    def _has_one_threshold(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("one threshold is needed: above or below")
        return self


class ChannelConfig(_Section):
    """Where messages go: an Apprise URL, such as json://host/path, mailto://, slack://."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")
    url: str = Field(min_length=1, repr=False)
    at_least: Severity = "low"


RULES = (
    RuleConfig(name="rate_low", metric="rate_percent", below=95, duration=10),
    RuleConfig(name="loss_high", metric="loss_percent", above=0.5, duration=5),
    RuleConfig(name="worker_down", metric="workers_down", above=0, duration=2, severity="critical"),
    RuleConfig(name="cpu_high", metric="cpu_percent", above=80, duration=30, severity="medium"),
    RuleConfig(name="memory_high", metric="memory_gb", above=14, duration=10),
    RuleConfig(name="alerts_critical", metric="alerts_critical", above=0, cooldown=60, severity="critical"),
    RuleConfig(name="alerts_high", metric="alerts_high", above=0),
)


class HealingConfig(_Section):
    """When a tool is unwell, and how often it is begun anew."""

    enabled: bool = True
    stuck_after: Seconds = 1.0
    silent_after: Seconds = 3.0
    failing_after: Seconds = 10.0
    grace: Seconds = 1.0
    settle: Seconds = 5.0
    most_restarts: int = Field(default=5, ge=0, le=1_000_000)
    window: Seconds = 60.0
    restart_backoff: Seconds = 0.5
    restart_backoff_most: Seconds = 30.0
    port_wait: Seconds = 3600.0
    emergency_above: int = Field(default=3, ge=1, le=1000)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("stuck_after", "silent_after", "failing_after", "window"):
            if getattr(self, name) < 0.2:
                raise ValueError(f"{name}: {getattr(self, name):g} s is less than 0.2 s, two looks at a tool")
        if self.settle >= self.window:
            raise ValueError(f"settle: {self.settle:g} s is not below the window, {self.window:g} s")
        return self


class TuningConfig(_Section):
    """When settings are changed, and how far."""

    enabled: bool = True
    interval: Seconds = 5.0
    below_percent: float = Field(default=95.0, ge=0, le=100)
    loss_above_percent: float = Field(default=0.3, ge=0, le=100)
    burst_us_most: int = Field(default=10_000, ge=850, le=1_000_000)
    workers_most: int = Field(default=0, ge=0, le=64)
    buffer_bytes_most: int = Field(default=64 << 20, ge=4096, le=1 << 30)
    storm_gb: float = Field(default=4.0, gt=0)
    sink_gb: float = Field(default=4.0, gt=0)
    detector_gb: float = Field(default=4.0, gt=0)
    serve_gb: float = Field(default=0.5, gt=0)

    @model_validator(mode="after")
    def _has_an_interval(self) -> Self:
        if self.interval < 1:
            raise ValueError(f"interval: {self.interval:g} s is less than a second, which figures are of")
        return self


class ServeConfig(_Section):
    """configs/serve.yaml as a whole. Frozen: what was validated is what is used."""

    address: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65_535)
    state: Path = Path("haechi-state")
    read: tuple[Path, ...] = ()

    allow_target: Texts = ()
    max_eps: Quantity = 20_000_000.0

    demand_token: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    hosts: Texts = ()
    origins: Texts = ()

    user: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    capabilities: tuple[Capability, ...] = ("net_bind_service",)

    requests_per_second: float = Field(default=50.0, gt=0, le=100_000)
    body_bytes: int = Field(default=65_536, ge=1024, le=16 << 20)
    request_timeout: Seconds = 30.0
    connections: int = Field(default=256, ge=4, le=65_536)
    websockets: int = Field(default=32, ge=1, le=4096)

    trials_kept: int = Field(default=50, ge=1, le=1000)
    trial_counts: tuple[str, ...] = ()

    alerts_kept: int = Field(default=10_000, ge=1, le=1_000_000)
    rules: tuple[RuleConfig, ...] = RULES
    channels: tuple[ChannelConfig, ...] = ()
    attempts: int = Field(default=6, ge=1, le=20)
    backoff: Seconds = 2.0

    incidents: IncidentsConfig = IncidentsConfig()
    incident_messages: bool = False

    healing: HealingConfig = HealingConfig()
    tuning: TuningConfig = TuningConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key need each other")
        if self.request_timeout == 0:
            raise ValueError("request_timeout: 0 is not above 0")
        for what in ("rules", "channels"):
            names = [entry.name for entry in getattr(self, what)]
            if len(set(names)) != len(names):
                raise ValueError(f"{what}: a name is there twice")
        for entry in self.trial_counts:
            try:
                empty = not shlex.split(entry)
            except ValueError as error:
                raise ValueError(f"trial_counts: {entry!r}: {error}") from None
            if empty:
                raise ValueError("trial_counts: a command is empty")
        for origin in self.origins:
            if not origin.startswith(("http://", "https://")) or origin.endswith("/"):
                raise ValueError(f"origins: {origin!r} is not one such as https://console.example")
        return self

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"

    @property
    def token_needed(self) -> bool:
        return self.demand_token or not self.loopback

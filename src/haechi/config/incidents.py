"""What a user may set for incidents; configs/incidents.yaml explains every key."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from haechi.config.values import Seconds

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high", "critical")


class RaiseConfig(BaseModel):
    """From when on an incident is raised: any one of these suffices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    detectors: int = Field(default=2, ge=1, le=100)
    severity: Severity = "high"
    evidence: float = Field(default=60.0, gt=0)
    alerts: int = Field(default=10, ge=1, le=1_000_000_000)


class IncidentsConfig(BaseModel):
    """configs/incidents.yaml as a whole. Frozen: what was validated is what is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Seconds = 300.0
    spread_window: Seconds = 60.0
    quiet: Seconds = 600.0
    by_source: bool = True
    raised: RaiseConfig = RaiseConfig()
    agreeing: int = Field(default=2, ge=2, le=100)
    cooldown: Seconds = 3600.0
    max_open: int = Field(default=1000, ge=1, le=1_000_000)
    names_kept: int = Field(default=20, ge=1, le=10_000)
    alerts_kept: int = Field(default=100, ge=2, le=100_000)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("window", "spread_window"):
            if getattr(self, name) > self.quiet:
                raise ValueError(
                    f"{name}: {getattr(self, name):g} s is longer than quiet, {self.quiet:g} s, "
                    "after which an incident is closed"
                )
        return self

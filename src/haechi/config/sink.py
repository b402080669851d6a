"""What a user may set for a sink; configs/sink.yaml explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from haechi.config.values import Ports, Processors, Quantity, Seconds, read_ports

PORTS_MAX = 1024

# What is for haechi and not for the tool.
_OURS = {"snapshot", "summary"}


class SinkConfig(BaseModel):
    """configs/sink.yaml as a whole. Frozen: what was validated is what the tool gets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(default="127.0.0.1", min_length=1)
    ports: Ports = "514-553"
    transport: Literal["udp", "tcp", "tls"] = "udp"
    framing: Literal["auto", "octets", "newline"] = "auto"
    plain: bool = False
    buffer_bytes: int = Field(default=0, ge=0, le=2**31 - 1)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None

    workers: int = Field(default=1, ge=1, le=64)
    pin: Processors = ()

    write: Path | None = None
    max_eps: Quantity | None = None
    duration: Seconds | None = None
    idle_exit: Seconds | None = None

    stats_page: Path | None = None
    control_socket: Path | None = None
    summary: str | None = Field(default=None, min_length=1)
    snapshot: Path | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        ports = len(read_ports(self.ports))
        if ports > PORTS_MAX:
            raise ValueError(f"ports: {ports} are too many; a sink listens on at most {PORTS_MAX}")
        if self.transport == "tls" and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError("transport: tls needs tls_certificate and tls_key, the sink's own in PEM files")
        if self.pin == "auto":
            raise ValueError("pin: a list of processor numbers is needed, such as [0, 1]")
        if self.pin and min(self.pin) < 0:
            raise ValueError(f"pin: {min(self.pin)} is not at least 0")
        for name in ("duration", "idle_exit"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name}: 0 is not above 0")
        return self

    def tool_config(self) -> dict[str, Any]:
        """The JSON object that haechi-sink reads."""
        return {**self.model_dump(mode="json", exclude_none=True, exclude=_OURS), "quiet": True}

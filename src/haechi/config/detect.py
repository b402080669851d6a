"""What a user may set for detection; configs/detect.yaml explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from haechi.config.values import read_ports

_PORTS_MAX = 1024  # of one place


def read_place(text: Any) -> str:
    """A place to listen at, as it was written: "127.0.0.1:514-553", "[::1]:514", or "514" of 127.0.0.1."""
    address, colon, ports = str(text).rpartition(":")
    bracketed = address.startswith("[") and address.endswith("]") and len(address) > 2
    if (colon and not address) or (":" in address and not bracketed):
        raise ValueError(
            f"{text!r} is not ADDRESS:PORTS, such as 127.0.0.1:514-553, [::1]:514 or, of 127.0.0.1, 514"
        )
    if (count := len(read_ports(ports))) > _PORTS_MAX:
        raise ValueError(f"{text!r} names {count} ports; at most {_PORTS_MAX} are possible in one place")
    return str(text)


def _places(value: Any) -> Any:
    """One place may stand where a list may."""
    return (value,) if isinstance(value, str | int) else value


Place = Annotated[str, BeforeValidator(read_place)]
Places = Annotated[tuple[Place, ...], BeforeValidator(_places)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckpointConfig(_Section):
    """The file that says where reading stands and which sessions are open."""

    path: Path
    interval_s: float = Field(default=5.0, ge=0.05, le=86_400)


class NoveltyConfig(_Section):
    """How lines that fit no template, and log keys never trained on, are reported."""

    repeat_s: int | None = Field(default=None, ge=0, le=31_536_000)
    max_shapes: int = Field(default=4096, ge=1, le=4_194_304)


def _rules(value: Any) -> Any:
    """Files alone may stand where the group may."""
    return value if value is None or isinstance(value, dict) else {"files": value}


def _files(value: Any) -> Any:
    """One file may stand where a list may."""
    return (value,) if isinstance(value, str | Path) else value


class RulesConfig(_Section):
    """Stage one's rules, and how those of Sigma are taken."""

    files: Annotated[tuple[Path, ...], BeforeValidator(_files)] = Field(min_length=1)
    map: dict[str, str] = {}
    action: Literal["deny", "escalate"] = "deny"


class DetectConfig(_Section):
    """configs/detect.yaml as a whole. Frozen: what was validated is what the engine gets."""

    bundle: Path
    sources: tuple[str, ...] = ()
    udp: Places = ()
    tcp: Places = ()
    tls: Places = ()
    udp_plain: bool = False
    udp_buffer_bytes: int = Field(default=0, ge=0, le=1 << 30)
    on_overload: Literal["shed", "drop"] = "shed"
    readers: int = Field(default=1, ge=1, le=16)
    framing: Literal["auto", "octets", "newline"] = "auto"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    format: str | None = Field(default=None, min_length=1)
    follow: bool = False
    from_end: bool = False
    polling: bool = False
    poll_ms: int = Field(default=200, ge=1, le=60_000)
    rotate_wait_ms: int = Field(default=5000, ge=0, le=3_600_000)
    close_at_end: bool = False
    workers: int = Field(default=1, ge=1, le=64)
    pin: tuple[int, ...] = ()
    alerts: str = Field(default="-", min_length=1)
    checkpoint: CheckpointConfig | None = None
    stats_page: Path | None = None
    control_socket: Path | None = None
    onnxruntime: Path | None = None
    memo_entries: int = Field(default=131_072, ge=4, le=67_108_864)
    max_model_windows_per_batch: int = Field(default=0, ge=0, le=1_000_000_000)
    ml_budget: float = Field(default=0.0, ge=0, le=64)
    alerts_per_second: int = Field(default=10_000, ge=0, le=1_000_000_000)
    after_loss: Literal["hold", "judge"] = "hold"
    novelty: NoveltyConfig = NoveltyConfig()
    batch_bytes: int = Field(default=1 << 20, ge=4096, le=16 << 20)
    rules: Annotated[RulesConfig | None, BeforeValidator(_rules)] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.sources and not self.listens:
            raise ValueError("sources: no log is named, and nothing to listen to (udp, tcp, tls)")
        if self.tls and (self.tls_certificate is None or self.tls_key is None):
            raise ValueError("tls needs tls_certificate and tls_key, this receiver's own in PEM files")
        if self.pin and len(self.pin) != self.workers:
            raise ValueError(
                f"pin names {len(self.pin)} processors for {self.workers} workers; one each is needed"
            )
        if any(cpu < 0 for cpu in self.pin):
            raise ValueError(f"pin: {min(self.pin)} is not at least 0")
        if self.from_end and not self.follow:
            raise ValueError("from_end is of use only with follow: true")
        if "-" in self.sources and self.checkpoint is not None:
            raise ValueError("checkpoint: standard input cannot be read again; leave it out, or read files")
        return self

    @property
    def listens(self) -> bool:
        """Whether it listens to a network, and so runs until it is stopped."""
        return bool(self.udp or self.tcp or self.tls)

    def engine_config(self, onnxruntime: Path, rules: Path | None = None) -> dict[str, Any]:
        """The one JSON object that haechi-detect reads; onnxruntime is the library where none is set here,
        rules is where the caller has put the engine's form of what `rules` names."""
        config = self.model_dump(mode="json", exclude_none=True, exclude={"rules"})
        if rules is not None:
            config["rules"] = str(rules)
        config["bundle"] = str(_one_bundle(self.bundle))
        return {"onnxruntime": str(onnxruntime), **config}


def _one_bundle(path: Path) -> Path:
    """The latest bundle, where the path is of a folder of bundles."""
    latest = path / "latest"
    if (latest / "manifest.json").exists() and not (path / "manifest.json").exists():
        return latest
    return path

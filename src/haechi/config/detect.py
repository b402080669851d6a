"""What a user may set for detection; configs/detect.yaml explains every key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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


class DetectConfig(_Section):
    """configs/detect.yaml as a whole. Frozen: what was validated is what the engine gets."""

    bundle: Path
    sources: tuple[str, ...] = Field(min_length=1)
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
    novelty: NoveltyConfig = NoveltyConfig()
    batch_bytes: int = Field(default=1 << 20, ge=4096, le=16 << 20)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
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

    def engine_config(self, onnxruntime: Path) -> dict[str, Any]:
        """The one JSON object that haechi-detect reads; onnxruntime is the library where none is set here."""
        config = self.model_dump(mode="json", exclude_none=True)
        config["bundle"] = str(_one_bundle(self.bundle))
        return {"onnxruntime": str(onnxruntime), **config}


def _one_bundle(path: Path) -> Path:
    """The latest bundle, where the path is of a folder of bundles."""
    latest = path / "latest"
    if (latest / "manifest.json").exists() and not (path / "manifest.json").exists():
        return latest
    return path

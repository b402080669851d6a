"""What somebody asked for, from its start until it is forgotten, with all the processes that it took."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from haechi.config.detect import DetectConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.heal import totals
from haechi.native.running import RunningTool
from haechi.native.tools import onnxruntime_library
from haechi.serve.watch import StormWatch, ToolWatch

Kind = Literal["storm", "sink", "detector"]
State = Literal["starting", "running", "paused", "stopping", "done", "failed"]
Settings = StormConfig | SinkConfig | DetectConfig

READY_S = 20.0
SHOWN_NOT = {"tls_key", "stats_page", "control_socket", "summary", "snapshot", "checkpoint"}
_WORDS_KEPT = 20


class Detector(RunningTool):
    """A running haechi-detect."""

    TOOL = "haechi-detect"

    @classmethod
    def start(cls, config: DetectConfig, *, ready_s: float = READY_S) -> Detector:
        library = config.onnxruntime or onnxruntime_library()
        return cls._launch(config.engine_config(library), {}, ready_s)


IN_TOTAL: Mapping[str, Mapping[str, str]] = {  # names among the totals -> among the figures
    "storm": {"events": "total_events", "bytes": "network_tx_bytes"},
    "sink": {"received": "total_events"},
}


@dataclass(slots=True, eq=False)
class Job:
    """One tool, from its start until it is forgotten."""

    id: str
    kind: Kind
    settings: Settings
    state: State = "starting"
    tool: RunningTool | None = None
    watch: StormWatch | ToolWatch | None = None
    started: str = field(default_factory=lambda: now_text())
    started_s: float = field(default_factory=time.monotonic)
    ended: str | None = None
    ended_s: float | None = None
    error: str | None = None
    result: Mapping[str, Any] | None = None
    words: deque[str] = field(default_factory=lambda: deque(maxlen=_WORDS_KEPT))
    paused: bool = False  # as it is wished
    tuned: dict[str, Any] = field(default_factory=dict)  # settings that tuning has changed
    past: list[dict[str, Any]] = field(default_factory=list)  # totals of its earlier processes
    original_alerts: str | None = None  # where its first process wrote them
    mending: bool = False  # the healer has it: no end of a process is the job's end
    stop_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    healing: Mapping[str, Any] = field(default_factory=dict)  # as the healer shows it
    tuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def restarts(self) -> int:
        return len(self.past)

    @property
    def alive(self) -> bool:
        return self.state not in ("done", "failed")

    @property
    def alerts(self) -> Path | None:
        return Path(self.settings.alerts) if isinstance(self.settings, DetectConfig) else None

    def view(self, *, whole: bool = True) -> dict[str, Any]:
        """Without what costs much to send where it is one of a list."""
        settings = self.settings.model_dump(mode="json", exclude_defaults=True, exclude=SHOWN_NOT)
        metrics = dict(self.watch.figures) if self.watch is not None else {}
        # What it did after the last look, before it ended.
        for name, figure in IN_TOTAL.get(self.kind, {}).items():
            if self.result is not None and name in self.result and metrics:
                metrics[figure] = self.result[name]
        if not whole:
            metrics.pop("worker_metrics", None)
            metrics.pop("counters", None)
        return {
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "settings": settings,
            "started": self.started,
            "ended": self.ended,
            "error": self.error,
            "words": list(self.words),
            "metrics": metrics,
            "restarts": self.restarts,
            "healing": dict(self.healing),
            "tuning": dict(self.tuning),
            "result": dict(self.result) if whole and self.result is not None else None,
        }

    def in_all(self, last: Mapping[str, Any]) -> dict[str, Any]:
        """The totals of its last process, with those of the earlier ones."""
        if self.kind == "storm":
            told = self.watch.told if isinstance(self.watch, StormWatch) and self.watch.sinks > 1 else None
            return totals.storm_in_all(self.past, last, told)
        return (totals.sink_in_all if self.kind == "sink" else totals.tool_in_all)(self.past, last)

    def account_for(self, tool: RunningTool) -> dict[str, Any]:
        """The totals of a process that has ended: as it gave them, else by its stats page."""
        given, page = tool.totals(), tool.page
        if given is not None or page is None:
            return given or {"killed": True}
        if isinstance(self.settings, StormConfig):
            seconds = max(0.0, time.time() - page.started_us / 1e6)
            return totals.storm_of_page(page.rows(), page.tool_row(), self.settings.target, seconds)
        counters: dict[str, Any] = {**page.snapshot(), "killed": True}
        if self.kind == "sink":
            counters |= {"received_bytes": counters["bytes"], "lost_elsewhere": counters["lost"]}
        return counters


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

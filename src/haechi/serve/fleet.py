"""The tools that run under this server: begun, watched, steered, and brought to an end with it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from haechi.config.detect import DetectConfig
from haechi.config.load import ConfigError, load_yaml
from haechi.config.serve import ServeConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.native.control import ControlError
from haechi.native.running import RunningTool
from haechi.native.tools import ToolError, onnxruntime_library
from haechi.serve import wishes
from haechi.serve.watch import StormWatch, ToolWatch
from haechi.sink.run import Sink
from haechi.storm.run import Storm

Kind = Literal["storm", "sink", "detector"]
State = Literal["starting", "running", "paused", "stopping", "done", "failed"]
Settings = StormConfig | SinkConfig | DetectConfig

RUNNING_MAX = 16
ENDED_KEPT = 50
READY_S = 20.0
END_S = 10.0
_WORDS_KEPT = 20
_SHOWN = {"tls_key", "stats_page", "control_socket", "summary", "snapshot"}


class FleetError(Exception):
    """What cannot be done now: too many run, or this one does not any more."""


class Detector(RunningTool):
    """A running haechi-detect."""

    TOOL = "haechi-detect"

    @classmethod
    def start(cls, config: DetectConfig, *, ready_s: float = READY_S) -> Detector:
        library = config.onnxruntime or onnxruntime_library()
        return cls._launch(config.engine_config(library), {}, ready_s)


@dataclass(slots=True, eq=False)
class Job:
    """One tool, from its start until it is forgotten."""

    id: str
    kind: Kind
    settings: Settings
    state: State = "starting"
    tool: RunningTool | None = None
    watch: StormWatch | ToolWatch | None = None
    started: str = field(default_factory=lambda: _now())
    started_s: float = field(default_factory=time.monotonic)
    ended: str | None = None
    ended_s: float | None = None
    error: str | None = None
    result: Mapping[str, Any] | None = None
    words: deque[str] = field(default_factory=lambda: deque(maxlen=_WORDS_KEPT))

    @property
    def alive(self) -> bool:
        return self.state not in ("done", "failed")

    @property
    def alerts(self) -> Path | None:
        return Path(self.settings.alerts) if isinstance(self.settings, DetectConfig) else None

    def view(self, *, whole: bool = True) -> dict[str, Any]:
        """Without what costs much to send where it is one of a list."""
        settings = self.settings.model_dump(mode="json", exclude_defaults=True, exclude=_SHOWN)
        metrics = dict(self.watch.figures) if self.watch is not None else {}
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
            "result": dict(self.result) if whole and self.result is not None else None,
        }


class Fleet:
    """Used from the event loop alone. Tools are started by a thread of their own that lives as long as this
    process: the kernel ends a tool with the thread that started it."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._jobs: dict[str, Job] = {}
        self._numbers = dict.fromkeys(("storm", "sink", "detector"), 0)
        self._starter = ThreadPoolExecutor(1, "haechi-starter")
        self._ending: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[Job], None] = lambda job: None

    def jobs(self, kind: Kind | None = None) -> list[Job]:
        return [job for job in self._jobs.values() if kind in (None, job.kind)]

    def get(self, kind: Kind, name: str) -> Job | None:
        job = self._jobs.get(name)
        return job if job is not None and job.kind == kind else None

    async def start_storm(self, wish: Mapping[str, Any]) -> Job:
        settings = await asyncio.to_thread(wishes.storm_settings, wish, self._config)
        return await self._start("storm", settings, partial(Storm.start, settings, ready_s=READY_S))

    async def start_sink(self, wish: Mapping[str, Any]) -> Job:
        settings = await asyncio.to_thread(wishes.sink_settings, wish, self._config)
        return await self._start("sink", settings, partial(Sink.start, settings, ready_s=READY_S))

    async def start_detector(self, wish: Mapping[str, Any]) -> Job:
        # A file of its own: alerts of an earlier run are not taken for new ones.
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.jsonl"
        alerts = self._config.state / "alerts" / name
        settings = await asyncio.to_thread(wishes.detect_settings, wish, self._config, alerts)
        return await self._start("detector", settings, partial(Detector.start, settings))

    async def stop(self, job: Job) -> None:
        """Asks it to end; its totals come when it has."""
        if job.tool is None or not job.alive:
            raise FleetError(f"{job.id} does not run")
        job.state = "stopping"
        job.tool.stop()

    async def pause(self, job: Job) -> None:
        await self._ask(job, "pause")
        job.state = "paused"

    async def resume(self, job: Job) -> None:
        await self._ask(job, "resume")
        job.state = "running"

    async def set_rate(self, job: Job, eps: float | str | None) -> None:
        """Of a storm: events a second. Of a sink: how many it takes at most; None: all. TargetError and
        ControlError where it is refused, WishError where it is no rate."""
        if job.tool is None or not job.alive:
            raise FleetError(f"{job.id} does not run")
        key = "eps" if job.kind == "storm" else "max_eps"
        said = {**job.settings.model_dump(exclude_unset=True), key: eps}
        try:
            settings = load_yaml(None, type(job.settings), said)
        except ConfigError as error:
            raise wishes.WishError(str(error).replace("command line: ", "")) from None
        await asyncio.to_thread(job.tool.take_rate, settings)  # type: ignore[attr-defined]
        job.settings = settings

    async def forget(self, job: Job) -> None:
        if job.alive:
            raise FleetError(f"{job.id} still runs; stop it first")
        self._jobs.pop(job.id, None)

    def read(self, at: float) -> None:
        """Takes the figures of all, and notices which have ended."""
        for job in self._jobs.values():
            if job.tool is None or not job.alive:
                continue
            if (page := job.tool.page) is not None and job.watch is not None:
                job.watch.read(page, at)
            job.words.extend(job.tool.words())
            if not job.tool.running:
                self._end(job)

    async def close(self) -> None:
        """Ends all, gracefully where they do it in time."""
        for job in self._jobs.values():
            if job.tool is not None and job.alive:
                job.tool.stop()
                self._end(job)
        while self._ending:
            await asyncio.gather(*self._ending)
        self._starter.shutdown(wait=False)

    async def _start(self, kind: Kind, settings: Settings, start: Callable[[], RunningTool]) -> Job:
        if sum(job.alive for job in self._jobs.values()) >= RUNNING_MAX:
            raise FleetError(f"{RUNNING_MAX} tools run already; stop one first")
        self._numbers[kind] += 1
        job = Job(f"{kind}-{self._numbers[kind]}", kind, settings)
        self._jobs[job.id] = job
        self._drop_oldest()
        # Goes on when the request that asked for it does not: no tool runs that nobody knows of.
        return await asyncio.shield(self._launch(job, start))

    def _launch(self, job: Job, start: Callable[[], RunningTool]) -> asyncio.Task[Job]:
        async def launch() -> Job:
            loop = asyncio.get_running_loop()
            try:
                job.tool = await loop.run_in_executor(self._starter, start)
            except BaseException:
                self._jobs.pop(job.id, None)
                job.state = "failed"
                raise
            at = time.monotonic()
            job.watch = (
                StormWatch(job.tool.pid, at, job.settings)
                if isinstance(job.settings, StormConfig)
                else ToolWatch(job.tool.pid, at, "received" if job.kind == "sink" else "lines")
            )
            job.state = "running"
            return job

        return asyncio.create_task(launch())

    async def _ask(self, job: Job, command: str) -> None:
        if job.tool is None or job.state not in ("running", "paused"):
            raise FleetError(f"{job.id} does not run")
        await asyncio.to_thread(job.tool.ask, command)

    def _end(self, job: Job) -> None:
        if any(task.get_name() == job.id for task in self._ending):
            return
        task = asyncio.create_task(self._finish(job), name=job.id)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _finish(self, job: Job) -> None:
        tool = job.tool
        assert tool is not None
        try:
            job.result = await asyncio.to_thread(tool.summary, END_S)
            job.state = "done"
        except ToolError as error:
            job.state, job.error = "failed", str(error)
        with contextlib.suppress(ToolError, ControlError, OSError):
            job.words.extend(tool.words())
        job.ended, job.ended_s = _now(), time.monotonic()
        await asyncio.to_thread(tool.close)
        job.tool = None
        self.on_end(job)

    def _drop_oldest(self) -> None:
        ended = [job.id for job in self._jobs.values() if not job.alive]
        for name in ended[:-ENDED_KEPT]:
            del self._jobs[name]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

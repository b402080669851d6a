"""The tools that run under this server: begun, watched, steered, and brought to an end with it.

A job is what somebody asked for; it may take several processes, one after the other, when one of them is
begun anew. Who decides that is the healer (healing.py): it is told of a process that ended badly, and orders
`put_down` and `start_anew`. That a process has ended is seen by its pidfd in the event loop, at once and
without a signal's handler; where the system has none, by the next look at it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from haechi.config.detect import CheckpointConfig, DetectConfig
from haechi.config.load import ConfigError, load_yaml
from haechi.config.serve import ServeConfig
from haechi.config.storm import StormConfig
from haechi.native.control import ControlError
from haechi.native.running import RunningTool
from haechi.native.tools import ToolError
from haechi.serve import wishes
from haechi.serve.jobs import READY_S, SHOWN_NOT, Detector, Job, Kind, Settings, now_text
from haechi.serve.journal import Journal
from haechi.serve.watch import StormWatch, ToolWatch
from haechi.sink.run import Sink
from haechi.storm.run import Storm
from haechi.storm.targets import TargetError, check_rate

__all__ = ["Detector", "Fleet", "FleetError", "Job", "Kind"]

RUNNING_MAX = 16
ENDED_KEPT = 50
RESTART_READY_S = 10.0
END_S = 10.0
CHECKPOINT_S = 1.0


class FleetError(Exception):
    """What cannot be done now: too many run, or this one does not any more."""


class Fleet:
    """Used from the event loop alone. Tools are started by a thread of their own that lives as long as this
    process: the kernel ends a tool with the thread that started it."""

    def __init__(self, config: ServeConfig, journal: Journal | None = None) -> None:
        self._config = config
        self.journal = journal or Journal(config.state)
        self._jobs: dict[str, Job] = {}
        self._numbers = dict.fromkeys(("storm", "sink", "detector"), 0)
        self._starter = ThreadPoolExecutor(1, "haechi-starter")
        self._ending: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[Job], None] = lambda job: None
        self.on_begin: Callable[[Job], None] = lambda job: None
        # Whether somebody takes care of a process that ended badly. If not, its job has failed.
        self.on_failure: Callable[[Job, str], bool] = lambda job, error: False
        self.others: Callable[[], int] = lambda: 0  # tools that run beside its own

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
        if settings.follow or settings.listens:
            # One that reads on for ever can be begun anew where it stood. One that reads to an end and no
            # further leaves sessions open in a checkpoint that would otherwise be judged; it has none.
            path = self._config.state / "checkpoints" / f"{alerts.stem}.checkpoint"
            checkpoint = CheckpointConfig(path=path, interval_s=CHECKPOINT_S)
            settings = settings.model_copy(update={"checkpoint": checkpoint})
        return await self._start("detector", settings, partial(Detector.start, settings))

    async def start(self, settings: Settings) -> Job:
        """With settings of this program's own, which need not be what a client may ask for."""
        if isinstance(settings, StormConfig):
            return await self._start("storm", settings, partial(Storm.start, settings, ready_s=READY_S))
        if isinstance(settings, DetectConfig):
            return await self._start("detector", settings, partial(Detector.start, settings))
        return await self._start("sink", settings, partial(Sink.start, settings, ready_s=READY_S))

    async def stop(self, job: Job) -> None:
        """Asks it to end; its totals come when it has."""
        if not job.alive or (job.tool is None and not job.mending):
            raise FleetError(f"{job.id} does not run")
        self._note(job, "stop", f"{job.id} is told to stop")
        self.ask_to_end(job)

    def ask_to_end(self, job: Job) -> None:
        job.state = "stopping"
        job.stop_wanted.set()
        if job.tool is not None:
            job.tool.stop()
            _wake(job.tool)

    async def pause(self, job: Job) -> None:
        await self._ask(job, "pause")
        job.paused = True
        if not job.mending:
            job.state = "paused"
        self._note(job, "pause", f"{job.id} is paused")

    async def resume(self, job: Job) -> None:
        await self._ask(job, "resume")
        job.paused = False
        if not job.mending:
            job.state = "running"
        self._note(job, "resume", f"{job.id} goes on")

    async def set_rate(self, job: Job, eps: float | str | None) -> None:
        """Of a storm: events a second. Of a sink: how many it takes at most; None: all. TargetError and
        ControlError where it is refused, WishError where it is no rate."""
        if not job.alive or (job.tool is None and not job.mending):
            raise FleetError(f"{job.id} does not run")
        key = "eps" if job.kind == "storm" else "max_eps"
        said = {**job.settings.model_dump(exclude_unset=True), key: eps}
        try:
            settings = load_yaml(None, type(job.settings), said)
        except ConfigError as error:
            raise wishes.WishError(str(error).replace("command line: ", "")) from None
        if job.mending:
            _check_later_rate(settings)
        else:
            await asyncio.to_thread(job.tool.take_rate, settings)  # type: ignore[union-attr]
        was, job.settings = getattr(job.settings, key), settings
        self._note(job, "rate", f"{job.id}: {key} is {eps}, was {was}", {"before": was, "after": eps})

    async def load_bundle(self, job: Job, name: object) -> None:
        """Of a detector: judges with another bundle from the next batch on. WishError, ControlError where it
        is none, or none that may be read."""
        if not isinstance(job.settings, DetectConfig) or job.mending or job.tool is None:
            raise FleetError(f"{job.id} does not run")
        folders = (self._config.state / "files", *self._config.read)
        path = await asyncio.to_thread(wishes.readable, name, folders)
        settings = job.settings.model_copy(update={"bundle": path})
        place = settings.engine_config(Path())["bundle"]  # of a folder of bundles the latest
        await asyncio.to_thread(job.tool.ask, "load_bundle", path=str(Path(place).resolve()))
        was, job.settings = job.settings.bundle, settings
        text = f"{job.id} judges with another bundle: {path}"
        self._note(job, "bundle", text, {"before": str(was), "after": str(path)})

    async def forget(self, job: Job) -> None:
        if job.alive:
            raise FleetError(f"{job.id} still runs; stop it first")
        self._jobs.pop(job.id, None)
        self._note(job, "forget", f"{job.id} is forgotten")
        if isinstance(job.settings, DetectConfig) and job.settings.checkpoint is not None:
            path = job.settings.checkpoint.path
            for file in (path, path.with_name(f"{path.name}.lock")):
                file.unlink(missing_ok=True)

    def read(self, at: float) -> None:
        """Takes the figures of all, and notices which have ended."""
        for job in self._jobs.values():
            if not job.alive:
                continue
            if job.tool is None:
                if job.watch is not None:
                    job.watch.miss(at)
                continue
            if (page := job.tool.page) is not None and job.watch is not None:
                job.watch.read(page, at)
            job.words.extend(job.tool.words())
            if not job.tool.running:
                self._end(job)

    async def close(self) -> None:
        """Ends all, gracefully where they do it in time."""
        for job in self._jobs.values():
            if job.alive and (job.tool is not None or job.mending):
                self.ask_to_end(job)
                self._end(job)
        deadline = time.monotonic() + END_S + RESTART_READY_S
        while self._ending or time.monotonic() < deadline:
            await asyncio.gather(*self._ending)
            left = [job for job in self._jobs.values() if job.alive and (job.mending or job.tool is not None)]
            if not left and not self._ending:
                break
            for job in left:  # whose healer lets go of it only now
                self._end(job)
            await asyncio.sleep(0.01)
        self._starter.shutdown(wait=False)

    async def _start(self, kind: Kind, settings: Settings, start: Callable[[], RunningTool]) -> Job:
        if sum(job.alive for job in self._jobs.values()) + self.others() >= RUNNING_MAX:
            raise FleetError(f"{RUNNING_MAX} tools run already; stop one first")
        self._numbers[kind] += 1
        job = Job(f"{kind}-{self._numbers[kind]}", kind, settings)
        job.original_alerts = str(job.alerts) if job.alerts else None
        self._jobs[job.id] = job
        self._drop_oldest()
        shown = settings.model_dump(mode="json", exclude_defaults=True, exclude=SHOWN_NOT)
        self._note(job, "start", f"{job.id} is to start", {"settings": shown})
        # Goes on when the request that asked for it does not: no tool runs that nobody knows of.
        return await asyncio.shield(self._launch(job, start))

    def _launch(self, job: Job, start: Callable[[], RunningTool]) -> asyncio.Task[Job]:
        async def launch() -> Job:
            loop = asyncio.get_running_loop()
            try:
                job.tool = await loop.run_in_executor(self._starter, start)
            except BaseException as error:
                self._jobs.pop(job.id, None)
                job.state = "failed"
                self.journal.add(
                    "end", job.id, "refused", f"{job.id} did not start: {error}", outcome="failed"
                )
                raise
            at = time.monotonic()
            job.watch = (
                StormWatch(job.tool.pid, at, job.settings)
                if isinstance(job.settings, StormConfig)
                else ToolWatch(job.tool.pid, at, "received" if job.kind == "sink" else "lines")
            )
            job.state = "running"
            self.on_begin(job)
            self._await_exit(job, job.tool)
            return job

        return asyncio.create_task(launch())

    # --- one process of a job's, and the next

    def settings_now(self, job: Job) -> Settings:
        """What its next process is given: as the operator says, with what tuning has changed."""
        return job.settings.model_copy(update=job.tuned)

    async def put_down(self, job: Job, grace_s: float) -> bool:
        """Ends a process so that another can take its place, and takes its totals. By TERM, and whether it
        has ended after the grace period; by KILL where that is 0."""
        tool = job.tool
        if tool is None:
            return True
        if not await asyncio.to_thread(_put_down, tool, grace_s):
            return False
        await self._take_totals(job, tool)
        return True

    async def start_anew(self, job: Job, settings: Settings) -> None:
        """Another process for the same job. ToolError and TargetError where it does not come up."""
        of = {"storm": Storm, "sink": Sink, "detector": Detector}[job.kind]
        begin: Callable[[], RunningTool] = partial(of.start, settings, ready_s=RESTART_READY_S)  # type: ignore
        tool = await asyncio.get_running_loop().run_in_executor(self._starter, begin)
        if job.watch is not None:
            job.watch.begin_anew(tool.pid, time.monotonic())
        job.tool = tool
        if job.state == "stopping":
            tool.stop()
        elif job.paused:
            with contextlib.suppress(ControlError):
                await asyncio.to_thread(tool.ask, "pause")
        if job.state != "stopping":
            job.state = "paused" if job.paused else "running"

    def hand_back(self, job: Job) -> None:
        """The healer lets go of it. What has ended meanwhile, ends now; or is handed to the healer again."""
        job.mending = False
        if job.tool is not None:
            self._await_exit(job, job.tool)
        else:
            self._end(job)

    async def _take_totals(self, job: Job, tool: RunningTool) -> None:
        if tool.page is not None and job.watch is not None:
            job.watch.read(tool.page, time.monotonic())
        job.past.append(job.account_for(tool))
        with contextlib.suppress(ToolError, ControlError, OSError):
            job.words.extend(tool.words())
        job.tool = None
        await asyncio.to_thread(tool.close)

    def notice_end(self, job: Job) -> None:
        """Of a process that is seen to have ended."""
        self._end(job)

    def _await_exit(self, job: Job, tool: RunningTool) -> None:
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(tool.pid)
        except ProcessLookupError:
            self._end(job)
            return
        except OSError:
            return  # no such thing here: the next look at the process sees it

        def exited() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            if job.tool is tool and not job.mending:
                self._end(job)

        loop.add_reader(fd, exited)

    async def _ask(self, job: Job, command: str) -> None:
        if job.mending and job.alive and job.state != "stopping":
            return  # its next process is told
        if job.tool is None or job.state not in ("running", "paused"):
            raise FleetError(f"{job.id} does not run")
        await asyncio.to_thread(job.tool.ask, command)

    def _end(self, job: Job) -> None:
        if job.mending or any(task.get_name() == job.id for task in self._ending):
            return
        task = asyncio.create_task(self._finish(job), name=job.id)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _finish(self, job: Job) -> None:
        tool, error, last = job.tool, None, None
        if tool is not None:
            try:
                last = await asyncio.to_thread(tool.summary, END_S)
            except ToolError as failure:
                error = str(failure)
        if tool is not None and error is not None:
            with contextlib.suppress(ToolError, ControlError, OSError):
                job.words.extend(tool.words())
            if job.state != "stopping" and self.on_failure(job, error):
                job.state = "starting"
                return
            await self._take_totals(job, tool)
        if last is None and job.past:
            last = job.past.pop()
        if last is not None and (error is None or job.past):
            job.result = job.in_all(last)
        self._conclude(job, job.error or error)
        if tool is not None and job.tool is not None:
            with contextlib.suppress(ToolError, ControlError, OSError):
                job.words.extend(tool.words())
            await asyncio.to_thread(tool.close)
            job.tool = None
        self.on_end(job)

    def _conclude(self, job: Job, error: str | None) -> None:
        job.state, job.error = ("failed", error) if error else ("done", None)
        job.ended, job.ended_s = now_text(), time.monotonic()
        text = f"{job.id} has failed: {error}" if error else f"{job.id} is done"
        self.journal.add("end", job.id, job.state, text, outcome="failed" if error else "done")

    def _note(self, job: Job, action: str, text: str, data: Mapping[str, Any] | None = None) -> None:
        self.journal.add("operator", job.id, action, text, outcome="done", data=data)

    def _drop_oldest(self) -> None:
        ended = [job.id for job in self._jobs.values() if not job.alive]
        for name in ended[:-ENDED_KEPT]:
            del self._jobs[name]


def _put_down(tool: RunningTool, grace_s: float) -> bool:
    if grace_s <= 0:
        tool.kill()
        return True
    tool.stop()
    _wake(tool)
    return tool.wait(grace_s)


def _wake(tool: RunningTool) -> None:
    """One that was stopped (SIGSTOP) hears nothing else before."""
    if tool.running:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(tool.pid, signal.SIGCONT)


def _check_later_rate(settings: Settings) -> None:
    if isinstance(settings, StormConfig):
        if settings.eps == "max":
            raise TargetError("a storm that has a rate cannot do without it; start anew for max")
        check_rate(settings)

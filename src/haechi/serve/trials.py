"""Trials that a client has begun: each a process of its own with a folder of its own, one at a time. What
they left behind is there again after the server has been started anew."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import yaml

from haechi.config.serve import ServeConfig
from haechi.serve import trial_record
from haechi.serve.fleet import RUNNING_MAX, FleetError
from haechi.serve.jobs import now_text
from haechi.serve.scenarios import Shelf, runnable
from haechi.serve.trial_record import State, TrialView
from haechi.trial.picture import Picture

TOOLS_OF_ONE = 2  # a storm and its target
GRACE_S = 30.0  # from being asked to end until it is made to
CLOSE_S = 10.0  # the same, where the server itself ends
LAST_LINES_S = 2.0
# HUP from the kernel when the server is gone: it leaves a report even then. It may come once for each thread
# that the server had, which for INT would mean: at once, without a report. It clears its own folder away,
# too: a server that was killed does not.
_PROGRAM = """
import atexit, ctypes, os, shutil, signal, sys
atexit.register(shutil.rmtree, os.environ["TMPDIR"], ignore_errors=True)
ctypes.CDLL(None).prctl(1, signal.SIGHUP)  # PR_SET_PDEATHSIG
if os.getppid() != int(os.environ.pop("HAECHI_PARENT")):
    sys.exit(f"{sys.argv[1]}: the server is gone")
from haechi.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
_ID = re.compile(r"trial-([1-9]\d{0,8})")
_LINE_MAX_BYTES = 16 << 20
_WORDS_BYTES = 4096


class Trial:
    """One, from its start until it is forgotten."""

    def __init__(self, folder: Path, record: TrialView) -> None:
        self.folder = folder
        self.record = record
        self.picture: Picture | None = None  # while it runs
        self.process: asyncio.subprocess.Process | None = None
        self.task: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        self.stopping = False
        self.work: Path | None = None

    @property
    def alive(self) -> bool:
        return self.picture is not None

    def view(self) -> TrialView:
        if self.picture is None:
            return self.record
        state: State = "stopping" if self.stopping else "running"
        return self.record.model_copy(update={"state": state, "progress": self.picture.view()})

    def brief(self) -> TrialView:
        """As one of a list: without samples."""
        view = self.view()
        few = {key: value for key, value in view.progress.items() if key != "samples"}
        return view.model_copy(update={"progress": few})


class Trials:
    """Used from the event loop alone."""

    def __init__(self, config: ServeConfig, tools: Callable[[], int] = lambda: 0) -> None:
        """tools: how many others run."""
        self._config = config
        self._folder = config.state / "trials"
        self._tools = tools
        self._trials: dict[int, Trial] = {}
        self._starting = False
        self._stops: set[asyncio.Task[None]] = set()
        self._highest = 0
        self.shelf = Shelf(config)
        # kind, subject, action, text, outcome: as a journal takes them
        self.note: Callable[[Literal["operator", "end"], str, str, str, str], object] = lambda *_: None

    def open(self) -> None:
        """Takes what earlier servers have left; a folder that is broken is passed over."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self._folder.iterdir():
            if (match := _ID.fullmatch(folder.name)) is None:
                continue
            self._highest = max(self._highest, int(match[1]))
            if (record := trial_record.kept(folder)) is not None:
                self._trials[int(match[1])] = Trial(folder, record)

    def all(self) -> list[Trial]:
        """The newest first."""
        return [self._trials[number] for number in sorted(self._trials, reverse=True)]

    def get(self, name: str) -> Trial | None:
        match = _ID.fullmatch(name)
        return self._trials.get(int(match[1])) if match else None

    @property
    def running(self) -> Trial | None:
        return next((trial for trial in self._trials.values() if trial.alive), None)

    @property
    def tools_taken(self) -> int:
        return TOOLS_OF_ONE if self._starting or self.running is not None else 0

    def brief(self) -> list[dict[str, Any]]:
        """Of the one that runs, for a message a second."""
        trial = self.running
        if trial is None or trial.picture is None:
            return []
        state = "stopping" if trial.stopping else "running"
        progress = trial.picture.view(samples=False)
        return [
            {"id": trial.record.id, "scenario": trial.record.scenario, "state": state, "progress": progress}
        ]

    async def start(self, name: str, scale_time: float, scale_rate: float) -> Trial:
        """FleetError where none can begin now; NoScenarioError, WishError and TargetError where this one may
        not."""
        if (running := self.running) is not None:
            raise FleetError(f"{running.record.id} still runs; one trial runs at a time")
        if self._starting:
            raise FleetError("a trial is being started; one trial runs at a time")
        if self._tools() + TOOLS_OF_ONE > RUNNING_MAX:
            raise FleetError(f"a trial takes {TOOLS_OF_ONE} of {RUNNING_MAX} tools, and others run; stop one")
        self._starting = True
        try:
            entry = await asyncio.to_thread(self.shelf.get, name)
            document = await asyncio.to_thread(runnable, entry.scenario, self._config, scale_time, scale_rate)
            # Goes on when the request that asked for it does not: no trial runs that nobody knows of.
            return await asyncio.shield(
                asyncio.create_task(self._launch(name, document, scale_time, scale_rate))
            )
        finally:
            self._starting = False

    async def stop(self, trial: Trial, grace_s: float = GRACE_S) -> None:
        """Asks it to end with a report of what was seen, and returns at once."""
        if not trial.alive:
            raise FleetError(f"{trial.record.id} does not run")
        if trial.stopping:
            return
        trial.stopping = True
        self.note("operator", trial.record.id, "stop", f"{trial.record.id} is told to stop", "done")
        task = asyncio.create_task(_end(trial, grace_s))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def forget(self, trial: Trial) -> None:
        """With its report."""
        if trial.alive:
            raise FleetError(f"{trial.record.id} still runs; stop it first")
        self._trials = {number: each for number, each in self._trials.items() if each is not trial}
        await asyncio.to_thread(shutil.rmtree, trial.folder, ignore_errors=True)
        self.note("operator", trial.record.id, "forget", f"{trial.record.id} is forgotten", "done")

    async def close(self) -> None:
        """Ends the one that runs; its report is written."""
        if (trial := self.running) is not None:
            with contextlib.suppress(FleetError):
                await self.stop(trial, CLOSE_S)
            if trial.task is not None:
                await trial.task
        for task in self._stops:
            task.cancel()

    async def _launch(self, name: str, document: Any, scale_time: float, scale_rate: float) -> Trial:
        await asyncio.to_thread(self._make_room)
        self._highest += 1
        folder = self._folder / f"trial-{self._highest}"
        record = TrialView(
            id=folder.name,
            scenario=name,
            state="running",
            started=now_text(),
            scale_time=scale_time,
            scale_rate=scale_rate,
            progress={},
        )
        trial = Trial(folder, record)
        trial.picture = Picture()
        try:
            trial.work = await asyncio.to_thread(_prepare, folder, document, record)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        reading, writing = os.pipe()
        try:
            trial.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *("-c", _PROGRAM, "trial", str((folder / "scenario.yaml").resolve())),
                *("-o", str(folder.resolve()), "--quiet", "--progress-fd", str(writing)),
                *("--scale-time", repr(scale_time), "--scale-rate", repr(scale_rate)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(writing,),
                env={**os.environ, "TMPDIR": str(trial.work), "HAECHI_PARENT": str(os.getpid())},
                start_new_session=True,  # a terminal's Ctrl-C is for the server, which then asks it to end
            )
        except BaseException as error:
            os.close(reading)
            for left in (folder, trial.work):
                shutil.rmtree(left, ignore_errors=True)
            if isinstance(error, OSError):
                raise FleetError(f"{sys.executable} cannot be started: {error.strerror}") from None
            raise
        finally:
            os.close(writing)
        self._trials[self._highest] = trial
        trial.task = asyncio.create_task(self._attend(trial, reading))
        self.note("operator", folder.name, "start", f"{folder.name}: {name} is started", "done")
        return trial

    async def _attend(self, trial: Trial, reading: int) -> None:
        try:
            await _follow(trial, reading)
        except Exception as error:  # a mistake of ours must not leave a trial that never ends
            logging.exception("the end of %s was not taken", trial.record.id)
            failed = {"state": "failed", "ended": now_text(), "error": f"its end was not taken: {error}"}
            trial.record = trial.record.model_copy(update=failed)
        finally:
            trial.picture = trial.process = None
        record = trial.record
        how = {True: "every criterion is met", False: "a criterion is not met", None: record.state}
        text = f"{record.id}: {record.scenario} has ended: {record.error or how[record.passed]}"
        self.note("end", record.id, record.state, text, "done" if record.state == "done" else record.state)

    def _make_room(self) -> None:
        """The oldest folders go, also those that are broken."""
        numbers = sorted(
            int(match[1]) for folder in self._folder.iterdir() if (match := _ID.fullmatch(folder.name))
        )
        for number in numbers[: max(0, len(numbers) + 1 - self._config.trials_kept)]:
            self._trials.pop(number, None)
            shutil.rmtree(self._folder / f"trial-{number}", ignore_errors=True)


def _prepare(folder: Path, document: Any, record: TrialView) -> Path:
    """A folder for what it leaves nowhere else. It is not in the trial's own: names of sockets are short."""
    folder.mkdir(mode=0o700)
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    (folder / "scenario.yaml").write_text(text, encoding="utf-8")
    trial_record.write(folder, record)
    return Path(tempfile.mkdtemp(prefix="haechi-work-"))


async def _follow(trial: Trial, reading: int) -> None:
    """Until it has ended."""
    assert trial.process is not None
    assert trial.process.stderr is not None
    lines = asyncio.create_task(_take_lines(trial, reading))
    words = asyncio.create_task(_last_words(trial.process.stderr))
    status = await trial.process.wait()
    await asyncio.wait({lines, words}, timeout=LAST_LINES_S)
    for task in (lines, words):
        task.cancel()
    await asyncio.gather(lines, words, return_exceptions=True)
    said = words.result() if not words.cancelled() and words.exception() is None else ""
    assert trial.picture is not None
    trial.picture.end()
    record = trial.record.model_copy(
        update={"progress": trial.picture.view(), "exit_code": status, "ended": now_text()}
    )
    trial.record = await asyncio.to_thread(trial_record.settled, trial.folder, record, trial.stopping, said)
    await asyncio.to_thread(_tidy, trial)


async def _take_lines(trial: Trial, reading: int) -> None:
    reader = asyncio.StreamReader(limit=_LINE_MAX_BYTES)
    pipe = os.fdopen(reading, "rb", 0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        async for line in reader:
            if trial.picture is not None:
                trial.picture.take(line)
                if trial.picture.ready:
                    trial.ready.set()
    finally:
        transport.close()


async def _last_words(stream: asyncio.StreamReader) -> str:
    kept = b""
    while piece := await stream.read(_WORDS_BYTES):
        kept = (kept + piece)[-_WORDS_BYTES:]
    return kept.decode("utf-8", "replace")


async def _end(trial: Trial, grace_s: float) -> None:
    """INT once it can answer with a report, and KILL for all of it where it does not end in time."""
    process, task = trial.process, trial.task
    assert process is not None
    assert task is not None
    deadline = asyncio.get_running_loop().time() + grace_s
    ready = asyncio.create_task(trial.ready.wait())
    await asyncio.wait({ready, task}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    await asyncio.wait({task}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
    if not task.done():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _tidy(trial: Trial) -> None:
    if trial.work is not None:
        shutil.rmtree(trial.work, ignore_errors=True)
    with contextlib.suppress(OSError):  # a full disk: then it is known until the server ends
        trial_record.write(trial.folder, trial.record)

"""The dashboard beside the demo: the demo's storm and detector run under a control plane, so that they are
seen in it as any others are, with their alerts."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from haechi.bench.fire import END_S
from haechi.config.detect import DetectConfig
from haechi.config.serve import HealingConfig, ServeConfig, TuningConfig
from haechi.config.storm import StormConfig
from haechi.native.running import RunningTool
from haechi.native.tools import ToolError
from haechi.serve.beside import Beside
from haechi.serve.jobs import Job
from haechi.storm.run import StormResult

LOOK_S = 0.05
PORT = 8080


def serve_beside(folder: Path) -> Beside:
    """A server for this demo alone; what it keeps is in folder. Nothing is mended or tuned in it: the
    scorecard is of what was asked for."""
    return Beside(
        ServeConfig(
            port=PORT,
            state=folder / "serve",
            read=(folder,),
            healing=HealingConfig(enabled=False),
            tuning=TuningConfig(enabled=False),
        )
    )


class SeenTools:
    """Tools of a fire that run under a server. The detector goes on after the fire, until the server ends."""

    def __init__(self, server: Beside) -> None:
        self._server = server
        self._jobs: dict[str, Job] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """All goes on; what did not come to its end is ended with the server."""

    def start_detector(self, config: DetectConfig) -> RunningTool:
        return self._start("detector", config)

    def start_storm(self, config: StormConfig) -> RunningTool:
        return self._start("storm", config)

    def storm_result(self) -> StormResult:
        job = self._jobs["storm"]
        deadline = time.monotonic() + END_S
        while job.alive:  # its process has ended; its totals are being read
            if time.monotonic() > deadline:
                raise ToolError(f"{job.id} did not end in {END_S:g} s")
            time.sleep(LOOK_S)
        if job.result is None:
            raise ToolError(job.error or f"{job.id} gave no totals")
        return StormResult.of(job.result)

    def detector_totals(self) -> Mapping[str, Any]:
        job = self._jobs["detector"]
        if job.tool is None:
            raise ToolError(job.error or f"{job.id} has ended before the storm")
        return job.tool.summary_now()

    def _start(self, name: str, config: DetectConfig | StormConfig) -> RunningTool:
        job = self._server.call(self._server.plane.fleet.start(config))
        if job.tool is None:
            raise ToolError(job.error or f"{job.id} ended at once")
        self._jobs[name] = job
        return job.tool


def stay() -> None:
    """Until Ctrl-C, or TERM where that interrupts."""
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()

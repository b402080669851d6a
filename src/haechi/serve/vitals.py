"""What can be seen of a running tool from outside.

The kernel counts how often a thread was scheduled and for how long, which is a sign of life that no tool has
to give: the main thread of each of them wakes up at least ten times a second."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from haechi.config.storm import StormConfig
from haechi.heal.health import Pulse, Signs
from haechi.heal.restart import Places
from haechi.serve.jobs import Job

_DUE_EPS = 5.0  # below that a second without an event is nothing special
_STATE, _PROCESSOR = 0, 36  # of the fields behind the name in /proc/PID/stat


def signs(job: Job, pulse: Pulse, at: float) -> Signs:
    """Of a job that has a process."""
    tool = job.tool
    assert tool is not None
    beat = _beat(tool.pid)
    if beat is not None and beat == pulse.beat and _waits_for_disk(tool.pid):
        beat = None  # nothing can be said of it, and nothing be done: the kernel holds it
    page = tool.page
    if not isinstance(job.settings, StormConfig) or page is None:
        return Signs(at, tool.running, beat, 0, False, 0)
    # Over TCP a receiver that takes nothing holds the storm up, which is no fault of the storm's. One that
    # goes as fast as it can has a target of nought.
    has_rate = job.settings.eps == "max" or page.value("target_eps") >= _DUE_EPS
    due = job.settings.transport == "udp" and has_rate and not page.value("paused")
    return Signs(at, tool.running, beat, page.value("events"), due, page.value("errors"))


def places(job: Job) -> Places:
    """Where it runs, and where it could. psutil measures since the last call, of the plane's as well."""
    allowed = sorted(os.sched_getaffinity(0))
    pin = job.tuned.get("pin") or getattr(job.settings, "pin", ())
    used = set(pin) if pin and pin != "auto" else _processor_of(job)
    busy = {cpu: share / 100 for cpu, share in enumerate(psutil.cpu_percent(percpu=True))}
    workers = int(getattr(job.settings, "workers", 0)) or len(allowed)
    return Places(allowed, used, workers, busy)


def _beat(pid: int) -> int | None:
    """Grows whenever the process's main thread is scheduled."""
    try:
        on_cpu, _, slices = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return int(on_cpu) + int(slices)


def _waits_for_disk(pid: int) -> bool:
    return _stat(pid)[_STATE : _STATE + 1] == ["D"]


def _processor_of(job: Job) -> set[int]:
    """Where its main thread ran last, as long as it is there."""
    fields = _stat(job.tool.pid) if job.tool is not None else []
    return {int(fields[_PROCESSOR])} if len(fields) > _PROCESSOR else set()


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []

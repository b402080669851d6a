"""What a tool's next process is given, so that it goes on where the last one stopped. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig

LEFT_S = 0.05  # of a storm's time: less is not worth a process
SEEDS = 2**64


def rest_of_storm(settings: StormConfig, elapsed_s: float, sent: int, restarts: int) -> dict[str, Any] | None:
    """The settings that differ for the process after so many restarts; None: there is nothing left to do.

    Time goes on while there is no process, so that a storm ends when it would have ended; a count goes by
    what was sent. What is left of a ramp begins at nought again. The seed is another one, because the same
    lines of the same sessions would come twice; with `start` event time goes on, too. The ground truth gets a
    file of its own, since a storm empties the one it begins."""
    change: dict[str, Any] = {}
    if settings.duration is not None:
        left = settings.duration - elapsed_s
        if left < LEFT_S:
            return None
        change["duration"] = round(left, 3)  # the tool takes no more places than a few
    if settings.count is not None:
        if sent >= settings.count:
            return None
        change["count"] = settings.count - sent
    if settings.ramp_up:
        change["ramp_up"] = round(max(0.0, settings.ramp_up - elapsed_s), 3)
    if restarts:
        change["seed"] = (settings.seed + restarts) % SEEDS
    if settings.start is not None:
        change["start"] = _later(settings.start, elapsed_s)
    if settings.truth is not None and restarts:
        change["truth"] = another(settings.truth, restarts)
    return change


def rest_of_sink(settings: SinkConfig, elapsed_s: float, restarts: int) -> dict[str, Any] | None:
    """The same of a sink: the file that it writes is emptied when one begins, too."""
    change: dict[str, Any] = {}
    if settings.duration is not None:
        left = settings.duration - elapsed_s
        if left < LEFT_S:
            return None
        change["duration"] = round(left, 3)
    if settings.write is not None and restarts:
        change["write"] = another(settings.write, restarts)
    return change


def another(path: Path, restarts: int) -> Path:
    """truth.jsonl -> truth.restart-1.jsonl"""
    return path.with_name(f"{path.stem}.restart-{restarts}{path.suffix}")


def _later(start: str, seconds: float) -> str:
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        return start  # a form that only the tool knows
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    later = (moment + timedelta(seconds=seconds)).astimezone(UTC)
    return later.isoformat(timespec="seconds").replace("+00:00", "Z")

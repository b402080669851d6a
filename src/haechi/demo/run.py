"""The whole way: a storm of labelled anomalies at a detector over UDP; or, with a log of the user's, train on
one part and search the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.bench import loop
from haechi.bench.fire import OwnTools, Tools
from haechi.bench.loop import LoopBench, LoopSettings
from haechi.config.training import TrainingConfig
from haechi.native.tools import Process, onnxruntime_library, read_summary
from haechi.train import TrainingProgress, TrainResult
from haechi.train import run as train
from haechi.trial.records import Alert, read_alerts

EPS, SECONDS, PORTS, FIRST_PORT = 200_000, 20.0, 10, 5514
TRAIN_SHARE = 0.6  # of a user's log
CONFIG = TrainingConfig()


class DemoError(Exception):
    """The log given to the demo is of no use for it; says why."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One run of the engine over a file that was read to its end."""

    summary: dict[str, Any]  # the engine's totals
    alerts: list[Alert]


@dataclass(frozen=True, slots=True)
class LogDemo:
    training: TrainResult
    detection: Detection
    searched_lines: int


def run_storm(
    folder: Path,
    eps: float,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
    tools: Callable[[], Tools] = OwnTools,
) -> LoopBench:
    """Learns from a log of a storm's normal traffic, and storms a detector over UDP, from port 5514 up, with
    labelled anomalies. What is made stays in folder. tools: who runs the two, for whoever wants to watch."""
    settings = LoopSettings(
        eps=eps,
        seconds=seconds,
        trial_seconds=0,
        at="asked",
        ports=PORTS,
        seed=seed,
        first_port=FIRST_PORT,
    )
    return loop.bench(folder, settings, say, tools)


def run_log(log: Path, folder: Path, say: Callable[[str], None], progress: TrainingProgress) -> LogDemo:
    """The first part of the user's log trains, the rest is searched. DemoError where it is too short."""
    with log.open("rb") as file:
        lines = sum(1 for _ in file)
    train_lines = int(lines * TRAIN_SHARE)
    if train_lines < 1 or train_lines == lines:
        raise DemoError(f"{log}: {lines} lines are too few to learn from some and search the others")
    train_log, search_log = folder / "train.log", folder / "search.log"
    with log.open("rb") as file, train_log.open("wb") as first, search_log.open("wb") as rest:
        first.writelines(itertools.islice(file, train_lines))
        rest.writelines(file)
    say(f"learning from the first {train_lines:,} of {lines:,} lines")
    training = _learn(train_log, folder, CONFIG, say, progress)
    return LogDemo(training, _search(training.bundle, search_log, folder, say), lines - train_lines)


def _learn(
    log: Path, folder: Path, config: TrainingConfig, say: Callable[[str], None], progress: TrainingProgress
) -> TrainResult:
    result = train([log], folder / "bundles", config, progress)
    say(
        f"learned {result.log_keys} log keys from {result.sessions:,} sessions by {result.session_rule} "
        f"in {result.seconds:.0f} s"
    )
    for note in result.notes:
        say(f"note: {note}")
    return result


def _search(bundle: Path, log: Path, folder: Path, say: Callable[[str], None]) -> Detection:
    say("searching")
    alerts = folder / "alerts.jsonl"
    alerts.unlink(missing_ok=True)
    config = {
        "bundle": str(bundle),
        "onnxruntime": str(onnxruntime_library()),
        "sources": [str(log)],
        "alerts": str(alerts),
        "summary": "-",
    }
    with Process.start("haechi-detect", config) as process:
        summary = read_summary(process.finish())
        return Detection(summary, read_alerts(alerts))

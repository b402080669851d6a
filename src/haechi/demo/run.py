"""Train on one part of a log, search the other: with labels on a made log, without on a user's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.config.training import TrainingConfig
from haechi.native.tools import Process, onnxruntime_library, read_summary
from haechi.storm.maker import make
from haechi.train import TrainingProgress, TrainResult
from haechi.train import run as train
from haechi.trial.records import Alert, read_alerts, read_episodes
from haechi.trial.score import Score, score

TRAIN_LINES, SEARCH_LINES = 400_000, 1_000_000
LOG_EPS = 1000.0  # lines a second of log time
ANOMALY_RATE = 0.005
TRAIN_START, SEARCH_START = "2025-08-30T00:00:00Z", "2025-08-31T00:00:00Z"
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
class MadeDemo:
    training: TrainResult
    detection: Detection
    score: Score


@dataclass(frozen=True, slots=True)
class LogDemo:
    training: TrainResult
    detection: Detection
    searched_lines: int


def run_made(folder: Path, seed: int, say: Callable[[str], None], progress: TrainingProgress) -> MadeDemo:
    """Makes a normal log and one with anomalies in folder, learns from the first and searches the second."""
    train_log, search_log, truth = folder / "train.log", folder / "search.log", folder / "truth.jsonl"
    say(f"making {TRAIN_LINES:,} normal lines to learn from")
    settings: dict[str, Any] = {"eps": LOG_EPS, "form": "iso", "profile": "system"}
    make(train_log, count=TRAIN_LINES, seed=seed, start=TRAIN_START, **settings)
    say(f"making {SEARCH_LINES:,} other lines, {ANOMALY_RATE:.1%} of their sessions anomalous")
    make(
        search_log,
        count=SEARCH_LINES,
        seed=seed + 1,
        start=SEARCH_START,
        anomaly_rate=ANOMALY_RATE,
        truth=truth,
        **settings,
    )
    training = _learn(train_log, folder, CONFIG, say, progress)
    detection = _search(training.bundle, search_log, folder, say)
    return MadeDemo(training, detection, score(detection.alerts, read_episodes(truth)))


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

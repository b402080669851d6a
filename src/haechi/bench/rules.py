"""`haechi bench rules`: what rules cost, as the detector's rate with them against its rate without, in turns.

A thousand regular expressions of detection rules (haechi.bench.rule_sets), once of the message and once of
the whole line, and a hard set: a third of it has no word to begin a search with,
a third keeps many states alive.
Turns of one run are compared with each other, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from haechi.bench import rule_sets
from haechi.bench.detect import LOG_EPS, TRAINING, memory_folder
from haechi.native.tools import Process, onnxruntime_library, read_summary
from haechi.storm.maker import make
from haechi.train import run as train

TRAIN_LINES = 200_000
SEED = 1  # of the patterns


@dataclass(frozen=True, slots=True)
class Turn:
    """One reading of the log with one set of rules; the engine's own totals."""

    name: str
    summary: dict[str, Any]

    @property
    def lines_per_s(self) -> float:
        return float(self.summary["lines_per_s"])


@dataclass(frozen=True, slots=True)
class RulesBench:
    lines: int
    patterns: int
    turns: Sequence[Turn]

    def rate(self, name: str) -> float:
        return statistics.median(turn.lines_per_s for turn in self.turns if turn.name == name)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers under the names that documents and graders use. ratio: of the message's patterns."""
        last = {turn.name: turn.summary for turn in self.turns}
        numbers: dict[str, Any] = {"lines": self.lines, "patterns": self.patterns}
        numbers["lines_per_s_without"] = round(self.rate("without"))
        for name in ("message", "line", "hard"):
            numbers[f"lines_per_s_{name}"] = round(self.rate(name))
            numbers[f"ratio_{name}"] = round(self.rate(name) / self.rate("without"), 3)
            numbers[f"scans_per_line_{name}"] = round(last[name]["rule_scans"] / self.lines, 3)
            numbers[f"rss_mb_{name}"] = round(last[name]["rss_peak_bytes"] / 1e6, 1)
            numbers[f"hits_{name}"] = last[name]["rule_hits_deny"]
        numbers["ratio"] = numbers["ratio_message"]
        return numbers


def run(lines: int, patterns: int, repeats: int, as_json: bool) -> int:
    """Measures and prints; the last line is JSON where that is asked for."""

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    with tempfile.TemporaryDirectory(prefix="haechi-bench-", dir=memory_folder(lines)) as name:
        result = bench(Path(name), lines, patterns, repeats, say)
    for key, value in result.as_json().items():
        say(f"  {key:24} {value:,}" if isinstance(value, int) else f"  {key:24} {value}")
    if as_json:
        click.echo(json.dumps(result.as_json()))
    return 0


def bench(folder: Path, lines: int, patterns: int, repeats: int, say: Callable[[str], None]) -> RulesBench:
    settings: dict[str, Any] = {"eps": LOG_EPS, "form": "iso", "profile": "system"}
    log = folder / "app.log"
    say(f"making {lines:,} lines to read and {TRAIN_LINES:,} other ones to learn from")
    make(folder / "train.log", count=TRAIN_LINES, seed=1_000_001, **settings)
    make(log, count=lines, seed=1, anomaly_rate=0.001, **settings)
    say("training")
    bundle = train([folder / "train.log"], folder / "bundles", TRAINING).bundle
    files = write_sets(folder, patterns)
    say(f"reading them {repeats} times with each of {', '.join(files)}, in turns")
    turns = [
        read_once(log, folder, bundle, name, rules) for _ in range(repeats) for name, rules in files.items()
    ]
    return RulesBench(lines, patterns, turns)


def write_sets(folder: Path, patterns: int) -> dict[str, Path | None]:
    """Name of the turn -> its rule file; None: without rules."""
    usual, hard = rule_sets.realistic(patterns, SEED), rule_sets.hard(patterns, SEED)
    return {
        "without": None,
        "message": rule_sets.write(usual, "message", folder / "message.json"),
        "line": rule_sets.write(usual, "line", folder / "line.json"),
        "hard": rule_sets.write(hard, "message", folder / "hard.json"),
    }


def read_once(log: Path, folder: Path, bundle: Path, name: str, rules: Path | None) -> Turn:
    """A fresh engine of one worker. Its rate counts from the first line on: compiling is before it."""
    alerts = folder / "alerts.jsonl"
    alerts.unlink(missing_ok=True)
    config: dict[str, Any] = {
        "bundle": str(bundle),
        "onnxruntime": str(onnxruntime_library()),
        "workers": 1,
        "summary": "-",
        "sources": [str(log)],
        "alerts": str(alerts),
    }
    if rules is not None:
        config["rules"] = str(rules)
    with Process.start("haechi-detect", config) as process:
        return Turn(name, read_summary(process.finish()))

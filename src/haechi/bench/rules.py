"""`haechi bench rules`: what rules cost, as the detector's rate with them against its rate without.

Sets of 10, 100 and 1,000 regular expressions of detection rules (haechi.bench.rule_sets), once of the message
and once of the whole line. The same log, the same bundle, one worker. Every reading with rules lies between
two without, and is compared with those: what else the machine does meets all of them, and changes in the
middle of a run count for little. The spread is that of the turns, not of the mean.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from haechi.bench import rule_sets
from haechi.bench.detect import ANOMALY_RATE, LOG_EPS, TRAINING, memory_folder
from haechi.config.training import TrainingConfig
from haechi.native.tools import Process, onnxruntime_library, read_summary
from haechi.storm.maker import make
from haechi.train import run as train

TRAIN_LINES = 200_000
TRAIN_STEPS = 200
SEED = 1  # of the patterns
FIELDS = ("message", "line")
SETS: Mapping[str, Callable[[int, int], list[str]]] = {
    "realistic": rule_sets.realistic,
    "hard": rule_sets.hard,
}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """So many expressions, all of one field."""

    field: str
    patterns: int
    file: Path

    @property
    def name(self) -> str:
        return f"{self.field}_{self.patterns}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One reading with a set of rules, and the rate without any just before and just after it."""

    rules: RuleSet
    summary: Mapping[str, Any]
    lines_per_s_without: float

    @property
    def lines_per_s(self) -> float:
        return float(self.summary["lines_per_s"])

    @property
    def ratio(self) -> float:
        return self.lines_per_s / self.lines_per_s_without


@dataclass(frozen=True, slots=True)
class RulesBench:
    lines: int
    patterns: str  # the kind of set
    sets: Sequence[RuleSet]
    turns: Sequence[Turn]
    without: Sequence[Mapping[str, Any]]  # summaries

    def as_json(self) -> dict[str, Any]:
        """Plain numbers under the names that documents and graders use. ratio: of the largest set of the
        message, the median of its turns."""
        rates = [float(summary["lines_per_s"]) for summary in self.without]
        numbers: dict[str, Any] = {
            "set": self.patterns,
            "lines": self.lines,
            "turns": len(self.turns) // len(self.sets),
            "patterns": max(rules.patterns for rules in self.sets),
            "lines_per_s_without": round(statistics.median(rates)),
            "lines_per_s_without_min": round(min(rates)),
            "lines_per_s_without_max": round(max(rates)),
            "rss_mb_without": _megabytes(self.without),
        }
        for rules in self.sets:
            numbers |= self._of_set(rules)
        for field in FIELDS:
            numbers[f"ratio_{field}"] = numbers[f"ratio_{field}_{numbers['patterns']}"]
        numbers["ratio"] = numbers["ratio_message"]
        return numbers

    def _of_set(self, rules: RuleSet) -> dict[str, Any]:
        turns = [turn for turn in self.turns if turn.rules == rules]
        ratios = [turn.ratio for turn in turns]
        last = turns[-1].summary
        return {
            f"lines_per_s_{rules.name}": round(statistics.median(turn.lines_per_s for turn in turns)),
            f"ratio_{rules.name}": round(statistics.median(ratios), 3),
            f"ratio_{rules.name}_min": round(min(ratios), 3),
            f"ratio_{rules.name}_max": round(max(ratios), 3),
            f"hits_per_million_{rules.name}": round(last["rule_hits_deny"] / self.lines * 1e6),
            f"scans_per_line_{rules.name}": round(last["rule_scans"] / self.lines, 3),
            f"rss_mb_{rules.name}": _megabytes([turn.summary for turn in turns]),
        }


def _megabytes(summaries: Sequence[Mapping[str, Any]]) -> float:
    return round(max(int(summary["rss_peak_bytes"]) for summary in summaries) / 1e6, 1)


def run(lines: int, sizes: Sequence[int], repeats: int, patterns: str, as_json: bool) -> int:
    """Measures and prints; the last line is JSON where that is asked for."""

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    with tempfile.TemporaryDirectory(prefix="haechi-bench-", dir=memory_folder(lines)) as name:
        result = bench(Path(name), lines, sorted(set(sizes)), repeats, patterns, say)
    numbers = result.as_json()
    for key, value in numbers.items():
        say(f"  {key:32} {value:,}" if isinstance(value, int) else f"  {key:32} {value}")
    if as_json:
        click.echo(json.dumps(numbers))
    return 0


def bench(
    folder: Path,
    lines: int,
    sizes: Sequence[int],
    repeats: int,
    patterns: str,
    say: Callable[[str], None],
) -> RulesBench:
    settings: dict[str, Any] = {"eps": LOG_EPS, "form": "iso", "profile": "system"}
    log = folder / "app.log"
    say(f"making {lines:,} lines to read and {TRAIN_LINES:,} other ones to learn from")
    make(folder / "train.log", count=TRAIN_LINES, seed=SEED + 1_000_000, **settings)
    make(log, count=lines, seed=SEED, anomaly_rate=ANOMALY_RATE, **settings)
    say("training")
    bundle = train([folder / "train.log"], folder / "bundles", _training()).bundle
    sets = write_sets(folder, sizes, SETS[patterns])
    say(f"reading them {repeats} times with each of {', '.join(rules.name for rules in sets)}, in turns")
    without = [read_once(log, folder, bundle, None)]
    turns = []
    for rules in list(sets) * repeats:
        summary = read_once(log, folder, bundle, rules.file)
        without.append(read_once(log, folder, bundle, None))
        beside = statistics.mean(float(each["lines_per_s"]) for each in without[-2:])
        turns.append(Turn(rules, summary, beside))
    return RulesBench(lines, patterns, sets, turns, without)


def _training() -> TrainingConfig:
    """The detectors of `haechi bench detect` and their limits; but the network learns only so long that it
    answers, as what it knows costs the engine nothing: 99.8 % of the windows are remembered."""
    steps = {"min_steps": TRAIN_STEPS, "max_steps": TRAIN_STEPS}
    return TRAINING.model_copy(update={"fit": TRAINING.fit.model_copy(update=steps)})


def write_sets(
    folder: Path, sizes: Sequence[int], patterns_of: Callable[[int, int], list[str]]
) -> list[RuleSet]:
    return [
        RuleSet(field, size, rule_sets.write(patterns_of(size, SEED), field, folder / f"{field}-{size}.json"))
        for size in sizes
        for field in FIELDS
    ]


def read_once(log: Path, folder: Path, bundle: Path, rules: Path | None) -> Mapping[str, Any]:
    """A fresh engine's summary, of one worker. Its rate counts from the first line on: compiling is before
    it."""
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
        return read_summary(process.finish())

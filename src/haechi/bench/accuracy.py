"""`haechi bench accuracy`: real raw logs in time order, from training to the engine's alerts.

Training gets the first part of a log and the defaults; the engine reads the rest. Labels, where a log has
them, are only counted against.
"""

import csv
import json
import lzma
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from haechi.bench.hdfs import Confusion, DataError, data_folder
from haechi.config.training import TrainingConfig
from haechi.native.tools import ToolError, onnxruntime_library, tool_path
from haechi.train import TerminalProgress, TrainError, TrainResult
from haechi.train import run as train

Alert = dict[str, Any]

ENGINE_TIMEOUT_S = 600
FURTHER = ("counts", "rates", "values", "combos")
BGL_TRAINING_LINES = 10_000
BGL_WINDOW_S = 300
AUTH_TRAINING_LINES = 3_000
_BLOCK = re.compile(rb"blk_-?[0-9]+")
_ADDRESS = re.compile(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b")


@dataclass(frozen=True)
class Case:
    """A log cut into what is learned and what is searched."""

    name: str
    training: Sequence[bytes]
    searched: Sequence[bytes]
    judge: Callable[[Sequence[Alert]], dict[str, Any]]
    whole_sessions: bool = False
    """Whether every session is over at the end of the log; else those still open are not judged as ended."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one case; figures differ with the labels that there are."""

    name: str
    trained: TrainResult
    alerts: Sequence[Alert]
    detect_s: float
    figures: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and names."""
        by_detector = Counter(str(alert["detector"]) for alert in self.alerts)
        return {
            "log": self.name,
            "lines_trained": self.trained.lines,
            "session_rule": self.trained.session_rule,
            "log_keys": self.trained.log_keys,
            "train_s": round(self.trained.seconds, 1),
            "detect_s": round(self.detect_s, 2),
            "alerts": len(self.alerts),
            "alerts_deeplog": by_detector["deeplog"],
            "alerts_new_event": by_detector["new_event"],
            **{f"alerts_{name}": by_detector[name] for name in FURTHER},
            **self.figures,
        }


def run(data: Path | None, as_json: bool) -> int:
    """Every log that is there; a table each, and with as_json a JSON object as the last line. 0, or 1 with a
    sentence where nothing could be run."""
    console = Console(stderr=as_json)
    outcomes = []
    for prepare in (bgl, hdfs_complete_blocks, hdfs_first_20000, auth):
        try:
            outcome = measure(prepare(data))
        except (DataError, ToolError, TrainError, OSError) as error:
            Console(stderr=True).print(f"haechi bench accuracy: {error}", style="red")
            continue
        console.print(_table(outcome))
        outcomes.append(outcome.as_dict())
    if as_json and outcomes:
        print(json.dumps({str(outcome["log"]): outcome for outcome in outcomes}))
    return 0 if outcomes else 1


def measure(case: Case) -> Outcome:
    """Trains, detects, and counts; nothing is left on the disk. ToolError where the engine is not built."""
    tool = tool_path("haechi-detect")
    with tempfile.TemporaryDirectory(prefix="haechi-accuracy-") as name:
        folder = Path(name)
        training, searched = folder / "training.log", folder / "searched.log"
        training.write_bytes(b"".join(case.training))
        searched.write_bytes(b"".join(case.searched))
        with TerminalProgress() as progress:
            trained = train([training], folder / "bundles", TrainingConfig(), progress)
        began = time.perf_counter()
        alerts = detect(tool, trained.bundle, searched, folder / "alerts.jsonl", case.whole_sessions)
        detect_s = time.perf_counter() - began
    return Outcome(case.name, trained, alerts, detect_s, case.judge(alerts))


def detect(tool: Path, bundle: Path, log: Path, alerts: Path, close_at_end: bool) -> list[Alert]:
    """The engine's alerts on a log that ends; ToolError where it fails."""
    command: list[str | Path] = [tool, "--bundle", bundle, "--onnxruntime", onnxruntime_library()]
    if close_at_end:
        command.append("--close-at-end")
    done = subprocess.run(
        [*command, "--alerts", alerts, log],
        capture_output=True,
        timeout=ENGINE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        message = done.stderr.decode("utf-8", "replace").strip()
        raise ToolError(f"{tool.name} ended with status {done.returncode}: {message}")
    return [json.loads(line) for line in alerts.read_text(encoding="utf-8").splitlines()]


# --- Blue Gene/L: labelled lines --------------------------------------------------------------------


def bgl(data: Path | None) -> Case:
    """Trained on the first 10,000 lines (one alert among them), searched in the rest."""
    path = data_folder(data, "bgl_100k") / "bgl_100k.log.xz"
    with lzma.open(path) as file:
        lines = file.read().splitlines(keepends=True)
    searched = lines[BGL_TRAINING_LINES:]
    return Case("bgl_100k", lines[:BGL_TRAINING_LINES], searched, lambda alerts: judge_bgl(searched, alerts))


def judge_bgl(lines: Sequence[bytes], alerts: Sequence[Alert]) -> dict[str, Any]:
    """By the line that raised the alert, by stretch of five minutes, and by kind of labelled line.

    A repeated event is reported once and then held back, so the share of labelled lines with an alert of
    their own says little; whether its five minutes and its kind were reported says more.
    """
    kinds = [line.split(b" ", 1)[0].decode() for line in lines]
    stretch = [int(line.split(b" ", 2)[1]) // BGL_WINDOW_S for line in lines]
    place = {offset: i for i, offset in enumerate(_offsets(lines))}
    raised = [place[int(alert["lines"][-1]["offset"])] for alert in alerts if alert["lines"]]
    bad = {stretch[i] for i, kind in enumerate(kinds) if kind != "-"}
    flagged = {stretch[i] for i in raised}
    whole = set(stretch)
    windows = _confusion_of(flagged, bad, whole)
    return {
        "alerts_on_labelled_lines": sum(kinds[i] != "-" for i in raised),
        "labelled_lines": sum(kind != "-" for kind in kinds),
        "windows": len(whole),
        **_figures("window", windows),
        "kinds": len(set(kinds) - {"-"}),
        "kinds_reported": len({kinds[i] for i in raised} - {"-"}),
        "kinds_missed": sorted(set(kinds) - {"-"} - {kinds[i] for i in raised}),
        "kinds_within_10_lines": len(_found_at_once(kinds, set(raised))),
    }


def _found_at_once(kinds: Sequence[str], raised: set[int], within: int = 10) -> set[str]:
    """The kinds of labelled lines of which one of the first ten has an alert."""
    seen: Counter[str] = Counter()
    found = set()
    for i, kind in enumerate(kinds):
        seen[kind] += 1
        if kind != "-" and seen[kind] <= within and i in raised:
            found.add(kind)
    return found


def _offsets(lines: Sequence[bytes]) -> list[int]:
    lengths = np.array([0, *(len(line) for line in lines)])
    return [int(offset) for offset in np.cumsum(lengths)[:-1]]


# --- HDFS: labelled blocks --------------------------------------------------------------------------


def hdfs_complete_blocks(data: Path | None) -> Case:
    """Trained on the lines of the first half of the normal blocks, searched in all others."""
    lines, labels = _hdfs(data, "complete_blocks")
    normal = [block for block in _blocks(lines) if labels.get(block) == "Normal"]
    learned = set(normal[: len(normal) // 2])
    training = [line for line in lines if set(_BLOCK.findall(line)) <= learned]
    searched = [line for line in lines if not set(_BLOCK.findall(line)) <= learned]
    return Case("hdfs complete_blocks", training, searched, _judge_blocks(searched, labels, learned), True)


def hdfs_first_20000(data: Path | None) -> Case:
    """Trained on the first 10,000 lines, searched in the next 10,000. Blocks that began before do not count;
    many of the others are cut off by the end of the log, before what makes them anomalous."""
    lines, labels = _hdfs(data, "first_20000")
    half = len(lines) // 2
    return Case(
        "hdfs first_20000",
        lines[:half],
        lines[half:],
        _judge_blocks(lines[half:], labels, set(_blocks(lines[:half]))),
    )


def _hdfs(data: Path | None, name: str) -> tuple[list[bytes], dict[bytes, str]]:
    folder = data_folder(data, "hdfs_raw")
    with (folder / f"{name}.labels.csv").open(newline="") as file:
        labels = {row["BlockId"].encode(): row["Label"] for row in csv.DictReader(file)}
    return (folder / f"{name}.log").read_bytes().splitlines(keepends=True), labels


def _blocks(lines: Iterable[bytes]) -> list[bytes]:
    """In the order of their first lines."""
    return list(dict.fromkeys(block for line in lines for block in _BLOCK.findall(line)))


def _judge_blocks(
    lines: Sequence[bytes], labels: dict[bytes, str], left_out: set[bytes]
) -> Callable[[Sequence[Alert]], dict[str, Any]]:
    """Blocks with an alert against blocks labelled anomalous; by the model alone, and by any detector."""
    whole = {block.decode() for block in _blocks(lines) if block in labels and block not in left_out}
    bad = {name for name in whole if labels[name.encode()] != "Normal"}

    def judge(alerts: Sequence[Alert]) -> dict[str, Any]:
        any_detector = {str(alert["session"]) for alert in alerts} & whole
        model = {str(alert["session"]) for alert in alerts if alert["detector"] == "deeplog"} & whole
        return {
            "blocks": len(whole),
            "blocks_anomalous": len(bad),
            **_figures("deeplog", _confusion_of(model, bad, whole)),
            **_figures("any", _confusion_of(any_detector, bad, whole)),
        }

    return judge


# --- auth.log: no labels ----------------------------------------------------------------------------


def auth(data: Path | None) -> Case:
    """Trained on the first 3,000 lines; the log has no labels, so what it alerts on is shown."""
    path = data_folder(data, "auth_log") / "auth.log"
    lines = path.read_bytes().splitlines(keepends=True)
    searched = lines[AUTH_TRAINING_LINES:]
    return Case(
        "auth_log", lines[:AUTH_TRAINING_LINES], searched, lambda alerts: judge_auth(searched, alerts)
    )


def judge_auth(lines: Sequence[bytes], alerts: Sequence[Alert]) -> dict[str, Any]:
    """Which templates and which addresses the alerts name most often."""
    texts = Counter(str(alert["template"] or _masked(alert)) for alert in alerts)
    addresses = Counter(
        address
        for alert in alerts
        for address in set(_ADDRESS.findall(" ".join(str(line["text"]) for line in alert["lines"])))
    )
    return {
        "lines_searched": len(lines),
        "alerts_per_1000_lines": round(1000 * len(alerts) / max(len(lines), 1), 1),
        "top_templates": texts.most_common(8),
        "top_addresses": addresses.most_common(5),
    }


def _masked(alert: Alert) -> str:
    """The line of an alert that has no template, from its message on, without its numbers."""
    text = str(alert["lines"][-1]["text"]) if alert["lines"] else ""
    return re.sub("[0-9]+", "#", text.partition("]: ")[2] or text)[:70]


# --- counting and showing ---------------------------------------------------------------------------


def _confusion_of(flagged: set[Any], bad: set[Any], whole: set[Any]) -> Confusion:
    return Confusion(
        true_positive=len(flagged & bad),
        false_positive=len(flagged - bad),
        false_negative=len(bad - flagged),
        true_negative=len(whole - bad - flagged),
    )


def _figures(prefix: str, c: Confusion) -> dict[str, Any]:
    return {
        f"{prefix}_precision": c.precision,
        f"{prefix}_recall": c.recall,
        f"{prefix}_f1": c.f1,
        f"{prefix}_true_positive": c.true_positive,
        f"{prefix}_false_positive": c.false_positive,
        f"{prefix}_false_negative": c.false_negative,
    }


def _table(outcome: Outcome) -> Table:
    table = Table("figure", "value", title=outcome.name)
    for name, value in outcome.as_dict().items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    for note in outcome.trained.notes:
        table.add_row("note", note)
    return table

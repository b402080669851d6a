"""rates: limits for bursts and silences of hosts and of log keys, from what normal logs score.

The engine itself scores the training logs (core/src/detect/rates.c, asked to observe and to report nothing);
here the tail of those scores becomes limits. Real hosts speak in clumps, so what would be impossible for a
Poisson process is usual for them, and how usual is what is learned. What the hours of a day or a week hold
is learned in haechi.train.seasons.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from haechi.bundle import store
from haechi.bundle.manifest import Manifest, Other
from haechi.config.training import RatesConfig
from haechi.native.tools import ToolError, onnxruntime_library, tool_path
from haechi.train import seasons
from haechi.train.detector import Entry
from haechi.train.evidence import Evidence
from haechi.train.seasons import DAYS_LEAST, GROUPS, NOTHING, OFF, Scores, Season

NAME = "rates"
LEVELS = 3
SAMPLES_LEAST = 1000  # scores of a level, for it to be judged
_BEYOND = 1.2  # times the highest normal score
_LEAST_NATS = 10.0
_INTERVALS_S = (0.1, 1.0, 10.0, 60.0)
_EVENTS_WANTED = 5.0  # in the first level's interval of a host
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Limit:
    """Nats, None where there was too little to set one by; and what it rests on."""

    limit: float | None
    evidence: Evidence | None
    samples: int
    highest: float

    def section(self) -> dict[str, Any]:
        return {
            "limit": self.limit,
            "evidence": self.evidence.section() if self.evidence else None,
            "samples": self.samples,
            "highest": self.highest,
        }


def learn(
    logs: Sequence[Path],
    manifest: Manifest,
    files: Mapping[str, bytes],
    seconds: float,
    config: RatesConfig,
) -> Entry | None:
    """The detector's section, and its file where hours are known; None where the logs have no times, or are
    too short to tell anything. seconds: of event time in the logs. ToolError where the engine is not built or
    fails."""
    season: Season = OFF if config.seasonal == "off" else NOTHING
    interval = config.interval_s
    if interval == "auto" or (config.seasonal != "off" and seconds >= DAYS_LEAST * 86_400):
        first = _observe(logs, manifest, files, _section(1.0, config), {})
        if interval == "auto":
            interval = interval_for(manifest.corpus.lines, first["hosts"], seconds)
        season = seasons.learn(first, config) if config.seasonal != "off" else season
    section = _section(interval, config) | {"season": season.section()}
    seen = _observe(logs, manifest, files, section, season.files)
    groups = {
        group: {
            "burst": [limit_of(scores, config.budget) for scores in seen[group]["burst"]],
            "silence": [limit_of(seen[group]["silence"], config.budget)],
            "busy_hour": [limit_of(season.busy[group], config.budget)],
            "quiet_hour": [limit_of(season.quiet[group], config.budget)],
        }
        for group in GROUPS
    }
    if all(one.limit is None for group in groups.values() for listed in group.values() for one in listed):
        return None
    hosts, keys = (_group_section(groups[group]) for group in GROUPS)
    found = section | hosts | {"observe": False, "hosts": seen["hosts"], "keys": keys}
    return Entry(found, season.files)


def notes(manifest: Manifest) -> list[str]:
    """What a user should know of it: why nothing is known of hours."""
    for detector in manifest.detectors:
        if detector.name == NAME:
            why = (detector.model_dump().get("season") or {}).get("why")
            return [f"How often hosts and log keys speak at which hour is not judged: {why}."] if why else []
    return []


def _group_section(limits: Mapping[str, list[Limit]]) -> dict[str, Any]:
    return {
        "burst": [one.section() for one in limits["burst"]],
        **{name: limits[name][0].section() for name in ("silence", "busy_hour", "quiet_hour")},
    }


def limit_of(scores: Scores, budget: float) -> Limit:
    """The score that a share `budget` of normal intervals would pass, by the tail of those that were seen;
    and well above all of them, where they were too few to see one so rare."""
    count = np.array([n for _, n in scores], dtype=np.int64)
    value = np.array([score for score, _ in scores], dtype=np.float64)
    samples, highest = int(count.sum()), float(value.max(initial=0.0))
    if samples < SAMPLES_LEAST:
        return Limit(None, None, samples, highest)
    evidence = Evidence.fit(value, count)
    limit = max(evidence.score_at(-math.log(budget)), _BEYOND * highest, _LEAST_NATS)
    return Limit(limit, evidence, samples, highest)


def interval_for(lines: int, hosts: int, seconds: float) -> float:
    """The shortest interval in which a host says a handful of lines, in seconds."""
    per_second = lines / max(hosts, 1) / max(seconds, 1e-3)
    return next((one for one in _INTERVALS_S if per_second * one >= _EVENTS_WANTED), _INTERVALS_S[-1])


def _section(interval_s: float, config: RatesConfig) -> dict[str, Any]:
    """Without limits, and to be observed."""
    nothing = Limit(None, None, 0, 0.0)
    limits = _group_section(
        {"burst": [nothing] * LEVELS, "silence": [nothing], "busy_hour": [nothing], "quiet_hour": [nothing]}
    )
    return {
        "name": NAME,
        "interval_s": interval_s,
        "warm": config.warm,
        "max_hosts": config.max_hosts,
        "repeat_s": config.repeat_s,
        "observe": True,
        **limits,
        "keys": limits,
    }


def _observe(
    logs: Sequence[Path],
    manifest: Manifest,
    files: Mapping[str, bytes],
    section: Mapping[str, Any],
    beside: Mapping[str, bytes],
) -> dict[str, Any]:
    """What the engine saw: "of_hosts" and "of_keys", each with "burst" (scores of each level) and "silence"
    (scores); the number of "hosts"; and "hours" (haechi.train.seasons). beside: the detector's own files."""
    tool = tool_path("haechi-detect")
    keep = tuple(d for d in manifest.detectors if d.name == "new_event")
    kept = {store.TEMPLATES: files[store.TEMPLATES], **beside}
    alone = manifest.model_copy(
        update={
            "detectors": (*keep, Other.model_validate(section)),
            "files": {name: store.entry_of(content) for name, content in kept.items()},
        }
    )
    with tempfile.TemporaryDirectory(prefix="haechi-rates-") as folder:
        bundle = store.write(Path(folder), alone, kept)
        summary = Path(folder) / "summary.json"
        command: list[str | Path] = [
            tool,
            "--bundle",
            bundle.path,
            "--onnxruntime",
            onnxruntime_library(),
            "--workers",
            "1",
        ]
        command += ["--alerts", Path(folder) / "alerts", "--summary", summary, *logs]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise ToolError(f"{tool.name} did not end within {_TIMEOUT_S} s") from None
        if done.returncode != 0:
            message = done.stderr.decode("utf-8", "replace").strip()
            raise ToolError(f"{tool.name} ended with status {done.returncode}: {message}")
        seen = json.loads(summary.read_text())["observed"][NAME]
    assert isinstance(seen, dict)
    return seen

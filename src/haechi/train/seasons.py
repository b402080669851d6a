"""What each hour of a day or a week usually holds, of every host and every log key, from normal logs alone.

The engine counts the hours of the training logs (core/src/detect/rates_season.c); here their means become a
profile. It is one of the week where each of its hours was seen WEEKS_LEAST times, else one of the day where
each was seen DAYS_LEAST times, so that every day of the week was among them; else there is none. Limits come
from what each hour scores by the means of all others (leave one out), as the engine will score it: more than
this hour and the two beside it usually hold, or less than this hour alone does, by number and by share of all
lines alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from haechi.config.training import RatesConfig

FILE = "seasons.json"
FORMAT = 1
GROUPS = ("of_hosts", "of_keys")
DAYS_LEAST, WEEKS_LEAST = 8, 4
DAY, WEEK = 24, 168  # hours
_LEAST = 100  # lines of a host or a log key in all the logs, for its hours to be known
_MOST = 4096  # hosts, and log keys, whose hours are known: those of the most lines
_ROUND = 3  # digits of a score behind the point

Scores = list[list[float]]  # [score in nats, how often]
Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Season:
    """busy, quiet: the scores of the training hours of each group. why: what kept it from being known."""

    period_h: int = 0
    why: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    busy: Mapping[str, Scores] = field(default_factory=lambda: {group: [] for group in GROUPS})
    quiet: Mapping[str, Scores] = field(default_factory=lambda: {group: [] for group in GROUPS})

    def section(self) -> dict[str, Any]:
        if self.period_h:
            return {"period_h": self.period_h, "file": FILE}
        return {"period_h": 0, "why": self.why} if self.why else {"period_h": 0}


NOTHING = Season(why=f"the logs hold less than {DAYS_LEAST} whole days")
OFF = Season()


def learn(seen: Mapping[str, Any], config: RatesConfig) -> Season:
    """seen: what the engine observed. "hours": [[hour since 1970, lines, {host: lines}, {log key: lines}]],
    whole hours in the order of time; "hours_cut": true where there were too many to list."""
    hours = [row[0] for row in seen["hours"]]
    if seen["hours_cut"]:
        return Season(why="there are too many hosts and hours to count")
    period = period_for(hours, config.seasonal)
    if not period:
        return NOTHING
    slots = np.array(hours) % period
    total = np.array([row[1] for row in seen["hours"]], dtype=np.float64)
    names, counts = zip(*(_counts([row[2 + i] for row in seen["hours"]]) for i in (0, 1)), strict=True)
    busy, quiet = dict[str, Scores](), dict[str, Scores]()
    for group, count in zip(GROUPS, counts, strict=True):
        busy[group], quiet[group] = scores(count, total, slots, period)
    content = {
        "format": FORMAT,
        "period_h": period,
        "total": _rounded(_means(total[None, :], slots, period)[0]),
        "hosts": _rows("name", names[0], _means(counts[0], slots, period)),
        "keys": _rows("log_key", [int(key) for key in names[1]], _means(counts[1], slots, period)),
    }
    return Season(period, "", {FILE: json.dumps(content, separators=(",", ":")).encode()}, busy, quiet)


def period_for(hours: Sequence[int], wish: str) -> int:
    """Hours of the longest period that these tell something of; 0: of none. wish: auto, day, week or off."""
    for name, period, least in (("week", WEEK, WEEKS_LEAST), ("day", DAY, DAYS_LEAST)):
        often = np.bincount(np.array(hours, dtype=np.int64) % period, minlength=period)
        if wish in ("auto", name) and often.min() >= least:
            return period
    return 0


def scores(count: Counts, total: Counts, slots: npt.NDArray[np.int64], period: int) -> tuple[Scores, Scores]:
    """Busy and quiet scores of every hour of every row, by the means of the other hours.

    count: float64 [rows, hours]; total: float64 [hours]; slots: of each hour, int64 [hours].
    """
    seen = np.bincount(slots, minlength=period)[slots]
    means, all_means = _means(count, slots, period), _means(total[None, :], slots, period)[0]
    own = (means[:, slots] * seen - count) / (seen - 1)
    own_all = (all_means[slots] * seen - total) / (seen - 1)
    share = own / np.maximum(own_all, 1e-9)
    beside = [(slots + step) % period for step in (-1, 1)]
    by_time = np.max([own, *(means[:, slot] for slot in beside)], axis=0)
    by_share = np.max(
        [share, *(means[:, slot] / np.maximum(all_means[slot], 1e-9) for slot in beside)], axis=0
    )
    over = np.maximum(by_time, by_share * total) + 1
    busy = np.where(count > over, count * np.log(np.maximum(count, 1e-300) / over) - count + over, 0.0)
    under = np.minimum(own, share * total)
    lack = under - count + count * np.log(np.maximum(count, 1e-300) / np.maximum(under, 1e-300))
    return _listed(busy), _listed(np.where(count < under, lack, 0.0))


def _means(count: Counts, slots: npt.NDArray[np.int64], period: int) -> Counts:
    """float64 [rows, period]."""
    sums = np.zeros((count.shape[0], period))
    np.add.at(sums.T, slots, count.T)
    return sums / np.bincount(slots, minlength=period)


def _counts(rows: Sequence[Mapping[str, int]]) -> tuple[list[str], Counts]:
    """Those that came often enough, and float64 [names, hours]."""
    sums: dict[str, int] = {}
    for row in rows:
        for name, n in row.items():
            sums[name] = sums.get(name, 0) + n
    often = sorted((name for name, n in sums.items() if n >= _LEAST), key=lambda name: (-sums[name], name))
    names = sorted(often[:_MOST])
    place = {name: i for i, name in enumerate(names)}
    count = np.zeros((len(names), len(rows)))
    for hour, row in enumerate(rows):
        for name, n in row.items():
            if name in place:
                count[place[name], hour] = n
    return names, count


def _listed(found: Counts) -> Scores:
    value, often = np.unique(found.round(_ROUND), return_counts=True)
    return [[float(score), float(n)] for score, n in zip(value, often, strict=True)]


def _rows(name: str, names: Sequence[str | int], means: Counts) -> list[dict[str, Any]]:
    return [{name: one, "mean": _rounded(row)} for one, row in zip(names, means, strict=True)]


def _rounded(row: npt.NDArray[np.float64]) -> list[float]:
    return [float(f"{mean:.4g}") for mean in row]

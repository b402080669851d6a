"""From a stream of events to series: how often each log key came in each interval.

The most frequent keys of training have a series each; the last series counts every other event: rarer keys,
keys that were never trained on, lines that fit no template. So a key that appears for the first time moves a
series, and one that falls silent does too. A count c becomes ln(1 + c): a burst is seen, and does not drown
the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.corpus.sessions import NO_TIME, EventStream
from haechi.corpus.vocabulary import NO_TEMPLATE
from haechi.mscred.signature import HISTORY, STEP, WINDOWS
from haechi.train.error import TrainError

LEAST_MATRICES = 3 * HISTORY  # of each part: fewer say nothing about a threshold
MAX_INTERVALS = 500_000


@dataclass(frozen=True)
class Grouping:
    """series_of_key: int64 [log_keys + 1], the last entry for events without a key. count: series in all."""

    series_of_key: npt.NDArray[np.int64]
    count: int

    def keys_of(self, series: int) -> tuple[int, ...]:
        """The log keys that have this series to themselves; empty for the last one."""
        if series == self.count - 1:
            return ()
        return tuple(np.flatnonzero(self.series_of_key[:-1] == series).tolist())


def group(keys: npt.NDArray[np.int32], log_keys: int, most: int) -> Grouping:
    """A series for each of the most frequent keys, at most `most` with the last one for all others."""
    count = np.bincount(keys[keys != NO_TEMPLATE], minlength=log_keys)
    order = np.argsort(-count, kind="stable")
    own = order[: most - 1][count[order[: most - 1]] > 0]
    series = np.full(log_keys + 1, len(own), dtype=np.int64)
    series[own] = np.arange(len(own))
    return Grouping(series, len(own) + 1)


def count_events(
    stream: EventStream, grouping: Grouping, interval_us: int
) -> tuple[npt.NDArray[np.float64], int]:
    """[series, intervals] of ln(1 + count), and the number of the first interval: time in microseconds
    divided by interval_us, rounded down. Events without a time are left out; the first and the last interval
    are too, for they are not whole. TrainError where that leaves too few, or more than MAX_INTERVALS."""
    timed = stream.time_us != NO_TIME
    interval = stream.time_us[timed] // interval_us
    least = 2 * (max(WINDOWS) + STEP * (HISTORY - 1 + LEAST_MATRICES))
    whole = int(interval.max() - interval.min()) - 1 if len(interval) else 0
    seconds = interval_us / 1e6
    if whole < least:
        raise TrainError(
            f"mscred: the logs hold {max(whole, 0)} whole intervals of {seconds:g} s; at least {least} are "
            "needed: train on a longer stretch, or set a smaller mscred.interval_s"
        )
    if whole > MAX_INTERVALS:
        raise TrainError(
            f"mscred: the logs hold {whole} intervals of {seconds:g} s, more than {MAX_INTERVALS}: "
            "set a larger mscred.interval_s"
        )
    first = int(interval.min()) + 1
    inside = (interval >= first) & (interval < first + whole)
    key = stream.key[timed][inside].astype(np.int64)
    series = grouping.series_of_key[np.where(key == NO_TEMPLATE, len(grouping.series_of_key) - 1, key)]
    cell = series * whole + (interval[inside] - first)
    count = np.bincount(cell, minlength=grouping.count * whole).reshape(grouping.count, whole)
    return np.log1p(count), first

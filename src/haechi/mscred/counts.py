"""From a stream of events to series: how often each kind of event came in each interval.

A kind is a log key, a host, or both (mscred.by). The most frequent kinds of training have a series each;
the last series counts every other event: rarer kinds, keys and hosts that were never trained on, lines that
fit no template. So a kind that appears for the first time moves a series, and one that falls silent does too.
A count c becomes 2 sqrt(c + 3/8): counts of independent events then vary as much where they are many as where
they are few (Anscombe, 1948), and a burst does not drown the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.config.training import SeriesBy
from haechi.corpus.sessions import NO_TIME, EventStream
from haechi.corpus.vocabulary import NO_TEMPLATE
from haechi.mscred.hosts import NO_HOST, Hosts
from haechi.mscred.signature import HISTORY, STEP, WINDOWS
from haechi.train.error import TrainError

LEAST_MATRICES = 3 * HISTORY  # of each part: fewer say nothing about a threshold
MAX_INTERVALS = 500_000


@dataclass(frozen=True)
class Kind:
    """What a series counts; neither a key nor a host: whatever has no series of its own."""

    key: int | None = None
    host: str | None = None


@dataclass(frozen=True)
class Grouping:
    """Which series an event counts for.

    kinds     of each series; the last one is Kind()
    hosts     those that have a row of their own
    of        int64 [1 + hosts, log_keys + 1]: row 0 for all other hosts, then those of hosts; the last column
              for events without a key
    """

    kinds: tuple[Kind, ...]
    hosts: tuple[str, ...]
    of: npt.NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.kinds)


def group(
    keys: npt.NDArray[np.int32], log_keys: int, most: int, by: SeriesBy = "key", hosts: Hosts | None = None
) -> Grouping:
    """A series for each of the most frequent kinds, at most `most` with the last one for all others.

    hosts: of the same events, for another `by` than key. TrainError where no event names one.
    """
    if by == "key":
        return _grouping([Kind(key) for key in _frequent(keys[keys != NO_TEMPLATE], most - 1)], log_keys)
    assert hosts is not None and len(hosts.of) == len(keys)
    named = hosts.of != NO_HOST
    if not named.any():
        raise TrainError(
            f"mscred.by: {by} needs lines that name their host, and no line here does; set it to key"
        )
    if by == "host":
        own = _frequent(hosts.of[named], most - 1)
        return _grouping([Kind(host=hosts.names[host]) for host in own], log_keys)
    both = named & (keys != NO_TEMPLATE)
    pairs = _frequent(hosts.of[both].astype(np.int64) * log_keys + keys[both], most - 1)
    return _grouping([Kind(pair % log_keys, hosts.names[pair // log_keys]) for pair in pairs], log_keys)


def _frequent(values: npt.NDArray[np.int32] | npt.NDArray[np.int64], most: int) -> list[int]:
    """The most frequent values, the most frequent one first; of two as frequent ones the smaller."""
    found, count = np.unique(values, return_counts=True)
    return [int(value) for value in found[np.argsort(-count, kind="stable")[:most]]]


def _grouping(own: list[Kind], log_keys: int) -> Grouping:
    hosts = tuple(dict.fromkeys(kind.host for kind in own if kind.host is not None))
    of = np.full((1 + len(hosts), log_keys + 1), len(own), dtype=np.int64)
    row = {host: 1 + at for at, host in enumerate(hosts)} | {None: 0}
    for series, kind in enumerate(own):
        of[row[kind.host], slice(None) if kind.key is None else kind.key] = series
    return Grouping((*own, Kind()), hosts, of)


def series_of(stream: EventStream, grouping: Grouping, hosts: Hosts | None = None) -> npt.NDArray[np.int64]:
    """Of each event."""
    column = np.where(stream.key == NO_TEMPLATE, grouping.of.shape[1] - 1, stream.key.astype(np.int64))
    if not grouping.hosts:
        return np.asarray(grouping.of[0, column])
    assert hosts is not None
    row = {host: 1 + at for at, host in enumerate(grouping.hosts)}
    rows = np.array([row.get(name, 0) for name in hosts.names], dtype=np.int64)
    return np.asarray(grouping.of[rows[hosts.of], column])


def even(count: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Anscombe's transform."""
    return np.asarray(2 * np.sqrt(count + 0.375))


def count_events(
    stream: EventStream, grouping: Grouping, interval_us: int, hosts: Hosts | None = None
) -> tuple[npt.NDArray[np.float64], int]:
    """[series, intervals] of even(count), and the number of the first interval: time in microseconds
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
    series = series_of(stream, grouping, hosts)[timed][inside]
    cell = series * whole + (interval[inside] - first)
    count = np.bincount(cell, minlength=grouping.count * whole).reshape(grouping.count, whole)
    return even(count), first

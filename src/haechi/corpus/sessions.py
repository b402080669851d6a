"""Sessions: sequences of log keys, and how a stream of events is cut into them (see docs/bundle.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Sessions:
    """Sequences of log keys, end to end in one array.

    keys      int32 [events], NO_TEMPLATE where a line fitted none
    offsets   int64 [sessions + 1]: session i is keys[offsets[i]:offsets[i + 1]]
    count     int64 [sessions]: how many times this sequence occurred
    closed    bool [sessions]: its end was seen, so the end mark may be learned and judged
    start_us  int64 [sessions]: event time of the first event, NO_TIME where unknown
    """

    keys: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    closed: npt.NDArray[np.bool_]
    start_us: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.count)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def total(self) -> int:
        """Sessions as they occurred, repetitions included."""
        return int(self.count.sum())

    @property
    def events(self) -> int:
        """Events as they occurred, repetitions included."""
        return int((self.lengths * self.count).sum())

    @classmethod
    def from_sequences(cls, sequences: Sequence[Sequence[int]], count: Iterable[int] | None = None) -> Self:
        """Closed sessions without times. count: 1 each where not given."""
        lengths = np.array([len(s) for s in sequences], dtype=np.int64)
        n = len(sequences)
        return cls(
            keys=np.array([key for s in sequences for key in s], dtype=np.int32),
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            count=np.ones(n, np.int64) if count is None else np.fromiter(count, np.int64, n),
            closed=np.ones(n, dtype=np.bool_),
            start_us=np.full(n, NO_TIME, dtype=np.int64),
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Sessions"]) -> Self:
        """The sessions of several sets, one after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(
            keys=np.concatenate([part.keys for part in parts]),
            offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            count=np.concatenate([part.count for part in parts]),
            closed=np.concatenate([part.closed for part in parts]),
            start_us=np.concatenate([part.start_us for part in parts]),
        )

    def sequence(self, index: int) -> npt.NDArray[np.int32]:
        """The log keys of one session."""
        return self.keys[self.offsets[index] : self.offsets[index + 1]]

    def select(self, chosen: npt.NDArray[np.intp]) -> "Sessions":
        """The sessions at these indices, in this order."""
        lengths = self.lengths[chosen]
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return Sessions(
            keys=self.keys[np.repeat(self.offsets[chosen], lengths) + within],
            offsets=offsets,
            count=self.count[chosen],
            closed=self.closed[chosen],
            start_us=self.start_us[chosen],
        )

    def with_count(self, count: npt.NDArray[np.int64]) -> "Sessions":
        """The same sequences, occurring this often; those that occur never are left out."""
        kept = np.flatnonzero(count)
        chosen = self.select(kept)
        return Sessions(chosen.keys, chosen.offsets, count[kept], chosen.closed, chosen.start_us)

    def distinct(self) -> tuple["Sessions", npt.NDArray[np.intp]]:
        """Equal sequences merged, counts added; and each old session's index in the new ones."""
        place: dict[bytes, int] = {}
        to = np.empty(len(self), dtype=np.intp)
        first: list[int] = []
        for i in range(len(self)):
            name = self.sequence(i).tobytes() + (b"\1" if self.closed[i] else b"\0")
            to[i] = place.setdefault(name, len(first))
            if to[i] == len(first):
                first.append(i)
        merged = self.select(np.array(first, dtype=np.intp))
        count = np.bincount(to, weights=self.count, minlength=len(first)).astype(np.int64)
        return Sessions(merged.keys, merged.offsets, count, merged.closed, merged.start_us), to


@dataclass(frozen=True)
class EventStream:
    """Events in the order of their lines: int32 key, uint64 session (its name's hash), int64 time_us."""

    key: npt.NDArray[np.int32]
    session: npt.NDArray[np.uint64]
    time_us: npt.NDArray[np.int64]


def watermark(time_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The largest event time up to and with each event; NO_TIME before the first time is known."""
    return np.maximum.accumulate(time_us) if len(time_us) else time_us


def cut(stream: EventStream, idle_s: float) -> Sessions:
    """Events -> sessions, in the order of their first events.

    A session ends at an event of its own name when the watermark before that event is more than idle_s past
    the watermark at the session's last event. A session is closed when the final watermark is that far too.
    """
    n = len(stream.key)
    if n == 0:
        return Sessions.from_sequences([])
    after = watermark(stream.time_us)
    before = np.concatenate(([NO_TIME], after[:-1]))
    order = np.argsort(stream.session, kind="stable")
    name = stream.session[order]
    starts = np.empty(n, dtype=np.bool_)
    starts[0] = True
    starts[1:] = (name[1:] != name[:-1]) | _idle(after[order][:-1], before[order][1:], idle_s)
    first = np.flatnonzero(starts)
    offsets = np.concatenate((first, [n])).astype(np.int64)
    last = after[order][offsets[1:] - 1]
    same_name_again = np.concatenate((name[first[1:]] == name[first[1:] - 1], [False]))
    sessions = Sessions(
        keys=stream.key[order],
        offsets=offsets,
        count=np.ones(len(first), dtype=np.int64),
        closed=same_name_again | _idle(last, np.full(len(first), after[-1]), idle_s),
        start_us=stream.time_us[order][first],
    )
    return sessions.select(np.argsort(order[first], kind="stable"))


def _idle(since: npt.NDArray[np.int64], now: npt.NDArray[np.int64], idle_s: float) -> npt.NDArray[np.bool_]:
    """More than idle_s from one watermark to the other; never where either is not known yet."""
    known = (since != NO_TIME) & (now != NO_TIME)
    gap_us = np.where(known, now, 0) - np.where(known, since, 0)
    return np.asarray(known & (gap_us > round(idle_s * 1_000_000)))

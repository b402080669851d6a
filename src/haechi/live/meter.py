"""Rates out of counters that only grow: now, on average, at their peak, over the last minute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

WINDOW_S = 1.0  # what "now" is taken over
_SHORTEST_S = 0.9  # a peak over less would be of one burst
_BARS = "▁▂▃▄▅▆▇█"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")

R = TypeVar("R")


class Meter:
    """Reads totals of several counters at a time; time is of any clock that does not go back."""

    def __init__(self, at: float) -> None:
        self.started = at
        self.total = 0
        self._began = at  # when the first event had not come yet
        self.peak = 0.0
        self.minute: deque[float] = deque(maxlen=60)  # a rate a second, the last one at the end
        self._seen: deque[tuple[float, tuple[int, ...]]] = deque([(at, ())])
        self._second = (at, 0)

    def read(self, counters: Sequence[int], at: float) -> None:
        """A meter reads as many counters each time."""
        if self.total == 0:
            self._began = self._seen[-1][0]
        self.total = sum(counters)
        self._seen.append((at, tuple(counters)))
        while len(self._seen) > 2 and at - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        if at - self._seen[0][0] >= _SHORTEST_S:
            self.peak = max(self.peak, self.now)
        since, total = self._second
        if at - since >= WINDOW_S:
            self.minute.append((self.total - total) / (at - since))
            self._second = (at, self.total)

    @property
    def now(self) -> float:
        return sum(self.rates)

    @property
    def rates(self) -> list[float]:
        """Of each counter, over the last second."""
        (since, before), (at, counters) = self._seen[0], self._seen[-1]
        if at <= since:
            return [0.0] * len(counters)
        before = before or (0,) * len(counters)
        return [(n - was) / (at - since) for n, was in zip(counters, before, strict=True)]

    @property
    def average(self) -> float:
        """Since the first event."""
        seconds = self._seen[-1][0] - self._began
        return self.total / seconds if self.total and seconds > 0 else 0.0

    @property
    def elapsed(self) -> float:
        return self._seen[-1][0] - self.started


class Cost:
    """What a process takes, from /proc."""

    def __init__(self, pid: int, at: float) -> None:
        self._folder = Path("/proc") / str(pid)
        self._before = (at, self._cpu_seconds())
        self.cores = 0.0
        self.rss_bytes = 0
        self._ended = False

    def end(self) -> None:
        """The process takes nothing any more; its number may be somebody else's by now."""
        self.cores, self.rss_bytes, self._ended = 0.0, 0, True

    def read(self, at: float) -> None:
        """Keeps the last values where the process is gone."""
        if self._ended:
            return
        try:
            self.rss_bytes = int((self._folder / "statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return
        since, before = self._before
        if at - since >= WINDOW_S:
            now = self._cpu_seconds()
            self.cores = max(0.0, now - before) / (at - since)
            self._before = (at, now)

    def _cpu_seconds(self) -> float:
        try:
            # The command's name, in parentheses, may hold blanks.
            fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / _TICKS
        except (OSError, IndexError):
            return 0.0


def sparkline(values: Sequence[float], width: int) -> str:
    """The last values as bars, the highest of them full."""
    shown = list(values)[-width:] if width > 0 else []
    top = max(shown, default=0.0)
    if top <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] for value in shown)


def fold(rows: Sequence[R], room: int, merge: Callable[[Sequence[R]], R]) -> list[R]:
    """Rows that fit into so many lines (at least one): as many neighbours merged into each as it takes."""
    together = -(-len(rows) // max(1, room))
    if together <= 1:
        return list(rows)
    return [merge(rows[first : first + together]) for first in range(0, len(rows), together)]


def short(number: float) -> str:
    """1234567 as 1.23 M."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size * 0.9995:
            return f"{number / size:.{2 if abs(number) < 100 * size else 1}f}{suffix}"
    return f"{number:.0f}"


def clock(seconds: float) -> str:
    """75 as 1:15."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"

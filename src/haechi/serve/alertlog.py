"""Alerts of detectors, read from their files as they grow: the last so many are kept, older ones counted."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haechi.config.serve import SEVERITIES

READ_BYTES = 1 << 20  # at a time, so that a flood does not hold up everything else
LINE_BYTES = 64 << 10
BACKLOG_BYTES = 32 << 20  # where more lies behind, all but the last three quarters is counted and not read
KEPT_BYTES = 24 << 20
MUTES_MAX = 1000
_LAST_READS = 64
RECENT_S = 600  # seconds whose alerts are counted one by one

Kind = tuple[str, str, str]  # detector, rule, template: what one mutes


@dataclass(slots=True)
class Alert:
    """An alert's line as it was written, and what is looked for in it."""

    number: int
    job: str
    id: str
    time: str
    detector: str
    severity: str
    session: str
    kind: Kind
    line: bytes
    acknowledged: bool = False

    def view(self, muted: bool) -> dict[str, Any]:
        whole = json.loads(self.line)
        return {"number": self.number, "job": self.job, "acknowledged": self.acknowledged, "muted": muted} | {
            "alert": whole
        }


@dataclass(slots=True)
class Tail:
    """One alerts file, from where it was last read."""

    path: Path
    offset: int = 0
    rest: bytes = b""
    skipping: bool = False  # the rest of a line whose beginning was not kept
    held: bool = False  # its detector is being begun anew
    known: set[str] = field(default_factory=set)  # ids of alerts that will come again


@dataclass(frozen=True, slots=True)
class Filter:
    """What is left out of a list. Times are compared as texts, which ISO 8601 in UTC allows."""

    severity: str | None = None
    detector: str | None = None
    session: str | None = None
    job: str | None = None
    since: str | None = None
    until: str | None = None
    acknowledged: bool | None = None

    def takes(self, alert: Alert) -> bool:
        wanted = ((self.detector, alert.detector), (self.session, alert.session), (self.job, alert.job))
        return (
            all(want is None or want == have for want, have in wanted)
            and (self.severity is None or rank(alert.severity) >= rank(self.severity))
            and (self.since is None or alert.time >= self.since)
            and (self.until is None or (alert.time != "" and alert.time < self.until))
            and (self.acknowledged is None or alert.acknowledged == self.acknowledged)
        )


def rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


@dataclass(slots=True)
class AlertLog:
    """Of all detectors. Memory is bounded by number and by bytes."""

    kept: int
    clock: Callable[[], float]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # by job and severity
    older: int = 0  # that are not kept any more, or never were
    unreadable: int = 0  # lines that are no alert
    # Told of each alert that is not muted, with all that it says.
    on_alert: Callable[[Alert, dict[str, Any]], None] = lambda alert, whole: None
    _alerts: deque[Alert] = field(default_factory=deque)
    _bytes: int = 0
    _next: int = 1
    _tails: dict[str, Tail] = field(default_factory=dict)
    _mutes: dict[Kind, float] = field(default_factory=dict)
    _recent: deque[tuple[int, Counter[str]]] = field(default_factory=lambda: deque(maxlen=RECENT_S))

    def follow(self, job: str, path: Path) -> None:
        self._tails[job] = Tail(path)

    def hold(self, job: str) -> None:
        """Its detector has died. What it wrote is read; a last line that was cut is left for the next one,
        which takes it away and writes it again. Nothing is read until `go_on`."""
        if (tail := self._tails.get(job)) is not None:
            for _ in range(_LAST_READS):
                if not self._read(job, tail):
                    break
            tail.offset, tail.rest, tail.held = tail.offset - len(tail.rest), b"", True

    def go_on(self, job: str) -> None:
        if (tail := self._tails.get(job)) is not None:
            tail.held = False

    def follow_again(self, job: str, path: Path) -> None:
        """A detector that reads everything again makes the same alerts again, with the same ids, into another
        file: those that are kept are not taken twice."""
        known = {alert.id for alert in self._alerts if alert.job == job}
        self._tails[job] = Tail(path, known=known)

    def keep(self, kept: int) -> None:
        """From now on so many."""
        self.kept = kept
        self._forget()

    def leave(self, job: str) -> None:
        """After its detector has ended, and what it wrote was read."""
        self._tails.pop(job, None)

    def read(self) -> bool:
        """Takes what was written since the last call, of each file a bounded piece; whether there is more."""
        more = [self._read(job, tail) for job, tail in self._tails.items() if not tail.held]
        return any(more)

    def find(self, wanted: Filter, limit: int, before: int | None = None) -> list[Alert]:
        """The newest first; with `before` only those with a smaller number, so that pages hold still while
        alerts arrive."""
        found: list[Alert] = []
        for alert in reversed(self._alerts):
            if (before is None or alert.number < before) and wanted.takes(alert):
                found.append(alert)
                if len(found) == limit:
                    break
        return found

    def get(self, number: int) -> Alert | None:
        index = number - (self._alerts[0].number if self._alerts else 0)
        return self._alerts[index] if 0 <= index < len(self._alerts) else None

    def __len__(self) -> int:
        return len(self._alerts)

    def mute(self, alert: Alert, seconds: float) -> None:
        """Says nothing of alerts of this kind for so long. The longest-lasting are kept where too many."""
        self._mutes[alert.kind] = self.clock() + seconds
        for kind in sorted(self._mutes, key=lambda kind: self._mutes[kind])[:-MUTES_MAX]:
            del self._mutes[kind]

    def unmute(self, alert: Alert) -> None:
        self._mutes.pop(alert.kind, None)

    def is_muted(self, kind: Kind) -> bool:
        return self._mutes.get(kind, 0.0) > self.clock()

    def mutes(self) -> Iterator[tuple[Kind, float]]:
        """Kinds, and for how many seconds more."""
        now = self.clock()
        return ((kind, until - now) for kind, until in self._mutes.items() if until > now)

    def count_since(self, seconds: float, severity: str) -> int:
        """Alerts of exactly this severity that came in the last seconds and were not muted."""
        since = self.clock() - seconds
        return sum(counts[severity] for second, counts in self._recent if second >= since)

    def _read(self, job: str, tail: Tail) -> bool:
        try:
            with tail.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < tail.offset:
                    tail.offset, tail.rest, tail.skipping = 0, b"", False
                if size - tail.offset > BACKLOG_BYTES:
                    self._skip(file.fileno(), job, tail, size - BACKLOG_BYTES * 3 // 4)
                data = os.pread(file.fileno(), READ_BYTES, tail.offset)
        except FileNotFoundError:
            return False
        tail.offset += len(data)
        *lines, rest = (tail.rest + data).split(b"\n")
        for line in lines:
            if tail.skipping:
                tail.skipping = False
            else:
                self._take(job, line, tail.known)
        if len(rest) > LINE_BYTES:
            if not tail.skipping:
                self.unreadable += 1
            rest, tail.skipping = b"", True
        tail.rest = rest
        return len(data) == READ_BYTES

    def _skip(self, fd: int, job: str, tail: Tail, to: int) -> None:
        """The lines in between are counted; of what severity they were nobody knows."""
        missed = 0
        while tail.offset < to:
            data = os.pread(fd, min(READ_BYTES, to - tail.offset), tail.offset)
            if not data:
                break
            missed += data.count(b"\n")
            tail.offset += len(data)
        # The one that is begun here is counted, and its end is passed over.
        missed += 1
        tail.rest, tail.skipping = b"", True
        self.older += missed
        self.counts[job, "unknown"] += missed

    def _take(self, job: str, line: bytes, known: set[str]) -> None:
        try:
            whole = json.loads(line)
            severity, detector = str(whole["severity"]), str(whole["detector"])
            kind = (detector, str(whole["rule"]), str(whole.get("template") or ""))
            alert = Alert(
                self._next,
                job,
                str(whole["id"]),
                str(whole["time"] or ""),
                detector,
                severity if severity in SEVERITIES else "low",
                str(whole["session"]),
                kind,
                line,
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            self.unreadable += 1
            return
        if alert.id in known:
            known.discard(alert.id)
            return
        self._next += 1
        self.counts[job, alert.severity] += 1
        if not self.is_muted(kind):
            self._count_recent(alert.severity)
            self.on_alert(alert, whole)
        self._alerts.append(alert)
        self._bytes += len(line)
        self._forget()

    def _forget(self) -> None:
        while len(self._alerts) > self.kept or self._bytes > KEPT_BYTES:
            self._bytes -= len(self._alerts.popleft().line)
            self.older += 1

    def _count_recent(self, severity: str) -> None:
        second = int(self.clock())
        if not self._recent or self._recent[-1][0] != second:
            self._recent.append((second, Counter()))
        self._recent[-1][1][severity] += 1

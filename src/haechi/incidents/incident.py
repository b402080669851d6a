"""One incident: what is known of it so far, in bounded memory."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from haechi.config.incidents import SEVERITIES, IncidentsConfig, Severity
from haechi.incidents.causes import Key
from haechi.incidents.facts import Facts

COUNTED_MAX = 4096  # different names of one sort; how many more there are nobody knows
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANKS: dict[str, int] = {name: place for place, name in enumerate(SEVERITIES)}

State = Literal["open", "closed"]


class Names:
    """Different texts: how many, and how often those of the first that are kept."""

    __slots__ = ("_further", "count_of", "kept")

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self.count_of: dict[str, int] = {}
        self._further: set[str] = set()

    def add(self, name: str) -> None:
        count_of = self.count_of
        count = count_of.get(name)
        if count is not None:
            count_of[name] = count + 1
        elif len(count_of) < self.kept:
            count_of[name] = 1
        elif len(self._further) < COUNTED_MAX:
            self._further.add(name)

    @property
    def number(self) -> int:
        return len(self.count_of) + len(self._further)

    @property
    def is_all(self) -> bool:
        return len(self._further) < COUNTED_MAX

    def names(self) -> list[str]:
        """The most frequent first; of equals, the one that came first."""
        return sorted(self.count_of, key=lambda name: -self.count_of[name])

    def view(self) -> dict[str, Any]:
        return {"number": self.number, "at_least": not self.is_all, "names": self.names()}


@dataclass(slots=True)
class Incident:
    """Made by the alert that opens it; `take` is for each one after it."""

    id: str
    cause: Key
    first: Facts
    config: IncidentsConfig
    first_us: int | None = None
    last_us: int | None = None
    count: int = 0
    worst: int = 0
    evidence: float = 0.0
    detectors: dict[str, float] = field(default_factory=dict)
    state: State = "open"
    raised: bool = False
    held_back: bool = False  # it would have been raised, had its cause not been raised a short while ago
    sessions: Names = field(init=False)
    hosts: Names = field(init=False)
    kinds: Names = field(init=False)
    sources: Names = field(init=False)
    users: Names = field(init=False)
    rules: Names = field(init=False)
    first_alerts: list[str] = field(default_factory=list)
    last_alerts: deque[str] = field(init=False)

    def __post_init__(self) -> None:
        kept = self.config.names_kept
        self.sessions, self.hosts, self.kinds = Names(kept), Names(kept), Names(kept)
        self.sources, self.users, self.rules = Names(kept), Names(kept), Names(kept)
        half = self.config.alerts_kept // 2
        self.last_alerts = deque(maxlen=self.config.alerts_kept - half)

    @classmethod
    def begin(cls, cause: Key, facts: Facts, config: IncidentsConfig) -> Incident:
        """Its id follows from its first alert alone."""
        digest = hashlib.blake2b("\0".join((facts.id, *cause)).encode("utf-8", "replace"), digest_size=8)
        return cls(digest.hexdigest(), cause, facts, config)

    def take(self, facts: Facts) -> None:
        self.count += 1
        at_us = facts.at_us
        if at_us is not None:
            if self.first_us is None or at_us < self.first_us:
                self.first_us = at_us
            if self.last_us is None or at_us > self.last_us:
                self.last_us = at_us
        severity = _RANKS.get(facts.severity, 0)
        if severity > self.worst:
            self.worst = severity
        for name, evidence in facts.detectors:
            before = self.detectors.get(name)
            if before is None:
                if len(self.detectors) < self.config.names_kept:
                    self.detectors[name] = evidence
            elif evidence > before:
                self.detectors[name] = evidence
        if facts.evidence > self.evidence:
            self.evidence = facts.evidence
        self._note_names(facts)
        if len(self.first_alerts) < self.config.alerts_kept // 2:
            self.first_alerts.append(facts.id)
        else:
            self.last_alerts.append(facts.id)

    def _note_names(self, facts: Facts) -> None:
        if facts.session and not facts.wide:
            self.sessions.add(facts.session)
        if facts.host:
            self.hosts.add(facts.host)
        if facts.detector == "mscred":
            for kind in facts.kinds:
                self.kinds.add(kind)
        elif facts.kind:
            self.kinds.add(facts.kind)
        if facts.source:
            self.sources.add(facts.source)
        if facts.user:
            self.users.add(facts.user)
        self.rules.add(f"{facts.detector} {facts.rule}")

    @property
    def severity(self) -> Severity:
        """Of its worst alert, a step higher where enough detectors agree."""
        return SEVERITIES[self.rank]

    @property
    def rank(self) -> int:
        if len(self.detectors) < self.config.agreeing or self.worst == len(SEVERITIES) - 1:
            return self.worst
        return self.worst + 1

    @property
    def qualifies(self) -> bool:
        """Whether it is worth a person's time."""
        wanted = self.config.raised
        return (
            len(self.detectors) >= wanted.detectors
            or self.rank >= _RANKS[wanted.severity]
            or self.evidence >= wanted.evidence
            or self.count >= wanted.alerts
        )

    @property
    def alerts(self) -> list[str]:
        """Ids, the first ones and the last."""
        return [*self.first_alerts, *self.last_alerts]

    def summary(self) -> str:
        """One sentence."""
        what = f"{_many(self.count, 'alert')} in {_many(self.sessions.number, 'session')}"
        if self.sessions.number == 0:
            what = _many(self.count, "alert")
        if self.hosts.number > 1:
            what += f" on {self.hosts.number} hosts"
        elif self.hosts.number == 1 and self.cause[0] not in ("at", "burst"):
            what += f" on {self.hosts.names()[0]}"
        if (lasted := self.lasted_s) is not None and lasted >= 0.001:
            what += f" within {_span(lasted)}"
        kind = f': "{names[0]}"' if (names := self.kinds.names()) else ""
        if self.kinds.number > 1:
            kind += f" and {_many(self.kinds.number - 1, 'other kind')}"
        found = self.by_strength()
        agree = f"; {_listed(found)} {'agree' if len(found) > 1 else 'speaks'}"
        return f"{self.subject()}: {what}{kind}{agree}."

    def subject(self) -> str:
        """Whom or what it is about."""
        match self.cause:
            case ("source", address):
                return f"Source {address}"
            case ("at" | "burst", host, *_):
                hosts = self.hosts.number
                return f"Host {host}" + (f" and {_many(hosts - 1, 'other')}" if hosts > 1 else "")
            case ("series", *_):
                return "Counts of events"
        if self.hosts.number > 1:
            return "Several hosts"
        return "Several sessions" if self.sessions.number > 1 else f"Session {self.first.session or '-'}"

    def by_strength(self) -> list[str]:
        return [name for name, _ in sorted(self.detectors.items(), key=lambda one: (-one[1], one[0]))]

    @property
    def lasted_s(self) -> float | None:
        if self.first_us is None or self.last_us is None:
            return None
        return (self.last_us - self.first_us) / 1e6

    def view(self) -> dict[str, Any]:
        """For machines."""
        return {
            "id": self.id,
            "state": self.state,
            "severity": self.severity,
            "raised": self.raised,
            "held_back": self.held_back,
            "first": time_text(self.first_us),
            "last": time_text(self.last_us),
            "count": self.count,
            "summary": self.summary(),
            "cause": {"sort": self.cause[0], "of": list(self.cause[1:])},
            "line": self.first.line or None,
            "evidence": round(self.evidence, 4),
            "detectors": [
                {"name": name, "evidence": round(self.detectors[name], 4)} for name in self.by_strength()
            ],
            "rules": self.rules.names(),
            "sessions": self.sessions.view(),
            "hosts": self.hosts.view(),
            "kinds": self.kinds.view(),
            "sources": self.sources.view(),
            "users": self.users.view(),
            "alerts": self.alerts,
        }


def time_text(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _many(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _span(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"

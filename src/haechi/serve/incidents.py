"""Incidents of all detectors: grouped as their alerts come, the last so many kept, said a bounded number of
times."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from haechi.config.incidents import SEVERITIES, IncidentsConfig, Severity
from haechi.incidents.grouping import Change, Grouping
from haechi.incidents.incident import Incident, State
from haechi.serve.alertlog import Alert

KEPT = 1000  # closed ones; the oldest go
SAID_A_MINUTE = 20  # messages; further incidents of the minute are one message at its end
_MINUTE_S = 60.0


@dataclass(slots=True)
class Entry:
    """An incident, and what the server knows of it besides."""

    number: int
    incident: Incident
    first_alerts: list[int] = field(default_factory=list)
    last_alerts: deque[int] = field(default_factory=deque)
    acknowledged: bool = False

    def take(self, number: int, kept: int) -> None:
        half = kept // 2
        if len(self.first_alerts) < half:
            self.first_alerts.append(number)
            return
        self.last_alerts.append(number)
        if len(self.last_alerts) > kept - half:
            self.last_alerts.popleft()

    def view(self) -> dict[str, Any]:
        numbers = [*self.first_alerts, *self.last_alerts]
        own = {"number": self.number, "acknowledged": self.acknowledged, "alert_numbers": numbers}
        return own | self.incident.view()


@dataclass(frozen=True, slots=True)
class Said:
    """A message's parts."""

    subject: str
    event: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is left out of a list."""

    state: State | None = None
    severity: Severity | None = None
    raised: bool | None = None
    acknowledged: bool | None = None

    def takes(self, entry: Entry) -> bool:
        one = entry.incident
        return (
            (self.state is None or one.state == self.state)
            and (self.severity is None or one.rank >= SEVERITIES.index(self.severity))
            and (self.raised is None or one.raised == self.raised)
            and (self.acknowledged is None or entry.acknowledged == self.acknowledged)
        )


class IncidentBook:
    def __init__(self, config: IncidentsConfig, clock: Callable[[], float]) -> None:
        self.grouping = Grouping(config, self._note)
        self.ungrouped = 0  # alerts that say too little to be grouped
        self._config = config
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._closed: deque[str] = deque()
        self._next = 1
        self._unsaid: list[tuple[Change, Incident]] = []
        self._said_at: deque[float] = deque()
        self._held: dict[str, Incident] = {}

    @property
    def open(self) -> int:
        return self.grouping.open

    @property
    def last(self) -> int:
        """The number of the newest; 0: there was none."""
        return self._next - 1

    def take(self, alert: Alert, whole: Mapping[str, Any]) -> None:
        try:
            incident = self.grouping.take(whole)
        except ValueError:
            self.ungrouped += 1
            return
        self._entries[incident.id].take(alert.number, self._config.alerts_kept)

    def find(self, wanted: Wanted, limit: int, before: int | None = None) -> list[Entry]:
        """The newest first; with `before` only those with a smaller number."""
        found: list[Entry] = []
        for entry in reversed(self._entries.values()):
            if (before is None or entry.number < before) and wanted.takes(entry):
                found.append(entry)
                if len(found) == limit:
                    break
        return found

    def get(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def __len__(self) -> int:
        return len(self._entries)

    def to_say(self) -> Iterator[Said]:
        """What was raised, or has become worse, since the last call."""
        unsaid, self._unsaid = self._unsaid, []
        now = self._clock()
        while self._said_at and now - self._said_at[0] >= _MINUTE_S:
            self._said_at.popleft()
        if self._held and len(self._said_at) < SAID_A_MINUTE:
            yield self._others(now)
        for change, incident in unsaid:
            if len(self._said_at) < SAID_A_MINUTE - 1:
                self._said_at.append(now)
                yield Said(incident.subject(), change, incident.severity, incident.summary())
            else:
                self._held[incident.id] = incident

    def _others(self, now: float) -> Said:
        """One message for all that could not be said one by one."""
        held, self._held = self._held, {}
        self._said_at.append(now)
        worst = max(held.values(), key=lambda one: one.rank)
        text = f"{len(held):,} further incidents were raised; the worst: {worst.summary()}"
        return Said("several", "raised", worst.severity, text)

    def _note(self, change: Change, incident: Incident) -> None:
        if change == "opened":
            self._entries.pop(incident.id, None)  # of the same alert, long ago
            self._entries[incident.id] = Entry(self._next, incident)
            self._next += 1
        elif change == "closed":
            self._closed.append(incident.id)
            while len(self._closed) > KEPT:
                self._forget(self._closed.popleft())
        else:
            self._unsaid.append((change, incident))

    def _forget(self, name: str) -> None:
        entry = self._entries.get(name)
        if entry is not None and entry.incident.state == "closed":
            del self._entries[name]

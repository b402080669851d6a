"""Incidents of all detectors: grouped as their alerts come, the last so many kept, said a bounded number of
times. Those of earlier servers are closed and stay listed (incident_store.py)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from haechi.config.incidents import SEVERITIES, IncidentsConfig, Severity
from haechi.incidents.grouping import Change, Grouping
from haechi.incidents.incident import Incident, State
from haechi.serve.alertlog import Alert
from haechi.serve.incident_store import IncidentStore

KEPT = 1000  # closed ones; the oldest go
SAID_A_MINUTE = 20  # messages; further incidents of the minute are one message at its end
WRITTEN_EVERY_S = 10.0  # of one that only grows; another change is written at once
WRITTEN_AT_ONCE = 100
_MINUTE_S = 60.0


class Entry(Protocol):
    """An incident of this server or of an earlier one."""

    number: int
    acknowledged: bool

    @property
    def state(self) -> State: ...
    @property
    def rank(self) -> int: ...
    @property
    def raised(self) -> bool: ...
    def view(self) -> dict[str, Any]: ...


@dataclass(slots=True)
class Past:
    """What an earlier server knew of it when it ended. Its alerts are no longer kept under their numbers."""

    number: int
    acknowledged: bool
    whole: dict[str, Any]

    @classmethod
    def of(cls, view: dict[str, Any]) -> Past:
        return cls(view["number"], view["acknowledged"], {**view, "state": "closed", "alert_numbers": []})

    @property
    def state(self) -> State:
        return "closed"

    @property
    def rank(self) -> int:
        return SEVERITIES.index(self.whole["severity"])

    @property
    def raised(self) -> bool:
        return bool(self.whole["raised"])

    def view(self) -> dict[str, Any]:
        return {**self.whole, "acknowledged": self.acknowledged}


@dataclass(slots=True)
class Present:
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

    @property
    def state(self) -> State:
        return self.incident.state

    @property
    def rank(self) -> int:
        return self.incident.rank

    @property
    def raised(self) -> bool:
        return self.incident.raised

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
        return (
            (self.state is None or entry.state == self.state)
            and (self.severity is None or entry.rank >= SEVERITIES.index(self.severity))
            and (self.raised is None or entry.raised == self.raised)
            and (self.acknowledged is None or entry.acknowledged == self.acknowledged)
        )


class IncidentBook:
    """store: where incidents are written down, in one that outlives the server."""

    def __init__(
        self, config: IncidentsConfig, clock: Callable[[], float], store: IncidentStore | None = None
    ) -> None:
        self.grouping = Grouping(config, self._note)
        self.ungrouped = 0  # alerts that say too little to be grouped
        self._config = config
        self._clock = clock
        self._store = store
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._changed: dict[str, None] = {}  # to be written at once
        self._grown: dict[str, None] = {}  # to be written some time
        self._written_s = clock()
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
        entry = self._entries[incident.id]
        assert isinstance(entry, Present)
        entry.take(alert.number, self._config.alerts_kept)
        if self._store is not None:
            self._grown[incident.id] = None

    def load(self) -> None:
        """Those of earlier servers, the last of them. Before the first alert."""
        if self._store is None:
            return
        for view in self._store.load()[-KEPT:]:
            past = Past.of(view)
            self._entries[view["id"]] = past
            self._closed.append(view["id"])
            self._next = past.number + 1

    def acknowledge(self, name: str) -> Entry | None:
        """Somebody sees to it. None where it is not kept."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.acknowledged = True
            self._changed[name] = None
        return entry

    def write(self, everything: bool = False) -> None:
        """What has changed, a bounded number of them; everything: at the end."""
        if self._store is None:
            return
        now = self._clock()
        if everything or now - self._written_s >= WRITTEN_EVERY_S:
            self._written_s = now
            self._changed |= self._grown
            self._grown.clear()
        names = list(self._changed)[: None if everything else WRITTEN_AT_ONCE]
        for name in names:
            del self._changed[name]
        if self._store.is_long:
            self._store.write_anew(entry.view() for entry in self._entries.values())
        else:
            self._store.add(self._entries[name].view() for name in names if name in self._entries)

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
            entry = Present(self._next, incident)
            before = self._entries.pop(incident.id, None)  # of the same alert, long ago or by another server
            entry.acknowledged = before is not None and before.acknowledged
            self._entries[incident.id] = entry
            self._next += 1
            return
        if self._store is not None:
            self._changed[incident.id] = None
        if change == "closed":
            self._closed.append(incident.id)
            while len(self._closed) > KEPT:
                self._forget(self._closed.popleft())
        else:
            self._unsaid.append((change, incident))

    def _forget(self, name: str) -> None:
        entry = self._entries.get(name)
        if entry is not None and entry.state == "closed":
            del self._entries[name]

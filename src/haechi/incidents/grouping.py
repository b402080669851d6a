"""Alerts in, incidents out, one alert at a time.

The same alerts in the same order give the same incidents. What decides is event time: the largest one so
far is where the log stands; an alert without one happens there. A single alert far in the future does not
move it, two in a row do: one line with a wrong date must not close everything.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from haechi.config.incidents import IncidentsConfig
from haechi.incidents.causes import SPREAD, Causes, Key, causes_of
from haechi.incidents.facts import Facts, facts_of
from haechi.incidents.incident import Incident

KEYS_MAX = 512  # that an incident gets from later alerts; the oldest are let go of
COOLDOWNS_MAX = 10_000
FAR_US = 86_400_000_000

Change = Literal["opened", "raised", "worse", "closed"]
Tell = Callable[[Change, Incident], None]


@dataclass(slots=True)
class _Open:
    """An open incident, and what leads to it."""

    incident: Incident
    touched_us: int  # where the log stood
    own: list[Key] = field(default_factory=list)
    later: OrderedDict[Key, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class _Lead:
    holder: _Open
    at_us: int


class Grouping:
    """`tell` is called at each change: opened; raised (worth a person's time, and not said already); worse (a
    raised one's severity has grown); closed."""

    def __init__(
        self,
        config: IncidentsConfig,
        tell: Callable[[Change, Incident], None] = lambda change, incident: None,
    ) -> None:
        self.config = config
        self.opened = self.raised = self.held_back = self.closed = self.alerts = 0
        self._tell = tell
        self._window_us = round(config.window * 1e6)
        self._spread_us = round(config.spread_window * 1e6)
        self._quiet_us = round(config.quiet * 1e6)
        self._cooldown_us = round(config.cooldown * 1e6)
        self._open: OrderedDict[str, _Open] = OrderedDict()  # what was touched last is last
        self._leads: dict[Key, _Lead] = {}
        self._cooling: OrderedDict[Key, tuple[int, int]] = OrderedDict()  # raised when, and how severe
        self._now_us: int | None = None
        self._ahead = False  # the alert before was far in the future

    def take(self, alert: Mapping[str, Any]) -> Incident:
        """The incident that the alert is of now. ValueError where it is none."""
        return self.take_facts(facts_of(alert))

    def take_facts(self, facts: Facts) -> Incident:
        self.alerts += 1
        now_us = self._move(facts.at_us)
        self._close_quiet(now_us)
        at_us = now_us if facts.at_us is None else facts.at_us
        causes = causes_of(facts, self.config.by_source)
        holder = self._find(causes, at_us)
        opens = holder is None
        if holder is None:
            holder = self._begin(causes, facts, now_us)
        self._lead(holder, causes, at_us, opens)
        incident = holder.incident
        before = incident.rank
        incident.take(facts)
        holder.touched_us = now_us
        self._open.move_to_end(incident.id)
        if opens:
            self._tell("opened", incident)
        self._judge(incident, at_us, before)
        return incident

    def incidents(self) -> Iterator[Incident]:
        """Those that are open, in the order of their last alerts."""
        return (holder.incident for holder in self._open.values())

    @property
    def open(self) -> int:
        return len(self._open)

    def end(self) -> None:
        """Of a log that goes on no further than its last alert: what is quiet by then is closed."""
        if self._now_us is not None:
            self._close_quiet(self._now_us)

    def _move(self, at_us: int | None) -> int:
        now_us = self._now_us
        if at_us is None:
            return now_us or 0
        if now_us is None:
            self._now_us = at_us
            return at_us
        far = at_us > now_us + FAR_US
        if at_us > now_us and (not far or self._ahead):
            self._now_us = now_us = at_us
            far = False
        self._ahead = far
        return now_us

    def _find(self, causes: Causes, at_us: int) -> _Open | None:
        leads = self._leads
        for key in causes.sought:
            lead = leads.get(key)
            if lead is not None:
                window_us = self._spread_us if key[0] in SPREAD else self._window_us
                if abs(at_us - lead.at_us) <= window_us:
                    return lead.holder
        return None

    def _begin(self, causes: Causes, facts: Facts, now_us: int) -> _Open:
        incident = Incident.begin(causes.leading, facts, self.config)
        if incident.id in self._open:  # the same alert again, long after
            self._close(self._open[incident.id])
        if len(self._open) >= self.config.max_open:
            self._close(next(iter(self._open.values())))
        holder = _Open(incident, now_us)
        self._open[incident.id] = holder
        self.opened += 1
        return holder

    def _lead(self, holder: _Open, causes: Causes, at_us: int, opens: bool) -> None:
        """A key leads to the incident that had it first, as long as that has been active in the window."""
        for key in causes.given:
            self._give(holder, key, at_us, opens)
        if opens:
            for key in causes.lent:
                self._give(holder, key, at_us, True)
        else:
            # Those that it was found by live on, too.
            for key in causes.lent:
                lead = self._leads.get(key)
                if lead is not None and lead.holder is holder:
                    lead.at_us = max(lead.at_us, at_us)

    def _give(self, holder: _Open, key: Key, at_us: int, own: bool) -> None:
        lead = self._leads.get(key)
        if lead is not None:
            if lead.holder is holder:
                if at_us > lead.at_us:
                    lead.at_us = at_us
                return
            if abs(at_us - lead.at_us) <= (self._spread_us if key[0] in SPREAD else self._window_us):
                return
        self._leads[key] = _Lead(holder, at_us)
        if own:
            holder.own.append(key)
            return
        holder.later[key] = None
        if len(holder.later) > KEYS_MAX:
            self._drop(holder, holder.later.popitem(last=False)[0])

    def _drop(self, holder: _Open, key: Key) -> None:
        lead = self._leads.get(key)
        if lead is not None and lead.holder is holder:
            del self._leads[key]

    def _close_quiet(self, now_us: int) -> None:
        while self._open:
            oldest = next(iter(self._open.values()))
            if now_us - oldest.touched_us <= self._quiet_us:
                return
            self._close(oldest)

    def _close(self, holder: _Open) -> None:
        incident = holder.incident
        del self._open[incident.id]
        for key in (*holder.own, *holder.later):
            self._drop(holder, key)
        incident.state = "closed"
        self.closed += 1
        self._tell("closed", incident)

    def _judge(self, incident: Incident, at_us: int, before: int) -> None:
        severity = incident.rank
        if incident.raised:
            if severity > before:
                self._cool(incident.cause, at_us, severity)
                self._tell("worse", incident)
            return
        if not incident.qualifies:
            return
        last = self._cooling.get(incident.cause)
        if last is not None and abs(at_us - last[0]) < self._cooldown_us and severity <= last[1]:
            self.held_back += not incident.held_back
            incident.held_back = True
            return
        incident.raised, incident.held_back = True, False
        self.raised += 1
        self._cool(incident.cause, at_us, severity)
        self._tell("raised", incident)

    def _cool(self, cause: Key, at_us: int, severity: int) -> None:
        self._cooling[cause] = (at_us, severity)
        self._cooling.move_to_end(cause)
        if len(self._cooling) > COOLDOWNS_MAX:
            self._cooling.popitem(last=False)

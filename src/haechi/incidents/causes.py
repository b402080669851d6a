"""The causes that an alert may have in common with others.

A cause is a key, such as ("source", "10.0.0.1"). An alert belongs to the open incident that has one of its
`sought` keys, the strongest first, and gives that incident its `given` keys. Keys of a cause that may reach
far (`lent`) are given by the alert alone that opens an incident: otherwise two incidents that have nothing to
do with each other would sooner or later be joined by a chain of alerts between them.
"""

from __future__ import annotations

from typing import NamedTuple

from haechi.incidents.facts import Facts

Key = tuple[str, ...]
SPREAD = {"kind", "host", "series", "burst"}  # keys that hold for the shorter window


class Causes(NamedTuple):
    """leading: what an incident that begins with this alert is called by, and what its cooldown is of."""

    leading: Key
    sought: tuple[Key, ...]
    given: tuple[Key, ...]
    lent: tuple[Key, ...]


def causes_of(facts: Facts, by_source: bool = True) -> Causes:
    if facts.wide:
        return _of_rates(facts) if facts.detector == "rates" else _of_series(facts)
    host, kind, user = facts.host, facts.kind, facts.user
    sought: list[Key] = []
    given: list[Key] = []
    lent: list[Key] = []
    if facts.session:
        sought.append(("session", facts.session))
        given.append(("session", facts.session))
    if host:
        given.append(("at", host, kind))
        given.append(("host", host))
    if by_source and facts.source:
        # It belongs to its source, not to what others do in the same way.
        source = ("source", facts.source)
        sought += (source, ("burst", host, kind), ("burst", host))
        return Causes(source, tuple(sought), (source, *given), ())
    if host:
        sought.append(("at", host, kind))
        if facts.program:
            lent.append(("program", host, facts.program))
        techniques: list[Key] = [("technique", host, one) for one in facts.techniques]
        sought += techniques
        lent += techniques
        if user:
            sought.append(("user", user, host))
            lent.append(("user", user, host))
    if user:
        sought.append(("user", user, kind))
        lent.append(("user", user, kind))
    sought.append(("kind", kind))
    lent.append(("kind", kind))
    if host:
        if facts.program:
            sought.append(("program", host, facts.program))
        sought += (("burst", host, kind), ("burst", host))
    sought.append(("series", kind))
    leading: Key = ("at", host, kind) if host else ("kind", kind)
    return Causes(leading, tuple(sought), tuple(given), tuple(lent))


def _of_rates(facts: Facts) -> Causes:
    """A burst that knows what it is made of belongs to alerts of that; another one, and a silence, to all of
    the host's. What is of a log key belongs to alerts of that kind."""
    host, kind = facts.host, facts.kind
    if not host:
        series: Key = ("series", kind)
        return Causes(series, (series, ("kind", kind)), (series,), ())
    if kind and facts.rule == "burst":
        burst: Key = ("burst", host, kind)
        return Causes(burst, (burst, ("at", host, kind)), (burst,), ())
    burst = ("burst", host)
    return Causes(("burst", host, facts.rule), (burst, ("host", host)), (burst,), ())


def _of_series(facts: Facts) -> Causes:
    """mscred names the kinds of event whose numbers do not go together any more."""
    series: tuple[Key, ...] = tuple(("series", kind) for kind in facts.kinds)
    alerts: tuple[Key, ...] = tuple(("kind", kind) for kind in facts.kinds)
    leading = series[0] if series else ("series", "")
    # Kinds that many incidents lend: the first that holds one.
    return Causes(leading, (*series, *alerts) if series else (leading,), series or (leading,), ())

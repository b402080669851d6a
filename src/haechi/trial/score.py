"""Alerts against the ground truth: what was found, how soon, and who was alerted on for nothing."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haechi.trial.records import Alert, Episode

GRACE_S = 60.0  # an alert may be of the time at which a session was given up, not of its last event


@dataclass(frozen=True, slots=True)
class KindScore:
    """The episodes of one kind."""

    episodes: int
    found: int

    @property
    def recall(self) -> float:
        return _ratio(self.found, self.episodes)


@dataclass(frozen=True, slots=True)
class Score:
    """Raw counts; a session counts once, however many alerts name it."""

    alerts: int
    episodes: int
    found: int
    false_sessions: int  # alerted on where no episode of theirs was going on
    kinds: Mapping[str, KindScore]
    detect_s: tuple[float, ...]  # event time from an episode's first event to its first alert, ascending
    ignored: Mapping[str, int] = field(default_factory=dict)  # kind -> its episodes, which count for nothing

    @property
    def precision(self) -> float:
        return _ratio(self.found, self.found + self.false_sessions)

    @property
    def recall(self) -> float:
        return _ratio(self.found, self.episodes)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.found, self.found + self.false_sessions + self.episodes)

    def detect_quantile_s(self, q: float) -> float | None:
        """The time within which a share q of the found episodes was found; None where none was."""
        if not self.detect_s:
            return None
        return self.detect_s[max(0, math.ceil(q * len(self.detect_s)) - 1)]

    def as_json(self) -> dict[str, Any]:
        return {
            "alerts": self.alerts,
            "episodes": self.episodes,
            "found": self.found,
            "false_sessions": self.false_sessions,
            "precision": round(self.precision, 6),
            "recall": round(self.recall, 6),
            "f1": round(self.f1, 6),
            "detect_median_s": self.detect_quantile_s(0.5),
            "detect_p95_s": self.detect_quantile_s(0.95),
            "detect_p99_s": self.detect_quantile_s(0.99),
            "kinds": {
                name: {"episodes": kind.episodes, "found": kind.found, "recall": round(kind.recall, 6)}
                for name, kind in self.kinds.items()
            },
            "ignored": dict(self.ignored),
        }


class Truth:
    """The episodes, found by what an alert says: its session, or the host that it is on."""

    def __init__(self, episodes: Iterable[Episode], grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._of_session: dict[str, list[Episode]] = defaultdict(list)
        self._of_host: dict[str, list[Episode]] = defaultdict(list)
        for episode in episodes:
            if episode.session:
                self._of_session[episode.session].append(episode)
            elif episode.host:
                self._of_host[episode.host].append(episode)

    def explaining(self, alert: Alert) -> list[Episode]:
        """Those of the alert's session or of its host that were going on at its time, or shortly before."""
        candidates = self._of_session.get(alert.session, []) + self._of_host.get(alert.host, [])
        return [episode for episode in candidates if _within(alert.time_s, episode, self._grace_s)]

    def explained(self, alerts: Iterable[Alert]) -> Iterator[tuple[Alert, list[Episode]]]:
        for alert in alerts:
            yield alert, self.explaining(alert)


def score(
    alerts: Sequence[Alert],
    episodes: Sequence[Episode],
    grace_s: float = GRACE_S,
    ignored_kinds: Collection[str] = (),
) -> Score:
    """An episode is found when an alert names its session at a time from its first event to grace_s after
    its last; one that is of a host as a whole, when an alert is on that host. A session named by an alert at
    any other time is a false one: the same name may be used again by another, normal, session, so the name
    alone decides nothing. An alert without a time counts for every episode of its session.

    Episodes of ignored kinds are neither found nor missed, and alerts that only they explain are neither hits
    nor false.
    """
    truth = Truth(episodes, grace_s)
    counted = [episode for episode in episodes if episode.kind not in ignored_kinds]
    first_alert: dict[str, float] = {}
    false_sessions: set[str] = set()
    for alert, explaining in truth.explained(alerts):
        if not explaining:
            false_sessions.add(alert.session)
        for episode in explaining:
            if episode.kind not in ignored_kinds:
                delay_s = 0.0 if alert.time_s is None else alert.time_s - episode.first_time_s
                first_alert[episode.id] = min(delay_s, first_alert.get(episode.id, math.inf))
    return Score(
        alerts=len(alerts),
        episodes=len(counted),
        found=len(first_alert),
        false_sessions=len(false_sessions),
        kinds=_kinds(counted, first_alert),
        detect_s=tuple(sorted(first_alert.values())),
        ignored=Counter(episode.kind for episode in episodes if episode.kind in ignored_kinds),
    )


def _within(time_s: float | None, episode: Episode, grace_s: float) -> bool:
    # Half a millisecond of room: log lines carry fewer digits than the truth does. A session that a silent
    # host broke off is alerted on at the time of its last event, which was before the silence.
    before_s = grace_s if episode.kind == "host_silence" else 0.0005
    return time_s is None or episode.first_time_s - before_s <= time_s <= episode.last_time_s + grace_s


def _kinds(episodes: Iterable[Episode], found: Mapping[str, float]) -> dict[str, KindScore]:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for episode in episodes:
        counts[episode.kind][0] += 1
        counts[episode.kind][1] += episode.id in found
    return {name: KindScore(*counts[name]) for name in sorted(counts)}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

"""The ensemble: one score and one verdict a session, out of all detectors, from normal sessions alone.

Each detector's score becomes evidence (haechi.train.evidence); a session's score is the strongest evidence
that any of them holds against it. One threshold on that score, taken from cross-fitted normal sessions and
one false-alarm budget for all, is one limit on each detector's own score: those limits are what the engine
compares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.config.training import EnsembleConfig, ThresholdConfig
from haechi.train.detector import Scores
from haechi.train.evidence import Evidence
from haechi.train.score import UNITS, Rule, SessionScores, quantise
from haechi.train.threshold import Steps, allowed_alarms

SESSIONS_LEAST = 100  # scored by a detector, for it to take part
_MOST_NATS = 1e6


@dataclass(frozen=True)
class Member:
    """A detector of sessions as it takes part."""

    evidence: Evidence
    limit: float


@dataclass(frozen=True)
class Ensemble:
    """What goes into the bundle, and what it rests on.

    rule       DeepLog's, with its two limits
    event, session  the evidence of its two scores
    members    the other detectors by their names
    threshold  nats of evidence
    sessions, novel, flagged, allowed, held  as in haechi.train.threshold.Calibration
    """

    rule: Rule
    event: Evidence
    session: Evidence
    members: Mapping[str, Member]
    threshold: float
    sessions: int
    novel: int
    flagged: int
    allowed: int
    held: bool

    def anomalous(
        self, scores: SessionScores, others: Mapping[str, Scores], closed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """bool [sessions]: what the engine alerts on."""
        found = self.rule.anomalous(scores, closed)
        for name, member in self.members.items():
            found |= np.nan_to_num(others[name], nan=-np.inf) > member.limit
        return found


def calibrate(
    scores: SessionScores,
    others: Mapping[str, Scores],
    count: npt.NDArray[np.int64],
    closed: npt.NDArray[np.bool_],
    threshold: ThresholdConfig,
    config: EnsembleConfig,
) -> Ensemble:
    """From normal sessions, none of which was scored by what had learned from it.

    As for DeepLog alone, sessions with an unseen event have no say: they are flagged in any case.
    """
    known = scores.event_surprise < quantise(np.array([threshold.unseen_surprise]))[0]
    ended = known & closed
    enough = scores.total_surprise > threshold.least_surprise * UNITS
    event_nats = scores.event_surprise / UNITS
    event = Evidence.fit(event_nats[known], count[known])
    session = Evidence.fit(scores.mean_surprise[ended], count[ended])
    others = {
        name: s for name, s in others.items() if int(count[known & ~np.isnan(s)].sum()) >= SESSIONS_LEAST
    }
    fits = {name: Evidence.fit(score[known], count[known]) for name, score in others.items()}
    against = [
        np.where(event_nats > threshold.least_surprise, event.of(event_nats), 0.0),
        np.where(closed & enough, session.of(scores.mean_surprise), 0.0),
        *(fits[name].of(score) for name, score in others.items()),
    ]
    strongest = np.max(against, axis=0)
    known_count = np.where(known, count, 0)
    shown = allowed_alarms(int(known_count.sum()), config.budget, config.confidence)
    limit = Steps(strongest[known], count[known], _MOST_NATS).threshold(max(shown, 0))
    limit = max(limit, -math.log(config.budget))  # what is no rarer than that by itself is within the budget
    members = {
        name: Member(fits[name], between(others[name][known], fits[name].score_at(limit))) for name in others
    }
    least = threshold.least_surprise + 0.5 / UNITS
    most = threshold.unseen_surprise - 0.5 / UNITS  # what was never seen is always above it
    by_event = between(event_nats[known], event.score_at(limit))
    by_mean = between(scores.mean_surprise[ended], session.score_at(limit))
    found = Ensemble(
        rule=Rule(
            threshold.rule,
            threshold.top_k,
            min(max(by_event, least), most),
            min(max(by_mean, 0.0), _MOST_NATS),
            threshold.least_surprise,
        ),
        event=event,
        session=session,
        members=members,
        threshold=limit,
        sessions=int(count.sum()),
        novel=int(count[~known].sum()),
        flagged=0,
        allowed=max(shown, 0),
        held=shown >= 0,
    )
    flagged = known & found.anomalous(scores, others, closed)
    return Ensemble(**{**vars(found), "flagged": int(count[flagged].sum())})


def between(values: Scores, limit: float) -> float:
    """The limit moved midway between the values that occur around it, so that rounding decides nothing; left
    where none is above it."""
    values = values[~np.isnan(values)]
    low, high = values[values <= limit], values[values > limit]
    if not len(low) or not len(high):
        return limit
    return float((low.max() + high.min()) / 2)

"""Thresholds from normal sessions and a false-alarm budget; no label of an anomaly is ever looked at."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.config.training import ThresholdConfig
from haechi.train.score import UNITS, Rule, SessionScores, quantise


@dataclass(frozen=True)
class Calibration:
    """The rule as it goes into the bundle, and what it rests on. Sessions count as often as they occurred.

    sessions   validation sessions
    novel      of these, how many hold an event that the model judging them had never seen; any rule flags
    them flagged    of the others, how many the rule flags allowed    of the others, how many it was allowed
    to flag held       whether so few sessions can show the budget at this confidence at all
    """

    rule: Rule
    sessions: int
    novel: int
    flagged: int
    allowed: int
    held: bool

    @property
    def alert_ratio(self) -> float:
        """The share of normal sessions that the rule flags, the novel ones included."""
        return (self.novel + self.flagged) / self.sessions if self.sessions else 0.0


def allowed_alarms(sessions: int, budget: float, confidence: float) -> int:
    """The most flagged sessions among this many that show the true share is within the budget; -1: none
    would.

    If the true share were the budget, so few or fewer would be seen with probability at most 1 -
    confidence: the one-sided Clopper-Pearson bound (Biometrika 26, 1934), by summing the binomial
    distribution.
    """
    total, allowed = 0.0, -1
    log_term = sessions * math.log1p(-budget)
    odds = math.log(budget) - math.log1p(-budget)
    while allowed < sessions:
        total += math.exp(log_term)
        if total > 1 - confidence:
            break
        allowed += 1
        log_term += math.log((sessions - allowed) / (allowed + 1)) + odds if allowed < sessions else 0.0
    return allowed


def calibrate(
    scores: SessionScores,
    count: npt.NDArray[np.int64],
    closed: npt.NDArray[np.bool_],
    config: ThresholdConfig,
) -> Calibration:
    """Thresholds of the likelihood rule, from scores of normal sessions [n] that occurred count [n] times.

    Only sessions without an unseen event have a say: the others are flagged whatever the thresholds
    are, and would drive them up without a single alarm fewer. Half of the alarms are for the event
    threshold. The session threshold is then lowered for as long as the sessions flagged by either are
    not more than allowed: it gets the other half, and what is saved where both flag the same, because
    it sees all of a session. Neither flags what surprises by less than config.least_surprise in all,
    however rare that is among the normal sessions: a budget is not there to be used up. With no alarm
    allowed they lie above the largest normal value. The top-k rule has its k from the configuration; its
    alarms are counted, too.
    """
    known = scores.event_surprise < quantise(np.array([config.unseen_surprise]))[0]
    known_count = np.where(known, count, 0)
    shown = allowed_alarms(int(known_count.sum()), config.budget, config.confidence)
    allowed = max(shown, 0)
    ended = known & closed
    event = Steps(scores.event_surprise[known] / UNITS, count[known], config.unseen_surprise)
    session = Steps(scores.mean_surprise[ended], count[ended], config.unseen_surprise)
    # Half a unit more, so that it is no value that occurs either.
    least = config.least_surprise + 0.5 / UNITS
    by_event = max(event.threshold((allowed + 1) // 2 if ended.any() else allowed), least)

    def rule_for(by_session: int) -> Rule:
        by_mean = max(session.threshold(by_session), 0.0)
        return Rule(config.rule, config.top_k, by_event, by_mean, config.least_surprise)

    def flagged(rule: Rule) -> int:
        return int(known_count[rule.anomalous(scores, closed)].sum())

    low, high = 0, allowed + 1  # flagged(high) is more than allowed, or not known yet
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if flagged(rule_for(middle)) <= allowed else (low, middle)
    rule = rule_for(low)
    return Calibration(
        rule=rule,
        sessions=int(count.sum()),
        novel=int(count[~known].sum()),
        flagged=flagged(rule),
        allowed=allowed,
        held=shown >= 0,
    )


class Steps:
    """The distinct values of a score, and how many sessions lie above each. All are below the cap."""

    def __init__(self, value: npt.NDArray[np.float64], count: npt.NDArray[np.int64], cap: float) -> None:
        self._cap = cap
        self._value, at = np.unique(value, return_inverse=True)
        weight = np.bincount(at, weights=count, minlength=len(self._value))
        self._above = weight[::-1].cumsum()[::-1] - weight

    def threshold(self, alarms: int) -> float:
        """Midway between two neighbouring values, so that at most this many sessions lie above.

        Over the largest value, where there is no neighbour, by a tenth of how far it lies above the median or
        a twentieth of itself, and never up to the cap. Never below 0: what surprises no more than expected is
        no alarm.
        """
        if len(self._value) == 0:
            return self._cap / 2
        place = int(np.argmax(self._above <= alarms))
        low = max(float(self._value[place]), 0.0)
        if place + 1 < len(self._value):
            return (low + max(float(self._value[place + 1]), 0.0)) / 2
        beyond = max((low - float(np.median(self._value))) / 10, low / 20, 1 / UNITS)
        return min(low + beyond, (low + self._cap) / 2)

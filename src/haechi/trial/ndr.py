"""The highest rate that a receiver stands, searched as RFC 2544 (section 26.1) does: trials of a stated
length at a constant rate, by bisection.

NDR, the non-drop rate, is the highest rate found at which no event was lost. PDR, the partial-drop rate,
allows a stated share. They are two results; a rate at which anything was lost is never called NDR.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """One trial at one rate, with the account closed."""

    eps: float
    sent: int
    received: int
    closed: bool
    sent_eps: float

    @property
    def lost(self) -> int:
        return max(0, self.sent - self.received)

    @property
    def loss_ratio(self) -> float:
        return self.lost / max(1, self.sent)

    def offered(self, rate_error: float) -> bool:
        """Whether the storm did send at this rate: else nothing is known of the receiver at it."""
        return self.sent_eps >= (1 - rate_error) * self.eps

    def passes(self, loss_ratio: float, rate_error: float) -> bool:
        return self.closed and self.offered(rate_error) and self.loss_ratio <= loss_ratio


@dataclass(frozen=True, slots=True)
class Limits:
    from_eps: float
    to_eps: float
    resolution: float  # the search ends when what passes and what fails are as near as this
    repeats: int
    rate_error: float


@dataclass(slots=True)
class Search:
    """Tries rates; what was tried for one loss serves the other."""

    limits: Limits
    attempt: Callable[[float], Attempt]
    said: Callable[[Attempt], None]
    tried: dict[float, list[Attempt]] = field(default_factory=dict)

    def passes(self, eps: float, loss_ratio: float) -> bool:
        """Every repeat has to pass; the first that does not ends the matter."""
        attempts = self.tried.setdefault(eps, [])
        for number in range(self.limits.repeats):
            if number == len(attempts):
                attempts.append(self.attempt(eps))
                self.said(attempts[-1])
            if not attempts[number].passes(loss_ratio, self.limits.rate_error):
                return False
        return True

    def highest(self, loss_ratio: float, known_eps: float | None = None) -> float | None:
        """The highest rate found that passes; None where the lowest does not. known_eps passes."""
        if self.passes(self.limits.to_eps, loss_ratio):
            return self.limits.to_eps
        low, high = known_eps or self.limits.from_eps, self.limits.to_eps
        if known_eps is None and not self.passes(low, loss_ratio):
            return None
        while high / low > 1 + self.limits.resolution:
            middle = float(round((low + high) / 2))
            if not low < middle < high:
                break
            if self.passes(middle, loss_ratio):
                low = middle
            else:
                high = middle
        return low


def clopper_pearson_least(passed: int, trials: int, confidence: float) -> float:
    """The exact one-sided lower bound (Clopper and Pearson 1934) of the probability that a trial passes,
    after `passed` of `trials` did: for all of n, (1 - confidence) ** (1 / n)."""
    if passed == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        at_least = sum(
            math.comb(trials, k) * middle**k * (1 - middle) ** (trials - k) for k in range(passed, trials + 1)
        )
        if at_least < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def loss_at_most(events: int, confidence: float) -> float:
    """After no loss in so many events, the highest loss ratio that is still likely: -ln(1 - confidence) / n,
    the rule of three at 95 %. It takes losses for independent, which those of a full buffer are not."""
    return min(1.0, -math.log(1 - confidence) / events) if events else 1.0


def found(search: Search, eps: float | None, loss_ratio: float, confidence: float) -> dict[str, Any] | None:
    """One result with what it rests on; None where no rate passed."""
    if eps is None:
        return None
    attempts = search.tried.get(eps, [])
    sent, lost = sum(a.sent for a in attempts), sum(a.lost for a in attempts)
    passed = sum(a.passes(loss_ratio, search.limits.rate_error) for a in attempts)
    return {
        "eps": eps,
        "loss_allowed": loss_ratio,
        "at_least": eps == search.limits.to_eps,
        "trials": len(attempts),
        "passed": passed,
        "sent": sent,
        "lost": lost,
        "confidence": confidence,
        "pass_probability_at_least": clopper_pearson_least(passed, len(attempts), confidence),
        "loss_ratio_at_most": loss_at_most(sent, confidence) if lost == 0 else None,
    }

"""Evidence: how improbable a score as high as this is among normal sessions, in nats.

That is what makes the scores of different detectors comparable. Up to where normal scores are plenty it
is minus the logarithm of the share that lies at or above; in the tail, of which few were seen, an
exponential distribution of the excesses over a high value is fitted (peaks over threshold, Pickands,
Annals of Statistics 3, 1975, with shape 0), so that a score beyond all that was seen still has a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

_KNOTS = 32  # in the body; the engine takes 64
_TAIL_SHARE = 0.01
_TAIL_LEAST = 10  # excesses, where there are so many
_FLAT = 1e-3  # of the score at which the tail begins: the least mean excess


@dataclass(frozen=True)
class Evidence:
    """Straight between the knots (scores and nats, both ascending), with slope behind the last."""

    at: tuple[float, ...]
    nats: tuple[float, ...]
    slope: float

    @classmethod
    def fit(cls, scores: Scores, count: npt.NDArray[np.int64]) -> Evidence:
        """From normal sessions' scores, each of which occurred count times; nan is left out."""
        said = ~np.isnan(scores)
        value, of = np.unique(scores[said], return_inverse=True)
        weight = np.bincount(of, weights=count[said], minlength=len(value))
        total = weight.sum()
        if not len(value):
            return cls((), (), 0.0)
        above = weight[::-1].cumsum()[::-1]  # sessions at or above each value
        tail = max(_TAIL_SHARE * total, min(_TAIL_LEAST, total / 2))
        begins = int(np.argmax(above - weight <= tail))  # the first value with at most so many above it
        body = np.unique(np.linspace(0, begins, _KNOTS).round().astype(int))
        at, nats = value[body], -np.log((above[body] + 1) / (total + 1))
        excess, over = value[begins + 1 :] - value[begins], weight[begins + 1 :]
        mean = float((excess * over).sum() / over.sum()) if len(excess) else 0.0
        scale = max(mean, _FLAT * max(abs(float(value[begins])), 1.0))
        if len(excess):
            # Where many scores are the one at which the tail begins, being above it is news in itself.
            first = -np.log(over.sum() / (total + 1)) + excess[0] / scale
            at, nats = np.append(at, value[begins + 1]), np.append(nats, max(first, nats[-1]))
        return cls(tuple(at.tolist()), tuple(nats.tolist()), 1 / scale)

    def of(self, scores: Scores) -> Scores:
        """Nats; 0 for nan and where nothing is known."""
        if not self.at:
            return np.zeros(len(scores))
        inside = np.interp(scores, self.at, self.nats)
        beyond = np.maximum(scores - self.at[-1], 0) * self.slope
        return np.nan_to_num(inside + beyond, nan=0.0)

    def score_at(self, nats: float) -> float:
        """The largest score whose evidence is not above this; the other way round."""
        if not self.at:
            return float("inf")
        if nats >= self.nats[-1]:
            return self.at[-1] + (nats - self.nats[-1]) / self.slope
        if nats < self.nats[0]:
            return self.at[0]
        last = int(np.searchsorted(self.nats, nats, side="right")) - 1
        low, high = self.nats[last], self.nats[last + 1]
        return self.at[last] + (self.at[last + 1] - self.at[last]) * (nats - low) / (high - low)

    def section(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {"at": list(self.at), "nats": list(self.nats), "slope": self.slope}

"""Signature matrices: how each two series went together over the last 10, 30 and 60 steps.

At step t and for a window of w steps, cell (i, j) is the inner product of series i and j over steps
[t - w, t), divided by w. One matrix a window every 10 steps. Series are brought to 0..1 by what training saw.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WINDOWS = (10, 30, 60)
STEP = 10
HISTORY = 5  # matrices that a verdict looks at, the judged one included

Series = npt.NDArray[np.float64]
Signatures = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scaling:
    """(value - low) / (high - low) for each series. One that never moved in training is only shifted."""

    low: Series
    high: Series

    @classmethod
    def of(cls, values: Series) -> "Scaling":
        """values: [series, steps] of training."""
        low, high = values.min(axis=1), values.max(axis=1)
        return cls(low, np.where(high > low, high, low + 1))

    def apply(self, values: Series) -> Series:
        """[series, steps] -> the same shape."""
        return (values - self.low[:, None]) / (self.high - self.low)[:, None]


def ends(steps: int) -> npt.NDArray[np.int64]:
    """The step each matrix ends before: 60, 70, ... for as many as fit."""
    return np.arange(max(WINDOWS), steps + 1, STEP)


def signatures(scaled: Series) -> Signatures:
    """[series, steps] -> float32 [matrices, windows, series, series], one for each of ends(steps).

    Sums over pieces of 10 steps are added up, so that a matrix costs the same for every window.
    """
    n, steps = scaled.shape
    pieces = steps // STEP
    parts = scaled[:, : pieces * STEP].reshape(n, pieces, STEP)
    products = np.einsum("ips,jps->pij", parts, parts, optimize=True)
    until = np.concatenate([np.zeros((1, n, n)), np.cumsum(products, axis=0)])
    last = ends(steps) // STEP
    out = np.empty((len(last), len(WINDOWS), n, n), dtype=np.float32)
    for scale, window in enumerate(WINDOWS):
        out[:, scale] = (until[last] - until[last - window // STEP]) / window
    return out

"""Limits from the validation part alone, which holds no anomaly.

A cell is broken when its residual is over its limit. The paper has one limit for all; here it is one number a
window times the cell's usual residual, since a convolution does worse at the edges than in the middle: with
one limit for all, series at the edges would always be the cause. The usual residual is that of the cell's row
times that of its column: n + n numbers come out of validation, not n * n, each of which would be as little
sure as a validation part of a few hundred moments that overlap leaves it. The number is chosen so that the
share CELLS of a window's validation cells is not broken.

A moment is anomalous when more cells of a window are broken than its tau. Seen by limits that were made from
the same moments, validation looks calmer than what comes later, so each part of validation is scored with
limits from the other parts. tau is the most that validation saw of the window so, and the most that it saw of
any window, added up.

The paper has tau = beta * the most of validation, with beta from [1, 2] by the F1 of the validation part.
Without an anomaly in it there is none. For the window with the most, beta is 2 here. A window that was calmer
may have been so by chance: of the longest one, validation is no more than some thirty looks. As many cells
of each are over in validation, so their scores are alike, and half of tau is what any of them saw.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from haechi.mscred.score import Residuals, Scores, scores
from haechi.mscred.signature import STEP, WINDOWS, Series, Signatures, signatures

CELLS = 0.999
LEAST = 0.25  # of the median usual residual: a cell that hardly ever moved is not broken by a trifle
APART = 2  # steps between the moments of validation
PARTS = 5
NEAR = max(WINDOWS) // APART  # moments that see what the first of another part sees


@dataclass(frozen=True)
class Thresholds:
    """limit  float32 [3, n, n], of each window's cells
    score  float64 [3]: more broken cells than this are an anomaly; never a whole number
    """

    limit: npt.NDArray[np.float32]
    score: npt.NDArray[np.float64]

    def broke(self, of: Scores) -> npt.NDArray[np.bool_]:
        """Which windows are over their threshold: bool [moments, 3]."""
        return np.asarray(of > self.score)


def residuals_between(values: Series, of: Callable[[Signatures], Residuals]) -> Residuals:
    """Residuals of moments that lie APART steps apart, in the order of time: where detection's matrices
    happen to end must not decide what the largest score of validation is. values: scaled, [series, steps]."""
    parts = [of(signatures(values[:, first:])) for first in range(0, STEP, APART)]
    least = min(map(len, parts))
    return np.stack([part[:least] for part in parts], axis=1).reshape(-1, *parts[0].shape[1:])


def choose(validation: Residuals) -> Thresholds:
    """validation: [moments, 3, n, n], as residuals_between gives them, of normal data that the network was
    not fitted to."""
    # Between two whole numbers, so that rounding decides nothing.
    return Thresholds(limit_of(validation), tau_of(crossed(validation)) + 0.5)


def tau_of(validation: Scores) -> npt.NDArray[np.float64]:
    """Whole numbers, [3]."""
    most = np.maximum(validation.max(axis=0), 1)
    return np.asarray(most + most.max(), dtype=np.float64)


def limit_of(residuals: Residuals) -> npt.NDArray[np.float32]:
    """Each cell's, [3, n, n]."""
    usual = usual_of(residuals)
    times = np.quantile(np.abs(residuals) / usual, CELLS, axis=(0, 2, 3))
    return np.asarray(times[:, None, None] * usual, dtype=np.float32)


def usual_of(residuals: Residuals) -> npt.NDArray[np.float64]:
    """Each cell's root mean square, [3, n, n], were rows and columns independent; never 0."""
    square = np.square(residuals, dtype=np.float64).mean(axis=0)
    rows, columns = square.mean(axis=2, keepdims=True), square.mean(axis=1, keepdims=True)
    usual = np.sqrt(rows * columns / np.maximum(rows.mean(axis=1, keepdims=True), 1e-12))
    least = LEAST * np.median(usual, axis=(1, 2), keepdims=True)
    return np.asarray(np.maximum(usual, np.maximum(least, 1e-6)))


def crossed(residuals: Residuals) -> Scores:
    """The scores of each part of the moments, by limits from the moments that see nothing of it."""
    at = np.arange(len(residuals))
    ends = np.linspace(0, len(residuals), PARTS + 1).astype(np.int64)
    parts = []
    for first, end in pairwise(ends):
        others = residuals[(at < first - NEAR) | (at >= end + NEAR)]
        parts.append(scores(residuals[first:end], limit_of(others if len(others) else residuals)))
    return np.concatenate(parts)

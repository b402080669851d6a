"""Limits from the validation part alone, which holds no anomaly.

A cell is broken over the limit of its window: the value that the share CELLS of validation cells stays under.
A moment is anomalous when more cells of a window are broken than tau = beta * the most that validation saw.
The paper takes beta from [1, 2] by the F1 of the validation part; without an anomaly in it there is no F1, so
beta is chosen by extreme values: the largest score of each block of validation follows a Gumbel distribution
(Gumbel, 1958), and tau is what it exceeds once in RARE times the length of the validation part.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.mscred.score import Residuals, Scores, scores

CELLS = 0.999
BETA = (1.0, 2.0)
BLOCKS = 10
RARE = 20
EULER = 0.5772156649


@dataclass(frozen=True)
class Thresholds:
    """limit  float32 [3], of a cell of each window
    score  float64 [3]: more broken cells than this are an anomaly; never a whole number
    beta   float64 [3]
    """

    limit: npt.NDArray[np.float32]
    score: npt.NDArray[np.float64]
    beta: npt.NDArray[np.float64]

    def broke(self, of: Scores) -> npt.NDArray[np.bool_]:
        """Which windows are over their threshold: bool [moments, 3]."""
        return np.asarray(of > self.score)


def choose(validation: Residuals) -> Thresholds:
    """validation: [moments, 3, n, n], of normal data that the network was not fitted to."""
    limit = np.quantile(np.abs(validation), CELLS, axis=(0, 2, 3)).astype(np.float32)
    of = scores(validation, limit)
    most = np.maximum(of.max(axis=0), 1)
    beta = np.array([beta_of(of[:, window]) for window in range(of.shape[1])])
    # Between two whole numbers, so that rounding decides nothing.
    return Thresholds(limit, np.floor(beta * most) + 0.5, beta)


def beta_of(of: npt.NDArray[np.int64]) -> float:
    """tau / max of these scores [moments], within BETA."""
    blocks = np.array([block.max() for block in np.array_split(of, min(BLOCKS, len(of)))], dtype=np.float64)
    scale = float(blocks.std(ddof=1)) * math.sqrt(6) / math.pi if len(blocks) > 1 else 0.0
    place = float(blocks.mean()) - EULER * scale
    tau = place - scale * math.log(-math.log1p(-1 / (RARE * len(blocks))))
    return float(np.clip(tau / max(float(of.max()), 1.0), *BETA))

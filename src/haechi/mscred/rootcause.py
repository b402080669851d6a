"""What an anomaly is about: when it was, which series caused it, and how severe it is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.mscred.score import Residuals, broken
from haechi.mscred.signature import HISTORY, STEP, WINDOWS
from haechi.mscred.threshold import Thresholds

SEVERITIES = ("short", "medium", "long")


@dataclass(frozen=True)
class Finding:
    """One anomaly. first, last: its moments, both included; moments[i] of what was searched.

    series    all series, the likeliest cause first
    broke     bool [3]: which windows were over their threshold for as long as they are themselves
    """

    first: int
    last: int
    series: tuple[int, ...]
    broke: tuple[bool, ...]

    @property
    def severity(self) -> str:
        """By the longest window that broke; that of the shortest where none lasted."""
        return SEVERITIES[max((i for i, b in enumerate(self.broke) if b), default=0)]


def find(residuals: Residuals, of: npt.NDArray[np.int64], thresholds: Thresholds) -> list[Finding]:
    """Anomalies in the order of time: moments over a threshold, those of one cause together."""
    over = thresholds.broke(of)
    found = []
    for first, last in stretches(np.asarray(over.any(axis=1))):
        part = residuals[first : last + 1]
        found.append(
            Finding(
                first,
                last,
                tuple(rank(part, thresholds.limit).tolist()),
                tuple(bool(b) for b in lasted(over[first : last + 1])),
            )
        )
    return found


def stretches(flagged: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of flagged moments; fewer than HISTORY quiet ones between two do not part them, since the network
    still sees the first when it judges the second."""
    at = np.flatnonzero(flagged)
    if len(at) == 0:
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > HISTORY) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def rank(residuals: Residuals, limit: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Series by how many cells of their rows are broken, over all moments and windows; where two have as
    many, the larger residual decides. int64 [n], likeliest cause first."""
    cells = broken(residuals, limit).sum(axis=(0, 1, 3))
    size = np.abs(residuals).sum(axis=(0, 1, 3))
    return np.lexsort((-size, -cells))


def lasted(over: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """bool [moments, 3] -> [3]: whether each window was over its threshold for longer than its own length."""
    longest = np.zeros(over.shape[1], dtype=np.int64)
    running = np.zeros(over.shape[1], dtype=np.int64)
    for moment in over:
        running = np.where(moment, running + 1, 0)
        longest = np.maximum(longest, running)
    return np.asarray(longest * STEP > np.array(WINDOWS))

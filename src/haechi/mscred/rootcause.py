"""What an anomaly is about: when it was, which series caused it, and how severe it is.

As in the paper, the shortest window alone says whether there is an anomaly and which series cause it. The
paper also reads the severity, by which it means how long an anomaly lasts, from which windows' scores are
over their thresholds: the shortest sees all, the longest the longest alone. A network that restores what does
not fit sees every anomaly in every window, so how long it lasts is read from the shortest window's first and
last broken moment instead; which windows broke is reported beside it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.mscred.score import Residuals, Scores, broken
from haechi.mscred.signature import HISTORY, STEP, WINDOWS
from haechi.mscred.threshold import Thresholds

SEVERITIES = ("short", "medium", "long")
LONGER = (45, 75)  # steps from which it is medium, and long: midway between the paper's 30, 60 and 90
SEEN = max(WINDOWS) + STEP * (HISTORY - 1)  # steps before a moment that the network looks at


@dataclass(frozen=True)
class Finding:
    """One anomaly. first, last: its moments, both included; moments[i] of what was searched.

    series    all series, the likeliest cause first
    broke     bool [3]: which windows were over their threshold at any of its moments
    """

    first: int
    last: int
    series: tuple[int, ...]
    broke: tuple[bool, ...]

    @property
    def steps(self) -> int:
        """How long it lasted: the first and the last moment that show it lie a matrix further apart than its
        ends do."""
        return max((self.last - self.first - 1) * STEP, 0)

    @property
    def severity(self) -> str:
        """That of the paper's durations which is nearest."""
        return SEVERITIES[sum(self.steps >= longer for longer in LONGER)]


def find(residuals: Residuals, of: Scores, thresholds: Thresholds) -> list[Finding]:
    """Anomalies in the order of time: moments over the threshold, those of one cause together."""
    over = thresholds.broke(of)
    found = []
    for first, last in stretches(over[:, 0]):
        series = rank(residuals[first : last + 1, 0], thresholds.limit[0]).tolist()
        broke = tuple(bool(moments.any()) for moments in over[first : last + 1].T)
        found.append(Finding(first, last, tuple(series), broke))
    return found


def stretches(flagged: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of flagged moments; two belong together where the network still sees what it saw at the first when
    it judges the second."""
    at = np.flatnonzero(flagged)
    if len(at) == 0:
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > SEEN // STEP) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def rank(residuals: Residuals, limit: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Series by how many cells of their rows are broken, over all moments; where two have as many, the one
    that is further over its limits. residuals: [moments, n, n]; int64 [n], likeliest cause first."""
    cells = broken(residuals, limit).sum(axis=(0, 2))
    size = (np.abs(residuals) / limit).sum(axis=(0, 2))
    return np.lexsort((-size, -cells))

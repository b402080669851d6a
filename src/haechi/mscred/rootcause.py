"""What an anomaly is about: when it was, which series caused it, and how severe it is.

In the paper the shortest window alone says whether there is an anomaly, and which series cause it. Here any
window does, each with a threshold of its own: what is small in 10 steps of noisy counts is plain in 60.

The paper reads the severity, by which it means how long an anomaly lasts, from which windows' scores are
over their thresholds: the shortest sees all, the longest the longest alone. A network that restores what does
not fit sees every anomaly in every window, so how long it lasts is how long the middle window is raised. The
shortest one breaks where an anomaly begins and where it ends, and hardly in between: the network gets used
to it. Which windows broke is reported beside it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.mscred.score import Residuals, Scores, broken
from haechi.mscred.signature import HISTORY, STEP, WINDOWS
from haechi.mscred.threshold import Thresholds

SEVERITIES = ("short", "medium", "long")
LONGER = (45, 75)  # steps from which it is medium, and long: midway between the paper's 30, 60 and 90
MIDDLE = 1  # of the windows
RAISED = 0.5  # of its threshold
LULL = 5  # moments in between that are not
SEEN = max(WINDOWS) + STEP * (HISTORY - 1)  # steps before a moment that the network looks at


@dataclass(frozen=True)
class Finding:
    """One anomaly. first, last: its moments, both included; moments[i] of what was searched.

    series    all series, the likeliest cause first
    broke     bool [3]: which windows were over their threshold at any of its moments
    steps     how long it lasted
    """

    first: int
    last: int
    series: tuple[int, ...]
    broke: tuple[bool, ...]
    steps: int

    @property
    def severity(self) -> str:
        """That of the paper's durations which is nearest."""
        return SEVERITIES[sum(self.steps >= longer for longer in LONGER)]


def find(residuals: Residuals, of: Scores, thresholds: Thresholds) -> list[Finding]:
    """Anomalies in the order of time: moments over a threshold, those of one cause together."""
    over = thresholds.broke(of)
    steps = lengths(of[:, MIDDLE] > RAISED * thresholds.score[MIDDLE])
    found = []
    for first, last in stretches(np.asarray(over.any(axis=1))):
        whole = slice(first, last + 1)
        series = rank(residuals[whole], thresholds.limit, over[whole]).tolist()
        broke = tuple(bool(moments.any()) for moments in over[whole].T)
        lasted = int(steps[first : last + 1 + SEEN // STEP].max())
        found.append(Finding(first, last, tuple(series), broke, lasted))
    return found


def lengths(raised: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each moment, how many steps what lasts then has lasted so far; a lull of LULL moments is a part of
    it. The first and the last raised moment lie a matrix further apart than its ends do."""
    out = np.zeros(len(raised), dtype=np.int64)
    begin = last = -LULL - 2
    for moment, is_raised in enumerate(raised):
        if is_raised:
            begin = begin if moment - last <= LULL + 1 else moment
            last = moment
        if moment - last <= LULL:
            out[moment] = max(last - begin - 1, 0) * STEP
    return out


def stretches(flagged: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of flagged moments; two belong together where the network still sees what it saw at the first when
    it judges the second."""
    at = np.flatnonzero(flagged)
    if len(at) == 0:
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > SEEN // STEP) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def rank(
    residuals: Residuals, limit: npt.NDArray[np.float32], over: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Series by how many cells of their rows are broken, in the shortest window that was over, whenever it
    was; where two have as many, the one that is further over its limits. residuals: [moments, 3, n, n], over:
    [moments, 3], at any of them; int64 [n], likeliest cause first."""
    window = int(over.any(axis=0).argmax())
    found = residuals[over[:, window], window]
    cells = broken(found, limit[window]).sum(axis=(0, 2))
    size = (np.abs(found) / limit[window]).sum(axis=(0, 2))
    return np.lexsort((-size, -cells))

"""Cross-fitting: every training session is scored once, by a model that has not seen it.

With one held-out part a 0.5 % quantile would rest on a handful of sessions; with every session scored it
rests on all of them, and the deployed model still learns from everything.
"""

import numpy as np
import numpy.typing as npt

from haechi.corpus.sessions import NO_TIME, Sessions

FEW_SESSIONS = 50
PIECES = 200
MIN_PIECE = 20


def split(sessions: Sessions, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """How often each session occurs in each fold: int64 [folds, sessions], columns summing to the counts.

    Sessions that have times are cut into stretches of time, so that what drifts or comes in bursts is not
    both learned and judged; the others are dealt at random.
    """
    occurrence = np.repeat(np.arange(len(sessions)), sessions.count)
    if len(occurrence) and bool((sessions.start_us != NO_TIME).all()):
        occurrence = occurrence[np.argsort(sessions.start_us[occurrence], kind="stable")]
        fold = np.arange(len(occurrence)) * folds // max(len(occurrence), 1)
    else:
        fold = np.random.default_rng(seed).permutation(np.arange(len(occurrence)) % folds)
    counts = np.zeros((folds, len(sessions)), dtype=np.int64)
    np.add.at(counts, (fold, occurrence), 1)
    return counts


def pieces(sessions: Sessions) -> Sessions:
    """Where there are too few sessions to calibrate on, long ones cut into stretches of equal length.

    Each stretch stands for a session of its own; only the last one of a session has its end.
    """
    size = max(MIN_PIECE, -(-int(sessions.lengths.sum()) // PIECES))
    number = -(-sessions.lengths // size)
    owner = np.repeat(np.arange(len(sessions)), number)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    start = sessions.offsets[owner] + within * size
    last = within == number[owner] - 1
    # Stretches keep the order of time, but their own times are not known: the session's time plus their
    # place.
    start_us = sessions.start_us[owner]
    return Sessions(
        keys=sessions.keys,
        offsets=np.concatenate((start, [len(sessions.keys)])).astype(np.int64),
        count=sessions.count[owner],
        closed=sessions.closed[owner] & last,
        start_us=start_us,
    )

"""The reference scorer: docs/bundle.md's "Scores" and "Rules" in numpy over ONNX Runtime.

Thresholds come from it, and the engine's verdicts are compared with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.bundle.answers import BATCH, UNITS, Model, entropy, quantise
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.corpus.windows import Windows, window

__all__ = [
    "UNITS",
    "WORST_RANK",
    "Model",
    "Rule",
    "SessionScores",
    "quantise",
    "score",
    "score_sessions",
    "score_windows",
]

WORST_RANK = np.iinfo(np.int32).max  # of an unseen event: outside every top k


@dataclass(frozen=True)
class SessionScores:
    """What the rules look at; one entry a session.

    event_surprise  int64, the largest surprise of an event in 1/1024 nats
    mean_surprise   float64, the mean over the events in nats, an exact quotient of two integers
    total_surprise  int64, the sum over the events in 1/1024 nats
    rank            int32, the largest rank
    """

    event_surprise: npt.NDArray[np.int64]
    mean_surprise: npt.NDArray[np.float64]
    total_surprise: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int32]

    @classmethod
    def concatenate(cls, parts: Sequence["SessionScores"]) -> "SessionScores":
        """The scores of several sets of sessions, one after the other."""
        return cls(
            np.concatenate([part.event_surprise for part in parts]),
            np.concatenate([part.mean_surprise for part in parts]),
            np.concatenate([part.total_surprise for part in parts]),
            np.concatenate([part.rank for part in parts]),
        )

    def select(self, chosen: npt.NDArray[np.intp]) -> "SessionScores":
        """The scores of the sessions at these indices."""
        return SessionScores(
            self.event_surprise[chosen],
            self.mean_surprise[chosen],
            self.total_surprise[chosen],
            self.rank[chosen],
        )

    def worse_of(self, other: "SessionScores") -> "SessionScores":
        """For each session the less likely of its two scores, one quantity at a time."""
        return SessionScores(
            np.maximum(self.event_surprise, other.event_surprise),
            np.maximum(self.mean_surprise, other.mean_surprise),
            np.maximum(self.total_surprise, other.total_surprise),
            np.maximum(self.rank, other.rank),
        )


def score_windows(
    model: Model, windows: Windows, vocabulary: Vocabulary, unseen_surprise: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Surprise (1/1024 nats) and rank of every distinct (window, token) pair; each window asked once."""
    surprise = np.empty(len(windows.context_of), dtype=np.int64)
    rank = np.empty(len(windows.context_of), dtype=np.int32)
    for start in range(0, len(windows.contexts), BATCH):
        answer = model.log_probability(windows.contexts[start : start + BATCH])
        low, high = np.searchsorted(windows.context_of, [start, start + len(answer)])
        pairs = slice(int(low), int(high))
        row = answer[windows.context_of[pairs] - start]
        token = windows.token_of[pairs]
        of_token = row[np.arange(len(token)), token]
        nll = np.clip(-of_token.astype(np.float64), 0, unseen_surprise)
        surprise[pairs] = quantise(nll - entropy(answer)[windows.context_of[pairs] - start])
        likelier = row > of_token[:, None]
        likelier[:, [vocabulary.begin, vocabulary.unseen]] = False
        rank[pairs] = likelier.sum(axis=1)
    unseen = windows.token_of == vocabulary.unseen
    surprise[unseen] = quantise(np.array([unseen_surprise]))[0]
    rank[unseen] = WORST_RANK
    return surprise, rank


def score_sessions(
    windows: Windows, pair_surprise: npt.NDArray[np.int64], pair_rank: npt.NDArray[np.int32], sessions: int
) -> SessionScores:
    """Events gathered into sessions. A session with no judged event scores 0."""
    surprise, rank = pair_surprise[windows.pair_of], pair_rank[windows.pair_of]
    events = np.bincount(windows.session_of, minlength=sessions)
    total = np.zeros(sessions, dtype=np.int64)
    np.add.at(total, windows.session_of, surprise)
    largest = np.zeros(sessions, dtype=np.int64)
    np.maximum.at(largest, windows.session_of, surprise)
    worst = np.zeros(sessions, dtype=np.int32)
    np.maximum.at(worst, windows.session_of, rank)
    return SessionScores(largest, total / np.maximum(events, 1) / UNITS, total, worst)


def score(
    model: Model, sessions: Sessions, vocabulary: Vocabulary, size: int, unseen_surprise: float
) -> SessionScores:
    """The scores of these sessions; the end of a session counts where the session is closed."""
    windows = window(sessions, vocabulary, size)
    surprise, rank = score_windows(model, windows, vocabulary, unseen_surprise)
    return score_sessions(windows, surprise, rank, len(sessions))


@dataclass(frozen=True)
class Rule:
    """A bundle's rule and thresholds, applied."""

    rule: str
    top_k: int
    event_surprise: float
    session_surprise: float
    least_surprise: float

    def anomalous(self, scores: SessionScores, closed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """bool [sessions]. The mean is judged at a session's end only."""
        if self.rule == "topk":
            return np.asarray(scores.rank >= self.top_k)
        by_event = scores.event_surprise > self.event_surprise * UNITS
        by_mean = scores.mean_surprise > self.session_surprise
        enough = scores.total_surprise > self.least_surprise * UNITS
        return np.asarray(by_event | (closed & by_mean & enough))

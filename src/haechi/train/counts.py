"""counts: how often each log key occurred in a session, against the sessions of training.

The distance of two count vectors is Ruzicka's (the weighted Jaccard distance): the sum of the absolute
differences over the sum of the maxima. A session scores its distance from the nearest vector of training;
0: there was one like it. core/src/detect/counts.c is the engine's twin. Weights by inverse document frequency
were tried and found worse (docs/accuracy.md).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.train.detector import Entry, Scores

NAME = "counts"
FILE = "counts.json"
KEYS_MAX = 31  # different tokens of a session that is judged, as in the engine
COUNT_MAX = 65_535
_CHUNK = 512

Vectors = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CountsDetector:
    """Keeps at most this many different vectors, those of the most sessions."""

    max_vectors: int
    name: str = NAME

    def fit(self, sessions: Sessions, vocabulary: Vocabulary) -> FittedCounts:
        """Sessions whose end was not seen say nothing of how many events there would have been."""
        vectors, judged = count_vectors(sessions, vocabulary)
        judged &= sessions.closed
        distinct, of = np.unique(vectors[judged], axis=0, return_inverse=True)
        weight = np.bincount(of.ravel(), weights=sessions.count[judged], minlength=len(distinct))
        kept = np.argsort(-weight, kind="stable")[: self.max_vectors]
        return FittedCounts(distinct[np.sort(kept)], vocabulary)


@dataclass(frozen=True)
class FittedCounts:
    """vectors: int64 [n, vocabulary.size], different from each other."""

    vectors: Vectors
    vocabulary: Vocabulary

    def score(self, sessions: Sessions) -> Scores:
        """nan: too many different keys, or the session did not end."""
        vectors, judged = count_vectors(sessions, self.vocabulary)
        judged &= sessions.closed
        found = np.full(len(sessions), np.nan)
        if not len(self.vectors):
            return found
        distinct, of = np.unique(vectors[judged], axis=0, return_inverse=True)
        found[judged] = nearest(distinct, self.vectors)[of.ravel()]
        return found

    def entry(self) -> Entry:
        rows = []
        for vector in self.vectors:
            tokens = np.flatnonzero(vector)
            rows.append(np.stack((tokens, vector[tokens]), axis=1).ravel().tolist())
        content = json.dumps({"format": 1, "vectors": rows}, separators=(",", ":")).encode()
        return Entry({"file": FILE, "vectors": len(rows)}, {FILE: content})


def count_vectors(sessions: Sessions, vocabulary: Vocabulary) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """int64 [sessions, vocabulary.size], and which of them the engine judges."""
    lengths = sessions.lengths
    session = np.repeat(np.arange(len(sessions)), lengths)
    place = session * vocabulary.size + vocabulary.encode(sessions.keys)
    flat = np.bincount(place, minlength=len(sessions) * vocabulary.size)
    vectors = flat.reshape(len(sessions), vocabulary.size)
    different = (vectors > 0).sum(axis=1)
    judged = (lengths > 0) & (different <= KEYS_MAX) & (vectors.max(axis=1, initial=0) <= COUNT_MAX)
    return vectors, np.asarray(judged)


def nearest(vectors: Vectors, known: Vectors) -> Scores:
    """Of each of vectors [n, tokens] the distance from the nearest of known [m, tokens], m at least 1."""
    used = (vectors.sum(axis=0) > 0) | (known.sum(axis=0) > 0)
    a, b = torch.tensor(vectors[:, used]), torch.tensor(known[:, used])
    total_a, total_b = a.sum(dim=1, keepdim=True), b.sum(dim=1)
    found = np.empty(len(vectors))
    for start in range(0, len(vectors), _CHUNK):
        part = slice(start, start + _CHUNK)
        # Whole numbers below 2^53: exact.
        apart = torch.cdist(a[part].double(), b.double(), p=1).round().long()
        most = (total_a[part] + total_b + apart) // 2  # the sum of the maxima
        found[part] = (apart.double() / most.clamp(min=1)).min(dim=1).values.numpy()
    return found

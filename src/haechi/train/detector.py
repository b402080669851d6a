"""What training asks of a detector beside DeepLog; the engine's side of each is a file in core/src/detect.

A detector of sessions is fitted on some sessions and scores others, so that it can be calibrated by
cross-fitting like DeepLog: every training session is scored by one that has not seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """A detector's section of the manifest, without the limit and the evidence, and its files."""

    section: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


class Fitted(Protocol):
    """It knows what normal is."""

    def score(self, sessions: Sessions) -> Scores:
        """float64 [sessions], higher is stranger; nan where it has nothing to say."""
        ...

    def entry(self) -> Entry: ...


class SessionDetector(Protocol):
    """It judges a session at its end."""

    @property
    def name(self) -> str: ...

    def fit(self, sessions: Sessions, vocabulary: Vocabulary) -> Fitted: ...

"""examples.json: normal sessions that a bundle carries to be compared with; no detector reads them."""

from __future__ import annotations

import json

import numpy as np

from haechi.bundle.store import EXAMPLES
from haechi.corpus.sessions import Sessions

FILE = EXAMPLES
SESSIONS_MAX = 200
EVENTS_MAX = 256  # of a session that is kept


def examples(sessions: Sessions) -> bytes:
    """The most frequent sequences of whole sessions, as often as each occurred; of equals, the one that came
    first. Empty where there are none."""
    fit = np.flatnonzero(sessions.closed & (sessions.lengths > 0) & (sessions.lengths <= EVENTS_MAX))
    distinct, _ = sessions.select(fit).distinct() if len(fit) else (sessions.select(fit), None)
    order = np.argsort(-distinct.count, kind="stable")[:SESSIONS_MAX]
    if not len(order):
        return b""
    rows = [{"count": int(distinct.count[i]), "keys": distinct.sequence(int(i)).tolist()} for i in order]
    return json.dumps({"format": 1, "sessions": rows}, separators=(",", ":")).encode()

"""Windows: what the model sees before each event, every distinct one once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary


@dataclass(frozen=True)
class Windows:
    """The judged events of sessions (every event, and the end of a closed session) as distinct questions.

    contexts     int64 [distinct contexts, window]: tokens, oldest first, left-padded with begin
    context_of   int64 [pairs]: each distinct (context, token) pair's context, ascending
    token_of     int32 [pairs]: and the token that came
    pair_of      int64 [judged events]: which pair an event is, in the order of sessions and events
    session_of   int64 [judged events]: whose event it is
    """

    contexts: npt.NDArray[np.int64]
    context_of: npt.NDArray[np.int64]
    token_of: npt.NDArray[np.int32]
    pair_of: npt.NDArray[np.int64]
    session_of: npt.NDArray[np.int64]

    def counts(self, session_count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How often each pair occurs when session i occurs session_count[i] times; int64 [pairs]."""
        weights = session_count[self.session_of]
        total: npt.NDArray[np.int64] = np.zeros(len(self.context_of), dtype=np.int64)
        np.add.at(total, self.pair_of, weights)
        return total


def window(sessions: Sessions, vocabulary: Vocabulary, size: int) -> Windows:
    """Every judged event of the sessions with the size tokens before it.

    Each session is laid out as `size` begin marks, its tokens, and the end mark if it is closed. Equal
    windows are found by rank doubling: runs of 1, 2, 4 ... tokens are numbered by numbering pairs of
    shorter runs, so windows need never be written out to be compared, and the comparison is exact.
    """
    stream, judged, session_of = _layout(sessions, vocabulary, size)
    rank, kinds = _rank_runs(stream, size)
    context_rank = rank[judged - size]
    token = stream[judged]
    context, first = np.unique(context_rank, return_index=True)
    pair_number = np.searchsorted(context, context_rank) * np.int64(vocabulary.size) + token
    pairs, pair_of = np.unique(pair_number, return_inverse=True)
    del rank, kinds
    return Windows(
        contexts=np.lib.stride_tricks.sliding_window_view(stream, size)[judged[first] - size].astype(np.int64)
        if len(judged)
        else np.empty((0, size), dtype=np.int64),
        context_of=pairs // vocabulary.size,
        token_of=(pairs % vocabulary.size).astype(np.int32),
        pair_of=pair_of.astype(np.int64),
        session_of=session_of,
    )


def _layout(
    sessions: Sessions, vocabulary: Vocabulary, size: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The padded token stream, the places in it that are judged, and the session of each."""
    judged_length = sessions.lengths + sessions.closed
    ends = np.cumsum(judged_length + size)
    stream = np.full(int(ends[-1]) if len(ends) else 0, vocabulary.begin, dtype=np.int32)
    session_of = np.repeat(np.arange(len(sessions)), judged_length)
    within = np.arange(len(session_of)) - np.repeat(np.cumsum(judged_length) - judged_length, judged_length)
    judged = (ends - judged_length)[session_of] + within
    is_event = within < sessions.lengths[session_of]
    stream[judged[is_event]] = vocabulary.encode(sessions.keys)
    stream[judged[~is_event]] = vocabulary.end
    return stream, judged, session_of


def _rank_runs(stream: npt.NDArray[np.int32], size: int) -> tuple[npt.NDArray[np.int64], int]:
    """A number for the run of `size` tokens that starts at each place: equal numbers, equal runs."""
    run = stream.astype(np.int64)
    length, kinds = 1, int(run.max(initial=0)) + 1
    while length < size:
        step = min(length, size - length)
        pair = run[: len(run) - step] * kinds + run[step:]
        values, run = np.unique(pair, return_inverse=True)
        length, kinds = length + step, len(values)
    return run, kinds

"""Windows: every distinct one once, and back again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import NO_TEMPLATE, Vocabulary
from haechi.corpus.windows import window

BEGIN, END, UNSEEN = 4, 5, 6
WORDS = Vocabulary.of_keys(4, [0, 1, 3])


def test_vocabulary() -> None:
    assert (WORDS.begin, WORDS.end, WORDS.unseen, WORDS.size) == (BEGIN, END, UNSEEN, 7)
    keys = np.array([0, 1, 2, 3, NO_TEMPLATE, 4, 99], dtype=np.int32)
    assert WORDS.encode(keys).tolist() == [0, 1, UNSEEN, 3, UNSEEN, UNSEEN, UNSEEN]
    assert Vocabulary.of_keys(4, [NO_TEMPLATE, 3, 3, 0]).trained_keys == (0, 3)


def by_hand(sessions: Sessions, size: int) -> list[tuple[tuple[int, ...], int, int]]:
    """(context, token, session) of every judged event."""
    out = []
    for i in range(len(sessions)):
        tokens = WORDS.encode(sessions.sequence(i)).tolist() + ([END] if sessions.closed[i] else [])
        padded = [BEGIN] * size + tokens
        out += [(tuple(padded[j : j + size]), token, i) for j, token in enumerate(tokens)]
    return out


@given(
    st.lists(st.tuples(st.lists(st.integers(-1, 4), max_size=14), st.booleans()), max_size=8),
    st.integers(2, 12),
)
def test_windows_say_what_came_before_each_event(drawn: list[tuple[list[int], bool]], size: int) -> None:
    sessions = Sessions.from_sequences([keys for keys, _ in drawn])
    sessions.closed[:] = [closed for _, closed in drawn]
    windows = window(sessions, WORDS, size)
    contexts = [tuple(row) for row in windows.contexts.tolist()]
    pairs = [
        (contexts[c], t) for c, t in zip(windows.context_of.tolist(), windows.token_of.tolist(), strict=True)
    ]
    judged = [
        (*pairs[p], s) for p, s in zip(windows.pair_of.tolist(), windows.session_of.tolist(), strict=True)
    ]
    expected = by_hand(sessions, size)
    assert judged == expected
    assert len(set(contexts)) == len(contexts) == len({context for context, _, _ in expected})
    assert len(set(pairs)) == len(pairs) == len({(context, token) for context, token, _ in expected})
    assert windows.context_of.tolist() == sorted(windows.context_of.tolist())


def test_counts_follow_the_sessions() -> None:
    sessions = Sessions.from_sequences([[0], [0, 0]])
    windows = window(sessions, WORDS, 2)
    counts = windows.counts(np.array([10, 100]))
    found = {
        (tuple(windows.contexts[c].tolist()), int(t)): int(n)
        for c, t, n in zip(windows.context_of, windows.token_of, counts, strict=True)
    }
    assert found == {
        ((BEGIN, BEGIN), 0): 110,
        ((BEGIN, 0), END): 10,
        ((BEGIN, 0), 0): 100,
        ((0, 0), END): 100,
    }

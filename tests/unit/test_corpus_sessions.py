"""Cutting events into sessions, and keeping sets of sessions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haechi.corpus.sessions import NO_TIME, EventStream, Sessions, cut, watermark

SECOND = 1_000_000


def stream(*events: tuple[int, int, float | None]) -> EventStream:
    """(session, key, seconds or None) in the order of lines."""
    return EventStream(
        key=np.array([key for _, key, _ in events], dtype=np.int32),
        session=np.array([name for name, _, _ in events], dtype=np.uint64),
        time_us=np.array([NO_TIME if t is None else int(t * SECOND) for _, _, t in events], dtype=np.int64),
    )


def shown(sessions: Sessions) -> list[tuple[list[int], bool]]:
    return [(sessions.sequence(i).tolist(), bool(sessions.closed[i])) for i in range(len(sessions))]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(
            [(1, 10, 0), (2, 20, 1), (1, 11, 2)], [([10, 11], False), ([20], False)], id="interleaved"
        ),
        pytest.param(
            [(1, 10, 0), (2, 20, 60), (1, 11, 60)],
            [([10, 11], False), ([20], False)],
            id="exactly idle_s is not idle",
        ),
        pytest.param(
            [(1, 10, 0), (2, 20, 60.000001), (1, 11, 61)],
            [([10], True), ([20], False), ([11], False)],
            id="a microsecond more is",
        ),
        pytest.param(
            [(1, 10, 0), (1, 11, 61)],
            [([10, 11], False)],
            id="its own line does not end it: the watermark before it counts",
        ),
        pytest.param(
            [(1, 10, 0), (2, 20, 61)], [([10], True), ([20], False)], id="closed by another's watermark"
        ),
        pytest.param(
            [(1, 10, 0), (2, 20, 100), (1, 11, 10)],
            [([10], True), ([20], False), ([11], False)],
            id="a late line comes after the watermark has passed",
        ),
        pytest.param(
            [(2, 20, 100), (1, 10, 0), (1, 11, 90)],
            [([20], False), ([10, 11], False)],
            id="late lines together: their watermark is the same",
        ),
        pytest.param(
            [(1, 10, None), (1, 11, None), (2, 20, 500)],
            [([10, 11], False), ([20], False)],
            id="no time, no end",
        ),
    ],
)
def test_cut(events: list[tuple[int, int, float | None]], expected: list[tuple[list[int], bool]]) -> None:
    assert shown(cut(stream(*events), idle_s=60)) == expected


def cut_by_hand(events: EventStream, idle_s: int) -> list[tuple[list[int], bool]]:
    """The sentence of docs/bundle.md, an event at a time."""
    mark = NO_TIME
    last: dict[int, int] = {}
    place: dict[int, int] = {}
    sessions: list[list[int]] = []
    closed: list[bool] = []

    def idle(since: int, now: int) -> bool:
        return NO_TIME not in (since, now) and now - since > idle_s * SECOND

    for key, name, time in zip(
        events.key.tolist(), events.session.tolist(), events.time_us.tolist(), strict=True
    ):
        if name in place and idle(last[name], mark):
            closed[place.pop(name)] = True
        if name not in place:
            place[name] = len(sessions)
            sessions.append([])
            closed.append(False)
        mark = max(mark, time)
        last[name] = mark
        sessions[place[name]].append(key)
    for name, at in place.items():
        closed[at] = idle(last[name], mark)
    return list(zip(sessions, closed, strict=True))


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 5), st.one_of(st.none(), st.integers(0, 300))),
        max_size=40,
    ),
    st.integers(1, 100),
)
def test_cut_equals_the_rule_one_event_at_a_time(
    events: list[tuple[int, int, float | None]], idle_s: int
) -> None:
    assert shown(cut(stream(*events), idle_s)) == cut_by_hand(stream(*events), idle_s)


def test_watermark_never_falls() -> None:
    times = np.array([NO_TIME, 5, 3, 9, 1], dtype=np.int64)
    assert watermark(times).tolist() == [NO_TIME, 5, 5, 9, 9]


def test_distinct_adds_counts_and_keeps_open_ones_apart() -> None:
    sessions = Sessions.from_sequences([[1, 2], [3], [1, 2], [1, 2]], [2, 1, 5, 7])
    sessions.closed[3] = False
    merged, to = sessions.distinct()
    assert shown(merged) == [([1, 2], True), ([3], True), ([1, 2], False)]
    assert merged.count.tolist() == [7, 1, 7]
    assert to.tolist() == [0, 1, 0, 2]
    assert (merged.total, merged.events) == (15, 29)


def test_with_count_leaves_out_what_never_occurs() -> None:
    sessions = Sessions.from_sequences([[1], [2, 3], [4]])
    kept = sessions.with_count(np.array([0, 3, 1]))
    assert shown(kept) == [([2, 3], True), ([4], True)]
    assert kept.count.tolist() == [3, 1]
    assert len(sessions.with_count(np.zeros(3, dtype=np.int64))) == 0


def test_concatenate() -> None:
    both = Sessions.concatenate(
        (Sessions.from_sequences([[1, 2]]), Sessions.from_sequences([[3], [4]], [5, 6]))
    )
    assert shown(both) == [([1, 2], True), ([3], True), ([4], True)]
    assert both.count.tolist() == [1, 5, 6]

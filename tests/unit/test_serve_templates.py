"""The template explorer's book, with a detector that counts what it is told to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from haechi.native.control import ControlError
from haechi.serve.templates import Book, Sort, Wanted

NOW = "2025-08-30T10:00:00.000000Z"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """Answers as haechi-detect does."""

    def __init__(self, texts: list[str], bundle: str = "a") -> None:
        self.texts, self.bundle, self.since = texts, bundle, NOW
        self.counts = [0] * len(texts)
        self.unseen = 0
        self.asked: list[dict[str, Any]] = []

    def ask(self, command: str, **wish: Any) -> dict[str, Any]:
        assert command == "templates"
        self.asked.append(wish)
        keys: list[int | None] = wish.get("keys", [])
        if any(key is not None and key >= len(self.texts) for key in keys):
            raise ControlError("templates: not log keys of the bundle")
        if "keys" not in wish:
            begin = wish.get("offset", 0)
            keys = [*range(len(self.texts))][begin : begin + wish["limit"]]
        return {
            "bundle": self.bundle,
            "since": self.since,
            "log_keys": len(self.texts),
            "lines": sum(self.counts) + self.unseen,
            "unseen": self.unseen,
            **({"counts": list(self.counts)} if wish.get("counts") else {}),
            "templates": [self._entry(key) for key in keys],
        }

    def _entry(self, key: int | None) -> dict[str, Any]:
        text, count = (None, self.unseen) if key is None else (self.texts[key], self.counts[key])
        return {"log_key": key, "template": text, "count": count, "example": f"line of {key}"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def detector() -> Counting:
    detector = Counting(["Open <*>", "close <*> now", "reopen <*>", "never came"])
    detector.counts, detector.unseen = [5, 80, 10, 0], 5
    return detector


@pytest.mark.parametrize(
    ("wanted", "keys", "total"),
    [
        (Wanted(), [1, 2, 0, None, 3], 5),
        (Wanted(unseen=False), [1, 2, 0, 3], 4),
        (Wanted(sort="key"), [0, 1, 2, 3, None], 5),
        (Wanted(limit=2), [1, 2], 5),
        (Wanted(limit=2, offset=2), [0, None], 5),
        (Wanted(offset=5), [], 5),
        (Wanted(offset=1_000_000), [], 5),
        (Wanted(query="OPEN"), [2, 0], 2),
        (Wanted(query=" close <*> "), [1], 1),
        (Wanted(query="<*>", sort="key", limit=1), [0], 3),
        (Wanted(query="nothing like it"), [], 0),
    ],
)
def test_which_are_found(
    detector: Counting, clock: Clock, wanted: Wanted, keys: list[int | None], total: int
) -> None:
    found = Book(clock).find(detector, wanted)
    assert [row.log_key for row in found.rows] == keys
    assert (found.total, found.lines, found.bundle, found.since) == (total, 100, "a", NOW)
    for row in found.rows:
        assert row.example["example"] == f"line of {row.log_key}"
        assert row.template == (None if row.log_key is None else detector.texts[row.log_key])


def test_rates_are_differences_between_readings(detector: Counting, clock: Clock) -> None:
    book = Book(clock)

    def rates(sort: Sort = "key") -> dict[int | None, float]:
        return {row.log_key: row.eps for row in book.find(detector, Wanted(sort=sort)).rows}

    rates()
    for _ in range(20):
        clock.now += 2
        detector.counts[0] += 20
        detector.unseen += 2
        shown = rates()
    assert shown == {0: 10, 1: 0, 2: 0, 3: 0, None: 1}
    assert list(rates("rate")) == [0, None, 1, 2, 3]
    clock.now += 5  # what no longer comes is out of the rate after a while
    rates()
    clock.now += 10
    assert rates()[0] == 0
    clock.now += 1000  # nobody looked for long: over all that time
    detector.counts[3] += 500
    assert rates()[3] == pytest.approx(0.5, rel=0.02)


def test_the_first_rate_is_since_the_counting_began(
    detector: Counting, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.fromisoformat(NOW).astimezone(UTC).timestamp()
    monkeypatch.setattr("time.time", lambda: began + 40)
    found = Book(clock).find(detector, Wanted(sort="key"))
    assert [row.eps for row in found.rows] == [5 / 40, 2, 0.25, 0, 5 / 40]


def test_a_second_is_read_once_and_texts_once_a_bundle(detector: Counting, clock: Clock) -> None:
    book = Book(clock)
    for _ in range(5):
        book.find(detector, Wanted())
    assert sum("counts" in wish for wish in detector.asked) == 1
    clock.now += 1
    book.find(detector, Wanted())
    assert sum("counts" in wish for wish in detector.asked) == 2
    assert sum("examples" in wish for wish in detector.asked) == 1


def test_many_texts_come_in_pieces(clock: Clock) -> None:
    detector = Counting([f"template {n}" for n in range(1001)])
    found = Book(clock).find(detector, Wanted(query="template 100", sort="key"))
    assert [row.log_key for row in found.rows] == [100, 1000]
    assert [wish["offset"] for wish in detector.asked if "offset" in wish] == [0, 200, 400, 600, 800, 1000]


def test_another_bundle_is_another_book(detector: Counting, clock: Clock) -> None:
    book = Book(clock)
    book.find(detector, Wanted())
    other = Counting(["only one"], "b")
    other.counts = [3]
    found = book.find(other, Wanted())  # within the second of the first reading
    assert (found.bundle, found.lines, [row.template for row in found.rows]) == ("b", 3, ["only one", None])
    assert book.find(detector, Wanted()).bundle == "a"


def test_a_bundle_that_changes_all_the_time(detector: Counting, clock: Clock) -> None:
    whole = detector.ask

    def restless(command: str, **wish: Any) -> dict[str, Any]:
        answer = whole(command, **wish)
        return {**answer, "since": f"2025-08-30T10:00:{len(detector.asked) % 60:02}.000000Z"}

    detector.ask = restless  # type: ignore[method-assign]
    with pytest.raises(ControlError, match="is being changed"):
        Book(clock).find(detector, Wanted())


@pytest.mark.parametrize("lacking", ["bundle", "since", "counts", "lines", "unseen", "templates"])
def test_an_answer_of_another_version(detector: Counting, clock: Clock, lacking: str) -> None:
    whole = detector.ask

    def older(command: str, **wish: Any) -> dict[str, Any]:
        answer = whole(command, **wish)
        answer.pop(lacking, None)
        return answer

    detector.ask = older  # type: ignore[method-assign]
    with pytest.raises(ControlError, match=f"lacks {lacking}"):
        Book(clock).find(detector, Wanted())

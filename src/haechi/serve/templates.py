"""What a detector reads, by template: how often each came, how often lately, and a line of it.

The detector counts (core/src/detect/tally.h); asked for is what somebody wants to see, at most once a second.
Rates are differences between what was read here, so they are as fresh as the looking is frequent.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from haechi.native.control import ControlError

Sort = Literal["count", "key", "rate"]

FRESH_S = 1.0  # a reading is used again for so long
RATE_S = 10.0  # what a rate is taken over where there are readings enough
TEXTS_AT_ONCE = 200
TRIES = 3  # a bundle may be changed between two questions


class Asked(Protocol):
    """A running detector."""

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]: ...


class ChangedError(Exception):
    """The detector counts for another bundle than it did a moment ago."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Counts of one moment."""

    at_s: float
    lines: int
    unseen: int
    counts: array[int]  # by log key


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the templates, in which order."""

    query: str = ""
    sort: Sort = "count"
    unseen: bool = True
    limit: int = 100
    offset: int = 0


@dataclass(slots=True)
class Row:
    log_key: int | None  # None: lines that fit no template
    template: str | None
    count: int
    eps: float
    example: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    total: int  # that fit, of which `rows` is a piece
    lines: int
    bundle: str
    since: str
    rows: Sequence[Row]


class Book:
    """One detector's counts and templates. Its methods wait for the detector and for each other: they belong
    into a thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        self._of: tuple[str, str] = ("", "")  # the bundle, and since when
        self._texts: list[str] = []
        self._sought: list[str] = []  # the same for searching
        self._readings: deque[Reading] = deque()
        self._first_eps = 0.0  # over the time before the first reading

    def find(self, detector: Asked, wanted: Wanted) -> Found:
        """ControlError where the detector does not answer, or changes its bundle again and again."""
        with self._turn:
            for _ in range(TRIES):
                try:
                    self._read(detector)
                    keys = self._chosen(wanted)
                    shown = keys[wanted.offset : wanted.offset + wanted.limit]
                    rows = self._rows(detector, shown)
                except ChangedError:
                    self._of = ("", "")
                    continue
                bundle, since = self._of
                return Found(len(keys), self._readings[-1].lines, bundle, since, rows)
        raise ControlError("templates: the bundle is being changed; ask again")

    def _read(self, detector: Asked) -> None:
        at = self._clock()
        if self._of[0] and self._readings and at - self._readings[-1].at_s < FRESH_S:
            return
        answer = detector.ask("templates", counts=True, limit=0)
        of = _of(answer)
        counts = array("Q", _list(answer, "counts"))
        if of != self._of:
            texts = self._read_texts(detector, of, len(counts))
            self._of, self._texts = of, texts
            self._sought = [text.casefold() for text in texts]
            self._readings.clear()
        reading = Reading(self._clock(), _count(answer, "lines"), _count(answer, "unseen"), counts)
        self._readings.append(reading)
        # The oldest that stays is the one that a rate over RATE_S begins at.
        while len(self._readings) > 2 and reading.at_s - self._readings[1].at_s >= RATE_S:
            self._readings.popleft()

    def _read_texts(self, detector: Asked, of: tuple[str, str], keys: int) -> list[str]:
        texts: list[str] = []
        while len(texts) < keys:
            answer = detector.ask("templates", offset=len(texts), limit=TEXTS_AT_ONCE, examples=False)
            if _of(answer) != of:
                raise ChangedError
            found = [_text(entry, "template") for entry in _list(answer, "templates")]
            if not found:
                raise _strange("templates")
            texts += found
        return texts

    def _chosen(self, wanted: Wanted) -> list[int | None]:
        """The log keys that fit, in order; None: of lines that fit no template, which no text finds."""
        query = wanted.query.strip().casefold()
        keys: list[int | None] = [key for key, text in enumerate(self._sought) if query in text]
        if wanted.unseen and not query:
            keys.append(None)
        if wanted.sort == "count":
            keys.sort(key=self._count_of, reverse=True)
        elif wanted.sort == "rate":
            keys.sort(key=lambda key: (self._eps(key), self._count_of(key)), reverse=True)
        return keys

    def _rows(self, detector: Asked, keys: Sequence[int | None]) -> list[Row]:
        if not keys:
            return []
        try:
            answer = detector.ask("templates", keys=list(keys))
        except ControlError:
            # Refused as well where the bundle is another one by now, and has not so many.
            if _of(detector.ask("templates", limit=0)) != self._of:
                raise ChangedError from None
            raise
        if _of(answer) != self._of:
            raise ChangedError
        entries = _list(answer, "templates")
        if len(entries) != len(keys):
            raise _strange("templates")
        return [
            Row(key, None if key is None else self._texts[key], self._count_of(key), self._eps(key), entry)
            for key, entry in zip(keys, entries, strict=True)
        ]

    def _count_of(self, key: int | None) -> int:
        return _of_reading(self._readings[-1], key)

    def _eps(self, key: int | None) -> float:
        """Since the reading before those of the last RATE_S; at the first one, since the counting began."""
        last, first = self._readings[-1], self._readings[0]
        if last is first:
            return _of_reading(last, key) / max(FRESH_S, _age_s(self._of[1]))
        return max(0, _of_reading(last, key) - _of_reading(first, key)) / (last.at_s - first.at_s)


def _of_reading(reading: Reading, key: int | None) -> int:
    return reading.unseen if key is None else reading.counts[key]


def _age_s(since: str) -> float:
    try:
        return time.time() - datetime.fromisoformat(since).timestamp()
    except ValueError:
        return 0.0


def _of(answer: Mapping[str, Any]) -> tuple[str, str]:
    return _text(answer, "bundle"), _text(answer, "since")


def _text(answer: Mapping[str, Any], name: str) -> str:
    if not isinstance(value := answer.get(name), str):
        raise _strange(name)
    return value


def _count(answer: Mapping[str, Any], name: str) -> int:
    if not isinstance(value := answer.get(name), int):
        raise _strange(name)
    return value


def _list(answer: Mapping[str, Any], name: str) -> list[Any]:
    if not isinstance(value := answer.get(name), list):
        raise _strange(name)
    return value


def _strange(name: str) -> ControlError:
    return ControlError(f"templates: the detector's answer lacks {name}; the tools are of another version")

"""The lines around an alert's, out of the file that it was read from, and those of its session among them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from haechi.bundle.store import Bundle
from haechi.corpus.sessions import NO_TIME, watermark
from haechi.corpus.vocabulary import NO_TEMPLATE
from haechi.native import _core

LINE_MAX = 4096  # bytes of a line that are shown
_CORE_UNSEEN = 0xFFFFFFFF


class GoneError(Exception):
    """The line is not where it was; says what is there instead."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a file: `data` begins at byte `start`, and the alert's line at `at` within it."""

    path: Path
    data: bytes
    start: int
    at: int
    whole: bool  # nothing was left out at either end

    def line(self, at: int) -> str:
        end = self.data.find(b"\n", at)
        stop = min(len(self.data) if end < 0 else end, at + LINE_MAX)
        return self.data[at:stop].rstrip(b"\r").decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Events:
    """Those of one session, in order.

    at        offsets of their lines within the piece
    keys      log keys, NO_TEMPLATE where a line fits none
    time_us   event times, NO_TIME where unknown
    mark      which of them is the alert's
    cut       events before these may be missing: the piece does not reach back far enough
    ended     its end was seen
    left_out  events of the session that are not among these
    """

    at: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int32]
    time_us: npt.NDArray[np.int64]
    mark: int
    cut: bool
    ended: bool
    left_out: int = 0


def read_piece(path: Path, line: Mapping[str, Any], before: int, after: int) -> Piece:
    """At most `before` bytes ahead of the alert's line and `after` from its beginning on. GoneError where
    another line is there; OSError."""
    offset, text = int(line["offset"]), line.get("text")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise GoneError(f"{path} is not a regular file, so nothing can be read again")
        if offset >= status.st_size:
            raise GoneError(f"{path} has {status.st_size} bytes now; the line was at byte {offset}")
        start = max(0, offset - before)
        data = os.pread(file.fileno(), offset + after - start, start)
    begin = offset - start
    if begin and data[begin - 1 : begin] != b"\n":
        raise GoneError(f"at byte {offset} of {path} no line begins any more")
    whole = start == 0 and start + len(data) >= status.st_size
    head = data.find(b"\n", 0, begin) + 1 if start and begin else 0
    tail = data.rfind(b"\n") + 1
    if not whole and tail > begin:
        data = data[:tail]
    piece = Piece(path, data[head:], start + head, begin - head, whole)
    if text is not None and not _same(piece.line(piece.at), str(text)):
        raise GoneError(f"at byte {offset} of {path} another line stands now")
    return piece


def _same(found: str, said: str) -> bool:
    """What is not plain text may be written in several ways."""
    plain = ["".join(letter for letter in text if " " <= letter <= "~") for text in (found, said)]
    return plain[0][: len(plain[1])] == plain[1] if len(said) >= LINE_MAX - 8 else plain[0] == plain[1]


def session_events(piece: Piece, bundle: Bundle, session: str, most: int) -> Events | None:
    """Of the session that the alert's line belongs to, at most so many. None: the bundle's format reads no
    event in that line."""
    front = front_of(bundle)
    events = front.read(piece.data)
    here = np.flatnonzero(events["line"] == piece.at)
    if not len(here):
        return None
    chosen = _of_name(front, piece, events, here, session)
    idle_us = round(bundle.manifest.session.idle_s * 1_000_000)
    after = watermark(events["time_us"])
    members = np.flatnonzero(events["session"] == events["session"][chosen])
    place = int(np.searchsorted(members, chosen))
    ahead = after[np.maximum(members[1:] - 1, 0)]
    breaks = np.flatnonzero(_apart(after[members[:-1]], ahead, idle_us)) + 1
    first = int(breaks[breaks <= place].max(initial=0))
    last = int(breaks[breaks > place].min(initial=len(members)))
    run = members[first:last]
    known = first > 0 or piece.start == 0 or _apart(after[:1], after[run[:1]], idle_us)[0]
    ended = last < len(members) or bool(_apart(after[run[-1:]], after[-1:], idle_us)[0])
    place -= first
    low = max(0, min(place - most * 3 // 4, len(run) - most))
    shown = run[low : low + most]
    key = events["key"][shown]
    return Events(
        events["line"][shown],
        np.where(key == _CORE_UNSEEN, NO_TEMPLATE, key.astype(np.int64)).astype(np.int32),
        events["time_us"][shown],
        place - low,
        bool(not known or low > 0),
        ended and low + most >= len(run),
        len(run) - len(shown),
    )


def front_of(bundle: Bundle) -> _core.Front:
    """Reads as the engine does with this bundle."""
    manifest, rule = bundle.manifest, bundle.manifest.session
    return _core.Front(
        manifest.parser.format,
        _core.Matcher(bundle.file("templates.json")),
        by=rule.by,
        fields=list(rule.fields),
        prefix=rule.prefix,
        seconds=rule.seconds,
    )


def _of_name(
    front: _core.Front, piece: Piece, events: _core.Events, here: npt.NDArray[np.intp], session: str
) -> int:
    """A line that names two values is an event of two sessions; the alert is of one of them."""
    if len(here) == 1:
        return int(here[0])
    first = events["first_of_line"]
    for one in here:
        same = np.flatnonzero((events["session"] == events["session"][one]) & first)
        if len(same) and front.session_name(piece.data, int(events["line"][same[0]])) == session:
            return int(one)
    return int(here[0])


def _apart(since: npt.NDArray[np.int64], now: npt.NDArray[np.int64], idle_us: int) -> npt.NDArray[np.bool_]:
    """More than that from one watermark to the other; never where either is not known."""
    known = (since != NO_TIME) & (now != NO_TIME)
    return np.asarray(known & (np.where(known, now, 0) - np.where(known, since, 0) > idle_us))


def first_piece(
    paths: Sequence[Path], line: Mapping[str, Any], before: int, after: int
) -> tuple[Piece | None, list[str]]:
    """Out of the first file in which the line still is; and why it is not in those before."""
    notes: list[str] = []
    for path in paths:
        try:
            return read_piece(path, line, before, after), notes
        except GoneError as gone:
            notes.append(f"The alert's line is gone: {gone}.")
        except OSError as error:
            notes.append(f"{path} cannot be read: {error.strerror}.")
    return None, notes

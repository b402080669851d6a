"""Alerts out of the files that detectors write, all of them in the order of their events' times."""

from __future__ import annotations

import heapq
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

LINE_BYTES = 256 << 10
POLL_S = 0.5
_READ_BYTES = 1 << 20


@dataclass(slots=True)
class Account:
    """Lines that are no alert, and the first of them: file, line from 1, and why."""

    unreadable: int = 0
    first: str = ""

    def note(self, where: str, why: str) -> None:
        self.unreadable += 1
        self.first = self.first or f"{where}: {why}"


def read_alerts(paths: Sequence[Path], account: Account) -> Iterator[dict[str, Any]]:
    """Several files are merged by time; within a file the order stays as it is. OSError."""
    if len(paths) == 1:
        return _alerts_of(paths[0], account)
    keyed = [_keyed(_alerts_of(path, account)) for path in paths]
    return (alert for _, alert in heapq.merge(*keyed, key=lambda one: one[0]))


def follow_alerts(
    paths: Sequence[Path],
    account: Account,
    idle: Callable[[], object],
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """For ever: what is there, then what is added. A file that is not there yet is waited for; one that has
    become shorter is read from its beginning. `idle` is called whenever there is nothing new."""
    tails = [_Tail(path) for path in paths]
    while True:
        found = sorted(
            (alert for tail in tails for alert in tail.read(account)),
            key=lambda alert: str(alert.get("time") or ""),
        )
        yield from found
        if not found:
            idle()
            wait(POLL_S)


def parse(line: bytes, where: str, account: Account) -> dict[str, Any] | None:
    """None, and a note in the account, where it is no JSON object."""
    if len(line) > LINE_BYTES:
        account.note(where, f"is longer than {LINE_BYTES} bytes")
        return None
    try:
        alert = json.loads(line)
    except (ValueError, RecursionError):
        account.note(where, "is not JSON")
        return None
    if not isinstance(alert, dict):
        account.note(where, "is not a JSON object")
        return None
    return alert


def _alerts_of(path: Path, account: Account) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            if line.strip() and (alert := parse(line, f"{path} (line {number})", account)) is not None:
                yield alert


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Of a line that is too long, as much as shows that it is."""
    while line := file.readline(LINE_BYTES + 1):
        rest = line
        while len(rest) > LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(LINE_BYTES + 1)
        yield line


def _keyed(alerts: Iterator[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """With a key that never falls, so that a merge keeps the order of each file."""
    latest = ""
    for alert in alerts:
        latest = max(latest, str(alert.get("time") or ""))
        yield latest, alert


class _Tail:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._number = 0
        self._rest = b""

    def read(self, account: Account) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._offset, self._rest, self._number = 0, b"", 0
                file.seek(self._offset)
                data = file.read(_READ_BYTES)
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[: LINE_BYTES + 1]
        found: deque[dict[str, Any]] = deque()
        for line in lines:
            self._number += 1
            where = f"{self._path} (line {self._number})"
            if line.strip() and (alert := parse(line, where, account)) is not None:
                found.append(alert)
        return list(found)

"""Incidents of earlier servers: written down as they change, read again by the next one.

A file of JSON lines in the state folder; of an incident the last line counts. When it has grown it is written
anew with what is still kept. Where it cannot be written, that is said once, and what is in memory goes on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from haechi.config.incidents import SEVERITIES

NAME = "incidents.jsonl"
FILE_BYTES = 16 << 20
LINE_BYTES = 1 << 20  # a longer one is none of ours
_NUMBER_MAX = 1 << 53

_SHAPE: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "state": str,
    "severity": str,
    "raised": bool,
    "held_back": bool,
    "acknowledged": bool,
    "first": (str, type(None)),
    "last": (str, type(None)),
    "count": int,
    "summary": str,
    "cause": dict,
    "line": (str, type(None)),
    "evidence": (int, float),
    "detectors": list,
    "rules": list,
    "alerts": list,
    "number": int,
}
_NAMES = ("sessions", "hosts", "kinds", "sources", "users")


class IncidentStore:
    """Used from the event loop alone."""

    def __init__(self, folder: Path, file_bytes: int = FILE_BYTES) -> None:
        self._path = folder / NAME
        self._file_bytes = file_bytes
        self._written = 0
        self._torn = False  # the last write may have left half a line
        self.unreadable = 0
        self.unwritten = 0

    def load(self) -> list[dict[str, Any]]:
        """What earlier servers knew of each incident at last, by number. Lines that are not ours are passed
        over, and counted."""
        found: dict[str, dict[str, Any]] = {}
        try:
            data = self._path.read_bytes()
        except OSError:
            return []
        for line in data.split(b"\n"):
            if not line:
                continue
            view = _view_of(line)
            if view is None:
                self.unreadable += 1
            else:
                found[view["id"]] = view
        self._written = len(data)
        self._torn = bool(data) and not data.endswith(b"\n")
        return sorted(found.values(), key=lambda view: view["number"])

    @property
    def is_long(self) -> bool:
        return self._written > self._file_bytes

    def add(self, views: Iterable[Mapping[str, Any]]) -> None:
        text = b"".join(map(_line_of, views))
        if not text:
            return
        try:
            with open(self._path, "ab", opener=_private) as file:
                file.write(b"\n" + text if self._torn else text)
        except OSError as error:
            self._torn = True
            self._failed(error)
            return
        self._torn = False
        self._written += len(text)

    def write_anew(self, views: Iterable[Mapping[str, Any]]) -> None:
        """With these alone."""
        text = b"".join(map(_line_of, views))
        beside = self._path.with_suffix(".new")
        try:
            with open(beside, "wb", opener=_private) as file:
                file.write(text)
            beside.replace(self._path)
        except OSError as error:
            self._failed(error)
        else:
            self._torn = False
        # Where it failed, too: not again before as much has come.
        self._written = len(text) if len(text) < self._file_bytes // 2 else self._file_bytes // 2

    def _failed(self, error: OSError) -> None:
        if not self.unwritten:
            print(f"haechi: incidents are not written: {error}", file=sys.stderr, flush=True)
        self.unwritten += 1


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _line_of(view: Mapping[str, Any]) -> bytes:
    return json.dumps(view, separators=(",", ":"), default=str).encode() + b"\n"


def _view_of(line: bytes) -> dict[str, Any] | None:
    try:
        view = json.loads(line) if len(line) <= LINE_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(view, dict):
        return None
    for name, kind in _SHAPE.items():
        if not isinstance(view.get(name), kind):
            return None
    for name in _NAMES:
        if not isinstance(view.get(name), dict):
            return None
    if view["severity"] not in SEVERITIES or not 0 < view["number"] < _NUMBER_MAX:
        return None
    return view

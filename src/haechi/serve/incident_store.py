"""Incidents of earlier servers: written down as they change, read again by the next one.

A file of JSON lines in the state folder; of an incident the last line counts. When it has grown it is written
anew with what is still kept. Where it cannot be written, that is said once, and what is in memory goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from haechi.config.incidents import SEVERITIES
from haechi.serve.linefile import LineFile

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
        self._file = LineFile(folder / NAME, "incidents are")
        self._file_bytes = file_bytes
        self.unreadable = 0

    def load(self) -> list[dict[str, Any]]:
        """What earlier servers knew of each incident at last, by number. Lines that are not ours are passed
        over, and counted."""
        found: dict[str, dict[str, Any]] = {}
        for line in self._file.read():
            view = _view_of(line)
            if view is None:
                self.unreadable += 1
            else:
                found[view["id"]] = view
        return sorted(found.values(), key=lambda view: view["number"])

    @property
    def is_long(self) -> bool:
        return self._file.written > self._file_bytes

    @property
    def unwritten(self) -> int:
        """How often the file could not be written."""
        return self._file.failures

    def add(self, views: Iterable[Mapping[str, Any]]) -> None:
        if text := b"".join(map(_line_of, views)):
            self._file.add(text)

    def write_anew(self, views: Iterable[Mapping[str, Any]]) -> None:
        """With these alone."""
        self._file.replace(b"".join(map(_line_of, views)))
        # Where it failed, or they are many: not again before as much has come.
        self._file.written = min(self._file.written, self._file_bytes // 2)


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

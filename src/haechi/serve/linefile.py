"""A file of lines in the state folder that is added to for as long as the server runs, and read again by the
next one. Half a line, left by a crash or a full disk, costs no other line. Where the file cannot be written,
that is said once and counted, and the server goes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class LineFile:
    """Used from the event loop alone. what: as the sentence about a failure names it."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._torn = False  # the last write may have left half a line
        self.written = 0  # bytes, as far as known
        self.failures = 0

    def read(self) -> list[bytes]:
        """The lines there are, without empty ones."""
        data = _bytes_of(self._path)
        self.written = len(data)
        self._torn = bool(data) and not data.endswith(b"\n")
        return _lines_of(data)

    def add(self, lines: bytes) -> None:
        """Whole lines, at the end."""
        try:
            with open(self._path, "ab", opener=_private) as file:
                file.write(b"\n" + lines if self._torn else lines)
        except OSError as error:
            self._torn = True
            self._failed(error)
        else:
            self._torn = False
            self.written += len(lines)

    def replace(self, lines: bytes) -> None:
        """With these alone; where that fails, all is as it was."""
        beside = self._path.with_suffix(".new")
        try:
            with open(beside, "wb", opener=_private) as file:
                file.write(lines)
            beside.replace(self._path)
        except OSError as error:
            self._failed(error)
        else:
            self._torn = False
            self.written = len(lines)

    def turn_over(self, earlier: Path) -> None:
        """What there is gets another name, and a new file is begun; where that fails, the old one goes on."""
        try:
            self._path.replace(earlier)
        except OSError:
            return
        self._torn = False
        self.written = 0

    def _failed(self, error: OSError) -> None:
        if not self.failures:
            print(f"haechi: {self._what} not written: {error}", file=sys.stderr, flush=True)
        self.failures += 1


def read_lines(path: Path) -> list[bytes]:
    """The same of a file that is not added to any more."""
    return _lines_of(_bytes_of(path))


def _bytes_of(path: Path) -> bytes:
    """Where it cannot be read, none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _lines_of(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)

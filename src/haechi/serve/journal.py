"""What has happened, in order: operators' acts, healing, tuning, rules, ends. The last entries are in memory,
all of them in a file of JSON lines in the state folder, which is turned over when it has grown; a server that
begins anew reads them again and goes on counting where the last one stopped."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

EventKind = Literal["operator", "healing", "tuning", "rule", "end"]
KINDS: tuple[EventKind, ...] = ("operator", "healing", "tuning", "rule", "end")

NAME = "journal.jsonl"
EARLIER = "journal.1.jsonl"
KEPT = 2000
FILE_BYTES = 4 << 20
TEXT_MAX = 1000
DATA_BYTES = 16 << 10
NUMBER_MAX = 1 << 53  # beyond it a browser's numbers are not exact


@dataclass(frozen=True, slots=True)
class Entry:
    """One step. `outcome` says how it went, as far as that is known when it is written."""

    number: int
    time: str
    kind: EventKind
    subject: str
    action: str
    why: str
    outcome: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def view(self) -> dict[str, Any]:
        return asdict(self)


class Journal:
    """Used from the event loop alone. Where the file cannot be written, that is said once, and the entries in
    memory go on."""

    def __init__(self, folder: Path, kept: int = KEPT, file_bytes: int = FILE_BYTES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._next = 1
        self._written = 0
        self._torn = False  # the last write may have left half a line
        self.unreadable = 0
        self.unwritten = 0
        self.on_entry: Callable[[Entry], None] = lambda entry: None

    def load(self) -> None:
        """What earlier servers have left. A line that is none of ours is counted and passed over."""
        for name in (EARLIER, NAME):
            try:
                data = (self._folder / name).read_bytes()
            except OSError:
                continue
            for line in data.split(b"\n"):
                if not line:
                    continue
                if (entry := _entry_of(line)) is None:
                    self.unreadable += 1
                elif entry.number >= self._next:
                    self._entries.append(entry)
                    self._next = entry.number + 1
            if name == NAME:
                self._written = len(data)
                if data and not data.endswith(b"\n"):  # cut by a crash: ours begins on a line of its own
                    self._append(b"\n")

    @property
    def last(self) -> int:
        """The number of the newest entry; 0: there is none."""
        return self._next - 1

    def add(
        self,
        kind: EventKind,
        subject: str,
        action: str,
        text: str,
        *,
        why: str = "",
        outcome: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Entry:
        when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = dict(data or {})
        if len(json.dumps(shown, default=str)) > DATA_BYTES:
            shown = {"left_out": f"more than {DATA_BYTES} bytes"}
        entry = Entry(
            self._next, when, kind, subject, action, why[:TEXT_MAX], outcome, text[:TEXT_MAX], shown
        )
        self._next += 1
        self._entries.append(entry)
        line = json.dumps(entry.view(), separators=(",", ":"), default=str).encode() + b"\n"
        if self._written + len(line) > self._file_bytes:
            self._turn_over()
        self._append(line)
        self.on_entry(entry)
        return entry

    def find(
        self,
        limit: int,
        *,
        kind: EventKind | None = None,
        subject: str | None = None,
        before: int | None = None,
    ) -> list[Entry]:
        """The newest first; with `before` only those with a smaller number."""
        found: list[Entry] = []
        for entry in reversed(self._entries):
            if (
                (before is None or entry.number < before)
                and kind in (None, entry.kind)
                and subject in (None, entry.subject)
            ):
                found.append(entry)
                if len(found) == limit:
                    break
        return found

    def _append(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        try:
            with (self._folder / NAME).open("ab") as file:
                file.write(line)
        except OSError as error:
            self._torn = True
            if not self.unwritten:
                print(f"haechi: the journal is not written: {error}", file=sys.stderr, flush=True)
            self.unwritten += 1
            return
        self._torn = False
        self._written += len(line)

    def _turn_over(self) -> None:
        try:
            (self._folder / NAME).replace(self._folder / EARLIER)
        except OSError:
            return
        self._written = 0


def _entry_of(line: bytes) -> Entry | None:
    try:
        whole = json.loads(line)
        kind = whole["kind"]
        number = int(whole["number"])
        if kind not in KINDS or not isinstance(whole["data"], dict) or not 0 < number < NUMBER_MAX:
            return None
        texts = {name: str(whole[name]) for name in ("time", "subject", "action", "why", "outcome", "text")}
        return Entry(number=number, kind=kind, data=whole["data"], **texts)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None

"""What has happened, in order: operators' acts, healing, tuning, rules, ends. The last entries are in memory,
all of them in a file of JSON lines in the state folder, which is turned over when it has grown; a server that
begins anew reads them again and goes on counting where the last one stopped."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from haechi.serve.linefile import LineFile, read_lines

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
        self._earlier = folder / EARLIER
        self._file = LineFile(folder / NAME, "the journal is")
        self._file_bytes = file_bytes
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._next = 1
        self.unreadable = 0
        self.on_entry: Callable[[Entry], None] = lambda entry: None

    def load(self) -> None:
        """What earlier servers have left. A line that is none of ours is counted and passed over."""
        for line in [*read_lines(self._earlier), *self._file.read()]:
            if (entry := _entry_of(line)) is None:
                self.unreadable += 1
            elif entry.number >= self._next:
                self._entries.append(entry)
                self._next = entry.number + 1

    @property
    def unwritten(self) -> int:
        """How often the file could not be written."""
        return self._file.failures

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
        if self._file.written + len(line) > self._file_bytes:
            self._file.turn_over(self._earlier)
        self._file.add(line)
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

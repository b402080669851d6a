"""Messages to people: delivered through Apprise, tried again with growing pauses, and kept account of."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from haechi.config.serve import ChannelConfig, Severity
from haechi.serve.alertlog import rank

KEPT = 1000
PENDING_MAX = 500
PAUSE_MAX_S = 300.0
_DELIVERING = threading.Lock()  # what Apprise says of a failure is caught from its logger, one at a time

State = Literal["pending", "delivered", "failed"]
Deliver = Callable[[str, str, str, str], None]  # url, title, body, kind


class DeliveryError(Exception):
    """A message was not taken; says why, without the channel's URL, which may hold a password."""


@dataclass(slots=True)
class Notification:
    """One message to one channel."""

    number: int
    channel: str
    rule: str
    subject: str
    event: str
    severity: Severity
    text: str
    created: str
    state: State = "pending"
    attempts: int = 0
    error: str | None = None
    due: float = 0.0

    def view(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in (
                "number channel rule subject event severity text created state attempts error".split()
            )
        }


class Notifier:
    """`tell` queues, `run` delivers until it is cancelled. What is given up on is said on standard error."""

    def __init__(
        self,
        channels: Sequence[ChannelConfig],
        attempts: int,
        backoff_s: float,
        clock: Callable[[], float],
        deliver: Deliver | None = None,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._clock = clock
        self._deliver = deliver or deliver_by_apprise
        self._kept: deque[Notification] = deque()
        self._pending: list[Notification] = []
        self._woken = asyncio.Event()
        self._next = 1
        self.counts: Counter[str] = Counter(delivered=0, failed=0)

    def tell(self, rule: str, subject: str, event: str, severity: Severity, text: str) -> None:
        """To every channel that wants this severity."""
        for channel in self._channels.values():
            if rank(severity) < rank(channel.at_least):
                continue
            created = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            note = Notification(
                self._next, channel.name, rule, subject, event, severity, text, created, due=self._clock()
            )
            self._next += 1
            self._kept.append(note)
            self._pending.append(note)
            if len(self._pending) > PENDING_MAX:
                self._give_up(self._pending[0], f"more than {PENDING_MAX} messages were waiting")
            self._forget()
        self._woken.set()

    @property
    def pending(self) -> int:
        return len(self._pending)

    def latest(self, limit: int, state: str | None = None) -> list[Notification]:
        """The newest first."""
        found = (note for note in reversed(self._kept) if state is None or note.state == state)
        return [note for note, _ in zip(found, range(limit), strict=False)]

    async def run(self) -> None:
        while True:
            self._woken.clear()
            for note in [note for note in self._pending if note.due <= self._clock()]:
                if note.state == "pending":
                    await self._try(note)
            pause = min((note.due - self._clock() for note in self._pending), default=None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), None if pause is None else max(0.01, pause))

    async def close(self, timeout_s: float = 5.0) -> None:
        """A last try for what still waits; then it is given up aloud."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for note in list(self._pending):
                    await self._try(note)
        for note in list(self._pending):
            self._give_up(note, note.error or "haechi serve has ended")

    async def _try(self, note: Notification) -> None:
        channel = self._channels[note.channel]
        title = f"haechi: {note.rule} {note.event}"
        kind = "success" if note.event == "recovered" else "failure"
        note.attempts += 1
        try:
            await asyncio.to_thread(self._deliver, channel.url, title, note.text, kind)
        except Exception as error:  # whatever it is, the message is tried again or given up aloud
            if note.state != "pending":
                return
            note.error = str(error) if isinstance(error, DeliveryError) else type(error).__name__
            if note.attempts >= self._attempts:
                self._give_up(note, note.error)
            else:
                pause = self._backoff_s * 2 ** (note.attempts - 1)
                note.due = self._clock() + min(PAUSE_MAX_S, pause)
            return
        if note.state == "pending":
            note.state, note.error = "delivered", None
            self._pending.remove(note)
            self.counts["delivered"] += 1

    def _give_up(self, note: Notification, reason: str) -> None:
        note.state, note.error = "failed", reason
        self._pending.remove(note)
        self.counts["failed"] += 1
        print(f"haechi: not delivered to {note.channel}: {note.text} ({reason})", file=sys.stderr, flush=True)

    def _forget(self) -> None:
        while len(self._kept) > KEPT and self._kept[0].state != "pending":
            self._kept.popleft()


class _Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=5)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def deliver_by_apprise(url: str, title: str, body: str, kind: str) -> None:
    """Waits until the message was taken. DeliveryError where it was not."""
    import apprise

    server = apprise.Apprise.instantiate(url)
    if server is None:
        raise DeliveryError("the channel's url is none that Apprise knows")
    logger, said = logging.getLogger("apprise"), _Said()
    with _DELIVERING:
        logger.addHandler(said)
        logger.propagate = False
        try:
            taken = server.notify(body=body, title=title, notify_type=apprise.NotifyType(kind))
        except Exception as error:  # a plugin of somebody else's: whatever it is, the message is not lost
            raise DeliveryError(f"{type(error).__name__} in {type(server).__name__}") from None
        finally:
            logger.removeHandler(said)
    if not taken:
        raise DeliveryError(" ".join(said.lines).replace(url, "(url)")[:300] or "it was not taken")


def knows(channel: ChannelConfig) -> bool:
    """Whether Apprise can make something of the channel's URL."""
    import apprise

    return apprise.Apprise.instantiate(channel.url) is not None

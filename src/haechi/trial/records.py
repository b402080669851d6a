"""What scoring reads, one JSON object a line: alerts (docs/alert.schema.json) and the storm's episodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

EPISODE_KINDS = (
    "step_skipped",
    "steps_out_of_order",
    "failure_repeated",
    "never_seen_message",
    "value_out_of_range",
    "message_burst",
    "host_silence",
)


class RecordError(Exception):
    """A line of a file of alerts or episodes that is neither; names file, line and key."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What scoring needs of an alert; `whole` has the rest."""

    id: str
    time_s: float | None  # event time, seconds since 1970-01-01 UTC; None where the log has no times
    session: str
    detector: str
    whole: dict[str, Any]

    @property
    def host(self) -> str:
        """The first word of the session's name, where sessions are told apart by host first."""
        return self.session.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Episode:
    """One anomalous session, or what befell a host, as the storm wrote it."""

    id: str
    kind: str
    technique: str | None
    session: str  # empty where it is of a host
    first_time_s: float
    last_time_s: float
    events: int
    host: str = ""
    complete: bool = True  # False: the storm ended within it


T = TypeVar("T")


def read_alerts(path: Path | str) -> list[Alert]:
    return list(_read(path, "alert", _alert))


def read_episodes(path: Path | str) -> list[Episode]:
    return list(_read(path, "episode", _episode))


def parse_time(text: str) -> float:
    """RFC 3339 to seconds since 1970-01-01 UTC; ValueError. Without a zone it is UTC."""
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _alert(record: dict[str, Any]) -> Alert:
    time = record["time"]
    return Alert(
        id=str(record["id"]),
        time_s=None if time is None else parse_time(time),
        session=str(record["session"] or ""),
        detector=str(record["detector"]),
        whole=record,
    )


def _episode(record: dict[str, Any]) -> Episode:
    return Episode(
        id=str(record["id"]),
        kind=str(record["kind"]),
        technique=record.get("technique"),
        session=str(record["session"]),
        first_time_s=parse_time(record["first_time"]),
        last_time_s=parse_time(record["last_time"]),
        events=int(record["events"]),
        host=str(record.get("host") or ""),
        complete=bool(record.get("complete", True)),
    )


def _read(path: Path | str, noun: str, make: Callable[[dict[str, Any]], T]) -> Iterator[T]:
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parse(line, f"{path}: line {number}", noun, make)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from None


def _parse(line: bytes, where: str, noun: str, make: Callable[[dict[str, Any]], T]) -> T:
    try:
        record = json.loads(line)
    except ValueError:
        raise RecordError(f"{where}: is not JSON: {line[:60]!r}") from None
    if not isinstance(record, dict):
        raise RecordError(f"{where}: is not a JSON object")
    try:
        return make(record)
    except KeyError as error:
        raise RecordError(f"{where}: is no {noun}: {error.args[0]!r} is missing") from None
    except (TypeError, ValueError) as error:
        raise RecordError(f"{where}: is no {noun}: {error}") from None

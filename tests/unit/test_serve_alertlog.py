"""Alerts as their files grow: nothing unbounded, nothing lost unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from haechi.serve import alertlog
from haechi.serve.alertlog import AlertLog, Filter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def line(number: int, **changes: Any) -> bytes:
    alert = {
        "id": f"{number:032x}",
        "time": f"2026-01-05T00:00:{number % 60:02d}.000000Z",
        "detector": "deeplog",
        "rule": "top_k",
        "severity": "high",
        "session": f"web1/{number}",
        "template": "open <*>",
        "reason": "<script>alert(1)</script>",
    }
    return json.dumps({**alert, **changes}).encode() + b"\n"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(clock: Clock) -> AlertLog:
    return AlertLog(5, clock)


def read_all(log: AlertLog) -> None:
    while log.read():
        pass


def test_lines_are_taken_when_they_are_whole(log: AlertLog, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    log.follow("detector-1", path)
    assert not log.read()  # not there yet
    whole = line(1)
    path.write_bytes(whole[:40])
    log.read()
    assert len(log) == 0
    with path.open("ab") as file:
        file.write(whole[40:] + line(2))
    log.read()
    assert [alert.session for alert in log.find(Filter(), 10)] == ["web1/2", "web1/1"]
    assert log.counts == {("detector-1", "high"): 2}


def test_the_oldest_go_and_are_counted(log: AlertLog, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"".join(line(n) for n in range(12)))
    log.follow("detector-1", path)
    read_all(log)
    assert (len(log), log.older) == (5, 7)
    assert log.get(7) is None
    kept = log.get(8)
    assert kept is not None
    assert kept.session == "web1/7"
    assert log.get(13) is None


def test_pages_hold_still_while_alerts_arrive(log: AlertLog, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"".join(line(n) for n in range(4)))
    log.follow("d", path)
    log.read()
    first = log.find(Filter(), 2)
    with path.open("ab") as file:
        file.write(line(9))
    log.read()
    second = log.find(Filter(), 2, before=first[-1].number)
    assert [alert.number for alert in first + second] == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(), [4, 3, 2, 1]),
        (Filter(severity="high"), [4, 1]),
        (Filter(severity="medium"), [4, 3, 1]),
        (Filter(detector="new_event"), [2]),
        (Filter(session="web1/3"), [3]),
        (Filter(job="other"), []),
        (Filter(since="2026-01-05T00:00:02"), [3, 2]),
        (Filter(until="2026-01-05T00:00:03"), [2, 1]),
        (Filter(acknowledged=True), [3]),
        (Filter(acknowledged=False, severity="medium"), [4, 1]),
    ],
)
def test_filters(log: AlertLog, tmp_path: Path, wanted: Filter, numbers: list[int]) -> None:
    path = tmp_path / "alerts.jsonl"
    lines = [
        line(1),
        line(2, severity="low", detector="new_event"),
        line(3, severity="medium"),
        line(4, severity="critical", time=None),
    ]
    path.write_bytes(b"".join(lines))
    log.follow("d", path)
    log.read()
    third = log.get(3)
    assert third is not None
    third.acknowledged = True
    assert [alert.number for alert in log.find(wanted, 10)] == numbers


def test_what_is_no_alert_is_counted(log: AlertLog, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    bad = [b"\n", b"{}\n", b"[1]\n", b"null\n", b"\xff\xfe\n", b"[" * 5000 + b"\n"]
    path.write_bytes(b"".join(bad) + line(1))
    log.follow("d", path)
    read_all(log)
    assert (len(log), log.unreadable) == (1, len(bad))


def test_a_line_without_an_end_takes_no_memory(
    log: AlertLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertlog, "READ_BYTES", 1000)
    monkeypatch.setattr(alertlog, "LINE_BYTES", 2000)
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"x" * 10_000 + b"\n" + line(1))
    log.follow("d", path)
    read_all(log)
    assert (len(log), log.unreadable) == (1, 1)


def test_what_lies_too_far_behind_is_counted_and_not_read(
    log: AlertLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertlog, "BACKLOG_BYTES", 2000)
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"".join(line(n) for n in range(100)))
    log.follow("d", path)
    read_all(log)
    assert log.older + len(log) == 100
    assert sum(log.counts.values()) == 100
    newest = log.find(Filter(), 1)[0]
    assert newest.session == "web1/99"


def test_kept_bytes_are_bounded(log: AlertLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertlog, "KEPT_BYTES", 800)
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"".join(line(n) for n in range(5)))
    log.follow("d", path)
    read_all(log)
    assert len(log) + log.older == 5
    assert 0 < len(log) < 5


def test_a_muted_kind_is_listed_and_does_not_count(log: AlertLog, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(line(1))
    log.follow("d", path)
    log.read()
    (first,) = log.find(Filter(), 1)
    log.mute(first, 60)
    with path.open("ab") as file:
        file.write(line(2) + line(3, template="close <*>"))
    log.read()
    assert len(log) == 3
    assert log.count_since(60, "high") == 2  # the first, and the one of another kind
    assert log.is_muted(first.kind)
    assert [kind for kind, _ in log.mutes()] == [first.kind]
    clock.now += 61
    assert not log.is_muted(first.kind)
    assert list(log.mutes()) == []
    assert log.count_since(60, "high") == 0


def test_a_hostile_line_comes_back_as_it_was(log: AlertLog, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(line(1))
    log.follow("d", path)
    log.read()
    (alert,) = log.find(Filter(), 1)
    assert alert.view(muted=False)["alert"]["reason"] == "<script>alert(1)</script>"

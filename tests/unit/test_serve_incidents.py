"""Incidents in the control plane: grouped as alerts come, asked for over HTTP, said so often."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from haechi.config.incidents import IncidentsConfig
from haechi.config.serve import ChannelConfig, ServeConfig
from haechi.serve import incident_store, incidents
from haechi.serve.app import make_app
from haechi.serve.exposition import render
from haechi.serve.incident_store import NAME, IncidentStore
from haechi.serve.incidents import IncidentBook, Wanted
from haechi.serve.keys import Keys
from haechi.serve.plane import Plane
from tests.unit.incident_room import burst, guess, said


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Room:
    plane: Plane
    clock: Clock
    client: TestClient
    file: Path

    def write(self, alerts: Iterable[dict[str, Any]]) -> None:
        with self.file.open("a") as out:
            out.writelines(json.dumps(one) + "\n" for one in alerts)
        self.plane.tick()

    def get(self, path: str, **wanted: Any) -> Any:
        answer = self.client.get(path, params=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()


Make = Callable[..., Room]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make_room(**settings: Any) -> Room:
        config = ServeConfig(state=tmp_path / "state", requests_per_second=10_000, **settings)
        clock = Clock()
        plane = Plane(config, clock)
        app = make_app(config, Keys("x" * 43, time.monotonic), clock, plane)
        client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
        client.headers["authorization"] = f"Bearer {'x' * 43}"
        plane.alerts.follow("detector-1", tmp_path / "alerts.jsonl")
        return Room(plane, clock, client, tmp_path / "alerts.jsonl")

    return make_room


def full(at: float, n: int, **more: Any) -> dict[str, Any]:
    return said(at, f"h{n}", f"p{n}", 1, "disk is full", template=f"disk {n} is full", **more)


def test_alerts_become_incidents_over_http(make: Make) -> None:
    room = make()
    room.write([*(guess(n, "10.0.0.9", n) for n in range(30)), full(5, 1, severity="low"), burst(9, "h1")])
    page = room.get("/incidents")
    assert (page["open"], page["opened"], page["raised"], page["ungrouped"]) == (2, 2, 1, 0)
    quiet, found = page["incidents"]
    assert (found["count"], found["severity"], found["raised"]) == (31, "high", True)
    assert found["sources"] == {"number": 1, "at_least": False, "names": ["10.0.0.9"]}
    assert found["sessions"]["number"] == 30
    assert found["summary"].startswith("Source 10.0.0.9: 31 alerts in 30 sessions on h1")
    assert (quiet["severity"], quiet["raised"], quiet["number"]) == ("low", False, 2)
    whole = room.get(f"/incidents/{found['id']}")
    assert [one["number"] for one in whole["alerts"]] == [*range(1, 31), 32]
    assert whole["alerts"][0]["alert"]["detector"] == "deeplog"
    assert json.loads(room.plane.metrics_text)["incidents"] == {"open": 2, "last": 2}
    figures = render(room.plane).decode()
    for line in ("haechi_incidents_open 2.0", "haechi_incidents_raised_total 1.0"):
        assert line in figures


def test_filters_and_pages(make: Make) -> None:
    room = make()
    room.write([full(n / 10, n, severity="high" if n % 2 else "low") for n in range(6)])
    numbers = [one["number"] for one in room.get("/incidents")["incidents"]]
    assert numbers == [6, 5, 4, 3, 2, 1]
    for wanted, expected in (
        ({"severity": "medium"}, [6, 4, 2]),
        ({"raised": "false"}, [5, 3, 1]),
        ({"state": "closed"}, []),
        ({"state": "open", "limit": 2}, [6, 5]),
        ({"before": 3}, [2, 1]),
        ({"acknowledged": "true"}, []),
    ):
        assert [one["number"] for one in room.get("/incidents", **wanted)["incidents"]] == expected, wanted
    assert room.get("/incidents", limit=2)["next"] == 5
    assert room.get("/incidents", limit=2, before=3)["next"] is None


def test_acknowledged_by_somebody(make: Make) -> None:
    room = make()
    room.write([full(0, 1)])
    (one,) = room.get("/incidents")["incidents"]
    assert not one["acknowledged"]
    answer = room.client.post(f"/incidents/{one['id']}/acknowledge")
    assert answer.json()["acknowledged"]
    assert room.get("/incidents", acknowledged="false")["incidents"] == []
    for name, status in (("0" * 16, 404), ("nothing", 422)):
        assert room.client.get(f"/incidents/{name}").status_code == status
        assert room.client.post(f"/incidents/{name}/acknowledge").status_code == status


def test_muted_alerts_make_no_incident(make: Make) -> None:
    room = make()
    room.write([full(0, 1)])
    first = room.plane.alerts.get(1)
    assert first is not None
    room.plane.alerts.mute(first, 60)
    room.write([full(1, 1), full(2, 2)])
    assert [one["count"] for one in room.get("/incidents")["incidents"]] == [1, 1]


def test_what_says_too_little_is_counted(make: Make) -> None:
    room = make()
    room.write([{**full(0, 1), "lines": 7}, {**full(0, 1), "time": "soon"}])
    page = room.get("/incidents")
    assert (page["ungrouped"], page["opened"]) == (2, 0)
    assert len(room.plane.alerts) == 2


HOOK = ChannelConfig(name="hook", url="json://127.0.0.1:1/x")


def messages(room: Room) -> list[tuple[str, str, str]]:
    """Of incidents and alerts: the host that tests run on may have something to say, too."""
    notes = [note for note in reversed(room.plane.notifier.latest(1000)) if not note.rule.startswith("cpu")]
    return [(note.rule, note.event, note.text) for note in notes]


def test_one_message_an_incident(make: Make) -> None:
    room = make(incident_messages=True, channels=(HOOK,))
    room.write([guess(n, "10.0.0.9", n, severity="high") for n in range(30)])
    room.write([guess(40, "10.0.0.9", 40, severity="critical")])
    found = messages(room)
    assert [(rule, event) for rule, event, _ in found] == [("incident", "raised"), ("incident", "worse")]
    assert found[0][2].startswith("Source 10.0.0.9: 30 alerts in 30 sessions")
    assert ("alerts_high", "detectors") in room.plane.standings  # it fires, and is not said


def test_rules_speak_where_incidents_do_not(make: Make) -> None:
    room = make(channels=(HOOK,))
    room.write([guess(n, "10.0.0.9", n, severity="high") for n in range(30)])
    assert [rule for rule, _, _ in messages(room)] == ["alerts_high"]


def test_a_storm_of_incidents_is_a_bounded_number_of_messages(make: Make) -> None:
    room = make(incident_messages=True, channels=(HOOK,))
    room.write([full(n / 1000, n, severity="high") for n in range(300)])
    assert len(messages(room)) == incidents.SAID_A_MINUTE - 1
    room.clock.now += 1
    room.write([full(1, 299, severity="critical")])
    assert len(messages(room)) == incidents.SAID_A_MINUTE
    assert messages(room)[-1][2].startswith("281 further incidents were raised; the worst: ")
    room.clock.now += 61
    room.write([full(2, 301, severity="high")])
    assert (
        "further" in messages(room)[-2][2]
        or "p301" in messages(room)[-1][2]
        or "h301" in messages(room)[-1][2]
    )


def test_what_is_kept_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "KEPT", 3)
    book = IncidentBook(IncidentsConfig(max_open=2, alerts_kept=4), Clock())
    plane = make().plane
    for n in range(20):
        plane.alerts._take("d", json.dumps(full(n, n)).encode(), set())
        alert = plane.alerts.get(n + 1)
        assert alert is not None
        book.take(alert, json.loads(alert.line))
    assert [entry.number for entry in book.find(Wanted(), 100)] == [20, 19, 18, 17, 16]
    assert (book.open, len(book), book.last) == (2, 5, 20)


def test_ten_thousand_alerts_are_one_incident(make: Make) -> None:
    room = make(alerts_kept=20_000)
    room.write([guess(n / 1000, "10.0.0.9", n) for n in range(10_000)])
    for _ in range(20):
        room.plane.tick()
    (one,) = room.get("/incidents")["incidents"]
    assert one["count"] == 10_000
    assert len(one["alert_numbers"]) == 100
    assert one["sessions"]["at_least"]


# --- over a restart of the server ---------------------------------------------------------------------------


def lines_of(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / NAME).read_text().splitlines()]


def test_the_next_server_knows_them(make: Make, tmp_path: Path) -> None:
    room = make()
    (tmp_path / "state").mkdir()
    room.write([*(guess(n, "10.0.0.9", n) for n in range(30)), full(5, 1, severity="low")])
    (raised,) = room.get("/incidents", raised="true")["incidents"]
    room.client.post(f"/incidents/{raised['id']}/acknowledge")
    room.plane.incidents.write(everything=True)

    room.file.unlink()
    again = make()
    again.plane.incidents.load()
    quiet, found = again.get("/incidents")["incidents"]
    assert (found["acknowledged"], found["raised"], found["state"]) == (True, True, "closed")
    assert (quiet["acknowledged"], quiet["severity"]) == (False, "low")
    same = ("id", "number", "count", "summary", "sources", "detectors", "first", "last")
    assert [found[name] for name in same] == [raised[name] for name in same]
    whole = again.get(f"/incidents/{found['id']}")
    assert (whole["alerts"], whole["alert_numbers"]) == ([], [])
    assert again.get("/incidents", severity="medium")["incidents"] == [found]
    assert again.get("/incidents", state="open")["incidents"] == []
    again.client.post(f"/incidents/{quiet['id']}/acknowledge")
    again.write([full(9000, 7)])
    assert again.get("/incidents", limit=1)["incidents"][0]["number"] == 3
    again.plane.incidents.write(everything=True)

    again.file.unlink()
    last = make()
    last.plane.incidents.load()
    assert [one["acknowledged"] for one in last.get("/incidents")["incidents"]] == [False, True, True]


def test_written_soon_when_raised_and_later_while_it_grows(make: Make, tmp_path: Path) -> None:
    room = make()
    state = tmp_path / "state"
    state.mkdir()
    room.write([guess(n, "10.0.0.9", n, severity="high") for n in range(3)])
    assert [(one["count"], one["raised"]) for one in lines_of(state)] == [(3, True)]
    room.write([guess(n, "10.0.0.9", n, severity="high") for n in range(3, 8)])
    assert len(lines_of(state)) == 1
    room.clock.now += incidents.WRITTEN_EVERY_S
    room.plane.tick()
    assert [one["count"] for one in lines_of(state)] == [3, 8]
    assert (state / NAME).stat().st_mode & 0o077 == 0


def test_junk_in_the_file(tmp_path: Path) -> None:
    view = {"id": "a" * 16, "state": "open", "severity": "low", "raised": False, "held_back": False}
    view |= {"acknowledged": False, "first": None, "last": None, "count": 1, "summary": "s", "cause": {}}
    view |= {"line": None, "evidence": 1.5, "detectors": [], "rules": [], "alerts": [], "number": 4}
    names = {"number": 0, "at_least": False, "names": []}
    view |= dict.fromkeys(("sessions", "hosts", "kinds", "sources", "users"), names)
    changes: list[dict[str, Any]] = [{"number": 0}, {"number": "x"}, {"severity": "odd"}]
    changes += [{"hosts": []}, {"id": 7}]
    bad = [
        b"junk",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        *(json.dumps({**view, **change}).encode() for change in changes),
        b"x" * (incident_store.LINE_BYTES + 1),
    ]
    newer = json.dumps({**view, "count": 2}).encode()
    (tmp_path / NAME).write_bytes(b"\n".join([json.dumps(view).encode(), *bad, newer, b'{"id": "cut']))
    store = IncidentStore(tmp_path)
    assert [(one["id"], one["count"]) for one in store.load()] == [("a" * 16, 2)]
    assert store.unreadable == len(bad) + 1
    store.add([view])  # behind the cut line, not in it
    assert [one["count"] for one in IncidentStore(tmp_path).load()] == [1]


def test_a_long_file_is_written_anew(make: Make, tmp_path: Path) -> None:
    store = IncidentStore(tmp_path, file_bytes=20_000)
    book = IncidentBook(IncidentsConfig(), Clock(), store)
    plane = make().plane
    for n in range(60):
        plane.alerts._take("d", json.dumps(full(n / 100, n % 5)).encode(), set())
        alert = plane.alerts.get(n + 1)
        assert alert is not None
        book.take(alert, json.loads(alert.line))
        book.write(everything=True)
    assert (tmp_path / NAME).stat().st_size < 30_000
    read = IncidentStore(tmp_path).load()
    assert [one["number"] for one in read] == [entry.number for entry in reversed(book.find(Wanted(), 100))]
    assert sum(one["count"] for one in read) == 60


def test_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = IncidentStore(tmp_path / "nowhere")
    for _ in range(3):
        store.add([{"id": "x"}])
    store.write_anew([{"id": "x"}])
    assert store.unwritten == 4
    assert capsys.readouterr().err.count("incidents are not written") == 1
    assert store.load() == []

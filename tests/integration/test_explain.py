"""Alerts of the real engine, explained out of the log that it read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from haechi.bundle.store import EXAMPLES, Bundle, entry_of, write
from haechi.cli.main import main
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.explain.explanation import Bounds, explain
from haechi.explain.view import text_of
from haechi.train.counts import CountsDetector
from haechi.train.evidence import Evidence
from haechi.train.examples import SESSIONS_MAX, examples
from tests.integration.engine_room import IDLE_S, Judged, judge, log_line, make_bundle, need_engine
from tests.integration.serve_room import serving, until

OPEN, READ, WRITE, CLOSE = (
    "open request 1",
    "read block 2 of file 3",
    "write reply 4 bytes",
    "close request 5",
)
NORMAL = [OPEN, READ, WRITE, CLOSE]
ODD = "segfault at 7"


@dataclass
class Room:
    folder: Path
    bundle: Bundle
    log: Path
    judged: Judged

    def alert(self, detector: str, session: str) -> dict[str, Any]:
        return next(
            one for one in self.judged.alerts if (one["detector"], one["session"]) == (detector, session)
        )

    def explain(self, alert: dict[str, Any], **bounds: int) -> dict[str, Any]:
        return explain(alert, self.bundle, [self.log], Bounds(**bounds) if bounds else None)


def with_examples(base: Bundle, folder: Path) -> Bundle:
    """The same, with normal sessions to be compared with and the detector of counts."""
    manifest = json.loads(base.manifest.model_dump_json())
    trained = manifest["detectors"][0]["trained_keys"]
    sessions = Sessions.from_sequences([trained, [*trained, *trained]], [50, 9])
    fitted = CountsDetector(10).fit(sessions, Vocabulary.of_keys(manifest["log_keys"], trained))
    entry = fitted.entry()
    files = {name: base.file(name) for name in manifest["files"]}
    files |= {**entry.files, EXAMPLES: examples(sessions)}
    manifest["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    evidence = Evidence((0.0, 0.1), (0.5, 4.0), 30.0).section()
    manifest["detectors"].append({"name": "counts", **entry.section, "limit": 0.2, "evidence": evidence})
    return write(folder, type(base.manifest).model_validate(manifest), files)


def lines_of(session: int, at: float, messages: list[str]) -> list[tuple[float, str]]:
    return [(at + n / 10, log_line(at + n / 10, session, message)) for n, message in enumerate(messages)]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    need_engine()
    folder = tmp_path_factory.mktemp("explain")
    bundle = with_examples(make_bundle(folder / "base"), folder / "bundles")
    rows = [
        row
        for session, at, messages in (
            (1, 0.0, NORMAL),
            (2, 0.02, [OPEN, CLOSE, WRITE, CLOSE]),  # out of order, and nothing was read
            (3, 0.04, [OPEN, READ, READ, READ, READ, WRITE, CLOSE]),  # counts that nobody knows
            (4, 0.06, [OPEN, ODD, READ, WRITE, CLOSE]),
            (8, 400.0, NORMAL),
            (1, 500.0, [OPEN, WRITE, CLOSE]),  # another session of the same name
            (9, 2000.0, NORMAL),
        )
        for row in lines_of(session, at, messages)
    ]
    log = folder / "app.log"
    log.write_text("".join(line for _, line in sorted(rows)))
    judged = judge(bundle.path, folder / "run", [log])
    assert judged.status == 0, judged.stderr
    return Room(folder, bundle, log, judged)


def test_probabilities_are_the_engines(room: Room) -> None:
    alert = room.alert("deeplog", "web1 2")
    found = room.explain(alert)
    events = found["session"]["events"]
    assert [event["line"].split("]: ")[1] for event in events] == [OPEN, CLOSE, WRITE, CLOSE]
    (marked,) = [event for event in events if event["is_alert"]]
    assert marked["offset"] == alert["lines"][0]["offset"]
    assert marked["line"] == alert["lines"][0]["text"]
    assert marked["surprise"] == pytest.approx(alert["score"], abs=1e-5)
    assert marked["limit"] == pytest.approx(alert["threshold"])
    assert marked["over"]
    assert [one["template"] for one in marked["expected"]] == [one["template"] for one in alert["expected"]]
    for one, said in zip(marked["expected"], alert["expected"], strict=True):
        assert one["probability"] == pytest.approx(said["probability"], rel=1e-4)
    assert found["session"]["ended"]
    assert not any("end" in note for note in found["notes"])


def test_an_event_that_nobody_knows(room: Room) -> None:
    found = room.explain(room.alert("new_event", "web1 4"))
    (marked,) = [event for event in found["session"]["events"] if event["is_alert"]]
    assert (marked["probability"], marked["template"], marked["over"]) == (None, None, True)
    assert found["detectors"][0]["name"] == "new_event"


def test_counts_against_the_nearest(room: Room) -> None:
    alert = next(one for one in room.judged.alerts if one["session"] == "web1 3")
    counts = room.explain(alert)["counts"]
    assert counts["distance"] == pytest.approx(3 / 7)
    assert counts["limit"] == 0.2
    most = counts["kinds"][0]
    assert (most["count"], most["usual"]) == (4, 1)
    assert most["template"].startswith("read block")


def test_the_most_similar_normal_session(room: Room) -> None:
    similar = room.explain(room.alert("new_event", "web1 4"))["similar"]
    assert similar["count"] == 50
    assert [row["mark"] for row in similar["rows"]] == ["same", "more", "same", "same", "same"]
    assert similar["rows"][1]["template"] is None
    alert = room.alert("deeplog", "web1 2")
    rows = room.explain(alert)["similar"]["rows"]
    assert [row["template"] for row in rows if row["mark"] == "missing"] == [
        text for text in room.bundle.templates if text.startswith("read block")
    ]


def test_a_session_is_cut_where_it_was_idle(room: Room) -> None:
    alert = next(
        one for one in room.judged.alerts if one["session"] == "web1 1" and one["detector"] != "new_event"
    )
    events = room.explain(alert)["session"]["events"]
    assert [event["line"].split("]: ")[1] for event in events] == [OPEN, WRITE, CLOSE]
    assert IDLE_S < 500


def test_what_was_not_read_is_said(room: Room) -> None:
    alert = room.alert("deeplog", "web1 2")
    found = room.explain(alert, before=150, after=150)
    assert any("may have begun before" in note for note in found["notes"])
    assert any("end is not in what was read" in note for note in found["notes"])
    assert "surprise" not in found["session"]["events"][0]
    assert found["counts"] is None
    found = room.explain(alert, events=2)
    assert any("2 further events" in note for note in found["notes"])
    assert sum(event["is_alert"] for event in found["session"]["events"]) == 1


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda text: text[:20], "bytes now; the line was at byte"),
        (lambda text: "x" + text, "no line begins any more"),
        (lambda text: text.replace("close", "cloze"), "another line stands now"),
    ],
)
def test_a_line_that_is_gone(room: Room, tmp_path: Path, change: Any, note: str) -> None:
    other = tmp_path / "app.log"
    other.write_text(change(room.log.read_text()))
    found = explain(room.alert("deeplog", "web1 2"), room.bundle, [other])
    assert note in found["notes"][0]
    assert found["session"] is None
    assert "detectors: " in text_of(found)


def test_the_first_log_that_has_it_is_used(room: Room, tmp_path: Path) -> None:
    new, old = tmp_path / "app.log", tmp_path / "app.log.1"
    new.write_text("2026-01-05T00:00:00Z web1 app[1]: open request 1\n")
    old.write_bytes(room.log.read_bytes())
    found = explain(room.alert("deeplog", "web1 2"), room.bundle, [new, old, tmp_path / "none"])
    assert found["source"] == str(old)
    assert len(found["notes"]) == 1


def test_no_pipe_is_waited_for(room: Room, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    found = explain(room.alert("deeplog", "web1 2"), room.bundle, [tmp_path / "pipe"])
    assert "is not a regular file" in found["notes"][0]


def test_on_the_command_line(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    alert = room.alert("deeplog", "web1 2")
    alerts, bundle = str(room.folder / "run" / "alerts.jsonl"), str(room.bundle.path)
    assert main(["explain", alert["id"][:12], "--alerts", alerts, "--bundle", bundle]) == 0
    out = capsys.readouterr().out
    assert "The session, out of" in out
    assert "Counts of events:" in out
    assert " - read block" in out
    assert " > " in out
    assert main(["explain", alert["id"], "--alerts", alerts, "--bundle", bundle, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["similar"]["count"] == 50
    for name, complaint in (("xyz", "is not an alert's id"), ("f" * 32, "no alert in")):
        assert main(["explain", name, "--alerts", alerts, "--bundle", bundle]) == 1
        assert complaint in capsys.readouterr().err


def test_a_beginning_of_two_ids_is_refused(
    room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alert = room.alert("deeplog", "web1 2")
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_text("".join(json.dumps({**alert, "id": f"abc{n}" + "0" * 28}) + "\n" for n in (1, 1, 2)))
    for name, status in (("abc", 1), ("abc1", 0)):
        assert main(["explain", name, "--alerts", str(alerts), "--bundle", str(room.bundle.path)]) == status
    assert "begins more than one id" in capsys.readouterr().err


def test_over_http(room: Room) -> None:
    with serving(room.folder / "serve", "--read", room.folder) as plane:
        wish = {"bundle": str(room.bundle.path), "sources": [str(room.log)]}
        plane.post("/detectors", wish)
        page = until(lambda: plane.get("/alerts", session="web1 2")["alerts"])
        number = next(one["number"] for one in page if one["alert"]["detector"] == "deeplog")
        found = plane.get(f"/alerts/{number}/explain")
        assert found["similar"]["count"] == 50
        assert [event["is_alert"] for event in found["session"]["events"]].count(True) == 1
        assert plane.client.get("/alerts/999/explain").status_code == 404
        room_log = room.log.read_bytes()
        try:
            room.log.rename(room.folder / "moved")
            found = plane.get(f"/alerts/{number}/explain")
            assert found["session"] is None
            assert "is no file in the folders" in found["notes"][0]
        finally:
            room.log.write_bytes(room_log)


def test_examples_are_bounded_and_the_most_frequent() -> None:
    sequences = [[n, n] for n in range(300)] + [list(range(300))] + [[7, 7]] * 5
    rows = json.loads(examples(Sessions.from_sequences(sequences)))["sessions"]
    assert len(rows) == SESSIONS_MAX
    assert rows[0] == {"count": 6, "keys": [7, 7]}
    assert rows[1] == {"count": 1, "keys": [0, 0]}
    assert examples(Sessions.from_sequences([])) == b""

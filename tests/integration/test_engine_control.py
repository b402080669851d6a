"""The control socket and the stats page of a running engine."""

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from haechi.native.control import ControlError
from haechi.native.tools import Process
from tests.integration.engine_room import (
    ORDER,
    about,
    judge,
    log_line,
    log_lines,
    make_bundle,
    read_alerts,
    settings,
)
from tests.integration.serve_room import until


@dataclass(frozen=True)
class Running:
    engine: Process
    folder: Path
    log: Path
    bundle: Path

    @property
    def socket(self) -> Path:
        return self.folder / "control"

    def append(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.writelines(lines)

    def total(self, name: str) -> int:
        with self.engine.stats() as page:
            return page.value(name)

    def wait_for(self, name: str, at_least: int, timeout_s: float = 30.0) -> None:
        deadline = time.monotonic() + timeout_s
        while self.total(name) < at_least:
            assert self.engine.running, self.engine.stderr_text()
            assert time.monotonic() < deadline, f"{name}: {self.total(name)} after {timeout_s} s"
            time.sleep(0.01)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with self.engine.control() as control:
            return control.ask(command, **arguments)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return read_alerts(self.folder / "alerts.jsonl")


def config_of(bundle: Path, folder: Path, **more: Any) -> dict[str, Any]:
    return settings(
        bundle,
        folder,
        [folder / "app.log"],
        follow=True,
        stats_page=str(folder / "stats"),
        control_socket=str(folder / "control"),
        **more,
    )


@pytest.fixture(params=[1, 3])
def running(request: pytest.FixtureRequest, engine_bundle: Path, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "app.log").touch()
    config = config_of(
        engine_bundle,
        tmp_path,
        workers=request.param,
        checkpoint={"path": str(tmp_path / "checkpoint"), "interval_s": 3600},
    )
    with Process.start("haechi-detect", config) as engine:
        yield Running(engine, tmp_path, tmp_path / "app.log", engine_bundle)
        assert engine.stop() == 0, engine.stderr_text()


def test_each_command(running: Running) -> None:
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600
    running.append(*log_lines(500, seed=1))
    running.wait_for("lines", 500)
    stats = running.ask("stats")["stats"]
    assert stats["lines"] == 500
    assert stats["bundle"] == running.bundle.name
    checkpoint = running.folder / "checkpoint"
    before = checkpoint.stat().st_mtime_ns
    assert running.ask("checkpoint") == {"ok": True}
    assert checkpoint.stat().st_mtime_ns > before
    assert running.ask("pause") == {"ok": True}
    time.sleep(0.4)  # what was being read is read
    running.append(log_line(1e6, 1, "open request 1"))
    time.sleep(0.3)
    assert running.total("lines") == 500
    assert running.total("paused") == 1
    assert running.ask("checkpoint") == {"ok": True}  # also while paused
    assert running.ask("load_bundle", path=str(running.bundle))["bundle"] == running.bundle.name
    assert running.ask("resume") == {"ok": True}
    running.wait_for("lines", 501)
    assert running.ask("stop") == {"ok": True}
    assert running.engine.wait(30) == 0
    assert not running.socket.exists()


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"17",
        b'"stop"',
        b"\x00\xff\xfe",
        b'{"command": 3}',
        b'{"command": null}',
        b'{"command": "shutdown"}',
        b'{"command": "\\u0000"}',
        b'{"command": "STOP"}',
        b'{"command": "load_bundle"}',
        b'{"command": "load_bundle", "path": 7}',
        b'{"command": "load_bundle", "path": "/nowhere/at/all"}',
        b'{"command": "load_bundle", "path": "' + b"a" * 9000 + b'"}',
        b'{"command": "' + b"\xc3\xa9" * 4000 + b'"}',
        b"[" * 5000,
        b'{"command": "stop"',
    ],
    ids=lambda command: repr(command[:30]),
)
def test_junk_is_answered(command: bytes, running: Running) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(running.socket))
        raw.sendall(command + b"\n" + b'{"command": "stats"}\n')
        answers = b""
        while answers.count(b"\n") < 2:
            more = raw.recv(65536)
            assert more, "the connection was closed"
            answers += more
    first, second = (json.loads(line) for line in answers.splitlines())
    assert first["ok"] is False
    assert isinstance(first["error"], str) and first["error"]
    assert second["ok"] is True


def test_half_lines_and_long_ones(running: Running) -> None:
    with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as long:
        for raw in (slow, long):
            raw.settimeout(10)
            raw.connect(str(running.socket))
        for byte in b'{"command": "stats"}\n':
            slow.sendall(bytes([byte]))
        assert json.loads(slow.recv(65536))["ok"] is True
        slow.sendall(b'{"command": "st')  # and never the rest
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # more than a command may have
            for _ in range(100):
                long.sendall(b"x" * 4096)
        assert running.ask("stats")["ok"] is True


def test_clients_that_do_not_read(running: Running) -> None:
    """Their answers are dropped with their connection; others are served meanwhile."""
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.settimeout(10)
        deaf.connect(str(running.socket))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(3000):
                deaf.sendall(b'{"command": "stats"}\n' * 20)
        assert running.ask("stats")["ok"] is True


def test_many_clients(running: Running) -> None:
    """Beyond its bound a connection is closed at once; when others leave there is room again."""
    waiting = []
    for _ in range(40):
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(running.socket))
        raw.settimeout(10)
        waiting.append(raw)
    served = 0
    for raw in waiting:
        try:
            raw.sendall(b'{"command": "stats"}\n')
            served += bool(raw.recv(65536))
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert 8 <= served < 40
    for raw in waiting:
        raw.close()
    deadline = time.monotonic() + 30
    while True:
        try:
            assert running.ask("stats")["ok"] is True
            break
        except ControlError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_what_stands_in_the_sockets_place(engine_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.touch()
    place = tmp_path / "control"

    def refused(at: Path = place) -> str:
        ran = judge(engine_bundle, tmp_path / "run", [log], timeout_s=10, follow=True, control_socket=str(at))
        assert ran.status == 2
        assert "control_socket" in ran.stderr
        return ran.stderr

    place.write_text("precious")
    assert "not a socket" in refused()
    assert place.read_text() == "precious"
    place.unlink()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:  # another program's
        other.bind(str(place))
        assert "in the way" in refused()
        assert place.exists()
    place.unlink()

    with socket.socket(socket.AF_UNIX) as dead:  # what a killed engine leaves
        dead.bind(str(place))
    with Process.start("haechi-detect", config_of(engine_bundle, tmp_path)) as first:
        assert "running" in refused()
        with first.control() as control:
            assert control.ask("stats")["ok"] is True

    assert "longer than" in refused(tmp_path / ("x" * 120))


def test_swapped_while_lines_flow(running: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sixty swaps: no line is lost, no session forgotten, nothing reported that would not be otherwise."""
    bundles = [running.bundle]
    bundles += [
        make_bundle(tmp_path_factory.mktemp("others"), created=f"2026-01-0{n}T00:00:00Z").path for n in (2, 3)
    ]
    lines = list(log_lines(6000, seed=21))
    with running.engine.control() as control:
        for turn in range(60):
            running.append(*lines[turn * 100 : turn * 100 + 100])
            wanted = bundles[turn % 3]
            assert control.ask("load_bundle", path=str(wanted))["bundle"] == wanted.name
    running.wait_for("events", 6000)
    assert running.total("lines") == running.total("events") == 6000
    assert running.total("bundle_loads") == 60
    whole = running.folder / "whole.log"
    whole.write_text("".join(lines))
    want = judge(running.bundle, running.folder / "still", [whole])
    assert {about(alert) for alert in running.alerts} == want.about
    assert {alert["bundle"] for alert in running.alerts} == {bundle.name for bundle in bundles}


def test_a_bad_bundle_is_refused(running: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The answer names the file; the engine goes on with what it has."""
    lines = list(log_lines(300, seed=22))
    running.append(*lines[:150])
    for name in ("templates.json", "deeplog.onnx"):
        bad = make_bundle(tmp_path_factory.mktemp("bad")).path
        content = bytearray((bad / name).read_bytes())
        content[len(content) // 2] ^= 1
        (bad / name).write_bytes(content)
        with pytest.raises(ControlError, match=name):
            running.ask("load_bundle", path=str(bad))
        (bad / name).unlink()
        with pytest.raises(ControlError, match=name):
            running.ask("load_bundle", path=str(bad))
    unusable = make_bundle(tmp_path_factory.mktemp("bad"), session={"fields": []}).path
    with pytest.raises(ControlError, match=r"session\.fields"):
        running.ask("load_bundle", path=str(unusable))
    pipe = tmp_path_factory.mktemp("bad") / "pipe"
    pipe.mkdir()
    os.mkfifo(pipe / "manifest.json")
    with pytest.raises(ControlError, match="manifest"):
        running.ask("load_bundle", path=str(pipe))
    running.append(*lines[150:])
    running.wait_for("lines", 300)
    assert running.ask("stats")["stats"]["bundle"] == running.bundle.name
    assert running.total("bundle_loads") == 0


def test_stats_page_of_a_running_engine(running: Running) -> None:
    running.append("not a line\n", "\n", *log_lines(1000, seed=23))
    running.wait_for("lines", 1001)
    running.wait_for("events", 1000)
    until(lambda: running.total("alerts") == len(running.alerts))
    with running.engine.stats() as page:
        assert page.pid == running.engine.pid
        assert page.tool == "haechi-detect"
        t = page.snapshot()
        assert page.histogram("batch_ns").count > 0
        alerts = page.histogram("alert_latency_us")
    assert (t["lines"], t["empty_lines"], t["malformed_lines"]) == (1001, 1, 1)
    assert t["events"] == 1000
    assert t["windows"] + t["unseen_events"] == t["events"] + t["sessions_ended"]
    assert t["sessions_opened"] == t["sessions_ended"] + t["sessions_open"]
    assert t["bytes"] == t["source_bytes"] == running.log.stat().st_size
    assert t["alerts"] == len(running.alerts)
    assert alerts.count <= t["alerts"]
    assert alerts.max < 5_000_000


# --- time ---------------------------------------------------------------------------------------------


def brief_bundle(folder: Path, **changes: Any) -> Path:
    return make_bundle(folder, session={"idle_s": 2}, **changes).path


def test_idle_sessions_end_without_new_lines(tmp_path: Path) -> None:
    """Event time goes on with the clock while nothing comes; also after a restart, but not while paused."""
    bundle = brief_bundle(tmp_path / "bundles")
    (tmp_path / "app.log").write_text(log_line(0, 1, "open request 1"))
    more: dict[str, Any] = {"checkpoint": {"path": str(tmp_path / "checkpoint"), "interval_s": 3600}}
    with Process.start("haechi-detect", config_of(bundle, tmp_path, **more)) as engine:
        r = Running(engine, tmp_path, tmp_path / "app.log", bundle)
        r.wait_for("sessions_open", 1)
        r.ask("pause")
        time.sleep(3.5)
        assert r.total("sessions_open") == 1
        assert engine.stop() == 0
    with Process.start("haechi-detect", config_of(bundle, tmp_path, **more)) as engine:
        r = Running(engine, tmp_path, tmp_path / "app.log", bundle)
        r.wait_for("sessions_ended", 1)
        assert r.total("sessions_open") == 0
        assert r.total("lines") == 0
    (alert,) = r.alerts  # the end did not come where it should
    assert alert["reason"].startswith("The session ended where")
    assert alert["lines"][0]["text"].endswith("open request 1")
    assert alert["lines"][0]["source"] == str(tmp_path / "app.log")


def test_novelties_are_reported_once_then_limited(tmp_path: Path, engine_bundle: Path) -> None:
    """Once, then with the count since, when the bundle's time (600 s) has passed in event time."""
    log = tmp_path / "app.log"
    at = [0, 1, 2, 599, 601, 602, 1300]
    log.write_text("".join(log_line(t, n, "disk 7 is on fire") for n, t in enumerate(at)))
    for workers in (1, 3):
        ran = judge(engine_bundle, tmp_path / str(workers), [log], workers=workers)
        novel = [alert for alert in ran.alerts if alert["rule"] == "no_template"]
        assert [alert["since_last_report"] for alert in novel] == [0, 3, 1]
        assert ran.totals["novelties_suppressed"] == 4
    ran = judge(engine_bundle, tmp_path / "always", [log], novelty={"repeat_s": 0})
    assert len([alert for alert in ran.alerts if alert["rule"] == "no_template"]) == len(at)


def test_a_clock_far_ahead(tmp_path: Path, engine_bundle: Path) -> None:
    """A line from the year 2099 is judged, counted, and does not end the sessions of the others."""
    log = tmp_path / "app.log"
    whole = [log_line(n * 0.1, n % 10, ORDER[n // 10 % 4].format(n=n, m=1)) for n in range(400)]
    wrong = "2099-01-01T00:00:00Z web2 app[1]: open request 1\n"
    changes: list[dict[str, Any]] = [{}, {"workers": 3, "batch_bytes": 4096}]
    for place in (0, 5, 200, 399):
        log.write_text("".join([*whole[:place], wrong, *whole[place:]]))
        for change in changes:
            ran = judge(engine_bundle, tmp_path / "out", [log], **change)
            assert ran.status == 0
            assert ran.alerts == []
            assert ran.totals["clock_ahead_lines"] == 1
            assert ran.totals["lines"] == ran.totals["events"] == 401
            assert ran.totals["sessions_opened"] == 11
            assert ran.totals["sessions_ended"] == 0

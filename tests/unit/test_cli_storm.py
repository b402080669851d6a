"""haechi storm: usage, refusals, a short storm to a socket of the test's own, signals while it runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from haechi.cli.storm import _settings
from haechi.config.storm import StormConfig
from haechi.live.follow import Requests
from haechi.live.reload import Reloader
from haechi.native.running import RunningTool
from haechi.native.tools import ToolError, tool_path
from tests.conftest import Ran

Haechi = Callable[..., Ran]

try:
    tool_path("haechi-storm")
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)


@contextmanager
def receiver() -> Iterator[tuple[int, list[bytes]]]:
    """A port on loopback, and the datagrams that came to it."""
    came: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        ended = threading.Event()

        def take() -> None:
            while True:
                try:
                    came.append(sock.recv(65536))
                except TimeoutError:
                    if ended.is_set():
                        return

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield sock.getsockname()[1], came
        finally:
            ended.set()
            thread.join()


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


WRONG_USAGE = [
    ([], "Missing option '--target'"),
    (["--target", "127.0.0.1", "-o", "x"], "target and output exclude each other"),
    (["--target", "127.0.0.1", "--eps", "fast"], "command line: eps: 'fast' is not a number of events"),
    (["--target", "127.0.0.1", "--duration", "ten"], "command line: duration: 'ten' is not a time"),
    (["--target", "127.0.0.1", "--preset", "3m"], "command line: preset: '3m' is none of 100k"),
    (["--target", "127.0.0.1", "--classic", "--eps", "4M", "--ports", "600"], "1 ports are too few"),
    (["--target", "127.0.0.1", "--profile", "none"], "none: neither a file nor one of the profiles"),
    (["--target", "8.8.8.8"], "--allow-target 8.8.8.8 (allow_target) allows exactly this one"),
    (["--target", "127.0.0.1", "--ports", "22"], "ports: 22 below 514"),
    (["--target", "127.0.0.1", "--ports", "600-700"], "101 are more than the 100"),
    (["--target", "127.0.0.1", "--eps", "30M"], "--max-eps 30000000 (max_eps) raises it"),
    (["--config", "{yaml}"], "{yaml}: ports: '0' is not a range of ports"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG_USAGE, ids=lambda value: str(value)[:40])
def test_wrong_usage_is_status_2_and_words(
    haechi: Haechi, tmp_path: Path, arguments: list[str], says: str
) -> None:
    settings = tmp_path / "storm.yaml"
    settings.write_text('target: 127.0.0.1\nports: "0"\n')
    ran = haechi("storm", *[argument.format(yaml=settings) for argument in arguments])
    assert ran.status == 2
    assert says.format(yaml=settings) in ran.err
    assert ran.out == ""


def test_help_has_headings(haechi: Haechi) -> None:
    text = haechi("storm", "--help").out
    headings = ["Where to:", "How fast, how long:", "What is written:", "Anomalies:", "Workers:", "Running:"]
    places = [text.index(f"\n{heading}\n") for heading in headings]
    assert places == sorted(places)
    for name in StormConfig.model_fields:
        option = "--no-gso" if name == "gso" else f"--{name.replace('_', '-')}"
        assert option in text


def test_a_storm_to_a_port_and_its_totals(haechi: Haechi) -> None:
    with receiver() as (port, came):
        ran = haechi(
            *("storm", "--target", "127.0.0.1", "--ports", port, "--eps", "2k", "--count", 500),
            *("--workers", 1, "--json"),
        )
        assert ran.status == 0, ran.err
        totals = json.loads(ran.out)
        assert len(ran.out.splitlines()) == 1
        wait_until(lambda: len(came) == 500)
    assert (totals["events"], totals["errors"], totals["interrupted"]) == (500, 0, False)
    assert [port_totals["port"] for port_totals in totals["ports"]] == [port]
    assert sum(len(message) for message in came) == totals["bytes"]
    assert all(message.startswith(b"<") for message in came)


def test_a_storm_tells_people(haechi: Haechi, tmp_path: Path) -> None:
    summary = tmp_path / "totals.json"
    with receiver() as (port, _):
        ran = haechi(
            *("storm", "--target", "127.0.0.1", "--ports", port, "--eps", "200", "--duration", "2.2s"),
            *("--workers", 1, "--summary", summary),
        )
    assert ran.status == 0, ran.err
    events = json.loads(summary.read_text())["events"]
    assert events == pytest.approx(440, rel=0.05)
    assert f"{events} events" in ran.out
    assert "target 200" in ran.err  # a line a second


def test_an_unused_port_is_said(haechi: Haechi) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    ran = haechi(
        *("storm", "--target", "127.0.0.1", "--ports", port, "--eps", "1k", "--count", 100, "--quiet"),
        *("--workers", 1),
    )
    assert ran.status == 0
    assert "nobody listens there" in ran.out


def test_a_paced_file_grows_at_the_rate(haechi: Haechi, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    begun = time.monotonic()
    ran = haechi("storm", "-o", log, "--paced", "--eps", "500", "--count", "250", "--json", "--quiet")
    assert ran.status == 0, ran.err
    assert time.monotonic() - begun >= 0.45
    assert (ran.out, json.loads(ran.err)["events"]) == ("", 250)
    assert log.read_bytes().count(b"\n") == 250


def test_a_tool_that_fails_is_status_1(haechi: Haechi, tmp_path: Path) -> None:
    with receiver() as (port, _):
        ran = haechi(
            *("storm", "--target", "127.0.0.1", "--ports", port, "--count", 10, "--quiet"),
            *("--truth", tmp_path / "no" / "folder"),
        )
    assert ran.status == 1
    assert "no/folder" in ran.err


def started(folder: Path, *arguments: object, **more: object) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "import sys; from haechi.cli.main import main; sys.exit(main())",
        "storm",
    ]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_signals_while_it_runs(tmp_path: Path) -> None:
    settings = tmp_path / "storm.yaml"
    snapshot = tmp_path / "haechi-storm-snapshot.json"
    with receiver() as (port, came):
        text = f"target: 127.0.0.1\nports: {port}\nworkers: 1\neps: %s\nseed: %s\n"
        settings.write_text(text % (100, 1))
        with started(tmp_path, "--config", settings, "--json") as tool:
            wait_until(lambda: len(came) >= 20)
            settings.write_text(text % ("2k", 2))
            tool.send_signal(signal.SIGUSR1)
            wait_until(lambda: len(came) >= 1000)  # ten seconds' worth at the first rate
            tool.send_signal(signal.SIGUSR2)
            wait_until(snapshot.exists)
            tool.send_signal(signal.SIGTERM)
            out, err = tool.communicate(timeout=20)
        wait_until(lambda: len(came) == json.loads(out)["events"])
    assert tool.returncode == 0
    assert "USR1: eps is now 2,000" in err
    assert "USR1: seed cannot change while it runs; start anew for that" in err
    assert "USR2: snapshot written to haechi-storm-snapshot.json" in err
    totals, then = json.loads(out), json.loads(snapshot.read_text())
    assert totals["interrupted"] is True
    assert 0 < then["events"] <= totals["events"]
    assert [row["port"] for row in then["ports"]] == [port]
    assert sorted(path.name for path in tmp_path.iterdir()) == [snapshot.name, settings.name]


def test_killed_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with receiver() as (port, came):
        with started(tmp_path, "--target", "127.0.0.1", "--ports", port, "--eps", 100) as tool:
            wait_until(lambda: len(came) >= 10)
            tool.kill()
            tool.communicate(timeout=20)
        # The tool ends with it, and then nothing comes any more.
        count = -1
        while count != len(came):
            count = len(came)
            time.sleep(0.3)
    assert list(tmp_path.iterdir()) == []


def test_options_win_over_the_file_and_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "storm.yaml"
    path.write_text("target: 127.0.0.1\neps: 7\nseed: 3\nworkers: 9\n")
    assert _settings(path, {}, False).eps == 7
    chosen = _settings(path, {"preset": "1m", "seed": 4}, False)
    assert (chosen.eps, chosen.ports, chosen.seed, chosen.workers) == (1_000_000, "514-553", 4, 9)
    assert _settings(path, {"preset": "1m", "eps": "2k"}, False).eps == 2000
    to_file = _settings(path, {"output": "x"}, False)
    assert (to_file.target, to_file.output) == ((), Path("x"))


@pytest.mark.parametrize("preset", [{"preset": "500k-classic"}, {"eps": "500k"}])
def test_the_classical_shape_is_of_the_ports_that_were_given(preset: dict[str, str]) -> None:
    options = {"target": "127.0.0.1", "ports": "6000-6019", **preset}
    shape = _settings(None, options, True)
    assert (shape.eps, shape.ports, shape.workers, shape.groups) == (500_000, "6000-6004", 5, 1)
    assert _settings(None, {**options, "workers": "2"}, True).workers == 2


class Ended:
    """What a tool was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self) -> None:
        self.told.append("stop")

    def kill(self) -> None:
        self.told.append("kill")


def test_a_second_signal_ends_it_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    tool = Ended()
    with Requests() as requests:
        os.kill(os.getpid(), signal.SIGTERM)  # while the tool is being started
        assert tool.told == []
        requests.attend(cast(RunningTool, tool))
        assert tool.told == ["stop"]
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGINT)
        assert tool.told == ["stop", "kill"]
        assert requests.take() == [signal.SIGUSR2, signal.SIGUSR1]
        assert requests.take() == []
    assert signal.getsignal(signal.SIGTERM) is before


# --- reading the configuration again


def reloader(after: dict[str, object] | Exception, applied: list[StormConfig]) -> Reloader[StormConfig]:
    before = StormConfig(target=("127.0.0.1",))

    def read() -> StormConfig:
        if isinstance(after, Exception):
            raise after
        return StormConfig.model_validate({"target": "127.0.0.1", **after})

    return Reloader(before, read, "eps", applied.append)


@pytest.mark.parametrize(
    ("after", "says", "applied"),
    [
        ({}, ["USR1: the configuration was read again; nothing in it has changed"], 0),
        ({"eps": "2k"}, ["USR1: eps is now 2,000"], 1),
        ({"workers": 2}, ["USR1: workers cannot change while it runs; start anew for that"], 0),
        (
            {"eps": "2k", "seed": 9, "form": "rfc3164"},
            ["USR1: eps is now 2,000", "USR1: form, seed cannot change while it runs; start anew for that"],
            1,
        ),
        (ValueError("a\nb"), ["USR1: a; nothing is changed", "USR1: b; nothing is changed"], 0),
    ],
)
def test_what_a_new_configuration_changes(
    after: dict[str, object] | Exception, says: list[str], applied: int
) -> None:
    taken: list[StormConfig] = []
    assert reloader(after, taken)() == says
    assert len(taken) == applied


def test_a_rate_that_was_taken_over_is_the_one_that_holds() -> None:
    taken: list[StormConfig] = []
    again = reloader({"eps": "2k"}, taken)
    assert again() != again()
    assert len(taken) == 1


def test_a_rate_that_is_refused_stays() -> None:
    def refuse(config: StormConfig) -> None:
        raise ValueError("too fast")

    running = StormConfig(target=("127.0.0.1",))
    again = Reloader(running, lambda: running.model_copy(update={"eps": 5.0}), "eps", refuse)
    assert again() == ["USR1: eps stays as it is: too fast"]
    assert again.running is running
    assert Reloader(running, None, "eps", refuse)() == ["USR1: there is no --config to read again"]

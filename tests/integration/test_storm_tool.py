"""haechi-storm as a program: what it refuses, signals, the control socket, the truth it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from haechi.native.control import ControlError
from haechi.native.tools import ToolError, tool_path
from tests.integration.sink_room import PATIENCE_S, free_ports
from tests.integration.storm_room import lines_of, storm, system_profile, until


@pytest.fixture(scope="module", autouse=True)
def tool() -> Path:
    try:
        return tool_path("haechi-storm")
    except ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("profile") / "system.json"
    path.write_text(system_profile())
    return str(path)


# --- what is refused

TO = "--target 127.0.0.1 "
FILE = "--output /dev/null "
REFUSED = {
    "": "target or --output",
    TO + "--output /dev/null --count 1": "exclude each other",
    TO + "extra": "belongs to no option",
    TO + "--speed 5": "unrecognized option",
    TO + "--eps 0": "not a number from",
    TO + "--eps fast": '"fast"',
    TO + "--eps 0.5": "at least 1",
    TO + "--eps 21M": "--max-eps 21M allows it",
    TO + "--eps 2G": "1G",
    TO + "--eps 5k --max-eps 4k": "above the limit of 4000",
    TO + "--max-eps 0": "max_eps",
    TO + "--count 0": "count",
    TO + "--count 1.5": "count",
    TO + "--count 18446744073709551616": "count",
    TO + "--duration 0": "duration",
    TO + "--duration 2y": "10m or 24h",
    TO + "--duration 367d": "duration",
    TO + "--ramp-up -1": "ramp_up",
    TO + "--form syslog": "rfc5424",
    TO + "--seed x": "seed",
    TO + "--start yesterday": "start",
    TO + "--start 1969-12-31T23:59:59Z": "1970",
    TO + "--sessions -1": "sessions",
    TO + "--anomaly-rate 1.1": "0 to 1",
    TO + "--anomaly-rate nan": "0 to 1",
    TO + "--anomaly-kinds odd": "docs/profiles.md",
    TO + "--disturbance-events x": "disturbance_events",
    TO + "--transport sctp": "udp, tcp or tls",
    TO + "--framing lines": "octets or newline",
    TO + "--gso maybe": "true or false",
    TO + "--workers 257": "workers",
    TO + "--workers 5000000000": "workers",
    TO + "--groups 257": "groups",
    TO + "--pin 0;1": "pin",
    TO + "--pin 65535": "pin",
    TO + "--burst-us 49": "burst_us",
    TO + "--ports 513": "--allow-ports",
    TO + "--ports 514,600,80": "80 is below 514",
    TO + "--ports 600-700": "more than 100",
    TO + "--ports 600-599": "ports",
    TO + "--ports 600,600": "twice",
    TO + "--ports 70000": "ports",
    TO + "--ports none": "ports",
    "--target 8.8.8.8": "--allow-target 8.8.8.8",
    "--target 127.0.0.1,1.1.1.1": "--allow-target 1.1.1.1",
    "--target 8.8.8.8 --allow-target 8.8.4.4": "--allow-target 8.8.8.8",
    "--target 172.32.0.1": "neither loopback",
    "--target 2001:db8::1": "neither loopback",
    "--target ::ffff:8.8.8.8": "neither loopback",
    "--target 0.0.0.0": "neither loopback",
    "--target 255.255.255.255": "neither loopback",
    "--target 224.0.0.1": "neither loopback",
    "--target no..host": "no..host",
    "--target ,": "a host or an address",
    "--target " + ",".join(f"127.0.0.{i}" for i in range(1, 18)): "at most 16",
    TO + "--transport tls --tls-ca /no/such/file": "/no/such/file",
    TO + "--config /no/such/file": "/no/such/file",
    FILE: "--count or --duration",
    FILE + "--count 1 --eps max": "eps",
    FILE + "--count 1 --account": "account",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refused(tool: Path, profile: str, arguments: str) -> None:
    command = [str(tool), "--profile", profile, "--duration", "1", "--eps", "1", *arguments.split()]
    if FILE in arguments + " " and "--count" not in arguments:
        command[3:5] = []
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 2, done.stderr
    assert REFUSED[arguments] in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('{"target": "127.0.0.1"', "not a JSON object"),
        ('{"speed": 5}', "speed"),
        ('{"target": {"a": 1}}', "target"),
        ('{"eps": [5]}', "eps"),
        ('{"target": ["127.0.0.1", null]}', "target"),
        ('{"target": ["127.0.0.1"], "eps": "4MM"}', "4MM"),
        ('{"target": ["127.0.0.1"], "account": "perhaps"}', "perhaps"),
        ('{"target": ["127.0.0.1"], "ports": "500"}', "514"),
        ('{"profile": "/no/such/profile", "target": "127.0.0.1"}', "/no/such/profile"),
        ('{"profile": "/dev/null", "target": "127.0.0.1"}', "/dev/null"),
        ('{"target": ["127.0.0.1"], "profile": null}', "profile"),
    ],
)
def test_configuration_refused(tool: Path, tmp_path: Path, profile: str, text: str, word: str) -> None:
    config = tmp_path / "storm.json"
    config.write_text(text)
    known = [] if '"profile"' in text else ["--profile", profile]
    done = subprocess.run(
        [str(tool), "--config", str(config), *known], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 2, done.stderr
    assert word in done.stderr


def test_far_target_allowed(tool: Path, profile: str, tmp_path: Path) -> None:
    """By name. TEST-NET-1 is nobody's, and the namespace has no way to it: nothing leaves this machine."""
    command = f"{tool} --profile {profile} --target 192.0.2.1 --allow-target 192.0.2.1 --count 1"
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", *command.split()], capture_output=True, text=True, timeout=60
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.strip()}")
    assert done.returncode == 1 and "there is no way to the target" in done.stderr


def test_help(tool: Path) -> None:
    done = subprocess.run([str(tool), "--help"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0 and "--allow-target" in done.stdout and not done.stderr


def test_output_that_cannot_be_written(tool: Path, profile: str, tmp_path: Path) -> None:
    for option in ("--output", "--truth"):
        command = [str(tool), "--profile", profile, "--count", "1", option, "/no/such/folder/file"]
        if option == "--truth":
            command += ["--output", str(tmp_path / "lines")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 1 and "/no/such/folder/file" in done.stderr


# --- signals


def episodes_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(path)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_ended_early(tmp_path: Path, how: signal.Signals) -> None:
    """What is composed is sent, the truth is whole, and says what was still going on."""
    truth = tmp_path / "truth.jsonl"
    settings = {"eps": 50_000, "anomaly_rate": 0.05, "anomaly_kinds": "all", "disturbance_events": 5000}
    with storm(tmp_path, free_ports(2), truth=str(truth), workers=2, **settings) as running:
        running.wait_for(20_000)
        os.kill(running.process.pid, how)
        totals = running.finish()
    episodes = episodes_of(truth)
    assert totals["interrupted"] and totals["events"] >= 20_000 and totals["errors"] == 0
    assert len(episodes) == totals["episodes"] > 50
    assert len({episode["id"] for episode in episodes}) == len(episodes)
    assert any(not episode["complete"] for episode in episodes)
    assert all(episode["last_event"] < totals["events"] * 2 for episode in episodes)


def test_same_truth(tmp_path: Path) -> None:
    """Of one seed, through a file and the network, whatever the transport."""
    settings: dict[str, Any] = {
        "eps": 50_000,
        "count": 20_000,
        "seed": 11,
        "anomaly_rate": 0.05,
        "anomaly_kinds": "all",
        "disturbance_events": 5000,
        "workers": 1,
    }
    truths = []
    ways: list[dict[str, Any]] = [{}, {"gso": False}, {"output": str(tmp_path / "lines")}]
    for i, where in enumerate(ways):
        truth = tmp_path / f"truth{i}"
        ports = [] if "output" in where else free_ports(2)
        more = {"ports": "6001-6002"} if "output" in where else {}
        with storm(tmp_path, ports, truth=str(truth), **settings, **where, **more) as running:
            assert running.finish()["episodes"] > 20
        truths.append(truth.read_bytes())
    assert truths[0] == truths[1] == truths[2]
    with storm(tmp_path, [], truth=str(truth), output="/dev/null", **{**settings, "seed": 12}) as running:
        running.finish()
    assert truth.read_bytes() != truths[0]


def test_usr1_reads_the_configuration_again(tool: Path, profile: str, tmp_path: Path) -> None:
    """With what argv says over it, as at the start."""
    config, control = tmp_path / "config.json", tmp_path / "control"
    (port,) = free_ports(1)
    settings = {"eps": 1000, "seed": 4, "control_socket": str(control), "max_eps": "50k"}
    config.write_text(json.dumps(settings))
    said = (tmp_path / "said").open("w+")
    command = [
        str(tool),
        "--profile",
        profile,
        "--target",
        "127.0.0.1",
        "--ports",
        str(port),
        "--duration",
        "30",
    ]
    process = subprocess.Popen([*command, "--config", str(config)], stderr=said)

    def wait_for_words(sentence: str) -> None:
        until(lambda: sentence in (tmp_path / "said").read_text())

    try:
        for eps, sentence in (
            (5000, "eps is 5000.000 now"),
            ("0.1", "at least 1"),
            ("60k", "--max-eps"),
            ("7k", "eps is 7000.000 now"),
        ):
            until(control.exists)
            config.write_text(json.dumps(settings | {"eps": eps}))
            process.send_signal(signal.SIGUSR1)
            wait_for_words(sentence)
        config.write_text("{")
        process.send_signal(signal.SIGUSR1)
        wait_for_words("not a JSON object")
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        said.close()


def test_usr2_writes_a_snapshot(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.json"
    with storm(tmp_path, free_ports(2), eps=5000, snapshot=str(snapshot)) as running:
        running.wait_for(100)
        for _ in range(2):
            os.kill(running.process.pid, signal.SIGUSR2)
            until(snapshot.exists)
            totals = json.loads(snapshot.read_text())
            assert totals["events"] >= 100 and len(totals["ports"]) == 2
            snapshot.unlink()
        running.process.terminate()
        assert running.finish()["events"] >= totals["events"]


# --- the control socket


def test_commands(tmp_path: Path) -> None:
    with storm(tmp_path, free_ports(2), eps=2000) as running:
        running.wait_for(100)
        assert not running.totals()["paused"]
        assert running.ask("set_rate", eps="20k")["ok"]
        with running.process.stats() as page:
            assert page.value("target_eps") == 20_000
            running.wait_for(page.value("events") + 5_000)
        running.ask("pause")
        assert running.totals()["paused"]
        running.ask("resume")
        running.wait_for(running.totals()["events"] + 100)
        for command, arguments in (
            ("set_rate", {"eps": 0}),
            ("set_rate", {"eps": "max"}),
            ("set_rate", {"eps": "21M"}),
            ("set_rate", {}),
            ("load_bundle", {}),
        ):
            with pytest.raises(ControlError):
                running.ask(command, **arguments)
        running.ask("stop")
        assert running.finish()["interrupted"]


def test_junk_commands(tmp_path: Path) -> None:
    junk = [b"", b"{", b"null", b"[]", b'"stats"', b"\xff\xfe\x00", b'{"command": 5}', b"[" * 5000, b"{}"]
    with storm(tmp_path, free_ports(1), eps=1000) as running:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE_S)
            control.connect(str(tmp_path / "storm-control"))
            answers = control.makefile("rb")
            for line in junk:
                control.sendall(line + b"\n")
                answer = json.loads(answers.readline())
                assert answer["ok"] is False and answer["error"]
            control.sendall(b'{"command": "stats"}\n')
            assert json.loads(answers.readline())["ok"] is True
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE_S)
            control.connect(str(tmp_path / "storm-control"))
            with contextlib.suppress(ConnectionError):
                control.sendall(b"x" * 100_000)
            with contextlib.suppress(ConnectionError):
                while control.recv(65536):  # the end comes: a client that sends so much is cut off
                    pass
        assert running.totals()["events"] >= 0
        running.process.terminate()
        running.finish()

"""Storm and sink together, on loopback: the account closes, the rate is kept, sessions stay in order, and the
same seed gives the same lines whichever way they go."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.config.values import show_ports
from haechi.native.control import ControlError
from haechi.native.tools import ToolError, ToolRefusedError, tool_path
from haechi.sink.run import Sink, SinkResult
from haechi.sink.view import account_line
from haechi.storm.run import Storm, StormResult

try:
    tool_path("haechi-storm")
    tool_path("haechi-sink")
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)

FORM = re.compile(rb"<\d+>\S+Z (\S+ \S+?(?:\[\d+\])?): ")
WAIT_S = 30.0


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> str:
    """Ports that were free a moment ago."""
    socks = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return show_ports(sorted(sock.getsockname()[1] for sock in socks))
    finally:
        for sock in socks:
            sock.close()


def storm_config(ports: str, **changes: Any) -> StormConfig:
    settings = {"target": "127.0.0.1", "ports": ports, "eps": "50k", "account": True, "workers": 1}
    return StormConfig.model_validate({**settings, **changes})


def through(sink: SinkConfig, storm: StormConfig) -> tuple[SinkResult, StormResult]:
    """One storm into one sink, to the end of both."""
    with Sink.start(sink) as receiver, Storm.start(storm) as sender:
        sent = sender.finish(WAIT_S)
        receiver.stop()
        return receiver.finish(WAIT_S), sent


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def assert_exact(account: SinkResult) -> None:
    """The equation holds in all and port by port."""
    assert account.closed
    assert (
        account.sent + account.sent_controls
        == account.received + account.controls + account.kernel_dropped + account.lost_elsewhere
    )
    for port in account.ports:
        assert (
            port.sent + port.sent_controls
            == port.received + port.controls + port.kernel_dropped + port.lost_elsewhere
        )


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("gso", [False, True])
def test_the_account_closes_over_udp(gso: bool, plain: bool) -> None:
    ports = free_ports(4)
    account, sent = through(
        SinkConfig(ports=ports, plain=plain), storm_config(ports, count=20_000, gso=gso, workers=2)
    )
    assert sent.events == 20_000
    assert sent.gso == gso
    assert_exact(account)
    assert (account.sent, account.received, account.lost) == (20_000, 20_000, 0)
    assert account.sent_bytes == sent.bytes
    assert (sent.received, sent.lost) == (20_000, 0)
    assert sum(port.events for port in sent.ports) == 20_000
    assert {port.port for port in sent.ports} == {port.port for port in account.ports}
    assert account.latency_us.count > 0
    assert "(closed)" in account_line(account)


@pytest.mark.parametrize("framing", ["octets", "newline"])
def test_the_account_closes_over_tcp(framing: str) -> None:
    ports = free_ports(2, socket.SOCK_STREAM)
    account, sent = through(
        SinkConfig(ports=ports, transport="tcp"),
        storm_config(ports, transport="tcp", framing=framing, count=20_000, workers=2),
    )
    assert_exact(account)
    assert (sent.events, account.received, account.lost) == (20_000, 20_000, 0)
    assert account.bad_framing == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here to make a certificate")
def test_tls_is_checked(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", "/CN=siem.example", "-addext", "subjectAltName=DNS:siem.example"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    ports = free_ports(1, socket.SOCK_STREAM)
    sink = SinkConfig(ports=ports, transport="tls", tls_certificate=certificate, tls_key=key)
    named = {"tls_ca": certificate, "tls_server_name": "siem.example"}
    settings = {"transport": "tls", "count": 2000}
    account, sent = through(sink, storm_config(ports, **settings, **named))
    assert_exact(account)
    assert (sent.events, account.received) == (2000, 2000)
    for untrusted in ({}, {**named, "tls_server_name": "other.example"}):
        with Sink.start(sink), pytest.raises(ToolError, match="certificate"):
            Storm.start(storm_config(ports, **settings, **untrusted)).finish(WAIT_S)


def test_a_slow_receiver_loses_and_says_how_much() -> None:
    ports = free_ports(2)
    account, sent = through(
        SinkConfig(ports=ports, buffer_bytes=4096, max_eps=2000, plain=True),
        storm_config(ports, eps="20k", count=20_000),
    )
    assert_exact(account)
    assert account.kernel_dropped > 0
    assert account.sent == sent.events == 20_000
    assert account.received == 20_000 - account.lost + account.lost_controls


def test_the_rate_is_kept_and_changed() -> None:
    ports = free_ports(2)
    config = storm_config(ports, eps="2k", duration=None)
    with Sink.start(SinkConfig(ports=ports)), Storm.start(config) as storm:
        wait_until(lambda: storm.summary_now()["events"] >= 1000)
        storm.set_rate(20_000)
        assert storm.page is not None
        assert storm.page.tool_row()["target_eps"] == 20_000
        wait_until(lambda: storm.summary_now()["events"] >= 8000)
        storm.pause()
        wait_until(lambda: bool(storm.summary_now()["paused"]))
        with pytest.raises(ControlError, match="set_rate"):
            storm.set_rate(30_000_000)
        storm.resume()
        storm.stop()
        result = storm.finish(WAIT_S)
    assert result.interrupted
    assert result.received == result.events


def test_a_storm_of_a_duration_offers_what_was_asked() -> None:
    ports = free_ports(4)
    _, sent = through(SinkConfig(ports=ports), storm_config(ports, eps="10k", duration="2s"))
    assert sent.events == pytest.approx(20_000, rel=0.01)
    assert sent.seconds == pytest.approx(2, abs=0.5)


def test_sessions_stay_in_order_and_lines_are_those_of_a_file(tmp_path: Path) -> None:
    """One port and one worker: what the sink writes is what the file of the same settings holds, session by
    session, though lines of one length ride together."""
    common = {"start": "2025-08-30T10:15:30Z", "seed": 7, "eps": "20k", "count": 20_000, "workers": 1}
    ports, received = free_ports(1), tmp_path / "received.log"
    account, _ = through(
        SinkConfig(ports=ports, write=received),
        StormConfig.model_validate({"target": "127.0.0.1", "ports": ports, **common}),
    )
    assert account.received == 20_000
    made = tmp_path / "made.log"
    with Storm.start(StormConfig.model_validate({"output": made, "paced": True, **common})) as storm:
        storm.finish(WAIT_S)
    assert Counter(received.read_bytes().splitlines()) == Counter(made.read_bytes().splitlines())
    assert by_session(received) == by_session(made)


def by_session(log: Path) -> dict[bytes, list[bytes]]:
    sessions: dict[bytes, list[bytes]] = {}
    for line in log.read_bytes().splitlines():
        head = FORM.match(line)
        assert head is not None, line
        sessions.setdefault(head[1], []).append(line)
    return sessions


def test_truth_is_written_when_it_is_ended(tmp_path: Path) -> None:
    ports, truth = free_ports(2), tmp_path / "truth.jsonl"
    config = storm_config(ports, eps="20k", anomaly_rate=0.05, truth=truth)
    with Sink.start(SinkConfig(ports=ports)), Storm.start(config) as storm:
        wait_until(lambda: storm.summary_now()["episodes"] >= 5)
        storm.stop()
        result = storm.finish(WAIT_S)
    episodes = [json.loads(line) for line in truth.read_text().splitlines()]
    assert len(episodes) == result.episodes >= 5
    assert all(episode["last_event"] < result.events for episode in episodes)


def test_a_sink_that_comes_late_counts_what_it_missed() -> None:
    ports = free_ports(1)
    with Storm.start(storm_config(ports, eps="2k")) as storm:
        wait_until(lambda: storm.summary_now()["events"] >= 500)
        with Sink.start(SinkConfig(ports=ports)) as sink:
            wait_until(lambda: sink.summary_now()["received"] >= 500)
            storm.stop()
            sent = storm.finish(WAIT_S)
            sink.stop()
            account = sink.finish(WAIT_S)
    assert_exact(account)
    assert account.sent == sent.events
    assert account.lost_elsewhere > 0


def test_a_port_in_use_is_told() -> None:
    ports = free_ports(1)
    with Sink.start(SinkConfig(ports=ports)), pytest.raises(ToolError, match="in use"):
        Sink.start(SinkConfig(ports=ports))


def test_the_tool_refuses_what_it_is_told_to_refuse() -> None:
    """Past haechi's own check: a target that only the tool looks at."""
    config = storm_config("45514", target="192.0.2.1")
    with pytest.raises(ToolRefusedError, match=r"192\.0\.2\.1 .*--allow-target 192\.0\.2\.1"):
        Storm._launch(config.tool_config("profile"), {"profile": "{}"}, WAIT_S)

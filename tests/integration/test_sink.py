"""haechi-sink over loopback: what it counts, what it writes, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from haechi.native.control import ControlError
from haechi.native.tools import ToolError, tool_path
from tests.integration.sink_room import (
    PATIENCE_S,
    Connection,
    Stream,
    balance,
    free_ports,
    lines,
    sink,
)

SUMMARY = """
    received received_bytes controls sent sent_bytes sent_controls kernel_dropped kernel_dropped_buffers lost
    lost_elsewhere loss_ratio closed streams streams_ended seconds eps eps_peak latency_us truncated empty
    bad_framing clients refused tls_failed write_errors unwritten cpu_seconds cpu_cores rss_peak_bytes ports
""".split()
PORT = "port received bytes controls sent sent_controls kernel_dropped lost_elsewhere closed".split()
ROW = """
    received bytes controls kernel_dropped truncated empty bad_framing clients refused tls_failed sent
    port closed streams streams_ended lost
""".split()


@pytest.fixture(scope="module", autouse=True)
def tool() -> Path:
    try:
        return tool_path("haechi-sink")
    except ToolError as error:
        pytest.skip(str(error))


# --- account


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("plain", [True, False])
def test_account_is_exact(tmp_path: Path, plain: bool, workers: int) -> None:
    ports = free_ports(3)
    with sink(tmp_path, ports, plain=plain, workers=workers, buffer_bytes=4 << 20) as running:
        for i, port in enumerate(ports):
            for number, gso in enumerate((False, True)):
                with Stream(port, number) as stream:
                    stream.mark("mark")
                    (stream.send_gso if gso else stream.send)(lines(200 + 50 * i, "event", 120))
                    stream.mark("probe")
                    report = stream.end()
                    assert report["dropped"] == 0
        totals = running.finish()
    assert list(totals) == SUMMARY
    assert totals["received"] == totals["sent"] == 2 * (200 + 250 + 300)
    assert totals["received_bytes"] == totals["sent_bytes"] == 120 * totals["sent"]
    assert totals["closed"] and totals["streams"] == totals["streams_ended"] == 6
    assert totals["lost"] == 0 and totals["loss_ratio"] == 0
    assert totals["latency_us"]["count"] == 6
    assert 0 <= totals["latency_us"]["p50"] <= totals["latency_us"]["max"] < PATIENCE_S * 1e6
    assert [port["port"] for port in totals["ports"]] == ports
    for i, port in enumerate(totals["ports"]):
        assert list(port) == PORT
        assert port["received"] == port["sent"] == 2 * (200 + 50 * i)
        assert port["closed"] and balance(port) == 0


@pytest.mark.parametrize("plain", [True, False])
def test_drops_are_named(tmp_path: Path, plain: bool) -> None:
    """A small buffer runs over while the sink is held: what is missing is the kernel's, to the message."""
    (port,) = free_ports(1)
    sent = lines(20_000, "event", 100)
    with sink(tmp_path, [port], plain=plain, buffer_bytes=65536) as running, Stream(port) as stream:
        stream.mark("mark")
        running.wait_for("streams", 1)
        running.ask("pause")
        stream.send_gso(sent)
        running.ask("resume")
        running.wait_for("received", 1)
        stream.end()
        totals = running.finish()
    assert totals["sent"] == len(sent)
    assert 0 < totals["received"] < len(sent)
    assert totals["kernel_dropped"] == len(sent) - totals["received"]
    assert totals["lost_elsewhere"] == 0
    assert totals["closed"] and balance(totals) == 0
    if plain:
        assert totals["kernel_dropped_buffers"] == totals["kernel_dropped"]
    else:
        assert 0 < totals["kernel_dropped_buffers"] < totals["kernel_dropped"]


def test_killed_and_started_again(tmp_path: Path) -> None:
    """The second sink's account names what the first one took and what came while there was none."""
    (port,) = free_ports(1)
    with Stream(port) as stream:
        with sink(tmp_path, [port]) as running:
            stream.mark("mark")
            stream.send(lines(100, "before"))
            running.wait_for("received", 100)
            running.process.kill()
        stream.send(lines(70, "between"))
        with sink(tmp_path, [port]) as running:  # over the control socket that was left
            stream.send(lines(30, "after"))
            stream.end()
            totals = running.finish()
    assert totals["sent"] == 200 and totals["received"] == 30
    assert totals["kernel_dropped"] == 0
    assert totals["lost_elsewhere"] == 170 + 1  # and the first mark
    assert totals["closed"] and balance(totals) == 0


def test_sender_killed(tmp_path: Path) -> None:
    """A stream that never ends keeps the account open, and the sink says so."""
    (port,) = free_ports(1)
    with sink(tmp_path, [port], idle_exit=0.05) as running:
        with Stream(port, 1) as killed, Stream(port, 2) as whole:
            killed.mark("mark")
            killed.send(lines(10, "killed"))
            whole.send(lines(10, "whole"))
            whole.end()
        running.wait_for("received", 20)
        totals = running.finish()
        said = running.process.stderr_text()
    assert totals["streams"] == 2 and totals["streams_ended"] == 1 and not totals["closed"]
    assert "1 of 2 streams" in said


def test_without_marks(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with sink(tmp_path, [port]) as running, Stream(port) as stream:
        stream.send(lines(50, "event"))
        running.wait_for("received", 50)
        totals = running.finish()
        said = running.process.stderr_text()
    assert totals["sent"] == 0 and not totals["closed"] and totals["loss_ratio"] == 0
    assert "haechi-storm with --account" in said


# --- what comes is written


@pytest.mark.parametrize(("plain", "workers"), [(True, 1), (False, 2)])
def test_file_is_what_was_sent(tmp_path: Path, plain: bool, workers: int) -> None:
    ports = free_ports(2)
    file = tmp_path / "written"
    sent = {port: lines(3000, f"port{i}") for i, port in enumerate(ports)}
    file.write_text("what was there before\n")
    with sink(
        tmp_path, ports, write=str(file), plain=plain, workers=workers, buffer_bytes=4 << 20
    ) as running:
        for port in ports:
            with Stream(port) as stream:
                stream.send(sent[port][:1500])
                stream.mark("probe")  # is not written
                stream.send(sent[port][1500:])
                stream.end()
        totals = running.finish()
    written = file.read_bytes().split(b"\n")
    assert written.pop() == b""
    for i, port in enumerate(ports):
        assert [line for line in written if f" port{i} ".encode() in line] == sent[port]
    assert len(written) == totals["received"] == 6000
    assert totals["write_errors"] == totals["unwritten"] == 0


def test_a_message_stays_a_line(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    every_byte = bytes(range(256))
    with sink(tmp_path, [port], write="-") as running, Stream(port) as stream:
        assert running.process.running  # standard output is not a file here and takes all
        stream.send([every_byte])
        running.wait_for("received", 1)
    file = tmp_path / "written"
    with sink(tmp_path, [port], write=str(file)) as running, Stream(port) as stream:
        stream.send([every_byte, "two\nlines, 해치\r\n".encode()])
        running.wait_for("received", 2)
        running.finish()
    cleaned = bytes(32 if byte < 32 or byte == 127 else byte for byte in every_byte)
    assert file.read_bytes() == cleaned + "\ntwo lines, 해치  \n".encode()


def test_full_disk(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    (port,) = free_ports(1)
    with sink(tmp_path, [port], write="/dev/full") as running, Stream(port) as stream:
        stream.send(lines(10, "event"))
        totals = running.wait_for("write_errors", 2)  # it is tried again
        assert totals["received"] == 10
        stream.send(lines(10, "event"))
        running.wait_for("received", 20)
        totals = running.finish(status=1)
        said = running.process.stderr_text()
    assert totals["unwritten"] == 20
    assert said.count("No space left on device") == 1
    assert "20 messages are not in it" in said


# --- slow, idle, stopped


def test_max_eps(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (
        sink(tmp_path, [port], max_eps="2k", plain=True, buffer_bytes=4 << 20) as running,
        Stream(port) as stream,
    ):
        begun = time.monotonic()
        stream.mark("mark")
        stream.send(lines(3000, "event"))
        took = running.wait_for("received", 1000)["received"]
        assert took <= 2000 * (time.monotonic() - begun + 0.03)
        running.ask("set_rate", eps=0)
        stream.end()
        totals = running.finish()
    assert totals["received"] == 3000 and balance(totals) == 0


def test_a_slow_sink_loses_by_name(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (
        sink(tmp_path, [port], max_eps=1000, plain=True, buffer_bytes=65536) as running,
        Stream(port) as stream,
    ):
        stream.mark("mark")
        stream.send(lines(5000, "event", 200))
        stream.end()
        totals = running.finish()
    assert totals["kernel_dropped"] > 0 and totals["lost_elsewhere"] == 0
    assert totals["sent"] == 5000 and totals["closed"] and balance(totals) == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_waits_is_taken(tmp_path: Path, how: signal.Signals) -> None:
    ports = free_ports(2)
    with sink(tmp_path, ports, buffer_bytes=4 << 20) as running:
        running.ask("pause")
        for port in ports:
            with Stream(port) as stream:
                stream.send(lines(1000, "event"))
        os.kill(running.process.pid, how)
        assert running.process.wait(PATIENCE_S) == 0
        assert running.left()["received"] == 2000


def test_ends_by_itself(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with sink(tmp_path, [port], idle_exit="0.2s") as running, Stream(port) as stream:
        stream.mark("mark")
        stream.send(lines(5, "event"))
        running.wait_for("received", 5)
        stream.end()
        assert running.process.wait(PATIENCE_S) == 0
        assert running.left()["closed"]
    with sink(tmp_path, [port], duration=0.2) as running:
        assert running.process.wait(PATIENCE_S) == 0
        assert running.left()["received"] == 0


# --- TCP and TLS


@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize("framing", ["octets", "newline"])
def test_tcp(tmp_path: Path, framing: str, auto: bool) -> None:
    ports = free_ports(2)
    file = tmp_path / "written"
    settings = {"transport": "tcp", "framing": "auto" if auto else framing, "write": str(file)}
    with sink(tmp_path, ports, workers=2, **settings) as running:
        for port in ports:
            with Connection(port, framing=framing) as stream:
                stream.mark("mark")
                stream.send(lines(500, f"port{port}"))
                stream.mark("probe")
                stream.end()
        totals = running.finish()
    assert totals["received"] == totals["sent"] == 1000
    assert totals["closed"] and balance(totals) == 0 and totals["lost"] == 0
    assert totals["clients"] == 2 and totals["bad_framing"] == 0
    written = file.read_bytes().splitlines()
    for port in ports:
        assert [line for line in written if f" port{port} ".encode() in line] == lines(500, f"port{port}")


def test_tls(tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("the program openssl, which makes the certificate, is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=sink"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    (port,) = free_ports(1)
    settings = {"transport": "tls", "tls_certificate": str(certificate), "tls_key": str(key)}
    context = ssl.create_default_context(cafile=certificate)
    with sink(tmp_path, [port], **settings) as running:
        with Connection(port, context=context) as stream:
            stream.mark("mark")
            stream.send(lines(500, "event"))
            stream.end()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain:
            plain.sendall(b"<13>not TLS at all\n")
            with contextlib.suppress(ConnectionResetError):
                while plain.recv(4096):
                    pass
        running.wait_for("tls_failed", 1)
        totals = running.finish()
    assert totals["received"] == totals["sent"] == 500
    assert totals["closed"] and totals["lost"] == 0


# --- hostile bytes


def test_junk(tmp_path: Path) -> None:
    """Whatever comes is counted once and changes nothing else."""
    draw = random.Random(5)
    (port,) = free_ports(1)
    mark = b"<46>haechi-storm: mark " + b" ".join([b"f" * 16, b"f" * 8] + [b"f" * 16] * 5)
    with sink(tmp_path, [port], write=str(tmp_path / "written"), buffer_bytes=4 << 20) as running:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", port))
            for i in range(2000):
                if i % 4 == 0:
                    cut = bytearray(mark[: draw.randrange(len(mark) + 1)])
                    if cut:
                        cut[draw.randrange(len(cut))] = draw.randrange(256)
                    sender.send(cut)
                else:
                    sender.send(draw.randbytes(draw.choice((0, 1, 83, 134, 600, 9000))))
        totals = running.wait_until(
            lambda now: bool(
                now["received"] + now["empty"] + now["controls"] + now["kernel_dropped_buffers"] >= 2000
            )
        )
        with Stream(port) as stream:
            stream.mark("mark")
            stream.send(lines(10, "event"))
            assert stream.end()["received"] == 10
        totals = running.finish()
    assert (
        totals["received"] + totals["empty"] + totals["controls"] + totals["kernel_dropped_buffers"]
        >= 2000 + 12
    )
    assert (tmp_path / "written").read_bytes().count(b"\n") == totals["received"]


# --- how it is spoken to


def test_control_socket(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with sink(tmp_path, [port]) as running:
        assert list(running.totals()) == SUMMARY
        running.ask("pause")
        with running.process.stats() as page:
            assert page.value("paused") == 1
        running.ask("resume")
        running.ask("set_rate", eps=4000)
        with running.process.stats() as page:
            assert page.value("paused") == 0 and page.value("max_eps") == 4000
        for command, arguments, says in [
            ("dance", {}, "is not stats, set_rate"),
            ("set_rate", {"eps": "fast"}, '"eps" is needed'),
            ("set_rate", {}, '"eps" is needed'),
        ]:
            with pytest.raises(ControlError, match=says):
                running.ask(command, **arguments)
        running.ask("stop")
        assert running.process.wait(PATIENCE_S) == 0
    assert not (tmp_path / "control").exists()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_stats_page(tmp_path: Path, workers: int) -> None:
    ports = free_ports(2)
    with sink(tmp_path, ports, workers=workers) as running:
        for i, port in enumerate(ports):
            with Stream(port) as stream:
                stream.mark("probe")
                stream.send(lines(10 * (i + 1), "event"))
                stream.end()
        with running.process.stats() as page:
            assert page.tool == "haechi-sink" and page.tool_row()["running"] == 1
        running.finish()
        with running.process.stats() as page:
            rows, latency = page.rows(), page.histogram("latency_us")
            assert page.tool_row()["running"] == 0
    assert len(rows) == max(len(ports), workers)
    assert set(rows[0]) == set(ROW)
    for i, port in enumerate(ports):
        of_port = [row for row in rows if row["port"] == port]
        assert sum(row["received"] for row in of_port) == sum(row["sent"] for row in of_port) == 10 * (i + 1)
        assert sum(row["streams_ended"] for row in of_port) == 1
        assert sum(row["lost"] for row in of_port) == 0
    assert latency.count == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "1"], "--port is no option"),
        (["5514"], "5514 is no option"),
        (["--ports"], "--ports needs a value"),
        (["--ports", "x"], "x"),
        (["--ports", "5514-6538"], "1024"),
        (["--ports", "5514,5514"], "5514"),
        (["--transport", "sctp"], 'transport: "sctp" is not one of udp, tcp, tls'),
        (["--framing", "lines"], 'framing: "lines" is not one of auto, octets, newline'),
        (["--transport", "tls"], "tls needs --tls-certificate"),
        (["--workers", "0"], "workers: 0 is not a whole number from 1 to 64"),
        (["--workers", "two"], 'workers: "two" is not a whole number'),
        (["--workers", "1.5"], 'workers: "1.5" is not a whole number'),
        (
            ["--transport", "tcp", "--workers", "3", "--ports", "5514"],
            "workers: 3 workers cannot share 1 TCP port;",
        ),
        (["--pin", "x"], "pin: a list of processor numbers"),
        (["--pin", "60000"], "pin: processor 60000 is not there"),
        (["--max-eps", "0"], "max_eps: 0 is not a whole number from 1"),
        (["--max-eps", "fast"], "750k or 4M"),
        (["--duration", "1w"], 'duration: "1w" is not a time such as 30, 10m or 1h'),
        (["--idle-exit", "0"], "idle_exit: 0 is not a number of seconds from"),
        (["--address", "300.1.2.3"], "300.1.2.3"),
        (["--config", "/nowhere"], "/nowhere: No such file"),
    ],
)
def test_wrong_usage(tool: Path, arguments: list[str], says: str) -> None:
    ran = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("haechi-sink: ") and ran.stderr.count("\n") == 1
    assert says in ran.stderr


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[]", "not a JSON object"),
        ('{"ports": ', "not a JSON object (at byte"),
        ({"port": "5514"}, "port is no setting"),
        ({"ports": [5514]}, "ports: the value has the wrong type"),
        ({"plain": "yes"}, "plain: the value has the wrong type"),
        ({"workers": "1"}, "workers: the value has the wrong type"),
        ({"workers": 65}, "workers: 65 is not a whole number from 1 to 64"),
        ({"pin": [-1]}, "pin: "),
        ({"pin": list(range(65))}, "pin: at most 64"),
        ({"max_eps": 1.5}, "max_eps: 1.5 is not a whole number"),
        ({"duration": "soon"}, 'duration: "soon" is not a time'),
    ],
)
def test_wrong_configuration(tool: Path, tmp_path: Path, config: Any, says: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    ran = subprocess.run(
        [tool, "--config", path], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ran.returncode == 2
    assert says in ran.stderr


def test_live_line(tool: Path) -> None:
    """Every second where standard error is a terminal, and gone when the totals are told."""
    (port,) = free_ports(1)
    master, terminal = pty.openpty()
    command = [str(tool), "--ports", str(port), "--duration", "1.2"]
    with subprocess.Popen(command, stderr=terminal, stdin=subprocess.DEVNULL) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while more := os.read(master, 4096):
                shown += more
        os.close(master)
        assert process.wait(PATIENCE_S) == 0
    live, cleared, totals = shown.rpartition(b"\r\x1b[K")
    assert cleared and b"0/s" in live and b"0 lost" in live
    assert totals.startswith(b"received  0 events")


def test_a_port_that_is_taken(tool: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        ran = subprocess.run(
            [tool, "--ports", str(port)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    assert ran.returncode == 1
    assert f"127.0.0.1 port {port} (UDP)" in ran.stderr


def test_help(tool: Path) -> None:
    ran = subprocess.run([tool, "--help"], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    for option in ("--ports", "--max-eps", "--tls-client-ca", "--idle-exit", "--summary"):
        assert f"\n  {option} " in ran.stdout

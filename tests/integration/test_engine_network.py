"""The engine listening to the network: the same alerts as from a file, and an account of every message."""

from __future__ import annotations

import json
import random
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from haechi.native.tools import Process
from tests.integration.engine_room import (
    ORDER,
    UNKNOWN,
    WINDOW,
    fill,
    judge,
    log_line,
    log_lines,
    make_bundle,
    read_alerts,
    settings,
)
from tests.integration.serve_room import until

HOST = "127.0.0.1"
IN_FLIGHT = 1000  # messages on the way at once: no receive buffer is that small by itself
RUN = 0x1234_5678_9ABC_DEF0


def free_ports(count: int = 1, kind: int = socket.SOCK_DGRAM) -> list[int]:
    """Ports that nobody has now; held together while they are looked for, so that they differ."""
    sockets = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def queued(port: int) -> int:
    """Bytes that wait in the kernel for whoever has the UDP port."""
    rows = [row.split() for row in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[1].endswith(f":{port:04X}"))


@dataclass(frozen=True)
class Listening:
    engine: Process
    folder: Path

    def total(self, name: str) -> int:
        with self.engine.stats() as page:
            return page.value(name)

    def wait_for(self, name: str, at_least: int, timeout_s: float = 20.0) -> None:
        deadline = time.monotonic() + timeout_s
        while (have := self.total(name)) < at_least:
            assert self.engine.running, self.engine.stderr_text()
            assert time.monotonic() < deadline, f"{name}: {have}, not {at_least}, after {timeout_s} s"
            time.sleep(0.005)

    def ask(self, command: str) -> dict[str, Any]:
        with self.engine.control() as control:
            return control.ask(command)

    @property
    def network(self) -> dict[str, Any]:
        return dict(self.ask("stats")["stats"]["network"])

    def network_once(self, **values: Any) -> dict[str, Any]:
        """The network's totals, as soon as these of them are so."""
        deadline = time.monotonic() + 20
        while not all((network := self.network)[name] == value for name, value in values.items()):
            assert time.monotonic() < deadline, (values, network)
            time.sleep(0.01)
        return network

    def stop(self) -> list[dict[str, Any]]:
        assert self.engine.stop() == 0, self.engine.stderr_text()
        return read_alerts(self.folder / "alerts.jsonl")

    def send(self, sender: socket.socket, messages: Iterable[str | bytes]) -> None:
        """Over UDP, never more on the way than a buffer holds."""
        before = self.total("lines")
        for n, message in enumerate(messages):
            if n % IN_FLIGHT == 0:
                self.wait_for("lines", before + n)
            sender.send(message.encode() if isinstance(message, str) else message)


@contextmanager
def listening(bundle: Path, folder: Path, **more: Any) -> Iterator[Listening]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: str(folder / name) for name in ("stats_page", "control_socket")}
    config = settings(bundle, folder, more.pop("sources", []), **paths, **more)
    with Process.start("haechi-detect", config) as engine:
        yield Listening(engine, folder)


@contextmanager
def udp_sender(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20)
        sender.connect((HOST, port))
        yield sender


def told(alerts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Alerts without what depends on where their lines stood (id, source, offset) and on how many were read
    at once (the order, whether the model or the memo answered, whether the text is still at hand)."""
    return sorted(
        json.dumps(
            {name: value for name, value in alert.items() if name not in ("id", "stage", "lines")}
            | {"line_count": len(alert["lines"])}
        )
        for alert in alerts
    )


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return list(log_lines(6000, seed=31))


@pytest.fixture(scope="module")
def expected(engine_bundle: Path, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the same lines give when they are read from a file."""
    folder = tmp_path_factory.mktemp("file")
    (folder / "app.log").write_text("".join(lines))
    ran = judge(engine_bundle, folder / "out", [folder / "app.log"])
    assert ran.status == 0 and len(ran.alerts) > 20
    return told(ran.alerts)


# --- the same alerts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{}, {"udp_plain": True}, {"readers": 3}, {"workers": 3}, {"batch_bytes": 4096}],
    ids=["one thread", "plain", "readers", "workers", "small batches"],
)
def test_udp_like_a_file(
    change: dict[str, Any],
    engine_bundle: Path,
    lines: list[str],
    expected: list[str],
    tmp_path: Path,
) -> None:
    (port,) = free_ports()
    with listening(engine_bundle, tmp_path, udp=[f"{HOST}:{port}"], **change) as r:
        with udp_sender(port) as sender:
            r.send(sender, (line.rstrip("\n") for line in lines))
        r.wait_for("lines", len(lines))
        network = r.network_once(received=len(lines))
        alerts = r.stop()
    assert told(alerts) == expected
    assert {line["source"] for alert in alerts for line in alert["lines"]} == {f"udp:{HOST}:{port}"}
    assert (network["kernel_dropped"], network["lost"], network["empty"]) == (0, 0, 0)
    assert network["bytes"] == sum(len(line) - 1 for line in lines)
    assert [(p["port"], p["received"]) for p in network["ports"]] == [(port, len(lines))]


def test_a_session_moves_between_ports(engine_bundle: Path, tmp_path: Path) -> None:
    """Sessions are of what the lines say, not of where they came in."""
    first, second = free_ports(2)
    draw = random.Random(3)
    with (
        listening(engine_bundle, tmp_path, udp=[f"{first},{second}"], workers=2) as r,
        udp_sender(first) as a,
        udp_sender(second) as b,
    ):
        for n in range(40):
            (a, b)[n % 2].send(log_line(n * 0.1, 7, fill(ORDER[n % 4], draw)).encode())
            r.wait_for("events", n + 1)
        assert r.total("sessions_opened") == 1
        network = r.network_once(received=40)
        assert [port["received"] for port in network["ports"]] == [20, 20]
        assert r.stop() == []


def octets(messages: Iterable[str]) -> bytes:
    return b"".join(f"{len(m.encode())} {m}".encode() for m in messages)


def newlines(messages: Iterable[str]) -> bytes:
    return "".join(f"{m}\n" for m in messages).encode()


@pytest.mark.parametrize(("pack", "framing"), [(octets, "auto"), (octets, "octets"), (newlines, "newline")])
def test_tcp_like_a_file(
    pack: Any,
    framing: str,
    engine_bundle: Path,
    lines: list[str],
    expected: list[str],
    tmp_path: Path,
) -> None:
    (port,) = free_ports(kind=socket.SOCK_STREAM)
    with listening(engine_bundle, tmp_path, tcp=[f"{HOST}:{port}"], framing=framing) as r:
        with socket.create_connection((HOST, port)) as client:
            client.sendall(pack(line.rstrip("\n") for line in lines))
            r.wait_for("lines", len(lines))
        network = r.network_once(received=len(lines), clients=1)
        assert (network["bad_framing"], network["refused"]) == (0, 0)
        assert told(r.stop()) == expected


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    pem, key = folder / "pem", folder / "key"
    subprocess.run(
        [
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(),
            *("-subj", "/CN=haechi", "-addext", f"subjectAltName=IP:{HOST}"),
            *("-out", str(pem), "-keyout", str(key)),
        ],
        check=True,
        capture_output=True,
    )
    return pem, key


def test_tls_like_a_file(
    certificate: tuple[Path, Path],
    engine_bundle: Path,
    lines: list[str],
    expected: list[str],
    tmp_path: Path,
) -> None:
    (port,) = free_ports(kind=socket.SOCK_STREAM)
    pem, key = certificate
    trust = ssl.create_default_context(cafile=str(pem))
    place = {"tls": [f"{HOST}:{port}"], "tls_certificate": str(pem), "tls_key": str(key)}
    with listening(engine_bundle, tmp_path, **place) as r:
        with socket.create_connection((HOST, port)) as plain:  # no TLS: refused, and no line
            plain.sendall(b"<13>this is no handshake\n")
            r.network_once(tls_failed=1)
        with (
            socket.create_connection((HOST, port)) as tcp,
            trust.wrap_socket(tcp, server_hostname=HOST) as client,
        ):
            client.sendall(octets(line.rstrip("\n") for line in lines))
            r.wait_for("lines", len(lines))
        assert r.network_once(received=len(lines))["ports"][0]["input"] == f"tls:{HOST}:{port}"
        assert told(r.stop()) == expected


def test_beside_a_file(engine_bundle: Path, tmp_path: Path) -> None:
    """A file that ends does not end the engine; one that is followed goes on."""
    (port,) = free_ports()
    once, followed = tmp_path / "once.log", tmp_path / "followed.log"
    for log in (once, followed):
        log.write_text(log_line(1, 1, "open request 1"))
    for log, follow in ((once, False), (followed, True)):
        folder = tmp_path / log.stem
        with listening(engine_bundle, folder, sources=[log], udp=[str(port)], follow=follow) as r:
            r.wait_for("lines", 1)
            with udp_sender(port) as sender:
                sender.send(log_line(2, 2, "open request 2").encode())
                r.wait_for("lines", 2)
                if follow:
                    with log.open("a") as file:
                        file.write(log_line(3, 3, "open request 3"))
                    r.wait_for("lines", 3)
            assert r.total("malformed_lines") == 0
            r.stop()


# --- the end, and after -------------------------------------------------------------------------------


@pytest.mark.parametrize("readers", [1, 2])
def test_term_judges_what_waits(
    readers: int,
    engine_bundle: Path,
    lines: list[str],
    expected: list[str],
    tmp_path: Path,
) -> None:
    """While it is paused everything waits in the kernel; a stop still takes and judges all of it."""
    (port,) = free_ports()
    totals = tmp_path / "totals.json"
    with (
        listening(engine_bundle, tmp_path, udp=[str(port)], readers=readers, summary=str(totals)) as r,
        udp_sender(port) as sender,
    ):
        r.send(sender, lines[:-IN_FLIGHT])
        r.wait_for("lines", len(lines) - IN_FLIGHT)
        r.ask("pause")
        time.sleep(0.4)  # what was being read is read
        for n in range(300):  # which are no lines, but no end either
            sender.send(end_mark(n, 0, 0, n + 1))
        for line in lines[-IN_FLIGHT:]:
            sender.send(line.encode())
        assert r.total("lines") == len(lines) - IN_FLIGHT
        assert told(r.stop()) == expected


def test_the_end_is_bounded(engine_bundle: Path, tmp_path: Path) -> None:
    """A storm that goes on does not keep the engine from ending."""
    (port,) = free_ports()
    line = log_line(1, 1, "open request 1").encode()
    with listening(engine_bundle, tmp_path, udp=[str(port)]) as r, udp_sender(port) as sender:
        sender.setblocking(False)
        r.engine.terminate()
        deadline = time.monotonic() + 20
        while r.engine.running:
            assert time.monotonic() < deadline
            try:
                sender.send(line)
            except (BlockingIOError, ConnectionRefusedError):
                time.sleep(0.001)
        assert r.engine.wait(1) == 0


def test_a_checkpoint_keeps_sessions_and_no_position(engine_bundle: Path, tmp_path: Path) -> None:
    (port,) = free_ports()
    more: dict[str, Any] = {"udp": [str(port)], "checkpoint": {"path": str(tmp_path / "checkpoint")}}
    draw = random.Random(4)
    ids: list[str] = []
    for run in range(2):
        with listening(engine_bundle, tmp_path, **more) as r, udp_sender(port) as sender:
            for n in range(2):
                at = 2 * run + n
                sender.send(log_line(at, 7, fill(ORDER[at], draw)).encode())
            sender.send(log_line(3, 8, f"disk {run} is on fire").encode())
            r.wait_for("lines", 3)
            assert r.total("sessions_opened") == (2 if run == 0 else 0)
            ids = [alert["id"] for alert in r.stop()]
    assert len(set(ids)) == len(ids) >= 1


def test_ids_of_two_runs_differ(engine_bundle: Path, lines: list[str], tmp_path: Path) -> None:
    """A network is never read again, so the same lines are other lines."""
    (port,) = free_ports()
    ids: list[set[str]] = []
    for run in range(2):
        with listening(engine_bundle, tmp_path / str(run), udp=[str(port)]) as r:
            with udp_sender(port) as sender:
                r.send(sender, lines[:1000])
            r.wait_for("lines", 1000)
            ids.append({alert["id"] for alert in r.stop()})
    assert ids[0] and len(ids[0]) == len(ids[1]) and not ids[0] & ids[1]


def test_lines_without_a_time_end_by_the_clock(tmp_path: Path, engine_bundle: Path) -> None:
    """Arrival is their time: a session that nothing comes for ends."""
    bundle = make_bundle(tmp_path / "bundles", session={"by": "fields", "fields": ["pid"], "idle_s": 1}).path
    (port,) = free_ports()
    with (
        listening(bundle, tmp_path / "out", udp=[str(port)], format="{pid} {message}") as r,
        udp_sender(port) as sender,
    ):
        sender.send(b"7 open request 1")
        r.wait_for("sessions_opened", 1)
        r.wait_for("sessions_ended", 1)
        (alert,) = r.stop()
    assert alert["reason"].startswith("The session ended where")


# --- hostile ------------------------------------------------------------------------------------------


def test_junk(engine_bundle: Path, tmp_path: Path) -> None:
    """Whatever the bytes: every message is a line, an empty one or malformed, and the engine goes on."""
    draw = random.Random(9)
    (port,) = free_ports()
    sizes = [1, 2, 31, 32, 33, 480, 4095, 4096, 4097, 9000, 65_000, 65_507]
    messages = [draw.randbytes(size) for size in sizes * 3]
    messages += [b"\n" * 50, b"\x00" * 50, b"\r\n", b"<46>haechi-storm: end zzzz" + b"0" * 90]
    messages += [log_line(1, 1, "open request 1").encode() + b"\x00", b"x" * 65_507]
    sent = len(messages)
    for n, change in enumerate(({"batch_bytes": 4096}, {"batch_bytes": 4096, "readers": 2}, {"workers": 2})):
        with listening(engine_bundle, tmp_path / str(n), udp=[str(port)], **change) as r:
            with udp_sender(port) as sender:
                for message in messages:
                    sender.send(message)
                    until(lambda: queued(port) < 500_000)
                sender.send(b"")
            network = r.network_once(received=sent - 3, empty=4)
            r.wait_for("lines", sent - 3)
            truncated = sum(len(m) > 4095 for m in messages) if "batch_bytes" in change else 0
            assert (r.total("lines"), r.total("truncated_lines")) == (sent - 3, truncated)
            assert r.total("events") == sent - 3 - r.total("malformed_lines")
            assert network["controls"] == 0
            r.stop()


def test_tcp_junk_is_counted(engine_bundle: Path, tmp_path: Path) -> None:
    (port,) = free_ports(kind=socket.SOCK_STREAM)
    with listening(engine_bundle, tmp_path, tcp=[str(port)], framing="octets") as r:
        with socket.create_connection((HOST, port)) as client:
            client.sendall(b"neither a count nor anything\n")
            r.network_once(bad_framing=1)
        with socket.create_connection((HOST, port)) as client:
            client.sendall(octets([log_line(1, 1, "open request 1").rstrip()]))
            r.wait_for("lines", 1)
        assert r.network_once(clients=2)["received"] == 1
        r.stop()


def test_framing_by_the_first_byte(engine_bundle: Path, tmp_path: Path) -> None:
    """Both kinds at once, each connection for itself; two receiving threads have a TCP place each."""
    ports = free_ports(2, socket.SOCK_STREAM)
    with listening(engine_bundle, tmp_path, tcp=[str(port) for port in ports], readers=2) as r:
        for port in ports:
            for sent in (octets(["one", "two\nlines"]), b"<14>three\n<14>four\n"):
                with socket.create_connection((HOST, port)) as client:
                    client.sendall(sent)
        network = r.network_once(received=8, clients=4)
        r.wait_for("lines", 8)
        assert (network["bad_framing"], [port["received"] for port in network["ports"]]) == (0, [4, 4])
        r.stop()


# --- the account --------------------------------------------------------------------------------------


def end_mark(sequence: int, events: int, sent_bytes: int, controls: int) -> bytes:
    numbers = (sequence, time.time_ns(), events, sent_bytes, controls)
    return f"<46>haechi-storm: end {RUN:016x} 00000001 ".encode() + b" ".join(
        b"%016x" % number for number in numbers
    )


def test_marks_close_the_account(engine_bundle: Path, tmp_path: Path) -> None:
    (port,) = free_ports()
    messages = [log_line(n, n, "open request 1").rstrip().encode() for n in range(100)]
    with listening(engine_bundle, tmp_path, udp=[str(port)]) as r, udp_sender(port) as sender:
        r.send(sender, messages)
        assert not r.network["closed"]
        sender.send(end_mark(0, 100, sum(map(len, messages)), 1))
        assert sender.recv(1000).startswith(b"<46>haechi-sink: report ")
        network = r.network_once(closed=True)
        assert (network["sent"], network["received"], network["controls"]) == (100, 100, 1)
        assert (network["kernel_dropped"], network["lost"], network["loss_ratio"]) == (0, 0, 0)
        assert r.total("lines") == 100  # a control message is no line
        r.stop()
        assert r.total("net_sent") == r.total("net_received") == 100


def test_drops_are_counted(engine_bundle: Path, tmp_path: Path) -> None:
    """A buffer that holds a few messages, and an engine that does not look: what is lost has a number."""
    (port,) = free_ports()
    messages = [log_line(n, n, "open request 1").rstrip().encode() for n in range(2000)]
    tiny: dict[str, Any] = {"udp_buffer_bytes": 4096, "udp_plain": True, "on_overload": "drop"}
    with listening(engine_bundle, tmp_path, udp=[str(port)], **tiny) as r, udp_sender(port) as sender:
        r.ask("pause")
        time.sleep(0.4)
        for message in messages:
            sender.send(message)
        r.wait_for("net_kernel_dropped", 1000)  # counted while nobody reads, too
        r.ask("resume")
        until(lambda: queued(port) == 0)  # or the mark would be dropped
        sender.send(end_mark(0, len(messages), sum(map(len, messages)), 1))
        sender.recv(1000)
        network = r.network_once(closed=True)
        assert network["kernel_dropped"] == network["kernel_dropped_buffers"] > 1000
        assert network["received"] + network["kernel_dropped"] == network["sent"] == len(messages)
        assert (network["lost"], network["lost_elsewhere"]) == (network["kernel_dropped"], 0)
        assert network["loss_ratio"] == pytest.approx(network["lost"] / (len(messages) + 1))
        assert r.total("lines") == network["received"]
        r.stop()
        assert r.total("net_kernel_dropped") == network["kernel_dropped"]


@pytest.mark.parametrize("on_overload", ["shed", "drop"])
def test_an_overflow_is_lost_in_one_piece(on_overload: str, engine_bundle: Path, tmp_path: Path) -> None:
    """The engine wakes up to a queue that has overflowed: the newest quarter is judged, or all that waits."""
    (port,) = free_ports()
    messages = [log_line(n / 100, n, "open request 1").rstrip().encode() for n in range(9000)]
    place: dict[str, Any] = {"udp_buffer_bytes": 1 << 20, "udp_plain": True, "on_overload": on_overload}
    with listening(engine_bundle, tmp_path, udp=[str(port)], **place) as r, udp_sender(port) as sender:
        r.ask("pause")
        time.sleep(0.4)
        for message in messages:
            sender.send(message)
        r.wait_for("net_kernel_dropped", 1000)
        r.ask("resume")
        r.wait_for("lines", 100)
        sender.send(end_mark(0, len(messages), sum(map(len, messages)), 1))
        sender.recv(1000)
        network = r.network_once(closed=True)
        assert network["received"] + network["shed"] + network["kernel_dropped"] == len(messages)
        assert (network["lost"], network["lost_elsewhere"]) == (len(messages) - network["received"], 0)
        r.stop()
        assert r.total("net_shed") == network["shed"]
        assert r.total("lines") == network["received"]
    if on_overload == "drop":
        assert network["shed"] == 0 and r.total("holes") == 1  # at the end
    else:
        assert network["shed"] > network["received"]
        assert r.total("holes") == 2


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("after_loss", ["hold", "judge"])
def test_a_loss_is_no_anomaly(after_loss: str, workers: int, engine_bundle: Path, tmp_path: Path) -> None:
    """Sessions that lost lines are odd by what is missing: no alert until their windows are behind it."""
    (port,) = free_ports()
    draw = random.Random(5)
    place: dict[str, Any] = {"udp_buffer_bytes": 4096, "udp_plain": True, "after_loss": after_loss}
    place["on_overload"] = "drop"  # one hole, wherever it takes what waits
    pids, late = range(1, 21), (101, 102)
    with (
        listening(engine_bundle, tmp_path, udp=[str(port)], workers=workers, **place) as r,
        udp_sender(port) as sender,
    ):

        def say(at_s: float, even: str, odd: str = "") -> None:
            """A line of each session, never more on the way than the small buffer holds."""
            before = r.total("lines")
            for n, pid in enumerate(pids, 1):
                sender.send(log_line(at_s, pid, fill(odd if odd and pid % 2 else even, draw)).encode())
                r.wait_for("lines", before + n - 3)
            r.wait_for("lines", before + len(pids))

        say(1, ORDER[0])
        r.ask("pause")
        time.sleep(0.4)  # what was being read is read
        for n in range(1000):
            sender.send(log_line(2, 99, fill(ORDER[n % 4], draw)).encode())
        r.wait_for("net_kernel_dropped", 500)
        r.ask("resume")
        r.wait_for("holes", 1)
        until(lambda: queued(port) == 0)
        say(3, ORDER[3], UNKNOWN[0])  # two lines are missing before it; an unknown line is one anywhere
        for message in (*ORDER[:WINDOW], ORDER[1]):  # one is missing before the last, and none of them lost
            say(4, message)
        have = r.total("lines")
        for message in (ORDER[0], ORDER[2]):  # these may have begun before the loss
            for pid in late:
                sender.send(log_line(5, pid, fill(message, draw)).encode())
        r.wait_for("lines", have + 2 * len(late))
        say(500, ORDER[0])  # ends all but the first one's, which goes on
        alerts = [alert for alert in r.stop() if not alert["session"].endswith(" 99")]
        totals = [r.total(name) for name in ("torn_sessions", "torn_events", "torn_ends")]
    odd = {(a["time"][14:19], int(a["session"].split()[-1]) % 2) for a in alerts}
    count = len([alert for alert in alerts if alert["detector"] == "deeplog"])
    if after_loss == "judge":
        assert odd == {("00:03", 0), ("00:03", 1), ("00:05", 0), ("00:05", 1)}
        assert (count, totals) == (len(pids) + len(late), [0, 0, 0])
    else:
        assert odd == {("00:04", 0), ("00:03", 1)}
        torn = len(pids) + len(late)
        assert (count, totals) == (len(pids), [torn + 1, 50, torn])


# --- refusals -----------------------------------------------------------------------------------------


def test_refusals(engine_bundle: Path, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """Exit status 2 and one sentence that names what is wrong."""
    pem, _ = certificate
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, 0))
        taken = other.getsockname()[1]
        cases: list[tuple[dict[str, Any], str]] = [
            ({"udp": [f"{HOST}:{taken}"]}, str(taken)),
            ({"udp": [f"{HOST}:{taken}"], "readers": 3}, str(taken)),
            ({"udp": ["192.0.2.7:5514"]}, "192.0.2.7"),
            ({"udp": ["no.such.host.invalid:5514"]}, "no.such.host.invalid"),
            ({"udp": [f"{HOST}:0"]}, HOST),
            ({"udp": ["::1:514"]}, "::1:514"),
            ({"tcp": ["514-"]}, "514-"),
            ({"udp": ["6514"], "framing": "lines"}, "framing"),
            ({"udp": ["6514"], "readers": 17}, "readers"),
            ({"udp": ["6514"], "after_loss": "wait"}, "after_loss"),
            ({"udp": ["6514"], "on_overload": "cry"}, "on_overload"),
            ({"udp": ["6514"], "udp_buffer_bytes": -1}, "udp_buffer_bytes"),
            ({"udp": [514]}, "udp"),
            ({"tls": ["6514"]}, "tls_certificate"),
            ({"tls": ["6514"], "tls_certificate": str(tmp_path / "none"), "tls_key": str(pem)}, "none"),
            ({}, "no log"),
        ]
        for change, said in cases:
            ran = judge(engine_bundle, tmp_path, [], **change)
            assert (ran.status, len(ran.stderr.splitlines())) == (2, 1), (change, ran.stderr)
            assert said in ran.stderr

"""What the sink's tests share: a sender that keeps account as a storm does, and the handle of a sink.

The sender is plain Python and writes the control messages by hand, from core/include/haechi/mark.h alone.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haechi.native.tools import Process

UDP_SEGMENT = 103  # not in the socket module
GSO_BYTES = 60_000
PATIENCE_S = 15.0

_RUNS = iter(range(1, 1 << 62))


def free_ports(count: int) -> list[int]:
    """Ports that neither a UDP nor a TCP socket of this machine has, as far as one can know."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            tcp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", tcp.getsockname()[1]))
                ports.append(tcp.getsockname()[1])
        return ports


def lines(count: int, tag: str, length: int = 0) -> list[bytes]:
    """Syslog lines that tell where they belong, padded to one length where one is given."""
    return [
        f"<13>Oct 11 22:14:15 host app[{i}]: {tag} {i} ".encode().ljust(length, b"x") for i in range(count)
    ]


def read_report(message: bytes) -> dict[str, int]:
    who, what, *words = message.split()
    assert (who, what) == (b"<46>haechi-sink:", b"report")
    names = ("run", "stream", "sequence", "received", "bytes", "controls", "dropped")
    return {name: int(word, 16) for name, word in zip(names, words, strict=True)}


@dataclass
class Stream:
    """One socket of a storm's."""

    port: int
    number: int = 0
    run: int = field(default_factory=lambda: next(_RUNS))
    events: int = 0
    sent_bytes: int = 0
    controls: int = 0

    def __post_init__(self) -> None:
        self.socket = self.connect()

    def connect(self) -> socket.socket:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.connect(("127.0.0.1", self.port))
        return udp

    def write(self, message: bytes) -> None:
        with contextlib.suppress(ConnectionRefusedError):  # nobody listens: said of the one before
            self.socket.send(message)
            return
        self.socket.send(message)

    def send(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self.write(message)
        self._count(messages)

    def send_gso(self, messages: Sequence[bytes]) -> None:
        """Messages of one length, many in a system message, as the kernel cuts them."""
        (length,) = {len(message) for message in messages}
        step = min(GSO_BYTES // length, 64)
        for i in range(0, len(messages), step):
            segment = (socket.SOL_UDP, UDP_SEGMENT, struct.pack("@H", length))
            self.socket.sendmsg([b"".join(messages[i : i + step])], [segment])
        self._count(messages)

    def _count(self, messages: Sequence[bytes]) -> None:
        self.events += len(messages)
        self.sent_bytes += sum(map(len, messages))

    def mark(self, kind: str, time_ns: int | None = None) -> None:
        """kind: probe, mark or end."""
        sequence, self.controls = self.controls, self.controls + 1
        at = time.time_ns() if time_ns is None else time_ns
        text = f"<46>haechi-storm: {kind} {self.run:016x} {self.number:08x} {sequence:016x} {at:016x}"
        if kind != "probe":
            text += f" {self.events:016x} {self.sent_bytes:016x} {self.controls:016x}"
        self.write(text.encode())

    def read(self) -> bytes:
        return self.socket.recv(65536)

    def end(self) -> dict[str, int]:
        """Sends the end mark until it is answered; the answer's numbers."""
        deadline = time.monotonic() + PATIENCE_S
        first = self.controls  # an answer to an earlier mark is none to this
        self.socket.settimeout(0.2)
        while time.monotonic() < deadline:
            self.mark("end")
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                while True:
                    report = read_report(self.read())
                    if report["run"] == self.run and report["sequence"] >= first:
                        return report
        raise AssertionError(f"port {self.port}: no report in {PATIENCE_S} s")

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Connection(Stream):
    """The same over TCP or TLS."""

    framing: str = "octets"
    context: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        tcp = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        self.unread = b""
        return self.context.wrap_socket(tcp, server_hostname="127.0.0.1") if self.context else tcp

    def write(self, message: bytes) -> None:
        self.socket.sendall(self.framed(message))

    def framed(self, message: bytes) -> bytes:
        return b"%d %s" % (len(message), message) if self.framing == "octets" else message + b"\n"

    def read(self) -> bytes:
        """One report: its length is the same in both framings, but for what is around it."""
        while (at := self.unread.find(b"<46>haechi-sink: report")) < 0 or len(self.unread) < at + 134:
            more = self.socket.recv(65536)
            assert more, "the sink closed the connection"
            self.unread += more
        message, self.unread = self.unread[at : at + 134], self.unread[at + 134 :]
        return message


@dataclass(frozen=True)
class RunningSink:
    process: Process
    folder: Path
    ports: list[int]

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with self.process.control() as control:
            return control.ask(command, **arguments)

    def totals(self) -> dict[str, Any]:
        totals = self.ask("stats")["stats"]
        assert isinstance(totals, dict)
        return totals

    def wait_until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(totals := self.totals()):
            assert self.process.running, self.process.stderr_text()
            assert time.monotonic() < deadline, totals
            time.sleep(0.01)
        return totals

    def wait_for(self, name: str, at_least: int) -> dict[str, Any]:
        return self.wait_until(lambda totals: bool(totals[name] >= at_least))

    def finish(self, status: int = 0) -> dict[str, Any]:
        """Ends it by TERM; the totals it left."""
        assert self.process.stop(timeout_s=PATIENCE_S) == status, self.process.stderr_text()
        return self.left()

    def left(self) -> dict[str, Any]:
        totals = json.loads((self.folder / "totals.json").read_text())
        assert isinstance(totals, dict)
        return totals


@contextlib.contextmanager
def sink(folder: Path, ports: Sequence[int], **settings: Any) -> Iterator[RunningSink]:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "ports": ",".join(map(str, ports)),
        "control_socket": str(folder / "control"),
        "stats_page": str(folder / "stats"),
        "summary": str(folder / "totals.json"),
        **settings,
    }
    with Process.start("haechi-sink", config) as process:
        yield RunningSink(process, folder, list(ports))


def balance(account: dict[str, Any]) -> int:
    """What the account does not explain; of a port or of the whole. 0 where it is closed."""
    sent = account["sent"] + account["sent_controls"]
    taken = account["received"] + account["controls"]
    return int(sent - taken - account["kernel_dropped"] - account["lost_elsewhere"])

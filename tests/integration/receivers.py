"""Other people's receivers: rsyslog and syslog-ng out of Debian's packages, each as a child of the test.

Their configuration, process id, state and output are all in the test's folder; they listen on ports of
127.0.0.1 that the test chose, and write each message as it came, with a newline behind it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import pytest

from haechi.bench.loggen import environment
from tests.integration.sink_room import free_ports

Name = Literal["rsyslog", "syslog-ng"]
Wire = Literal["udp", "octets", "newline"]  # the last two over TCP

FETCH = Path(__file__).resolve().parents[2] / "deploy" / "receivers.sh"
FETCH_S = 300.0
TRIES = 3  # a port that was free may be taken when the daemon comes to it
PATIENCE_S = 30.0
BIG_BUFFER = 128 << 20  # seconds of datagrams: this machine may have other things to do

SO_RCVBUFFORCE = 33
PIDFD_GETFD = 438
PR_SET_PDEATHSIG = 1

# What a daemon has taken it writes (a direct queue here, flow control there), so that the only place where
# something can be lost is the socket, and the kernel counts that.
RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="8k" net.enableDNS="off"
       parser.escapeControlCharactersOnReceive="off")
module(load="imudp")
module(load="imtcp")
template(name="raw" type="list") {{ property(name="rawmsg") constant(value="\\n") }}
ruleset(name="write" queue.type="direct") {{
    action(type="omfile" file="{output}" template="raw" ioBufferSize="256k")
}}
"""
RSYSLOG_UDP = """
input(type="imudp" address="127.0.0.1" port="{port}" ruleset="write" rcvbufSize="{buffer}")
"""
# It tells the two framings apart by a message's first byte.
RSYSLOG_TCP = """
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="write")
"""

SYSLOG_NG = """
@version: 3.38
options {{ stats-freq(0); use-dns(no); dns-cache(no); log-msg-size(8192); log-fifo-size(1000000); }};
destination file {{ file("{output}" template("$MSG\\n") flush-lines(1000)); }};
"""
SYSLOG_NG_INPUT = """
log {{ source {{ {driver}(ip("127.0.0.1") port({port}) {options}
                          flags(no-parse) log-iw-size(20000) log-fetch-limit(1000)); }};
       destination(file); flags(flow-control); }};
"""
SYSLOG_NG_DRIVERS: Mapping[Wire, tuple[str, str]] = {
    "udp": ("network", 'transport("udp") so-rcvbuf({buffer})'),
    "octets": ("syslog", 'transport("tcp")'),
    "newline": ("network", 'transport("tcp")'),
}


def rsyslog(root: Path, folder: Path, wire: Wire, ports: Sequence[int], buffer: int) -> list[str]:
    """Writes the configuration; the command that runs rsyslog with it, in the foreground."""
    config, one = folder / "rsyslog.conf", RSYSLOG_UDP if wire == "udp" else RSYSLOG_TCP
    head = RSYSLOG.format(folder=folder, output=folder / "received.log")
    config.write_text(head + "".join(one.format(port=port, buffer=buffer) for port in ports))
    (modules,) = (root / "usr/lib").glob("*/rsyslog/imudp.so")
    return f"{root}/usr/sbin/rsyslogd -n -C -f {config} -i {folder}/pid -M {modules.parent}".split()


def syslog_ng(root: Path, folder: Path, wire: Wire, ports: Sequence[int], buffer: int) -> list[str]:
    config = folder / "syslog-ng.conf"
    driver, options = SYSLOG_NG_DRIVERS[wire]
    one = functools.partial(
        SYSLOG_NG_INPUT.format, driver=driver, options=options.format(buffer=max(buffer, 1))
    )
    head = SYSLOG_NG.format(output=folder / "received.log").lstrip()
    config.write_text(head + "".join(one(port=port) for port in ports))
    (modules,) = (root / "usr/lib/syslog-ng").glob("*/libafsocket.so")
    daemon = f"{root}/usr/sbin/syslog-ng -F --no-caps --module-path {modules.parent} -f {config}"
    return f"{daemon} -R {folder}/persist -c {folder}/control -p {folder}/pid".split()


COMMANDS = {"rsyslog": rsyslog, "syslog-ng": syslog_ng}


@functools.cache
def fetched(name: Name) -> tuple[Path | None, str]:
    """The folder that the receiver's package is unpacked in, or None and why there is none."""
    try:
        done = subprocess.run(
            [FETCH, name], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_S
        )
    except subprocess.TimeoutExpired:
        return None, f"deploy/receivers.sh {name} had not ended after {FETCH_S:g} s"
    if done.returncode:
        return None, f"deploy/receivers.sh {name}: {done.stderr.strip()[-400:]}"
    return Path(done.stdout.strip()), ""


@dataclass
class Receiver:
    """A running daemon."""

    name: Name
    wire: Wire
    process: subprocess.Popen[bytes]
    folder: Path
    ports: list[int]

    @classmethod
    def start(cls, name: Name, folder: Path, wire: Wire, ports: Sequence[int], buffer: int) -> Self:
        root, reason = fetched(name)
        if root is None:
            pytest.skip(reason)
        folder.mkdir()
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                COMMANDS[name](root, folder, wire, ports, buffer),
                env=environment(root),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )
        return cls(name, wire, process, folder, list(ports))

    @property
    def output(self) -> Path:
        return self.folder / "received.log"

    def said(self) -> str:
        return (self.folder / "said").read_text("utf-8", "replace")[-2000:]

    def wait_until_it_listens(self) -> bool:
        """On all of its ports; False where it cannot, since it has ended or somebody else has one of them."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            table = sockets(self.wire)
            if set(self.ports) <= {table[inode].port for inode in self.inodes().values() if inode in table}:
                return True
            if any(s.port in self.ports and i not in self.inodes().values() for i, s in table.items()):
                return False
            time.sleep(0.02)
        return False

    def inodes(self) -> dict[int, int]:
        """Its sockets: descriptor -> inode."""
        found = {}
        for fd in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                name = os.readlink(f"/proc/{self.process.pid}/fd/{fd}")
                if name.startswith("socket:["):
                    found[int(fd)] = int(name[8:-1])
        return found

    def enlarge_buffers(self, buffer: int) -> None:
        """Past the system's bound, where this process may do that (CAP_NET_ADMIN), for a daemon that does not
        ask for it. Where it may not, datagrams are dropped sooner, and counted."""
        table, pidfd = sockets(self.wire), os.pidfd_open(self.process.pid)
        syscall = ctypes.CDLL(None, use_errno=True).syscall
        try:
            for fd in [fd for fd, inode in self.inodes().items() if inode in table]:
                if (copy := syscall(PIDFD_GETFD, pidfd, fd, 0)) >= 0:
                    with socket.socket(fileno=copy) as shared, contextlib.suppress(PermissionError):
                        shared.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
        finally:
            os.close(pidfd)

    def dropped(self) -> int:
        """Datagrams that the kernel dropped in front of the sockets; 0 for TCP."""
        if self.wire != "udp":
            return 0
        return sum(s.drops for s in sockets("udp").values() if s.port in self.ports)

    def wait_for(self, sent: int) -> int:
        """Until every message sent is a line of the output or was dropped by the kernel; returns how many
        were dropped. Patient for as long as lines come."""
        deadline, lines = time.monotonic() + PATIENCE_S, 0
        while not self.output.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with self.output.open("rb") as file:
            while True:
                while chunk := file.read(1 << 20):
                    lines += chunk.count(b"\n")
                    deadline = time.monotonic() + PATIENCE_S
                dropped = self.dropped()
                if lines + dropped == sent:
                    return dropped
                account = f"{self.name}: {sent} sent, {lines} written, {dropped} dropped; {self.said()}"
                assert lines + dropped < sent, account
                assert self.process.poll() is None, account
                assert time.monotonic() < deadline, account
                time.sleep(0.02)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """It takes nothing meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """By TERM, which makes it write what it holds; insists after a while."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Socket:
    port: int
    drops: int


def sockets(wire: Wire) -> dict[int, Socket]:
    """This machine's UDP sockets, or listening TCP sockets: inode -> what the kernel tells of it."""
    lines = Path("/proc/net/udp" if wire == "udp" else "/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    listening = "07" if wire == "udp" else "0A"
    return {
        int(row[9]): Socket(int(row[1].split(":")[1], 16), int(row[12]) if wire == "udp" else 0)
        for row in rows
        if row[3] == listening
    }


@contextlib.contextmanager
def receiver(
    name: Name, folder: Path, wire: Wire, *, ports: int = 4, buffer: int = BIG_BUFFER
) -> Iterator[Receiver]:
    """A daemon that listens on so many ports. Skips the test where its package cannot be had."""
    for number in range(TRIES):
        running = Receiver.start(name, folder / f"{name}-{number}", wire, free_ports(ports), buffer)
        try:
            if not running.wait_until_it_listens():
                continue
            if wire == "udp" and buffer == BIG_BUFFER:
                running.enlarge_buffers(buffer)
            yield running
            return
        finally:
            running.end()
    raise AssertionError(f"{name} would not listen, {TRIES} times: {running.said()}")

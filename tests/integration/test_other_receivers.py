"""A storm's lines as rsyslog and syslog-ng write them: all of them, byte for byte, each session's in order.

What was sent is known twice: by the storm's totals, and from the file that a storm with the same settings
writes.
"""

from __future__ import annotations

import filecmp
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from haechi.bench.loggen import LoggenError, measure
from haechi.native.tools import Process, read_summary
from haechi.storm import profile
from tests.integration.receivers import Name, Receiver, Wire, fetched, receiver
from tests.integration.sink_room import free_ports

EVENTS = 1_000_000
UDP_EPS = 100_000  # what both carry beside another test on two cores
TCP_EPS = 1_000_000  # more than either takes: the receiver holds the storm back
STORM_S = 120.0

# Where in a line, cut at its blanks, the session stands: host, process and, where it has one, pid.
SESSION = {"iso": slice(1, 3), "rfc3164": slice(3, 5), "rfc5424": slice(2, 5)}

Sessions = dict[tuple[bytes, ...], list[bytes]]


@dataclass(frozen=True)
class Sending:
    """What is sent: settings of haechi-storm that the lines depend on."""

    folder: Path
    form: str
    eps: int
    count: int
    ports: int
    seed: int = 20260305

    def settings(self) -> dict[str, Any]:
        rendered = self.folder / "system.json"
        if not rendered.exists():
            rendered.write_text(profile.render(profile.load("system")))
        return {
            "profile": str(rendered),
            "form": self.form,
            "seed": str(self.seed),
            "start": "2026-03-05T10:15:30Z",
            "eps": str(self.eps),
            "count": str(self.count),
            "workers": 1,  # as a file always has
            "anomaly_rate": 0.01,
        }

    def to(self, daemon: Receiver) -> dict[str, Any]:
        """The storm's totals, once it has sent everything."""
        way = {"transport": "udp"} if daemon.wire == "udp" else {"transport": "tcp", "framing": daemon.wire}
        return self._run(target=["127.0.0.1"], ports=",".join(map(str, daemon.ports)), **way)

    def written(self) -> Path:
        """The same lines as a storm writes them to a file."""
        path = self.folder / "sent.log"
        totals = self._run(output=str(path), ports=f"6000-{6000 + self.ports - 1}")
        assert totals["events"] == self.count
        return path

    def _run(self, **more: Any) -> dict[str, Any]:
        with Process.start("haechi-storm", {**self.settings(), **more, "summary": "-"}) as storm:
            return read_summary(storm.finish(STORM_S))


def read_lines(path: Path, form: str) -> Iterator[tuple[tuple[bytes, ...], bytes]]:
    """Each line, with its session before it."""
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"", f"{path} ends within a line"
    part = SESSION[form]
    for line in lines:
        yield tuple(line.split(b" ", part.stop)[part]), line


def fold_sessions(path: Path, form: str) -> dict[tuple[bytes, ...], int]:
    """A number for each session, of its lines and their order: a million lines are compared in a second."""
    folded: dict[tuple[bytes, ...], int] = {}
    for session, line in read_lines(path, form):
        folded[session] = hash((folded.get(session), line))
    return folded


def read_sessions(path: Path, form: str) -> Sessions:
    sessions: Sessions = defaultdict(list)
    for session, line in read_lines(path, form):
        sessions[session].append(line)
    return sessions


def assert_same(sent: Sessions, received: Sessions) -> None:
    """Every session has its lines, and in their order."""
    for name in sent.keys() | received.keys():
        ours, theirs = sent.get(name, []), received.get(name, [])
        if ours != theirs:
            places = zip([*ours, None], [*theirs, None], strict=False)
            number, (one, other) = next((i, pair) for i, pair in enumerate(places) if pair[0] != pair[1])
            raise AssertionError(f"line {number} of session {name}: sent {one!r}, received {other!r}")


def assert_part(sent: Sessions, received: Sessions) -> None:
    """Sessions lack lines, and have none but their own, in their order."""
    for name, theirs in received.items():
        rest = iter(sent.get(name, []))
        strange = next((line for line in theirs if line not in rest), None)
        assert strange is None, f"session {name}: {strange!r} was not sent, or not there"


def check(sending: Sending, daemon: Receiver, totals: dict[str, Any]) -> int:
    """The account of what was sent, with the file that the daemon wrote; how many the kernel dropped."""
    assert (totals["events"], totals["errors"], totals["reconnects"]) == (sending.count, 0, 0)
    dropped = daemon.wait_for(sending.count)
    daemon.end()
    sent, received, form = sending.written(), daemon.output, sending.form
    bytes_missing = totals["bytes"] + sending.count - dropped - received.stat().st_size
    if dropped:
        assert bytes_missing > 0
        assert_part(read_sessions(sent, form), read_sessions(received, form))
    else:
        assert bytes_missing == 0
        # Over one stream the whole order is kept.
        same = daemon.wire != "udp" and sending.ports == 1 and filecmp.cmp(sent, received, shallow=False)
        if not same and fold_sessions(sent, form) != fold_sessions(received, form):
            assert_same(read_sessions(sent, form), read_sessions(received, form))
    for path in (sent, received):  # hundreds of megabytes, of use only where something is wrong
        path.unlink()
    return dropped


@pytest.mark.parametrize("name", ["rsyslog", "syslog-ng"])
def test_a_million_datagrams(name: Name, tmp_path: Path) -> None:
    sending = Sending(tmp_path, "iso", UDP_EPS, EVENTS, ports=4)
    with receiver(name, tmp_path, "udp") as daemon:
        totals = sending.to(daemon)
        check(sending, daemon, totals)
    assert sum(port["events"] for port in totals["ports"]) == EVENTS
    assert {port["port"] for port in totals["ports"]} == set(daemon.ports)
    assert not totals["gso"] or totals["sends"] < EVENTS


LINES = [f"<13>TIME h{i % 3} p[{i % 2}]: {i}".encode() for i in range(60)]


@pytest.mark.parametrize(
    ("received", "all_there", "part_there"),
    [
        (LINES, True, True),
        (sorted(LINES, key=lambda line: line.split()[1]), True, True),  # sessions apart, each in order
        (LINES[:-1], False, True),
        (LINES[:7] + LINES[8:], False, True),
        ([*LINES, LINES[-1]], False, False),
        ([LINES[6], *LINES[1:6], LINES[0], *LINES[7:]], False, False),  # two of one session change places
        ([LINES[0] + b"x", *LINES[1:]], False, False),
        ([LINES[0].replace(b"h0", b"h9"), *LINES[1:]], False, False),
    ],
)
def test_the_comparison_sees(
    received: list[bytes], all_there: bool, part_there: bool, tmp_path: Path
) -> None:
    paths = tmp_path / "sent", tmp_path / "received"
    for path, lines in zip(paths, (LINES, received), strict=True):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    ours, theirs = (read_sessions(path, "iso") for path in paths)
    assert (fold_sessions(paths[0], "iso") == fold_sessions(paths[1], "iso")) == all_there
    assert holds(assert_same, ours, theirs) == all_there
    assert holds(assert_part, ours, theirs) == part_there


def holds(check: Callable[[Sessions, Sessions], None], sent: Sessions, received: Sessions) -> bool:
    try:
        check(sent, received)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "wire", "form", "count", "ports"),
    [
        ("rsyslog", "octets", "rfc5424", EVENTS, 1),
        ("syslog-ng", "octets", "rfc5424", EVENTS, 1),
        ("rsyslog", "newline", "rfc3164", EVENTS // 5, 2),
        ("syslog-ng", "newline", "rfc3164", EVENTS // 5, 2),
    ],
)
def test_a_stream_loses_nothing(
    name: Name, wire: Wire, form: str, count: int, ports: int, tmp_path: Path
) -> None:
    sending = Sending(tmp_path, form, TCP_EPS, count, ports)
    with receiver(name, tmp_path, wire, ports=ports) as daemon:
        assert check(sending, daemon, sending.to(daemon)) == 0


@pytest.mark.parametrize("name", ["rsyslog", "syslog-ng"])
def test_what_a_receiver_misses_the_kernel_has_dropped(name: Name, tmp_path: Path) -> None:
    sending = Sending(tmp_path, "iso", 200_000, 40_000, ports=1)
    with receiver(name, tmp_path, "udp", ports=1, buffer=64 << 10) as daemon:
        with daemon.stopped():
            totals = sending.to(daemon)
        dropped = check(sending, daemon, totals)
    assert 30_000 < dropped < 40_000


def test_loggen_as_the_benchmark_runs_it() -> None:
    root, reason = fetched("syslog-ng")
    if root is None:
        pytest.skip(reason)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        run = measure(receiving.getsockname()[1], 1, 150)
        assert run is not None and run.sent > 1000 and 0.5 < run.seconds < 5
        assert len(receiving.recv(1000)) == 150
    with pytest.raises(LoggenError, match="error sending"):
        measure(free_ports(1)[0], 1, 150)

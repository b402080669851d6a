"""What the storm's tests share: the tool as a process, and what its lines say."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.native.tools import Process
from haechi.storm import profile as profiles
from tests.integration.sink_room import PATIENCE_S, RunningSink, sink

START = "2025-08-30T10:15:30Z"
TRIES = 8  # of what a machine with other work to do may spoil

_HEAD = re.compile(rb"<\d+>(\S+) (\S+) ([^\s:\[]+)(?:\[(\d+)\])?: ")


@functools.cache
def system_profile() -> str:
    return profiles.render(profiles.load("system"))


@dataclass(frozen=True)
class RunningStorm:
    process: Process
    folder: Path

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        with self.process.control() as control:
            return control.ask(command, **arguments)

    def totals(self) -> dict[str, Any]:
        totals = self.ask("stats")["stats"]
        assert isinstance(totals, dict)
        return totals

    def wait_for(self, events: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with self.process.stats() as page:
            while page.value("events") < events:
                assert self.process.running, self.process.stderr_text()
                assert time.monotonic() < deadline, page.snapshot()
                time.sleep(0.005)

    def finish(self, status: int = 0) -> dict[str, Any]:
        """Waits for its own end; the totals it left."""
        assert self.process.wait(timeout_s=60) == status, self.process.stderr_text()
        totals = json.loads((self.folder / "storm.json").read_text())
        assert isinstance(totals, dict)
        return totals


@contextlib.contextmanager
def storm(folder: Path, to: Sequence[int] = (), /, **settings: Any) -> Iterator[RunningStorm]:
    """With ports to send to they are loopback's, unless the settings have a target of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = folder / "profile.json"
    if not profile.exists():
        profile.write_text(system_profile())
    network = {"target": "127.0.0.1", "ports": ",".join(map(str, to))} if to else {}
    config = {
        "profile": str(profile),
        "start": START,
        "control_socket": str(folder / "storm-control"),
        "stats_page": str(folder / "storm-stats"),
        "summary": str(folder / "storm.json"),
        **network,
        **settings,
    }
    with Process.start("haechi-storm", config) as process:
        yield RunningStorm(process, folder)


def storm_to_sink(
    folder: Path, ports: Sequence[int], sink_settings: dict[str, Any], **settings: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A whole storm to a sink, with their account; the totals of both."""
    with sink(folder, ports, **sink_settings) as running:
        with storm(folder, ports, account=True, **settings) as started:
            sent = started.finish()
        taken = running.finish()
    return sent, taken


def wait_for_end(running: RunningSink, streams: int) -> dict[str, Any]:
    return running.wait_for("streams_ended", streams)


def lines_of(path: Path) -> list[bytes]:
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b"", "the last line is cut"
    return lines


def by_session(lines: Iterable[bytes]) -> dict[tuple[bytes, ...], list[bytes]]:
    """The lines of each host, process and process id, in their order."""
    sessions: dict[tuple[bytes, ...], list[bytes]] = defaultdict(list)
    for line in lines:
        head = _HEAD.match(line)
        assert head, line
        sessions[head.group(2, 3, 4)].append(line)
    return sessions


def by_host(lines: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """The lines of each host in their order; a host has one port."""
    hosts: dict[bytes, list[bytes]] = defaultdict(list)
    for line in lines:
        head = _HEAD.match(line)
        assert head, line
        hosts[head.group(2)].append(line)
    return hosts


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False

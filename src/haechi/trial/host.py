"""What the machine and a process on it take, and ports that nobody has."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from haechi.config.values import show_ports

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_000  # below the range that the kernel takes ports of its own from
_TRIES = 200
_IDLE_FIELDS = (3, 4)  # idle and iowait, in /proc/stat


def processor_seconds() -> tuple[float, float]:
    """Busy seconds, and seconds in all, of the processors that this process may use, since the machine
    started."""
    allowed = os.sched_getaffinity(0)
    busy = total = 0
    for line in _text("/proc/stat").splitlines():
        name, *fields = line.split()
        if re.fullmatch(r"cpu\d+", name) and int(name[3:]) in allowed:
            ticks = [int(field) for field in fields[:8]]  # what guests take is in user already
            total += sum(ticks)
            busy += sum(ticks) - sum(ticks[i] for i in _IDLE_FIELDS)
    return busy / _TICKS, total / _TICKS


def memory_used_bytes() -> int:
    found = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB", _text("/proc/meminfo"), re.MULTILINE))
    return (int(found.get("MemTotal", 0)) - int(found.get("MemAvailable", 0))) * 1024


def process_seconds(pid: int) -> float | None:
    """Processor time of a process; None where it is gone."""
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()  # its name may hold blanks
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else None


def process_memory_bytes(pid: int) -> int | None:
    """Resident memory; None where it is gone."""
    fields = _text(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else None


def free_ports(count: int, transport: str) -> str:
    """So many ports of loopback in a row that were free a moment ago, as `ports` is written. OSError where
    none are found."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    for _ in range(_TRIES):
        first = random.randrange(_LOWEST_PORT, _HIGHEST_PORT - count)
        if _all_free(range(first, first + count), kind):
            return show_ports(range(first, first + count))
    raise OSError(f"no {count} free ports in a row between {_LOWEST_PORT} and {_HIGHEST_PORT}")


def _all_free(ports: Iterable[int], kind: socket.SocketKind) -> bool:
    with ExitStack() as opened:
        for port in ports:
            bound = opened.enter_context(socket.socket(socket.AF_INET, kind))
            try:
                bound.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """A process begun within it does not get the terminal's Ctrl-C, which is for the trial alone: it ends its
    storm first, and its target when the account is closed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

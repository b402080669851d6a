"""What the machine and a process on it take, and ports that nobody has."""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack
from pathlib import Path

from haechi.config.values import show_ports

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
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
    """So many ports of loopback that were free a moment ago, as `ports` is written."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return show_ports(sorted(each.getsockname()[1] for each in sockets))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

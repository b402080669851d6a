"""The machine that a bench runs on: ports nobody has, a processor for each end, facts to go with figures."""

from __future__ import annotations

import os
import platform
import random
import re
import socket
from contextlib import ExitStack
from pathlib import Path

from haechi.config.values import show_ports

LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000  # below the range that the kernel takes ports of its own from
TRIES = 200
SYSCTLS = (
    "net.core.rmem_max",
    "net.core.rmem_default",
    "net.core.wmem_max",
    "net.core.netdev_max_backlog",
    "net.ipv4.udp_mem",
)


class MachineError(Exception):
    """The machine is no place to measure this; says why."""


def free_ports(count: int, chance: random.Random | None = None) -> str:
    """So many ports in a row that nobody listens on, over UDP, as `ports` is written."""
    chance = chance or random.Random()
    for _ in range(TRIES):
        first = chance.randrange(LOWEST_PORT, HIGHEST_PORT - count)
        if all_free(first, count):
            return show_ports(range(first, first + count))
    raise MachineError(
        f"no {count} free UDP ports in a row between {LOWEST_PORT} and {HIGHEST_PORT} in {TRIES} tries"
    )


def ports_from(first: int, count: int) -> str:
    """The first so many ports in a row, from `first` up, that nobody listens on."""
    for start in range(first, HIGHEST_PORT - count, count):
        if all_free(start, count):
            return show_ports(range(start, start + count))
    raise MachineError(f"no {count} free UDP ports in a row between {first} and {HIGHEST_PORT}")


def all_free(first: int, count: int) -> bool:
    with ExitStack() as opened:
        for port in range(first, first + count):
            bound = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                bound.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def both_ends() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A processor for the storm and one for whoever receives; nothing where there are not two to give."""
    given = sorted(os.sched_getaffinity(0))
    return ((given[0],), (given[1],)) if len(given) > 1 else ((), ())


def facts() -> dict[str, str | int | float]:
    """What a figure depends on: processor, kernel, memory, settings."""
    return {
        "processor": _field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        **{name: value for name in SYSCTLS if (value := _sysctl(name))},
    }


def pressure() -> dict[str, float]:
    """How busy the machine is, with whatever it does: load, and the share of the last ten seconds in which
    some task waited for a processor or for memory (PSI, where the kernel has it)."""
    values = {"load_1m": round(os.getloadavg()[0], 2)}
    for name in ("cpu", "memory"):
        found = re.search(r"some avg10=([\d.]+)", _text(f"/proc/pressure/{name}"))
        if found:
            values[f"{name}_pressure_ratio"] = round(float(found[1]) / 100, 4)
    return values


def _sysctl(name: str) -> str:
    return " ".join(_text("/proc/sys/" + name.replace(".", "/")).split())


def _field(path: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", _text(path), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""What is looked at, and what is advised: pure functions over a snapshot of the machine's values.

What the figures mean: the kernel's Documentation/admin-guide/sysctl/net.rst and networking/ip-sysctl.rst.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path("/")

SYSCTLS = (
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "net.core.netdev_max_backlog",
    "net.core.netdev_budget",
    "net.ipv4.udp_mem",
    "net.ipv4.udp_rmem_min",
    "net.ipv4.ip_local_port_range",
)
GOVERNOR = "cpu.governor"

_MIB = 1 << 20
# Where advice begins; a kernel's own settings suffice for that.
_LEAST_BUFFER = 1 << 17
_HIGH_EPS, _VERY_HIGH_EPS = 500_000, 2_000_000
# How long a receiver may be away, scheduled out or busy, without a loss.
_PAUSE_S = 0.1
# What the kernel charges a socket for a datagram of a log line's length, its own bookkeeping included.
_CHARGED_BYTES = 1024
_CLIENTS = 1024  # connections of a listener (haechi/net.h)


@dataclass(frozen=True, slots=True)
class Machine:
    """A snapshot. A value that the machine does not show is missing from its mapping, or None."""

    values: Mapping[str, str]  # sysctls by name
    governors: Mapping[str, str]  # by CPU: "cpu0"
    governors_offered: frozenset[str]  # by every CPU
    cpus: int
    memory_bytes: int | None
    page_bytes: int
    open_files: int | None  # the soft limit of this process
    udp_gso: bool | None
    udp_gro: bool | None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it is and as it should be; `enough` is None where that cannot be said."""

    name: str
    current: str | None
    advised: str | None
    enough: bool | None
    why: str
    holds_back: bool  # storm or sink themselves, not other people's receivers


@dataclass(frozen=True, slots=True)
class Change:
    """One value to set; `name` is a sysctl's, or a CPU's with .governor."""

    name: str
    before: str
    after: str


# --- the snapshot


def value_path(root: Path, name: str) -> Path:
    """Where a Change's value lies below root."""
    cpu = re.fullmatch(r"(cpu\d+)\.governor", name)
    if cpu:
        return root / "sys/devices/system/cpu" / cpu[1] / "cpufreq/scaling_governor"
    if name not in SYSCTLS:
        raise ValueError(f"{name!r} is no setting of haechi tune's")
    return root.joinpath("proc/sys", *name.split("."))


def read_value(path: Path) -> str | None:
    """What a file of /proc or /sys says, its blanks made single; None where it cannot be read."""
    try:
        return " ".join(path.read_text(errors="replace").split())
    except OSError:
        return None


def read_machine(root: Path = ROOT, page_bytes: int | None = None) -> Machine:
    """The values below root (a made tree in tests). Changes nothing."""
    sysctls = {name: read_value(value_path(root, name)) for name in SYSCTLS}
    cpus = [path.name for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")]
    governors = {cpu: read_value(value_path(root, f"{cpu}.governor")) for cpu in cpus}
    found = {cpu: governor for cpu, governor in governors.items() if governor}
    gso, gro = _offloads(root)
    return Machine(
        values={name: value for name, value in sysctls.items() if value},
        governors=dict(sorted(found.items(), key=lambda item: int(item[0][3:]))),
        governors_offered=_governors_offered(root, found),
        cpus=max(1, len(cpus)),
        memory_bytes=_number(read_value(root / "proc/meminfo"), r"MemTotal: (\d+) kB", 1024),
        page_bytes=page_bytes or os.sysconf("SC_PAGE_SIZE"),
        open_files=_open_files(read_value(root / "proc/self/limits")),
        udp_gso=gso,
        udp_gro=gro,
    )


def _number(text: str | None, pattern: str, unit: int = 1) -> int | None:
    match = re.search(pattern, text or "")
    return int(match[1]) * unit if match else None


def _open_files(limits: str | None) -> int | None:
    if re.search(r"Max open files unlimited", limits or ""):
        return 1 << 30
    return _number(limits, r"Max open files (\d+)")


def _governors_offered(root: Path, cpus: Iterable[str]) -> frozenset[str]:
    folder = root / "sys/devices/system/cpu"
    offered = [
        frozenset((read_value(folder / cpu / "cpufreq/scaling_available_governors") or "").split())
        for cpu in cpus
    ]
    return frozenset.intersection(*offered) if offered else frozenset()


def _offloads(root: Path) -> tuple[bool | None, bool | None]:
    """Whether UDP can be sent and taken in bundles: this kernel is asked, a made tree's goes by its release
    (UDP_SEGMENT came with 4.18, UDP_GRO with 5.0)."""
    if root == ROOT:
        return _takes_option(103), _takes_option(104)
    release = re.match(r"(\d+)\.(\d+)", read_value(root / "proc/sys/kernel/osrelease") or "")
    if release is None:
        return None, None
    version = int(release[1]), int(release[2])
    return version >= (4, 18), version >= (5, 0)


def _takes_option(option: int) -> bool | None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.setsockopt(socket.IPPROTO_UDP, option, 1)
    except PermissionError:
        return None
    except OSError:
        return False
    return True


# --- the advice


def advise(machine: Machine, ports: int, eps: float) -> list[Setting]:
    """Every setting with what this machine should have for `eps` events a second to `ports` ports. Nothing is
    ever advised below what is there."""
    buffer = buffer_bytes(machine, ports, eps)
    backlog = min(256_000, _doubled(1000, eps * 0.004))
    budget = 1200 if eps > _VERY_HIGH_EPS else 600 if eps > _HIGH_EPS else 300
    high = eps > _HIGH_EPS
    values = machine.values
    return [
        _at_least(
            values,
            "net.core.rmem_max",
            buffer,
            "the most a receiving socket may ask for; so much holds a port's events for "
            f"{_PAUSE_S * 1000:.0f} ms while the receiver is busy, and what comes after that is lost",
            holds_back=True,
        ),
        _at_least(
            values,
            "net.core.wmem_max",
            4 * _MIB if high else _LEAST_BUFFER,
            "the most a sending socket may ask for; a sender sends up to 64 KiB at once and waits when "
            "the network card is behind by this much",
        ),
        _at_least(
            values,
            "net.core.rmem_default",
            min(buffer, _MIB),
            "what receivers get that do not ask for a buffer, as some log collectors do not",
        ),
        _at_least(
            values,
            "net.core.wmem_default",
            min(buffer, _MIB),
            "what senders get that do not ask for a buffer",
        ),
        _at_least(
            values,
            "net.core.netdev_max_backlog",
            backlog,
            "packets that wait for a CPU (loopback's, and those of cards whose work is shared among CPUs); "
            "above it they are dropped before any socket sees or counts them",
        ),
        _at_least(
            values,
            "net.core.netdev_budget",
            budget,
            "packets that the kernel takes from network cards at once; too few, and a card's ring runs over",
        ),
        _udp_mem(machine, ports, buffer),
        _at_least(
            values,
            "net.ipv4.udp_rmem_min",
            65_536 if high else 4096,
            "what every UDP socket may hold even where net.ipv4.udp_mem is used up",
        ),
        _port_range(machine, ports),
        _governor(machine),
        _open_files_setting(machine, ports),
        _offload(
            "udp.gso",
            machine.udp_gso,
            "the storm sends each datagram with a call of its own, ten times slower",
        ),
        _offload(
            "udp.gro",
            machine.udp_gro,
            "the sink takes each datagram with a call of its own, ten times slower",
        ),
    ]


def buffer_bytes(machine: Machine, ports: int, eps: float) -> int:
    """A receiving socket's buffer (SO_RCVBUF; the kernel allows twice as much for its bookkeeping): a power
    of two of bytes, such that all ports' buffers together are at most a quarter of the memory."""
    want = _doubled(_LEAST_BUFFER, eps / ports * _PAUSE_S * _CHARGED_BYTES / 2)
    if machine.memory_bytes is None:
        return min(want, 256 * _MIB)
    bound = max(65_536, machine.memory_bytes // (8 * ports))
    return min(want, 1 << (bound.bit_length() - 1))


def _doubled(value: int, least: float) -> int:
    while value < least:
        value *= 2
    return value


def _at_least(
    values: Mapping[str, str], name: str, least: int, why: str, *, holds_back: bool = False
) -> Setting:
    return _compare(name, values.get(name), [least], why, holds_back)


def _compare(name: str, text: str | None, least: Sequence[int], why: str, holds_back: bool) -> Setting:
    """Figures that should be at least so much, one or several of them."""
    current = _figures(text, len(least))
    if current is None:
        why += "; not to be seen here, as in a container: look on the host"
        return Setting(name, text, None, None, why, holds_back)
    advised = [max(pair) for pair in zip(current, least, strict=True)]
    return Setting(
        name,
        " ".join(map(str, current)),
        " ".join(map(str, advised)),
        advised == current,
        why,
        holds_back,
    )


def _figures(text: str | None, count: int) -> list[int] | None:
    words = (text or "").split()
    if len(words) != count or not all(re.fullmatch(r"\d{1,18}", word) for word in words):
        return None
    return [int(word) for word in words]


def _udp_mem(machine: Machine, ports: int, buffer: int) -> Setting:
    pages = -(-2 * buffer * ports // machine.page_bytes)
    why = (
        "pages that all UDP sockets together may hold; above the first figure the kernel holds them back, "
        f"and {ports} full buffers have to fit below it"
    )
    least = [pages, pages * 5 // 4, pages * 3 // 2]
    return _compare("net.ipv4.udp_mem", machine.values.get("net.ipv4.udp_mem"), least, why, True)


def _port_range(machine: Machine, ports: int) -> Setting:
    name = "net.ipv4.ip_local_port_range"
    needed = ports * machine.cpus + 4096
    why = f"what senders send from, a port for each worker and target port: {needed:,} with some to spare"
    current = _figures(machine.values.get(name), 2)
    if current is None:
        return _compare(name, machine.values.get(name), [0, 0], why, True)
    low, high = current
    enough = high - low + 1 >= needed
    if not enough:
        low, high = min(low, 32_768), max(high, 60_999)
        low = low if high - low + 1 >= needed else min(low, 10_240)
    return Setting(name, " ".join(map(str, current)), f"{low} {high}", enough, why, True)


def _governor(machine: Machine) -> Setting:
    current = ", ".join(sorted(set(machine.governors.values()))) or None
    if current is None:
        why = "this machine does not let the CPUs' clock be set; a virtual machine's host does that"
        return Setting(GOVERNOR, None, None, None, why, True)
    why = (
        "other governors lower the clock in every lull, and a paced sender is lulls a thousand times a second"
    )
    if (
        current != "performance"
        and machine.governors_offered
        and "performance" not in machine.governors_offered
    ):
        return Setting(GOVERNOR, current, None, None, why + "; this machine does not offer it", True)
    return Setting(GOVERNOR, current, "performance", current == "performance", why, True)


def _open_files_setting(machine: Machine, ports: int) -> Setting:
    needed = max(4096, ports * machine.cpus + _CLIENTS + 64)
    why = "a file for every socket and connection; `ulimit -n` in a shell, LimitNOFILE= in a service"
    if machine.open_files is None:
        return Setting("open_files", None, str(needed), None, why, True)
    advised = max(needed, machine.open_files)
    return Setting(
        "open_files", str(machine.open_files), str(advised), machine.open_files >= needed, why, True
    )


def _offload(name: str, there: bool | None, without: str) -> Setting:
    current = None if there is None else "yes" if there else "no"
    return Setting(name, current, "yes", there, f"without it (Linux 5.0 or later has it) {without}", True)


# --- what follows from the advice


def enough(settings: Iterable[Setting]) -> bool:
    return all(setting.enough is not False for setting in settings)


def plan_changes(machine: Machine, settings: Iterable[Setting]) -> list[Change]:
    """What has to be set, and can be while the machine runs."""
    changes = []
    for setting in settings:
        if setting.enough is not False or setting.advised is None or setting.current is None:
            continue
        if setting.name in SYSCTLS:
            changes.append(Change(setting.name, setting.current, setting.advised))
        elif setting.name == GOVERNOR:
            changes += [
                Change(f"{cpu}.governor", governor, setting.advised)
                for cpu, governor in machine.governors.items()
                if governor != setting.advised
            ]
    return changes


SYSCTL_FILE_HEAD = "# Made by haechi tune"


def render_sysctl_file(settings: Iterable[Setting], ports: int, eps: float) -> str:
    """A file for /etc/sysctl.d: the advice for every sysctl that this machine shows, with its reason."""
    lines = [f"{SYSCTL_FILE_HEAD}, for {ports} ports and {eps:,.0f} events a second."]
    for setting in settings:
        if setting.name not in SYSCTLS:
            continue
        lines += ["", f"# {setting.why[0].upper()}{setting.why[1:]}."]
        if setting.advised is None:
            lines.append(f"# {setting.name}: no advice")
        else:
            lines += [f"# It was {setting.current}.", f"{setting.name} = {setting.advised}"]
    return "\n".join(lines) + "\n"


def as_json(settings: Sequence[Setting], machine: Machine, ports: int, eps: float) -> dict[str, Any]:
    return {
        "ports": ports,
        "eps": eps,
        "memory_bytes": machine.memory_bytes,
        "cpus": machine.cpus,
        "enough": enough(settings),
        "settings": [asdict(setting) for setting in settings],
    }


def warnings(ports: int, eps: float, root: Path = ROOT) -> list[str]:
    """A sentence for each setting that will hold a storm or a sink back at this rate; where nothing can be
    seen, nothing is said."""
    settings = advise(read_machine(root), max(1, ports), eps)
    return [
        f"{setting.name} is {setting.current}, {setting.advised} is advised: {setting.why} "
        "(`haechi tune` shows what to do)"
        for setting in settings
        if setting.holds_back and setting.enough is False
    ]

"""What a storm refuses to do unless it is told twice: send to the wide world, to ports of other services, to
very many ports, or faster than the limit. The tool checks the same again."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence

from haechi.config.storm import StormConfig
from haechi.config.values import read_ports

PORT_MIN, PORTS_MAX = 514, 100

# Loopback, RFC 1918, RFC 4193 and link-local. What Python calls private is more than that.
_NEAR = [
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "169.254.0.0/16",
        "fe80::/10",
    )
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TargetError(ValueError):
    """A storm that is not begun; each line says what would allow it."""


def look_up(target: str) -> list[str]:
    """Every address of a name; an address is its own. TargetError where there is none."""
    try:
        found = socket.getaddrinfo(target, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TargetError(f"target {target}: cannot be looked up: {reason}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def check(config: StormConfig, look_up: Callable[[str], Sequence[str]] = look_up) -> None:
    """TargetError with a sentence for everything that keeps this storm from being begun."""
    complaints = [*_of_rate(config), *(_of_ports(config) if config.target else ())]
    for target in config.target:
        complaints += _of_target(target, look_up, config.allow_target)
    if complaints:
        raise TargetError("\n".join(complaints))


def check_rate(config: StormConfig) -> None:
    """TargetError where the rate is above the limit."""
    for sentence in _of_rate(config):
        raise TargetError(sentence)


def _of_target(target: str, look_up: Callable[[str], Sequence[str]], allowed: Sequence[str]) -> Iterator[str]:
    if target in allowed:
        return
    far = []
    for text in look_up(target):
        address = _address(text)
        if address is None or not any(address in network for network in _NEAR):
            far.append(text)
    if far:
        what = target if far == [target] else f"{target} ({', '.join(far)})"
        yield (
            f"target {what} is outside loopback, private ranges and link-local; "
            f"--allow-target {target} (allow_target) allows exactly this one"
        )


def _address(text: str) -> Address | None:
    """Without its zone; an IPv4 address in IPv6 clothes is the IPv4 address that it reaches."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _of_ports(config: StormConfig) -> Iterator[str]:
    ports = read_ports(config.ports)
    if config.allow_ports:
        return
    low = [port for port in ports if port < PORT_MIN]
    if low:
        others = f" and {len(low) - 1} more" if len(low) > 1 else ""
        yield (
            f"ports: {low[0]}{others} below {PORT_MIN}, where other services live; ports from {PORT_MIN} on "
            "are free to use, as in --ports 5514-5553; --allow-ports (allow_ports) allows lower ones"
        )
    if len(ports) > PORTS_MAX:
        yield (
            f"ports: {len(ports)} are more than the {PORTS_MAX} that one storm sends to; "
            "--allow-ports (allow_ports) allows them"
        )


def _of_rate(config: StormConfig) -> Iterator[str]:
    if config.eps != "max" and config.eps > config.max_eps:
        yield (
            f"eps: {config.eps:,.0f} events/s is above the limit of {config.max_eps:,.0f}; "
            f"--max-eps {config.eps:.0f} (max_eps) raises it"
        )

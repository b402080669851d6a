"""Values as people write them in YAML and on the command line: 4M, max, 30s, 514-553."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

_SUFFIXES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def read_quantity(value: Any) -> float:
    """500, "20k", "1.5M" or "2G" as a number above 0; ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", str(value))
    if match is None or float(match[1]) == 0:
        raise ValueError(f"{value!r} is not a number above 0, such as 500, 20k or 2M")
    return float(match[1]) * _SUFFIXES[match[2]]


def read_count(value: Any) -> int:
    """The same where only whole numbers make sense."""
    number = read_quantity(value)
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


def read_rate(value: Any) -> float | Literal["max"]:
    """A quantity of events a second, or "max": as fast as it goes."""
    if value == "max":
        return "max"
    try:
        return read_quantity(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a number of events a second above 0, such as 500, 750k or 4M, and not max"
        ) from None


def read_seconds(value: Any) -> float:
    """30, "30s", "10m", "1h30m" as seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    text = str(value)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|[smhd]))+", text):
        raise ValueError(f"{value!r} is not a time such as 30, 30s, 10m, 24h or 1h30m")
    return sum(float(n) * _SECONDS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|[smhd])", text))


def read_ports(text: str) -> tuple[int, ...]:
    """The ports of "514", "514-553" or "514,601,6000-6003", in the order in which they are written."""
    ports: list[int] = []
    for part in str(text).split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a port, a range or a list of them, such as 514-553 or 514,601")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= 65_535:
            raise ValueError(f"{part.strip()!r} is not a range of ports from 1 to 65535, the lower one first")
        ports += range(first, last + 1)
    if len(set(ports)) != len(ports):
        twice = next(port for port in ports if ports.count(port) > 1)
        raise ValueError(f"{text!r} names port {twice} twice")
    return tuple(ports)


def show_ports(ports: Sequence[int]) -> str:
    """The shortest text that `read_ports` makes the same ports of."""
    parts: list[list[int]] = []
    for port in ports:
        if parts and parts[-1][-1] == port - 1:
            parts[-1][1:] = [port]
        else:
            parts.append([port])
    return ",".join("-".join(str(port) for port in part) for part in parts)


def _ports_text(value: Any) -> str:
    return show_ports(read_ports(value))


def _several(value: Any) -> Any:
    """One text, or texts with commas between them, where a list may stand."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _processors(value: Any) -> Any:
    return value if value == "auto" else _several(value)


Quantity = Annotated[float, BeforeValidator(read_quantity)]
Count = Annotated[int, BeforeValidator(read_count)]
Rate = Annotated[float | Literal["max"], BeforeValidator(read_rate)]
Seconds = Annotated[float, BeforeValidator(read_seconds)]
Ports = Annotated[str, BeforeValidator(_ports_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
Processors = Annotated[tuple[int, ...] | Literal["auto"], BeforeValidator(_processors)]

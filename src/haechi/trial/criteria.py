"""What a trial has to meet: `loss_ratio < 0.3 %`, `latency_p99 < 5ms`, `recovers_within: 30s`.

    criterion := NAME OPERATOR NUMBER UNIT? | "recovers_within" ":" NUMBER UNIT?
    OPERATOR  := < | <= | > | >= | ==

A name has a dimension, and only the units of that dimension are accepted. Nothing is evaluated as code.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Figures = Mapping[str, float | None]
Verdict = Literal["met", "missed", "unknown"]
Dimension = Literal["ratio", "rate", "count", "seconds", "bytes", "cores"]

_UNITS: Mapping[Dimension, Mapping[str, float]] = {
    "ratio": {"": 1, "%": 0.01},
    "rate": {"": 1, "k": 1e3, "M": 1e6, "G": 1e9},
    "count": {"": 1, "k": 1e3, "M": 1e6, "G": 1e9},
    "seconds": {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600},
    "bytes": {"": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9},
    "cores": {"": 1},
}


@dataclass(frozen=True, slots=True)
class Name:
    dimension: Dimension
    meaning: str
    of_step: bool = True  # False: known of the whole trial only


NAMES: Mapping[str, Name] = {
    "sent": Name("count", "events that the storm sent"),
    "received": Name("count", "events that the target received"),
    "lost": Name("count", "events that were sent and not received"),
    "loss_ratio": Name("ratio", "lost / sent"),
    "errors": Name("count", "sends that failed"),
    "error_ratio": Name("ratio", "errors / (sent + errors)"),
    "late_ratio": Name("ratio", "events sent more than 1 ms after they were due / sent"),
    "offered_eps": Name("rate", "events a second that the steps ask for, on average"),
    "achieved_eps": Name("rate", "events a second that were sent, on average"),
    "achieved_ratio": Name("ratio", "achieved_eps / offered_eps"),
    "received_eps": Name("rate", "events a second that were received, on average"),
    "peak_eps": Name("rate", "the most that was sent in one sample, as events a second"),
    "latency_p50": Name("seconds", "from when an event was due until it was taken, median"),
    "latency_p95": Name("seconds", "the same, 95th percentile"),
    "latency_p99": Name("seconds", "the same, 99th percentile"),
    "latency_p999": Name("seconds", "the same, 99.9th percentile"),
    "latency_max": Name("seconds", "the same, the longest"),
    "cpu": Name("ratio", "busy share of the processors that haechi may use, whoever used them"),
    "storm_cores": Name("cores", "processors that the storm took"),
    "target_cores": Name("cores", "processors that the target took"),
    "memory": Name("bytes", "memory in use on the machine, at its highest"),
    "storm_memory": Name("bytes", "resident memory of the storm, at its highest"),
    "target_memory": Name("bytes", "resident memory of the target, at its highest"),
    "uptime_ratio": Name("ratio", "share of the time in which the target carried what was sent"),
    "recovery": Name("seconds", "the longest time in a row in which it did not"),
    "precision": Name("ratio", "of the detector's alerts", of_step=False),
    "recall": Name("ratio", "of the detector's alerts", of_step=False),
    "f1": Name("ratio", "of the detector's alerts", of_step=False),
    "points": Name("count", "of the grade, 0 to 100", of_step=False),
    "ndr_eps": Name("rate", "the highest rate found without any loss", of_step=False),
    "pdr_eps": Name("rate", "the highest rate found with at most the allowed loss", of_step=False),
}

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_SHAPE = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|==|<|>)\s*(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%|[A-Za-z]*)\s*")
RECOVERS = "recovers_within"
_RECOVERS = re.compile(rf"\s*{RECOVERS}\s*:\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Criterion:
    """A bound on one figure; text is as the user wrote it."""

    text: str
    name: str
    operator: str
    bound: float  # in events, seconds, bytes, or as a ratio

    def verdict(self, figures: Figures) -> Verdict:
        """Of a figure that is not known, neither is whether the criterion is met."""
        value = figures.get(self.name)
        if value is None:
            return "unknown"
        return "met" if _OPERATORS[self.operator](value, self.bound) else "missed"


def parse(text: str) -> Criterion:
    """ValueError with a sentence for anything else than a criterion."""
    if match := _RECOVERS.fullmatch(text):
        return Criterion(text.strip(), "recovery", "<=", _bound(RECOVERS, "seconds", match[1], match[2]))
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a criterion such as loss_ratio < 0.003, cpu < 70 %, latency_p99 < 5ms or "
            f"{RECOVERS}: 30s"
        )
    name, sign, number, unit = match.groups()
    if name not in NAMES:
        raise ValueError(f"{name!r} is no figure; known are {', '.join(NAMES)}, and {RECOVERS}: TIME")
    return Criterion(text.strip(), name, sign, _bound(name, NAMES[name].dimension, number, unit))


def _bound(name: str, dimension: Dimension, number: str, unit: str) -> float:
    units = _UNITS[dimension]
    if unit not in units:
        known = ", ".join(known or "none" for known in units)
        came = repr(unit) if unit else "no unit"
        raise ValueError(f"{name} is in {dimension}: {came} is none of its units, which are {known}")
    return float(number) * units[unit]

"""Two reports, figure by figure: what changed, and whether for the worse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["more", "less"]

# Figures that say how well it went; those that only say what was asked for are not compared.
BETTER: Mapping[str, Better] = {
    **dict.fromkeys(("achieved_eps", "achieved_ratio", "received_eps", "peak_eps", "uptime_ratio"), "more"),
    **dict.fromkeys(("precision", "recall", "f1", "points", "ndr_eps", "pdr_eps"), "more"),
    **dict.fromkeys(("loss_ratio", "error_ratio", "late_ratio", "recovery", "cpu"), "less"),
    **dict.fromkeys(("latency_p50", "latency_p95", "latency_p99", "latency_p999", "latency_max"), "less"),
    **dict.fromkeys(("storm_cores", "target_cores", "storm_memory", "target_memory"), "less"),
}


@dataclass(frozen=True, slots=True)
class Change:
    where: str  # a step's name, or empty: the whole
    name: str
    before: float | None
    after: float | None

    @property
    def regression(self) -> float | None:
        """By which share of what it was the figure got worse; negative: better. Of a ratio that was 0, the
        ratio itself. None where one of the two is not known."""
        if self.before is None or self.after is None:
            return None
        worse = self.after - self.before if BETTER[self.name] == "less" else self.before - self.after
        return worse / self.before if self.before else worse


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Of the whole, then of each step that both have, by its name."""
    found = _of("", before["figures"], after["figures"])
    steps = {step["name"]: step for step in after["steps"]}
    for step in before["steps"]:
        if step["name"] in steps:
            found += _of(step["name"], step["figures"], steps[step["name"]]["figures"])
    return found


def _of(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    return [
        Change(where, name, before.get(name), after.get(name))
        for name in BETTER
        if before.get(name) is not None or after.get(name) is not None
    ]

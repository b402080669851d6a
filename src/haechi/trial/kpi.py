"""What a trial is summed up by; each formula stands in docs/trials.md. Pure functions of raw counts, None
where a figure cannot be known."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from haechi.trial.figures import Sample, intervals, outages

GB = 1e9
Kpi = float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a whole trial."""

    asked: float
    sent: int
    errors: int
    bytes: int
    lost: int | None
    seconds: float
    storm_cpu_s: float
    processors: int  # that haechi may use
    storm_memory_bytes: int
    samples: Sequence[Sample]


def kpis(counts: Counts) -> dict[str, Kpi]:
    """By the names that the control plane uses."""
    achieved = counts.sent / counts.seconds if counts.seconds > 0 else None
    down = outages(counts.samples)
    down_s = sum(outage.seconds for outage in down)
    seen_s = sum(part.seconds for part in intervals(counts.samples))
    peak = max((part.sent / part.seconds for part in intervals(counts.samples)), default=None)
    return {
        "achieved_eps": achieved,
        "target_achievement_percent": 100 * counts.sent / counts.asked if counts.asked > 0 else None,
        "peak_eps": peak,
        "average_eps": _average_eps(counts.samples),
        "eps_consistency_score": consistency(counts.samples),
        "uptime_percentage": 100 * (1 - down_s / seen_s) if seen_s > 0 else None,
        "packet_loss_rate": None if counts.lost is None else counts.lost / max(1, counts.sent),
        "error_rate": counts.errors / max(1, counts.sent + counts.errors),
        "mtbf_hours": (seen_s - down_s) / len(down) / 3600 if down else None,
        "mttr_minutes": down_s / len(down) / 60 if down and all(o.ended for o in down) else None,
        "cpu_efficiency": _cpu_efficiency(counts, achieved),
        "memory_efficiency": achieved / (counts.storm_memory_bytes / GB)
        if achieved is not None and counts.storm_memory_bytes
        else None,
        "network_tx_bytes": counts.bytes,
        # Loopback has no capacity, and one trial has one number of workers.
        "network_utilization": None,
        "linear_scalability": None,
    }


def consistency(samples: Sequence[Sample]) -> float | None:
    """100 where every sample has the same share of what its pattern asked for; less by the coefficient of
    variation. None of fewer than two samples."""
    shares = [part.sent / part.asked for part in intervals(samples) if part.asked > 0]
    if len(shares) < 2 or not (mean := statistics.fmean(shares)):
        return None
    return 100 * max(0.0, 1 - statistics.pstdev(shares) / mean)


def _average_eps(samples: Sequence[Sample]) -> float | None:
    """Of the samples, each counting the same however long it took."""
    rates = [part.sent / part.seconds for part in intervals(samples)]
    return statistics.fmean(rates) if rates else None


def _cpu_efficiency(counts: Counts, achieved: float | None) -> float | None:
    if achieved is None or counts.storm_cpu_s <= 0 or not counts.processors:
        return None
    percent = 100 * counts.storm_cpu_s / counts.seconds / counts.processors
    return achieved / percent

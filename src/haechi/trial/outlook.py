"""What is certain of a criterion before its time is over: met or missed for good, or not decided yet.

Some figures only grow (the longest outage, the highest latency). Of a share, such as lost of sent, what is
counted so far is a least, since no more than the pattern asks for will be sent in all. Everything else is
known at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from haechi.trial.criteria import Criterion, Verdict
from haechi.trial.figures import Sample, figures, outages

GROWING = {"sent", "peak_eps", "latency_max", "memory", "storm_memory", "target_memory", "recovery"}
_ADDED_UP = {"lost": "lost", "errors": "errors", "late_ratio": "late", "loss_ratio": "lost"}
_TROUGH = 3  # samples: a mark that overtakes its events tells of losses that the next marks take back
_MORE = 1.01  # a storm may send a little more than it is asked for


def outlook(
    criterion: Criterion, samples: Sequence[Sample], latency_max_s: float | None, asked: float, seconds: float
) -> Verdict:
    """asked: events that the whole stretch asks for; seconds: how long it is."""
    value = _at_least(criterion.name, samples, latency_max_s, asked)
    if value is not None:
        if value > criterion.bound:
            return "met" if criterion.operator in (">", ">=") else "missed"
        reached = value == criterion.bound
        if reached and criterion.operator == ">=":
            return "met"
        return "missed" if reached and criterion.operator == "<" else "unknown"
    if criterion.name == "uptime_ratio":
        return _of_uptime(criterion, samples, seconds)
    return "unknown"


def _at_least(
    name: str, samples: Sequence[Sample], latency_max_s: float | None, asked: float
) -> float | None:
    """What the figure will not fall below again; None where that is not known."""
    if len(samples) < 2:
        return None
    if name == "latency_max":
        return latency_max_s
    if name == "sent":
        return samples[-1].sent - samples[0].sent
    if name in GROWING:
        # The last sample may still be merged into the one before it.
        return figures(samples[:-1], {}).get(name)
    if name in ("lost", "loss_ratio"):
        first, end = samples[0].lost, [sample.lost for sample in samples[-_TROUGH:]]
        known = [lost for lost in end if lost is not None]
        if first is None or len(known) < _TROUGH:
            return None
        lost = max(0, min(known) - first)
        return lost if name == "lost" else lost / max(1.0, asked * _MORE, _sent(samples))
    errors = samples[-1].errors - samples[0].errors
    if name == "errors":
        return errors
    if name == "error_ratio":
        return errors / max(1.0, asked * _MORE, _sent(samples) + errors)
    if name == "late_ratio":
        return (samples[-1].late - samples[0].late) / max(1.0, asked * _MORE, _sent(samples))
    return None


def _sent(samples: Sequence[Sample]) -> int:
    return samples[-1].sent - samples[0].sent


def _of_uptime(criterion: Criterion, samples: Sequence[Sample], seconds: float) -> Verdict:
    """At most what is left when the rest of the time is without an outage."""
    if criterion.operator not in (">", ">=") or seconds <= 0:
        return "unknown"
    highest = 1 - sum(outage.seconds for outage in outages(samples[:-1])) / seconds
    holds = highest > criterion.bound or (criterion.operator == ">=" and highest == criterion.bound)
    return "unknown" if holds else "missed"

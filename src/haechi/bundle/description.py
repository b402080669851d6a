"""What each detector of a bundle watches for, in words for a terminal."""

from __future__ import annotations

from typing import Any

from haechi.bundle.manifest import Counts, DeepLog, Ensemble, NewEvent

_NO_LIMIT = 1e6  # nats that nothing reaches: there was nothing to set a limit by


def describe(detector: Any) -> str:
    """One line, without the detector's name."""
    match detector:
        case NewEvent():
            known = len(detector.trained_keys)
            return (
                f"{known} kinds of line are known; any other is reported, at most every {detector.repeat_s} s"
            )
        case DeepLog(rule="topk"):
            return f"an event is anomalous when not among the {detector.top_k} likeliest"
        case DeepLog():
            text = f"an event above {detector.event_surprise:.4g} nats"
            if detector.session_surprise < _NO_LIMIT:
                text += f", a mean event above {detector.session_surprise:.4g}"
            return text
        case Counts():
            return (
                f"a session further than {detector.limit:.3g} from the nearest of {detector.vectors} "
                "vectors of event counts"
            )
        case Ensemble():
            of = detector.validation
            return (
                f"{', '.join(detector.detectors)} share a budget of {of['budget']:.3%} of normal sessions: "
                f"evidence of {detector.threshold:.3g} nats"
            )
    section = detector.model_dump()
    if detector.name == "rates":
        return _rates(section)
    if detector.name == "combos":
        return _combos(section)
    if detector.name == "values":
        budget = section["validation"]["budget"]
        return (
            f"{section['checks']} checks of numbers, words and networks where templates vary, "
            f"at most {budget:g} false alarms a line"
        )
    return ", ".join(
        f"{name} {value}"
        for name, value in section.items()
        if name not in ("name", "file") and isinstance(value, int | float | str)
    )


def _rates(section: dict[str, Any]) -> str:
    parts = _limits(section, section["interval_s"], "a host")
    if section.get("keys"):
        parts += _limits(section["keys"], section["interval_s"], "a log key")
    period = (section.get("season") or {}).get("period_h")
    parts += [f"hours of the {'day' if period == 24 else 'week'}"] if period else []
    return "; ".join(parts)


def _limits(group: dict[str, Any], interval_s: float, of: str) -> list[str]:
    bursts = [
        f"{10**level * interval_s:g} s above {one['limit']:.3g} nats"
        for level, one in enumerate(group["burst"])
        if one["limit"] is not None
    ]
    silence = group["silence"]["limit"]
    parts = [f"bursts of {of} within {', '.join(bursts)}"] if bursts else []
    return parts + ([f"silences of {of} above {silence:.3g} nats"] if silence is not None else [])


def _combos(section: dict[str, Any]) -> str:
    kinds = {
        "host_process": "hosts and processes",
        "process_key": "processes and log keys",
        "host_user": "hosts and users",
        "process_user": "processes and users",
    }
    rows = section["validation"]
    parts = [
        f"{rows[kind]['pairs']} pairs of {name}"
        for kind, name in kinds.items()
        if rows.get(kind, {}).get("settled")
    ]
    return f"{', '.join(parts)}; any other one is reported, at most every {section['repeat_s']} s"

"""A report's figures as people read them, for the page and the Markdown alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haechi.live.meter import short
from haechi.trial.criteria import NAMES

UNKNOWN = "-"

_KPIS: Mapping[str, tuple[str, str]] = {
    "achieved_eps": ("events/s sent", "rate"),
    "target_achievement_percent": ("of the rate asked for", "percent"),
    "peak_eps": ("events/s at the peak", "rate"),
    "average_eps": ("events/s, mean of samples", "rate"),
    "eps_consistency_score": ("consistency of the rate", "score"),
    "uptime_percentage": ("uptime", "percent"),
    "packet_loss_rate": ("loss ratio", "ratio"),
    "error_rate": ("error ratio", "ratio"),
    "mtbf_hours": ("hours between outages", "number"),
    "mttr_minutes": ("minutes to recover", "number"),
    "cpu_efficiency": ("events/s per CPU %", "rate"),
    "memory_efficiency": ("events/s per GB", "rate"),
    "network_tx_bytes": ("bytes sent", "bytes"),
    "network_utilization": ("network utilization", "ratio"),
    "linear_scalability": ("linear scalability", "ratio"),
}


def figure(name: str, value: float | None) -> str:
    """A figure that criteria may name, with its unit."""
    return quantity(NAMES[name].dimension, value) if name in NAMES else quantity("number", value)


def quantity(dimension: str, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    match dimension:
        case "ratio":
            return f"{value * 100:.4g} %"
        case "percent":
            return f"{value:.2f} %"
        case "rate":
            return short(value)
        case "count":
            return f"{value:,.0f}"
        case "seconds":
            return seconds(value)
        case "bytes":
            return f"{short(value)}B" if value >= 1000 else f"{value:.0f} B"
        case "cores":
            return f"{value:.2f}"
        case "score":
            return f"{value:.1f}"
    return f"{value:.4g}"


def seconds(value: float) -> str:
    if value == 0:
        return "0 s"
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    if value < 1:
        return f"{value * 1e3:.4g} ms"
    return f"{value:.4g} s"


def kpi_rows(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, what it is, value)."""
    return [
        (name, words, quantity(dimension, report["kpis"][name]))
        for name, (words, dimension) in _KPIS.items()
        if name in report["kpis"]
    ]


def account_sentence(account: Mapping[str, Any]) -> str:
    if account["received"] is None and not account["sent"]:
        return "Nothing was sent."
    parts = [f"{account['sent']:,} events sent"]
    if account["received"] is not None:
        parts.append(f"{account['received']:,} received")
    if account["lost"] is not None:
        parts.append(f"{account['lost']:,} lost ({account['loss_ratio']:.4%})")
    text = ", ".join(parts)
    if account["kernel_dropped"] is not None:
        text += (
            f"; of all messages, control messages among them, the kernel dropped "
            f"{account['kernel_dropped']:,}, and {account['lost_elsewhere']:,} were lost elsewhere"
        )
    if account.get("shed"):
        text += f"; after queues had overflowed the detector let {account['shed']:,} go"
    if account["closed"] is not None:
        text += "; the account is closed" if account["closed"] else "; the account is open"
    return text + "."

"""The demo's scorecard: what was sent, what came, what was found, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from haechi.bench.loop import LoopBench, quantile


def print_card(result: LoopBench, console: Console | None = None) -> None:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    for name, text in _rows(result):
        rows.add_row(name, Text(text))
    title = f"{result.fire.sent.seconds:.0f} s of storm at a detector, over UDP on this machine"
    (console or Console()).print(Panel(Group(rows, "", _kinds(result)), title=title, expand=False))


def as_json(result: LoopBench) -> dict[str, Any]:
    """The card's figures under the names of `haechi bench loop`, and how long events took to be received."""
    latency = _latency(result)
    return {
        **result.as_json(),
        **{f"latency_{name}_us": latency.get(name) for name in ("avg", "p50", "p95", "p99", "max")},
        "bundle": result.training.bundle.name,
    }


def _rows(result: LoopBench) -> Iterator[tuple[str, str]]:
    sent, network = result.fire.sent, result.fire.network
    found, latency = result.score, _latency(result)
    closed = "closed: every event is accounted for" if network.closed else "open: end marks are missing"
    yield "sent", f"{sent.events:,} events, {sent.eps:,.0f} a second, {sent.bytes / 1e9:.2f} GB"
    yield "received", f"{network.received:,}, {result.fire.received_eps:,.0f} a second"
    yield (
        "lost",
        f"{sent.events - network.received:,} ({result.fire.loss_ratio:.4%}), "
        f"let go {network.shed:,}, dropped by the kernel {network.kernel_dropped:,}",
    )
    yield "account", closed
    if latency.get("count"):
        yield (
            "latency",
            f"from when an event was due until it was received: p50 {_ms(latency['p50'] / 1e6)}, "
            f"p99 {_ms(latency['p99'] / 1e6)}, at most {_ms(latency['max'] / 1e6)}",
        )
    yield (
        "found",
        f"precision {found.precision:.4f}, recall {found.recall:.4f}, F1 {found.f1:.4f}: "
        f"{found.found:,} of {found.episodes:,} episodes, {found.false_sessions:,} sessions for nothing",
    )
    yield (
        "time to detect",
        "from an episode's first event until its alert is written: "
        + ", ".join(f"p{q} {_ms(quantile(result.delays_s, q))}" for q in (50, 95, 99)),
    )
    yield (
        "detector",
        f"{result.fire.detect_cpu_cores:.2f} cores, {result.fire.rss_mb:.0f} MB; the model was asked about "
        f"{result.fire.detector['ml_ratio']:.2%} of the windows",
    )
    yield "storm", f"{sent.cpu_cores:.2f} cores, {sent.rss_peak_bytes / 1e6:.0f} MB"
    if found.ignored:
        left_out = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in found.ignored.items())
        yield "left out", f"{left_out}: nothing looks for these yet, so they are not in the score"


def _kinds(result: LoopBench) -> Table:
    table = Table("kind", box=None, pad_edge=False)
    for column in ("episodes", "found", "recall"):
        table.add_column(column, justify="right")
    for name, kind in result.score.kinds.items():
        table.add_row(name.replace("_", " "), f"{kind.episodes:,}", f"{kind.found:,}", f"{kind.recall:.3f}")
    return table


def _latency(result: LoopBench) -> Mapping[str, Any]:
    latency = result.fire.detector.get("network", {}).get("latency_us", {})
    return latency if isinstance(latency, dict) else {}


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:,.1f} ms"

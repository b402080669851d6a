"""A soak as a picture: rate, loss, latency and memory over time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haechi.bench.soak import Soak

MINUTES_FROM_S = 300.0  # a shorter soak is drawn in seconds
BLUE, ORANGE, RED = "#1f5fa8", "#d98324", "#b3261e"


class PlotError(Exception):
    """There is nothing to draw with, or nothing to draw."""


def require() -> None:
    """PlotError where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotError(
            "a plot needs matplotlib, which is not installed; install it with "
            ".venv/bin/pip install -c constraints.txt matplotlib (haechi's extra: plot)"
        )


def draw(soak: Soak, path: Path, machine: str) -> None:
    """Into a file of the kind that its name says (.png, .svg, .pdf). PlotError."""
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(soak.samples) < 2:
        raise PlotError(f"{path}: not drawn: {len(soak.samples)} samples are too few for a plot")
    figure = Figure(figsize=(10, 9), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, 1, sharex=True)
    _draw_rate(axes[0], soak)
    _draw_loss(axes[1], soak)
    _draw_latency(axes[2], soak)
    _draw_memory(axes[3], soak)
    for axis in axes:
        axis.grid(True, color="#dddddd", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel(f"time ({_unit(soak)[0]})")
    figure.suptitle(_title(soak, machine), fontsize=11)
    try:
        figure.savefig(path)
    except ValueError as error:
        raise PlotError(f"{path}: not drawn: {error}") from None


def _title(soak: Soak, machine: str) -> str:
    return (
        f"{soak.sent.eps:,.0f} events/s for {soak.sent.seconds / 60:.1f} minutes: {soak.taken.sent:,} sent, "
        f"{soak.taken.lost:,} lost\n{machine}"
    )


def _unit(soak: Soak) -> tuple[str, float]:
    return ("s", 1.0) if soak.samples[-1].seconds < MINUTES_FROM_S else ("minutes", 60.0)


def _times(soak: Soak) -> list[float]:
    return [sample.seconds / _unit(soak)[1] for sample in soak.samples]


def _draw_rate(axis: Any, soak: Soak) -> None:
    axis.plot(_times(soak), [s.sent_eps / 1e6 for s in soak.samples], color=ORANGE, lw=2.5, label="sent")
    axis.plot(_times(soak), [s.received_eps / 1e6 for s in soak.samples], color=BLUE, lw=1, label="received")
    axis.axhline(soak.asked_eps / 1e6, color="#888888", lw=0.8, ls="--", label="asked for")
    axis.set_ylim(0, 1.2 * max(soak.asked_eps, *(s.sent_eps for s in soak.samples)) / 1e6)
    axis.set_ylabel("M events/s")
    axis.legend(loc="lower right", ncols=3, frameon=False)


def _draw_loss(axis: Any, soak: Soak) -> None:
    """What the kernel dropped, in each stretch between two samples."""
    before = [0, *(s.kernel_dropped for s in soak.samples)]
    dropped = [s.kernel_dropped - was for s, was in zip(soak.samples, before, strict=False)]
    axis.step(_times(soak), dropped, color=RED, lw=1.2, where="pre")
    top = max(1.0, 1.2 * max(dropped))
    axis.set_ylim(-0.04 * top, top)  # so that a line of zeroes is seen
    axis.set_ylabel("dropped by the\nkernel, a sample")


def _draw_latency(axis: Any, soak: Soak) -> None:
    axis.plot(_times(soak), [s.latency_p99_us for s in soak.samples], color=ORANGE, lw=1, label="p99")
    axis.plot(_times(soak), [s.latency_p50_us for s in soak.samples], color=BLUE, lw=1, label="p50")
    axis.set_yscale("log")
    axis.set_ylabel("latency (us)")
    axis.legend(loc="upper right", ncols=2, frameon=False)


def _draw_memory(axis: Any, soak: Soak) -> None:
    axis.plot(_times(soak), [s.storm_rss_mb for s in soak.samples], color=ORANGE, lw=1.2, label="storm")
    axis.plot(_times(soak), [s.sink_rss_mb for s in soak.samples], color=BLUE, lw=1.2, label="sink")
    axis.set_ylim(0, 1.3 * max(max(s.storm_rss_mb, s.sink_rss_mb) for s in soak.samples))
    axis.set_ylabel("memory (MB)")
    axis.legend(loc="upper right", ncols=2, frameon=False)

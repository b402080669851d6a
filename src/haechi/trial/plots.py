"""Lines over time as SVG: no script, nothing loaded, colours from the page's own style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 210
LEFT, RIGHT, TOP, BOTTOM = 62, 10, 12, 24
TICKS = 4

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    values: Values
    dashed: bool = False


def plot(
    title: str,
    at_s: Sequence[float],
    lines: Sequence[Line],
    show: Callable[[float], str],
    begins: Sequence[tuple[float, str]] = (),
) -> str:
    """One plot with its legend; empty where no line has a value. begins: where steps begin, with their
    names."""
    known = [line for line in lines if any(value is not None for value in line.values)]
    if not known or len(at_s) < 1:
        return ""
    top = _ceiling(max(value for line in known for value in line.values if value is not None))
    start, end = min([at_s[0], *(at for at, _ in begins)]), at_s[-1]
    span = max(end - start, 1e-9)

    def x(at: float) -> float:
        return LEFT + (at - start) / span * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts += _grid(top, start, span, x, y, show)
    for at, name in begins:
        place = f'x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"'
        parts.append(f'<line class="step" {place}><title>{escape(name)}</title></line>')
    for number, line in enumerate(known):
        dashed = " dashed" if line.dashed else ""
        for d in _paths(at_s, line.values, x, y):
            parts.append(f'<path class="line c{number}{dashed}" d="{d}"/>')
    parts.append("</svg>")
    legend = "".join(
        f'<span><i class="c{number}{" dashed" if line.dashed else ""}"></i>{escape(line.name)}</span>'
        for number, line in enumerate(known)
    )
    return (
        f'<figure><figcaption>{escape(title)}<span class="legend">{legend}</span></figcaption>'
        f"{''.join(parts)}</figure>"
    )


def _grid(
    top: float,
    start: float,
    span: float,
    x: Callable[[float], float],
    y: Callable[[float], float],
    show: Callable[[float], str],
) -> list[str]:
    parts = []
    for tick in range(TICKS + 1):
        value = top * tick / TICKS
        at = start + span * tick / TICKS
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{escape(show(value))}</text>'
        )
        anchor = "end" if tick == TICKS else "middle" if tick else "start"
        time = escape(show_time(at, span))
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{time}</text>')
    return parts


def _paths(
    at_s: Sequence[float], values: Values, x: Callable[[float], float], y: Callable[[float], float]
) -> list[str]:
    """One for each stretch without a gap; a point that stands alone is a short stroke."""
    found: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(at_s, values, strict=True):
        if value is None:
            found.append([])
        else:
            found[-1].append((x(at), y(value)))
    paths = []
    for points in found:
        if len(points) == 1:
            (px, py) = points[0]
            points = [(px - 2, py), (px + 2, py)]
        if points:
            paths.append("M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points))
    return paths


def _ceiling(value: float) -> float:
    """The next of 1, 2, 4, 5, 8, 10 times a power of ten, so that ticks are round."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 4, 5, 8, 10) if m * power >= value * 0.999999)


def show_time(seconds: float, span: float) -> str:
    if span < 10:
        return f"{seconds:.1f} s"
    if span < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if span < 3 * 3600 else f"{seconds / 3600:.1f} h"

"""The grade: 40 points for the rate, 30 for uptime, 30 for efficiency, and a letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Steps = Sequence[tuple[float, int]]  # from this figure on, so many points; the highest first

TARGET: Steps = ((100.0, 40), (95.0, 35), (90.0, 30))
UPTIME: Steps = ((99.95, 30), (99.9, 25), (99.0, 20))
EFFICIENCY: Steps = ((50_000.0, 30), (40_000.0, 25), (30_000.0, 20))
LETTERS = ((90, "A+"), (80, "A"), (70, "B"), (60, "C"), (0, "D"))
ROUNDED_TO = 1  # places of the target's percentage: a clock's jitter costs nobody five points


@dataclass(frozen=True, slots=True)
class Grade:
    """Points of each part; None where its figure is not known, and then there is no letter."""

    target: int | None
    uptime: int | None
    efficiency: int | None

    @property
    def points(self) -> int | None:
        parts = (self.target, self.uptime, self.efficiency)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    @property
    def letter(self) -> str | None:
        points = self.points
        if points is None:
            return None
        return next(letter for least, letter in LETTERS if points >= least)


def grade(kpis: Mapping[str, float | None]) -> Grade:
    achieved = kpis["target_achievement_percent"]
    return Grade(
        target=points_of(None if achieved is None else round(achieved, ROUNDED_TO), TARGET),
        uptime=points_of(kpis["uptime_percentage"], UPTIME),
        efficiency=points_of(kpis["cpu_efficiency"], EFFICIENCY),
    )


def points_of(figure: float | None, steps: Steps) -> int | None:
    if figure is None:
        return None
    return next((points for least, points in steps if figure >= least), 0)

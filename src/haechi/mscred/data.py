"""The synthetic data of the paper's section "Experiments", by its formula.

A series is sin((t - t0) / w) + 0.3 e or cos((t - t0) / w) + 0.3 e, chosen by a coin, with t0 from [50, 100],
w from [40, 50] and e from N(0, 1). Five shock waves are put into the test part, each 30, 60 or 90 steps long
and in three series: its root causes. The paper gives neither their shape nor their height, only that their
values are in the range of normal ones. Here a wave throws its series at once to the upper or the lower edge
of that range, 1.3 to 1.9 from the middle (a normal value is at most 1, and three times the noise), drawn anew
for each step, and lets go of it at once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DELAY = (50.0, 100.0)
PERIOD = (40.0, 50.0)
NOISE = 0.3
HEIGHT = (1.3, 1.9)
DURATIONS = (30, 60, 90)
ROOT_CAUSES = 3
APART = 200  # steps between two waves, and from the ends of the test part: no window holds two of them


@dataclass(frozen=True)
class Shape:
    """How much of what; the defaults are the paper's."""

    series: int = 30
    steps: int = 20_000
    train_end: int = 8_000
    validation_end: int = 10_000
    anomalies: int = 5


@dataclass(frozen=True)
class Wave:
    """One injected anomaly: steps [start, end), and the series it is in."""

    start: int
    duration: int
    series: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.start + self.duration


@dataclass(frozen=True)
class Synthetic:
    """values: float64 [series, steps]. waves: in the order of time."""

    values: npt.NDArray[np.float64]
    waves: tuple[Wave, ...]
    shape: Shape


def make(seed: int, shape: Shape | None = None) -> Synthetic:
    """Same seed, same data."""
    shape = shape or Shape()
    draw = np.random.default_rng(seed)
    delay = draw.uniform(*DELAY, (shape.series, 1))
    period = draw.uniform(*PERIOD, (shape.series, 1))
    is_cosine = draw.integers(0, 2, (shape.series, 1)) == 1
    phase = (np.arange(shape.steps) - delay) / period
    values = np.where(is_cosine, np.cos(phase), np.sin(phase))
    values += NOISE * draw.standard_normal(values.shape)
    waves = _waves(draw, shape)
    for wave in waves:
        for series in wave.series:
            side = draw.choice([-1.0, 1.0])
            values[series, wave.start : wave.end] = side * draw.uniform(*HEIGHT, wave.duration)
    return Synthetic(values, waves, shape)


def _waves(draw: np.random.Generator, shape: Shape) -> tuple[Wave, ...]:
    """Every duration in turn, in a drawn order, at drawn places that are far enough apart."""
    durations = [DURATIONS[i % len(DURATIONS)] for i in range(shape.anomalies)]
    draw.shuffle(durations)
    first = shape.validation_end + APART
    # What is left once each wave has its own steps and its distance is shared out at random.
    spare = shape.steps - first - sum(durations) - APART * shape.anomalies
    if spare < 0:
        raise ValueError(f"{shape.anomalies} waves do not fit into steps {first} to {shape.steps}")
    gaps = np.sort(draw.integers(0, spare + 1, shape.anomalies))
    starts = first + gaps + np.cumsum([0, *durations[:-1]]) + APART * np.arange(shape.anomalies)
    return tuple(
        Wave(int(start), duration, tuple(sorted(draw.choice(shape.series, ROOT_CAUSES, False).tolist())))
        for start, duration in zip(starts, durations, strict=True)
    )

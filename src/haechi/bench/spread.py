"""Several runs of the same measurement, as one figure: the median, and how far the others were from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Number = int | float


def spread(runs: Sequence[Mapping[str, Number]]) -> dict[str, Number]:
    """Each figure's median over the runs and, where there are several, name_min and name_max beside it.
    A figure that a run lacks is left out of that run alone."""
    figures: dict[str, Number] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        values = [run[name] for run in runs if name in run]
        figures[name] = statistics.median(values)
        if len(runs) > 1:
            figures[f"{name}_min"], figures[f"{name}_max"] = min(values), max(values)
    return figures

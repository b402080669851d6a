"""Numbers as people write them: 2M, 1.5k."""

from __future__ import annotations

import re
from typing import Any

import click

_SUFFIXES = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


class Quantity(click.ParamType[float]):
    """A positive number with an optional k, M or G."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is not a number above 0, such as 500, 20k or 2M", param, ctx)
        return float(match[1]) * _SUFFIXES[match[2]]


class Count(Quantity):
    """The same where only whole numbers make sense."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = super().convert(value, param, ctx)
        if number != int(number):
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return int(number)

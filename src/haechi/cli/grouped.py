"""A command whose --help shows its many options under headings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import click


class Headed(click.Option):
    """An option that knows the heading it stands under."""

    def __init__(self, *arguments: Any, heading: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading = heading


class GroupedCommand(click.Command):
    """Headings in the order of the options; what has none (--help) is at the end."""

    LAST: ClassVar[str] = "Options"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                headings.setdefault(getattr(parameter, "heading", "") or self.LAST, []).append(record)
        last = headings.pop(self.LAST, [])
        for heading, records in [*headings.items(), (self.LAST, last)]:
            with formatter.section(heading):
                formatter.write_dl(records)


Option = tuple[tuple[str, ...], dict[str, Any]]


def option(*names: str, **settings: Any) -> Option:
    """An option of a `headed` block, as click.option takes it."""
    return names, settings


def headed(heading: str, *options: Option) -> Callable[[Any], Any]:
    """Options under a heading, in this order."""

    def decorate(function: Any) -> Any:
        for names, settings in reversed(options):
            function = click.option(*names, cls=Headed, heading=heading, **settings)(function)
        return function

    return decorate


def given(options: dict[str, Any], lists: Sequence[str]) -> dict[str, Any]:
    """The options that were on the command line. Those named in lists may be there several times, each with
    one value or several with commas between them."""
    found = {key: value for key, value in options.items() if value is not None and value != ()}
    return {key: ",".join(value) if key in lists else value for key, value in found.items()}

"""Staying with a running tool until it ends: its view is kept fresh, its words are passed on, signals to this
process reach it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Protocol, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from haechi.native.running import RunningTool
from haechi.native.tools import ToolError

R = TypeVar("R")

PERIOD_S = 0.25
LINE_S = 1.0


class View(Protocol):
    """What is known of a running tool at a moment."""

    def read(self, at: float) -> None:
        """Takes the counters as they are; at is of time.monotonic()."""

    def render(self, width: int, height: int) -> RenderableType:
        """All of it, in at most so many lines."""

    def line(self) -> str:
        """The most important of it."""


class Requests:
    """TERM and INT end the tool gracefully, a further one at once; USR1 and USR2 are kept until they are
    asked for. From within its `with` block, in the main thread."""

    _ENDING = (signal.SIGTERM, signal.SIGINT)
    _KEPT = (signal.SIGUSR1, signal.SIGUSR2)

    def __init__(self) -> None:
        self._tool: RunningTool | None = None
        self._endings = 0
        self._kept: list[int] = []

    def attend(self, tool: RunningTool) -> None:
        """From now on they are for this tool; those that came before are made up for."""
        self._tool = tool
        if self._endings:
            tool.stop()

    def take(self) -> list[int]:
        taken, self._kept = self._kept, []
        return taken

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._endings += 1
        if self._tool is not None:
            if self._endings == 1:
                self._tool.stop()
            else:
                self._tool.kill()

    def _keep(self, number: int, frame: FrameType | None) -> None:
        self._kept.append(number)

    def __enter__(self) -> Requests:
        self._before = {
            **{number: signal.signal(number, self._end) for number in self._ENDING},
            **{number: signal.signal(number, self._keep) for number in self._KEPT},
        }
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def follow(
    tool: RunningTool,
    view: View,
    requests: Requests,
    console: Console,
    *,
    quiet: bool,
    reload: Callable[[], list[str]],
    snapshot: Callable[[], list[str]],
) -> None:
    """Until the tool has ended. reload and snapshot are what USR1 and USR2 are for; what they return is said,
    a sentence each. On a terminal the view is live; elsewhere it is a line a second, or nothing if quiet."""
    begun = time.monotonic()
    shown = begun
    with _screen(console, live=console.is_terminal and not quiet) as live:
        while not tool.wait(PERIOD_S):
            at = time.monotonic()
            for number in requests.take():
                for sentence in reload() if number == signal.SIGUSR1 else snapshot():
                    say(console, sentence)
            _pass_on(tool, console)
            view.read(at)
            if live is not None:
                width, height = console.size
                live.update(view.render(width, height - 1), refresh=True)
            elif not quiet and at - shown >= LINE_S:
                shown += LINE_S
                say(console, view.line())
    _pass_on(tool, console)


def ended(tool: RunningTool, read: Callable[[Mapping[str, Any]], R]) -> tuple[R, ToolError | None]:
    """The totals of a tool that has ended, as `read` makes them, and how it failed if it did. A failure that
    left no totals is raised."""
    try:
        return read(tool.summary()), None
    except ToolError as failure:
        totals = tool.totals()
        if totals is None:
            raise
        return read(totals), failure


def say(console: Console, sentence: str) -> None:
    """As it stands: no markup, no folding."""
    console.print(Text(sentence), soft_wrap=True)


def _pass_on(tool: RunningTool, console: Console) -> None:
    for word in tool.words():
        say(console, word)


@contextlib.contextmanager
def _screen(console: Console, live: bool) -> Iterator[Live | None]:
    if not live:
        yield None
        return
    # What it prints and redirects stays as it is: standard output may be read by a program.
    with Live(
        console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as screen:
        yield screen

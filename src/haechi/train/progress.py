"""What a person sees while training runs: a bar with the loss and the time left."""

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class TrainingProgress(Protocol):
    """Told what is going on; may be called from several threads."""

    def stage(self, text: str) -> None:
        """A new part of the work has begun."""

    def steps(self, done: int, total: int, loss: float) -> None:
        """Optimiser steps done of all that are to be done, over all models; loss in nats."""


class SilentProgress:
    """For programs and tests."""

    def stage(self, text: str) -> None:
        pass

    def steps(self, done: int, total: int, loss: float) -> None:
        pass


class TerminalProgress:
    """One line at the bottom of the terminal, on standard error; silent where that is not a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, loss="")

    def stage(self, text: str) -> None:
        self._progress.update(self._task, description=text, total=None, completed=0, loss="")

    def steps(self, done: int, total: int, loss: float) -> None:
        self._progress.update(self._task, total=total, completed=done, loss=f"loss {loss:.3f}")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

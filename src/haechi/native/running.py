"""A tool that runs for a while and is spoken to: its process, its stats page, its control socket, its totals
at the end. Storm and sink are such tools."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from haechi.native.control import ControlClient, ControlError
from haechi.native.stats import StatsError, StatsPage
from haechi.native.tools import Process, ToolError


class RunningTool:
    """Ends with its `with` block. Whoever starts it owns it; its methods may be called from any thread.

    Where the configuration names no stats page and no control socket, both are the handle's own and have no
    name in the file system once the tool has started, so that nothing is left behind however it all ends.
    """

    TOOL: ClassVar[str]

    def __init__(
        self, process: Process, page: StatsPage | None, control: ControlClient | None, totals: int
    ) -> None:
        self._process = process
        self._page = page
        self._control = control
        self._totals = totals
        self._speaking = threading.Lock()
        self._words_read = 0

    @classmethod
    def _launch(
        cls,
        config: Mapping[str, Any],
        documents: Mapping[str, str],
        ready_s: float,
        stdout: int = subprocess.DEVNULL,
    ) -> Self:
        """Starts the tool. documents are texts that it reads as files: key of the configuration -> text.
        ToolRefusedError where it does not accept the configuration, ToolError where it fails otherwise."""
        totals = os.memfd_create("haechi-summary")
        with contextlib.ExitStack() as opened:
            fds = [totals]
            own: dict[str, Any] = {"summary": f"/dev/fd/{totals}"}
            for key, text in documents.items():
                fds.append(opened.enter_context(text_in_memory(text)))
                own[key] = f"/dev/fd/{fds[-1]}"
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="haechi-")))
            own["control_socket"] = config.get("control_socket") or str(folder / "control")
            own["stats_page"] = config.get("stats_page") or str(folder / "stats")
            try:
                process = Process.start(
                    cls.TOOL, {**config, **own}, stdout=stdout, ready_s=ready_s, pass_fds=fds
                )
            except BaseException:
                os.close(totals)
                raise
            # Both stay usable without a name, which goes with the folder here.
            page, control = _open_page(process), _open_control(process)
        return cls(process, page, control, totals)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def page(self) -> StatsPage | None:
        """Its counters, while it runs and after; None where it ended before they could be opened."""
        return self._page

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """One command over the control socket. ControlError where it is refused, or the tool has ended."""
        if self._control is None:
            raise ControlError(f"{command}: {self.TOOL} has ended")
        with self._speaking:
            return self._control.ask(command, **arguments)

    def summary_now(self) -> dict[str, Any]:
        """The totals so far, as the summary at the end has them. ControlError as `ask`."""
        answer = self.ask("stats")
        stats = answer.get("stats", answer)
        return {key: value for key, value in stats.items() if key != "ok"}

    def stop(self) -> None:
        """Asks it to end gracefully, by SIGTERM, and returns at once; `summary` waits for the end."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, as a crash would; what it did not report is lost."""
        self._process.kill()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended, after waiting for that at most timeout_s."""
        with contextlib.suppress(ToolError):
            self._process.wait(timeout_s)
        return not self.running

    def words(self) -> list[str]:
        """The lines that it has written to standard error since the last call."""
        ended = not self.running
        new = self._process.stderr_from(self._words_read)
        whole = new if ended else new[: new.rfind(b"\n") + 1]
        self._words_read += len(whole)
        return whole.decode("utf-8", "replace").splitlines()

    def summary(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Waits for the end and returns the totals. ToolError where it failed, still runs after timeout_s, or
        gave none."""
        self._process.finish(timeout_s)
        totals = self.totals()
        if totals is None:
            raise ToolError(f"{self.TOOL} gave no totals. {self._process.stderr_text()}")
        return totals

    def totals(self) -> dict[str, Any] | None:
        """What a tool that has ended, also one that failed, gave as its totals; None where it gave none."""
        with os.fdopen(os.dup(self._totals), "rb") as file:
            file.seek(0)
            text = file.read()
        try:
            totals = json.loads(text)
        except ValueError:
            return None
        return totals if isinstance(totals, dict) else None

    def close(self) -> None:
        """Ends the tool if it still runs, and lets go of everything. May be called again."""
        with self._process:
            pass
        if self._control is not None:
            self._control.close()
        if self._page is not None:
            self._page.close()
            self._page = None
        if self._totals >= 0:
            os.close(self._totals)
            self._totals = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def text_in_memory(text: str) -> Iterator[int]:
    """A descriptor to hand to a child that reads the text as /dev/fd/N."""
    fd = os.memfd_create("haechi-document")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(text.encode())
        yield fd
    finally:
        os.close(fd)


def _open_page(process: Process) -> StatsPage | None:
    try:
        return process.stats()
    except (StatsError, OSError):
        return None


def _open_control(process: Process) -> ControlClient | None:
    try:
        return process.control()
    except ControlError:
        return None


def taken(of: type[Any], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The fields of a dataclass out of a tool's totals; ToolError where one is missing."""
    names = [field.name for field in dataclasses.fields(of)]
    missing = [name for name in names if name not in values]
    if missing:
        raise ToolError(f"{what} lack {', '.join(missing)}; the tools are of another version: run `make`")
    return {name: values[name] for name in names}

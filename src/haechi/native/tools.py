"""The core's executables: where they are, and a handle that starts one, waits until it is ready, and never
leaves it behind."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from haechi.native.control import ControlClient, ControlError
from haechi.native.stats import StatsError, StatsPage

_STDERR_KEPT_BYTES = 64 << 10
_WRONG_USAGE = 2


class ToolError(Exception):
    """A tool is not there, would not start, or ended otherwise than it should; says what to do about it."""


class ToolRefusedError(ToolError):
    """A tool did not accept its configuration; str() is what it said."""


def tool_path(name: str) -> Path:
    """The executable beside the package (haechi/bin/), else in the build folder that $HAECHI_BUILD names."""
    installed = Path(__file__).resolve().parent.parent / "bin" / name
    looked = [installed]
    if build := os.environ.get("HAECHI_BUILD"):
        looked += [Path(build) / "core" / "tools" / name, Path(build) / name]
    for path in looked:
        if os.access(path, os.X_OK) and path.is_file():
            return path
    places = ", ".join(str(path) for path in looked)
    raise ToolError(
        f"{name} is not built: not at {places}. Run `make`, or set HAECHI_BUILD to a build folder."
    )


def onnxruntime_library() -> Path:
    """libonnxruntime.so of the installed onnxruntime wheel. The package is found but not imported: the tools
    load the library themselves."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError("the Python package onnxruntime is not installed; `make` installs it")
    for location in spec.submodule_search_locations:
        found = sorted(Path(location).glob("capi/libonnxruntime.so*"))
        if found:
            return found[-1]
    raise ToolError(f"no libonnxruntime.so in {', '.join(spec.submodule_search_locations)}/capi")


def config_in_memory(config: Mapping[str, Any]) -> int:
    """A file descriptor with the configuration as JSON in it, as text_in_memory gives it."""
    return text_in_memory(json.dumps(config, indent=1))


def text_in_memory(text: str) -> int:
    """A file descriptor with a text in it, for a child to open as /dev/fd/N: it has no name that could be
    left behind or read by another user."""
    fd = os.memfd_create("haechi-config", 0)
    os.set_inheritable(fd, True)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def run_in_foreground(
    tool: str, config: Mapping[str, Any], *, pass_fds: Sequence[int] = ()
) -> tuple[int, dict[str, Any]]:
    """Runs a tool to its end with this process's standard streams; its exit status, and the totals it gave
    (empty where it gave none). SIGTERM is passed on; SIGINT comes to it from the terminal as well. pass_fds
    are descriptors that the configuration names as /dev/fd/N."""
    totals = os.memfd_create("haechi-summary")
    fd = config_in_memory({**config, "summary": f"/dev/fd/{totals}"})
    process: subprocess.Popen[bytes] | None = None
    came_early = False

    def take(number: int, _: object) -> None:
        nonlocal came_early
        if process is None:
            came_early = True  # there is no tool yet that could have had it
        elif number == signal.SIGTERM:
            process.terminate()

    # Handlers of Python's own are not inherited, as an ignored signal would be.
    before = {number: signal.signal(number, take) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        process = subprocess.Popen(
            [tool_path(tool), "--config", f"/dev/fd/{fd}"], pass_fds=[fd, totals, *pass_fds]
        )
        if came_early:
            process.terminate()
        status = process.wait()
    finally:
        os.close(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        with os.fdopen(totals, "rb") as file:
            file.seek(0)
            text = file.read()
    return (status if status >= 0 else 128 - status), (json.loads(text) if text else {})


def read_summary(stderr: str) -> dict[str, Any]:
    """The totals that a tool with `"summary": "-"` writes as its last line, or ToolError."""
    last = stderr.rstrip().rpartition("\n")[2]
    try:
        summary = json.loads(last)
    except ValueError:
        summary = None
    if not isinstance(summary, dict):
        raise ToolError(f"the tool gave no totals; its last words were: {last[:200]!r}")
    return summary


class Process:
    """A running tool. Ends with its `with` block, and with the thread that started it (which it asks of the
    kernel itself, see parent.h), so that a killed Python leaves none behind."""

    def __init__(
        self, process: subprocess.Popen[bytes], config: Mapping[str, Any], stderr: IO[bytes]
    ) -> None:
        self._process = process
        self._config = config
        self._stderr = stderr

    @classmethod
    def start(
        cls,
        tool: str,
        config: Mapping[str, Any],
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        ready_s: float = 30.0,
        pass_fds: Sequence[int] = (),
    ) -> Self:
        """Starts a tool with a configuration and waits until it answers on its control socket (or, where the
        configuration names none, until its stats page is there; where neither, not at all). A tool that has
        ended by then with status 0 had little to do and counts as ready. pass_fds are descriptors that the
        configuration names as /dev/fd/N. ToolError with what it said on standard error."""
        path = tool_path(tool)
        fd = config_in_memory(config)
        stderr = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the process)
        try:
            process = subprocess.Popen(
                [path, "--config", f"/dev/fd/{fd}"],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[fd, *pass_fds],
                env={**os.environ, "HAECHI_PARENT": str(os.getpid())},
            )
        except BaseException:
            stderr.close()
            raise
        finally:
            os.close(fd)
        handle = cls(process, config, stderr)
        try:
            handle._wait_until_ready(ready_s)
        except BaseException:
            handle.stop(timeout_s=1.0)
            raise
        return handle

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def name(self) -> str:
        return Path(os.fsdecode(self._process.args[0])).name  # type: ignore[index,arg-type]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stderr_text(self) -> str:
        """The end of what the tool wrote to standard error so far."""
        end = os.fstat(self._stderr.fileno()).st_size
        return self.stderr_from(max(0, end - _STDERR_KEPT_BYTES)).decode("utf-8", "replace")

    def stderr_from(self, offset: int) -> bytes:
        """What it wrote to standard error from a byte on, at most 64 KB of it. The place that the tool writes
        at is shared with this process, so it is read without moving it."""
        return os.pread(self._stderr.fileno(), _STDERR_KEPT_BYTES, offset)

    def control(self, timeout_s: float = 10.0) -> ControlClient:
        """A new connection to the control socket that the configuration names."""
        return ControlClient(self._config["control_socket"], timeout_s)

    def stats(self) -> StatsPage:
        """The stats page that the configuration names."""
        return StatsPage(self._config["stats_page"])

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit status. ToolError when it still runs after timeout_s; it then goes on running."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError(f"{self.name} (process {self.pid}) still runs after {timeout_s} s") from None

    def finish(self, timeout_s: float | None = None) -> str:
        """Waits for the end and returns standard error's text; ToolError where the status is not 0."""
        status = self.wait(timeout_s)
        if status != 0:
            raise self._failure(status)
        return self.stderr_text()

    def stop(self, timeout_s: float = 10.0) -> int:
        """Asks with SIGTERM, insists with SIGKILL after timeout_s; the exit status (negative: a signal's)."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def terminate(self) -> None:
        """Asks it to end, with SIGTERM, and returns at once."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL at once, as a crash would; for tests of what survives one."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._stderr.close()

    def _wait_until_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        pause_s = 0.002
        while not self._is_ready():
            status = self._process.poll()
            if status is not None:
                if status != 0:
                    raise self._failure(status)
                return
            if time.monotonic() > deadline:
                raise ToolError(f"{self.name} is not ready after {timeout_s} s. {self._last_words()}")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.1)

    def _is_ready(self) -> bool:
        try:
            if "control_socket" in self._config:
                with self.control() as control:
                    control.ask("stats")
            elif "stats_page" in self._config:
                with self.stats() as page:
                    return page.pid == self.pid
        except (ControlError, StatsError, FileNotFoundError):
            return False
        return True

    def _failure(self, status: int) -> ToolError:
        if status == _WRONG_USAGE and (said := self.stderr_text().strip()):
            return ToolRefusedError(said.replace(f"{self.name}: ", ""))
        return ToolError(self._ended(status))

    def _ended(self, status: int) -> str:
        how = f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
        return f"{self.name} ended with {how}. {self._last_words()}"

    def _last_words(self) -> str:
        lines = self.stderr_text().strip().splitlines()
        return "\n".join(lines[-5:]) if lines else "It said nothing on standard error."

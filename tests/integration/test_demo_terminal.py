"""The demo as somebody at a terminal has it: watched while it runs, there afterwards, ended by Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.serve_room import alive, until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
CTRL_C = b"\x03"
SMALL = """
import os
import sys
from haechi.bench import loop
from haechi.cli.main import main
from haechi.demo import run
from tests.conftest import QUICK
loop.TRAIN_LINES, loop.TRAIN_EPS, loop.TRAINING, loop.ANOMALY_RATE, run.PORTS = 30_000, 5_000, QUICK, 0.02, 4
worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
run.FIRST_PORT = 10_000 + (worker % 4 * 25 + os.getpid() % 25) * 100  # several at once
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Terminal:
    """What a program shows on a terminal of its own, read as it comes."""

    process: subprocess.Popen[bytes]
    fd: int
    _shown: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return self._shown.decode("utf-8", "replace")

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def says(self, pattern: str) -> re.Match[str]:
        def said() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            if ended:
                self._reader.join(PATIENCE_S)  # its last words
            found = re.search(pattern, self.text)
            assert found or not ended, self.text
            return found

        found = until(said, PATIENCE_S)
        assert isinstance(found, re.Match)
        return found

    def tools(self) -> list[int]:
        tasks = os.listdir(f"/proc/{self.process.pid}/task")
        found: list[int] = []
        for task in tasks:
            with (
                contextlib.suppress(FileNotFoundError),
                open(f"/proc/{self.process.pid}/task/{task}/children") as f,
            ):
                found += map(int, f.read().split())
        return found

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # what a terminal says when its program has ended
            while piece := os.read(self.fd, 65_536):
                self._shown += piece


def _take_the_terminal() -> None:
    """So that Ctrl-C is a signal, also where whoever runs the tests has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def at_terminal(
    *arguments: str, command: Sequence[str] = (sys.executable, "-c", SMALL)
) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*command, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


def test_watched_while_it_runs_and_after_until_ctrl_c() -> None:
    with at_terminal("demo", "--eps", "3k", "--seconds", "10") as terminal:
        url = terminal.says(r"the dashboard is at (http://127\.0\.0\.1:\d+)")[1]
        with httpx.Client(base_url=url, timeout=30) as client:

            def get(path: str) -> Any:
                answer = client.get(path)
                assert answer.status_code == 200, answer.text
                return answer.json()

            # While it runs.
            storm = until(lambda: next(iter(get("/storms")), None), PATIENCE_S)
            assert storm["settings"]["eps"] == 3000
            until(lambda: get("/storms/storm-1")["metrics"].get("current_eps"))
            assert get("/storms/storm-1")["state"] == "running"
            assert get("/detectors/detector-1")["state"] == "running"

            # Afterwards: the card, the storm that has ended, its alerts, a detector that goes on.
            terminal.says(rf"the dashboard is at {url} , Ctrl-C ends it")
            assert "precision" in terminal.text
            assert "closed: every event" in terminal.text
            assert get("/storms/storm-1")["state"] == "done"
            events = get("/storms/storm-1")["result"]["events"]
            assert 0 < events <= 30_000
            assert get("/detectors/detector-1")["state"] == "running"
            assert until(lambda: get("/alerts")["kept"]) > 0
            assert get("/detectors/detector-1/templates")["lines"] == events
        tools = terminal.tools()
        assert tools
        terminal.type(CTRL_C)
        assert terminal.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in terminal.text
        until(lambda: not any(alive(pid) for pid in tools))
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{url}/health", timeout=5)


def test_ctrl_c_in_the_storm_ends_everything() -> None:
    with at_terminal("demo", "--eps", "3k", "--seconds", "600") as terminal:
        terminal.says(r"the run that counts")
        tools = until(lambda: (found := terminal.tools()) and len(found) == 2 and found, PATIENCE_S)
        terminal.type(CTRL_C)
        status = terminal.process.wait(PATIENCE_S)
        assert status not in (0, -signal.SIGKILL), terminal.text
        assert "Traceback" not in terminal.text
        assert "precision" not in terminal.text
        until(lambda: not any(alive(pid) for pid in tools))


MADE = """#!/usr/bin/env python3
import sys, time
try:
    print("the demo runs", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("the demo has ended")
    sys.exit(int(open("status").read()))
"""


@pytest.mark.parametrize(("status", "makes"), [(0, 0), (3, 2)])
def test_ctrl_c_ends_the_demo_and_leaves_make_its_status(tmp_path: Path, status: int, makes: int) -> None:
    (tmp_path / "status").write_text(str(status))
    for name, text in (("deploy/setup.sh", "#!/bin/sh\n"), (".venv/bin/haechi", MADE)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with at_terminal(command=["make", "-C", str(tmp_path), "-f", str(ROOT / "Makefile"), "demo"]) as terminal:
        terminal.says("the demo runs")
        terminal.type(CTRL_C)
        terminal.says("the demo has ended")
        assert terminal.process.wait(PATIENCE_S) == makes, terminal.text


def test_without_a_dashboard_a_terminal_is_not_kept() -> None:
    with at_terminal("demo", "--no-dashboard", "--eps", "3k", "--seconds", "2") as terminal:
        since = time.monotonic()
        terminal.says("precision")  # first: the end of the process may come before its last words
        assert terminal.process.wait(PATIENCE_S) == 0, terminal.text
        assert time.monotonic() - since < PATIENCE_S
        assert "dashboard" not in terminal.text

"""A control plane in a process of its own, for the tests that need all of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE_S = 60.0
PROGRAM = "import sys; from haechi.cli.main import main; sys.exit(main(sys.argv[1:]))"


def until(holds: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """What `holds` returns, once that is true."""
    deadline = time.monotonic() + patience_s
    while not (value := holds()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


@dataclass
class Serving:
    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    client: httpx.Client

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def said(self) -> str:
        return (self.folder / "stderr").read_text()

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        answer = self.client.post(path, json=body) if body is not None else self.client.post(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def serving(folder: Path, *arguments: object, **settings: Any) -> Iterator[Serving]:
    """On a free port; ends with its block."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "serve.yaml"
    config.write_text(json.dumps({"port": 0, "state": str(folder / "state"), **settings}))
    command = [sys.executable, "-c", PROGRAM, "serve", "--config", str(config), *map(str, arguments)]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder)
    try:

        def listening() -> Any:
            said = (folder / "stderr").read_text()
            assert process.poll() is None, said
            return re.search(r"listening at (\S+)", said)

        url = until(listening)[1]
        with httpx.Client(base_url=url, timeout=PATIENCE_S, verify=False) as client:
            yield Serving(process, url, folder, client)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False

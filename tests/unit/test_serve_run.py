"""A state folder has one server, and what the system refuses is said in a sentence."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from haechi.config.serve import ServeConfig
from haechi.serve.app import make_app
from haechi.serve.keys import Keys
from haechi.serve.plane import Plane
from haechi.serve.run import ServeError, owning

_HOLD = """
import pathlib, sys
from haechi.serve.run import owning
with owning(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_state_folder_has_one_server(tmp_path: Path) -> None:
    with owning(tmp_path), pytest.raises(ServeError, match="in use by another server; --state names another"):
        owning(tmp_path).__enter__()
    with owning(tmp_path):
        pass


def test_a_server_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        with pytest.raises(ServeError, match="in use"):
            owning(tmp_path).__enter__()
        process.kill()
        process.wait()
        with owning(tmp_path):
            pass


def test_a_state_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServeError, match="cannot be opened: Not a directory"):
        owning(tmp_path / "file").__enter__()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_cannot_be_kept_is_said(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = ServeConfig(state=tmp_path)
    plane = Plane(config)

    def refuse(name: str, text: str) -> None:
        raise OSError(number, os.strerror(number), "/secret/place")

    monkeypatch.setattr(plane.trials.shelf, "keep", refuse)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(config, Keys(None, lambda: 0.0), plane=plane))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.put("/scenarios/mine", json={"text": "x"})

    answer = asyncio.run(ask())
    assert answer.status_code == 507
    assert answer.json() == {"detail": f"it could not be done or kept: {os.strerror(number)}"}
    assert "PUT /scenarios/mine" in caplog.text

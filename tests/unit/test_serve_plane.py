"""What the plane does when a second's work goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from haechi.config.serve import ServeConfig
from haechi.serve import plane as planes
from haechi.serve.plane import Plane

PATIENCE_S = 10.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_second_that_fails_is_said_and_the_next_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(planes, "TICK_S", 0.01)

    async def scene() -> Plane:
        plane = Plane(ServeConfig(state=tmp_path))
        whole, seconds = plane._read_host, iter(range(1_000_000))

        def fail_once() -> None:
            if next(seconds) == 0:
                raise KeyError("made up")
            whole()

        monkeypatch.setattr(plane, "_read_host", fail_once)
        async with asyncio.timeout(PATIENCE_S), plane.running():
            await plane.next_tick()
        return plane

    plane = asyncio.run(scene())
    assert plane.failures == 1
    assert "a second's work failed" in caplog.text
    assert not plane.stalled


def test_figures_that_are_old_are_said() -> None:
    clock = Clock()
    plane = Plane(ServeConfig(), clock)
    plane.tick()
    assert not plane.stalled
    clock.now += 6
    assert plane.stalled


def test_the_text_of_a_second_is_made_once() -> None:
    plane = Plane(ServeConfig(), Clock())
    plane.tick()
    assert plane.kpis_text is plane.kpis_text
    assert '"storms":[]' in plane.kpis_text


def test_the_state_folder_is_for_its_owner(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Plane(ServeConfig(state=tmp_path / "state")).running():
            return

    asyncio.run(scene())
    for name in ("alerts", "files"):
        assert (tmp_path / "state" / name).stat().st_mode & 0o077 == 0

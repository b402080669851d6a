"""Trials where they cannot begin, or do not end as they should; their processes are stand-ins."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from haechi.config.serve import ServeConfig
from haechi.serve import fleet, trial_record, trials
from haechi.serve.fleet import RUNNING_MAX, Fleet, FleetError
from haechi.serve.trials import TOOLS_OF_ONE, Trial, Trials

TELLS = """
import json, os, signal, sys, time
fd = int(sys.argv[sys.argv.index("--progress-fd") + 1])
tell = lambda **line: os.write(fd, (json.dumps(line) + "\\n").encode())
"""
DEAF = TELLS + "signal.signal(signal.SIGINT, signal.SIG_IGN); tell(kind='ready'); time.sleep(600)"
WORDY = TELLS + "sys.stderr.write('x' * 100_000 + '\\nhaechi: no such thing\\n'); sys.exit(1)"
ODD = TELLS + (
    "tell(kind='ready'); os.write(fd, b'\\xff\\n{\\n'); tell(kind='step', step=99, state='running')\n"
    "folder = sys.argv[sys.argv.index('-o') + 1]\n"
    "open(folder + '/report.json', 'w').write('{\"format\": 1, \"figures\": {}, \"state\": 7}')"
)


def played(
    folder: Path,
    scene: Callable[[Trials], Awaitable[Any]],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    tools: int = 0,
) -> Any:
    monkeypatch.setattr(trials, "_PROGRAM", program)

    async def play() -> Any:
        all_of_them = Trials(ServeConfig(state=folder), lambda: tools)
        all_of_them.open()
        try:
            async with asyncio.timeout(60):
                return await scene(all_of_them)
        finally:
            await all_of_them.close()

    return asyncio.run(play())


async def ended(trial: Trial) -> Trial:
    assert trial.task is not None
    await trial.task
    return trial


def test_others_leave_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(of: Trials) -> None:
        with pytest.raises(FleetError, match="a trial takes 2 of 16 tools"):
            await of.start("burst", 1, 1)

    played(tmp_path, scene, monkeypatch, "pass", tools=RUNNING_MAX - TOOLS_OF_ONE + 1)
    assert list((tmp_path / "trials").iterdir()) == []


def test_a_trial_counts_among_the_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "RUNNING_MAX", TOOLS_OF_ONE)

    async def scene(of: Trials) -> None:
        assert of.tools_taken == 0
        trial = await of.start("burst", 1, 1)
        assert of.tools_taken == TOOLS_OF_ONE
        tools = Fleet(ServeConfig(state=tmp_path))
        tools.others = lambda: of.tools_taken
        with pytest.raises(FleetError, match="2 tools run already"):
            await tools.start_sink({})
        await of.stop(trial, 0.1)
        await ended(trial)
        assert of.tools_taken == 0

    played(tmp_path, scene, monkeypatch, DEAF)


def test_one_that_does_not_hear_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(of: Trials) -> Trial:
        trial = await of.start("burst", 1, 1)
        with pytest.raises(FleetError, match="still runs"):
            await of.forget(trial)
        await of.stop(trial, 0.3)
        await of.stop(trial, 0.3)
        assert trial.view().state == "stopping"
        return await ended(trial)

    record = played(tmp_path, scene, monkeypatch, DEAF).view()
    assert (record.state, record.exit_code) == ("interrupted", -9)
    assert record.error == "it was ended before there was anything to report"


def test_last_words_are_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(of: Trials) -> Trial:
        return await ended(await of.start("burst", 1, 1))

    record = played(tmp_path, scene, monkeypatch, WORDY).view()
    assert (record.state, record.exit_code) == ("failed", 1)
    assert record.error is not None
    assert record.error.endswith("no such thing")
    assert len(record.error) <= 1000
    kept = json.loads((tmp_path / "trials" / "trial-1" / "trial.json").read_text())
    assert kept["state"] == "failed"


def test_an_odd_report_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(of: Trials) -> Trial:
        return await ended(await of.start("burst", 1, 1))

    record = played(tmp_path, scene, monkeypatch, ODD).view()
    assert (record.state, record.error) == ("failed", "it left no report; its exit status was 0")


def test_a_program_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(of: Trials) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "nosuch"))
        with pytest.raises(FleetError, match="nosuch cannot be started"):
            await of.start("burst", 1, 1)
        assert of.all() == []
        assert of.running is None

    played(tmp_path, scene, monkeypatch, "pass")
    assert list((tmp_path / "trials").iterdir()) == []


def test_a_mistake_at_its_end_ends_it_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(trial_record, "settled", broken)

    async def scene(of: Trials) -> Trial:
        trial = await ended(await of.start("burst", 1, 1))
        assert of.running is None
        return trial

    record = played(tmp_path, scene, monkeypatch, "pass").view()
    assert (record.state, record.error) == ("failed", "its end was not taken: ours")


def test_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(of: Trials) -> list[Any]:
        both = await asyncio.gather(*(of.start("burst", 1, 1) for _ in range(2)), return_exceptions=True)
        assert of.running is not None
        await of.stop(of.running, 0.1)
        return both

    found = played(tmp_path, scene, monkeypatch, DEAF)
    assert [type(one) for one in found] == [Trial, FleetError]

"""Killed at any moment, as often as one likes: every alert is written, and none twice."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from haechi.native.tools import Process
from tests.integration.engine_room import (
    ORDER,
    about,
    judge,
    log_line,
    log_lines,
    make_bundle,
    need_engine,
    read_alerts,
    settings,
)

LINES = 6000
ROUNDS = 14


class Writer:
    """Appends a log's lines in pieces that may end within a line, and rotates it between two lines."""

    def __init__(self, path: Path, lines: list[str], draw: random.Random) -> None:
        self.path = path
        self.left = [line.encode() for line in lines]
        self.part = b""  # the rest of a line that is begun
        self.draw = draw
        self.turned = 0
        path.write_bytes(b"")

    def write(self, count: int) -> None:
        text = self.part + b"".join(self.left[:count])
        self.left = self.left[count:]
        keep = self.draw.randrange(20) if self.left else 0
        self.part = text[len(text) - keep :]
        with self.path.open("ab", buffering=0) as file:
            file.write(text[: len(text) - keep])

    def _finish_line(self) -> None:
        with self.path.open("ab", buffering=0) as file:
            file.write(self.part)
        self.part = b""

    def _old_name(self) -> Path:
        self.turned += 1
        return self.path.with_name(f"{self.path.name}.{self.turned}")

    def rename(self) -> None:
        self._finish_line()
        self.path.rename(self._old_name())
        self.path.write_bytes(b"")

    def copy_and_truncate(self) -> None:
        self._finish_line()
        shutil.copyfile(self.path, self._old_name())
        os.truncate(self.path, 0)


def crash_again_and_again(
    bundle: Path,
    folder: Path,
    seed: int,
    workers: Callable[[int], int],
    rotate: Callable[[Writer], None] | None,
    rotate_when_running: bool,
    rounds: int = ROUNDS,
    **more: Any,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The alerts after the last restart, and the lines that were written. more: settings of the engine."""
    draw = random.Random(seed)
    lines = list(log_lines(LINES, seed))
    writer = Writer(folder / "app.log", list(lines), draw)
    config = settings(
        bundle,
        folder,
        [writer.path],
        follow=True,
        poll_ms=20,
        rotate_wait_ms=300,
        checkpoint={"path": str(folder / "checkpoint"), "interval_s": 0.05},
        stats_page=str(folder / "stats"),
        **more,
    )
    for turn in range(rounds):
        with Process.start("haechi-detect", {**config, "workers": workers(turn)}) as engine:
            for _ in range(draw.randrange(1, 8)):
                writer.write(LINES // rounds // 8 + draw.randrange(60))
                # Before it first said so, nobody knows that it was to read the file.
                if rotate and rotate_when_running and draw.random() < 0.15 and has_position(folder):
                    rotate(writer)
                time.sleep(draw.random() * 0.04)
            engine.kill()
        writer.write(draw.randrange(80))
        known = has_position if rotate_when_running else has_begun
        if rotate and draw.random() < 0.4 and known(folder):
            rotate(writer)
    with Process.start("haechi-detect", {**config, "workers": workers(rounds)}) as engine:
        writer.write(len(writer.left))
        wait_until_quiet(engine, folder)
        assert engine.stop() == 0, engine.stderr_text()
    return read_alerts(folder / "alerts.jsonl"), lines


def has_position(folder: Path) -> bool:
    return (folder / "checkpoint").exists()


def has_begun(folder: Path) -> bool:
    """Whether the checkpoint knows the head of a file: without, its copy cannot be told from others."""
    return has_position(folder) and b'"fingerprint":"0:' not in (folder / "checkpoint").read_bytes()


def wait_until_quiet(engine: Process, folder: Path, still_s: float = 0.8, timeout_s: float = 20.0) -> None:
    """Nothing read and nothing written for a while."""
    deadline = time.monotonic() + timeout_s
    seen, since = (-1, -1), time.monotonic()
    with engine.stats() as page:
        while time.monotonic() - since < still_s:
            assert engine.running, engine.stderr_text()
            assert time.monotonic() < deadline, "it never became quiet"
            now = (page.value("source_bytes"), (folder / "alerts.jsonl").stat().st_size)
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.02)


def restarted(bundle: Path, folder: Path, lines: Sequence[str], crew: Sequence[int]) -> list[dict[str, Any]]:
    """The alerts of runs one after the other, each with another number of workers and a part of the lines,
    stopped by TERM and going on from the checkpoint."""
    log = folder / "app.log"
    log.write_bytes(b"")
    step = len(lines) // len(crew) + 1
    for part, workers in enumerate(crew):
        config = settings(
            bundle,
            folder,
            [log],
            follow=True,
            workers=workers,
            checkpoint={"path": str(folder / "checkpoint"), "interval_s": 3600},
            stats_page=str(folder / "stats"),
        )
        with Process.start("haechi-detect", config) as engine:
            with log.open("a") as file:
                file.writelines(lines[part * step : part * step + step])
            wait_until_quiet(engine, folder, still_s=0.3)
            os.kill(engine.pid, signal.SIGTERM)
            assert engine.wait(10) == 0, engine.stderr_text()
    return read_alerts(folder / "alerts.jsonl")


def assert_as_undisturbed(
    bundle: Path, folder: Path, alerts: list[dict[str, Any]], lines: list[str], **more: Any
) -> None:
    whole = folder / "whole.log"
    whole.write_text("".join(lines))
    want = Counter(about(alert) for alert in judge(bundle, folder / "undisturbed", [whole], **more).alerts)
    got = Counter(about(alert) for alert in alerts)
    assert len(want) > 20
    assert not want - got, f"missing: {list(want - got)[:3]}"
    assert not got - want, f"twice, or never due: {list(got - want)[:3]}"
    assert len({alert["id"] for alert in alerts}) == len(alerts)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("workers", [1, 3])
def test_killed_while_following(workers: int, seed: int, engine_bundle: Path, tmp_path: Path) -> None:
    alerts, lines = crash_again_and_again(engine_bundle, tmp_path, seed, lambda _: workers, None, False)
    assert_as_undisturbed(engine_bundle, tmp_path, alerts, lines)
    log = tmp_path / "app.log"
    assert log.read_text() == "".join(lines)
    again = judge(engine_bundle, tmp_path / "again", [log])
    assert sorted(again.ids) == sorted(alert["id"] for alert in alerts)


@pytest.mark.parametrize("seed", [3, 4])
def test_workers_change_between_crashes(seed: int, engine_bundle: Path, tmp_path: Path) -> None:
    alerts, lines = crash_again_and_again(
        engine_bundle, tmp_path, seed, lambda turn: (1, 3, 2, 5)[turn % 4], None, False
    )
    assert_as_undisturbed(engine_bundle, tmp_path, alerts, lines)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_renamed_between_crashes(seed: int, workers: int, engine_bundle: Path, tmp_path: Path) -> None:
    alerts, lines = crash_again_and_again(
        engine_bundle, tmp_path, seed, lambda _: workers, Writer.rename, rotate_when_running=True
    )
    assert_as_undisturbed(engine_bundle, tmp_path, alerts, lines)


@pytest.mark.parametrize("seed", [8, 9])
def test_truncated_between_crashes(seed: int, engine_bundle: Path, tmp_path: Path) -> None:
    """Only while the engine is down: what a running one has not read before a truncation is gone for all."""
    alerts, lines = crash_again_and_again(
        engine_bundle, tmp_path, seed, lambda _: 1, Writer.copy_and_truncate, rotate_when_running=False
    )
    assert_as_undisturbed(engine_bundle, tmp_path, alerts, lines)


def test_another_bundle_after_a_stop(engine_bundle: Path, tmp_path: Path) -> None:
    """Open sessions go on with the next bundle's log keys: the templates' texts say which is which."""
    lines = list(log_lines(3000, seed=31))
    other = make_bundle(tmp_path / "bundles", created="2026-02-02T00:00:00Z", more_messages=True).path
    log = tmp_path / "app.log"
    log.write_bytes(b"")
    more: dict[str, Any] = {"checkpoint": {"path": str(tmp_path / "checkpoint")}}
    for turn in range(10):
        with log.open("a") as file:
            file.writelines(lines[turn * 300 : turn * 300 + 300])
        bundle = (engine_bundle, other)[turn % 2]
        ran = judge(bundle, tmp_path, [log], workers=1 + turn % 3, **more)
        assert ran.status == 0, ran.stderr
        assert ran.totals["lines"] == 300
    got = Counter(sameness(alert) for alert in ran.alerts)
    whole = judge(engine_bundle, tmp_path / "whole", [log])
    assert got == Counter(sameness(alert) for alert in whole.alerts)
    assert {alert["bundle"] for alert in ran.alerts} == {engine_bundle.name, other.name}


def sameness(alert: dict[str, Any]) -> tuple[Any, ...]:
    return alert["id"], alert["rule"], alert["session"], alert["time"], alert["template"]


def test_sources_change_after_a_stop(engine_bundle: Path, tmp_path: Path) -> None:
    """A session ends in a run that no longer reads its file: reported all the same, under its own name."""
    logs = [tmp_path / name for name in ("a.log", "b.log", "c.log")]
    for n, log in enumerate(logs):
        log.write_text(log_line(n * 0.1, n + 1, ORDER[0].format(n=n)))
    more: dict[str, Any] = {"checkpoint": {"path": str(tmp_path / "checkpoint")}}
    assert judge(engine_bundle, tmp_path, logs, **more).alerts == []
    with logs[2].open("a") as file:
        file.writelines(log_line(at, 9, ORDER[0].format(n=9)) for at in (200, 400))
    ran = judge(engine_bundle, tmp_path, [logs[2], logs[1]], **more)
    assert ran.status == 0, ran.stderr
    lines = {alert["session"]: alert["lines"][0] for alert in ran.alerts}
    assert {name: line["source"] for name, line in lines.items()} == {
        "web1 1": "",  # gone
        "web1 2": str(logs[1]),
        "web1 3": str(logs[2]),
        "web1 9": str(logs[2]),
    }
    assert lines["web1 1"]["text"] is None
    assert lines["web1 2"]["text"].endswith("open request 1")


def test_killed_before_the_first_interval(engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    """The first checkpoint is made before the first line: a crash after the first alerts repeats none."""
    more: dict[str, Any] = {"checkpoint": {"path": str(tmp_path / "checkpoint"), "interval_s": 3600}}
    config = settings(
        engine_bundle, tmp_path, [engine_log], follow=True, stats_page=str(tmp_path / "stats"), **more
    )
    for _ in range(3):
        with Process.start("haechi-detect", config) as engine:
            wait_until_quiet(engine, tmp_path, still_s=0.3)
            engine.kill()
    alerts = read_alerts(tmp_path / "alerts.jsonl")
    want = judge(engine_bundle, tmp_path / "once", [engine_log])
    assert sorted(alert["id"] for alert in alerts) == sorted(want.ids)


def test_lines_without_times(tmp_path: Path) -> None:
    """An id does not depend on when the line arrived."""
    need_engine()
    bundle = make_bundle(
        tmp_path / "bundles", parser={"format": "plain"}, session={"by": "all", "fields": []}
    ).path
    log = tmp_path / "plain.log"
    log.write_text("".join(f"strange thing {'x' * n}\nopen request {n}\n" for n in range(1, 30)))
    more: dict[str, Any] = {"checkpoint": {"path": str(tmp_path / "checkpoint"), "interval_s": 3600}}
    config = settings(bundle, tmp_path, [log], follow=True, stats_page=str(tmp_path / "stats"), **more)
    for _ in range(3):
        with Process.start("haechi-detect", config) as engine:
            wait_until_quiet(engine, tmp_path, still_s=0.3)
            engine.kill()
    ids = [alert["id"] for alert in read_alerts(tmp_path / "alerts.jsonl")]
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_stopped_and_started_again(workers: int, engine_bundle: Path, tmp_path: Path) -> None:
    """SIGTERM while following: a checkpoint, status 0, and the next run goes on from there."""
    lines = list(log_lines(3000, seed=11))
    log = tmp_path / "app.log"
    log.write_bytes(b"")
    checkpoint = tmp_path / "checkpoint"
    config = settings(
        engine_bundle,
        tmp_path,
        [log],
        follow=True,
        workers=workers,
        checkpoint={"path": str(checkpoint), "interval_s": 3600},
        stats_page=str(tmp_path / "stats"),
    )
    total = 0
    for part in range(3):
        with Process.start("haechi-detect", config) as engine:
            with log.open("a") as file:
                file.writelines(lines[part * 1000 : part * 1000 + 1000])
            wait_until_quiet(engine, tmp_path, still_s=0.3)
            before = checkpoint.stat().st_mtime_ns
            with engine.stats() as page:
                total += page.value("lines")
            os.kill(engine.pid, signal.SIGTERM)
            assert engine.wait(10) == 0, engine.stderr_text()
            assert checkpoint.stat().st_mtime_ns > before
    assert total == 3000
    assert not list(tmp_path.glob("checkpoint.new"))
    assert_as_undisturbed(engine_bundle, tmp_path, read_alerts(tmp_path / "alerts.jsonl"), lines)


def test_from_the_end_once(engine_bundle: Path, tmp_path: Path) -> None:
    """from_end means the first start: what came while the engine was down is read by the next one."""
    lines = list(log_lines(900, seed=12))
    log = tmp_path / "app.log"
    log.write_text("".join(lines[:300]))
    config = settings(
        engine_bundle,
        tmp_path,
        [log],
        follow=True,
        from_end=True,
        checkpoint={"path": str(tmp_path / "checkpoint"), "interval_s": 3600},
        stats_page=str(tmp_path / "stats"),
    )
    with Process.start("haechi-detect", config) as engine:
        wait_until_quiet(engine, tmp_path, still_s=0.3)
        engine.kill()
    with log.open("a") as file:
        file.writelines(lines[300:600])
    with Process.start("haechi-detect", config) as engine:
        wait_until_quiet(engine, tmp_path, still_s=0.3)
        with log.open("a") as file:
            file.writelines(lines[600:])
        wait_until_quiet(engine, tmp_path, still_s=0.3)
        with engine.stats() as page:
            assert page.value("lines") == 600
        assert engine.stop() == 0


def test_one_checkpoint_serves_one_engine(engine_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("".join(log_lines(200, seed=41)))
    more: dict[str, Any] = {"checkpoint": {"path": str(tmp_path / "checkpoint"), "interval_s": 0.05}}
    following = settings(engine_bundle, tmp_path, [log], follow=True, **more)
    with Process.start("haechi-detect", following) as first:
        deadline = time.monotonic() + 20
        while not (tmp_path / "checkpoint").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        second = judge(engine_bundle, tmp_path / "second", [log], **more)
        assert second.status == 2
        assert "in use by another engine" in second.stderr
        assert first.stop() == 0
    assert judge(engine_bundle, tmp_path, [log], **more).status == 0

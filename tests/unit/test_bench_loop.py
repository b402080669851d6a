"""`haechi bench loop` in small: the figures' names, the search for the highest rate, and delays."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from haechi.bench import fire, loop
from haechi.bench.fire import Follower
from haechi.bench.loop import Found, delays, highest, quantile, search, training_config, with_undecided
from haechi.bundle.manifest import Other
from haechi.bundle.store import write
from haechi.trial.records import Alert, Episode
from haechi.trial.score import score
from tests.conftest import QUICK, Ran
from tests.integration.engine_room import make_bundle

NAMES = {
    *("run_eps", "sent", "received", "received_eps", "loss_ratio", "precision", "recall", "f1", "episodes"),
    *("time_to_detect_p50_ms", "time_to_detect_p95_ms", "time_to_detect_p99_ms"),
    *("detect_cpu_cores", "storm_cpu_cores", "rss_mb"),
    *("false_alarms_per_million", "ml_ratio", "stage1_p99_us", "stage2_p99_ms"),
}


def test_the_last_line_is_numbers_under_stable_names(
    haechi: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TRAIN_LINES", 30_000)
    monkeypatch.setattr(loop, "TRAIN_EPS", 5_000)
    monkeypatch.setattr(loop, "TRAINING", QUICK)
    monkeypatch.setattr(loop, "ANOMALY_RATE", 0.05)
    before = set(os.listdir("/dev/shm"))
    options = "--eps 3k --seconds 4 --ports 4 --at asked --json"
    ran = haechi("bench", "loop", *options.split())
    assert ran.status == 0, ran.err
    figures = json.loads(ran.out.splitlines()[-1])
    assert figures.keys() >= NAMES
    assert all(isinstance(value, int | float) for value in figures.values())
    assert 0 < figures["received"] <= figures["sent"]
    assert figures["loss_ratio"] == pytest.approx(1 - figures["received"] / figures["sent"], abs=1e-6)
    assert figures["episodes"] > 0
    assert 0 < figures["found"] <= figures["episodes"]
    assert figures["alert_delay_p99_ms"] <= figures["time_to_detect_p99_ms"]
    assert 0 < figures["time_to_detect_p50_ms"] <= figures["time_to_detect_p99_ms"] < 60_000
    assert "as the bundle has no detector for them" in ran.err
    assert set(os.listdir("/dev/shm")) <= before


@pytest.mark.parametrize(
    ("limit", "low", "high", "first", "found"),
    [
        (9e6, 0.0, 4e6, None, (4e6, 4e6)),
        (1e6, 0.0, 4e6, None, (0.95e6, 1e6)),
        (1e6, 0.0, 4e6, 0.98e6, (0.95e6, 1e6)),
        (3.99e6, 3.9e6, 4e6, None, (3.9e6, 3.9e6)),  # near enough already
        (0.0, 0.0, 4e6, None, (0.0, 0.0)),
        (5.0, 0.0, 10.0, None, (4.7, 5.0)),  # rates too small to be rounded to thousands
    ],
)
def test_the_highest_rate_is_found_by_bisection(
    limit: float, low: float, high: float, first: float | None, found: tuple[float, float]
) -> None:
    asked: list[float] = []

    def carries(eps: float) -> bool:
        asked.append(eps)
        return eps <= limit

    assert found[0] <= highest(carries, low, high, first) <= found[1]
    assert len(asked) <= loop.TRIES + 1


def trial(loss_ratio: float, backlog_s: float = 0.0, rate_error_ratio: float = 0.0, eps: float = 1e6) -> Any:
    return SimpleNamespace(
        loss_ratio=loss_ratio,
        backlog_s=backlog_s,
        received_eps=eps,
        sent=SimpleNamespace(rate_error_ratio=rate_error_ratio),
    )


@pytest.mark.parametrize(
    ("of", "allowed", "carried"),
    [
        (trial(0.0), 0.0, True),
        (trial(0.004), 0.0, False),
        (trial(0.004), 0.005, True),
        (trial(0.0, backlog_s=1.0), 0.005, False),  # buffers hide for a while what is not carried
        (trial(0.0, rate_error_ratio=-0.02), 0.0, False),  # the storm did not send at its rate
    ],
)
def test_what_carried_means(of: Any, allowed: float, carried: bool) -> None:
    assert loop.carried(of, allowed) is carried


def test_ndr_and_pdr_share_their_trials() -> None:
    tried: list[float] = []

    def run(eps: float) -> Any:
        tried.append(eps)
        lost = 0.0 if eps <= 2e6 else 0.003 if eps <= 2.5e6 else 0.2
        return trial(lost, eps=min(eps, 2.2e6))

    found = search(4e6, run, lambda text: None)
    assert 0.9 * 2e6 <= found.ndr_eps <= 2e6 <= found.pdr_eps <= 2.5e6
    assert not found.at_least
    assert len(tried) == len(set(tried))
    assert search(1e6, run, lambda text: None) == Found(1e6, 1e6, at_least=True)


@pytest.mark.parametrize(
    ("at", "found", "eps"),
    [
        ("asked", None, 4e6),
        ("auto", Found(4e6, 4e6, at_least=True), 4e6),
        ("auto", Found(2e6, 3e6, at_least=False), loop.OF_NDR * 2e6),
        ("ndr", Found(4e6, 4e6, at_least=True), loop.OF_NDR * 4e6),
        ("ndr", Found(2e6, 3e6, at_least=False), loop.OF_NDR * 2e6),
        ("auto", Found(0.0, 0.0, at_least=False), 4e6),  # nothing was carried: at least it is seen how
    ],
)
def test_the_rate_of_the_run_that_counts(at: loop.At, found: Found | None, eps: float) -> None:
    settings = loop.LoopSettings(eps=4e6, seconds=20, trial_seconds=3, at=at)
    assert loop.counted_eps(settings, found) == eps


def test_a_follower_notes_when_each_line_was_there(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    path.touch()
    follower = Follower(path)
    with follower.following(), path.open("ab", buffering=0) as file:
        begun = time.time()
        file.write(b"one\ntwo\nhalf")
        deadline = time.monotonic() + 10
        while len(follower.seen_s) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        middle = time.time()
        file.write(b" a line\n")
    first, second, third = follower.seen_s
    assert begun <= first == second <= middle <= third


def episode(session: str, first_s: float, last_s: float, kind: str = "step_skipped", **more: Any) -> Episode:
    return Episode(f"{session}@{first_s}", kind, None, session, first_s, last_s, 3, **more)


def alert(session: str, time_s: float) -> Alert:
    return Alert(f"{session}@{time_s}", time_s, session, "deeplog", {})


def test_delays_are_of_the_clock_that_the_storm_was_on() -> None:
    episodes = [
        episode("a", 100, 101),
        episode("b", 100, 101),
        episode("c", 100, 101, "value_out_of_range"),
        episode("d", 100, 101, loop.UNDECIDED),
    ]
    alerts = [alert("b", 100.25), alert("a", 100.5), alert("a", 100.75), alert("c", 100), alert("d", 100)]
    # Lines say 100 when it is 107.
    seen_s = [107.5, 108, 109, 108, 108]
    left_out = ("value_out_of_range", loop.UNDECIDED)
    assert delays(alerts, seen_s, episodes, 7.0, left_out) == [(0.5, 0.25), (1.0, 0.5)]


def test_episodes_without_time_to_show_are_undecided() -> None:
    episodes = [
        episode("a", 1, 5),
        episode("b", 1, 5, complete=False),
        episode("c", 1, 9),
        episode("d", 1, 9, "host_silence"),
        episode("e", 8.5, 9, "host_silence", complete=False),
        episode("f", 1, 9, "message_burst"),
    ]
    kinds = [e.kind for e in with_undecided(episodes, 8, ["message_burst"])]
    assert kinds[:3] == ["step_skipped", loop.UNDECIDED, loop.UNDECIDED]
    assert kinds[3:] == ["host_silence", loop.UNDECIDED, "message_burst"]


def test_a_session_that_an_undecided_silence_broke_off_is_no_false_alarm() -> None:
    silence = Episode("a", "host_silence", None, "", 9.5, 9.9, 0, "h1")
    alert = Alert("x", 9.0, "h1 kernel", "deeplog", {})
    found = score([alert], with_undecided([silence], 8.5, []), loop.GRACE_S, (loop.UNDECIDED,))
    assert (found.false_sessions, found.episodes) == (0, 0)


def test_a_kind_counts_where_the_bundle_has_a_detector_for_it(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, deeplog=None)
    assert set(loop.unscored_kinds(bundle.path)) == set(loop.DETECTOR_OF)
    manifest = bundle.manifest.model_copy(
        update={"detectors": (*bundle.manifest.detectors, Other(name="rates"))}
    )
    files = {name: bundle.file(name) for name in manifest.files}
    assert loop.unscored_kinds(write(tmp_path / "rates", manifest, files).path) == ("value_out_of_range",)


@pytest.mark.parametrize(("percent", "value"), [(50, 2), (95, 4), (99, 4), (1, 1)])
def test_quantiles(percent: int, value: float) -> None:
    assert quantile([1, 2, 3, 4], percent) == value
    assert quantile([], percent) is None


@pytest.mark.parametrize(
    ("eps", "ports", "most"), [(1000, 4, 131_072), (1e6, 4, 131_072), (4e6, 4, 1 << 19), (4e6, 40, 1 << 23)]
)
def test_sessions_have_room_at_the_rate(eps: float, ports: int, most: int) -> None:
    settings = loop.LoopSettings(eps=eps, seconds=20, trial_seconds=3, ports=ports)
    session = training_config(settings).session
    assert session.max_open == most
    assert isinstance(session.idle_s, float | int)
    assert session.max_open >= settings.sessions(eps) + eps * 0.4 * session.idle_s


def test_a_detector_that_cannot_start_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from haechi.native.tools import ToolError

    monkeypatch.setattr(fire, "SETTLE_S", 0.0)
    with pytest.raises(ToolError, match="none"):
        fire.fire(tmp_path / "none", {"eps": 1000, "duration": 1}, tmp_path, "20000-20001")
    assert not (tmp_path / "truth.jsonl").exists()

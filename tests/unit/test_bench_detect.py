"""`haechi bench detect` in small: the numbers' names, and how latencies are counted."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from haechi.bench import detect as bench
from haechi.bench import latency
from haechi.bench.drain3 import mine_rate
from haechi.bench.latency import Burst, Latencies
from tests.conftest import QUICK, Ran

NAMES = {"lines_per_s", "rss_mb", "memo_hit_ratio", "ml_ratio", "alert_p99_ms"}


def test_the_last_line_is_numbers_under_stable_names(
    haechi: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "TRAIN_LINES", 10_000)
    monkeypatch.setattr(bench, "FOLLOWED_EPS", 5_000)
    monkeypatch.setattr(bench, "FOLLOWED_S", 2)
    monkeypatch.setattr(bench, "COMPARED_LINES", 500)
    monkeypatch.setattr(bench, "TRAINING", QUICK)
    before = set(os.listdir("/dev/shm"))
    ran = haechi("bench", "detect", "--lines", "20000", "--repeats", "2", "--json")
    assert ran.status == 0, ran.err
    numbers = json.loads(ran.out.splitlines()[-1])
    assert numbers.keys() >= NAMES
    assert all(isinstance(value, int | float) for value in numbers.values())
    assert numbers["lines_per_s_min"] <= numbers["lines_per_s"] <= numbers["lines_per_s_max"]
    assert numbers["memo_hit_ratio"] + numbers["ml_ratio"] <= 1.001
    assert set(os.listdir("/dev/shm")) <= before


def test_a_machine_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(bench.BenchError, match="GB of room are needed"):
        bench.memory_folder(1)


def test_without_drain3_there_is_no_ratio(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    run = bench.Run(
        {
            "lines_per_s": 5.0,
            "memo_hit_ratio": 1,
            "ml_ratio": 0,
            "alerts": 0,
            "unscored": 0,
            "rss_peak_bytes": 1,
        }
    )
    result = bench.DetectBench(10, 100, [run], Latencies([0.001], 100.0), None)
    assert "drain3_ratio" not in result.as_json()
    bench._print(result, print)
    assert "drain3 is not installed" in capsys.readouterr().out
    monkeypatch.setitem(__import__("sys").modules, "drain3", None)
    assert mine_rate(Path("none"), 5) is None


@pytest.mark.parametrize(
    ("data", "lines", "ends"),
    [(b"", 2, []), (b"a\nb\nc\n", 2, [4, 6]), (b"a\nb", 1, [2, 3]), (b"a\nb\nc\nd\n", 2, [4, 8])],
)
def test_bursts_end_with_lines(data: bytes, lines: int, ends: list[int]) -> None:
    assert latency._burst_ends(data, lines) == ends


def test_a_delay_counts_from_the_schedule() -> None:
    def alert(offset: int, rule: str = "event_likelihood") -> bytes:
        return json.dumps({"rule": rule, "lines": [{"offset": offset}]}).encode() + b"\n"

    bursts = [Burst(100, 10.0), Burst(200, 11.0)]
    first, second = alert(0), alert(100)
    seen = [
        (10.5, first[:7]),  # half a line is not yet an alert
        (10.75, first[7:]),
        (11.125, second + alert(150, "session_likelihood") + alert(199, "no_template")),
    ]
    assert latency._delays(bursts, seen) == [0.75, 0.125, 0.125]


def test_quantiles_of_nothing_are_not_numbers() -> None:
    assert math.isnan(Latencies([], 1.0).quantile_ms(0.99))
    assert Latencies([0.001, 0.002, 0.003], 1.0).quantile_ms(0.5) == 2

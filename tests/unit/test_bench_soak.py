"""`haechi bench soak` in small: samples, the account at an early end, growth of memory, and the picture."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from haechi.bench import plot, soak
from haechi.bench.ending import term_interrupts
from haechi.bench.soak import Soak, SoakSettings, growth, since
from haechi.native.stats import Histogram
from tests.conftest import Ran


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def soaked() -> Soak:
    quick = SoakSettings(seconds=2.0, eps=3000, sample_s=0.25)
    return soak.soak(quick, lambda record: None, lambda text: None)


def test_samples_add_up_to_the_account(soaked: Soak) -> None:
    figures = soaked.as_json()
    assert figures["account_closed"] == 1
    assert figures["sent"] == soaked.sent.events > 0
    assert (
        soaked.taken.sent + soaked.taken.sent_controls
        == soaked.taken.received + soaked.taken.controls + soaked.taken.lost
    )
    sent = [sample.sent for sample in soaked.samples]
    assert sent == sorted(sent)
    assert 3 <= len(sent) <= 8
    assert sent[-1] <= soaked.sent.events
    assert all(sample.storm_rss_mb > 0 and sample.sink_rss_mb > 0 for sample in soaked.samples)
    assert all(sample.latency_p50_us <= sample.latency_p99_us for sample in soaked.samples)


def test_term_ends_it_early_with_everything_written(
    haechi: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SoakSettings.__init__, "__defaults__", (False, None, None, 0.2))
    record = tmp_path / "soak.jsonl"

    def end() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (record.exists() and record.read_text().count("\n") > 2):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=end)
    with term_interrupts():  # what the signal would do were the bench not to take it
        killer.start()
        ran = haechi("bench", "soak", "--duration", "1h", "--eps", "2k", "--record", record, "--json")
        killer.join()
    assert ran.status == 0, ran.err
    figures = json.loads(ran.out.splitlines()[-1])
    assert figures["interrupted"] == 1
    assert figures["account_closed"] == 1
    assert figures["sent"] == figures["received"] + figures["kernel_dropped"] + figures["lost_elsewhere"]
    assert figures["host"]["processor"]
    head, *samples, end_record = records(record)
    assert head["eps"] == 2000
    assert len(samples) >= 2
    assert end_record["end"] == {name: value for name, value in figures.items() if name != "host"}


@pytest.mark.parametrize(
    ("points", "mb_per_hour"),
    [
        ([], None),
        ([(0, 1), (10, 2)], None),
        ([(i * 10, 5.0) for i in range(20)], 0.0),
        ([(i * 10, 5.0 + i * 10 / 3600) for i in range(20)], 1.0),
        # What it takes in the first tenth is not growth.
        ([(i * 10, 100.0 if i > 1 else 0.0) for i in range(20)], 0.0),
        ([(5, 1.0), (5, 2.0), (5, 3.0), (5, 3.0)], None),
    ],
)
def test_growth_is_by_least_squares(points: list[tuple[float, float]], mb_per_hour: float | None) -> None:
    assert growth(points) == mb_per_hour


def histogram(*values: int) -> Histogram:
    """Of values below 16, which have a bucket each."""
    buckets = [0] * 592
    for value in values:
        buckets[value] += 1
    return Histogram(len(values), sum(values), max(values, default=0), tuple(buckets))


def test_latencies_of_a_stretch_are_those_recorded_in_it() -> None:
    stretch = since(histogram(1, 15, 2, 3), histogram(1, 15))
    assert (stretch.count, stretch.sum, stretch.max) == (2, 5, 3)
    assert (stretch.quantile(0.5), stretch.quantile(0.99)) == (2, 3)
    nothing = since(histogram(4), histogram(4))
    assert (nothing.count, nothing.max, nothing.quantile(0.99)) == (0, 0, 0)


def test_without_matplotlib_nothing_is_begun(
    haechi: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ran = haechi("bench", "soak", "--duration", "1h", "--plot", tmp_path / "soak.png")
    assert ran.status == 1
    assert "a plot needs matplotlib, which is not installed" in ran.err
    assert not list(tmp_path.iterdir())


def test_the_picture_is_drawn(soaked: Soak, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot.draw(soaked, tmp_path / "soak.png", "a machine")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    long = replace(soaked, samples=[replace(s, seconds=s.seconds * 1000) for s in soaked.samples])
    plot.draw(long, tmp_path / "soak.svg", "a machine")
    assert "minutes" in (tmp_path / "soak.svg").read_text() or (tmp_path / "soak.svg").stat().st_size > 1000


def test_what_cannot_be_drawn_is_said(soaked: Soak, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(plot.PlotError, match="1 samples are too few"):
        plot.draw(replace(soaked, samples=soaked.samples[:1]), tmp_path / "soak.png", "")
    with pytest.raises(plot.PlotError, match="not drawn"):
        plot.draw(soaked, tmp_path / "soak.nothing", "")

"""Stage two under a budget of time: what is left out is counted, and everything else stays as it is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine_room import (
    ORDER,
    Judged,
    fill,
    judge,
    log_line,
    make_bundle,
    need_engine,
)


@pytest.fixture(scope="module")
def restless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions in no order at all: nearly every window is new."""
    need_engine()
    draw = random.Random(9)
    path = tmp_path_factory.mktemp("restless") / "app.log"
    with path.open("w") as file:
        for n in range(60_000):
            file.write(log_line(n * 0.001, draw.randrange(300), fill(draw.choice(ORDER), draw)))
    return path


def run(log: Path, folder: Path, **more: Any) -> Judged:
    # A memo of four entries, so that the model has to be asked again and again.
    bundle = make_bundle(folder / "bundles", deeplog={"event_surprise": 11.0, "session_surprise": 50.0})
    judged = judge(bundle.path, folder, [log], memo_entries=4, batch_bytes=65536, **more)
    assert judged.status == 0, judged.stderr
    totals = judged.totals
    answered = totals["windows"] - totals["memo_hits"] - totals["unscored"]
    assert answered > 0
    assert totals["unscored_ratio"] == pytest.approx(totals["unscored"] / totals["windows"], abs=1e-6)
    return judged


def test_without_a_budget_nothing_is_left_out(restless: Path, tmp_path: Path) -> None:
    totals = run(restless, tmp_path).totals
    assert totals["unscored"] == 0
    for stage in ("stage1_us", "stage2_us"):
        assert 0 < totals[f"{stage}_p50"] <= totals[f"{stage}_p99"] <= totals[f"{stage}_p999"]


@pytest.mark.parametrize("workers", [1, 2])
def test_beyond_the_budget_a_sample_is_scored_and_the_rest_counted(
    workers: int, restless: Path, tmp_path: Path
) -> None:
    whole = run(restless, tmp_path / "whole", workers=workers).totals
    bounded = run(restless, tmp_path / "bounded", workers=workers, ml_budget=1e-6).totals
    assert bounded["lines"] == whole["lines"]
    assert bounded["windows"] == whole["windows"]
    assert bounded["unscored"] > 0.2 * bounded["windows"]
    assert bounded["model_windows"] < 0.8 * whole["model_windows"]


def test_what_a_budget_is(restless: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundles")
    refused = judge(bundle.path, tmp_path, [restless], ml_budget=-1)
    assert refused.status == 2
    assert "ml_budget" in refused.stderr

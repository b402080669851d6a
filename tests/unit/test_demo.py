"""The demo on small logs, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from haechi.demo import run as demo
from tests.conftest import QUICK, Made, Ran

Haechi = Callable[..., Ran]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "TRAIN_LINES", 10_000)
    monkeypatch.setattr(demo, "SEARCH_LINES", 10_000)
    monkeypatch.setattr(demo, "CONFIG", QUICK)


def test_the_made_demo_ends_with_a_scorecard(haechi: Haechi, tmp_path: Path) -> None:
    ran = haechi("demo", "--keep", tmp_path / "kept")
    assert ran.status == 0, ran.err
    for part in (
        "What was found",
        "failure repeated",
        "precision",
        "time to detect",
        "lines a second",
        "MB of memory",
    ):
        assert part in ran.out
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"train.log", "search.log", "truth.jsonl", "alerts.jsonl", "bundles"} <= kept


def test_a_log_of_the_users_shows_its_alerts(haechi: Haechi, made: Made) -> None:
    ran = haechi("demo", "--log", made.log)
    assert ran.status == 0, ran.err
    assert "learning from the first 12,000 of 20,000 lines" in ran.err
    assert "alerts" in ran.out
    result = json.loads(haechi("demo", "--log", made.log, "--json").out)
    assert result["detection"]["lines"] == 8000
    assert result["rss_mb"] > 1

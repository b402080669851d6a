"""The demo on small logs, and what it prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from haechi.bench import loop
from haechi.demo import run as demo
from tests.conftest import QUICK, Made, Ran

Haechi = Callable[..., Ran]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TRAIN_LINES", 30_000)
    monkeypatch.setattr(loop, "TRAIN_EPS", 5_000)
    monkeypatch.setattr(loop, "TRAINING", QUICK)
    monkeypatch.setattr(loop, "ANOMALY_RATE", 0.02)
    monkeypatch.setattr(demo, "PORTS", 4)
    monkeypatch.setattr(demo, "CONFIG", QUICK)


def test_the_storm_ends_with_a_scorecard(haechi: Haechi, tmp_path: Path) -> None:
    ran = haechi("demo", "--eps", "3k", "--seconds", "4", "--keep", tmp_path / "kept")
    assert ran.status == 0, ran.err
    for part in (
        "12,000 events",
        "lost            0 (0.0000%)",
        "closed: every event",
        "precision",
        "time to detect",
        "failure repeated",
    ):
        assert part in ran.out
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"truth.jsonl", "alerts.jsonl", "bundles"} <= kept


def test_the_card_as_json(haechi: Haechi) -> None:
    ran = haechi("demo", "--eps", "3k", "--seconds", "3", "--json")
    assert ran.status == 0, ran.err
    card = json.loads(ran.out)
    assert (card["sent"], card["received"], card["loss_ratio"], card["account_closed"]) == (9000, 9000, 0, 1)
    assert card["episodes"] >= card["found"] > 0
    assert card["latency_p99_us"] >= card["latency_p50_us"] > 0


def test_a_log_of_the_users_shows_its_alerts(haechi: Haechi, made: Made) -> None:
    ran = haechi("demo", "--log", made.log)
    assert ran.status == 0, ran.err
    assert "learning from the first 12,000 of 20,000 lines" in ran.err
    assert "alerts" in ran.out
    result = json.loads(haechi("demo", "--log", made.log, "--json").out)
    assert result["detection"]["lines"] == 8000
    assert result["rss_mb"] > 1

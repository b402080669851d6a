"""The demo on small logs, and what it prints."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import httpx
import pytest

from haechi.bench import loop
from haechi.config.serve import ServeConfig
from haechi.config.storm import StormConfig
from haechi.demo import dashboard
from haechi.demo import run as demo
from haechi.native.tools import ToolError
from haechi.serve.beside import Beside
from haechi.serve.jobs import Job
from haechi.serve.run import ServeError
from tests.conftest import QUICK, Made, Ran

Haechi = Callable[..., Ran]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TRAIN_LINES", 30_000)
    monkeypatch.setattr(loop, "TRAIN_EPS", 5_000)
    monkeypatch.setattr(loop, "TRAINING", QUICK)
    monkeypatch.setattr(loop, "ANOMALY_RATE", 0.02)
    monkeypatch.setattr(demo, "PORTS", 4)
    monkeypatch.setattr(demo, "FIRST_PORT", 10_000 + os.getpid() % 200 * 100)  # several at once
    monkeypatch.setattr(demo, "CONFIG", QUICK)


def test_the_storm_ends_with_a_scorecard(haechi: Haechi, tmp_path: Path) -> None:
    ran = haechi("demo", "--eps", "3k", "--seconds", "4", "--keep", tmp_path / "kept")
    assert ran.status == 0, ran.err
    for part in (
        "lost            0 (0.0000%)",
        "closed: every event",
        "precision",
        "time to detect",
        "failure repeated",
    ):
        assert part in ran.out
    assert re.search(r"^the dashboard is at http://127\.0\.0\.1:\d+$", ran.err, re.MULTILINE)
    assert "Ctrl-C" not in ran.err  # there is no terminal, so it has ended
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"truth.jsonl", "alerts.jsonl", "bundles"} <= kept


@pytest.mark.parametrize("dashboard", ["--dashboard", "--no-dashboard"])
def test_the_card_as_json(haechi: Haechi, dashboard: str) -> None:
    ran = haechi("demo", "--eps", "3k", "--seconds", "3", "--json", dashboard)
    assert ran.status == 0, ran.err
    card = json.loads(ran.out)
    # A machine that is away for a moment at the storm's end does not send the last events any more.
    assert 0 < card["sent"] == card["received"] <= 9000
    assert (card["loss_ratio"], card["account_closed"]) == (0, 1)
    assert card["episodes"] >= card["found"] > 0
    assert card["latency_p99_us"] >= card["latency_p50_us"] > 0
    assert ("dashboard" in ran.err) == (dashboard == "--dashboard")


def test_a_port_that_is_taken_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(dashboard, "PORT", taken.getsockname()[1])
        with dashboard.serve_beside(tmp_path) as server:
            assert not server.url.endswith(f":{dashboard.PORT}")
            assert httpx.get(f"{server.url}/health", timeout=10).json()["status"] == "ok"
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{server.url}/health", timeout=10)


@pytest.mark.parametrize(
    ("state", "result", "error", "complaint"),
    [
        ("failed", None, "haechi-storm ended with status 1", "ended with status 1"),
        ("done", None, None, "gave no totals"),
    ],
)
def test_a_storm_that_fails_says_why(state: str, result: None, error: str | None, complaint: str) -> None:
    tools = dashboard.SeenTools(cast(Beside, None))
    job = Job("storm-1", "storm", StormConfig(target="127.0.0.1"), state=state, result=result, error=error)  # type: ignore[arg-type]
    tools._jobs["storm"] = tools._jobs["detector"] = job
    with pytest.raises(ToolError, match=complaint):
        tools.storm_result()
    with pytest.raises(ToolError, match=error or "before the storm"):
        tools.detector_totals()


def test_only_loopback_is_served_beside(tmp_path: Path) -> None:
    for settings in ({"address": "0.0.0.0"}, {"demand_token": True}):
        with pytest.raises(ServeError, match="only loopback"):
            Beside(ServeConfig.model_validate({"state": tmp_path, "port": 0, **settings}))


def test_a_log_of_the_users_shows_its_alerts(haechi: Haechi, made: Made) -> None:
    ran = haechi("demo", "--log", made.log)
    assert ran.status == 0, ran.err
    assert "learning from the first 12,000 of 20,000 lines" in ran.err
    assert "alerts" in ran.out
    result = json.loads(haechi("demo", "--log", made.log, "--json").out)
    assert result["detection"]["lines"] == 8000
    assert result["rss_mb"] > 1

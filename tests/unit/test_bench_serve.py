"""`haechi bench serve` in small, where there is no browser; tests/browser has it with one."""

from __future__ import annotations

import pytest

from haechi.bench import serve
from haechi.bench.serve import ServeBench, ServeSettings

QUICK = ServeSettings(eps=4000, seconds=0.5, loads=1, changes=2, kills=1)


def test_without_a_browser_its_figures_are_left_out_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_browser", lambda: None)
    monkeypatch.setattr(serve, "SETTLE_S", 1.5)
    said: list[str] = []
    figures = serve.measure(QUICK, said.append).as_json()
    assert any("chromium" in line for line in said)
    assert figures["browser"] == 0
    for name in ("first_paint_ms", "first_paint_storm_ms", "staleness_p99_ms", "first_contentful_paint_ms"):
        assert figures[name] is None
    assert figures["cpu_cores"] is not None and 0 <= figures["cpu_cores"] < 1
    assert figures["rss_mb"] is not None and 20 < figures["rss_mb"] < 1000
    assert figures["mttr_ms"] is not None and figures["mttr_ms"] > 0
    assert figures["storm_eps"] == pytest.approx(4000, rel=0.5)


def test_figures_of_what_was_measured() -> None:
    found = ServeBench(
        cpu_cores=0.012345,
        rss_mb=70.06,
        storm_eps=3_999_999.6,
        paints_ms=[300, 100, 200],
        content_ms=[90, 80],
        paints_storm_ms=[500],
        staleness_ms=[float(n) for n in range(200, 0, -1)],
        recoveries_ms=[100, 200],
    ).as_json()
    assert found == {
        "cpu_cores": 0.0123,
        "rss_mb": 70.1,
        "first_paint_ms": 200,
        "first_paint_max_ms": 300,
        "first_contentful_paint_ms": 85,
        "first_paint_storm_ms": 500,
        "staleness_p50_ms": 100,
        "staleness_p99_ms": 198,
        "mttr_ms": 150,
        "mttr_max_ms": 200,
        "storm_eps": 4_000_000,
        "streams": 40,
        "browser": 1,
    }

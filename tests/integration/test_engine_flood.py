"""More alerts than anybody reads: while lines are judged as they come, each detector has so many a second."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi.native.tools import Process
from tests.integration.engine_room import judge, log_line, read_alerts, settings
from tests.integration.serve_room import until
from tests.integration.test_engine_rules import rule, write_rules

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
SESSIONS = 400
MOST = 8


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Sessions of one line each, which training has not seen."""
    path = tmp_path / "app.log"
    path.write_text("".join(log_line(n * 0.01, n, f"the disk is on fire, {n}") for n in range(SESSIONS)))
    return path


def follow(bundle: Path, folder: Path, log: Path, **more: Any) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """What it counted and wrote of a log that might go on."""
    folder.mkdir()
    names = ("lines", "events", "alerts", "alerts_over", "rule_hits_deny")
    config = settings(bundle, folder, [log], follow=True, stats_page=str(folder / "stats"), **more)
    with Process.start("haechi-detect", config) as engine:

        def counted() -> dict[str, int]:
            with engine.stats() as page:
                return {name: page.value(name) for name in names}

        def due() -> int:
            now = counted()
            return now["alerts"] + now["alerts_over"]

        until(lambda: counted()["events"] == SESSIONS)
        before = due()
        until(lambda: read_alerts(folder / "alerts.jsonl") and before == due())
        assert engine.stop() == 0
        return counted(), read_alerts(folder / "alerts.jsonl")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_flood_is_bounded_told_of_and_counted(
    engine_bundle: Path, tmp_path: Path, log: Path, workers: int
) -> None:
    whole = judge(engine_bundle, tmp_path / "whole", [log], alerts_per_second=MOST)  # read to its end
    assert whole.totals["alerts_over"] == 0
    usual = Counter(alert["detector"] for alert in whole.alerts)
    assert usual["deeplog"] == SESSIONS
    counted, alerts = follow(
        engine_bundle, tmp_path / "bounded", log, workers=workers, alerts_per_second=MOST
    )
    made = Counter(alert["detector"] for alert in alerts)
    assert MOST <= made["deeplog"] <= MOST * made["flood"] < SESSIONS
    assert made["deeplog"] + counted["alerts_over"] == SESSIONS
    assert made["new_event"] == usual["new_event"] == 1
    check = jsonschema.Draft202012Validator(SCHEMA)
    for notice in (alert for alert in alerts if alert["detector"] == "flood"):
        assert (notice["rule"], notice["severity"]) == ("flood", "high")
        assert notice["detail"] == {"detector": "deeplog", "rule": None}
        check.validate(notice)
        assert f"More than {MOST // workers} alerts of deeplog" in notice["reason"]


def test_one_rule_does_not_silence_another_nor_what_is_escalated(
    engine_bundle: Path, tmp_path: Path, log: Path
) -> None:
    rules = write_rules(
        tmp_path / "rules.json",
        rule("all", "deny", "message", "contains", "disk"),
        rule("last", "deny", "message", "regex", rf"fire, {SESSIONS - 1}$"),
        rule("grave", "escalate", "message", "regex", r"fire, \d*00$"),
    )
    counted, alerts = follow(engine_bundle, tmp_path / "rules", log, rules=str(rules), alerts_per_second=MOST)
    made = Counter(alert["rule"] for alert in alerts if alert["detector"] == "rule")
    assert counted["rule_hits_deny"] == SESSIONS + 1
    assert made["last"] == 1
    assert 0 < made["all"] < SESSIONS
    escalated = {log_line(n * 0.01, n, f"the disk is on fire, {n}").rstrip() for n in range(0, SESSIONS, 100)}
    assert escalated <= {
        alert["lines"][0]["text"] for alert in alerts if alert["detector"] == "rule" and alert["lines"]
    }
    assert {"detector": "rule", "rule": "all"} in [
        alert["detail"] for alert in alerts if alert["detector"] == "flood"
    ]


def test_without_a_bound_everything_is_written(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    counted, alerts = follow(engine_bundle, tmp_path / "all", log, alerts_per_second=0)
    made = Counter(alert["detector"] for alert in alerts)
    assert (made["deeplog"], made["flood"], counted["alerts_over"]) == (SESSIONS, 0, 0)

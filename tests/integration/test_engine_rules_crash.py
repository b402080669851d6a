"""Rules and the ends that an engine comes to, killed or out of disk: no alert is lost, none doubled."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from haechi.native.tools import Process
from haechi.rules.evaluate import fits
from haechi.rules.expression import Rule, parse
from haechi.rules.lines import read_lines
from tests.integration.engine_room import judge, log_lines, read_alerts, settings
from tests.integration.test_engine_crash import assert_as_undisturbed, crash_again_and_again, wait_until_quiet

ROUNDS = 8


def rule(name: str, action: str, *tests: tuple[str, str, Any]) -> dict[str, Any]:
    conditions = [{"field": field, "op": op, "value": value} for field, op, value in tests]
    return {"id": name, "action": action, "condition": {"all": conditions}}


RULES = (
    rule("segv", "deny", ("message", "contains", "segfault")),
    rule("late", "deny", ("message", "regex", r"^open request \d*[0-4]$"), ("pid", "endswith", "7")),
    rule("numbers", "deny", ("line", "regex", r"(?:read|write) .*\b(?:123\d|4567|999)")),
    rule("quiet", "allow", ("message", "regex", r"disk \d+3 is on fire")),
    rule("graver", "escalate", ("message", "contains", "retry after error")),
)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"format": 1, "rules": RULES}))
    return path


def denied(alerts: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((a["rule"], a["lines"][0]["text"]) for a in alerts if a["detector"] == "rule")


def wanted(rules: list[Rule], text: str) -> Counter[tuple[str, str]]:
    """What the reference says of the lines."""
    hits: Counter[tuple[str, str]] = Counter()
    for line_text, line in read_lines(text.encode(), format_spec="iso", source="any"):
        held = [r for r in rules if fits(r.condition, line)]
        if not any(r.action == "allow" for r in held):
            hits.update((r.id, line_text.decode()) for r in held if r.action == "deny")
    return hits


@pytest.mark.parametrize("workers", [1, 3])
def test_killed_while_rules_report(workers: int, engine_bundle: Path, tmp_path: Path, rules: Path) -> None:
    alerts, lines = crash_again_and_again(
        engine_bundle, tmp_path, workers, lambda _: workers, None, False, rounds=ROUNDS, rules=str(rules)
    )
    assert_as_undisturbed(engine_bundle, tmp_path, alerts, lines, rules=str(rules))
    want = wanted(parse(rules.read_text()), "".join(lines))
    assert want.total() > 50
    assert denied(alerts) == want


def test_other_rules_after_a_stop(engine_bundle: Path, tmp_path: Path, rules: Path) -> None:
    """A checkpoint knows nothing of rules: each line is judged by those in force when it is first read."""
    lines = list(log_lines(3000, seed=21))
    none = tmp_path / "none.json"
    none.write_text('{"format": 1, "rules": []}')
    log = tmp_path / "app.log"
    log.write_bytes(b"")
    for part, file in enumerate((rules, none, rules)):
        config = settings(
            engine_bundle,
            tmp_path,
            [log],
            follow=True,
            rules=str(file),
            checkpoint={"path": str(tmp_path / "checkpoint"), "interval_s": 3600},
            stats_page=str(tmp_path / "stats"),
        )
        with Process.start("haechi-detect", config) as engine:
            with log.open("a") as out:
                out.writelines(lines[part * 1000 : part * 1000 + 1000])
            wait_until_quiet(engine, tmp_path, still_s=0.3)
            os.kill(engine.pid, signal.SIGTERM)
            assert engine.wait(10) == 0, engine.stderr_text()
    want = wanted(parse(rules.read_text()), "".join(lines[:1000] + lines[2000:]))
    assert denied(read_alerts(tmp_path / "alerts.jsonl")) == want


def test_stopped_without_room_for_alerts(engine_bundle: Path, tmp_path: Path, rules: Path) -> None:
    """The alerts' file may not grow: status 1, and the next run writes what is missing and nothing twice."""
    log = tmp_path / "app.log"
    lines = list(log_lines(3000, seed=22))
    log.write_text("".join(lines))
    more: dict[str, Any] = {
        "rules": str(rules),
        "checkpoint": {"path": str(tmp_path / "checkpoint"), "interval_s": 0.05},
    }
    config = {**settings(engine_bundle, tmp_path, [log]), **more, "alerts": "/dev/full"}
    with Process.start("haechi-detect", config) as engine:
        while "No space left" not in engine.stderr_text():
            assert engine.running, engine.stderr_text()
        assert engine.stop() == 1
    ran = judge(engine_bundle, tmp_path, [log], **more)
    assert ran.status == 0, ran.stderr
    assert denied(ran.alerts) == wanted(parse(rules.read_text()), "".join(lines))

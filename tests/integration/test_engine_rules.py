"""A real haechi-detect with rules: deny, allow, escalate; changed while it reads; what it refuses."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from haechi.native.control import ControlError
from haechi.native.tools import Process, read_summary
from tests.integration.engine_room import judge, log_line, read_alerts, settings

LINES = 4000
ODD = "segfault at {n}"


def rule(name: str, action: str, field: str, op: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"id": name, "action": action, **more, "condition": {"field": field, "op": op, "value": value}}


def write_rules(path: Path, *rules: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"format": 1, "rules": list(rules)}))
    return path


@pytest.fixture()
def log(tmp_path: Path) -> Path:
    """Every hundredth line is of a kind that training has not seen."""
    path = tmp_path / "app.log"
    with path.open("w") as out:
        for n in range(LINES):
            message = ODD if n % 100 == 99 else "open request {n}"
            out.write(log_line(n * 0.01, n % 20, message.format(n=n)) + "\n")
    return path


def read(
    bundle: Path, folder: Path, log: Path, rules: Path, **more: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Totals and alerts of one run to the log's end."""
    done = judge(bundle, folder, [log], rules=str(rules), **more)
    assert done.status == 0, done.stderr
    return done.totals, done.alerts


def of_rule(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [alert for alert in alerts if alert["detector"] == "rule"]


def test_deny(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    rules = write_rules(
        tmp_path / "rules.json",
        rule(
            "segv",
            "deny",
            "message",
            "regex",
            r"^segfault at \d*99$",
            severity="high",
            title="Broken",
            tags=["a.b"],
        ),
    )
    summary, alerts = read(engine_bundle, tmp_path, log, rules)
    denied = of_rule(alerts)
    assert len(denied) == summary["rule_hits_deny"] == LINES // 100
    assert {(a["rule"], a["title"], a["severity"], a["stage"], *a["tags"]) for a in denied} == {
        ("segv", "Broken", "high", 1, "a.b")
    }
    assert len({a["id"] for a in denied}) == LINES // 100
    assert all("segfault" in a["lines"][0]["text"] for a in denied)


def test_allow(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    rules = write_rules(
        tmp_path / "rules.json",
        rule("known", "allow", "message", "contains", "segfault"),
        rule("segv", "deny", "message", "contains", "segfault"),
    )
    summary, alerts = read(engine_bundle, tmp_path, log, rules)
    assert not [
        a for a in alerts if "segfault" in (a["lines"][0]["text"] or "") and a["rule"] != "session_likelihood"
    ]
    assert summary["allowed_alerts"] > 0
    assert summary["events"] == LINES


def test_escalate(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    plain = write_rules(tmp_path / "none.json")
    rules = write_rules(tmp_path / "rules.json", rule("up", "escalate", "message", "contains", "segfault"))
    grades = ["low", "medium", "high", "critical"]
    seen = []
    for number, file in enumerate((plain, rules)):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, alerts = read(engine_bundle, folder, log, file)
        seen.append({a["id"]: a["severity"] for a in alerts if a["detector"] == "new_event"})
    assert seen[0].keys() == seen[1].keys() and seen[0]
    for alert, before in seen[0].items():
        assert grades.index(seen[1][alert]) == min(grades.index(before) + 1, 3)


def test_same_for_any_number_of_workers(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    rules = write_rules(
        tmp_path / "rules.json",
        rule("segv", "deny", "message", "contains", "segfault"),
        rule("some", "allow", "pid", "endswith", "9"),
    )
    ids = []
    for workers, batch in ((1, 1 << 20), (3, 4096)):
        folder = tmp_path / f"w{workers}"
        folder.mkdir()
        _, alerts = read(engine_bundle, folder, log, rules, workers=workers, batch_bytes=batch)
        ids.append({a["id"] for a in alerts})
    assert ids[0] == ids[1] and ids[0]


def test_changed_while_lines_flow(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    first = write_rules(tmp_path / "first.json", rule("one", "deny", "message", "contains", "segfault"))
    second = write_rules(tmp_path / "second.json", rule("two", "deny", "message", "contains", "segfault"))
    bad = write_rules(tmp_path / "bad.json", rule("broken", "deny", "message", "regex", "(a"))
    socket = tmp_path / "control"
    config = settings(
        engine_bundle, tmp_path, [log], rules=str(first), follow=True, workers=2, batch_bytes=4096,
        control_socket=str(socket), summary="-",
    )  # fmt: skip
    with Process.start("haechi-detect", config) as process, process.control(60.0) as control:
        for number in range(6):
            file = first if number % 2 else second
            assert control.ask("load_rules", file=str(file))["rules"] == 1
            with pytest.raises(ControlError, match="rule broken"):
                control.ask("load_rules", file=str(bad))
        assert control.ask("rules")["hits"][0]["id"] == "one"
        deadline = time.monotonic() + 30
        while control.ask("stats")["stats"]["events"] < LINES and time.monotonic() < deadline:
            time.sleep(0.01)
        control.ask("stop")
        summary = read_summary(process.finish())
    assert summary["events"] == LINES
    assert summary["rule_loads"] == 6
    assert len(of_rule(read_alerts(Path(config["alerts"])))) == LINES // 100


def test_stats_while_rules_are_compiled(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    """Many rules take seconds to compile: lines and other commands go on meanwhile."""
    many = write_rules(
        tmp_path / "many.json",
        *(
            rule(f"r{n}", "deny", "message", "regex", rf"(?:bash|sh) {n}x?.*/etc/[a-z]{{1,9}}\.{n}{n}")
            for n in range(300)
        ),
    )
    socket = tmp_path / "control"
    config = settings(
        engine_bundle, tmp_path, [log], follow=True, control_socket=str(socket), summary="-"
    )  # fmt: skip
    with Process.start("haechi-detect", config) as process, process.control(60.0) as control:
        with ThreadPoolExecutor(1) as pool, process.control(60.0) as other:
            loading = pool.submit(other.ask, "load_rules", file=str(many))
            answered = 0
            while not loading.done():
                stats = control.ask("stats")["stats"]
                control.ask("rules")
                answered += stats["rule_loads"] == 0
            assert loading.result()["rules"] == 300
        assert answered > 10
        with log.open("a") as out:
            out.write(log_line(LINES, 3, "bash 7x /etc/abc.77") + "\n")
        deadline = time.monotonic() + 30
        while control.ask("stats")["stats"]["rule_hits_deny"] < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        control.ask("stop")
        assert read_summary(process.finish())["rule_hits_deny"] == 1


def test_a_bad_file_at_the_start(engine_bundle: Path, tmp_path: Path, log: Path) -> None:
    bad = write_rules(tmp_path / "bad.json", rule("broken", "deny", "message", "regex", "(a"))
    done = judge(engine_bundle, tmp_path, [log], rules=str(bad))
    assert done.status == 2
    assert 'rule broken: the pattern "(a" is refused by Hyperscan' in done.stderr

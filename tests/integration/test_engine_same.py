"""The engine's answer depends on the input alone: not on memo, workers, batches, or how the bytes come in."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from haechi.native.tools import Process
from tests.integration.engine_room import (
    Judged,
    about,
    judge,
    log_line,
    make_bundle,
    need_engine,
    read_alerts,
    settings,
)


@pytest.fixture(scope="module")
def usual(engine_bundle: Path, engine_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(engine_bundle, tmp_path_factory.mktemp("usual"), [engine_log])


def test_finds_what_was_put_in(usual: Judged) -> None:
    assert usual.status == 0, usual.stderr
    assert len(set(usual.ids)) == len(usual.ids) > 50
    assert {alert["rule"] for alert in usual.alerts} == {"event_likelihood", "untrained_key", "no_template"}
    assert usual.totals["lines"] == 20_000
    assert usual.totals["malformed_lines"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"memo_entries": 4},
        {"workers": 4},
        {"workers": 3, "memo_entries": 4, "batch_bytes": 4096},
        {"batch_bytes": 4096},
        {"batch_bytes": 16 << 20},
        {"workers": 64, "batch_bytes": 65536},
        {"workers": 2, "pin": [0, 0]},
    ],
    ids=str,
)
def test_same_alerts(
    change: dict[str, Any], usual: Judged, engine_bundle: Path, engine_log: Path, tmp_path: Path
) -> None:
    other = judge(engine_bundle, tmp_path, [engine_log], **change)
    assert other.status == 0, other.stderr
    assert sorted(other.ids) == sorted(usual.ids)
    assert other.about == usual.about
    for name in (
        "lines",
        "events",
        "windows",
        "unseen_events",
        "sessions_opened",
        "sessions_ended",
        "alerts",
    ):
        assert other.totals[name] == usual.totals[name], name


def test_standard_input_like_a_file(
    usual: Judged, engine_bundle: Path, engine_log: Path, tmp_path: Path
) -> None:
    for workers in (1, 3):
        folder = tmp_path / str(workers)
        other = judge(engine_bundle, folder, ["-"], stdin=engine_log.read_bytes(), workers=workers)
        assert other.status == 0, other.stderr
        assert other.about == usual.about


@pytest.mark.parametrize("polling", [False, True])
def test_followed_like_a_file(
    polling: bool, usual: Judged, engine_bundle: Path, engine_log: Path, tmp_path: Path
) -> None:
    """A file that grows in pieces that end anywhere gives what the whole file gives."""
    text = engine_log.read_bytes()
    log = tmp_path / "grows.log"
    log.write_bytes(b"")
    config = settings(
        engine_bundle,
        tmp_path,
        [log],
        follow=True,
        polling=polling,
        poll_ms=20,
        stats_page=str(tmp_path / "s"),
    )
    with Process.start("haechi-detect", config) as engine, log.open("ab", buffering=0) as file:
        for at in range(0, len(text), 99_991):
            file.write(text[at : at + 99_991])
            time.sleep(0.01)
        wait_for_lines(engine, 20_000)
        assert engine.stop() == 0, engine.stderr_text()
    alerts = read_alerts(tmp_path / "alerts.jsonl")
    assert {about(alert) for alert in alerts} == usual.about
    assert len(alerts) == len(usual.alerts)


def wait_for_lines(engine: Process, count: int, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    with engine.stats() as page:
        while page.value("lines") < count:
            assert engine.running, engine.stderr_text()
            assert time.monotonic() < deadline, f"{page.value('lines')} lines after {timeout_s} s"
            time.sleep(0.01)


def test_totals_add_up(usual: Judged, engine_bundle: Path, engine_log: Path, tmp_path: Path) -> None:
    log = tmp_path / "mixed.log"
    head = engine_log.read_text().splitlines(keepends=True)[:3000]
    log.write_text("not a line of this form\n\n" + "\n".join(head))  # every other line is empty
    bounded = {"max_model_windows_per_batch": 2, "memo_entries": 4, "batch_bytes": 4096}
    changes: list[dict[str, Any]] = [{}, bounded]
    for change in changes:
        t = judge(engine_bundle, tmp_path, [log], **change).totals
        assert (t["lines"], t["malformed_lines"]) == (3001, 1)
        assert t["empty_lines"] == 3000
        assert t["events"] == t["lines"] - t["malformed_lines"]
        assert t["windows"] + t["unseen_events"] == t["events"] + t["sessions_ended"]
        assert t["windows"] >= t["memo_hits"] + t["model_windows"] + t["unscored"]
        assert (t["unscored"] > 0) == bool(change)
        opened = t["sessions_ended"] + t["sessions_evicted"] + t["sessions_cut"] + t["sessions_open"]
        assert t["sessions_opened"] == opened
        assert t["bytes"] == t["source_bytes"] == log.stat().st_size


def test_bound_on_open_sessions(tmp_path: Path) -> None:
    """With room for eight, the least active give way; what was evicted is counted and not judged as ended."""
    need_engine()
    bundle = make_bundle(tmp_path / "bundles", session={"max_open": 8}).path
    log = tmp_path / "many.log"
    log.write_text("".join(log_line(n / 1000, n, "open request 1") for n in range(10_000)))
    for workers in (1, 4):
        ran = judge(bundle, tmp_path / str(workers), [log], workers=workers)
        assert ran.totals["sessions_opened"] == 10_000
        assert ran.totals["sessions_evicted"] == 10_000 - 8
        assert ran.totals["sessions_cut"] == 8
        assert ran.alerts == []


def test_a_bundle_without_a_model(tmp_path: Path, engine_log: Path) -> None:
    """Only what was never trained on is reported; sessions are kept and bounded all the same."""
    need_engine()
    bundle = make_bundle(tmp_path / "bundles", deeplog=None).path
    ran = judge(bundle, tmp_path, [engine_log], onnxruntime=None)
    assert ran.status == 0, ran.stderr
    assert {alert["detector"] for alert in ran.alerts} == {"new_event"}
    assert ran.totals["windows"] == ran.totals["model_runs"] == 0
    assert ran.totals["events"] == 20_000


@pytest.mark.parametrize(
    ("deeplog", "rules"),
    [
        ({"rule": "topk", "top_k": 1}, {"top_k"}),
        ({"event_surprise": 900.0, "session_surprise": 0.2, "unseen_surprise": 12.0}, {"session_likelihood"}),
    ],
    ids=["topk", "session"],
)
def test_other_rules(deeplog: dict[str, Any], rules: set[str], engine_log: Path, tmp_path: Path) -> None:
    """Each rule reports what it should; an alert of a whole session shows its worst line."""
    need_engine()
    bundle = make_bundle(tmp_path / "bundles", deeplog=deeplog).path
    one, four = (judge(bundle, tmp_path / str(workers), [engine_log], workers=workers) for workers in (1, 4))
    assert one.status == 0, one.stderr
    assert sorted(one.ids) == sorted(four.ids)
    deep = [alert for alert in one.alerts if alert["detector"] == "deeplog"]
    assert {alert["rule"] for alert in deep} == rules
    assert len(deep) > 20
    for alert in deep:
        reached = (
            alert["score"] >= alert["threshold"] if "top_k" in rules else alert["score"] > alert["threshold"]
        )
        assert reached or alert["log_key"] is None
        pid = alert["session"].split()[1]
        assert f"app[{pid}]: " in alert["lines"][0]["text"]


def test_alerts_are_as_their_schema_says(usual: Judged) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema)
    for alert in usual.alerts:
        check.validate(alert)

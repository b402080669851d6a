"""Hours in the engine: what a host or a log key usually says at which hour of the day, for any workers and
restarts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from haechi.bundle.manifest import Manifest
from haechi.bundle.store import Bundle, entry_of, write
from haechi.config.training import RatesConfig
from haechi.train import rates, seasons
from tests.integration.engine_room import ORDER, START, Judged, fill, judge, make_bundle, need_engine
from tests.integration.test_engine_crash import restarted
from tests.integration.test_engine_rates import SCHEMA, with_entry

DAYS = 30
OFFICE = ("desk1", "desk2")
HOUR_S, DAY_S = 3600.0, 86_400.0


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    need_engine()


def line(at_s: float, host: str, message: str) -> str:
    moment = START + timedelta(seconds=at_s)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z {host} app[1]: {message}\n"


def traffic(seed: int, days: int, *, odd: bool = False) -> list[str]:
    """A server says the same at all hours; desks speak by day; a backup runs at two in the night. odd: on the
    second day a desk speaks at three in the night, and on the third the backup does not run."""
    draw = random.Random(seed)
    moments: list[tuple[float, str, str]] = []
    for day in range(days):
        for hour in range(24):
            begins = day * DAY_S + hour * HOUR_S
            rows = [("server", ORDER[0], 30)]
            rows += [(desk, ORDER[1], 40) for desk in OFFICE if 8 <= hour < 18]
            if hour == 2 and not (odd and day == 2):
                rows.append(("server", ORDER[3], 40))
            if hour == 3 and odd and day == 1:
                rows.append(("desk1", ORDER[1], 40))
            for host, message, count in rows:
                many = sum(draw.random() < 0.5 for _ in range(2 * count))
                moments += [(begins + draw.uniform(0, HOUR_S), host, message) for _ in range(many)]
    moments.sort()
    return [line(at, host, fill(message, draw)) for at, host, message in moments]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("seasons")
    log = folder / "normal.log"
    log.write_text("".join(traffic(1, DAYS)))
    base = make_bundle(folder / "base", deeplog=None)
    files = {name: base.file(name) for name in base.manifest.files}
    entry = rates.learn([log], base.manifest, files, DAYS * DAY_S, RatesConfig(seasonal="day"))
    assert entry is not None
    return with_entry(base.manifest, files, entry, folder / "bundles")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return traffic(2, 4, odd=True)


@pytest.fixture(scope="module")
def usual(bundle: Bundle, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("usual")
    (folder / "app.log").write_text("".join(lines))
    return judge(bundle.path, folder, [folder / "app.log"])


def of_hours(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    hours = [alert for alert in alerts if alert["rule"] in ("busy_hour", "quiet_hour")]
    return sorted(hours, key=lambda alert: (str(alert["time"]), str(alert["session"])))


def reported(alerts: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    rows = [alert for alert in alerts if alert["detector"] == "rates"]
    return sorted((a["rule"], a["session"], a["time"], a["score"], a["reason"]) for a in rows)


def test_finds_the_unusual_hour_and_the_backup_that_did_not_run(usual: Judged) -> None:
    assert usual.status == 0, usual.stderr
    found = of_hours(usual.alerts)
    assert [(a["rule"], a["session"], a["detail"]["hour"][:13]) for a in found] == [
        ("busy_hour", "desk1", "2026-01-06T03"),
        ("busy_hour", "read block <*> of file <*>", "2026-01-06T03"),
        ("quiet_hour", "close request <*>", "2026-01-07T02"),
    ]
    for alert in found:
        SCHEMA.validate(alert)
        assert alert["score"] > alert["threshold"] > 0
        assert alert["detail"]["seconds"] == 3600
    busy, _, quiet = found
    assert busy["reason"].startswith("The host desk1 has said ")
    assert "between 03:00 and 04:00 UTC; usual at that hour are at most 0" in busy["reason"]
    assert "2026-01-06T03" in busy["time"] and busy["lines"][0]["text"].split()[1] == "desk1"
    assert quiet["detail"]["count"] == 0
    assert quiet["time"] == "2026-01-07T03:00:00.000000Z"
    assert (
        "has come only 0 times between 02:00 and 03:00 UTC; usual at that hour are at least"
        in quiet["reason"]
    )


def test_normal_days_are_quiet(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(traffic(3, 14)))
    assert reported(judge(bundle.path, tmp_path / "run", [tmp_path / "app.log"]).alerts) == []


def test_a_wrong_clock_and_a_gap_end_no_hour(bundle: Bundle, tmp_path: Path) -> None:
    """Lines of a clock that is ahead, a few in a row; then half a day is missing."""
    lines = traffic(4, 3)
    ahead = [line(10 * DAY_S + n, "server", "open request 1") for n in range(3)]
    at = len(lines) // 2
    cut = lines[:at] + ahead + lines[at : at + 200] + lines[at + 700 :]
    (tmp_path / "app.log").write_text("".join(cut))
    assert of_hours(judge(bundle.path, tmp_path / "run", [tmp_path / "app.log"]).alerts) == []


@pytest.mark.parametrize(
    "change", [{"workers": 3}, {"batch_bytes": 4096}, {"workers": 2, "batch_bytes": 8192}], ids=str
)
def test_same_alerts(
    change: dict[str, Any], bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    (tmp_path / "app.log").write_text("".join(lines))
    other = judge(bundle.path, tmp_path / "other", [tmp_path / "app.log"], **change)
    assert reported(other.alerts) == reported(usual.alerts)


def test_hours_outlive_a_restart(bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path) -> None:
    alerts = restarted(bundle.path, tmp_path, lines, (1, 3, 2, 1))
    assert reported(alerts) == reported(usual.alerts)


def test_logs_too_short_know_no_hours_and_say_so(tmp_path: Path) -> None:
    log = tmp_path / "normal.log"
    log.write_text("".join(traffic(1, 7)))
    base = make_bundle(tmp_path / "base", deeplog=None)
    files = {name: base.file(name) for name in base.manifest.files}
    entry = rates.learn([log], base.manifest, files, 7 * DAY_S, RatesConfig())
    assert entry is not None and entry.files == {}
    assert entry.section["season"] == {"period_h": 0, "why": "the logs hold less than 8 whole days"}
    short = with_entry(base.manifest, files, entry, tmp_path / "bundles")
    assert "less than 8 whole days" in rates.notes(short.manifest)[0]
    (tmp_path / "app.log").write_text("".join(traffic(2, 4, odd=True)))
    assert of_hours(judge(short.path, tmp_path / "run", [tmp_path / "app.log"]).alerts) == []


def _rewritten(bundle: Bundle, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Bundle:
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    files[seasons.FILE] = json.dumps(change(json.loads(files[seasons.FILE]))).encode()
    listed = {name: entry_of(content) for name, content in files.items()}
    return write(folder, bundle.manifest.model_copy(update={"files": listed}), files)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text | {"format": 2},
        lambda text: text | {"period_h": 12},
        lambda text: text | {"period_h": 168},
        lambda text: text | {"total": [1] * 23},
        lambda text: text | {"total": [-1] * 24},
        lambda text: text | {"hosts": text["hosts"] * 2},
        lambda text: text | {"hosts": [{"name": "", "mean": [1] * 24}]},
        lambda text: text | {"hosts": 3},
        lambda text: text | {"keys": [{"log_key": 99, "mean": [1] * 24}]},
        lambda text: text | {"keys": [{"log_key": 0, "mean": ["x"] * 24}]},
        lambda text: [],
    ],
)
def test_a_bad_file_is_refused(
    change: Callable[[dict[str, Any]], Any], bundle: Bundle, tmp_path: Path
) -> None:
    bad = _rewritten(bundle, tmp_path / "bad", change)
    (tmp_path / "app.log").write_text("")
    refused = judge(bad.path, tmp_path / "run", [tmp_path / "app.log"])
    assert refused.status != 0
    assert seasons.FILE in refused.stderr and "period_h 24 or 168" in refused.stderr


def test_a_bundle_without_log_keys_and_hours_still_works(
    bundle: Bundle, lines: list[str], tmp_path: Path
) -> None:
    manifest = json.loads(bundle.manifest.model_dump_json())
    for name in ("keys", "season", "busy_hour", "quiet_hour"):
        manifest["detectors"][-1].pop(name)
    manifest["files"].pop(seasons.FILE)
    files = {name: bundle.file(name) for name in manifest["files"]}
    old = write(tmp_path / "old", Manifest.model_validate(manifest), files)
    (tmp_path / "app.log").write_text("".join(lines))
    judged = judge(old.path, tmp_path / "run", [tmp_path / "app.log"])
    assert judged.status == 0, judged.stderr
    assert of_hours(judged.alerts) == []
    assert all("host" in alert["detail"] for alert in judged.alerts if alert["detector"] == "rates")

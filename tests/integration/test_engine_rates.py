"""rates in the engine: bursts and silences of hosts, nothing else; for any workers, batches and restarts."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi.bundle.manifest import Manifest, Other
from haechi.bundle.store import Bundle, entry_of, write
from haechi.config.training import RatesConfig
from haechi.train import rates
from haechi.train.detector import Entry
from tests.integration.engine_room import (
    ORDER,
    Judged,
    fill,
    judge,
    log_line,
    make_bundle,
    need_engine,
)
from tests.integration.test_engine_crash import restarted

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
)
HOSTS = 40
SECONDS = 60
BURST_AT, SILENCE_AT, RAMP_AT = 30.0, 40.0, 50.0
KEY_BURST_AT, KEY_SILENCE_AT = 20.0, 44.0
CONFIG = RatesConfig(interval_s=0.2)


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    need_engine()


def traffic(seed: int, *, odd: bool = False) -> list[str]:
    """Each host some 20 lines a second. odd: one bursts, one falls silent for five seconds; and in the end
    all hosts speak three times as often, which is nothing odd of any of them. Likewise one kind of line comes
    from all hosts at once, and another one not at all for two seconds."""
    draw = random.Random(seed)
    moments: list[tuple[float, str]] = []
    messages: list[tuple[float, str, str]] = []
    for host in range(HOSTS):
        name, at, rate = f"web{host}", 0.0, draw.uniform(15, 30)
        while at < SECONDS:
            at += draw.expovariate(rate * (3 if odd and at > RAMP_AT else 1))
            silent = odd and name == "web7" and SILENCE_AT <= at < SILENCE_AT + 5
            if not silent:
                moments.append((at, name))
    if odd:
        moments += [(BURST_AT + n * 0.001, "web3") for n in range(200)]
    for at, name in moments:
        quiet = odd and KEY_SILENCE_AT <= at < KEY_SILENCE_AT + 2
        messages.append((at, name, draw.choice(ORDER[:3] if quiet else ORDER)))
    if odd:
        messages += [(KEY_BURST_AT + n * 0.0012, f"web{n % HOSTS}", ORDER[1]) for n in range(360)]
    messages.sort()
    return [log_line(at, draw.randrange(1000), fill(text, draw), name) for at, name, text in messages]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Learned from one hour of a minute, as it were."""
    folder = tmp_path_factory.mktemp("rates")
    log = folder / "normal.log"
    log.write_text("".join(traffic(1)))
    base = make_bundle(folder / "base", deeplog=None)
    files = {name: base.file(name) for name in base.manifest.files}
    entry = rates.learn([log], base.manifest, files, SECONDS, CONFIG)
    assert entry is not None
    return with_entry(base.manifest, files, entry, folder / "bundles")


def with_entry(manifest: Manifest, files: dict[str, bytes], entry: Entry, folder: Path) -> Bundle:
    files = {**files, **entry.files}
    section = Other.model_validate(entry.section)
    listed = {name: entry_of(content) for name, content in files.items()}
    change = {"detectors": (*manifest.detectors, section), "files": listed}
    return write(folder, manifest.model_copy(update=change), files)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return traffic(2, odd=True)


def reported(judged: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(
        (alert["rule"], alert["session"], alert["time"], alert["score"])
        for alert in judged
        if alert["detector"] == "rates"
    )


@pytest.fixture(scope="module")
def usual(bundle: Bundle, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("usual")
    (folder / "app.log").write_text("".join(lines))
    return judge(bundle.path, folder, [folder / "app.log"])


def test_finds_the_burst_and_the_silence_and_nothing_else(usual: Judged) -> None:
    assert usual.status == 0, usual.stderr
    found = [alert for alert in usual.alerts if alert["detector"] == "rates"]
    assert sorted((alert["rule"], alert["session"]) for alert in found) == [
        ("burst", "read block <*> of file <*>"),
        ("burst", "web3"),
        ("silence", "close request <*>"),
        ("silence", "web7"),
    ]
    for alert in found:
        SCHEMA.validate(alert)
        assert alert["score"] >= alert["threshold"] > 0
        assert alert["session"] in alert["reason"]
    of_keys = [alert for alert in found if "host" not in alert["detail"]]
    of_key, lost_key = sorted(of_keys, key=lambda alert: str(alert["rule"]))
    assert of_key["detail"]["log_key"] == of_key["log_key"]
    assert of_key["detail"]["template"] == of_key["template"] == of_key["session"]
    assert of_key["detail"]["count"] > 1.5 * of_key["detail"]["usual"]
    assert "00:00:20" in of_key["time"]
    assert lost_key["detail"]["template"] == lost_key["session"]
    assert "00:00:44" in lost_key["time"]
    hosts = [alert for alert in found if "host" in alert["detail"]]
    burst, silence = sorted(hosts, key=lambda alert: str(alert["rule"]))
    assert "00:00:30" in burst["time"]
    assert burst["detail"]["seconds"] == 0.2
    assert burst["detail"]["count"] > 2 * burst["detail"]["usual"]
    assert burst["lines"][0]["text"].split()[1] == "web3"
    assert "00:00:40" <= silence["time"].split("T")[1][:8] <= "00:00:44"
    assert silence["detail"]["last"].startswith("2026-01-05T00:00:39")


def test_a_stream_that_stops_makes_no_host_silent(bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    late = log_line(SECONDS + 3600, 1, fill(ORDER[0], random.Random(1)), "web0")
    log.write_text("".join([*traffic(3), late]))
    assert reported(judge(bundle.path, tmp_path / "run", [log]).alerts) == []


@pytest.mark.parametrize(
    "change", [{"workers": 4}, {"batch_bytes": 4096}, {"workers": 3, "batch_bytes": 8192}], ids=str
)
def test_same_alerts(
    change: dict[str, Any], bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path
) -> None:
    (tmp_path / "app.log").write_text("".join(lines))
    other = judge(bundle.path, tmp_path / "other", [tmp_path / "app.log"], **change)
    assert reported(other.alerts) == reported(usual.alerts)


def test_history_outlives_a_restart(bundle: Bundle, lines: list[str], usual: Judged, tmp_path: Path) -> None:
    alerts = restarted(bundle.path, tmp_path, lines, (1, 3, 2, 1))
    assert reported(alerts) == reported(usual.alerts)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"interval_s": 0}, "rates.interval_s"),
        ({"max_hosts": 1e9}, "rates.max_hosts"),
        ({"burst": []}, "3 levels"),
        ({"burst": [{"limit": -1}] * 3}, "rates.burst.limit"),
        ({"silence": {}}, "rates.silence.limit"),
        ({"silence": {"limit": 3, "evidence": {"at": [1]}}}, "rates.silence.evidence"),
    ],
    ids=str,
)
def test_a_bad_section_is_refused(change: dict[str, Any], word: str, bundle: Bundle, tmp_path: Path) -> None:
    manifest = json.loads(bundle.manifest.model_dump_json())
    manifest["detectors"][-1] |= change
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    bad = write(tmp_path / "bad", Manifest.model_validate(manifest), files)
    (tmp_path / "app.log").write_text("")
    refused = judge(bad.path, tmp_path / "run", [tmp_path / "app.log"])
    assert refused.status != 0
    assert word in refused.stderr


def test_limits_lie_above_all_that_is_normal_and_too_little_sets_none() -> None:
    few = rates.limit_of([[1.0, 10.0], [5.0, 2.0]], 1e-7)
    assert few.limit is None
    scores = [[0.0, 90_000.0], [2.0, 9000.0], [4.0, 900.0], [6.0, 90.0], [8.0, 9.0]]
    many = rates.limit_of(scores, 1e-7)
    assert many.limit is not None and many.limit > 1.2 * 8.0
    rarer = rates.limit_of(scores, 1e-9)
    assert rarer.limit is not None and rarer.limit > many.limit


@pytest.mark.parametrize(
    ("lines_", "hosts", "seconds", "want"),
    [(1_000_000, 1000, 5.0, 0.1), (10_000, 1, 1000.0, 1.0), (7000, 1, 2_000_000, 60.0), (0, 0, 0.0, 60.0)],
)
def test_the_interval_follows_how_often_a_host_speaks(
    lines_: int, hosts: int, seconds: float, want: float
) -> None:
    assert rates.interval_for(lines_, hosts, seconds) == want

"""values in the engine: what is out of range; for any workers and batches, after restarts, swaps, kills."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from haechi.bundle.store import Bundle, entry_of, write
from haechi.native._core import Matcher
from haechi.native.tools import Process
from tests.integration.engine_room import (
    ORDER,
    fill,
    judge,
    log_line,
    make_bundle,
    need_engine,
    read_alerts,
    settings,
)
from tests.integration.test_engine_crash import (
    assert_as_undisturbed,
    crash_again_and_again,
    restarted,
    wait_until_quiet,
)

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "alert.schema.json").read_text())
)
HIGHEST = 8999  # of the number in a message of the order; one in ten is above


@pytest.fixture(scope="module", autouse=True)
def engine() -> None:
    need_engine()


def with_values(base: Bundle, folder: Path, highest: int = HIGHEST) -> Bundle:
    """The bundle with a range for the first number of each message of the order, and with nothing else that
    finds what is odd in these lines."""
    manifest = json.loads(base.manifest.model_dump_json())
    matcher = Matcher(base.file("templates.json"))
    checks = []
    for message in ORDER:
        words = message.split()
        key = int(matcher.match((fill(message, random.Random(1)) + "\n").encode())[0])
        place = {"log_key": key, "step": words.index("{n}"), "skeleton": "0", "part": 0}
        limits = {"low": 0, "high": highest, "low_slope": 0.0, "high_slope": 0.01}
        checks.append({**place, "kind": "range", **limits, "nats": 20.0, "limit": 15.0})
    checks.sort(key=lambda check: (check["log_key"], check["step"]))
    files = {name: base.file(name) for name in manifest["files"]}
    files["values.json"] = json.dumps({"format": 1, "checks": checks}).encode()
    manifest["files"] = {name: entry_of(content).model_dump() for name, content in files.items()}
    manifest["detectors"].append(
        {"name": "values", "file": "values.json", "checks": len(checks), "validation": {}}
    )
    return write(folder, type(base.manifest).model_validate(manifest), files)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    base = make_bundle(tmp_path_factory.mktemp("base"), deeplog=None)
    return with_values(base, tmp_path_factory.mktemp("values"))


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Each a session of its own, since a session has one alert."""
    draw = random.Random(8)
    return [log_line(step * 0.05, step, fill(ORDER[step % len(ORDER)], draw)) for step in range(3000)]


def first_number(line: str) -> int:
    found = re.search(r"\]: \D*(\d+)", line)
    assert found
    return int(found[1])


def too_high(lines: list[str], highest: int = HIGHEST) -> list[str]:
    return sorted(line.rstrip("\n") for line in lines if first_number(line) > highest)


def reported(alerts: list[dict[str, Any]]) -> list[str]:
    return sorted(alert["lines"][0]["text"] for alert in alerts if alert["detector"] == "values")


@pytest.mark.parametrize("change", [{}, {"workers": 4}, {"batch_bytes": 4096}], ids=str)
def test_each_that_is_too_high(
    change: dict[str, Any], bundle: Bundle, lines: list[str], tmp_path: Path
) -> None:
    (tmp_path / "app.log").write_text("".join(lines))
    judged = judge(bundle.path, tmp_path, [tmp_path / "app.log"], **change)
    assert judged.status == 0, judged.stderr
    assert reported(judged.alerts) == too_high(lines)
    assert len(too_high(lines)) > 200
    for alert in judged.alerts:
        SCHEMA.validate(alert)
        if alert["detector"] == "values":
            assert alert["rule"] == "range"
            assert alert["detail"]["value"] == str(first_number(alert["lines"][0]["text"]))
            assert alert["detail"]["high"] == HIGHEST


def test_it_goes_on_after_a_restart(bundle: Bundle, lines: list[str], tmp_path: Path) -> None:
    assert reported(restarted(bundle.path, tmp_path, lines, (1, 3, 2))) == too_high(lines)


def test_a_bundle_with_other_values(bundle: Bundle, lines: list[str], tmp_path: Path) -> None:
    """What was kept for a form of messages goes with its bundle."""
    none = make_bundle(tmp_path / "none", deeplog=None)
    stricter = with_values(none, tmp_path / "stricter", 4999)
    log = tmp_path / "app.log"
    log.write_bytes(b"")
    want: list[str] = []
    config = settings(
        bundle.path,
        tmp_path,
        [log],
        follow=True,
        control_socket=str(tmp_path / "control"),
        stats_page=str(tmp_path / "stats"),
    )
    with Process.start("haechi-detect", config) as engine:
        turns = [(None, HIGHEST), (stricter, 4999), (none, 9999), (bundle, HIGHEST)]
        for turn, (next_one, highest) in enumerate(turns):
            part = lines[turn * 700 : turn * 700 + 700]
            if next_one is not None:
                with engine.control() as control:
                    assert control.ask("load_bundle", path=str(next_one.path))["ok"]
            with log.open("a") as file:
                file.writelines(part)
            wait_until_quiet(engine, tmp_path, still_s=0.3)
            want += too_high(part, highest)
    assert reported(read_alerts(tmp_path / "alerts.jsonl")) == sorted(want)


def test_killed_again_and_again(bundle: Bundle, tmp_path: Path) -> None:
    """No alert of a value is lost and none comes twice."""
    alerts, lines = crash_again_and_again(bundle.path, tmp_path, 3, lambda _: 2, None, False, rounds=5)
    assert_as_undisturbed(bundle.path, tmp_path, alerts, lines)
    assert len(reported(alerts)) > 100

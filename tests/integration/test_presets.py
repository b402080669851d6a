"""Each preset with the engine: followed logs are judged to the last line, and the alerts are those of an
ordinary run where no budget is in the way."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from haechi.config.presets import PRESETS
from haechi.native.control import ControlClient, ControlError
from tests.integration.engine_room import about, judge, log_lines, read_alerts

LINES = 4000
HAECHI = "import sys; from haechi.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset-log") / "app.log"
    path.write_text("".join(log_lines(LINES, seed=3)))
    return path


def followed(arguments: list[str], control: Path, lines: int, timeout_s: float = 60.0) -> dict[str, int]:
    """The totals when so many lines are judged; the engine is then asked to end, and does so with 0."""
    command = [sys.executable, "-c", HAECHI, "detect", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as engine:
        deadline = time.monotonic() + timeout_s
        stats: dict[str, int] = {}
        try:
            while stats.get("lines", 0) < lines:
                assert engine.poll() is None, engine.stderr and engine.stderr.read()
                assert time.monotonic() < deadline, f"only {stats.get('lines', 0)} of {lines} lines"
                with contextlib.suppress(ControlError), ControlClient(control) as client:
                    stats = client.ask("stats")["stats"]
                time.sleep(0.05)
            engine.send_signal(signal.SIGTERM)
            assert engine.wait(30) == 0
        finally:
            engine.kill()
    return stats


@pytest.mark.parametrize("preset", PRESETS)
def test_a_service_with_each_preset(preset: str, engine_bundle: Path, log: Path, tmp_path: Path) -> None:
    alerts, control = tmp_path / "alerts.jsonl", tmp_path / "control"
    arguments = ["--preset", preset, "--bundle", str(engine_bundle), "-o", str(alerts), str(log)]
    stats = followed([*arguments, "--control-socket", str(control)], control, LINES)
    assert stats["lines"] == LINES
    # How often a new kind of line is told again is the preset's own.
    found = {about(alert) for alert in read_alerts(alerts) if alert["detector"] != "new_event"}
    plain = judge(engine_bundle, tmp_path / "plain", [log])
    expected = {about(alert) for alert in plain.alerts if alert["detector"] != "new_event"}
    assert found, "this log has anomalies"
    # A budget lets windows through; what is found with it is a part of what is found without.
    assert found == expected if stats["unscored"] == 0 else found <= expected


@pytest.mark.parametrize("preset", PRESETS)
def test_options_win_over_a_preset(preset: str, engine_bundle: Path, log: Path, tmp_path: Path) -> None:
    options = ["--preset", preset, "--no-follow", "--workers", "1", "--json"]
    ran = subprocess.run(
        [sys.executable, "-c", HAECHI, "detect", str(log), "--bundle", str(engine_bundle), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stderr.splitlines()[-1])["lines"] == LINES

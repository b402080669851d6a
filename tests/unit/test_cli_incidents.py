"""haechi incidents, from files to blocks and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from haechi.cli.main import main
from haechi.incidents.reading import Account, follow_alerts, read_alerts
from tests.unit.incident_room import alert, guess, said

PROGRAM = "import sys; from haechi.cli.main import main; sys.exit(main(sys.argv[1:]))"


def write(path: Path, alerts: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in alerts))
    return path


@pytest.fixture
def alerts(tmp_path: Path) -> Path:
    quiet = said(5, "h9", "app", 1, "a is odd", template="a is odd", severity="low")
    return write(tmp_path / "alerts.jsonl", [*(guess(n, "10.0.0.9", n) for n in range(30)), quiet])


def test_blocks_for_people(alerts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["incidents", str(alerts)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("MEDIUM  Source 10.0.0.9: 30 alerts in 30 sessions on h1 within 29 s")
    assert "h1 sshd 1000, h1 sshd 1001" in out
    assert "and 25 more" in out
    assert "31 alerts, 2 incidents, 1 raised, 0 held back by their cooldown; 1 shown." in out


def test_json_for_machines(alerts: Path, tmp_path: Path) -> None:
    out = tmp_path / "incidents.jsonl"
    assert main(["incidents", str(alerts), "--all", "--json", "-o", str(out)]) == 0
    first, second = map(json.loads, out.read_text().splitlines())
    assert (first["count"], first["sources"]["names"], first["sessions"]["number"]) == (30, ["10.0.0.9"], 30)
    assert (second["severity"], second["raised"], second["hosts"]["names"]) == ("low", False, ["h9"])
    assert main(["incidents", str(alerts), "--all", "--json", "-o", str(out), "--severity", "medium"]) == 0
    assert len(out.read_text().splitlines()) == 1


def test_settings(alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "incidents.yaml"
    config.write_text("raised: {alerts: 31}")
    assert main(["incidents", str(alerts), "--config", str(config)]) == 0
    assert "0 raised" in capsys.readouterr().out
    config.write_text("quiet: 1m")
    assert main(["incidents", str(alerts), "--config", str(config)]) == 2
    assert "window: 300 s is longer than quiet, 60 s" in capsys.readouterr().err


def test_what_is_no_alert_is_passed_over_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.jsonl", [guess(0, "10.0.0.9", 1)])
    with path.open("a") as file:
        file.write('{"id": "x"}\n[1]\nnot json\n\n' + "y" * (300 << 10) + "\n")
    assert main(["incidents", str(path)]) == 0
    said_so = capsys.readouterr().err
    assert "passed over: alert 'x': is no alert" in said_so
    assert "(and 3 others)" in said_so


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["incidents", str(tmp_path / "none")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_lines_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path / "a.jsonl", [alert(0, "a\x1b]0;owned\x07\u202eb", severity="high", session="s\x1b[2J")]
    )
    assert main(["incidents", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b]0;owned" in out


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    a = write(tmp_path / "a", [alert(n, f"a{n}") for n in (1, 4, 2)])
    b = write(tmp_path / "b", [alert(n, f"b{n}") for n in (3, 5)])
    account = Account()
    lines = [one["lines"][0]["text"] for one in read_alerts([a, b], account)]
    assert lines == ["a1", "b3", "a4", "a2", "b5"]
    assert account.unreadable == 0


def test_following_waits_for_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: write(path, [alert(1, "one")]),
            lambda: path.open("a").write(json.dumps(alert(2, "two"))) and None,  # half a line
            lambda: path.open("a").write("\n") and None,
            lambda: write(path, [alert(3, "3")]),  # begun anew, and shorter
        ]
    )

    def wait(seconds: float) -> None:
        if (step := next(steps, None)) is None:
            raise KeyboardInterrupt
        step()

    found = []
    with pytest.raises(KeyboardInterrupt):
        for one in follow_alerts([path], Account(), lambda: None, wait):
            found.append(one["lines"][0]["text"])
    assert found == ["one", "two", "3"]


def test_follow_says_at_once_what_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    command = [sys.executable, "-c", PROGRAM, "incidents", "--follow", "--json", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            write(path, [guess(n, "10.0.0.9", n) for n in range(10)])
            assert process.stdout is not None
            change = json.loads(process.stdout.readline())
            assert (change["change"], change["count"], change["cause"]["of"]) == ("raised", 10, ["10.0.0.9"])
        finally:
            process.kill()

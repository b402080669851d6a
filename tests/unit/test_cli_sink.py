"""haechi sink: usage, what it received, thresholds, signals while it runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from haechi.cli.sink import _missed
from haechi.config.sink import SinkConfig
from haechi.native.control import ControlError
from haechi.native.tools import ToolError, tool_path
from haechi.sink.run import Latency, Sink, SinkResult
from tests.conftest import Ran

Haechi = Callable[..., Ran]

try:
    tool_path("haechi-sink")
except ToolError as missing:
    pytest.skip(str(missing), allow_module_level=True)


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def send(port: int, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for i in range(count):
            sock.sendto(b"<14>message %d" % i, ("127.0.0.1", port))


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ports", "600-1624"], "ports: 1025 are too many"),
        (["--transport", "tls"], "tls needs tls_certificate and tls_key"),
        (["--transport", "sctp"], "'sctp' is not one of"),
        (["--duration", "ten"], "command line: duration: 'ten' is not a time"),
        (["--max-loss", "2"], "not in the range"),
        (["--config", "none.yaml"], "does not exist"),
        (["--address", "no.such.name.invalid", "--ports", "45514"], "no.such.name.invalid"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_usage_is_words(haechi: Haechi, arguments: list[str], says: str) -> None:
    ran = haechi("sink", *arguments, "--quiet")
    assert ran.status in (1, 2)
    assert says in ran.err
    assert ran.out == ""


def test_help_has_every_setting(haechi: Haechi) -> None:
    text = haechi("sink", "--help").out
    for name in SinkConfig.model_fields:
        assert f"--{name.replace('_', '-')}" in text
    assert text.index("\nWhere:\n") < text.index("\nHow long:\n") < text.index("\nRunning:\n")


def test_a_sink_that_hears_nothing_tells_people(haechi: Haechi) -> None:
    ran = haechi("sink", "--ports", free_port(), "--duration", "2.5s")
    assert ran.status == 0
    assert "0 messages, 0 bytes" in ran.out
    assert "no account: no sender said what it sent" in ran.out
    assert "0:01  0/s" in ran.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_sink_that_fails_still_tells_what_it_received(tmp_path: Path) -> None:
    port, page = free_port(), tmp_path / "page"
    with started(tmp_path, "--ports", port, "--write", "/dev/full", "--stats-page", page, "--json") as tool:
        wait_until(lambda: page_says(page, "running") == 1)
        send(port, 7)
        wait_until(lambda: page_says(page, "received") == 7)
        tool.terminate()
        out, err = tool.communicate(timeout=20)
    assert tool.returncode == 1
    totals = json.loads(out)
    assert (totals["received"], totals["write_errors"] > 0) == (7, True)
    assert "/dev/full" in err.rpartition("haechi: ")[2]


def started(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import sys; from haechi.cli.main import main; sys.exit(main())", "sink"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_thresholds_that_cannot_be_checked_are_not_met(haechi: Haechi) -> None:
    ran = haechi(
        *("sink", "--ports", free_port(), "--duration", "200ms", "--quiet", "--json"),
        *("--max-loss", "0", "--max-p99-us", "100"),
    )
    assert ran.status == 99
    assert json.loads(ran.out)["received"] == 0
    assert "the loss is not known: no sender said what it sent" in ran.err
    assert "the latency is not known: no probe came" in ran.err


def result(closed: bool, lost: int, probes: int, p99: float) -> SinkResult:
    values = dict.fromkeys(SinkResult.__dataclass_fields__, 0)
    latency = Latency(probes, 0, 0, 0, p99, 0, 0)
    account = {"closed": closed, "streams": 1, "sent": 1000, "lost_elsewhere": lost, "latency_us": latency}
    return SinkResult(**{**values, **account, "ports": (), "whole": {}})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "max_loss", "max_p99_us", "missed"),
    [
        (result(True, 0, 5, 90), 0.0, 100.0, []),
        (result(True, 10, 5, 90), 0.01, None, []),
        (result(True, 11, 5, 90), 0.01, None, ["the loss ratio 0.011 is above 0.01"]),
        (result(False, 0, 5, 90), None, 90.0, []),
        (
            result(False, 0, 5, 90),
            0.5,
            None,
            ["the loss is not known for certain: the account is not closed"],
        ),
        (result(False, 0, 5, 90.5), None, 90.0, ["the p99 latency, 90.5 us, is above 90"]),
    ],
)
def test_thresholds(
    of: SinkResult, max_loss: float | None, max_p99_us: float | None, missed: list[str]
) -> None:
    assert _missed(of, max_loss, max_p99_us) == missed


def test_what_is_received_is_written(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "received.log"
    with Sink.start(SinkConfig(ports=str(port), write=log)) as sink:
        send(port, 20)
        wait_until(lambda: sink.summary_now()["received"] == 20)
        sink.stop()
        totals = sink.finish(20)
    assert (totals.received, totals.streams, totals.write_errors) == (20, 0, 0)
    assert log.read_text().splitlines() == [f"<14>message {i}" for i in range(20)]


def test_a_paused_sink_takes_nothing() -> None:
    port = free_port()
    with Sink.start(SinkConfig(ports=str(port))) as sink:
        sink.pause()
        send(port, 5)
        sink.set_rate(1000)
        sink.resume()
        wait_until(lambda: sink.summary_now()["received"] == 5)
        with pytest.raises(ControlError, match="set_rate"):
            sink.set_rate(-1)
        assert sink.page is not None
        wait_until(lambda: sink.page is not None and sink.page.value("received") == 5)


def test_signals_while_it_runs(tmp_path: Path) -> None:
    port, settings = free_port(), tmp_path / "sink.yaml"
    settings.write_text(f"ports: {port}\n")
    snapshot = tmp_path / "haechi-sink-snapshot.json"
    page = tmp_path / "page"
    with started(tmp_path, "--config", settings, "--json", "--stats-page", page) as tool:
        wait_until(lambda: page_says(page, "running") == 1)
        send(port, 7)
        wait_until(lambda: page_says(page, "received") == 7)
        settings.write_text(f"ports: {port}\nmax_eps: 50k\nwrite: x\n")
        tool.send_signal(signal.SIGUSR1)
        tool.send_signal(signal.SIGUSR2)
        wait_until(snapshot.exists)
        wait_until(lambda: page_says(page, "max_eps") == 50_000)
        tool.send_signal(signal.SIGINT)
        out, err = tool.communicate(timeout=20)
    assert tool.returncode == 0
    assert "USR1: max_eps is now 50,000" in err
    assert "USR1: write cannot change while it runs" in err
    assert json.loads(out)["received"] == 7
    assert json.loads(snapshot.read_text())["received"] == 7


def page_says(path: Path, name: str) -> int:
    from haechi.native.stats import StatsError, StatsPage

    try:
        with StatsPage(path) as page:
            return page.value(name)
    except (StatsError, KeyError, FileNotFoundError):
        return -1

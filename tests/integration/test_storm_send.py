"""haechi-storm to haechi-sink over loopback: the same lines through every output, an account that is exact
whatever is lost, and the rate that was asked for."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from haechi.native.tools import ToolError, tool_path
from tests.integration.sink_room import balance, free_ports, sink
from tests.integration.storm_room import (
    TRIES,
    by_host,
    by_session,
    has_ipv6,
    lines_of,
    storm,
    storm_to_sink,
    wait_for_end,
)


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    try:
        tool_path("haechi-storm")
        tool_path("haechi-sink")
    except ToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    if not shutil.which("openssl"):
        pytest.skip("the program openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    paths = {"tls_certificate": str(folder / "certificate.pem"), "tls_key": str(folder / "key.pem")}
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=sink"
    )
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", paths["tls_key"], "-out", paths["tls_certificate"]]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return paths


# --- the same lines

SAME = {"seed": 5, "eps": 20_000, "count": 8_000, "anomaly_rate": 0.02}
OUTPUTS: dict[str, dict[str, Any]] = {
    "udp": {},
    "udp plain": {"gso": False},
    "tcp octets": {"transport": "tcp", "framing": "octets"},
    "tcp newline": {"transport": "tcp", "framing": "newline"},
    "tls": {"transport": "tls"},
}


def written(folder: Path, how: str, certificate: dict[str, str], **settings: Any) -> list[bytes]:
    """What a sink writes of a storm that loses nothing."""
    output = dict(OUTPUTS[how])
    transport = output.get("transport", "udp")
    file = folder / "written"
    listen: dict[str, Any] = {"write": str(file), "transport": transport}
    if transport == "tls":
        listen |= certificate
        output["tls_ca"] = certificate["tls_certificate"]
    for _ in range(TRIES):
        ports = free_ports(3)
        sent, taken = storm_to_sink(folder, ports, listen, **SAME, **output, **settings)
        assert sent["events"] == SAME["count"] and sent["errors"] == 0
        assert sent["gso"] == (how == "udp")
        assert taken["closed"] and balance(taken) == 0
        if taken["lost"] == 0:
            break
    return lines_of(file)


@pytest.fixture(scope="module")
def in_file(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("file")
    with storm(folder, output=str(folder / "lines"), ports="6001-6003", **SAME) as running:
        assert running.finish()["events"] == SAME["count"]
    return lines_of(folder / "lines")


@pytest.mark.parametrize("how", OUTPUTS)
def test_same_lines_through_every_output(
    tmp_path: Path, how: str, in_file: list[bytes], certificate: dict[str, str]
) -> None:
    """Of one seed, whatever carries them. A session keeps its order everywhere, a port where it is a stream:
    datagrams of a turn leave by their lengths."""
    lines = written(tmp_path, how, certificate, workers=1)
    assert sorted(lines) == sorted(in_file)
    assert by_session(lines) == by_session(in_file)
    if not how.startswith("udp"):
        assert by_host(lines) == by_host(in_file)
    assert len(by_session(lines)) > 100


def test_same_lines_of_three_workers(tmp_path: Path, certificate: dict[str, str]) -> None:
    of = {how: written(tmp_path / how, how, certificate, workers=3) for how in OUTPUTS}
    first = of["tcp octets"]
    for how, lines in of.items():
        assert sorted(lines) == sorted(first), how
        assert by_session(lines) == by_session(first), how
        if not how.startswith("udp"):
            assert by_host(lines) == by_host(first), how


def test_another_seed_is_other_lines(tmp_path: Path, in_file: list[bytes]) -> None:
    with storm(tmp_path, output=str(tmp_path / "lines"), **{**SAME, "seed": 6}) as running:
        running.finish()
    assert len(set(lines_of(tmp_path / "lines")) & set(in_file)) < len(in_file) / 10


def test_long_lines(tmp_path: Path) -> None:
    """Texts of 1,000 characters come whole, in batches and in streams."""
    texts = [(letter + " word" * 200)[:980] + " {n} {n}" for letter in "ab"]
    steps = [{"severity": 6, "texts": [text]} for text in texts]
    profile = {
        "format": 1,
        "name": "long",
        "hosts": {"prefix": "node", "count": 40},
        "pids": {"first": 100, "count": 500},
        "processes": [
            {"name": "app", "facility": 3, "pid": True, "msgid": "-", "structured_data": "-"},
        ],
        "variables": [{"name": "n", "scope": "line", "range": [0, 9]}],
        "flows": [{"name": "long", "process": "app", "share": 1, "steps": steps}],
        "never": [],
        "failures": [],
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    wrote: dict[str, list[bytes]] = {}
    for how in ("udp", "tcp octets"):
        listen = {"write": str(tmp_path / "written"), "transport": OUTPUTS[how].get("transport", "udp")}
        sent, taken = storm_to_sink(
            tmp_path, free_ports(2), listen, workers=1, count=3000, eps=10_000, seed=3, **OUTPUTS[how]
        )
        assert sent["errors"] == 0 and taken["lost"] == 0 and taken["truncated"] == 0
        wrote[how] = sorted(lines_of(tmp_path / "written"))
        assert all(len(line) > 1000 for line in wrote[how])
    assert wrote["udp"] == wrote["tcp octets"]


def test_ipv6(tmp_path: Path) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    ports = free_ports(2)
    sent, taken = storm_to_sink(
        tmp_path, ports, {"address": "::1"}, target="::1", eps=20_000, count=5_000, workers=2
    )
    assert sent["events"] == taken["sent"] == 5_000 and sent["gso"]
    assert taken["closed"] and balance(taken) == 0
    assert {port["target"] for port in sent["ports"]} == {"::1"}


# --- the account


def by_port(totals: dict[str, Any], figure: str) -> dict[int, int]:
    sums: dict[int, int] = {}
    for port in totals["ports"]:
        sums[port["port"]] = sums.get(port["port"], 0) + port[figure]
    return sums


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("plain", [True, False])
def test_account_of_forced_drops(tmp_path: Path, plain: bool, workers: int) -> None:
    ports = free_ports(2)
    listen = {"buffer_bytes": 4096, "plain": plain, "max_eps": 20_000}
    sent, taken = storm_to_sink(
        tmp_path, ports, listen, eps="max", count=60_000, workers=workers, gso=not plain
    )
    assert sent["events"] == 60_000 and sent["errors"] == 0
    assert by_port(sent, "events") == by_port(taken, "sent")
    assert by_port(sent, "controls") == by_port(taken, "sent_controls")
    assert taken["closed"] and taken["streams_ended"] == max(workers, len(ports))
    assert 0 < taken["received"] < 60_000
    assert taken["kernel_dropped"] > 0 and taken["lost_elsewhere"] == 0
    for port in taken["ports"]:
        assert port["closed"] and balance(port) == 0
    assert sent["reported"] and sent["received"] == taken["received"]
    assert sent["lost"] == 60_000 - taken["received"]


def test_sink_killed_and_started_again(tmp_path: Path) -> None:
    ports = free_ports(2)
    with storm(tmp_path / "storm", ports, account=True, eps=20_000, duration=1.5, workers=2) as running:
        with sink(tmp_path / "first", ports) as first:
            first.wait_for("received", 2_000)
            first.process.kill()
        running.wait_for(12_000)
        with sink(tmp_path / "second", ports) as second:
            sent = running.finish()
            wait_for_end(second, 2)
            taken = second.finish()
    assert sent["errors"] == 0 and sent["refused"] > 0
    assert by_port(sent, "events") == by_port(taken, "sent")
    assert taken["closed"] and balance(taken) == 0
    assert 0 < taken["received"] < sent["events"]
    assert taken["lost_elsewhere"] > 0


def test_storm_killed(tmp_path: Path) -> None:
    ports = free_ports(2)
    with sink(tmp_path, ports) as receiver:
        with storm(tmp_path, ports, account=True, eps=20_000, workers=2) as running:
            running.wait_for(2_000)
            running.process.kill()
        receiver.wait_for("received", 1)
        taken = receiver.finish()
        said = receiver.process.stderr_text()
    assert taken["streams"] == 2 and taken["streams_ended"] == 0 and not taken["closed"]
    assert "2 of 2 streams" in said


def test_tcp_sink_killed_and_started_again(tmp_path: Path) -> None:
    """Over TCP the storm connects again and goes on; what was on its way is lost, and named."""
    ports = free_ports(2)
    listen = {"transport": "tcp"}
    settings = {"transport": "tcp", "account": True, "eps": 20_000, "duration": 2, "workers": 2}
    with (
        sink(tmp_path / "first", ports, **listen) as first,
        storm(tmp_path / "storm", ports, **settings) as running,
    ):
        first.wait_for("received", 2_000)
        first.process.kill()
        with sink(tmp_path / "second", ports, **listen) as second:
            sent = running.finish()
            taken = second.finish()
    assert sent["reconnects"] == 2
    assert by_port(sent, "events") == by_port(taken, "sent")
    assert taken["closed"] and balance(taken) == 0 and taken["received"] > 0


def test_slow_tcp_sink(tmp_path: Path) -> None:
    """It gets everything: what is on its way when the last event is sent is waited for."""
    listen = {"transport": "tcp", "max_eps": 15_000}
    sent, taken = storm_to_sink(
        tmp_path, free_ports(2), listen, transport="tcp", eps="max", count=40_000, workers=2
    )
    assert sent["errors"] == sent["reconnects"] == 0
    assert taken["closed"] and taken["received"] == taken["sent"] == 40_000
    assert sent["reported"] and sent["lost"] == 0


# --- the rate


@pytest.mark.parametrize(
    ("eps", "ramp_up", "want"), [(50_000, 0, 100_000), (200_000, 0, 400_000), (50_000, 1, 75_000)]
)
def test_rate(tmp_path: Path, eps: int, ramp_up: int, want: int) -> None:
    error = 1.0
    for _ in range(TRIES):
        sent, taken = storm_to_sink(
            tmp_path, free_ports(4), {}, eps=eps, duration=2, ramp_up=ramp_up, workers=2
        )
        assert sent["events"] <= want + 2
        assert sent["offered_eps"] == pytest.approx(want / 2, rel=0.002)
        assert taken["closed"] and taken["sent"] == sent["events"]
        error = min(error, abs(sent["events"] - want) / want, abs(sent["rate_error_ratio"]))
        if error <= 0.01:
            break
    assert error <= 0.01


def test_smooth(tmp_path: Path) -> None:
    """In every slice of 100 ms as many as there should be, within a tenth."""
    eps, worst = 100_000, 1.0
    for _ in range(TRIES):
        ports = free_ports(4)
        with sink(tmp_path, ports) as receiver, receiver.process.stats() as page:
            with storm(tmp_path, ports, eps=eps, duration=2, workers=2) as running:
                running.wait_for(eps // 10)
                samples = []
                for _ in range(15):
                    samples.append((time.monotonic(), page.value("received")))
                    time.sleep(0.1)
                running.finish()
            receiver.finish()
        slices = [
            (after - before) / (end - begin) for (begin, before), (end, after) in itertools.pairwise(samples)
        ]
        worst = min(worst, max(abs(found - eps) / eps for found in slices))
        if worst <= 0.1:
            break
    assert worst <= 0.1


def test_classical_shape(tmp_path: Path) -> None:
    """40 workers in 4 groups of 10, a port and 1,000 events/s each."""
    ports = free_ports(40)
    even = False
    for _ in range(TRIES):
        sent, taken = storm_to_sink(
            tmp_path, ports, {}, eps=40_000, duration=1, workers=40, groups=4, pin="auto"
        )
        assert sent["workers"] == 40 and len(sent["ports"]) == 40
        assert {port["worker"] for port in sent["ports"]} == set(range(40))
        assert by_port(sent, "events") == by_port(taken, "sent")
        assert taken["closed"] and balance(taken) == 0
        even = all(port["events"] == 1000 for port in sent["ports"])
        if even:
            break
    assert even

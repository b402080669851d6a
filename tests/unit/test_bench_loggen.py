"""loggen: found where it is, run for a bounded time, its totals read; and how its package is fetched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from haechi.bench import loggen
from haechi.bench.loggen import LoggenError, LoggenRun

FETCH = Path(__file__).resolve().parents[2] / "deploy" / "receivers.sh"
TOTALS = (
    "average rate = 63809.89 msg/sec, count=128130, time=2.008, (average) msg size=150, bandwidth=9.1 kB/sec"
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No loggen of this machine is found."""
    monkeypatch.delenv("HAECHI_LOGGEN", raising=False)
    monkeypatch.setenv("HAECHI_RECEIVERS", str(tmp_path / "receivers"))
    monkeypatch.setattr("shutil.which", lambda name: None)


def make_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_where_there_is_none() -> None:
    assert loggen.find_loggen() is None
    assert loggen.measure(5514, 1, 150) is None


def test_found_by_name_then_installed_then_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = make_program(tmp_path / "receivers/syslog-ng/usr/bin/loggen", "exit 0")
    assert loggen.find_loggen() == unpacked
    installed = make_program(tmp_path / "bin/loggen", "exit 0")
    monkeypatch.setattr("shutil.which", lambda name: str(installed))
    assert loggen.find_loggen() == installed
    named = make_program(tmp_path / "own", "exit 0")
    monkeypatch.setenv("HAECHI_LOGGEN", str(named))
    assert loggen.find_loggen() == named
    monkeypatch.setenv("HAECHI_LOGGEN", str(tmp_path / "missing"))
    assert loggen.find_loggen() is None


def test_an_unpacked_one_finds_its_libraries(tmp_path: Path) -> None:
    folder = tmp_path / "receivers" / "syslog-ng"
    for library in ("usr/lib/x86_64-linux-gnu/libnet.so.1", "lib/x86_64-linux-gnu/libpcre.so.3"):
        (folder / library).parent.mkdir(parents=True)
        (folder / library).touch()
    said = tmp_path / "said"
    make_program(
        folder / "usr/bin/loggen",
        f'printf "%s\\n" "$SYSLOGNG_PREFIX" "$LD_LIBRARY_PATH" "$*" >{said}; echo "{TOTALS}"',
    )
    assert loggen.measure(5514, 2.4, 150) == LoggenRun(128130, 2.008)
    prefix, libraries, arguments = said.read_text().splitlines()
    assert prefix == f"{folder}/usr"
    assert libraries == f"{folder}/lib/x86_64-linux-gnu:{folder}/usr/lib/x86_64-linux-gnu"
    assert "--inet --dgram" in arguments
    assert arguments.endswith("--size 150 --interval 2 127.0.0.1 5514")


def test_totals() -> None:
    run = loggen.read_totals(TOTALS, 0)
    assert run == LoggenRun(128130, 2.008)
    assert round(run.eps) == 63810
    assert LoggenRun(0, 0.0).eps == 0.0


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (f"error [socket_plugin.c:send_msg:449] error sending buffer on 3 (rc=-1)\n{TOTALS}", 0),
        (TOTALS, 1),
        ("", 0),
        (TOTALS.replace("2.008", "0"), 0),
    ],
)
def test_totals_that_are_none(text: str, status: int) -> None:
    with pytest.raises(LoggenError, match=f"status {status}"):
        loggen.read_totals(text, status)


@pytest.mark.parametrize("size", [100, 9000])
def test_sizes_that_it_cannot_make(size: int) -> None:
    with pytest.raises(LoggenError, match=f"130 to 8192 bytes, not of {size}"):
        loggen.measure(5514, 1, size)


def test_one_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAECHI_LOGGEN", str(make_program(tmp_path / "slow", "exec sleep 60")))
    monkeypatch.setattr(loggen, "SPARE_S", -0.8)
    with pytest.raises(LoggenError, match="was ended"):
        loggen.measure(5514, 1, 150)


def fetch(name: str, path: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path, "HAECHI_RECEIVERS": str(folder)}
    return subprocess.run([FETCH, name], env=environment, capture_output=True, text=True)


def test_no_package_is_fetched_where_that_is_not_possible(tmp_path: Path) -> None:
    done = fetch("rsyslog", str(tmp_path), tmp_path / "cache")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "this machine has no apt-get to fetch Debian's package rsyslog with\n"
    make_program(tmp_path / "apt-get", 'echo "E: no way out" >&2; exit 100')
    make_program(tmp_path / "dpkg-query", "exit 1")
    make_program(tmp_path / "dpkg-deb", "exit 1")
    done = fetch("syslog-ng", f"{tmp_path}:{os.environ['PATH']}", tmp_path / "cache")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("syslog-ng-core cannot be fetched; tried apt-get")
    assert "E: no way out" in done.stderr
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_only_these_two(tmp_path: Path) -> None:
    done = fetch("nginx", os.environ["PATH"], tmp_path)
    assert done.returncode == 1
    assert done.stderr == "usage: deploy/receivers.sh rsyslog|syslog-ng\n"

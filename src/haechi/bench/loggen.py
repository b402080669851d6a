"""syslog-ng's loggen, for comparison: as fast as it goes, a message a datagram, to this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SPARE_S = 5.0  # past its time until it is ended
RATE = 1_000_000_000  # loggen needs a number; it stops at a small part of this one
MIN_BYTES, MAX_BYTES = 130, 8192  # what loggen can make exactly
TOTALS = re.compile(r"average rate = [\d.]+ msg/sec, count=(\d+), time=([\d.]+)")


class LoggenError(Exception):
    """loggen did not do what it was asked for; says what it said."""


@dataclass(frozen=True, slots=True)
class LoggenRun:
    """What loggen says that it has sent."""

    sent: int
    seconds: float

    @property
    def eps(self) -> float:
        return self.sent / self.seconds if self.seconds > 0 else 0.0


def find_loggen() -> Path | None:
    """$HAECHI_LOGGEN, the one that is installed, or the one that deploy/receivers.sh has unpacked. None where
    there is none, or where $HAECHI_LOGGEN names none."""
    if named := os.environ.get("HAECHI_LOGGEN"):
        return executable(Path(named))
    installed = shutil.which("loggen")
    return executable(Path(installed) if installed else receivers() / "syslog-ng" / "usr/bin/loggen")


def receivers() -> Path:
    """The folder of folders that deploy/receivers.sh unpacks packages into."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HAECHI_RECEIVERS") or cache / "haechi" / "receivers")


def executable(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def environment(folder: Path) -> dict[str, str]:
    """For a program of a package that was unpacked into a folder (or installed: /): where its libraries are
    and, if it is one of syslog-ng's, its plugins."""
    if not (folder / "usr").is_dir() or folder == Path("/"):
        return dict(os.environ)
    libraries = {
        str(library.parent) for root in ("usr/lib", "lib") for library in (folder / root).glob("*/*.so*")
    }
    return {
        **os.environ,
        "LD_LIBRARY_PATH": ":".join(sorted(libraries)),
        "SYSLOGNG_PREFIX": str(folder / "usr"),
    }


def measure(port: int, seconds: float, size: int) -> LoggenRun | None:
    """loggen over UDP to 127.0.0.1 for so long (at least one second), with messages of so many bytes; None
    where there is no loggen. LoggenError where it fails, as it does where nobody listens."""
    if not MIN_BYTES <= size <= MAX_BYTES:
        raise LoggenError(f"loggen writes messages of {MIN_BYTES} to {MAX_BYTES} bytes, not of {size}")
    path = find_loggen()
    if path is None:
        return None
    interval = max(1, round(seconds))
    options = f"--inet --dgram --quiet --rate {RATE} --size {size} --interval {interval} 127.0.0.1 {port}"
    try:
        done = subprocess.run(
            [path, *options.split()],
            env=environment(Path(*path.absolute().parts[:-3])),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=interval + SPARE_S,
        )
    except subprocess.TimeoutExpired:
        raise LoggenError(f"{path} still ran {SPARE_S:g} s past its {interval} s, and was ended") from None
    return read_totals(done.stdout.decode("utf-8", "replace"), done.returncode)


def read_totals(text: str, status: int) -> LoggenRun:
    """From its last words; LoggenError where it has failed, or sent for no time."""
    totals = TOTALS.search(text)
    if status != 0 or "error" in text or totals is None or float(totals[2]) == 0:
        raise LoggenError(f"loggen ended with status {status} and said: {text.strip()[-300:]!r}")
    return LoggenRun(int(totals[1]), float(totals[2]))

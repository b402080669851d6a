"""Making a log: the profile rendered for the C tool, and the tool run once."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from haechi.native.tools import tool_path
from haechi.storm import profile as profiles

START = "2025-08-30T10:15:30Z"


class MakeError(RuntimeError):
    """The tool refused or failed; str() is its own sentence."""


@dataclass(frozen=True, slots=True)
class MakeResult:
    """What was written: lines, bytes, anomalous sessions, and the seconds it took."""

    events: int
    bytes: int
    episodes: int
    seconds: float


def make(
    output: Path,
    *,
    count: int,
    eps: float,
    seed: int,
    form: str,
    profile: str | Path,
    anomaly_rate: float = 0.0,
    truth: Path | None = None,
    start: str = START,
) -> MakeResult:
    """Writes `count` lines to `output` ("-": standard output) at `eps` lines a second of log time.

    profile is a name ("system") or a YAML file; form is iso, rfc3164 or rfc5424; start is the UTC time of
    the first line; anomaly_rate is the share of sessions made anomalous, listed in truth as JSON lines.
    The same arguments give the same bytes. Raises ProfileError for the profile, MakeError for the rest.
    """
    rendered = profiles.render(profiles.load(profile))
    with tempfile.TemporaryDirectory(prefix="haechi-storm-") as folder:
        settings = {
            "profile": str(Path(folder) / "profile.json"),
            "count": str(count),
            "eps": f"{eps:.3f}",
            "seed": str(seed),
            "form": form,
            "start": start,
            "anomaly-rate": repr(float(anomaly_rate)),
            "truth": None if truth is None else str(truth),
            "output": str(output),
        }
        Path(settings["profile"] or "").write_text(rendered, encoding="utf-8")
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(settings), encoding="utf-8")
        return _run([str(tool_path("haechi-storm")), "--config", str(config), "--json"])


def _run(command: list[str]) -> MakeResult:
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise MakeError(f"{command[0]}: cannot be started: {error}") from error
    report = done.stderr.strip().splitlines()
    if done.returncode != 0:
        raise MakeError(
            "\n".join(line for line in report if not line.startswith("{"))
            or f"{command[0]} ended with {done.returncode}"
        )
    counts = json.loads(report[-1])
    return MakeResult(counts["events"], counts["bytes"], counts["episodes"], counts["seconds"])

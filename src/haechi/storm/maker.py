"""Making a log: the profile rendered for the C tool, and the tool run once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from haechi.native.running import text_in_memory
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
    anomaly_kinds: Sequence[str] = ("sessions",),
    disturbance_events: int = 0,
    sessions: int = 0,
    truth: Path | None = None,
    start: str = START,
    ports: str | None = None,
    burst_us: int = 850,
) -> MakeResult:
    """Writes `count` lines to `output` ("-": standard output) at `eps` lines a second of log time.

    profile is a name ("system") or a YAML file; form is iso, rfc3164 or rfc5424; start is the UTC time of
    the first line; anomaly_rate is the share of sessions made anomalous, of the named kinds; on average one
    in disturbance_events lines begins a burst or a silence (0: none). All are listed in truth as JSON lines.
    sessions are live at once (0: by the rate). With ports the lines are those that a storm of one worker
    sends to them with these settings, in turns of burst_us. The same arguments give the same bytes. Raises
    ProfileError for the profile, MakeError for the rest.
    """
    rendered = profiles.render(profiles.load(profile))
    settings = {
        "count": str(count),
        "eps": f"{eps:.3f}",
        "seed": str(seed),
        "form": form,
        "start": start,
        "anomaly_rate": repr(float(anomaly_rate)),
        "anomaly_kinds": ",".join(anomaly_kinds),
        "disturbance_events": str(disturbance_events),
        "sessions": str(sessions),
        "truth": None if truth is None else str(truth),
        "output": str(output),
        "ports": ports,
        "burst_us": str(burst_us),
    }
    with ExitStack() as opened:
        profile_fd = opened.enter_context(text_in_memory(rendered))
        settings["profile"] = f"/dev/fd/{profile_fd}"
        fd = opened.enter_context(text_in_memory(json.dumps(settings)))
        return _run([str(tool_path("haechi-storm")), "--config", f"/dev/fd/{fd}", "--json"], (profile_fd, fd))


def _run(command: list[str], fds: Sequence[int]) -> MakeResult:
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, pass_fds=fds)
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

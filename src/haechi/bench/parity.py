"""The engine's verdicts on whole sessions of known log keys, to compare with the reference scorer's."""

import json
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

from haechi.corpus.sessions import Sessions
from haechi.native.tools import ToolError, onnxruntime_library, tool_path

TIMEOUT_S = 300
SESSION_DETECTORS = ("deeplog", "counts")


def engine_verdicts(bundle: Path, sessions: Sessions, folder: Path) -> npt.NDArray[np.bool_]:
    """Runs haechi-detect over the sessions, each a line of its own; bool [sessions], true where a detector
    of sessions raised an alert. Files are made in folder. ToolError where the engine is not built or
    fails."""
    tool = tool_path("haechi-detect")
    source, alerts = folder / "sessions.keys", folder / "alerts.jsonl"
    write_keys(sessions, source)
    command: list[str | Path] = [
        tool,
        "--bundle",
        bundle,
        "--format",
        "keys",
        "--onnxruntime",
        onnxruntime_library(),
        source,
        "--alerts",
        alerts,
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{tool.name} did not end within {TIMEOUT_S} s") from None
    if done.returncode != 0:
        message = done.stderr.decode("utf-8", "replace").strip()
        raise ToolError(f"{tool.name} ended with status {done.returncode}: {message}")
    flagged = np.zeros(len(sessions), dtype=np.bool_)
    with alerts.open(encoding="utf-8") as lines:
        for line in lines:
            alert = json.loads(line)
            if alert["detector"] in SESSION_DETECTORS:
                flagged[int(alert["session"].removeprefix("s"))] = True
    return flagged


def write_keys(sessions: Sessions, path: Path) -> None:
    """Each session as NAME<TAB>KEY KEY ..., named s0, s1, ..."""
    with path.open("w", encoding="ascii") as file:
        for i in range(len(sessions)):
            file.write(f"s{i}\t{' '.join(map(str, sessions.sequence(i).tolist()))}\n")

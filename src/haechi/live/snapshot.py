"""The totals so far as a file, and the totals at the end where they are wanted as one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haechi.native.control import ControlError
from haechi.native.running import RunningTool


def write_snapshot(tool: RunningTool, path: Path) -> list[str]:
    """The totals so far, whole or not at all, in the place of an earlier snapshot; what is to be said."""
    try:
        totals = tool.summary_now()
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(totals, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.replace(path)
    except (ControlError, OSError) as error:
        return [f"USR2: no snapshot: {error}"]
    return [f"USR2: snapshot written to {path}"]


def write_summary(where: str | None, totals: Mapping[str, Any]) -> None:
    """To a file, or for "-" to standard error; OSError as writing has it."""
    if where is None:
        return
    line = json.dumps(totals, ensure_ascii=False) + "\n"
    if where == "-":
        sys.stderr.write(line)
    else:
        Path(where).write_text(line, encoding="utf-8")

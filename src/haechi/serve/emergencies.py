"""The report of an emergency stop: what was unwell, what ran, what had happened before."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from haechi.serve.jobs import now_text

KEPT = 50  # reports; the oldest go


def write(
    folder: Path,
    text: str,
    stopped: Sequence[str],
    unwell: Sequence[Mapping[str, Any]],
    jobs: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> Path | None:
    """The file; None where it cannot be written, which is said on standard error."""
    memory = psutil.virtual_memory()
    whole = {
        "time": now_text(),
        "text": text,
        "stopped": stopped,
        "unwell": unwell,
        "host": {
            "load": os.getloadavg(),
            "memory_available_bytes": memory.available,
            "memory_total_bytes": memory.total,
        },
        "jobs": jobs,
        "events": events,
    }
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(json.dumps(whole, indent=1, default=str))
        for old in sorted(folder.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        logging.error("the report of an emergency is not written: %s", error)
        return None
    return path

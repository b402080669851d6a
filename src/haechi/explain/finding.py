"""One alert, out of the files that detectors write, by its id or the beginning of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haechi.incidents.reading import Account, parse

_ID = re.compile(r"[0-9a-f]{1,32}")
_KEYS = ("id", "time", "detector", "rule", "session", "lines", "bundle", "reason", "severity", "template")


class NotFoundError(Exception):
    """There is no such alert, or there are several."""


def find_alert(name: str, paths: Sequence[Path]) -> dict[str, Any]:
    """NotFoundError, OSError."""
    wanted = name.strip().lower()
    if not _ID.fullmatch(wanted):
        raise NotFoundError(f"{name!r} is not an alert's id: up to 32 digits and letters from a to f")
    needle, found = wanted.encode(), {}
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if needle not in line:  # most lines need not be understood
                    continue
                alert = parse(line, f"{path} (line {number})", Account())
                if alert is not None and str(alert.get("id", "")).startswith(wanted):
                    found[str(alert["id"])] = checked(alert)
                    if len(found) > 1:
                        one, other = list(found)[:2]
                        raise NotFoundError(f"{wanted} begins more than one id, such as {one} and {other}")
    if not found:
        files = ", ".join(str(path) for path in paths)
        raise NotFoundError(f"no alert in {files} has an id that begins with {wanted}")
    return next(iter(found.values()))


def checked(alert: dict[str, Any]) -> dict[str, Any]:
    """The alert; NotFoundError where it lacks what an alert has."""
    lines = alert.get("lines")
    line = lines[0] if isinstance(lines, list) and lines else None
    if not all(key in alert for key in _KEYS) or not isinstance(line, dict):
        raise NotFoundError(f"what has the id {str(alert.get('id'))[:40]} is not an alert of haechi detect")
    offset = line.get("offset")
    if not isinstance(line.get("source"), str) or not isinstance(offset, int) or offset < 0:
        raise NotFoundError(f"the alert {str(alert['id'])[:40]} does not say where its line stands")
    return alert

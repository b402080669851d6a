"""Alerts as detectors write them, for the tests of incidents."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 5, tzinfo=UTC)


def alert(
    at: float | None,
    line: str | None = "",
    *,
    detector: str = "deeplog",
    rule: str = "event_likelihood",
    severity: str = "medium",
    session: str = "",
    template: str | None = None,
    evidence: float | None = 20.0,
    agree: dict[str, float] | None = None,
    detail: dict[str, Any] | None = None,
    tags: list[str] | None = None,
) -> dict[str, Any]:
    """at: seconds after START."""
    when = None if at is None else (START + timedelta(seconds=at)).isoformat().replace("+00:00", "Z")
    name = hashlib.md5(repr((at, line, detector, session, template)).encode()).hexdigest()
    whole: dict[str, Any] = {
        "id": name,
        "time": when,
        "detector": detector,
        "rule": rule,
        "score": 5.0,
        "threshold": 3.0,
        "stage": 2,
        "severity": severity,
        "session": session,
        "log_key": None if template is None else 1,
        "template": template,
        "expected": [],
        "before": [],
        "lines": [{"source": "a.log", "offset": 0, "text": line}],
        "bundle": "0123456789abcdef",
        "reason": "Because.",
    }
    if evidence is not None:
        found = agree or {detector: evidence}
        whole |= {"evidence": evidence, "detectors": [{"name": n, "evidence": e} for n, e in found.items()]}
    if detail is not None:
        whole["detail"] = detail
    if tags is not None:
        whole["tags"] = tags
    return whole


def said(at: float, host: str, program: str, pid: int, message: str, **more: Any) -> dict[str, Any]:
    """Of a line of syslog; its session is host, program and pid."""
    when = (START + timedelta(seconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = f"<86>{when} {host} {program}[{pid}]: {message}"
    return alert(at, line, **{"session": f"{host} {program} {pid}", **more})


def guess(at: float, source: str, n: int, host: str = "h1", **more: Any) -> dict[str, Any]:
    """Somebody guesses a password, in a session of its own."""
    message = f"Failed password for invalid user u{n} from {source} port {40000 + n} ssh2"
    template = "Failed password for invalid user <*> from <*> port <*> ssh2"
    return said(at, host, "sshd", 1000 + n, message, template=template, **more)


def burst(at: float, host: str, rule: str = "burst", template: str | None = None) -> dict[str, Any]:
    detail: dict[str, Any] = {"host": host, "count": 74, "usual": 35.9, "seconds": 0.1}
    if template is not None:
        detail |= {"log_key": 1, "template": template}
    return alert(at, None, detector="rates", rule=rule, session=host, detail=detail)

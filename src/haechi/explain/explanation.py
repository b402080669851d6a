"""An alert explained: everything at once, as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haechi.bundle.store import Bundle
from haechi.corpus.sessions import NO_TIME
from haechi.explain.judgement import Judge
from haechi.explain.surroundings import Events, Piece, first_piece, session_events
from haechi.incidents.incident import time_text

BEFORE_BYTES = AFTER_BYTES = 8 << 20
EVENTS_MAX = 500
WIDE = {
    "rates": "The alert is of a host; shown is the session of its line.",
    "mscred": "The alert is of all lines; shown is the session of the line that it names.",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far is looked: bytes around the alert's line, and events of its session."""

    before: int = BEFORE_BYTES
    after: int = AFTER_BYTES
    events: int = EVENTS_MAX


def explain(
    alert: Mapping[str, Any], bundle: Bundle, paths: Sequence[Path], bounds: Bounds | None = None
) -> dict[str, Any]:
    """paths: where the alert's line may be. What is no longer there is said in `notes`."""
    bounds = bounds or Bounds()
    line = alert["lines"][0]
    notes = []
    if alert["bundle"] != bundle.digest:
        notes.append(
            f"The alert is by bundle {alert['bundle']}; "
            f"probabilities and templates here are of {bundle.digest}."
        )
    if note := WIDE.get(alert["detector"]):
        notes.append(note)
    piece, why = first_piece(paths, line, bounds.before, bounds.after)
    notes += why
    if not paths:
        notes.append("The alert has no line in a file, so nothing can be read again.")
    judge = Judge(bundle)
    found: dict[str, Any] = {"session": None, "counts": None, "similar": None}
    if piece is not None:
        events = session_events(piece, bundle, str(alert["session"]), bounds.events)
        if events is None:
            notes.append("The bundle's format reads no event in the alert's line.")
        else:
            found = _of_session(alert, judge, piece, events, notes)
    return {
        "alert": dict(alert),
        "bundle": bundle.digest,
        "source": str(piece.path) if piece is not None else None,
        "detectors": list(alert.get("detectors") or [{"name": alert["detector"], "evidence": None}]),
        **found,
        "notes": notes,
    }


def _of_session(
    alert: Mapping[str, Any], judge: Judge, piece: Piece, events: Events, notes: list[str]
) -> dict[str, Any]:
    tokens = judge.tokens(events.keys)
    judged = judge.events(tokens, events.ended, events.cut)
    rows = []
    for i, at in enumerate(events.at):
        key, time_us = int(events.keys[i]), int(events.time_us[i])
        rows.append(
            {
                "offset": piece.start + int(at),
                "time": None if time_us == NO_TIME else time_text(time_us),
                "line": piece.line(int(at)),
                "log_key": key if key >= 0 else None,
                "template": judge.text(key),
                "is_alert": i == events.mark,
                **(judged[i] if i < len(judged) else {}),
            }
        )
    if events.cut:
        notes.append("The session may have begun before what was read; its first events are not judged.")
    if events.left_out:
        notes.append(f"{events.left_out} further events of the session are left out.")
    if not events.ended:
        notes.append("The session's end is not in what was read.")
    whole = not events.cut and not events.left_out
    return {
        "session": {
            "name": alert["session"],
            "ended": events.ended,
            "events": rows,
            "end": judged[len(rows)] if len(judged) > len(rows) else None,
            "mean": judge.mean(judged) if whole and events.ended else None,
        },
        "counts": judge.counts(tokens) if whole and events.ended else None,
        "similar": judge.similar([int(key) for key in events.keys]),
    }

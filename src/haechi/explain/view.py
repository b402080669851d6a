"""An explanation as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LINE_SHOWN = 160
ROWS_SHOWN = 60  # of the comparison with a normal session
AROUND = 12  # events of the session before and after the alert's
_MARKS = {"same": " ", "missing": "-", "more": "+"}


def text_of(found: Mapping[str, Any]) -> str:
    return "\n".join(plain(row) for row in _rows(found)) + "\n"


def plain(text: str) -> str:
    """What a terminal would take for an order is shown and not obeyed."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def _rows(found: Mapping[str, Any]) -> Iterator[str]:
    alert = found["alert"]
    yield f"{alert['severity'].upper()}  {alert['reason']}"
    yield f"alert {alert['id']}, {alert['time'] or 'no time'}, session {alert['session'] or '-'}"
    agreed = ", ".join(
        one["name"] if one["evidence"] is None else f"{one['name']} {one['evidence']:.1f} nats"
        for one in found["detectors"]
    )
    yield f"detectors: {agreed}"
    for note in found["notes"]:
        yield f"note: {note}"
    if found["session"] is not None:
        yield ""
        yield from _session(found["session"], found["source"])
    if found["counts"] is not None:
        yield ""
        yield from _counts(found["counts"])
    if found["similar"] is not None:
        yield ""
        yield from _similar(found["similar"])


def _session(session: Mapping[str, Any], source: str) -> Iterator[str]:
    events = session["events"]
    mark = next(i for i, event in enumerate(events) if event["is_alert"])
    low, high = max(0, mark - AROUND), min(len(events), mark + AROUND + 1)
    yield f"The session, out of {source}: {len(events)} events{' and its end' if session['ended'] else ''}"
    yield "   probability  surprise  line"
    if low:
        yield f"   ... {low} before"
    for event in events[low:high]:
        sign = ">" if event["is_alert"] else "!" if event.get("over") else " "
        yield f" {sign} {_figures(event)}  {event['line'][:LINE_SHOWN]}"
        if event.get("over") or event["is_alert"]:
            yield from _expected(event)
    if high < len(events):
        yield f"   ... {len(events) - high} after"
    if session["end"]:
        sign = "!" if session["end"].get("over") else " "
        yield f" {sign} {_figures(session['end'])}  (the session ends)"
        if session["end"].get("over"):
            yield from _expected(session["end"])
    if session["mean"]:
        mean = session["mean"]
        yield f"   mean surprise {mean['surprise']:.3f} nats, the limit is {mean['limit']:.3f}"


def _figures(event: Mapping[str, Any]) -> str:
    if "surprise" not in event:
        return f"{'':>11}  {'':>8}"
    probability = "never seen" if event["probability"] is None else f"{event['probability']:.5f}"
    return f"{probability:>11}  {event['surprise']:>8.2f}"


def _expected(event: Mapping[str, Any]) -> Iterator[str]:
    if event.get("limit") is not None:
        yield f"{'':27}the limit is {event['limit']:.2f} nats; expected was"
    elif event.get("rank") is not None:
        yield f"{'':27}{event['rank']} others were likelier; expected was"
    for one in event.get("expected", ()):
        yield f"{'':27}{one['probability']:.4f}  {one['template'] or '(the session ends)'}"


def _counts(counts: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"Counts of events: {counts['distance']:.3f} from the nearest session of training, "
        f"the limit is {counts['limit']:.3f}"
    )
    for one in counts["kinds"][:ROWS_SHOWN]:
        name = one["template"] or "(events of kinds never seen)"
        differs = "" if one["count"] == one["usual"] else f", there {one['usual']}"
        yield f"   {one['count']:>5}{differs}  {name}"


def _similar(similar: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"The most similar normal session ({similar['similarity']:.0%} alike, {similar['count']} times in "
        "training): - is missing here, + is only here"
    )
    for row in similar["rows"][:ROWS_SHOWN]:
        yield f" {_MARKS[row['mark']]} {row['template'] or '(fits no template)'}"
    if (more := len(similar["rows"]) - ROWS_SHOWN) > 0:
        yield f"   ... {more} more"

"""What a tool has done in all, when it took more than one process to do it. Pure.

A process that was killed leaves its stats page behind, which says what it had done up to the batch that it
was in. What is not on the page cannot be known exactly, and is named rather than guessed: `unreported` are
events that a killed storm sent after a sink's last report about it. Nobody can say whether those arrived, so
they are neither received nor lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Totals = Mapping[str, Any]

_OF_A_STREAM = ("events", "bytes", "controls", "errors", "refused", "reconnects", "received", "dropped")
_NOT_SUMMED = frozenset(
    # Gauges and identities: what the last process says is what counts.
    "port worker paused running closed streams_open sessions_open inputs_open max_eps workers offered_eps "
    "began_us target_eps".split()
)
_LARGEST = ("eps_peak", "late_max_us", "rss_peak_bytes")
_OF_PERCENTILES = ("_p50", "_p95", "_p99", "_p999")


def storm_of_page(
    rows: Sequence[Mapping[str, int]], tool: Mapping[str, int], target: Sequence[str], seconds: float
) -> dict[str, Any]:
    """The totals of a storm that gave none, by its stats page: like its summary, as far as the page goes."""
    places = len({row["port"] for row in rows}) or 1
    streams = [
        {
            "target": target[i // places % len(target)] if target else "",
            "port": row["port"],
            "worker": row["worker"],
            "reported": bool(row["reported"]),
            **{name: row[name] for name in _OF_A_STREAM},
        }
        for i, row in enumerate(rows)
    ]
    told = [stream for stream in streams if stream["reported"]]
    received, dropped = _told_of_ports(told)
    events = sum(row["events"] for row in rows)
    summed = ("events", "bytes", "controls", "errors", "refused", "reconnects", "sends", "late_events")
    return {
        **{name: sum(row[name] for row in rows) for name in summed},
        "episodes": tool.get("episodes", 0),
        "seconds": seconds,
        "reported": bool(told),
        "received": received if told else None,
        "kernel_dropped": dropped if told else None,
        "unreported": max(0, events - received - dropped) if told else events,
        "ports": streams,
        "killed": True,
    }


def storm_in_all(past: Sequence[Totals], last: Totals, told: tuple[int, int] | None = None) -> dict[str, Any]:
    """The summary of a storm that had several processes, with what the earlier ones did in it.

    told: events received and dropped by its sinks in all, where one sink took another's place meanwhile. The
    second began to count at nought, so what the storm knows itself is short of what the first had taken. What
    neither has told of, sent between the reports of the one and the other, is `unreported` as well.
    """
    if told is not None:
        whole = storm_in_all(past, last)
        (received, dropped), events = told, whole.get("events", 0)
        return whole | {
            "received": received,
            "kernel_dropped": dropped,
            "unreported": max(0, events - received - dropped),
            "lost": dropped,
            "loss_ratio": dropped / max(1, received + dropped),
            "exact": False,
        }
    if not past:
        return dict(last)
    whole = {**_summed([*past, last]), "ports": _ports([*past, last])}
    processes = [*past, last]
    reported = any(process.get("reported") for process in processes)
    received = sum(process.get("received") or 0 for process in processes)
    dropped = sum(process.get("kernel_dropped") or 0 for process in processes)
    unreported = sum(_unreported(process) for process in processes)
    seconds, events = whole.get("seconds") or 0.0, whole.get("events", 0)
    lost = max(0, events - received - unreported) if reported else None
    eps, offered = events / seconds if seconds > 0 else 0.0, last.get("offered_eps")
    return whole | {
        "eps": eps,
        "rate_error_ratio": eps / offered - 1 if offered else None,
        "reported": reported,
        "received": received if reported else None,
        "kernel_dropped": dropped if reported else None,
        "unreported": unreported if reported else None,
        "lost": lost,
        "loss_ratio": None if lost is None else lost / max(1, events - unreported),
        "restarts": len(past),
        "exact": not any(process.get("killed") for process in past),
    }


def tool_in_all(past: Sequence[Totals], last: Totals) -> dict[str, Any]:
    """The same of a sink or a detector: counters add up, everything else is of the last process."""
    if not past:
        return dict(last)
    return _summed([*past, last]) | {
        "restarts": len(past),
        "exact": not any(process.get("killed") for process in past),
    }


def sink_in_all(past: Sequence[Totals], last: Totals) -> dict[str, Any]:
    """Of a sink, with an account that can be believed. Storms' marks say what a stream has sent since it
    began, so a sink that begins while they run is told of all that its predecessor took: without that, every
    event of before would be missing here."""
    if not past:
        return dict(last)
    whole = tool_in_all(past, last)
    sent = 0
    for process in [*past, last]:
        told = int(process.get("sent", 0))
        sent = told if told >= sent else sent + told  # the same streams, further on; or others
    got = whole.get("received", 0)
    whole["sent"] = sent
    dropped = whole.get("kernel_dropped", 0)
    whole["lost_elsewhere"] = max(0, sent - got - dropped)
    if "lost" in whole:
        whole["lost"] = whole["lost_elsewhere"] + (dropped if "loss_ratio" in whole else 0)
    if "loss_ratio" in whole:
        whole["loss_ratio"] = whole["lost"] / max(1, sent, got + whole["lost"])
    if any(process.get("killed") for process in past):
        whole |= {"sent_bytes": None, "sent_controls": None}  # no page has them
    whole["exact"] = False
    return whole


def sink_counters(past: Sequence[Mapping[str, int]], now: Mapping[str, int]) -> dict[str, int]:
    """The counters of a sink's page, of all its processes; `lost` as above."""
    counters = tool_counters(past, now)
    if not past:
        return counters
    sent = 0
    for page in [*past, now]:
        sent = page["sent"] if page["sent"] >= sent else sent + page["sent"]
    counters["sent"] = sent
    if "lost" in now:
        counters["lost"] = max(0, sent - counters["received"] - counters["kernel_dropped"])
    for name in ("closed", "streams", "streams_ended"):
        if name in now:
            counters[name] = now[name]
    return counters


def tool_counters(past: Sequence[Mapping[str, int]], now: Mapping[str, int]) -> dict[str, int]:
    """Counters of a page, with those of earlier processes; gauges as they are now."""
    return {
        name: value if name in _NOT_SUMMED else value + sum(page.get(name, 0) for page in past)
        for name, value in now.items()
    }


def _summed(processes: Sequence[Totals]) -> dict[str, Any]:
    whole = dict(processes[-1])
    for name, value in whole.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or name in _NOT_SUMMED:
            continue
        values = [process.get(name) or 0 for process in processes]
        if name in _LARGEST:
            whole[name] = max(values)
        elif not name.endswith((*_OF_PERCENTILES, "_ratio", "_per_s", "eps", "cpu_cores")):
            whole[name] = sum(values)
    return whole


def _ports(processes: Sequence[Totals]) -> list[dict[str, Any]]:
    ports: dict[tuple[Any, ...], dict[str, Any]] = {}
    for process in processes:
        for stream in process.get("ports", ()):
            key = (stream.get("target"), stream["port"], stream.get("worker"))
            known = ports.get(key)
            if known is None:
                ports[key] = dict(stream)
                continue
            for name in _OF_A_STREAM:
                if name in stream:
                    known[name] = known.get(name, 0) + stream[name]
            known["reported"] = known.get("reported") or stream.get("reported")
    return list(ports.values())


def _unreported(process: Totals) -> int:
    if "unreported" in process:
        return int(process["unreported"] or 0)
    return 0 if process.get("reported") else int(process.get("events", 0))


def _told_of_ports(streams: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Received and dropped. Each stream to a port is told what came to the port in all, so the largest
    report is the port's."""
    ports: dict[tuple[Any, Any], tuple[int, int]] = {}
    for stream in streams:
        key = (stream["target"], stream["port"])
        received, dropped = ports.get(key, (0, 0))
        ports[key] = max(received, stream["received"]), max(dropped, stream["dropped"])
    return sum(pair[0] for pair in ports.values()), sum(pair[1] for pair in ports.values())

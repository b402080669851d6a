"""What could be changed of a tool now, in the order in which it is tried. Pure."""

from __future__ import annotations

from haechi.config.detect import DetectConfig
from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.config.values import read_ports
from haechi.heal.tuning import (
    BATCH_LEAST,
    BUFFER_BYTES,
    BUFFER_BYTES_LEAST,
    BURST_US_LEAST,
    MEMO_LEAST,
    SESSIONS_LEAST,
    SESSIONS_MOST,
    Change,
    Knobs,
    Limits,
)


def of_storm(
    name: str,
    storm: StormConfig,
    streams_workers: int,
    sink: tuple[str, SinkConfig] | None,
    limits: Limits,
) -> Knobs:
    """streams_workers: the workers that it has, where the settings leave that to it. sink: the one of this
    server that takes what it sends, if one does. A storm that writes its ground truth is not begun anew for a
    setting's sake, since that would cut the file in two."""
    restarts = storm.truth is None
    burst, workers = storm.burst_us, storm.workers or streams_workers
    longer = Change(name, "burst_us", burst, min(limits.burst_us_most, burst * 2), live=True)
    shorter = Change(name, "burst_us", burst, max(BURST_US_LEAST, burst // 2), live=True)
    rate = [longer] if longer.after > burst else []
    if restarts:
        most = min(limits.workers_most, len(read_ports(storm.ports)) * max(1, len(storm.target)))
        more, fewer = min(most, workers * 2), max(limits.processors, workers // 2)
        if more > workers:
            rate.append(Change(name, "workers", workers, more))
        if fewer < workers:
            rate.append(Change(name, "workers", workers, fewer))
    loss = [*_of_receiver(sink, limits)]
    if shorter.after < burst:
        loss.append(shorter)
    if longer.after > burst:
        loss.append(longer)
    memory = []
    if restarts:
        eps = SESSIONS_MOST if storm.eps == "max" else int(min(SESSIONS_MOST, storm.eps * 2))
        sessions = storm.sessions or max(SESSIONS_LEAST, eps)
        if sessions > SESSIONS_LEAST:
            memory.append(Change(name, "sessions", storm.sessions, max(SESSIONS_LEAST, sessions // 2)))
    return Knobs({"rate": rate, "loss": loss, "memory": memory})


def of_sink(name: str, sink: SinkConfig) -> Knobs:
    """Smaller buffers, as far as they are not of use to nobody any more."""
    buffer = sink.buffer_bytes or BUFFER_BYTES
    after = max(BUFFER_BYTES_LEAST, buffer // 2)
    return Knobs(
        {"memory": [Change(name, "buffer_bytes", sink.buffer_bytes, after)] if after < buffer else []}
    )


def of_detector(name: str, detector: DetectConfig) -> Knobs:
    """Only of one that goes on from a checkpoint: its alerts stay, and none comes twice."""
    if detector.checkpoint is None:
        return Knobs()
    memo, batch = max(MEMO_LEAST, detector.memo_entries // 4), max(BATCH_LEAST, detector.batch_bytes // 2)
    changes = [
        Change(name, "memo_entries", detector.memo_entries, memo),
        Change(name, "batch_bytes", detector.batch_bytes, batch),
    ]
    return Knobs({"memory": [change for change in changes if change.after < change.before]})


def _of_receiver(sink: tuple[str, SinkConfig] | None, limits: Limits) -> list[Change]:
    if sink is None:
        return []
    name, settings = sink
    changes = []
    buffer = settings.buffer_bytes or BUFFER_BYTES
    larger = min(limits.buffer_bytes_most, buffer * 2)
    if larger > buffer:
        changes.append(Change(name, "buffer_bytes", settings.buffer_bytes, larger))
    if settings.workers < min(limits.workers_most, len(read_ports(settings.ports))):
        changes.append(Change(name, "workers", settings.workers, settings.workers + 1))
    return changes

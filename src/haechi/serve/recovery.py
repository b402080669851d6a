"""How long it takes until a tool that was killed works again, measured with a plane, a storm and a sink of
their own on loopback. `python -m haechi.serve.recovery` prints it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from haechi.config.serve import HealingConfig, ServeConfig, TuningConfig
from haechi.config.values import show_ports
from haechi.serve.fleet import Job
from haechi.serve.plane import Plane

PATIENCE_S = 30.0
_POLL_S = 0.005


class RecoveryError(Exception):
    """A tool did not come back in time."""


def measure_recovery(
    repeats: int = 5,
    *,
    streams: int = 40,
    eps: float = 100_000,
    what: str = "storm",
    number: int = signal.SIGKILL,
    state: Path | None = None,
) -> list[float]:
    """Milliseconds from a signal to a tool until events flow again, of each repeat; RecoveryError where they
    do not within half a minute. A storm of so many streams sends to a sink; `what` of the two gets the
    signal. In a process that has no event loop; nothing is left behind."""
    with tempfile.TemporaryDirectory(prefix="haechi-recovery-") as folder:
        return asyncio.run(_measure(state or Path(folder), repeats, streams, eps, what, number))


async def _measure(
    state: Path, repeats: int, streams: int, eps: float, what: str, number: int
) -> list[float]:
    # No end to restarts, since here it is wanted that the tool dies again and again; and nothing tuned.
    healing = HealingConfig(settle=0.2, most_restarts=100_000)
    plane = Plane(ServeConfig(state=state, healing=healing, tuning=TuningConfig(enabled=False)))
    took = []
    async with plane.running():
        ports = show_ports(free_ports(streams))
        sink = await plane.fleet.start_sink({"ports": ports})
        wish = {"target": "127.0.0.1", "ports": ports, "eps": eps, "account": True}
        storm = await plane.fleet.start_storm(wish)
        job = storm if what == "storm" else sink
        await _flows(storm, None)
        for _ in range(repeats):
            await asyncio.sleep(0.5)  # healed, and settled
            before = job.tool.pid if job.tool is not None else None
            begun = time.monotonic()
            assert before is not None
            os.kill(before, number)
            await _flows(job, before)
            took.append((time.monotonic() - begun) * 1000)
    return took


async def _flows(job: Job, before: int | None) -> None:
    """Until another process than that one has sent or taken an event."""
    counter = "events" if job.kind == "storm" else "received"
    deadline = time.monotonic() + PATIENCE_S
    while True:
        tool = job.tool
        if tool is not None and tool.pid != before and tool.page is not None and tool.page.value(counter):
            return
        if time.monotonic() > deadline or not job.alive:
            raise RecoveryError(f"{job.id} did not come back: {job.error or job.state}")
        await asyncio.sleep(_POLL_S)


def free_ports(count: int) -> Sequence[int]:
    """UDP ports of loopback that nobody has at the moment, in a row where that can be had."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, count):
        held = []
        try:
            for port in range(first, first + count):
                probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                held.append(probe)
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for probe in held:
                probe.close()
        return range(first, first + count)
    raise RecoveryError(f"there are no {count} free ports in a row")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m haechi.serve.recovery", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--eps", type=float, default=100_000)
    asked = parser.parse_args()
    cases = {
        "storm, kill -9": ("storm", signal.SIGKILL),
        "sink, kill -9": ("sink", signal.SIGKILL),
        "storm, SIGSTOP": ("storm", signal.SIGSTOP),
    }
    for name, (what, number) in cases.items():
        took = measure_recovery(asked.repeats, streams=asked.streams, eps=asked.eps, what=what, number=number)
        figures = {"median_ms": round(statistics.median(took)), "highest_ms": round(max(took))}
        print(json.dumps({"case": name, "repeats": len(took), **figures}))


if __name__ == "__main__":
    main()

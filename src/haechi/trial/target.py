"""Who receives in a trial: a sink or a detector of its own, or a receiver that is somebody else's."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from haechi.config.detect import DetectConfig
from haechi.config.sink import SinkConfig
from haechi.native.stats import Histogram, StatsPage
from haechi.native.tools import Process, ToolError, onnxruntime_library, read_summary
from haechi.sink.run import Sink
from haechi.trial import host
from haechi.trial.scenario import FREE, ReceivedSection, TargetSection

END_S = 120.0
STILL_S, STILL_AT_MOST_S = 0.3, 30.0  # a detector is through when it has judged nothing more for so long
ASK_S = 10.0  # what somebody else's receiver has for an answer
ASK_EVERY_S = 0.25
ANSWER_MAX_BYTES = 1 << 20
_QUANTILES = ("p50", "p95", "p99", "p999", "max")


class TargetFailedError(Exception):
    """The target is not there, or no answer comes from it; says which and why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a target at a moment; counts since it began. None: not known of this kind."""

    received: int | None = None
    lost: int | None = None
    latency: Histogram | None = None  # microseconds
    cpu_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The account of a target at its end."""

    received: int | None
    lost: int | None = None  # None: what was sent less what was received
    kernel_dropped: int | None = None
    lost_elsewhere: int | None = None
    closed: bool | None = None  # None: keeps no account
    latency_s: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)  # the tool's own
    shed: int | None = None  # let go by a detector whose queues had overflowed


class Target(Protocol):
    """Begun with its `with` block, and ended with it where it is the trial's own."""

    words: str  # "haechi-sink on 127.0.0.1"
    address: str
    ports: str
    keeps_account: bool

    def death(self) -> str | None:
        """A sentence where it is no longer there."""

    def read(self) -> Reading:
        """TargetFailedError where it does not answer."""

    def finish(self, sent: int) -> Ending:
        """After the storm's end: its account. ToolError, TargetFailedError."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def ports_of(section: TargetSection) -> str:
    """The ports as they are named, or some that are free."""
    if match := FREE.fullmatch(section.ports):
        return host.free_ports(int(match[1]), section.transport)
    return section.ports


class SinkTarget:
    """haechi-sink, started and ended by the trial."""

    keeps_account = True

    def __init__(self, section: TargetSection) -> None:
        self.address, self.ports = section.address, ports_of(section)
        self.words = f"haechi-sink on {self.address}"
        self._config = SinkConfig.model_validate(
            {
                "address": self.address,
                "ports": self.ports,
                **section.model_dump(
                    include={"transport", "plain", "buffer_bytes", "max_eps", "tls_certificate", "tls_key"}
                ),
                "workers": section.workers or 1,
            }
        )

    def __enter__(self) -> Self:
        with host.deaf_to_interrupts():
            self._sink = Sink.start(self._config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close()

    @property
    def pid(self) -> int:
        return self._sink.pid

    def death(self) -> str | None:
        return None if self._sink.running else _why("sink", lambda: self._sink.summary(0))

    def read(self) -> Reading:
        page = self._sink.page
        if page is None:
            raise TargetFailedError("the sink's counters are not there")
        return Reading(
            received=page.value("received"),
            lost=page.value("lost"),
            latency=page.histogram("latency_us"),
            cpu_s=host.process_seconds(self.pid),
            memory_bytes=host.process_memory_bytes(self.pid),
        )

    def finish(self, sent: int) -> Ending:
        self._sink.stop()
        result = self._sink.finish(END_S)
        return Ending(
            received=result.received,
            # Of the lost some may be control messages; what counts here are events.
            lost=max(0, result.sent - result.received) if result.closed else result.lost,
            kernel_dropped=result.kernel_dropped,
            lost_elsewhere=result.lost_elsewhere,
            closed=result.closed,
            latency_s=_latency_s(result.whole.get("latency_us", {})),
            totals=result.whole,
        )


class DetectTarget:
    """haechi-detect with a bundle, listening; its alerts are written to a file of the trial's."""

    keeps_account = True

    def __init__(self, section: TargetSection, bundle: Path, folder: Path) -> None:
        self.address, self.ports = section.address, ports_of(section)
        self.words = f"haechi-detect on {self.address}"
        self.alerts = folder / "alerts.jsonl"
        self._page_file = folder / "detect.stats"
        place = f"[{self.address}]" if ":" in self.address else self.address
        config = DetectConfig.model_validate(
            {
                "bundle": bundle,
                section.transport: [f"{place}:{part}" for part in self.ports.split(",")],
                "udp_plain": section.plain,
                "udp_buffer_bytes": section.buffer_bytes,
                "tls_certificate": section.tls_certificate,
                "tls_key": section.tls_key,
                "workers": section.workers or 1,
                "alerts": str(self.alerts),
                "stats_page": self._page_file,
            }
        )
        self._config = {**config.engine_config(onnxruntime_library()), "summary": "-"}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            with host.deaf_to_interrupts():
                self._process = opened.enter_context(Process.start("haechi-detect", self._config))
            self._page: StatsPage = opened.enter_context(self._process.stats())
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def death(self) -> str | None:
        return None if self._process.running else _why("detector", lambda: self._process.finish(0))

    def read(self) -> Reading:
        page = self._page
        return Reading(
            received=page.value("net_received"),
            lost=sum(map(page.value, ("net_shed", "net_kernel_dropped", "net_lost_elsewhere"))),
            cpu_s=host.process_seconds(self.pid),
            memory_bytes=host.process_memory_bytes(self.pid),
        )

    def finish(self, sent: int) -> Ending:
        self._wait_until_still()
        self._process.terminate()
        totals = read_summary(self._process.finish(END_S))
        network = totals.get("network", {})
        closed = bool(network.get("closed"))
        received = int(network["received"])
        return Ending(
            received=received,
            lost=max(0, int(network["sent"]) - received) if closed else int(network["lost"]),
            shed=int(network["shed"]),
            kernel_dropped=int(network["kernel_dropped"]),
            lost_elsewhere=int(network["lost_elsewhere"]),
            closed=closed,
            latency_s=_latency_s(network.get("latency_us", {})),
            totals=totals,
        )

    def _wait_until_still(self) -> None:
        """What waits in the sockets was sent in time and is still to be judged."""
        deadline = time.monotonic() + STILL_AT_MOST_S
        judged = -1
        while self._page.value("lines") != judged and time.monotonic() < deadline and self._process.running:
            judged = self._page.value("lines")
            time.sleep(STILL_S)


class OtherTarget:
    """Somebody else's receiver: all that is known of it is a count, asked for by a command or over HTTP."""

    keeps_account = False

    def __init__(self, section: TargetSection) -> None:
        assert section.received is not None
        self.address, self.ports = section.address, section.ports
        self.words = f"a receiver on {self.address}"
        self._received = section.received

    def __enter__(self) -> Self:
        self._before = ask_count(self._received)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def death(self) -> str | None:
        return None  # how it does is known by its count alone, at the end

    def read(self) -> Reading:
        return Reading()

    def finish(self, sent: int) -> Ending:
        """Asks until all has come, or the count has stood still for the time it has to settle."""
        count = ask_count(self._received)
        changed = time.monotonic()
        while count - self._before < sent and time.monotonic() - changed < self._received.settle:
            time.sleep(ASK_EVERY_S)
            now = ask_count(self._received)
            if now != count:
                count, changed = now, time.monotonic()
        if count < self._before:
            raise TargetFailedError(f"the receiver's count went back, from {self._before:,} to {count:,}")
        return Ending(received=count - self._before)


def ask_count(received: ReceivedSection) -> int:
    """How many messages a receiver says that it has. TargetFailedError."""
    if received.command is not None:
        what, text = received.command[0], _said(received.command)
    else:
        what, text = str(received.url), _fetched(str(received.url))
    return read_count(text, what, received.json_path, received.pattern)


def read_count(text: str, what: str, json_path: str | None, pattern: str | None) -> int:
    """The count in an answer: at a path of keys and indices (`a.b.0`), as the one group of an expression, or
    all of the text. TargetFailedError."""
    if json_path is not None:
        found: Any = _at(text, json_path, what)
    elif pattern is not None:
        match = re.search(pattern, text)
        if match is None:
            raise TargetFailedError(f"{what}: {pattern!r} is not found in the answer {text[:80]!r}")
        found = match[1]
    else:
        found = text
    try:
        count = int(str(found).strip())
    except ValueError:
        raise TargetFailedError(f"{what}: {str(found)[:80]!r} is no count") from None
    if count < 0:
        raise TargetFailedError(f"{what}: {count} is no count")
    return count


def _at(text: str, path: str, what: str) -> Any:
    try:
        at: Any = json.loads(text)
    except ValueError:
        raise TargetFailedError(f"{what}: the answer is not JSON: {text[:80]!r}") from None
    for part in path.split("."):
        try:
            at = at[int(part)] if isinstance(at, list) else at[part]
        except (KeyError, IndexError, TypeError, ValueError):
            raise TargetFailedError(f"{what}: {path}: the answer has no {part!r}") from None
    return at


def _said(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise TargetFailedError(f"{command[0]}: no answer in {ASK_S:g} s") from None
    except OSError as error:
        raise TargetFailedError(f"{command[0]}: {error.strerror or error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-200:]
        raise TargetFailedError(f"{command[0]}: ended with status {done.returncode}. {said}")
    return done.stdout[:ANSWER_MAX_BYTES].decode("utf-8", "replace")


def _fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            raw: bytes = answer.read(ANSWER_MAX_BYTES)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise TargetFailedError(f"{url}: {getattr(error, 'reason', error)}") from None
    return raw.decode("utf-8", "replace")


def _why(what: str, end: Any) -> str:
    try:
        end()
    except ToolError as error:
        return f"the {what} ended in the middle of it: {error}"
    return f"the {what} ended in the middle of it, as if it had been told to"


def _latency_s(latency_us: Mapping[str, Any]) -> dict[str, float]:
    if not latency_us.get("count"):
        return {}
    return {name: float(latency_us[name]) / 1e6 for name in _QUANTILES if name in latency_us}

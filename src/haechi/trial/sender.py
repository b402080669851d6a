"""The storms of a trial, one after another, as one sender: what they have sent, and what that took."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from haechi.config.storm import StormConfig
from haechi.native.control import ControlError
from haechi.native.tools import ToolError
from haechi.storm.run import Storm, StormResult
from haechi.trial import host
from haechi.trial.scenario import AnomaliesSection, StormSection, TargetSection

END_S = 60.0
BEGAN_AT_MOST_S = 1.0  # before the first look at it
SAME_RATE = 0.0005  # rates that differ by less are one


@dataclass(frozen=True, slots=True)
class Sent:
    """Counts since the trial began."""

    events: int
    errors: int
    late: int
    bytes: int
    cpu_s: float
    memory_bytes: int


class Sender:
    """Ends the storm that runs with its `with` block."""

    def __init__(
        self, settings: StormSection, target: TargetSection, ports: str, account: bool, folder: Path
    ) -> None:
        self._settings, self._target, self._ports = settings, target, ports
        self._account, self._folder = account, folder
        self._storm: Storm | None = None
        self._eps = 0.0
        self._cpu_s = 0.0
        self._memory = 0
        self.results: list[StormResult] = []
        self.truths: list[Path | None] = []  # of each storm that was begun

    def config(self, eps: float, anomalies: AnomaliesSection) -> StormConfig:
        """Of the next storm. ConfigError's kind of ValueError where the settings do not fit together."""
        truth = self._folder / f"truth-{len(self.truths)}.jsonl"
        ours = {"anomaly_rate", "anomaly_kinds", "disturbance_events", "seed"}
        return StormConfig.model_validate(
            {
                **self._settings.model_dump(exclude=ours),
                "seed": (self._settings.seed + len(self.results)) % 2**64,
                "target": (self._target.address,),
                "allow_target": (self._target.address,) if self._target.allow_target else (),
                "ports": self._ports,
                "transport": self._target.transport,
                "account": self._account,
                "eps": eps,
                "anomaly_rate": anomalies.rate,
                "anomaly_kinds": anomalies.kinds,
                "disturbance_events": anomalies.disturbance_events,
                "truth": truth if anomalies.rate or anomalies.disturbance_events else None,
            }
        )

    def start(self, eps: float, anomalies: AnomaliesSection) -> float:
        """The next storm; time.monotonic() of when it began to send. TargetError, ToolError."""
        config = self.config(eps, anomalies)
        with host.deaf_to_interrupts():
            self._storm = Storm.start(config)
        self._eps = eps
        self._cpu_s, self._memory = 0.0, 0
        self.truths.append(config.truth)
        at = time.monotonic()
        page = self._storm.page
        already = page.value("events") if page is not None else 0
        return at - min(already / eps, BEGAN_AT_MOST_S)

    def set_rate(self, eps: float) -> None:
        """ToolError's kin ControlError where the storm does not answer."""
        if self._storm is not None and abs(eps - self._eps) > SAME_RATE * self._eps:
            self._storm.set_rate(round(eps, 3))
            self._eps = eps

    @property
    def pid(self) -> int:
        assert self._storm is not None
        return self._storm.pid

    def death(self) -> str | None:
        """A sentence where the storm has ended by itself."""
        if self._storm is None or self._storm.running:
            return None
        try:
            self._storm.finish(0)
        except ToolError as error:
            return f"the storm ended in the middle of it: {error}"
        return "the storm ended in the middle of it, as if it had been told to"

    def read(self) -> Sent:
        """So far, of all storms."""
        events = sum(result.events for result in self.results)
        errors = sum(result.errors for result in self.results)
        late = sum(result.late_events for result in self.results)
        sent_bytes = sum(result.bytes for result in self.results)
        cpu_s = sum(result.cpu_seconds for result in self.results)
        if self._storm is not None:
            self._cpu_s = host.process_seconds(self._storm.pid) or self._cpu_s
            self._memory = host.process_memory_bytes(self._storm.pid) or self._memory
            cpu_s += self._cpu_s
            page = self._storm.page
            if page is not None:
                events += page.value("events")
                errors += page.value("errors")
                late += page.value("late_events")
                sent_bytes += page.value("bytes")
        return Sent(events, errors, late, sent_bytes, cpu_s, self._memory)

    def finish(self) -> StormResult:
        """Ends the storm that runs, and waits for what the receiver said. ToolError."""
        assert self._storm is not None
        self._storm.stop()
        result = self._storm.finish(END_S)
        self.results.append(result)
        self._storm.close()
        self._storm = None
        return result

    def abandon(self) -> None:
        """Ends what runs; what it had sent is taken from its counters, where it leaves no totals."""
        if self._storm is not None:
            with contextlib.suppress(ToolError, ControlError):
                self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._storm is not None:
            self._storm.close()
            self._storm = None

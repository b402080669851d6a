"""A job as the healer sees it: how it is, since when, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from haechi.heal.health import Pulse
from haechi.heal.restart import Attempt
from haechi.serve.jobs import Job, now_text

State = Literal["well", "suspect", "recovering", "given_up"]


@dataclass(slots=True)
class Patient:
    """What the healer knows of a job."""

    job: Job
    enabled: bool
    state: State = "well"
    since: str = ""
    step: str | None = None
    why: str = ""
    pulse: Pulse = field(default_factory=Pulse)
    history: tuple[Attempt, ...] = ()
    unwell_s: float | None = None  # since when, on the monotonic clock

    def become(self, state: State, why: str = "", step: str | None = None) -> None:
        if state != self.state or not self.since:
            self.since = now_text()
        self.state, self.why, self.step = state, why, step
        self.show()

    def show(self) -> None:
        self.job.healing = {
            "enabled": self.enabled,
            "state": self.state,
            "since": self.since,
            "step": self.step,
            "why": self.why,
        }

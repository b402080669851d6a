"""How a trial goes, as JSON lines for another program; docs/trials.md lists them.

Who listens may go away: then nothing is written any more, and the trial goes on.
"""

from __future__ import annotations

import contextlib
import json
from typing import IO, Any

from haechi.trial.criteria import Criterion, parse
from haechi.trial.figures import Sample, figures, intervals, quantiles_s
from haechi.trial.ndr import Attempt
from haechi.trial.outlook import outlook
from haechi.trial.progress import is_due
from haechi.trial.report import Json, step_figures, step_verdicts
from haechi.trial.runner import StepRun
from haechi.trial.scenario import Scenario, Step

_STATE = {"met": "met", "missed": "failed"}


class Ticker:
    """Looks on, and writes a line for whatever changes. Criteria are told apart by their place: those of the
    steps in order, then those of the whole."""

    def __init__(self, to: IO[str]) -> None:
        self._to: IO[str] | None = to
        self._steps: tuple[Step, ...] = ()
        self._criteria: list[tuple[Criterion, int | None]] = []
        self._told: list[tuple[str, float | None]] = []
        self._samples: list[Sample] = []  # of all steps that have ended
        self._number = 0
        self._tell({"kind": "ready"})

    def says(self, text: str) -> None:
        self._tell({"kind": "says", "text": text})

    def begins(self, scenario: Scenario, steps: tuple[Step, ...]) -> None:
        self._steps = steps
        self._criteria = [(one, n) for n, step in enumerate(steps) for one in step.criteria]
        self._criteria += [(parse(text), None) for text in scenario.criteria]
        self._told = [("unknown", None)] * len(self._criteria)
        begin_s, shown = 0.0, []
        for step in steps:
            shown.append(
                {
                    "name": step.name,
                    "words": step.words,
                    "begin_s": begin_s,
                    "duration_s": step.duration,
                    "eps_highest": step.pattern.highest_eps,
                }
            )
            begin_s += step.duration
        criteria = [{"text": one.text, "figure": one.name, "step": n} for one, n in self._criteria]
        self._tell(
            {
                "kind": "begins",
                "scenario": scenario.name,
                "duration_s": begin_s if steps else None,
                "steps": shown,
                "criteria": criteria,
            }
        )

    def step_begins(self, number: int, step: Step) -> None:
        self._number = number
        self._tell({"kind": "step", "step": number, "state": "running"})

    def sampled(self, run: StepRun) -> None:
        self._tell_sample(run)
        if is_due(len(run.samples)):
            self._judge_running(run)

    def step_ends(self, number: int, run: StepRun) -> None:
        self._tell_sample(run)
        self._samples += run.samples[1:] if self._samples[-1:] == list(run.samples[:1]) else run.samples
        if run.ended:
            changes = []
            verdicts = iter(step_verdicts(run))
            for place, (_, step) in enumerate(self._criteria):
                if step == number:
                    judged = next(verdicts)
                    changes.append((place, _STATE.get(judged["verdict"], "unknown"), judged["value"]))
            self._tell_criteria(changes)
        self._tell({"kind": "step", "step": number, "state": "done"})

    def tried(self, attempt: Attempt) -> None:
        self._tell(
            {
                "kind": "attempt",
                "target_eps": attempt.eps,
                "eps": attempt.sent_eps,
                "loss_ratio": attempt.loss_ratio,
            }
        )

    def ends(self, report: Json) -> None:
        """With the whole account: now all that can be known of the criteria is."""
        judged = [one for step in report["steps"] for one in step["criteria"]] + report["criteria"]
        if len(judged) == len(self._criteria):
            self._tell_criteria(
                [(n, _STATE.get(one["verdict"], "unknown"), one["value"]) for n, one in enumerate(judged)]
            )
        self._tell({"kind": "ends", "state": report["state"], "grade": report["grade"]["letter"]})

    def _tell_sample(self, run: StepRun) -> None:
        parts = list(intervals(run.samples[-2:]))
        if not parts:
            return
        part = parts[-1]
        p99 = part.until.latency_s.get("p99")
        self._tell(
            {
                "kind": "sample",
                "at_s": round(part.until.at_s, 3),
                "step": self._number,
                "target_eps": round(part.asked / part.seconds, 1),
                "eps": round(part.sent / part.seconds, 1),
                "loss_ratio": None if part.lost is None else part.lost / max(1, part.sent),
                "latency_p99_us": None if p99 is None else round(p99 * 1e6, 1),
            }
        )

    def _judge_running(self, run: StepRun) -> None:
        whole = [*self._samples, *run.samples]
        found: dict[bool, dict[str, float | None]] = {}
        changes = []
        for place, (criterion, step) in enumerate(self._criteria):
            if step not in (self._number, None):
                continue
            of_step = step is not None
            if of_step not in found:
                found[of_step] = step_figures(run) if of_step else figures(whole, {})
            of = self._steps[self._number : self._number + 1] if of_step else self._steps
            latency_s = {} if run.latency is None or not of_step else quantiles_s(run.latency)
            state = outlook(
                criterion,
                run.samples if of_step else whole,
                latency_s.get("max"),
                sum(each.pattern.events(each.duration) for each in of),
                sum(each.duration for each in of),
            )
            before = self._told[place][0]
            certain = before if before != "unknown" else _STATE.get(state, "unknown")
            changes.append((place, certain, found[of_step].get(criterion.name)))
        self._tell_criteria(changes)

    def _tell_criteria(self, changes: list[tuple[int, str, float | None]]) -> None:
        new = [
            (place, state, value) for place, state, value in changes if self._told[place] != (state, value)
        ]
        for place, state, value in new:
            self._told[place] = (state, value)
        if new:
            self._tell({"kind": "criteria", "criteria": new})

    def _tell(self, line: dict[str, Any]) -> None:
        if self._to is None:
            return
        try:
            self._to.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._to.flush()
        except (OSError, ValueError):
            # What is left in its buffer is tried once more as it closes.
            with contextlib.suppress(OSError, ValueError):
                self._to.close()
            self._to = None

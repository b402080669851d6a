"""What the lines of a trial's ticker add up to: the picture that an operator is shown while it runs."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from haechi.trial.wording import UNKNOWN, figure

SAMPLES_KEPT = 300
WORDS_KEPT = 50


class Picture:
    """Fed with lines; lines that are none of a ticker's are left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._ended_s: float | None = None
        self._duration_s: float | None = None
        self._step: int | None = None
        self._steps: list[dict[str, Any]] = []
        self._criteria: list[dict[str, Any]] = []
        self._samples: deque[list[float | None]] = deque(maxlen=SAMPLES_KEPT)
        self.ready = False
        self.words: deque[str] = deque(maxlen=WORDS_KEPT)

    def take(self, line: bytes | str) -> None:
        try:
            said = json.loads(line)
            take = getattr(self, f"_take_{said['kind']}", None)
            if take is not None:
                take(said)
        except (ValueError, KeyError, TypeError, IndexError):
            return

    def end(self) -> None:
        self._ended_s = self._clock()

    def view(self, *, samples: bool = True) -> dict[str, Any]:
        at = self._clock() if self._ended_s is None else self._ended_s
        last = self._samples[-1] if self._samples else [None] * 5
        found: dict[str, Any] = {
            "step": self._step,
            "elapsed_s": 0.0 if self._began_s is None else round(at - self._began_s, 1),
            "duration_s": self._duration_s,
            "steps": [dict(step) for step in self._steps],
            "criteria": [
                {key: value for key, value in one.items() if key != "figure"} for one in self._criteria
            ],
            "target_eps": last[1],
            "eps": last[2],
            "loss_ratio": last[3],
            "latency_p99_us": last[4],
            "words": list(self.words),
        }
        return found | {"samples": [list(sample) for sample in self._samples]} if samples else found

    def _take_ready(self, said: dict[str, Any]) -> None:
        self.ready = True

    def _take_says(self, said: dict[str, Any]) -> None:
        self.words.append(str(said["text"]))

    def _take_begins(self, said: dict[str, Any]) -> None:
        self._began_s = self._clock()
        self._duration_s = said["duration_s"]
        self._steps = [{**step, "state": "waiting"} for step in said["steps"]]
        unknown = {"state": "unknown", "value": None, "shown": UNKNOWN}
        self._criteria = [{**one, **unknown} for one in said["criteria"]]

    def _take_step(self, said: dict[str, Any]) -> None:
        self._steps[said["step"]]["state"] = said["state"]
        self._step = said["step"]

    def _take_sample(self, said: dict[str, Any]) -> None:
        names = ("at_s", "target_eps", "eps", "loss_ratio", "latency_p99_us")
        self._samples.append([said[name] for name in names])

    def _take_attempt(self, said: dict[str, Any]) -> None:
        at_s = 0.0 if self._began_s is None else round(self._clock() - self._began_s, 1)
        self._samples.append([at_s, said["target_eps"], said["eps"], said["loss_ratio"], None])

    def _take_criteria(self, said: dict[str, Any]) -> None:
        for place, state, value in said["criteria"]:
            shown = figure(self._criteria[place]["figure"], value)
            self._criteria[place] |= {"state": state, "value": value, "shown": shown}

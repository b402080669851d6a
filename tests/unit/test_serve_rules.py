"""When something is wrong, and when that is said."""

from __future__ import annotations

import pytest

from haechi.config.serve import RuleConfig
from haechi.serve.rules import Event, Standing, evaluate, sentence

LOW = RuleConfig(name="low", metric="rate_percent", below=95, duration=3, cooldown=10)
HIGH = RuleConfig(name="high", metric="loss_percent", above=0.5, duration=0, cooldown=0)

# A value a second (None: not measured), and what is said: second -> event.
CASES: list[tuple[str, RuleConfig, list[float | None], dict[int, Event]]] = [
    ("nothing wrong", LOW, [100, 99, 95, 100], {}),
    ("the threshold itself is right", HIGH, [0.5, 0.5], {}),
    ("too short", LOW, [100, 90, 90, 90, 100], {}),
    ("long enough", LOW, [100, 90, 90, 90, 90, 90], {4: "fired"}),
    ("recovered", LOW, [90, 90, 90, 90, 100, 100], {3: "fired", 4: "recovered"}),
    ("a short relief begins the duration anew", LOW, [90, 90, 100, 90, 90, 90, 90], {6: "fired"}),
    ("at once where there is no duration", HIGH, [0.6, 0.6, 0.1], {0: "fired", 2: "recovered"}),
    (
        "again without a cooldown",
        HIGH,
        [1, 0, 1, 0],
        {0: "fired", 1: "recovered", 2: "fired", 3: "recovered"},
    ),
    ("nothing to measure is not wrong", LOW, [None, None, None, None, None], {}),
    ("what is not measured any more recovers", LOW, [90, 90, 90, 90, None], {3: "fired", 4: "recovered"}),
    (
        "within the cooldown nothing is said, nor is its recovery",
        LOW,
        [90, 90, 90, 90, 100, 90, 90, 90, 90, 100],
        {3: "fired", 4: "recovered"},
    ),
    (
        "what is still wrong after the cooldown is said then",
        LOW,
        [90, 90, 90, 90, 100, *[90] * 10, 100],
        {3: "fired", 4: "recovered", 13: "fired", 15: "recovered"},
    ),
    ("said once, however long it lasts", LOW, [90] * 40, {3: "fired"}),
]


@pytest.mark.parametrize(("rule", "values", "said"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_states(rule: RuleConfig, values: list[float | None], said: dict[int, Event]) -> None:
    standing, heard = Standing(), {}
    for at, value in enumerate(values):
        standing, event = evaluate(rule, standing, value, float(at))
        if event is not None:
            heard[at] = event
        assert standing.value == value
    assert heard == said


def test_sentences() -> None:
    assert sentence(LOW, "storm-1", "fired", 91.234) == "storm-1: rate_percent is 91.23, below 95, for 3 s"
    assert sentence(HIGH, "storm-1", "fired", 2) == "storm-1: loss_percent is 2, above 0.5"
    assert sentence(LOW, "storm-1", "recovered", 99) == "storm-1: rate_percent has recovered: 99"
    gone = sentence(LOW, "storm-1", "recovered", None)
    assert gone == "storm-1: rate_percent has recovered: not measured any more"

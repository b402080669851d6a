"""What the next process of a storm is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from haechi.config.sink import SinkConfig
from haechi.config.storm import StormConfig
from haechi.heal.resume import another, rest_of_sink, rest_of_storm


def storm(**settings: Any) -> StormConfig:
    return StormConfig.model_validate({"target": "127.0.0.1", **settings})


@pytest.mark.parametrize(
    ("settings", "elapsed_s", "sent", "restarts", "change"),
    [
        ({}, 10, 500, 1, {"seed": 2}),
        ({"duration": 60}, 10.00049, 500, 1, {"duration": 50.0, "seed": 2}),
        ({"duration": 60}, 60.0, 500, 1, None),
        ({"count": 1000}, 10, 400, 2, {"count": 600, "seed": 3}),
        ({"count": 1000}, 10, 1000, 1, None),
        ({"ramp_up": 30}, 10, 1, 1, {"ramp_up": 20.0, "seed": 2}),
        ({"ramp_up": 30}, 40, 1, 1, {"ramp_up": 0.0, "seed": 2}),
        ({"seed": 2**64 - 1}, 1, 1, 1, {"seed": 0}),
        ({"start": "2026-01-05T10:00:00Z"}, 61, 1, 1, {"seed": 2, "start": "2026-01-05T10:01:01Z"}),
        ({"truth": "/t/truth.jsonl"}, 1, 1, 2, {"seed": 3, "truth": Path("/t/truth.restart-2.jsonl")}),
        # Begun again for other settings before anything was sent.
        ({"duration": 60, "truth": "/t/truth.jsonl"}, 0.0, 0, 0, {"duration": 60.0}),
    ],
)
def test_the_rest(
    settings: dict[str, Any], elapsed_s: float, sent: int, restarts: int, change: dict[str, Any] | None
) -> None:
    assert rest_of_storm(storm(**settings), elapsed_s, sent, restarts) == change


@pytest.mark.parametrize(
    ("settings", "elapsed_s", "change"),
    [
        ({}, 10, {}),
        ({"duration": 60}, 10, {"duration": 50.0}),
        ({"duration": 60}, 61, None),
        ({"write": "/t/all.log"}, 10, {"write": Path("/t/all.restart-1.log")}),
    ],
)
def test_the_rest_of_a_sink(
    settings: dict[str, Any], elapsed_s: float, change: dict[str, Any] | None
) -> None:
    assert rest_of_sink(SinkConfig.model_validate(settings), elapsed_s, 1) == change


def test_a_file_beside_the_first() -> None:
    assert another(Path("/a/b.jsonl"), 3) == Path("/a/b.restart-3.jsonl")

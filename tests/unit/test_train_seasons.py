"""Which hours the logs tell something of, and what is unusual for one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from haechi.bundle.description import describe
from haechi.bundle.manifest import Other
from haechi.config.training import RatesConfig
from haechi.train import seasons

DAYS = 30


def seen(days: int, *, first: int = 480_000) -> dict[str, Any]:
    """web: always 100; desk: 50 from eight to six; a rare one. As the engine observes it."""
    hours = []
    for hour in range(first, first + 24 * days):
        desk = 50 if 8 <= hour % 24 < 18 else 0
        hosts = {
            "web": 100 + hour % 3,
            **({"desk": desk} if desk else {}),
            **({"rare": 1} if hour % 90 == 0 else {}),
        }
        hours.append([hour, 100 + hour % 3 + desk, hosts, {"7": 100 + hour % 3}])
    return {"hours": hours, "hours_cut": False}


@pytest.mark.parametrize(
    ("days", "wish", "period"),
    [
        (7, "auto", 0),
        (8, "auto", 24),
        (27, "auto", 24),
        (28, "auto", 168),
        (28, "day", 24),
        (27, "week", 0),
        (60, "off", 0),
    ],
)
def test_the_period_follows_how_long_the_logs_are(days: int, wish: str, period: int) -> None:
    hours = list(range(5, 5 + 24 * days))
    assert seasons.period_for(hours, wish) == period


def test_hours_that_are_missing_leave_a_slot_unknown() -> None:
    hours = [hour for hour in range(24 * 20) if hour % 24 != 4]
    assert seasons.period_for(hours, "auto") == 0


def test_the_profile_holds_what_each_hour_holds() -> None:
    season = seasons.learn(seen(DAYS), RatesConfig(seasonal="day"))
    assert season.section() == {"period_h": 24, "file": seasons.FILE}
    text = json.loads(season.files[seasons.FILE])
    assert [one["name"] for one in text["hosts"]] == ["desk", "web"]
    assert [one["log_key"] for one in text["keys"]] == [7]
    desk = text["hosts"][0]["mean"]
    assert desk[8:18] == [50.0] * 10 and sum(desk) == 500.0
    assert text["total"][12] == pytest.approx(desk[12] + text["hosts"][1]["mean"][12])


def test_logs_too_short_or_too_many_say_why() -> None:
    assert "less than 8" in seasons.learn(seen(7), RatesConfig()).why
    assert "too many" in seasons.learn(seen(9) | {"hours_cut": True}, RatesConfig()).why


def test_an_hour_unlike_the_others_scores_high_and_alone() -> None:
    count = np.full((1, 24 * 10), 20.0)
    slots = np.arange(24 * 10) % 24
    count[0, 3 * 24 + 5], count[0, 6 * 24 + 9] = 200.0, 0.0
    total = np.full(24 * 10, 1000.0)
    busy, quiet = seasons.scores(count, total, slots, 24)
    assert [n for score, n in busy if score > 100] == [1.0]
    assert [n for score, n in quiet if score > 15] == [1.0]
    assert sum(n for _, n in busy) == sum(n for _, n in quiet) == 240


def test_what_all_do_is_nothing_of_one() -> None:
    slots = np.arange(24 * 10) % 24
    count, total = np.full((1, 240), 20.0), np.full(240, 1000.0)
    count[0, 100], total[100] = 200.0, 10_000.0
    count[0, 150], total[150] = 0.0, 0.0
    busy, quiet = seasons.scores(count, total, slots, 24)
    assert max(score for score, _ in busy) < 3 and max(score for score, _ in quiet) < 3


def test_a_bundle_says_what_it_watches() -> None:
    none: dict[str, Any] = {"limit": None, "evidence": None}
    group = {"burst": [{"limit": 12.0}, none, none], "silence": {"limit": 20.0}}
    section = {"name": "rates", "interval_s": 0.1, **group, "keys": group, "season": {"period_h": 24}}
    said = describe(Other.model_validate(section))
    assert said == (
        "bursts of a host within 0.1 s above 12 nats; silences of a host above 20 nats; "
        "bursts of a log key within 0.1 s above 12 nats; silences of a log key above 20 nats; "
        "hours of the day"
    )
    old = describe(Other.model_validate({"name": "rates", "interval_s": 0.1, **group}))
    assert old == "bursts of a host within 0.1 s above 12 nats; silences of a host above 20 nats"

"""What is thought of a tool, look by look."""

from __future__ import annotations

from typing import Any

import pytest

from haechi.heal.health import Condition, Limits, Pulse, Signs, assess

LIMITS = Limits(stuck_after_s=1.0, silent_after_s=3.0, failing_after_s=10.0)


def seen(looks: list[dict[str, Any]], every_s: float = 0.25) -> list[Condition]:
    """The condition after each look; what a look leaves out is as with a tool that is well."""
    pulse, found = Pulse(), []
    for i, look in enumerate(looks):
        well = {"running": True, "beat": i, "moved": 100 * i, "due": True, "errors": 0}
        pulse, finding = assess(pulse, Signs(at=i * every_s, **{**well, **look}), LIMITS)
        found.append(finding.condition)
    return found


def first(found: list[Condition], condition: Condition) -> int | None:
    return found.index(condition) if condition in found else None


@pytest.mark.parametrize(
    ("looks", "condition", "at"),
    [
        ([{}] * 80, None, None),
        ([{"running": False}], "dead", 0),
        ([{}, {}, {"running": False}], "dead", 2),
        # Last seen alive at 0.25 s, so a second later it is stuck.
        ([{}] * 2 + [{"beat": 1, "moved": 100}] * 10, "stuck", 5),
        # It lives and sends nothing: after three seconds.
        ([{}] * 2 + [{"moved": 100}] * 20, "stuck", 13),
        # Nothing is due: paused, or no rate.
        ([{}] * 2 + [{"moved": 100, "due": False}] * 40, None, None),
        # A beat that cannot be seen says nothing.
        ([{"beat": None}] * 40, None, None),
        # Errors in every look for ten seconds.
        ([{"errors": i} for i in range(60)], "failing", 41),
        # Some now and then.
        ([{"errors": i // 12} for i in range(120)], None, None),
    ],
)
def test_what_is_noticed_and_when(looks: list[dict[str, Any]], condition: Condition, at: int | None) -> None:
    found = seen(looks)
    if condition is None:
        assert set(found) <= {"well", "suspect"}
    else:
        assert first(found, condition) == at
        assert set(found[:at]) <= {"well", "suspect"}


def test_half_of_the_time_it_is_suspect() -> None:
    found = seen([{}] * 2 + [{"beat": 1, "moved": 100}] * 4)
    assert found == ["well", "well", "well", "suspect", "suspect", "stuck"]


def test_what_comes_back_is_well() -> None:
    looks: list[dict[str, Any]] = [{}] * 2 + [{"beat": 1, "moved": 100}] * 3 + [{}] * 2
    assert seen(looks)[-2:] == ["well", "well"]


def test_errors_that_end_are_forgotten() -> None:
    looks = [{"errors": min(i, 20)} for i in range(40)]
    found = seen(looks)
    assert found[20] == "suspect"
    assert found[-1] == "well"


def test_a_long_pause_between_two_looks_of_ours_is_not_the_tools() -> None:
    pulse, _ = assess(Pulse(), Signs(0.0, True, 1, 0, True, 0), LIMITS)
    _, finding = assess(pulse, Signs(60.0, True, 2, 500, True, 0), LIMITS)
    assert finding.condition == "well"


def test_the_reason_has_the_seconds() -> None:
    pulse, _ = assess(Pulse(), Signs(0.0, True, 1, 0, False, 0), LIMITS)
    _, finding = assess(pulse, Signs(1.5, True, 1, 0, False, 0), LIMITS)
    assert finding.why == "no sign of life for 1.5 s"

"""The search of NDR and PDR against receivers of which the limit is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haechi.trial.ndr import Attempt, Limits, Search, clopper_pearson_least, found, loss_at_most

LIMITS = Limits(from_eps=1000, to_eps=1_000_000, resolution=0.02, repeats=2, rate_error=0.01)


def receiver(limit: float, storm: float = 1e9) -> Callable[[float], Attempt]:
    """Takes so much a second, for ten seconds; the rest is lost. The storm has a limit of its own."""

    def attempt(eps: float) -> Attempt:
        sent = min(eps, storm)
        return Attempt(eps, round(10 * sent), round(10 * min(sent, limit)), True, sent)

    return attempt


@given(st.floats(1100, 900_000))
def test_ndr_is_found_to_the_resolution(limit: float) -> None:
    search = Search(LIMITS, receiver(limit), lambda attempt: None)
    ndr = search.highest(0.0)
    assert ndr is not None
    assert limit / 1.021 <= ndr <= limit * 1.0001
    pdr = search.highest(0.005, ndr)
    assert pdr is not None
    assert ndr <= pdr <= limit / 0.995 * 1.0001
    assert all(len(attempts) <= LIMITS.repeats for attempts in search.tried.values())


def test_bounds_of_the_search() -> None:
    search = Search(LIMITS, receiver(500), lambda attempt: None)
    assert search.highest(0.0) is None
    assert found(search, None, 0.0, 0.95) is None
    search = Search(LIMITS, receiver(2e6), lambda attempt: None)
    assert search.highest(0.0) == LIMITS.to_eps
    result = found(search, LIMITS.to_eps, 0.0, 0.95)
    assert result is not None
    assert result["at_least"]
    assert (result["trials"], result["passed"], result["lost"]) == (2, 2, 0)


def test_a_rate_that_was_not_offered_does_not_pass() -> None:
    search = Search(LIMITS, receiver(1e9, storm=200_000), lambda attempt: None)
    ndr = search.highest(0.0)
    assert ndr == pytest.approx(200_000, rel=0.03)


def test_one_failed_repeat_is_enough_and_an_open_account_is_one() -> None:
    answers = iter([Attempt(10, 100, 100, True, 10), Attempt(10, 100, 100, False, 10)])
    search = Search(LIMITS, lambda eps: next(answers), lambda attempt: None)
    assert not search.passes(10, 0.0)
    assert len(search.tried[10]) == 2


@pytest.mark.parametrize(
    ("passed", "trials", "least"),
    [(1, 1, 0.05), (3, 3, 0.05 ** (1 / 3)), (59, 59, 0.9505), (9, 10, 0.6058), (0, 5, 0.0)],
)
def test_clopper_pearson(passed: int, trials: int, least: float) -> None:
    assert clopper_pearson_least(passed, trials, 0.95) == pytest.approx(least, abs=1e-4)


def test_the_rule_of_three() -> None:
    assert loss_at_most(1_000_000, 0.95) == pytest.approx(3e-6, rel=0.01)
    assert loss_at_most(0, 0.95) == 1

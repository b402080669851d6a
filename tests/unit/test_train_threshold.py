"""Thresholds: how many alarms are allowed, and where the lines are drawn."""

import math

import numpy as np
import pytest

from haechi.config.training import ThresholdConfig
from haechi.train.score import UNITS, SessionScores
from haechi.train.threshold import allowed_alarms, calibrate


def binomial_cdf(k: int, n: int, p: float) -> float:
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


@pytest.mark.parametrize("n", [1, 10, 300, 598, 599, 1000])
@pytest.mark.parametrize("budget", [0.005, 0.05])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_allowed_alarms_is_the_largest_count_that_shows_the_budget(
    n: int, budget: float, confidence: float
) -> None:
    k = allowed_alarms(n, budget, confidence)
    assert k == -1 or binomial_cdf(k, n, budget) <= 1 - confidence
    assert k == n or binomial_cdf(k + 1, n, budget) > 1 - confidence


def scores(events: list[float], means: list[float]) -> SessionScores:
    return SessionScores(
        event_surprise=np.round(np.array(events) * UNITS).astype(np.int64),
        mean_surprise=np.array(means),
        total_surprise=np.round(np.array(means) * UNITS * 10).astype(np.int64),
        rank=np.zeros(len(events), dtype=np.int32),
    )


def config(budget: float, confidence: float = 0.5) -> ThresholdConfig:
    return ThresholdConfig(budget=budget, confidence=confidence, least_surprise=0)


def test_thresholds_lie_between_values_and_keep_to_the_budget() -> None:
    n = 1000
    drawn = np.random.default_rng(7).gamma(2.0, 1.0, size=(2, n))
    given = scores(np.minimum(drawn[0], 19).tolist(), np.minimum(drawn[1], 19).tolist())
    count, closed = np.ones(n, dtype=np.int64), np.ones(n, dtype=np.bool_)
    result = calibrate(given, count, closed, config(0.02, 0.95))
    assert result.held
    assert result.allowed == allowed_alarms(n, 0.02, 0.95)
    assert 0.7 * result.allowed <= result.flagged <= result.allowed
    assert result.rule.event_surprise * UNITS not in given.event_surprise
    assert result.rule.session_surprise not in given.mean_surprise
    by_event = int((given.event_surprise > result.rule.event_surprise * UNITS).sum())
    by_session = int((given.mean_surprise > result.rule.session_surprise).sum())
    assert by_event <= (result.allowed + 1) // 2
    assert by_session >= result.allowed // 2
    assert by_event > 0


def test_counts_weigh_like_repetitions() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    times = np.array([400, 300, 200, 90, 10])
    once = calibrate(scores(values, values), times, np.ones(5, np.bool_), config(0.05))
    spread = np.repeat(values, times).tolist()
    repeated = calibrate(
        scores(spread, spread), np.ones(1000, np.int64), np.ones(1000, np.bool_), config(0.05)
    )
    assert once == repeated
    assert once.rule.event_surprise == 4.5
    assert once.flagged == 10


def test_too_few_sessions_draw_the_line_above_all_of_them() -> None:
    result = calibrate(
        scores([1, 2, 3], [0.5, 0.6, 0.7]), np.ones(3, np.int64), np.ones(3, np.bool_), config(0.005, 0.95)
    )
    assert not result.held
    assert result.flagged == 0
    assert 3 < result.rule.event_surprise < 20
    assert 0.7 < result.rule.session_surprise < 20


def test_novel_sessions_do_not_drive_thresholds_up() -> None:
    values = np.linspace(1, 2, 1000)
    plain = scores(values.tolist(), values.tolist())
    noisy = scores([*values.tolist(), *[20.0] * 100], [*values.tolist(), *[9.0] * 100])
    one = calibrate(plain, np.ones(1000, np.int64), np.ones(1000, np.bool_), config(0.01))
    two = calibrate(noisy, np.ones(1100, np.int64), np.ones(1100, np.bool_), config(0.01))
    assert one.rule == two.rule
    assert (one.novel, two.novel) == (0, 100)
    assert two.alert_ratio == (two.flagged + 100) / 1100


def test_open_sessions_have_no_say_in_the_mean() -> None:
    closed = np.array([True] * 500 + [False] * 500)
    means = np.where(closed, 1.0, 9.0)
    result = calibrate(scores([1.0] * 1000, means.tolist()), np.ones(1000, np.int64), closed, config(0.01))
    assert result.rule.session_surprise < 2
    assert result.flagged == 0
    nobody = calibrate(
        scores([1.0] * 1000, means.tolist()), np.ones(1000, np.int64), ~closed & closed, config(0.01)
    )
    assert nobody.rule.session_surprise == 10.0


def test_topk_counts_its_alarms() -> None:
    given = SessionScores(
        np.full(100, 5), np.full(100, 0.1), np.full(100, 50), np.arange(100, dtype=np.int32)
    )
    result = calibrate(
        given, np.ones(100, np.int64), np.ones(100, np.bool_), ThresholdConfig(rule="topk", top_k=9)
    )
    assert result.flagged == 91

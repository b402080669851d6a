"""Counts, evidence and the ensemble: scores that can be compared, one budget for all."""

import json

import numpy as np
import pytest

from haechi.config.training import EnsembleConfig, ThresholdConfig
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.train.counts import KEYS_MAX, CountsDetector, nearest
from haechi.train.ensemble import SESSIONS_LEAST, between, calibrate
from haechi.train.evidence import Evidence
from haechi.train.score import UNITS, SessionScores
from haechi.train.threshold import allowed_alarms

DRAW = np.random.default_rng(11)


def ones(n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.ones(n, dtype=np.int64)


# --- counts -----------------------------------------------------------------------------------------------


def test_distance_is_the_weighted_jaccard_distance_from_the_nearest() -> None:
    known = DRAW.integers(0, 5, size=(40, 9))
    tried = DRAW.integers(0, 5, size=(700, 9))
    plain = [
        min(np.abs(row - other).sum() / max(np.maximum(row, other).sum(), 1) for other in known)
        for row in tried
    ]
    assert nearest(tried, known).tolist() == plain


def test_an_equal_session_is_at_no_distance_and_one_with_nothing_in_common_at_one() -> None:
    vocabulary = Vocabulary.of_keys(6, range(4))
    learned = CountsDetector(10).fit(Sessions.from_sequences([[0, 1, 1], [2, 2, 2]]), vocabulary)
    tried = Sessions.from_sequences([[1, 0, 1], [3], [0, 1], [5]])
    assert learned.score(tried).tolist() == [0.0, 1.0, 1 / 3, 1.0]


def test_what_the_engine_would_not_judge_is_not_judged() -> None:
    many = list(range(KEYS_MAX + 1))
    vocabulary = Vocabulary.of_keys(40, many)
    sessions = Sessions.from_sequences([many, many[:-1], [0, 1]])
    learned = CountsDetector(10).fit(sessions, vocabulary)
    assert len(learned.vectors) == 2
    assert np.isnan(learned.score(sessions)).tolist() == [True, False, False]
    open_end = Sessions(sessions.keys, sessions.offsets, sessions.count, np.zeros(3, bool), sessions.start_us)
    assert np.isnan(learned.score(open_end)).all()
    assert len(CountsDetector(10).fit(open_end, vocabulary).vectors) == 0


def test_the_vectors_of_the_most_sessions_are_kept() -> None:
    vocabulary = Vocabulary.of_keys(5, range(5))
    sessions = Sessions.from_sequences([[n] for n in range(5)], [3, 9, 1, 7, 2])
    learned = CountsDetector(2).fit(sessions, vocabulary)
    entry = learned.entry()
    assert json.loads(entry.files["counts.json"]) == {"format": 1, "vectors": [[3, 1], [1, 1]]}
    assert entry.section == {"file": "counts.json", "vectors": 2}


# --- evidence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "exponential", "mostly_nought", "two_values", "one_value"])
def test_evidence_rises_with_the_score_and_says_how_rare_it_is(kind: str) -> None:
    n = 5000
    scores = {
        "normal": DRAW.normal(size=n),
        "exponential": DRAW.exponential(size=n),
        "mostly_nought": np.where(DRAW.random(n) < 0.004, DRAW.random(n), 0.0),
        "two_values": np.where(DRAW.random(n) < 0.3, 2.0, 1.0),
        "one_value": np.full(n, 0.25),
    }[kind]
    evidence = Evidence.fit(scores, ones(n))
    assert np.all(np.diff(evidence.at) > 0) and np.all(np.diff(evidence.nats) >= 0) and evidence.slope > 0
    assert len(evidence.at) <= 64
    tried = np.sort(np.concatenate((scores, scores.max() + np.linspace(0, 3, 7))))
    assert np.all(np.diff(evidence.of(tried)) >= -1e-12)
    if kind in ("normal", "exponential"):
        for share in (0.5, 0.1, 0.01):
            assert evidence.of(np.quantile(scores, [1 - share]))[0] == pytest.approx(-np.log(share), abs=0.15)
    # Above a value that nearly all have is news at once.
    if kind == "mostly_nought":
        assert evidence.of(np.array([0.0]))[0] == pytest.approx(0, abs=1e-3)
        assert evidence.of(np.array([scores.max() / 2]))[0] > 4


def test_score_at_is_the_other_way_round() -> None:
    evidence = Evidence.fit(DRAW.gamma(2.0, size=3000), ones(3000))
    for nats in np.linspace(0, 20, 41):
        score = evidence.score_at(nats)
        assert evidence.of(np.array([score]))[0] <= max(nats, evidence.nats[0]) + 1e-9
        assert evidence.of(np.array([score + 1e-6]))[0] > nats - 1e-9


def test_nothing_known_says_nothing() -> None:
    nothing = Evidence.fit(np.full(5, np.nan), ones(5))
    assert nothing.of(np.array([1.0, np.nan])).tolist() == [0.0, 0.0]
    assert nothing.score_at(3.0) == float("inf")


# --- the ensemble -----------------------------------------------------------------------------------------


def surprises(event: np.ndarray, mean: np.ndarray) -> SessionScores:
    units = np.round(event * UNITS).astype(np.int64)
    total = np.round(mean * 20 * UNITS).astype(np.int64)
    return SessionScores(units, mean, total, np.zeros(len(event), np.int32))


def drawn(n: int) -> tuple[SessionScores, dict[str, np.ndarray]]:
    event = np.minimum(DRAW.gamma(2.0, 1.2, n), 19)
    return surprises(event, DRAW.gamma(2.0, 0.2, n)), {"counts": np.minimum(DRAW.exponential(0.02, n), 1)}


@pytest.mark.parametrize("n", [500, 5000, 50_000])
def test_all_together_keep_to_one_budget(n: int) -> None:
    scores, others = drawn(n)
    config = EnsembleConfig(budget=0.002)
    found = calibrate(scores, others, ones(n), np.ones(n, bool), ThresholdConfig(), config)
    shown = allowed_alarms(n, 0.002, 0.95)
    assert found.held == (shown >= 0)
    assert found.allowed == max(shown, 0)
    assert found.flagged <= found.allowed
    if n == 50_000:
        assert found.flagged >= 0.9 * found.allowed
        alone = [
            scores.event_surprise > found.rule.event_surprise * UNITS,
            scores.mean_surprise > found.rule.session_surprise,
            others["counts"] > found.members["counts"].limit,
        ]
        # Equal evidence: none of the three has the budget to itself.
        assert min(flags.sum() for flags in alone) > 0.15 * found.allowed
    for values, limit in (
        (scores.event_surprise / UNITS, found.rule.event_surprise),
        (scores.mean_surprise, found.rule.session_surprise),
        (others["counts"], found.members["counts"].limit),
    ):
        assert limit not in values


def test_any_member_that_is_sure_is_enough() -> None:
    scores, others = drawn(5000)
    found = calibrate(scores, others, ones(5000), np.ones(5000, bool), ThresholdConfig(), EnsembleConfig())
    tried = surprises(np.array([0.5, 18.9, 0.5, 0.5]), np.array([0.1, 0.1, 9.0, 0.1]))
    counts = {"counts": np.array([0.0, 0.0, np.nan, 0.9])}
    assert found.anomalous(tried, counts, np.ones(4, bool)).tolist() == [False, True, True, True]


def test_a_detector_with_too_little_to_go_by_takes_no_part() -> None:
    scores, _ = drawn(2000)
    few = np.full(2000, np.nan)
    few[: SESSIONS_LEAST - 1] = 0.1
    found = calibrate(
        scores, {"counts": few}, ones(2000), np.ones(2000, bool), ThresholdConfig(), EnsembleConfig()
    )
    assert not found.members


def test_what_was_never_seen_has_no_say_and_is_always_flagged() -> None:
    scores, others = drawn(3000)
    scores.event_surprise[:40] = 20 * UNITS
    others["counts"][:40] = 1.0
    found = calibrate(scores, others, ones(3000), np.ones(3000, bool), ThresholdConfig(), EnsembleConfig())
    assert found.novel == 40
    assert found.rule.event_surprise < 20
    assert found.members["counts"].limit < 0.9
    assert found.anomalous(scores, others, np.ones(3000, bool))[:40].all()


@pytest.mark.parametrize(
    ("values", "limit", "want"),
    [([1.0, 2.0, 4.0], 2.0, 3.0), ([1.0, 2.0, 4.0], 3.9, 3.0), ([1.0], 2.0, 2.0), ([5.0], 2.0, 2.0)],
)
def test_between(values: list[float], limit: float, want: float) -> None:
    assert between(np.array([*values, np.nan]), limit) == want

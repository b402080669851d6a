"""Fitting, exporting and scoring: the same model everywhere."""

import math

import numpy as np
import onnx
import pytest
import torch

from haechi.config.training import ModelConfig, TrainingConfig
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.corpus.windows import window
from haechi.models.deeplog import DeepLog
from haechi.train import SilentProgress, TrainError, folds
from haechi.train.export import check_export, onnx_of
from haechi.train.fit import examples, steps_of
from haechi.train.learn import Learned, device_of, learn
from haechi.train.score import UNITS, WORST_RANK, Model, quantise, score

SHAPE = ModelConfig(embedding=8, hidden=16)
FLOWS = [[0, 1, 2, 3], [0, 1, 1, 2, 3], [4, 5], [4, 6, 5]]


LONGER = {"min_steps": 300, "max_steps": 300}


def corpus(times: int = 60) -> Sessions:
    return Sessions.from_sequences(FLOWS, [times, times // 2, times, times // 4])


def config(**fit: object) -> TrainingConfig:
    return TrainingConfig.model_validate(
        {
            "model": SHAPE.model_dump(),
            "fit": {"min_steps": 60, "max_steps": 60, "batch": 16} | fit,
            "threshold": {"folds": 2},
        }
    )


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn(corpus(), 7, config(**LONGER), SilentProgress())


def test_what_was_learned_is_likely_and_what_was_not_is_not(learned: Learned) -> None:
    tried = Sessions.from_sequences([*FLOWS, [0, 3, 2, 1], [4], [0, 1, 2, 3, 0, 1]])
    result = score(Model(learned.onnx_file), tried, learned.vocabulary, 10, 20.0)
    flagged = learned.calibration.rule.anomalous(result, tried.closed)
    assert flagged.tolist() == [False] * 4 + [True] * 3
    assert result.mean_surprise[:4].max() < result.mean_surprise[4:].min()


def test_same_seed_same_model_whatever_the_threads(learned: Learned) -> None:
    again = learn(corpus(), 7, config(threads=1, **LONGER), SilentProgress())
    assert again.onnx_file == learned.onnx_file
    assert again.calibration == learned.calibration
    other = learn(corpus(), 7, config(seed=2, **LONGER), SilentProgress())
    assert other.onnx_file != learned.onnx_file


def test_progress_ends_at_the_last_step() -> None:
    seen: list[tuple[int, int]] = []

    class Watching(SilentProgress):
        def steps(self, done: int, total: int, loss: float) -> None:
            assert np.isfinite(loss)
            seen.append((done, total))

    learn(corpus(), 7, config(), Watching())
    assert max(done for done, _ in seen) == 60 * 3
    assert {total for _, total in seen} == {60 * 3}


def test_too_little_is_refused() -> None:
    with pytest.raises(TrainError, match="hold 10 events in 2 sessions; at least 100"):
        learn(Sessions.from_sequences([[0] * 5, [1] * 5]), 2, config(), SilentProgress())


def test_one_long_session_is_cut_into_pieces() -> None:
    result = learn(Sessions.from_sequences([[0, 1, 2] * 200]), 3, config(), SilentProgress())
    assert result.cut_into_pieces
    assert result.calibration.sessions == 30


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(config(device="auto").fit).type == "cpu"
    with pytest.raises(TrainError, match="cuda was asked for"):
        device_of(config(device="cuda").fit)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 7, 300])
def test_export_says_what_pytorch_says(layers: int, batch: int) -> None:
    draw = torch.Generator().manual_seed(5)
    model = DeepLog(30, ModelConfig(embedding=4, hidden=12, layers=layers), draw).eval()
    file = onnx_of(model, 6)
    assert file == onnx_of(model, 6)
    assert [node.op_type for node in onnx.load_from_string(file).graph.node].count("LSTM") == layers
    windows = torch.randint(30, (batch, 6), generator=draw).numpy()
    answer = Model(file).log_probability(windows)
    assert answer.shape == (batch, 30)
    np.testing.assert_allclose(np.exp(answer).sum(axis=1), 1, rtol=1e-5)
    assert check_export(model, answer, windows) < 1e-5
    answer[-1, 3] += 0.001
    with pytest.raises(TrainError, match=r"0\.001 nats off PyTorch, more than 0\.0001"):
        check_export(model, answer, windows)
    with pytest.raises(TrainError, match="nan"):
        check_export(model, answer * np.float32("nan"), windows)


def test_scores_follow_the_contract(learned: Learned) -> None:
    sessions = Sessions.from_sequences([[0, 1, -1], [6]])
    sessions.closed[1] = False
    result = score(Model(learned.onnx_file), sessions, learned.vocabulary, 10, 20.0)

    model, words = Model(learned.onnx_file), learned.vocabulary
    total, worst = 0, 0
    padded = [words.begin] * 10 + [0, 1, words.unseen, words.end]
    for at in range(10, 14):
        (row,) = model.log_probability(np.array([padded[at - 10 : at]], dtype=np.int64))
        entropy = -sum(math.exp(p) * p for p in row.tolist())
        surprise = math.floor((min(-float(row[padded[at]]), 20.0) - entropy) * UNITS + 0.5)
        if padded[at] == words.unseen:
            surprise = 20 * UNITS
        total, worst = total + surprise, max(worst, surprise)
    assert result.mean_surprise[0] == total / 4 / UNITS
    assert result.event_surprise[0] == worst == 20 * UNITS
    assert result.rank[0] == WORST_RANK
    (first,) = model.log_probability(np.full((1, 10), words.begin, dtype=np.int64))
    likelier = [t for t in range(words.size) if first[t] > first[6] and t not in (words.begin, words.unseen)]
    assert result.rank[1] == len(likelier)


@pytest.mark.parametrize(
    ("nats", "units"), [(0.0, 0), (1.0, 1024), (0.5 / 1024, 1), (0.49 / 1024, 0), (20.0, 20480)]
)
def test_quantise_rounds_halves_up(nats: float, units: int) -> None:
    assert quantise(np.array([nats])).tolist() == [units]


def test_examples_weigh_and_leave_out_the_unseen() -> None:
    words = Vocabulary.of_keys(3, [0, 1])
    sessions = Sessions.from_sequences([[0], [0, 2]], [99, 1])
    windows = window(sessions, words, 2)
    data = examples(windows, windows.counts(sessions.count), words, 0.5)
    assert sorted(data.token.tolist()) == [0, words.end, words.end]
    assert data.weight.mean().item() == pytest.approx(1)
    assert data.first.tolist() == [0, 1, 2, 3]
    by_weight = dict(zip(map(tuple, data.window.tolist()), data.weight.tolist(), strict=True))
    assert by_weight[words.begin, 0] / by_weight[0, words.unseen] == pytest.approx(99**0.5)


def test_a_window_is_read_once_for_all_that_followed_it() -> None:
    words = Vocabulary.of_keys(3, [0, 1, 2])
    sessions = Sessions.from_sequences([[0, 0], [0, 1], [0, 2], [1]])
    windows = window(sessions, words, 2)
    data = examples(windows, windows.counts(sessions.count), words, 1.0)
    rows = {tuple(row): i for i, row in enumerate(data.window.tolist())}
    chosen = torch.tensor([rows[0, 1], rows[words.begin, 0]])
    row, pair = data.pairs(chosen)
    assert row.tolist() == [0, 1, 1, 1]
    assert data.token[pair].tolist() == [words.end, 0, 1, 2]


@pytest.mark.parametrize(("examples_", "steps"), [(1, 60), (16 * 2, 60), (10**6, 60)])
def test_steps_keep_to_their_bounds(examples_: int, steps: int) -> None:
    assert steps_of(examples_, config().fit) == steps


def test_folds_deal_every_occurrence_once() -> None:
    sessions = corpus()
    dealt = folds.split(sessions, 5, seed=3)
    assert dealt.sum(axis=0).tolist() == sessions.count.tolist()
    sizes = dealt.sum(axis=1)
    assert sizes.max() - sizes.min() <= 1
    assert (folds.split(sessions, 5, seed=3) == dealt).all()
    assert (folds.split(sessions, 5, seed=4) != dealt).any()


def test_folds_of_timed_sessions_are_stretches_of_time() -> None:
    sessions = Sessions.from_sequences([[0]] * 10)
    sessions.start_us[:] = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert folds.split(sessions, 5, seed=1).argmax(axis=0).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]
    drift = folds.split(sessions, 5, seed=1).sum(axis=1)
    assert drift.tolist() == [2] * 5


def test_pieces_keep_every_event_and_the_last_end() -> None:
    sessions = Sessions.from_sequences([list(range(5)) * 20, [7] * 3])
    cut = folds.pieces(sessions)
    assert cut.keys.tolist() == sessions.keys.tolist()
    assert cut.lengths.tolist() == [20, 20, 20, 20, 20, 3]
    assert cut.closed.tolist() == [False] * 4 + [True, True]

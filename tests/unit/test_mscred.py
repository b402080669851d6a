"""MSCRED in Python: data, signatures, the network and its export, thresholds, causes, all together."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch

from haechi.bench.mscred import count, measure
from haechi.bundle.store import Bundle
from haechi.bundle.store import read as read_bundle
from haechi.config.training import MscredConfig, TrainingConfig
from haechi.corpus.logs import SessionRule, mine, read
from haechi.corpus.sessions import NO_TIME, EventStream
from haechi.models.mscred import AttentionConvLSTM, Mscred, attend, level_sizes
from haechi.mscred.counts import Kind, count_events, group, series_of
from haechi.mscred.data import DURATIONS, HEIGHT, NOISE, ROOT_CAUSES, Shape, Wave, make
from haechi.mscred.export import Reconstructor, check_export, onnx_of
from haechi.mscred.hosts import Hosts, hosts_of
from haechi.mscred.learn import MODEL_FILE, learn
from haechi.mscred.rootcause import LULL, SEEN, Finding, find, lengths, rank, stretches
from haechi.mscred.score import broken, residuals, runs, scores
from haechi.mscred.signature import HISTORY, STEP, WINDOWS, Scaling, ends, signatures
from haechi.mscred.threshold import (
    LEAST,
    Thresholds,
    choose,
    crossed,
    limit_of,
    residuals_between,
    tau_of,
)
from haechi.mscred.train import disturb, fit, reconstruct
from haechi.native import _core
from haechi.train import TrainError, run

SMALL = Shape(series=5, steps=2400, train_end=800, validation_end=1200, anomalies=3)
QUICK = MscredConfig(epochs=1, max_steps=3, batch=8)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads on a network this small wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- data and signatures


def test_data_is_made_by_the_formula() -> None:
    data = make(3)
    assert data.values.shape == (30, 20_000)
    assert (data.values == make(3).values).all() and (data.values != make(4).values).any()
    normal = data.values[:, :10_000]
    for row in normal:
        # A wave of height 1 and noise of 0.3: the power of both, and one period of 2 pi w steps.
        assert row.var() == pytest.approx(0.5 + NOISE**2, rel=0.1)
        spectrum = np.abs(np.fft.rfft(row - row.mean()))
        assert 2 * np.pi * 38 < len(row) / spectrum.argmax() < 2 * np.pi * 52
    assert len(data.waves) == 5
    assert sorted(wave.duration for wave in data.waves) == [30, 30, 60, 60, 90]
    for wave, after in zip(data.waves, data.waves[1:], strict=False):
        assert after.start - wave.end > SEEN
    for wave in data.waves:
        assert (
            wave.start > 10_000 + SEEN and wave.end + SEEN < 20_000 and len(set(wave.series)) == ROOT_CAUSES
        )
        thrown = np.abs(data.values[list(wave.series), wave.start : wave.end])
        assert (thrown >= HEIGHT[0]).all() and (thrown <= HEIGHT[1]).all()


def test_too_many_waves_are_refused() -> None:
    with pytest.raises(ValueError, match="50 waves do not fit into steps 1400 to 2400"):
        make(1, Shape(series=5, steps=2400, train_end=800, validation_end=1200, anomalies=50))


def test_signatures_are_inner_products() -> None:
    values = np.random.default_rng(1).normal(size=(4, 127))
    found = signatures(values)
    assert ends(127).tolist() == [60, 70, 80, 90, 100, 110, 120]
    assert found.shape == (7, len(WINDOWS), 4, 4) and found.dtype == np.float32
    for moment, end in enumerate(ends(127)):
        for scale, window in enumerate(WINDOWS):
            part = values[:, end - window : end]
            np.testing.assert_allclose(found[moment, scale], part @ part.T / window, atol=1e-5)


def test_scaling_comes_from_training_alone() -> None:
    values = np.array([[0.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    scaled = Scaling.of(values).apply(np.array([[4.0], [6.0]]))
    assert scaled.tolist() == [[2.0], [1.0]]  # beyond what was seen; one that never moved is only shifted


# --- the network


@pytest.mark.parametrize(("series", "sizes"), [(30, (30, 15, 8, 4)), (3, (3, 2, 1, 1)), (7, (7, 4, 2, 1))])
def test_shapes(series: int, sizes: tuple[int, ...]) -> None:
    assert level_sizes(series) == sizes
    with torch.no_grad():
        made = Mscred(series)(torch.rand(2, 7, 3, series, series))
    assert made.shape == (2 * 3, 3, series, series)


def test_a_run_says_what_its_examples_say() -> None:
    model, run = Mscred(6, seed=2), torch.rand(1, 9, 3, 6, 6)
    with torch.no_grad():
        alone = torch.cat([model(run[:, i : i + HISTORY]) for i in range(5)])
        assert torch.allclose(model(run), alone, atol=1e-5)
    matrices = torch.rand(40, 3, 6, 6)
    assert torch.allclose(reconstruct(model, matrices), reconstruct(model, matrices, 7), atol=1e-5)


def test_attention_prefers_what_is_like_the_last() -> None:
    last = torch.full((1, 1, 2, 2), 3.0)
    mixed = attend([-last, last * 0.9, last])
    assert torch.allclose(mixed, last, atol=0.3)


def test_the_same_seed_gives_the_same_network() -> None:
    one, same, other = (Mscred(5, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("series", [3, 5, 8, 11])
def test_export_says_the_same(series: int) -> None:
    model = Mscred(series, seed=series).eval()
    for part in model.memory:
        assert isinstance(part, AttentionConvLSTM)
        torch.nn.init.normal_(part.peephole, std=0.3)
    file = onnx_of(model)
    examples = np.random.default_rng(0).random((3, HISTORY, 3, series, series), dtype=np.float32)
    assert check_export(model, Reconstructor(file), examples) < 1e-4
    assert file == onnx_of(model)
    names = [item.name for item in ort.InferenceSession(file).get_inputs()]
    assert names == ["signatures"]


def test_an_export_that_differs_is_refused() -> None:
    wrong = Reconstructor(onnx_of(Mscred(4, seed=2)))
    examples = np.random.default_rng(0).random((1, HISTORY, 3, 4, 4), dtype=np.float32)
    with pytest.raises(TrainError, match=r"off PyTorch, more than 0\.0001; no bundle was written"):
        check_export(Mscred(4, seed=1).eval(), wrong, examples)


# --- scores, thresholds, causes


def test_scores_count_broken_cells() -> None:
    left = np.zeros((2, 3, 4, 4), dtype=np.float32)
    left[1, 0, 2, :] = -1.0
    left[1, 2, 0, 0] = 0.2
    limit = np.full((3, 4, 4), 0.5, dtype=np.float32)
    limit[2] = 0.1
    assert scores(left, limit).tolist() == [[0, 0, 0], [4, 0, 1]]
    assert broken(left, limit)[1, 0, 2].all()


def test_runs_are_five_matrices_oldest_first() -> None:
    matrices = np.arange(7, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 2, 2), np.float32)
    assert runs(matrices)[:, :, 0, 0, 0].tolist() == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]


def test_thresholds_come_from_validation() -> None:
    left = np.random.default_rng(1).normal(0, [0.1, 0.2, 0.3], (200, 10, 10, 3)).transpose(0, 3, 1, 2)
    chosen = choose(left.astype(np.float32))
    # 0.999 of the cells of a normal distribution lie within 3.29 of its deviation.
    assert chosen.limit.mean(axis=(1, 2)) == pytest.approx([0.329, 0.658, 0.987], rel=0.05)
    of = scores(left.astype(np.float32), chosen.limit)
    assert not chosen.broke(of).any()
    most = crossed(left.astype(np.float32)).max(axis=0)
    assert chosen.score.tolist() == (most + most.max() + 0.5).tolist()


@pytest.mark.parametrize(
    ("largest", "tau"), [((0, 0, 0), (2, 2, 2)), ((16, 7, 8), (32, 23, 24)), ((3, 9, 9), (12, 18, 18))]
)
def test_a_window_that_was_calm_is_not_believed_alone(largest: tuple[int, ...], tau: tuple[int, ...]) -> None:
    assert tau_of(np.array([(0, 0, 0), largest, (0, 0, 0)])).tolist() == list(tau)


def test_flags_of_one_cause_are_one_stretch() -> None:
    flagged = np.zeros(40, dtype=np.bool_)
    flagged[[3, 4, 14, 25, 36]] = True
    assert stretches(flagged) == [(3, 14), (25, 25), (36, 36)]
    assert stretches(np.zeros(4, dtype=np.bool_)) == []


def test_the_cause_is_the_series_with_most_broken_cells() -> None:
    left = np.zeros((3, 3, 5, 5), dtype=np.float32)
    left[1, 0, 3, :] = left[1, 0, :, 3] = 1.0
    left[1, 0, 1, 2] = left[1, 0, 2, 1] = 2.0
    left[2, 0, 4, 4] = 9.0
    left[2, 1, 0, :] = left[2, 2, 0, :] = 1.0
    limit = np.full((3, 5, 5), 0.5, dtype=np.float32)
    over = np.zeros((3, 3), dtype=np.bool_)
    over[:, 0] = True
    assert rank(left, limit, over).tolist()[:2] == [3, 4]  # 4 has as many as 1 and 2, and is further over
    over[2, 1] = over[2, 2] = True
    assert rank(left, limit, over).tolist()[:2] == [3, 4]  # by the shortest that was over
    over[:, 0] = False
    assert rank(left, limit, over).tolist()[0] == 0


@pytest.mark.parametrize(
    ("steps", "severity"),
    [(0, "short"), (44, "short"), (45, "medium"), (74, "medium"), (75, "long"), (900, "long")],
)
def test_severity_is_the_nearest_of_the_papers_durations(steps: int, severity: str) -> None:
    assert Finding(3, 9, (), (True, False, False), steps).severity == severity


def test_what_is_raised_lasts_until_it_has_not_been_for_long() -> None:
    raised = np.zeros(40, dtype=np.bool_)
    raised[[2, 5]] = True
    raised[30:34] = True
    found = lengths(raised)
    assert found[[2, 4, 5]].tolist() == [0, 0, 20]
    assert (found[5 + LULL], found[6 + LULL]) == (20, 0)
    assert found[30:34].tolist() == [0, 0, 10, 20]
    raised[6 + LULL] = True
    assert lengths(raised)[6 + LULL] == (6 + LULL - 2 - 1) * STEP


def test_validation_is_looked_at_between_moments() -> None:
    values = np.cumsum(np.ones((2, 151)), axis=1)

    def ends_of(of: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return of[HISTORY - 1 :]

    of = residuals_between(values, ends_of)[:, 0, 0, 0]
    # The mean of ten squares from e - 9 on is about (e - 4.5) squared; each is two steps after the last.
    assert np.sqrt(of) == pytest.approx(100 - 4.5 + 2 * np.arange(len(of)), abs=0.1)
    assert len(of) == 5 * 5


def test_usual_residuals_make_the_limits() -> None:
    left = np.random.default_rng(1).normal(0, 0.1, (400, 3, 6, 6)).astype(np.float32)
    left[:, :, 0] *= 4  # a row
    left[:, :, :, 2] *= 3  # a column
    left[:, :, 5] = 0
    limit = limit_of(left)
    assert limit[:, 0, 1] == pytest.approx(4 * limit[:, 1, 1], rel=0.1)
    assert limit[:, 1, 2] == pytest.approx(3 * limit[:, 1, 1], rel=0.1)
    assert limit[:, 0, 2] == pytest.approx(12 * limit[:, 1, 1], rel=0.1)
    assert limit[0, 5, 5] == pytest.approx(LEAST * np.median(limit[0]), rel=0.1)


def test_a_cell_is_judged_by_its_row_and_column() -> None:
    """One cell's own residuals are too few to be believed: small by chance, they would have it break."""
    left = np.random.default_rng(3).normal(0, 0.1, (30, 3, 20, 20)).astype(np.float32)
    left[:, 0, 7, 9] *= 0.01
    limit = limit_of(left)
    assert limit[0, 7, 9] == pytest.approx(np.median(limit[0]), rel=0.2)


def test_parts_of_validation_are_judged_by_the_others() -> None:
    left = np.random.default_rng(2).normal(0, 0.1, (400, 3, 6, 6)).astype(np.float32)
    left[330:] *= 3
    of = crossed(left)
    assert len(of) == 400
    inside = scores(left, limit_of(left))
    assert of[330:].mean() > 2 * inside[330:].mean()  # nobody else was so
    few = left[:7]
    assert (crossed(few) == scores(few, limit_of(few))).all()  # all of them see each other


def test_find_joins_it_all() -> None:
    left = np.zeros((20, 3, 4, 4), dtype=np.float32)
    left[5:9, 1, 2, :] = 1.0
    thresholds = Thresholds(np.full((3, 4, 4), 0.5, np.float32), np.full(3, 1.5))
    (finding,) = find(left, scores(left, thresholds.limit), thresholds)
    assert (finding.first, finding.last, finding.series[0]) == (5, 8, 2)
    assert finding.broke == (False, True, False) and finding.steps == 20


# --- all of it


def test_disturbing_leaves_the_rest_alone() -> None:
    values = np.random.default_rng(1).random((10, 400))
    part = values[:, 100:270]
    draw = np.random.default_rng(2)
    changed = [(disturb(part, values, draw) != part).any(axis=1).sum() for _ in range(20)]
    assert max(changed) <= 2 and min(changed) >= 1  # a fifth of ten


def test_fitting_is_a_function_of_its_arguments() -> None:
    data = make(1, SMALL)
    scaled = Scaling.of(data.values[:, :800]).apply(data.values)
    seen: list[tuple[int, int]] = []
    one = fit(scaled[:, :800], scaled[:, 800:1200], QUICK, 7, lambda s, t, _: seen.append((s, t)))
    same = fit(scaled[:, :800], scaled[:, 800:1200], QUICK, 7)
    assert seen == [(1, 3), (2, 3), (3, 3)] and one.steps == 3
    assert one.validation == same.validation
    weights = one.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in same.model.state_dict().items())


def test_a_small_data_set_end_to_end() -> None:
    result = measure(1, MscredConfig(epochs=2, max_steps=12, batch=8), SMALL)
    assert result.counted.anomalies == 3 and result.parity_max_abs < 1e-4 and result.steps == 12
    assert result.counted.found >= 1  # even after so little training


def test_counting_what_was_found() -> None:
    data = make(1, SMALL)
    first, second, third = data.waves
    moments = list(range(1200 + SEEN, 2400, STEP))

    def at(wave: Wave, series: tuple[int, ...], more: int = 0) -> Finding:
        begin = next(i for i, end in enumerate(moments) if end > wave.start)
        return Finding(
            begin, begin + wave.duration // STEP + 1 + more, series, (True, False, False), wave.duration
        )

    wrong = tuple(s for s in range(5) if s not in second.series)
    found = [at(first, first.series), at(first, (), 1), at(second, (*wrong, *second.series))]
    counted = count(data, found, moments)
    assert (counted.findings, counted.right_findings, counted.found) == (3, 3, 2)
    assert counted.root_causes_found == 1 and counted.severities_right == 2
    assert counted.recall == pytest.approx(2 / 3) and counted.precision == 1.0
    far = Finding(0, 0, (0,), (True, False, False), 0)
    assert count(data, [far], [1200 + SEEN, *moments]).right_findings == 0
    assert third.duration in DURATIONS


# --- logs


def stream(seconds: int, quiet_after: int | None = None) -> EventStream:
    draw = np.random.default_rng(1)
    rows = [
        (second, key)
        for second in range(seconds)
        for key, rate in enumerate((8, 4, 2, 1, 0.2))
        if not (key == 1 and quiet_after is not None and second >= quiet_after)
        for _ in range(draw.poisson(rate))
    ]
    time, key = np.array(rows, dtype=np.int64).T
    return EventStream(key.astype(np.int32), np.zeros(len(key), np.uint64), time * 1_000_000 + 500_000)


def test_the_most_frequent_keys_have_a_series_each() -> None:
    keys = np.array([0] * 5 + [2] * 9 + [3] + [-1] * 4, dtype=np.int32)
    grouping = group(keys, 5, 3)
    assert grouping.count == 3 and grouping.of.tolist() == [[1, 2, 0, 2, 2, 2]]
    assert grouping.kinds == (Kind(2), Kind(0), Kind()) and grouping.hosts == ()


def test_hosts_and_pairs_can_have_a_series_each() -> None:
    keys = np.array([0, 0, 1, -1, 0, 1, 1, 1, 2], dtype=np.int32)
    hosts = Hosts(np.array([1, 1, 1, 1, 2, 2, 0, 0, 3], dtype=np.int32), ("", "web1", "db1", "mail"))
    events = EventStream(keys, np.zeros(9, np.uint64), np.zeros(9, np.int64))
    by_host = group(keys, 3, 3, "host", hosts)
    assert by_host.kinds == (Kind(host="web1"), Kind(host="db1"), Kind())
    assert by_host.of.tolist() == [[2] * 4, [0] * 4, [1] * 4]
    assert series_of(events, by_host, hosts).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    by_both = group(keys, 3, 4, "host_key", hosts)
    assert by_both.kinds == (Kind(0, "web1"), Kind(1, "web1"), Kind(0, "db1"), Kind())
    assert series_of(events, by_both, hosts).tolist() == [0, 0, 1, 3, 2, 3, 3, 3, 3]
    nameless = Hosts(np.zeros(9, np.int32), ("",))
    with pytest.raises(TrainError, match=r"mscred\.by: host needs lines that name their host"):
        group(keys, 3, 3, "host", nameless)


def test_hosts_are_those_of_the_events(tmp_path: Path) -> None:
    """Of each event, not each line: some have two sessions, and so two events, and some have none."""
    begin = "2026-03-01T00:00:00Z "
    lines = (
        f"{begin}a app[1]: moved blk_1 to blk_2",
        "",
        f"{begin}b app[1]: took blk_3",
        "no header",
        f"{begin}a app[1]: took blk_1",
        f"{begin}{'h' * 256} app[1]: took blk_4",
    )
    path = tmp_path / "app.log"
    rest = begin.encode() + b"\xff\xfe app[1]: took blk_9\n" + begin.encode() + b"c app[2]: took blk_5"
    path.write_bytes("\n".join(lines).encode() + b"\n" + rest)
    matcher = _core.Matcher(mine([path], "iso", 100, 64))
    rule = SessionRule("value", prefix="blk_")
    events = read([path], "iso", matcher, rule).stream
    hosts = hosts_of([path], "iso", matcher, rule)
    assert [hosts.names[of] for of in hosts.of] == ["a", "a", "b", "a", "", "", "c"]
    assert len(events.key) == len(hosts.of)


def test_counts_by_interval() -> None:
    events = stream(520)
    grouping = group(events.key, 5, 4)
    values, first = count_events(events, grouping, 1_000_000)
    assert values.shape == (4, 518) and first == 1
    inside = (events.time_us // 1_000_000 == 17) & (events.key == 0)
    assert values[0, 16] == pytest.approx(2 * np.sqrt(inside.sum() + 0.375))
    untimed = EventStream(events.key, events.session, np.full(len(events.key), NO_TIME))
    with pytest.raises(TrainError, match=r"hold 0 whole intervals of 1 s; at least 500 are needed"):
        count_events(untimed, grouping, 1_000_000)
    with pytest.raises(TrainError, match=r"more than 500000: set a larger mscred.interval_s"):
        count_events(events, grouping, 500)


def test_logs_to_a_section_and_a_model() -> None:
    events = stream(900)
    entry = learn(events, 6, MscredConfig(series=4, epochs=1, max_steps=2, batch=8), 1)
    section = entry.section
    assert [series["keys"] for series in section["series"]] == [[0], [1], [2], []]
    assert section["validation"]["export_difference"] < 1e-4
    assert section["interval_us"] == 1_000_000
    assert (section["by"], section["values"], section["finds"]) == ("key", "root", "any")
    left = residuals(Reconstructor(entry.files[MODEL_FILE]), signatures(np.zeros((4, 100))))
    assert left.shape == (1, 3, 4, 4)


def login_log(folder: Path) -> Path:
    """Logins over half an hour, and the weather now and then."""
    draw = np.random.default_rng(4)
    rows = [
        (second, f"sshd[{second}]: {text}")
        for second in range(1800)
        for text in ("opened", "accepted", "closed")
    ]
    rows += [(int(second), "weather[1]: rain is coming") for second in draw.integers(0, 1800, 90)]
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    path = folder / "login.log"
    path.write_text(
        "".join(f"{(begin + timedelta(seconds=s)).isoformat()} gate {text}\n" for s, text in sorted(rows))
    )
    return path


def section_of(bundle: Bundle) -> dict[str, Any]:
    return next(d.model_dump() for d in bundle.manifest.detectors if d.name == "mscred")


def test_training_puts_it_into_the_bundle_where_asked(tmp_path: Path) -> None:
    quick = {
        "model": {"embedding": 4, "hidden": 8},
        "fit": {"min_steps": 5, "max_steps": 5},
        "threshold": {"folds": 2},
        "mscred": {"enabled": True, "series": 4, "epochs": 1, "max_steps": 2, "batch": 8},
    }
    log = login_log(tmp_path)
    result = run([log], tmp_path / "with", TrainingConfig.model_validate(quick))
    bundle = read_bundle(result.bundle)
    section = section_of(bundle)
    assert section["by"] == "key" and MODEL_FILE in bundle.manifest.files
    assert len(section["series"]) == 4 and len(section["limit"][0]) == 16
    assert bundle.file(MODEL_FILE)
    by_host = quick | {"mscred": {**quick["mscred"], "by": "host_key"}}
    hosted = read_bundle(run([log], tmp_path / "hosts", TrainingConfig.model_validate(by_host)).bundle)
    of_hosts = section_of(hosted)
    assert of_hosts["by"] == "host_key"
    assert [series.get("host") for series in of_hosts["series"]] == ["gate"] * 3 + [None]
    assert [len(series["keys"]) for series in of_hosts["series"]] == [1, 1, 1, 0]
    plain = run([log], tmp_path / "without", TrainingConfig.model_validate(quick | {"mscred": {}}))
    without = read_bundle(plain.bundle).manifest
    assert MODEL_FILE not in without.files
    assert without.deeplog == bundle.manifest.deeplog  # which is as it was
    short = tmp_path / "short.log"
    short.write_text("".join(log.read_text().splitlines(keepends=True)[:900]))
    with pytest.raises(TrainError, match=r"mscred: the logs hold \d+ whole intervals of 1 s; at least 500"):
        run([short], tmp_path / "short", TrainingConfig.model_validate(quick))

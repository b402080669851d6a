"""`haechi bench hdfs`: DeepLog on HDFS_1 block sessions, the split every DeepLog paper uses.

Training sees train.tsv only. Every threshold comes from it; labels are looked at to count, never to choose.
Sessions are judged whole, the short ones too, left-padded with begin: none is flagged for its length.
"""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from haechi.bench.parity import engine_verdicts
from haechi.bundle.manifest import Corpus
from haechi.bundle.manifest import SessionRule as ManifestSession
from haechi.bundle.store import Bundle, write
from haechi.config.training import TrainingConfig
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.corpus.windows import Windows, window
from haechi.native.tools import ToolError
from haechi.train.counts import count_vectors
from haechi.train.learn import Learned, learn
from haechi.train.progress import TerminalProgress
from haechi.train.run import Material, files_of, manifest_of
from haechi.train.score import Model, SessionScores, quantise, score_sessions, score_windows

LOG_KEYS = 28
TOP_K = 9
FIRST_SEED = 1


@dataclass(frozen=True)
class Confusion:
    """Sessions, repetitions included."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def precision(self) -> float:
        return self.true_positive / max(self.true_positive + self.false_positive, 1)

    @property
    def recall(self) -> float:
        return self.true_positive / max(self.true_positive + self.false_negative, 1)

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)

    @property
    def false_alarm_ratio(self) -> float:
        return self.false_positive / max(self.false_positive + self.true_negative, 1)


@dataclass(frozen=True)
class TestSet:
    """All distinct test sessions, which of them are anomalous, and their windows."""

    sessions: Sessions
    anomalous: npt.NDArray[np.bool_]

    def confusion(self, flagged: npt.NDArray[np.bool_]) -> Confusion:
        def total(chosen: npt.NDArray[np.bool_]) -> int:
            return int(self.sessions.count[chosen].sum())

        return Confusion(
            true_positive=total(self.anomalous & flagged),
            false_positive=total(~self.anomalous & flagged),
            false_negative=total(self.anomalous & ~flagged),
            true_negative=total(~self.anomalous & ~flagged),
        )


@dataclass(frozen=True)
class SeedResult:
    """What one training gave. agree is None where the engine is not built."""

    seed: int
    train_s: float
    likelihood: Confusion
    topk: Confusion
    ensemble: Confusion
    counts: Confusion
    agree: bool | None
    learned: Learned


class DataError(Exception):
    """The data is not there, or is not what it should be."""


def run(data: Path | None, as_json: bool, seeds: int = 3, config: TrainingConfig | None = None) -> int:
    """Trains once a seed and prints the figures; the last line is a JSON object with as_json. 0, or 1 with a
    sentence where the data is not there. config: the defaults where not given; its seed is replaced."""
    config = config or TrainingConfig()
    console = Console(stderr=as_json)
    try:
        folder = data_folder(data, "hdfs_sessions")
        training = read_sessions(folder / "train.tsv")
        test = read_test(folder)
    except DataError as error:
        Console(stderr=True).print(f"haechi bench hdfs: {error}", style="red")
        return 1
    results = []
    windows = None
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        result, windows = measure(training, test, seed_of(config, seed))
        results.append(result)
        console.print(_line(result))
    assert windows is not None
    figures = summary(results, test, windows, config) | trivial(training, test)
    console.print(_table(figures))
    if as_json:
        print(json.dumps(figures))
    return 0


def data_folder(data: Path | None, name: str) -> Path:
    """name within the folder given, or within $HAECHI_DATA; DataError where it is not."""
    root = data or (Path(os.environ["HAECHI_DATA"]) if "HAECHI_DATA" in os.environ else None)
    if root is None:
        raise DataError(f"set HAECHI_DATA to the folder that holds {name}, or pass --data")
    for folder in (root / name, root):
        if folder.is_dir() and (folder.name == name or folder != root):
            return folder
    raise DataError(f"{root} holds no folder {name}")


def read_sessions(path: Path) -> Sessions:
    """Lines `count<TAB>key key ...`, keys from 1; DataError naming the line that is something else."""
    sequences: list[list[int]] = []
    counts: list[int] = []
    try:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            count, _, keys = line.partition("\t")
            sequence = [int(key) - 1 for key in keys.split()]
            if not sequence or not all(0 <= key < LOG_KEYS for key in sequence):
                raise DataError(f"{path}:{number}: expected count<TAB>keys from 1, got {line[:60]!r}")
            sequences.append(sequence)
            counts.append(int(count))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    return Sessions.from_sequences(sequences, counts)


def read_test(folder: Path) -> TestSet:
    """test_normal.tsv and test_abnormal.tsv."""
    normal = read_sessions(folder / "test_normal.tsv")
    abnormal = read_sessions(folder / "test_abnormal.tsv")
    return TestSet(
        Sessions.concatenate((normal, abnormal)),
        np.arange(len(normal) + len(abnormal)) >= len(normal),
    )


def seed_of(config: TrainingConfig, seed: int) -> TrainingConfig:
    """The same configuration with this seed, and the paper's k."""
    return config.model_copy(
        update={
            "fit": config.fit.model_copy(update={"seed": seed}),
            "threshold": config.threshold.model_copy(update={"top_k": TOP_K}),
        }
    )


def measure(training: Sessions, test: TestSet, config: TrainingConfig) -> tuple[SeedResult, Windows]:
    """One training, judged by the reference scorer and, where it is built, by the engine, which does as the
    ensemble does."""
    began = time.perf_counter()
    with TerminalProgress() as progress:
        learned = learn(training, LOG_KEYS, config, progress)
    train_s = time.perf_counter() - began
    scores, windows = judge(learned, test.sessions, config)
    likelihood = learned.calibration.rule
    topk = replace(likelihood, rule="topk", top_k=TOP_K)
    ensemble = learned.ensemble
    assert ensemble is not None
    others = {name: fitted.score(test.sessions) for name, fitted in learned.fitted.items()}
    flagged = ensemble.anomalous(scores, others, test.sessions.closed)
    unseen = scores.event_surprise >= quantise(np.array([config.threshold.unseen_surprise]))[0]
    return (
        SeedResult(
            seed=config.fit.seed,
            train_s=train_s,
            likelihood=test.confusion(likelihood.anomalous(scores, test.sessions.closed)),
            topk=test.confusion(topk.anomalous(scores, test.sessions.closed)),
            ensemble=test.confusion(flagged),
            counts=test.confusion(unseen | (others["counts"] > ensemble.members["counts"].limit)),
            agree=agrees(learned, training, test.sessions, flagged, config),
            learned=learned,
        ),
        windows,
    )


def judge(learned: Learned, sessions: Sessions, config: TrainingConfig) -> tuple[SessionScores, Windows]:
    """The reference scores, and the windows they rest on."""
    windows = window(sessions, learned.vocabulary, config.window.size)
    surprise, rank = score_windows(
        Model(learned.onnx_file), windows, learned.vocabulary, config.threshold.unseen_surprise
    )
    return score_sessions(windows, surprise, rank, len(sessions)), windows


def agrees(
    learned: Learned,
    training: Sessions,
    sessions: Sessions,
    flagged: npt.NDArray[np.bool_],
    config: TrainingConfig,
) -> bool | None:
    """Whether the engine flags exactly these sessions; None where it is not built."""
    with tempfile.TemporaryDirectory(prefix="haechi-hdfs-") as folder:
        bundle = bundle_of(learned, training, config, Path(folder) / "bundles")
        try:
            verdicts = engine_verdicts(bundle.path, sessions, Path(folder))
        except ToolError:
            return None
    return bool((verdicts == flagged).all())


def bundle_of(learned: Learned, training: Sessions, config: TrainingConfig, folder: Path) -> Bundle:
    """A bundle for logs whose keys are known already: the templates' texts are the keys' names."""
    templates = key_templates([f"E{key + 1}" for key in range(LOG_KEYS)])
    material = Material(
        corpus=Corpus(
            sources=("train.tsv",),
            lines=training.events,
            malformed=0,
            sessions=training.total,
            time_from=None,
            time_to=None,
        ),
        format="keys",
        session=ManifestSession(by="all", idle_s=3600, max_open=config.session.max_open),
        templates=templates,
        log_keys=LOG_KEYS,
    )
    manifest = manifest_of(material, learned, config, None)
    return write(folder, manifest, files_of(material, learned))


def key_templates(names: Sequence[str]) -> bytes:
    """templates.json for log keys that come without messages: each has a word that no log holds."""
    templates = [{"text": name, "tokens": ["x" * (n + 1)], "count": 0} for n, name in enumerate(names)]
    return json.dumps({"format": 1, "max_tokens": 256, "templates": templates}).encode()


def summary(
    results: Sequence[SeedResult], test: TestSet, windows: Windows, config: TrainingConfig
) -> dict[str, Any]:
    """The figures under stable names. f1, precision, recall are those of the seed with the median F1."""
    by_f1 = sorted(results, key=lambda result: result.likelihood.f1)
    middle = by_f1[(len(by_f1) - 1) // 2].likelihood
    topk = [result.topk for result in results]
    parity = [result.agree for result in results]
    best = sorted(results, key=lambda result: result.ensemble.f1)[(len(results) - 1) // 2].ensemble
    total = test.sessions.events + test.sessions.total  # each session's end is judged, too
    figures: dict[str, Any] = {
        "ensemble_f1": median(result.ensemble.f1 for result in results),
        "ensemble_f1_seeds": [result.ensemble.f1 for result in results],
        "ensemble_precision": best.precision,
        "ensemble_recall": best.recall,
        "ensemble_budget": config.ensemble.budget,
        "counts_f1": median(result.counts.f1 for result in results),
        "counts_precision": median(result.counts.precision for result in results),
        "counts_recall": median(result.counts.recall for result in results),
        "f1": median(result.likelihood.f1 for result in results),
        "f1_seeds": [result.likelihood.f1 for result in results],
        "precision": middle.precision,
        "recall": middle.recall,
        "false_alarm_ratio": middle.false_alarm_ratio,
        "topk_f1": median(confusion.f1 for confusion in topk),
        "topk_f1_seeds": [confusion.f1 for confusion in topk],
        "topk_precision": median(confusion.precision for confusion in topk),
        "topk_recall": median(confusion.recall for confusion in topk),
        "top_k": TOP_K,
        "train_s": median(result.train_s for result in results),
        "train_s_max": max(result.train_s for result in results),
        "windows_total": total,
        "windows_distinct": len(windows.contexts),
        "distinct_ratio": len(windows.contexts) / total,
        "budget": config.threshold.budget,
        "confidence": config.threshold.confidence,
        "training_sessions": results[0].learned.calibration.sessions,
    }
    if all(agree is not None for agree in parity):
        figures["parity"] = int(all(parity))
    return figures


def trivial(training: Sessions, test: TestSet) -> dict[str, float]:
    """What needs no model: a new event, a length that did not occur, an event-count vector that did not."""
    vocabulary = Vocabulary.of_keys(LOG_KEYS, np.unique(training.keys))
    learned, _ = count_vectors(training, vocabulary)
    vectors, _ = count_vectors(test.sessions, vocabulary)
    known = {row.tobytes() for row in learned}
    flags = {
        "new_event": vectors[:, vocabulary.unseen] > 0,
        "new_length": ~np.isin(test.sessions.lengths, training.lengths),
        "new_counts": np.array([row.tobytes() not in known for row in vectors]),
    }
    return {f"{name}_f1": test.confusion(np.asarray(flag)).f1 for name, flag in flags.items()}


def _line(result: SeedResult) -> str:
    c, rule = result.likelihood, result.learned.calibration.rule
    parity = {None: "engine not built", True: "engine agrees", False: "ENGINE DISAGREES"}[result.agree]
    return (
        f"seed {result.seed}: F1 {c.f1:.4f} (P {c.precision:.4f}, R {c.recall:.4f}), thresholds "
        f"{rule.event_surprise:.3f} / {rule.session_surprise:.3f} nats, top-{TOP_K} F1 {result.topk.f1:.4f}, "
        f"counts F1 {result.counts.f1:.4f}, ensemble F1 {result.ensemble.f1:.4f}, "
        f"trained in {result.train_s:.1f} s, ONNX within {result.learned.export_difference:.1e}; {parity}"
    )


def _table(figures: dict[str, Any]) -> Table:
    table = Table("figure", "value", title="HDFS_1 sessions, thresholds from training sessions only")
    for name, value in figures.items():
        numbers = value if isinstance(value, list) else [value]
        table.add_row(name, ", ".join(f"{n:.4f}" if isinstance(n, float) else f"{n:,}" for n in numbers))
    return table

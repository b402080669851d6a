"""From sessions to a calibrated model: cross-fitted thresholds, then one model fitted on everything."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from haechi.config.training import EnsembleConfig, FitConfig, TrainingConfig
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.corpus.windows import Windows, window
from haechi.models.deeplog import DeepLog
from haechi.train import ensemble as ensembles
from haechi.train import folds
from haechi.train.counts import CountsDetector
from haechi.train.detector import Fitted, Scores, SessionDetector
from haechi.train.ensemble import Ensemble
from haechi.train.error import TrainError
from haechi.train.export import check_export, onnx_of
from haechi.train.fit import Examples, examples, fit, steps_of
from haechi.train.progress import TrainingProgress
from haechi.train.score import Model, SessionScores, score
from haechi.train.threshold import Calibration, calibrate

MIN_EVENTS = 100
CHECKED_WINDOWS = 4096


@dataclass(frozen=True)
class Learned:
    """A model ready for a bundle, and what is known about it."""

    onnx_file: bytes
    vocabulary: Vocabulary
    calibration: Calibration
    ensemble: Ensemble | None
    fitted: Mapping[str, Fitted]
    export_difference: float
    windows_distinct: int
    cut_into_pieces: bool


@dataclass(frozen=True)
class _Lesson:
    """What one model learns from. A key that its sessions lack is unseen to it, as it would be in life."""

    vocabulary: Vocabulary
    windows: Windows
    data: Examples


def learn(sessions: Sessions, log_keys: int, config: TrainingConfig, progress: TrainingProgress) -> Learned:
    """Fits one model a fold and one on everything, side by side, and sets the thresholds.

    Deterministic for the arguments, whatever fit.threads is. TrainError where there is too little to learn
    from.
    """
    if sessions.events < MIN_EVENTS:
        raise TrainError(
            f"the logs hold {sessions.events} events in {sessions.total} sessions; "
            f"at least {MIN_EVENTS} events are needed to learn what normal is"
        )
    too_few = sessions.total < folds.FEW_SESSIONS
    parts = folds.pieces(sessions) if too_few else sessions
    count = folds.split(parts, config.threshold.folds, config.fit.seed)
    parts, merged_into = parts.distinct()
    merged = np.zeros((len(count), len(parts)), dtype=np.int64)
    np.add.at(merged.T, merged_into, count.T)

    lessons = [_lesson(parts, log_keys, config)]
    lessons += [_lesson(parts.with_count(parts.count - part), log_keys, config) for part in merged]
    models = _fit_all(lessons, config, progress)

    progress.stage("thresholds")
    files = [onnx_of(model, config.window.size) for model in models]
    checked = lessons[0].windows.contexts[:CHECKED_WINDOWS]
    difference = check_export(models[0], Model(files[0]).log_probability(checked), checked)
    surprise = _surprise(parts, merged, lessons, files, config)
    count, closed = _held_out(parts, merged)
    ensemble, fitted = None, dict[str, Fitted]()
    if config.ensemble.enabled and config.threshold.rule == "likelihood":
        detectors = detectors_of(config.ensemble)
        fitted = {d.name: d.fit(parts, lessons[0].vocabulary) for d in detectors}
        others = {d.name: _cross_fitted(d, parts, merged, lessons) for d in detectors}
        ensemble = ensembles.calibrate(surprise, others, count, closed, config.threshold, config.ensemble)
    return Learned(
        onnx_file=files[0],
        vocabulary=lessons[0].vocabulary,
        calibration=calibrate(surprise, count, closed, config.threshold),
        ensemble=ensemble,
        fitted=fitted,
        export_difference=difference,
        windows_distinct=len(lessons[0].windows.contexts),
        cut_into_pieces=too_few,
    )


def detectors_of(config: EnsembleConfig) -> list[SessionDetector]:
    """Those that are asked for, in this order."""
    known: dict[str, SessionDetector] = {"counts": CountsDetector(config.max_vectors)}
    return [known[name] for name in config.detectors]


def _held_out(
    parts: Sessions, held: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """How often each score counts, and whether its session ended, in the order of _surprise and
    _cross_fitted: fold by fold, the sessions that are held out of it."""
    return held[held > 0], np.concatenate([parts.closed[np.flatnonzero(count)] for count in held])


def _cross_fitted(
    detector: SessionDetector, parts: Sessions, held: npt.NDArray[np.int64], lessons: Sequence[_Lesson]
) -> Scores:
    """Each session's score by what has not learned from it."""
    found = []
    for lesson, count in zip(lessons[1:], held, strict=True):
        fitted = detector.fit(parts.with_count(parts.count - count), lesson.vocabulary)
        found.append(fitted.score(parts.with_count(count)))
    return np.concatenate(found)


def _surprise(
    parts: Sessions,
    held: npt.NDArray[np.int64],
    lessons: Sequence[_Lesson],
    files: Sequence[bytes],
    config: TrainingConfig,
) -> SessionScores:
    """Each session's worse score: by the model that has not seen it, and by the one deployed.

    The first says how surprising such a session is when it is new. The second keeps the thresholds true for
    the model that will use them: where most sessions are alike, fold models and the deployed one differ by
    a hair, and a threshold that runs between those hairs would flag everything.

    held: how often each session is held out of each fold, int64 [folds, sessions].
    """

    def scores_by(model: int, sessions: Sessions) -> SessionScores:
        words = lessons[model].vocabulary
        return score(
            Model(files[model]), sessions, words, config.window.size, config.threshold.unseen_surprise
        )

    deployed = scores_by(0, parts)
    worse = [
        scores_by(fold + 1, parts.with_count(count)).worse_of(deployed.select(np.flatnonzero(count)))
        for fold, count in enumerate(held)
    ]
    return SessionScores.concatenate(worse)


def usual_keys(sessions: Sessions, least: int) -> npt.NDArray[np.int32]:
    """The log keys that occurred at least so often. What was seen once in all of training may as well have
    been what went wrong there."""
    keys, of = np.unique(sessions.keys, return_inverse=True)
    times = np.bincount(of.ravel(), weights=np.repeat(sessions.count, sessions.lengths), minlength=len(keys))
    return np.asarray(keys[times >= least])


def _lesson(sessions: Sessions, log_keys: int, config: TrainingConfig) -> _Lesson:
    vocabulary = Vocabulary.of_keys(log_keys, usual_keys(sessions, config.new_event.least))
    windows = window(sessions, vocabulary, config.window.size)
    data = examples(windows, windows.counts(sessions.count), vocabulary, config.fit.weight_power)
    return _Lesson(vocabulary, windows, data)


def _fit_all(lessons: Sequence[_Lesson], config: TrainingConfig, progress: TrainingProgress) -> list[DeepLog]:
    """A model for each lesson. Each is fitted by one thread, because layers this small do not get faster
    with two; fit.threads of them run side by side."""
    device = device_of(config.fit)
    workers = 1 if device.type == "cuda" else config.fit.threads
    progress.stage(f"learning ({device.type})")
    report = _together([steps_of(len(lesson.data), config.fit) for lesson in lessons], progress)

    def job(index: int) -> DeepLog:
        lesson = lessons[index]
        seed = config.fit.seed * 1000 + index
        return fit(lesson.data, lesson.vocabulary, config.model, config.fit, seed, device, report(index))

    with (
        deterministic(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        return list(pool.map(job, range(len(lessons))))


def device_of(config: FitConfig) -> torch.device:
    """TrainError where cuda is asked for and there is none."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainError("device: cuda was asked for, but PyTorch finds none; use cpu or auto")
    use_cuda = config.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


@contextmanager
def deterministic() -> Iterator[None]:
    """Only operations that give the same result every time, one thread each; as before afterwards."""
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses determinism without it
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads)


def _together(
    expected: Sequence[int], progress: TrainingProgress
) -> Callable[[int], Callable[[int, int, float], None]]:
    """One progress out of several that run at once. A fit that needs another cycle makes the whole longer."""
    done, totals = [0] * len(expected), list(expected)
    lock = threading.Lock()

    def of(index: int) -> Callable[[int, int, float], None]:
        def on_step(step: int, total: int, loss: float) -> None:
            with lock:
                done[index], totals[index] = step, total
                progress.steps(sum(done), sum(totals), loss)

        return on_step

    return of

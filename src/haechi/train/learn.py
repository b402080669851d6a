"""From sessions to a calibrated model: cross-fitted thresholds, then one model fitted on everything."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from haechi.config.training import FitConfig, TrainingConfig
from haechi.corpus.sessions import Sessions
from haechi.corpus.vocabulary import Vocabulary
from haechi.corpus.windows import Windows, window
from haechi.models.deeplog import DeepLog
from haechi.train import folds
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

    held = [parts.with_count(part) for part in merged]
    lessons = [_lesson(parts, log_keys, config)]
    lessons += [_lesson(parts.with_count(parts.count - part), log_keys, config) for part in merged]
    models = _fit_all(lessons, config, progress)

    progress.stage("thresholds")
    scores = [
        score(
            Model(onnx_of(model, config.window.size)),
            sessions_of_fold,
            lesson.vocabulary,
            config.window.size,
            config.threshold.unseen_nll,
        )
        for model, lesson, sessions_of_fold in zip(models[1:], lessons[1:], held, strict=True)
    ]
    calibration = calibrate(
        SessionScores.concatenate(scores),
        np.concatenate([sessions_of_fold.count for sessions_of_fold in held]),
        np.concatenate([sessions_of_fold.closed for sessions_of_fold in held]),
        config.threshold,
    )
    onnx_file = onnx_of(models[0], config.window.size)
    checked = lessons[0].windows.contexts[:CHECKED_WINDOWS]
    return Learned(
        onnx_file=onnx_file,
        vocabulary=lessons[0].vocabulary,
        calibration=calibration,
        export_difference=check_export(models[0], Model(onnx_file).log_probability(checked), checked),
        windows_distinct=len(lessons[0].windows.contexts),
        cut_into_pieces=too_few,
    )


def _lesson(sessions: Sessions, log_keys: int, config: TrainingConfig) -> _Lesson:
    vocabulary = Vocabulary.of_keys(log_keys, np.unique(sessions.keys))
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
    totals: Sequence[int], progress: TrainingProgress
) -> Callable[[int], Callable[[int, int, float], None]]:
    """One progress out of several that run at once."""
    done = [0] * len(totals)
    lock = threading.Lock()

    def of(index: int) -> Callable[[int, int, float], None]:
        def on_step(step: int, _total: int, loss: float) -> None:
            with lock:
                done[index] = step
                progress.steps(sum(done), sum(totals), loss)

        return on_step

    return of

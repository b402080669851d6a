"""MSCRED for logs: from a stream of events to a section of the manifest and mscred.onnx."""

from typing import Any

import numpy as np

from haechi.config.training import MscredConfig, SeriesBy
from haechi.corpus.sessions import EventStream
from haechi.mscred.counts import LEAST_MATRICES, Grouping, Kind, count_events, group
from haechi.mscred.export import Reconstructor, check_export, onnx_of
from haechi.mscred.hosts import Hosts
from haechi.mscred.score import residuals, runs
from haechi.mscred.signature import HISTORY, STEP, WINDOWS, Scaling, signatures
from haechi.mscred.threshold import choose, crossed, residuals_between, tau_of
from haechi.mscred.train import Fitted, fit
from haechi.train.detector import Entry
from haechi.train.learn import deterministic
from haechi.train.progress import SilentProgress, TrainingProgress

MODEL_FILE = "mscred.onnx"
CHECKED_RUNS = 64


def learn(
    stream: EventStream,
    log_keys: int,
    config: MscredConfig,
    seed: int,
    progress: TrainingProgress | None = None,
    hosts: Hosts | None = None,
) -> Entry:
    """The detector for a bundle, a function of the arguments. hosts: of the events, where config.by wants
    them. TrainError where the events' times do not suffice, or no event has a host."""
    progress = progress or SilentProgress()
    progress.stage("learning counts")
    grouping = group(stream.key, log_keys, config.series, config.by, hosts)
    interval_us = round(config.interval_s * 1e6)
    values, _ = count_events(stream, grouping, interval_us, hosts)
    held = max(int(values.shape[1] * config.validation), max(WINDOWS) + STEP * (HISTORY + LEAST_MATRICES))
    training, validation = values[:, :-held], values[:, -held:]
    scaling = Scaling.of(training)
    with deterministic():
        fitted = fit(scaling.apply(training), scaling.apply(validation), config, seed, progress.steps)
        return _entry(fitted, scaling, scaling.apply(validation), grouping, config.by, interval_us)


def _entry(
    fitted: Fitted,
    scaling: Scaling,
    validation: np.ndarray[Any, Any],
    grouping: Grouping,
    by: SeriesBy,
    interval_us: int,
) -> Entry:
    onnx_file = onnx_of(fitted.model)
    exported = Reconstructor(onnx_file)
    matrices = signatures(validation)
    difference = check_export(
        fitted.model, exported, np.ascontiguousarray(runs(matrices[: CHECKED_RUNS + HISTORY - 1]))
    )
    left = residuals_between(validation, lambda of: residuals(exported, of))
    thresholds = choose(left)
    of = crossed(left)
    return Entry(
        {
            "name": "mscred",
            "file": MODEL_FILE,
            "by": by,
            "values": "root",
            "finds": "any",
            "interval_us": interval_us,
            "windows": list(WINDOWS),
            "step": STEP,
            "history": HISTORY,
            "series": [
                _named(kind)
                | {
                    "low": float(scaling.low[series]),
                    "high": float(scaling.high[series]),
                }
                for series, kind in enumerate(grouping.kinds)
            ],
            "limit": [[float(f"{v:.6g}") for v in window.ravel()] for window in thresholds.limit],
            "threshold": [float(v) for v in thresholds.score],
            "validation": {
                "intervals": validation.shape[1],
                "moments": len(of),
                "largest": [int(v) for v in of.max(axis=0)],
                "beta": [float(v) for v in tau_of(of) / np.maximum(of.max(axis=0), 1)],
                "residual": fitted.validation,
                "steps": fitted.steps,
                "export_difference": difference,
            },
        },
        {MODEL_FILE: onnx_file},
    )


def _named(kind: Kind) -> dict[str, Any]:
    keys = [] if kind.key is None else [kind.key]
    return {"keys": keys} if kind.host is None else {"host": kind.host, "keys": keys}

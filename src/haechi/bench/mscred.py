"""`haechi bench mscred`: MSCRED on the paper's synthetic data, made by its formula; one data set a seed.

Steps 0 to 8,000 are learned from, 8,000 to 10,000 give every threshold, the rest is searched. As in the
paper, an anomaly is one thing, however long: precision is the share of findings that are about an anomaly,
recall the share of anomalies that were found. A finding is about an anomaly when any step that the network
saw for it lies in the anomaly.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from statistics import mean, median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from haechi.config.training import MscredConfig
from haechi.mscred.data import DURATIONS, ROOT_CAUSES, Shape, Synthetic, Wave, make
from haechi.mscred.export import Reconstructor, check_export, onnx_of
from haechi.mscred.rootcause import SEEN, SEVERITIES, Finding, find
from haechi.mscred.score import runs, scores
from haechi.mscred.signature import HISTORY, Scaling, ends, signatures
from haechi.mscred.threshold import choose, residuals_between
from haechi.mscred.train import fit, residuals

SEEDS = 5
FIRST_SEED = 1
CHECKED_RUNS = 64


@dataclass(frozen=True)
class Counted:
    """Of one data set; the rest is derived."""

    findings: int
    right_findings: int
    anomalies: int
    found: int
    root_causes_found: int  # among the first ROOT_CAUSES series named, over all anomalies
    severities_right: int

    @property
    def precision(self) -> float:
        return self.right_findings / max(self.findings, 1)

    @property
    def recall(self) -> float:
        return self.found / max(self.anomalies, 1)

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)

    @property
    def root_cause_recall(self) -> float:
        return self.root_causes_found / max(ROOT_CAUSES * self.anomalies, 1)

    @property
    def severity_accuracy(self) -> float:
        return self.severities_right / max(self.anomalies, 1)


@dataclass(frozen=True)
class SeedResult:
    """One data set: what was found, and what its training took."""

    seed: int
    counted: Counted
    parity_max_abs: float
    train_s: float
    steps: int


def run(
    as_json: bool, seeds: int = SEEDS, jobs: int | None = None, config: MscredConfig | None = None
) -> int:
    """Trains once a seed, jobs of them at once (a core each), and prints the figures; the last line is a JSON
    object with as_json."""
    config = config or MscredConfig()
    console = Console(stderr=as_json)
    results = measure_all(range(FIRST_SEED, FIRST_SEED + seeds), jobs or os.cpu_count() or 1, config, console)
    figures = summary(results)
    console.print(_table(results))
    if as_json:
        print(json.dumps(figures))
    return 0


def measure_all(
    seeds: Sequence[int], jobs: int, config: MscredConfig, console: Console, shape: Shape | None = None
) -> list[SeedResult]:
    """In the order of the seeds. One thread a seed: two threads on one network wait for each other."""
    results = []
    with ProcessPoolExecutor(
        min(jobs, len(seeds)),
        multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as pool:
        for result in pool.map(measure, seeds, [config] * len(seeds), [shape] * len(seeds)):
            results.append(result)
            of = result.counted
            console.print(
                f"seed {result.seed}: P {of.precision:.2f} R {of.recall:.2f} F1 {of.f1:.2f}, "
                f"root causes {of.root_cause_recall:.2f}, severity {of.severity_accuracy:.2f}, "
                f"trained in {result.train_s:.0f} s"
            )
    return results


def measure(seed: int, config: MscredConfig, shape: Shape | None = None) -> SeedResult:
    """One data set: trained, searched, counted."""
    data = make(seed, shape)
    first, second = data.shape.train_end, data.shape.validation_end
    scaled = Scaling.of(data.values[:, :first]).apply(data.values)
    began = time.monotonic()
    fitted = fit(scaled[:, :first], scaled[:, first:second], config, seed)
    train_s = time.monotonic() - began
    test = signatures(scaled[:, second:])
    checked = np.ascontiguousarray(runs(test[: CHECKED_RUNS + HISTORY - 1]))
    parity = check_export(fitted.model, Reconstructor(onnx_of(fitted.model)), checked)
    model = fitted.model
    thresholds = choose(residuals_between(scaled[:, first:second], lambda of: residuals(model, of)))
    left = residuals(fitted.model, test)
    found = find(left, scores(left, thresholds.limit), thresholds)
    moments = second + ends(data.shape.steps - second)[HISTORY - 1 :]
    return SeedResult(seed, count(data, found, moments.tolist()), parity, train_s, fitted.steps)


def count(data: Synthetic, found: Sequence[Finding], moments: Sequence[int]) -> Counted:
    """What was found of the waves. moments: the step each moment ends before. Of several findings about one
    anomaly the longest says cause and severity."""
    about = [[f for f in found if is_about(f, wave, moments)] for wave in data.waves]
    right = {id(f) for some in about for f in some}
    best = [max(some, key=lambda f: f.last - f.first, default=None) for some in about]
    causes = severities = 0
    for wave, finding in zip(data.waves, best, strict=True):
        if finding is not None:
            causes += len(set(finding.series[:ROOT_CAUSES]) & set(wave.series))
            severities += finding.severity == SEVERITIES[DURATIONS.index(wave.duration)]
    return Counted(len(found), len(right), len(data.waves), sum(map(bool, about)), causes, severities)


def is_about(finding: Finding, wave: Wave, moments: Sequence[int]) -> bool:
    """Whether what was seen for the finding, up to its last moment, overlaps the wave."""
    return moments[finding.first] - SEEN < wave.end and wave.start < moments[finding.last]


def summary(results: Sequence[SeedResult]) -> dict[str, float | int]:
    """The figures under their stable names: medians over the seeds; causes, severities over all anomalies."""
    counted = [result.counted for result in results]
    f1 = [of.f1 for of in counted]
    return {
        "f1": median(f1),
        "f1_mean": mean(f1),
        "f1_min": min(f1),
        "f1_max": max(f1),
        "precision": median(of.precision for of in counted),
        "recall": median(of.recall for of in counted),
        "root_cause_recall": mean(of.root_cause_recall for of in counted),
        "severity_accuracy": mean(of.severity_accuracy for of in counted),
        "parity_max_abs": max(result.parity_max_abs for result in results),
        "train_s": median(result.train_s for result in results),
        "seeds": len(results),
        "anomalies": sum(of.anomalies for of in counted),
        "findings": sum(of.findings for of in counted),
        "false_findings": sum(of.findings - of.right_findings for of in counted),
    }


def _table(results: Sequence[SeedResult]) -> Table:
    table = Table(title="MSCRED on the paper's synthetic data")
    for name in ("seed", "precision", "recall", "F1", "root causes", "severity", "steps", "train s"):
        table.add_column(name, justify="right")
    for r in results:
        of = r.counted
        figures = (of.precision, of.recall, of.f1, of.root_cause_recall, of.severity_accuracy)
        table.add_row(str(r.seed), *(f"{value:.2f}" for value in figures), str(r.steps), f"{r.train_s:.0f}")
    return table

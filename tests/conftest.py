"""What tests share: a small made log, a bundle learned in seconds, the command line in this process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from haechi.cli.main import main
from haechi.config.training import FitConfig, ModelConfig, ThresholdConfig, TrainingConfig

# Enough for the engine to have something to judge with; not enough to judge well.
QUICK = TrainingConfig(
    model=ModelConfig(embedding=8, hidden=16, layers=1),
    fit=FitConfig(epochs=1, min_steps=40, max_steps=40, batch=128),
    threshold=ThresholdConfig(folds=2),
)


@dataclass(frozen=True)
class Made:
    """A made log with anomalies, its truth, a normal log, and a bundle that learned from the latter."""

    train_log: Path
    log: Path
    truth: Path
    bundles: Path

    @property
    def bundle(self) -> Path:
        return (self.bundles / "latest").resolve()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Made once for all of pytest's worker processes."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "made"
    result = Made(folder / "train.log", folder / "app.log", folder / "truth.jsonl", folder / "bundles")
    with _lock(base / "made.lock"):
        if not (result.bundles / "latest").exists():
            folder.mkdir(exist_ok=True)
            _make(result)
    return result


def _make(made: Made) -> None:
    from haechi.storm.maker import make
    from haechi.train import run

    make(made.train_log, count=20_000, eps=100, seed=1, form="iso", profile="system")
    make(
        made.log,
        count=20_000,
        eps=100,
        seed=2,
        form="iso",
        profile="system",
        anomaly_rate=0.02,
        truth=made.truth,
        start="2025-08-31T00:00:00Z",
    )
    run([made.train_log], made.bundles, QUICK)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def haechi(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process; a traceback on standard error fails the test."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def haechi_data() -> Path:
    """The folder of real logs; a test that wants it is skipped where HAECHI_DATA does not name one."""
    folder = os.environ.get("HAECHI_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HAECHI_DATA names no folder of real logs")
    return Path(folder)

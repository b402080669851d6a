"""Training: the loop, thresholds from normal sessions, the export with its check, the bundle."""

from haechi.train.error import TrainError
from haechi.train.progress import SilentProgress, TerminalProgress, TrainingProgress
from haechi.train.run import TrainResult, run

__all__ = ["SilentProgress", "TerminalProgress", "TrainError", "TrainResult", "TrainingProgress", "run"]

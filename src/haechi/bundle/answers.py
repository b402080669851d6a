"""deeplog.onnx asked: its answers in numpy over ONNX Runtime, and what is made of them (docs/bundle.md,
"Scores"). Without PyTorch, so that an alert is explained in a moment.
"""

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

UNITS = 1024  # a surprise is a whole number of 1/1024 nats
BATCH = 256


class Model:
    """deeplog.onnx in ONNX Runtime, one thread, as the engine runs it."""

    def __init__(self, onnx_file: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])

    def log_probability(self, windows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """int64 [n, window] -> float32 [n, tokens]."""
        (result,) = self._session.run(["log_probability"], {"window": windows})
        return np.asarray(result, dtype=np.float32)


def quantise(nats: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Nats -> whole units of 1/1024 nat, halves up."""
    return np.floor(nats.astype(np.float64) * UNITS + 0.5).astype(np.int64)


def entropy(log_probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """float32 [n, tokens] log-probabilities -> float64 [n] nats: the NLL that the model expects."""
    log = log_probability.astype(np.float64)
    return np.asarray(-(np.exp(log) * log).sum(axis=1))

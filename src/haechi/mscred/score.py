"""The score of a moment: how many cells of its residual matrices are over a limit, window by window."""

import numpy as np
import numpy.typing as npt

from haechi.mscred.export import Reconstructor
from haechi.mscred.signature import HISTORY, WINDOWS, Signatures

Residuals = npt.NDArray[np.float32]
"""[moments, 3, n, n], signature less reconstruction."""

Scores = npt.NDArray[np.int64]
"""[moments, 3], broken cells of each window's matrix; all n * n count, as in the paper."""

BATCH = 8


def broken(residuals: Residuals, limit: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which cells are over their limit [3, n, n]; the same shape."""
    return np.abs(residuals) > limit


def scores(residuals: Residuals, limit: npt.NDArray[np.float32]) -> Scores:
    """Broken cells counted."""
    return np.asarray(broken(residuals, limit).sum(axis=(2, 3)), dtype=np.int64)


def runs(signatures: Signatures) -> npt.NDArray[np.float32]:
    """[matrices, 3, n, n] -> [matrices - HISTORY + 1, HISTORY, 3, n, n], oldest first; a view."""
    view = np.lib.stride_tricks.sliding_window_view(signatures, HISTORY, axis=0)
    return np.moveaxis(view, -1, 1)


def residuals(model: Reconstructor, signatures: Signatures) -> Residuals:
    """By ONNX Runtime, as the engine computes them: [matrices - HISTORY + 1, 3, n, n]."""
    examples = runs(signatures)
    out = np.empty((len(examples), len(WINDOWS), *signatures.shape[2:]), dtype=np.float32)
    for start in range(0, len(examples), BATCH):
        part = np.ascontiguousarray(examples[start : start + BATCH])
        out[start : start + BATCH] = part[:, -1] - model(part)
    return out

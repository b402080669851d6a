"""Fitting the network: the last signature matrix of five is to be reconstructed from all five.

Matrices are read in runs of neighbours, so that what the network reads of one is shared by the five examples
it is part of: the loss is the same as with each example by itself, at little more than half of the cost. Runs
begin at any step, not only where detection's matrices end.

In half of the runs some series are disturbed for a while, and what is to be reconstructed is the matrix as it
would have been: the network learns to restore what does not fit instead of copying it (a denoising
autoencoder; Vincent et al., ICML 2008). The paper has no such thing, but on its data the network as it is
copies an anomaly nearly as well as anything else. A disturbance is a stretch of the same series from another
time: it knows nothing of what anomalies look like, and every value of it is normal by itself.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from haechi.config.training import MscredConfig
from haechi.models.mscred import Mscred
from haechi.mscred.signature import HISTORY, STEP, WINDOWS, Series, Signatures, signatures

OnStep = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the mean squared residual of a cell."""

RUN = 8  # examples of neighbouring matrices
CLIP = 1.0
DISTURBED = 0.5
DISTURBED_SERIES = 6  # at most, and never more than a fifth of all
DISTURBED_STEPS = (10, 100)
CHECK_STEPS = 50  # at most between two looks at the validation part
CHECKED = 400  # its matrices that are looked at


@dataclass(frozen=True)
class Fitted:
    """The network as it was when it was best on the validation part, and that mean squared residual."""

    model: Mscred
    validation: float
    steps: int


def fit(
    training: Series,
    validation: Series,
    config: MscredConfig,
    seed: int,
    on_step: OnStep | None = None,
) -> Fitted:
    """training, validation: scaled values [series, steps], each a stretch without gaps that holds at least
    HISTORY matrices.

    One cycle of the learning rate (Smith & Topin, 2019); ended early when the validation part has not become
    better in config.patience looks. A function of its arguments: all randomness comes from the seed.
    """
    draw = np.random.default_rng(seed)
    held = torch.from_numpy(signatures(validation)[:CHECKED])
    model = Mscred(len(training), HISTORY, seed)
    runs = max(config.batch // RUN, 1)
    per_epoch = max(_matrices(training) // (runs * RUN), 1)
    total = min(config.epochs * per_epoch, config.max_steps)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=max(total, 2), pct_start=0.2
    )
    best, best_state, worse = float("inf"), model.state_dict(), 0
    for step in range(1, total + 1):
        loss = _step(model.train(), *_batch(training, runs, draw), optimiser)
        if step < total:
            schedule.step()
        if on_step:
            on_step(step, total, loss)
        if step % min(per_epoch, CHECK_STEPS) and step < total:
            continue
        error = float((reconstruct(model, held) - held[HISTORY - 1 :]).square().mean())
        worse = 0 if error < best else worse + 1
        if error < best:
            best, best_state = error, copy.deepcopy(model.state_dict())
        if worse >= config.patience:
            break
    model.load_state_dict(best_state)
    return Fitted(model.eval(), best, step)


def _matrices(values: Series) -> int:
    return (int(values.shape[1]) - max(WINDOWS)) // STEP + 1


def _step(model: Mscred, runs: Tensor, wanted: Tensor, optimiser: torch.optim.Optimizer) -> float:
    loss = (model(runs) - wanted).square().mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
    optimiser.step()
    return float(loss.item())


def _batch(values: Series, runs: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """[runs, length, 3, n, n] as they are seen, and [runs * (length - HISTORY + 1), 3, n, n] as they should
    be reconstructed."""
    length = min(RUN + HISTORY - 1, _matrices(values))
    steps = max(WINDOWS) + STEP * (length - 1)
    seen, wanted = [], []
    for _ in range(runs):
        start = draw.integers(0, values.shape[1] - steps + 1)
        part = values[:, start : start + steps]
        clean = signatures(part)
        wanted.append(clean[HISTORY - 1 :])
        seen.append(signatures(disturb(part, values, draw)) if draw.random() < DISTURBED else clean)
    return torch.from_numpy(np.stack(seen)), torch.from_numpy(np.concatenate(wanted))


def disturb(part: Series, values: Series, draw: np.random.Generator) -> Series:
    """A copy of part [series, steps] in which a few series hold, for a while, what they held at another time
    of values [series, more steps]."""
    part = part.copy()
    n, steps = part.shape
    most = max(min(DISTURBED_SERIES, n // 5), 1)
    for series in draw.choice(n, draw.integers(1, most + 1), replace=False):
        length = min(int(draw.integers(DISTURBED_STEPS[0], DISTURBED_STEPS[1] + 1)), values.shape[1])
        start = int(draw.integers(0, steps - STEP))
        end = min(start + length, steps)
        source = int(draw.integers(0, values.shape[1] - length + 1))
        part[series, start:end] = values[series, source : source + end - start]
    return part


def reconstruct(model: Mscred, matrices: Tensor, at_once: int = 32) -> Tensor:
    """float32 [matrices, 3, n, n] -> [matrices - HISTORY + 1, 3, n, n]: what each but the first few should
    look like."""
    model.eval()
    starts = range(0, len(matrices) - HISTORY + 1, at_once)
    with torch.no_grad():
        return torch.cat([model(matrices[a : a + at_once + HISTORY - 1][None]) for a in starts])


def residuals(model: Mscred, of: Signatures) -> npt.NDArray[np.float32]:
    """signature less reconstruction by PyTorch, [matrices - HISTORY + 1, 3, n, n]."""
    matrices = torch.from_numpy(of)
    return np.asarray((matrices[HISTORY - 1 :] - reconstruct(model, matrices)).numpy(), dtype=np.float32)

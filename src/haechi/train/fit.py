"""Fitting a next-log-key model to distinct, weighted windows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from haechi.config.training import FitConfig, ModelConfig
from haechi.corpus.vocabulary import Vocabulary
from haechi.corpus.windows import Windows
from haechi.models.deeplog import DeepLog

OnStep = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the running loss in nats."""


@dataclass(frozen=True)
class Examples:
    """Distinct windows, and for each one the tokens that came next with their weights.

    window  int64 [windows, size]
    first   int64 [windows + 1]: window i was followed by token[first[i]:first[i + 1]]
    token   int64 [pairs]
    weight  float32 [pairs], mean 1 over the pairs

    A window is read once for all that followed it; the loss is the same as if each pair were an example.
    """

    window: torch.Tensor
    first: torch.Tensor
    token: torch.Tensor
    weight: torch.Tensor

    def __len__(self) -> int:
        return len(self.window)

    def pairs(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For these windows: each pair's row in the batch, and its place in token and weight."""
        number = self.first[chosen + 1] - self.first[chosen]
        row = torch.repeat_interleave(torch.arange(len(chosen)), number)
        within = torch.arange(len(row)) - torch.repeat_interleave(torch.cumsum(number, 0) - number, number)
        return row, self.first[chosen][row] + within


def examples(
    windows: Windows, count: npt.NDArray[np.int64], vocabulary: Vocabulary, power: float
) -> Examples:
    """What to learn from: the pairs that occur, each weighted by count to this power.

    A pair whose token is unseen is left out: nothing is to be learned about when the unknown comes.
    """
    kept = np.flatnonzero((count > 0) & (windows.token_of != vocabulary.unseen))
    context, first = np.unique(windows.context_of[kept], return_index=True)
    weight = count[kept].astype(np.float64) ** power
    return Examples(
        window=torch.from_numpy(windows.contexts[context]),
        first=torch.from_numpy(np.append(first, len(kept)).astype(np.int64)),
        token=torch.from_numpy(windows.token_of[kept].astype(np.int64)),
        weight=torch.from_numpy((weight / weight.mean()).astype(np.float32)),
    )


def steps_of(count: int, config: FitConfig) -> int:
    """Optimiser steps of the first cycle for this many examples."""
    per_epoch = -(-count // config.batch)
    return min(max(config.epochs * per_epoch, config.min_steps), config.max_steps)


def fit(
    data: Examples,
    vocabulary: Vocabulary,
    shape: ModelConfig,
    config: FitConfig,
    seed: int,
    device: torch.device,
    on_step: OnStep | None = None,
) -> DeepLog:
    """A fitted model on the CPU, in evaluation mode.

    Cycles of the learning rate (Smith & Topin, 2019), each twice as long as the one before, until the model
    is within config.excess of the best that any model could do on this data, or max_steps are used up: how
    many steps that takes depends on how many log keys there are, not only on how many windows.

    All randomness comes from generators seeded here, and the arithmetic of one fit does not depend on
    others that run at the same time, so the result is a function of the arguments.
    """
    draw = torch.Generator().manual_seed(seed)
    model = DeepLog(vocabulary.size, shape, draw)
    if device.type != "cpu":
        model.dropout.generator = torch.Generator(device).manual_seed(seed)
    model.to(device).train()
    batches = _Batches(data, config.batch, draw)
    done, steps = 0, steps_of(len(data), config)
    while True:
        _cycle(model, data, batches, vocabulary, config, range(done, done + steps), draw, on_step)
        done, steps = done + steps, min(2 * steps, config.max_steps - done - steps)
        if steps < config.min_steps or excess(model, data) <= config.excess:
            return model.to("cpu").eval()


def excess(model: DeepLog, data: Examples) -> float:
    """Nats by which the model's weighted loss is above the entropy of the data itself: its Kullback-Leibler
    divergence from what followed each window."""
    device = next(model.parameters()).device
    lost, total = 0.0, float(data.weight.sum())
    model.eval()
    with torch.no_grad():
        for chosen in torch.split(torch.arange(len(data)), 4096):
            row, pair = data.pairs(chosen)
            weight = data.weight[pair].double()
            of_window = torch.zeros(len(chosen), dtype=torch.float64).index_add(0, row, weight)
            log_probability = model(data.window[chosen].to(device)).to("cpu")[row, data.token[pair]]
            lost += float((weight * (torch.log(weight / of_window[row]) - log_probability.double())).sum())
    model.train()
    return lost / total


def _cycle(
    model: DeepLog,
    data: Examples,
    batches: "_Batches",
    vocabulary: Vocabulary,
    config: FitConfig,
    steps: range,
    draw: torch.Generator,
    on_step: OnStep | None,
) -> None:
    """One rise and fall of the learning rate. steps: the numbers of its steps, the first of all being 0."""
    device = next(model.parameters()).device
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=max(len(steps), 2)
    )
    pairs_per_window = len(data.token) / len(data)
    running = 0.0
    for step in steps:
        chosen = batches.next()
        window = _hide(data.window[chosen], config.unseen_ratio, vocabulary, draw).to(device)
        row, pair = data.pairs(chosen)
        token, weight = data.token[pair].to(device), data.weight[pair].to(device)
        nll = -model(window)[row.to(device), token]
        loss = (nll * weight).sum() / (len(chosen) * pairs_per_window)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if on_step and ((step + 1) % 20 == 0 or step + 1 == steps.stop):
            running = loss.item() if running == 0 else 0.8 * running + 0.2 * loss.item()
            on_step(step + 1, steps.stop, running)


class _Batches:
    """Indices of one batch after the other: every example once, then all again in a new order."""

    def __init__(self, data: Examples, batch: int, draw: torch.Generator) -> None:
        self._n, self._batch, self._draw = len(data), min(batch, len(data)), draw
        self._order = torch.empty(0, dtype=torch.int64)

    def next(self) -> torch.Tensor:
        if len(self._order) == 0:
            self._order = torch.randperm(self._n, generator=self._draw)
        chosen, self._order = self._order[: self._batch], self._order[self._batch :]
        return chosen


def _hide(window: torch.Tensor, ratio: float, vocabulary: Vocabulary, draw: torch.Generator) -> torch.Tensor:
    """Some input keys replaced by unseen: else its embedding would stay the random one it began with."""
    hidden = (torch.rand(window.shape, generator=draw) < ratio) & (window != vocabulary.begin)
    return window.masked_fill(hidden, vocabulary.unseen)

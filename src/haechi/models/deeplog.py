"""DeepLog (Du et al., CCS 2017): an LSTM that predicts the next log key of a session from the last few."""

import torch
from torch import Tensor, nn

from haechi.config.training import ModelConfig


class SeededDropout(nn.Module):
    """Dropout with a generator of its own: models fitted side by side share no random stream."""

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share = share
        self.generator = generator

    def forward(self, states: Tensor) -> Tensor:
        """Any shape -> the same shape; the identity outside training."""
        if not self.training or self.share == 0:
            return states
        kept = torch.rand(states.shape, generator=self.generator, device=states.device) >= self.share
        return states * kept / (1 - self.share)


class DeepLog(nn.Module):
    """Window of tokens in, log-probabilities of the next token out.

    The paper feeds one-hot log keys; an embedding is the same first layer without the multiplication by
    zeros.
    """

    def __init__(self, tokens: int, shape: ModelConfig, generator: torch.Generator) -> None:
        """tokens: size of the vocabulary, marks included. The generator initialises and drives dropout."""
        super().__init__()
        sizes = [shape.embedding] + [shape.hidden] * (shape.layers - 1)
        self.embedding = nn.Embedding(tokens, shape.embedding)
        self.layers = nn.ModuleList(nn.LSTM(size, shape.hidden, batch_first=True) for size in sizes)
        self.dropout = SeededDropout(shape.dropout, generator)
        self.output = nn.Linear(shape.hidden, tokens)
        self._initialise(generator)

    def _initialise(self, generator: torch.Generator) -> None:
        """PyTorch's own distributions, but drawn from the generator instead of the global stream."""
        nn.init.normal_(self.embedding.weight, generator=generator)
        for part in (*self.layers, self.output):
            fan = self.output.in_features
            for parameter in part.parameters():
                nn.init.uniform_(parameter, -(fan**-0.5), fan**-0.5, generator=generator)

    def forward(self, window: Tensor) -> Tensor:
        """int64 [batch, window], oldest first -> float32 [batch, tokens], natural logarithms."""
        states = self.embedding(window)
        for depth, layer in enumerate(self.layers):
            states, _ = layer(states if depth == 0 else self.dropout(states))
        return torch.log_softmax(self.output(self.dropout(states[:, -1])), dim=-1)

"""MSCRED (Zhang et al., AAAI 2019): signature matrices in, the last of them reconstructed out.

Four convolutions, each followed by a ConvLSTM over 5 steps whose states are weighed by how much they are like
the last one; then the way back, each level joined by what the ConvLSTM there found. The ConvLSTM's kernel and
the attention are those of the authors' program; the cell's peepholes are the paper's.
"""

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

SCALES = 3
CHANNELS = (32, 64, 128, 256)
KERNELS = (3, 3, 2, 2)
STRIDES = (1, 2, 2, 2)
CELL_KERNEL = 2
TEMPERATURE = 5.0  # the paper's chi


def level_sizes(series: int) -> tuple[int, ...]:
    """Side of the square that each level works on: 30 -> 30, 15, 8, 4."""
    sizes = [series]
    for stride in STRIDES[1:]:
        sizes.append(-(-sizes[-1] // stride))
    return tuple(sizes)


class AttentionConvLSTM(nn.Module):
    """A ConvLSTM with peepholes (Shi et al., 2015); its states of all steps, weighed by attention.

    What it reads of a matrix does not depend on the matrices before it, so the convolution of the input is
    done once for every matrix of a run, however many examples the matrix is part of.
    """

    def __init__(self, channels: int, size: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.of_input = nn.Conv2d(channels, 4 * channels, CELL_KERNEL)
        self.of_state = nn.Conv2d(channels, 4 * channels, CELL_KERNEL, bias=False)
        self.peephole = nn.Parameter(torch.zeros(3, channels, size, size))  # input, forget, output

    def forward(self, maps: Tensor, runs: int) -> Tensor:
        """[runs * length, c, h, w] -> [runs * (length - steps + 1), c, h, w]: a run's matrices one after the
        other, an example for each that has enough before it."""
        gates = self.of_input(F.pad(maps, (0, 1, 0, 1)))
        length = len(maps) // runs
        count = length - self.steps + 1
        gates = gates.view(runs, length, *gates.shape[1:])
        states: list[Tensor] = []
        cell = state = None
        for step in range(self.steps):
            own = gates[:, step : step + count].flatten(0, 1)
            if state is not None:
                own = own + self.of_state(F.pad(state, (0, 1, 0, 1)))
            cell, state = self._step(own, cell)
            states.append(state)
        return attend(states)

    def _step(self, gates: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates.chunk(4, dim=1)
        if cell is None:
            cell = torch.sigmoid(i) * torch.tanh(g)
        else:
            kept = torch.sigmoid(torch.addcmul(f, self.peephole[1], cell)) * cell
            cell = torch.addcmul(kept, torch.sigmoid(torch.addcmul(i, self.peephole[0], cell)), torch.tanh(g))
        return cell, torch.sigmoid(torch.addcmul(o, self.peephole[2], cell)) * torch.tanh(cell)


def attend(states: list[Tensor]) -> Tensor:
    """The sum of the states, each weighed by the softmax of its inner product with the last one."""
    alike = torch.stack([(state * states[-1]).flatten(1).sum(1) for state in states], dim=1)
    weight = torch.softmax(alike / TEMPERATURE, dim=1)
    result = states[0] * weight[:, 0, None, None, None]
    for step, state in enumerate(states[1:], start=1):
        result = torch.addcmul(result, state, weight[:, step, None, None, None])
    return result


class Mscred(nn.Module):
    """The network for one number of series."""

    def __init__(self, series: int, steps: int = 5, seed: int = 1) -> None:
        """All initial weights come from the seed alone."""
        super().__init__()
        self.series, self.steps = series, steps
        self.sizes = level_sizes(series)
        before = (SCALES, *CHANNELS[:-1])
        self.encoder = nn.ModuleList(
            nn.Conv2d(a, b, k, s, padding=k // 2 if k == 3 else 0)
            for a, b, k, s in zip(before, CHANNELS, KERNELS, STRIDES, strict=True)
        )
        self.memory = nn.ModuleList(
            AttentionConvLSTM(c, size, steps) for c, size in zip(CHANNELS, self.sizes, strict=True)
        )
        self.decoder = nn.ModuleList(self._backwards(level) for level in range(len(CHANNELS)))
        self._initialise(torch.Generator().manual_seed(seed))

    def _backwards(self, level: int) -> nn.ConvTranspose2d:
        """The way back over a level; above it are its own channels and, but for the last, as many again that
        came from below."""
        joined = 1 if level == len(CHANNELS) - 1 else 2
        out = SCALES if level == 0 else CHANNELS[level - 1]
        kernel, stride = KERNELS[level], STRIDES[level]
        # A stride halves rounding up: which of two sizes it came from is known from the level above.
        rest = (self.sizes[level - 1] + 1) % 2 if kernel == 3 and stride == 2 else 0
        return nn.ConvTranspose2d(
            joined * CHANNELS[level], out, kernel, stride, kernel // 2 if kernel == 3 else 0, rest
        )

    def _initialise(self, draw: torch.Generator) -> None:
        """LeCun's normal for SELU; forget gates begin open."""
        for part in (*self.encoder, *self.decoder):
            assert isinstance(part, nn.Conv2d | nn.ConvTranspose2d)
            _normal(part.weight, part.in_channels * part.kernel_size[0] ** 2 / part.stride[0] ** 2, draw)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
        for part in self.memory:
            assert isinstance(part, AttentionConvLSTM) and part.of_input.bias is not None
            channels = part.of_input.in_channels
            _normal(part.of_input.weight, channels * CELL_KERNEL**2, draw)
            _normal(part.of_state.weight, channels * CELL_KERNEL**2, draw)
            nn.init.zeros_(part.of_input.bias)
            with torch.no_grad():
                part.of_input.bias[channels : 2 * channels] = 1.0

    def forward(self, runs: Tensor) -> Tensor:
        """float32 [runs, length, 3, n, n], oldest first -> [runs * (length - steps + 1), 3, n, n]: for each
        matrix that has steps - 1 others before it in its run, what it should look like."""
        count = len(runs)
        maps = runs.flatten(0, 1)
        found = []
        for level, (convolve, remember) in enumerate(zip(self.encoder, self.memory, strict=True)):
            if KERNELS[level] == 2 and maps.shape[-1] % 2:
                maps = F.pad(maps, (0, 1, 0, 1))
            maps = F.selu(convolve(maps))
            found.append(remember(maps, count))
        made = found[-1]
        for level in reversed(range(len(CHANNELS))):
            if level < len(CHANNELS) - 1:
                made = torch.cat([made, found[level]], dim=1)
            size = self.sizes[max(level - 1, 0)]
            made = F.selu(self.decoder[level](made))[..., :size, :size]
        return cast(Tensor, made)


def _normal(weight: Tensor, fan_in: float, draw: torch.Generator) -> None:
    nn.init.normal_(weight, std=fan_in**-0.5, generator=draw)

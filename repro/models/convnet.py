"""A small residual convolutional net for small pictures, built for accuracy per second on a processor.

A 4x4 convolution of stride 2 begins, so that nothing runs at full resolution; then for each width a residual block of
two 3x3 convolutions (He et al. 2016, batch norm after each), with a strided 3x3 convolution between widths. Few and
well-filled matrix products: on AVX2 a step reaches the processor's float32 peak where deeper, narrower nets stay far
below it. The net is in three parts, ``trunk``, ``top`` (the last residual block, then the mean over positions) and
``head`` (one linear layer), for those that keep one part and train another.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from repro.training.keys import generator_seed


class Residual(nn.Module):
    """x + two convolutions of it; the identity at first, since the last batch norm's gain begins at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class ConvNet(nn.Module):
    """Inputs (batch, channels, height, width), logits (batch, classes)."""

    def __init__(self, channels: int, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(channels, widths[0], kernel=4, stride=2)]
        for width, wider in pairwise(widths):
            layers += [Residual(width), convolution(width, wider, stride=2)]
        self.trunk = nn.Sequential(*layers)
        self.top = top(widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.top(self.trunk(x)))
        return logits


def convnet(channels: int, widths: Sequence[int], classes: int, *, seed: int) -> ConvNet:
    """A net whose weights are keyed by ``seed`` alone; the caller's random state is neither read nor moved.

    Convolutions begin as PyTorch's do. Channels lie last in memory, which is what the processor's kernels want.

    Raises:
        ValueError: no width, or a size below one.
    """
    if not widths or min(channels, classes, *widths) < 1:
        raise ValueError(f"channels {channels}, widths {tuple(widths)}, classes {classes}: all must be 1 or more")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_seed(seed, "weights"))
        net = ConvNet(channels, widths, classes)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def convolution(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; padded by one pixel."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def top(width: int) -> nn.Sequential:
    """The last residual block and the mean over positions: maps (batch, width, h, w) to features (batch, width)."""
    return nn.Sequential(Residual(width), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class NormsKept(nn.Sequential):
    """Layers in turn; batch norm uses the statistics it came with, in training too.

    For fine-tuning on cases of other frequencies than those the net will meet.
    """

    def train(self, mode: bool = True) -> "NormsKept":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

"""AlexNet (Krizhevsky, Sutskever, Hinton 2012), the yardstick of Table 8, in the two groups of the original.

The leading underscore says that it is no experiment.
"""

import torch
from torch import nn

from repro.training.keys import generator_seed

# inputs, outputs, kernel, stride, padding, groups, pooled after
CONVOLUTIONS = (
    (3, 96, 11, 4, 2, 1, True),
    (96, 256, 5, 1, 2, 2, True),
    (256, 384, 3, 1, 1, 1, False),
    (384, 384, 3, 1, 1, 2, False),
    (384, 256, 3, 1, 1, 2, True),
)
HIDDEN = 4096
CLEAR = 6  # pixels on a side after the last pooling; other sizes are averaged to it


def alexnet(classes: int, *, seed: int) -> nn.Sequential:
    """Images (batch, 3, height, width) to logits (batch, classes); no local response normalisation, no dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator_seed(seed, "weights"))
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, stride, padding, groups, pooled in CONVOLUTIONS:
            layers += [nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(3, 2)] if pooled else []
        layers += [nn.AdaptiveAvgPool2d(CLEAR), nn.Flatten()]
        layers += [nn.Linear(CONVOLUTIONS[-1][1] * CLEAR**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(HIDDEN, classes))


def alexnet_multiply_adds(size: int, classes: int) -> int:
    """Multiply-adds on one image of ``size`` x ``size`` pixels."""
    total, side = 0, size
    for inputs, outputs, kernel, stride, padding, groups, pooled in CONVOLUTIONS:
        side = (side + 2 * padding - kernel) // stride + 1
        total += inputs * outputs * kernel**2 // groups * side**2
        side = (side - 3) // 2 + 1 if pooled else side
    return total + CONVOLUTIONS[-1][1] * CLEAR**2 * HIDDEN + HIDDEN * HIDDEN + HIDDEN * classes

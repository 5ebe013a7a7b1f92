"""Nets on analogue hardware: every piece computes a little differently, for ever, and nobody knows how.

Hinton 2022 (The Forward-Forward Algorithm, section 9) and his talks of 2023 call such computation mortal: what has been
learned fits the piece it was learned on and dies with it. Here a piece of hardware fixes, for every layer,

- its wiring: which connections exist (a share ``density`` of all);
- the gain of each connection, log-normal with a mean square of 1;
- the response of each unit: its slope, its threshold and a mixture of a rectifier and a saturating tanh.

``variability`` says how much of this is the piece's own. At 0 all pieces are one and the same: a digital machine, on
which a copied weight means what it meant before. At 1 the wiring is independent of any other piece's. Weights and
biases alone are learned. Gradients through the piece are exact: learning by a procedure that needs no model of the
hardware is another matter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.training.keys import generator_seed

GAIN_SD = 0.7  # of the logarithm of a connection's gain, at variability 1
SLOPE_SD = 0.5  # of the logarithm of a unit's slope
THRESHOLD_SD = 0.5


@dataclass(frozen=True)
class Hardware:
    """One piece: ``seed`` tells it from others, ``variability`` in [0, 1] how far it is from the common design."""

    seed: int
    variability: float
    density: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.variability <= 1:
            raise ValueError(f"variability is a share from 0 to 1, not {self.variability}")
        if not 0 < self.density <= 1:
            raise ValueError(f"density is a share above 0 and up to 1, not {self.density}")


class AnalogueLinear(nn.Module):
    """x -> (conductance * weight) x + bias, the conductance (outputs, inputs) fixed by the hardware."""

    conductance: Tensor

    def __init__(self, fan_in: int, fan_out: int, hardware: Hardware, layer: int, weights: torch.Generator) -> None:
        super().__init__()
        shape = (fan_out, fan_in)
        design = _generator("design", layer)
        own = _generator("piece", hardware.seed, layer)
        common = torch.rand(shape, generator=design) < hardware.density
        rewired = torch.rand(shape, generator=own) < hardware.variability
        wiring = torch.where(rewired, torch.rand(shape, generator=own) < hardware.density, common)
        gain_sd = hardware.variability * GAIN_SD
        gain = torch.exp(gain_sd * torch.randn(shape, generator=own) - gain_sd**2)
        self.register_buffer("conductance", wiring * gain)
        bound = 1 / math.sqrt(fan_in * hardware.density)
        self.weight = nn.Parameter(bound * (2 * torch.rand(shape, generator=weights) - 1))
        self.bias = nn.Parameter(bound * (2 * torch.rand(fan_out, generator=weights) - 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.conductance * self.weight, self.bias)


class AnalogueUnits(nn.Module):
    """The units' responses (1 - m) relu(u) + m tanh(u) with u = slope * a - threshold, each unit its own."""

    slope: Tensor
    threshold: Tensor
    mixture: Tensor

    def __init__(self, units: int, hardware: Hardware, layer: int) -> None:
        super().__init__()
        own, v = _generator("units", hardware.seed, layer), hardware.variability
        self.register_buffer("slope", torch.exp(v * SLOPE_SD * torch.randn(units, generator=own)))
        self.register_buffer("threshold", v * THRESHOLD_SD * torch.randn(units, generator=own))
        self.register_buffer("mixture", v * torch.rand(units, generator=own))

    def forward(self, a: Tensor) -> Tensor:
        u = torch.addcmul(-self.threshold, a, self.slope)
        return torch.lerp(torch.relu(u), torch.tanh(u), self.mixture)


def analogue_net(layer_sizes: Sequence[int], hardware: Hardware, *, seed: int) -> nn.Sequential:
    """A feed-forward net on one piece of hardware, its initial weights keyed by ``seed`` alone.

    It takes inputs (batch, layer_sizes[0]) and returns logits (batch, layer_sizes[-1]). ``copy_weights`` moves what one
    net has learned to another piece.

    Raises:
        ValueError: fewer than two sizes or a size below one.
    """
    if len(layer_sizes) < 2 or min(layer_sizes) < 1:
        raise ValueError(f"layer sizes must be at least two positive widths, not {tuple(layer_sizes)}")
    weights = _generator("weights", seed)
    layers: list[nn.Module] = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(layer_sizes)):
        layers.append(AnalogueLinear(fan_in, fan_out, hardware, layer, weights))
        if layer < len(layer_sizes) - 2:
            layers.append(AnalogueUnits(fan_out, hardware, layer))
    return nn.Sequential(*layers)


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Give ``target`` the parameters of ``source``; its hardware stays its own.

    Raises:
        ValueError: nets of different shapes.
    """
    ours, theirs = list(target.parameters()), list(source.parameters())
    if [p.shape for p in ours] != [p.shape for p in theirs]:
        raise ValueError("weights can only be copied between nets of the same layers")
    for mine, other in zip(ours, theirs, strict=True):
        mine.copy_(other)


def _generator(*key: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(generator_seed("analogue", *key))

"""Random directions: noise on the units or on the weights of a net, drawn from a counter whenever it is needed."""

import itertools
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.perturb.nets import Layer, Net, Parameters
from repro.perturb.noise import DRAWS, Counter
from repro.perturb.ops import LINEAR

Kind = Literal["gaussian", "signs", "rank_one_signs"]

# Streams of noise: four a layer, in this order; the final head counts as a layer.
_WEIGHT, _COLUMN, _BIAS, _UNIT = range(4)


@dataclass(frozen=True)
class UnitNoise:
    """Noise on the units of the layers ``numbers``: (directions, batch or 1, tokens, channels)."""

    net: Net
    counter: Counter
    kind: Kind
    directions: int
    batch: int
    shared: bool
    numbers: tuple[int, ...]
    like: Tensor
    _kept: dict[int, Tensor] = field(init=False, default_factory=dict)

    def weights(self, number: int, x: Tensor) -> Tensor | None:
        """None: weights stay as they are."""
        return None

    def units(self, number: int) -> Tensor | None:
        """The same at every call."""
        if number not in self.numbers:
            return None
        return self._draw(number, (self.net.tokens, self.net.channels_after(number)))

    def head(self, x: Tensor) -> Tensor | None:
        """Of the outputs, (directions, batch or 1, classes)."""
        number = len(self.net.layers)
        return self._draw(number, (self.net.classes,)) if number in self.numbers else None

    def _draw(self, number: int, shape: tuple[int, ...]) -> Tensor:
        if number not in self._kept:  # as large as the activations, which are kept as well
            shape = (self.directions, 1 if self.shared else self.batch, *shape)
            self._kept[number] = DRAWS[self.kind](self.counter, 4 * number + _UNIT, 0, shape).to(self.like)
        return self._kept[number]


@dataclass(frozen=True)
class WeightNoise:
    """Noise on the weights and biases of all layers, and of the final head if ``with_head``."""

    net: Net
    counter: Counter
    kind: Kind
    directions: int
    batch: int
    shared: bool
    with_head: bool
    like: Tensor
    _head: Layer = field(init=False)
    _kept: dict[int, Tensor] = field(init=False, default_factory=dict)  # a single direction, which becomes the gradient

    def __post_init__(self) -> None:
        object.__setattr__(self, "_head", Layer("head", "channels", self.net.channels, self.net.classes))

    def weights(self, number: int, x: Tensor) -> Tensor | None:
        """V x + v of layer ``number``: (directions, batch, tokens, units); x may have an axis of directions."""
        layer = self._layer(number)
        bias = self._draw(number, _BIAS, (layer.units,))
        bias = bias.unsqueeze(-1) if layer.mix == "tokens" else bias.unsqueeze(-2)
        if self.kind == "rank_one_signs":
            rows, columns = self._factors(number, layer)
            return RANK_ONE[layer.mix](layer, rows, columns, x, bias)
        x = x if x.dim() == 4 else x.expand(self.directions, *x.shape)
        moved = [self._map(number, layer, direction, x[direction]) for direction in range(self.directions)]
        return _stack(moved).add_(bias)

    def units(self, number: int) -> Tensor | None:
        """None: units get no noise of their own."""
        return None

    def head(self, x: Tensor) -> Tensor | None:
        """The head's part, (directions, batch, classes)."""
        if not self.with_head:
            return None
        moved = self.weights(len(self.net.layers), x.unsqueeze(-2))
        assert moved is not None
        return moved.squeeze(-2)

    def gather(self, number: int, slope: Tensor) -> Parameters:
        """The sum over directions and cases of derivatives times noise, for a layer's weight and bias.

        ``slope`` is (directions, batch, tokens or 1, channels or 1), one number for each row of the weight.
        """
        layer = self._layer(number)
        kept = slope.sum(3) if layer.mix == "tokens" else slope.sum(2)  # (directions, batch, rows or 1)
        kept = kept.sum(1, keepdim=True) if self.shared else kept
        bias = (kept * self._draw(number, _BIAS, (layer.units,))).sum((0, 1))
        if self.kind == "rank_one_signs":
            rows, columns = self._factors(number, layer)
            left = (kept * rows).flatten(0, 1).unflatten(-1, (layer.groups, -1))
            right = columns.expand(*kept.shape[:2], -1).flatten(0, 1).unflatten(-1, (layer.groups, -1))
            weight = left.permute(1, 2, 0) @ right.transpose(0, 1) if layer.groups > 1 else left[:, 0].T @ right[:, 0]
            return {f"{layer.name}.weight": weight, f"{layer.name}.bias": bias}
        total: Tensor | None = None
        for direction, case in itertools.product(range(self.directions), range(self._cases())):
            factor = kept[direction, case]
            if len(factor) > 1:
                factor = factor.view(*layer.shape[:-1], 1)
            part = self._matrix(number, layer, direction, case).mul_(factor)
            total = part if total is None else total.add_(part)
        assert total is not None
        return {f"{layer.name}.weight": total, f"{layer.name}.bias": bias}

    def _layer(self, number: int) -> Layer:
        return self._head if number == len(self.net.layers) else self.net.layers[number]

    def _cases(self) -> int:
        return 1 if self.shared else self.batch

    def _draw(self, number: int, use: int, shape: tuple[int, ...]) -> Tensor:
        shape = (self.directions, self._cases(), *shape)
        return DRAWS[self.kind](self.counter, 4 * number + use, 0, shape).to(self.like)

    def _factors(self, number: int, layer: Layer) -> tuple[Tensor, Tensor]:
        """u (directions, cases or 1, units) and v (directions, cases or 1, inputs)."""
        return self._draw(number, _WEIGHT, (layer.units,)), self._draw(number, _COLUMN, (layer.inputs,))

    def _matrix(self, number: int, layer: Layer, direction: int, case: int) -> Tensor:
        """The weight's noise for one direction and, unless it is shared, one case: the only one held at a time.

        Where there is but one it is drawn for the tangent, kept, and turned into the gradient in place.
        """
        if number in self._kept:
            return self._kept[number]
        which = direction * self._cases() + case
        noise = DRAWS[self.kind](self.counter, 4 * number + _WEIGHT, which, layer.shape).to(self.like)
        if self.shared and self.directions == 1:
            self._kept[number] = noise
        return noise

    def _map(self, number: int, layer: Layer, direction: int, x: Tensor) -> Tensor:
        if self.shared:
            return LINEAR[layer.mix](x, self._matrix(number, layer, direction, 0))
        cases = range(self.batch)
        return torch.cat([LINEAR[layer.mix](x[n : n + 1], self._matrix(number, layer, direction, n)) for n in cases])


def _rank_one_channels(layer: Layer, rows: Tensor, columns: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    if layer.groups == 1 and x.dim() == 3 and columns.shape[1] == 1:
        along = F.linear(x, columns[:, 0]).movedim(-1, 0).contiguous().unsqueeze(-1)  # one product for all directions
        return torch.addcmul(bias, along, rows.unsqueeze(-2))
    along = (x * columns.unsqueeze(-2)).unflatten(-1, (layer.groups, -1)).sum(-1, keepdim=True)
    moved: Tensor = (along * rows.unsqueeze(-2).unflatten(-1, (layer.groups, -1))).flatten(-2)
    return moved.add_(bias)


def _rank_one_tokens(layer: Layer, rows: Tensor, columns: Tensor, x: Tensor, bias: Tensor) -> Tensor:
    return torch.addcmul(bias, columns.unsqueeze(-2) @ x, rows.unsqueeze(-1))


RANK_ONE = {"channels": _rank_one_channels, "groups": _rank_one_channels, "tokens": _rank_one_tokens}


def _stack(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts) if len(parts) > 1 else parts[0].unsqueeze(0)

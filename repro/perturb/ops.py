"""The pieces of a layer with their derivatives: layer norm, and linear maps over channels, over tokens, in groups.

Activations are (..., batch, tokens, channels); a leading axis, where there is one, counts directions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5  # added to the variance of a layer norm

Mix = Literal["channels", "tokens", "groups"]


def _grouped(x: Tensor, groups: int) -> Tensor:
    grouped: Tensor = x.unflatten(-1, (groups, -1))
    return grouped


@dataclass(frozen=True)
class Normalised:
    """``value`` = (x - mean) / s.d. within each of ``groups`` groups of channels; ``inverse`` is 1 / s.d."""

    value: Tensor
    inverse: Tensor  # (..., groups, 1)
    groups: int

    def push(self, tangent: Tensor) -> Tensor:
        """How the value moves when x moves along ``tangent``. The derivative is symmetric: also its transpose."""
        d, y = _grouped(tangent, self.groups), _grouped(self.value, self.groups)
        moved = d - d.mean(-1, keepdim=True) - y * (d * y).mean(-1, keepdim=True)
        return (moved * self.inverse).flatten(-2)


def normalise(x: Tensor, groups: int) -> Normalised:
    """Layer norm over each group of channels, without gain or bias."""
    grouped = _grouped(x, groups)
    centred = grouped - grouped.mean(-1, keepdim=True)
    inverse = (centred.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
    return Normalised((centred * inverse).flatten(-2), inverse, groups)


# Linear maps. Weights: channels (out, in), tokens (out, in), groups (groups, out / groups, in / groups).
def _over_channels(x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight)


def _over_tokens(x: Tensor, weight: Tensor) -> Tensor:
    return weight @ x


def _in_groups(x: Tensor, weight: Tensor) -> Tensor:
    rows = _grouped(x, len(weight)).flatten(0, -3).transpose(0, 1)  # (groups, rows, in / groups)
    return (rows @ weight.mT).transpose(0, 1).reshape(*x.shape[:-1], -1)


LINEAR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "channels": _over_channels,
    "tokens": _over_tokens,
    "groups": _in_groups,
}


def _channel_products(delta: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
    return delta.flatten(0, -2).T @ x.flatten(0, -2)


def _token_products(delta: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
    return delta.movedim(-2, 0).flatten(1) @ x.movedim(-2, 0).flatten(1).T


def _group_products(delta: Tensor, x: Tensor, shape: torch.Size) -> Tensor:
    groups = shape[0]
    left = _grouped(delta, groups).flatten(0, -3).permute(1, 2, 0)
    return left @ _grouped(x, groups).flatten(0, -3).transpose(0, 1)


# The gradient in the weight: the sum over all rows of delta (at the map's output) times x (its input), where delta
# and x have the same leading axes; ``shape`` is the weight's.
OUTER: dict[str, Callable[[Tensor, Tensor, torch.Size], Tensor]] = {
    "channels": _channel_products,
    "tokens": _token_products,
    "groups": _group_products,
}

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
    """``value`` = (x - mean) / s.d. within each of ``groups`` groups of channels; ``inverse`` is 1 / s.d.

    By torch's fused kernels, which take each group as a row.
    """

    value: Tensor
    x: Tensor
    mean: Tensor  # (..., groups, 1)
    inverse: Tensor
    groups: int

    def push(self, tangent: Tensor) -> Tensor:
        """How the value moves when x moves along ``tangent``, which may have one more leading axis. The derivative is
        symmetric: also its transpose, which is why torch's backward kernel computes it."""
        if tangent.dim() > self.x.dim():
            parts = [self.push(part) for part in tangent]
            return torch.stack(parts) if len(parts) > 1 else parts[0].unsqueeze(0)
        rows, x = _grouped(tangent, self.groups).contiguous(), _grouped(self.x, self.groups)
        moved: Tensor = torch.ops.aten.native_layer_norm_backward(
            rows, x, x.shape[-1:], self.mean, self.inverse, None, None, [True, False, False]
        )[0]
        return moved.flatten(-2)


def normalise(x: Tensor, groups: int) -> Normalised:
    """Layer norm over each group of channels, without gain or bias."""
    grouped = _grouped(x.contiguous(), groups)
    value, mean, inverse = torch.native_layer_norm(grouped, grouped.shape[-1:], None, None, EPSILON)
    return Normalised(value.flatten(-2), x.contiguous(), mean, inverse, groups)


# Linear maps, with a bias (out,) where there is one, or added in place to ``into`` of the result's shape. Weights are
# (out, in) over channels and over tokens, (groups, out / groups, in / groups) in groups. Rows are flattened by hand:
# torch would turn some shapes into a product for every case.
def _over_channels(x: Tensor, weight: Tensor, bias: Tensor | None = None, into: Tensor | None = None) -> Tensor:
    rows = x.reshape(-1, x.shape[-1])
    if into is not None:
        into.view(-1, into.shape[-1]).addmm_(rows, weight.T)
        return into
    return F.linear(rows, weight, bias).view(*x.shape[:-1], -1)


def _over_tokens(x: Tensor, weight: Tensor, bias: Tensor | None = None, into: Tensor | None = None) -> Tensor:
    mixed = weight @ x
    mixed = mixed if bias is None else mixed.add_(bias.unsqueeze(-1))
    return mixed if into is None else into.add_(mixed)


def _in_groups(x: Tensor, weight: Tensor, bias: Tensor | None = None, into: Tensor | None = None) -> Tensor:
    rows = _grouped(x, len(weight)).flatten(0, -3).transpose(0, 1)  # (groups, rows, in / groups)
    mixed = (rows @ weight.mT).transpose(0, 1).reshape(*x.shape[:-1], -1)
    mixed = mixed if bias is None else mixed.add_(bias)
    return mixed if into is None else into.add_(mixed)


LINEAR: dict[str, Callable[..., Tensor]] = {
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

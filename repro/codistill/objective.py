"""What the others teach: psi(mean of the others' predictions, own logits), Anil et al. 2018, Algorithm 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.distill.objective import soft_cross_entropy


@dataclass(frozen=True)
class Psi:
    """A way of being taught.

    predictions(logits): what teachers hand on and what is averaged over them, of the logits' shape (..., classes).
    loss(logits, mean): scalar, mean over all but the last axis.
    """

    predictions: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor, Tensor], Tensor]


def _probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits, dim=-1)


def _logits(logits: Tensor) -> Tensor:
    return logits


def _cross_entropy(logits: Tensor, mean: Tensor) -> Tensor:
    return soft_cross_entropy(logits, mean, 1.0)


def _kl(logits: Tensor, mean: Tensor) -> Tensor:
    """KL(mean || own): cross-entropy minus the teachers' entropy, which has no gradient."""
    entropy: Tensor = -torch.special.xlogy(mean, mean).sum(-1).mean()
    return soft_cross_entropy(logits, mean, 1.0) - entropy


def _squared_logits(logits: Tensor, mean: Tensor) -> Tensor:
    """Mean over examples and classes of (z - v)^2."""
    return F.mse_loss(logits, mean)


PSI: dict[str, Psi] = {
    "cross_entropy": Psi(_probabilities, _cross_entropy),
    "kl": Psi(_probabilities, _kl),
    "squared_logits": Psi(_logits, _squared_logits),
}


def mean_prediction(predictions: Sequence[Tensor]) -> Tensor:
    """The mean over teachers, added in order of group: one order, so that a replay has the same bits."""
    total = predictions[0]
    for more in predictions[1:]:
        total = total + more
    return total / len(predictions)

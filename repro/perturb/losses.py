"""Losses of one case each, with their gradients in the output written out."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError

# (outputs (..., batch, n), targets) to values (..., batch) and gradients (..., batch, n) in the outputs.
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def cross_entropy(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits (..., batch, classes) and labels (batch,) int64."""
    log_probabilities = F.log_softmax(outputs, dim=-1)
    chosen = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
    gradient = log_probabilities.exp()
    gradient.scatter_add_(-1, chosen, torch.full_like(gradient[..., :1], -1.0))
    return -log_probabilities.gather(-1, chosen).squeeze(-1), gradient


def checked(loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and its gradient, if they are one finite number a case.

    Raises:
        UserError: another number of values than cases, or one that is not finite.
    """
    values, gradient = loss(outputs, targets)
    if values.shape != outputs.shape[:-1] or gradient.shape != outputs.shape:
        raise UserError(
            f"the loss has shape {tuple(values.shape)} for outputs {tuple(outputs.shape)}: "
            "it must be one number a case, with a gradient of the outputs' shape"
        )
    if not bool(torch.isfinite(values).all()):
        raise UserError("the loss is not finite on some case: lower the learning rate or the noise")
    return values, gradient

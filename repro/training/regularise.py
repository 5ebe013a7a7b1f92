"""Constraints on weights."""

import torch
from torch import nn


@torch.no_grad()
def limit_incoming_norms(model: nn.Module, max_norm_squared: float) -> None:
    """Rescale each hidden unit's incoming weights whose squared norm exceeds the bound (Hinton et al. 2012).

    Acts in place on every ``nn.Linear`` but the last, whose units are logits and are left free.
    """
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for linear in linears[:-1]:
        norms = torch.linalg.vector_norm(linear.weight, dim=1, keepdim=True)
        # Most units are inside the bound most of the time: a pass over the weights is spared.
        if bool((norms > max_norm_squared**0.5).any()):
            linear.weight.mul_((max_norm_squared**0.5 / norms).clamp_(max=1.0))

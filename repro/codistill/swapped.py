"""Predictions that groups swap, and the check that all made them of the same examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from repro.codistill.task import Batch
from repro.codistill.team import Team
from repro.errors import UserError


def swap_predictions(circle: Team, own: Tensor, examples: Batch, step: int) -> list[Tensor]:
    """What all groups predict of the same examples, each of ``own``'s shape, in order of groups.

    Raises:
        UserError: the others have other examples.
    """
    stamp = fingerprint(examples).view(torch.float32)
    payload = torch.cat([own.flatten(), stamp.to(own.device)])
    swapped = circle.swap(payload)
    for g, their in enumerate(swapped):
        if not torch.equal(their[-2:].clone().view(torch.int64), payload[-2:].clone().view(torch.int64)):
            raise UserError(
                f"predictions of step {step} were made on batches that differ between groups {circle.rank} and {g}: "
                "give all groups the same data, in the same order"
            )
    return [p[:-2].view_as(own) for p in swapped]


def fingerprint(batch: Batch) -> Tensor:
    """One int64 number (1,) that other examples, or the same in another order, would hardly give."""
    total = torch.zeros(1, dtype=torch.int64)
    for number, tensor in enumerate(tree_leaves(batch)):
        flat = tensor.detach().flatten(1) if tensor.dim() > 1 else tensor.detach()[:, None]
        bits = flat.contiguous().view(torch.int32 if flat.element_size() >= 4 else torch.uint8)
        each = bits.sum(1, dtype=torch.int64)
        places = torch.arange(1, len(each) + 1, device=each.device) * 2 + 2 * number + 1
        total += (each * places).sum().cpu()
    return total

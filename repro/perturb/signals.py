"""What blocks learn from: exact gradients of the heads, and of a loss in every block's output.

The loss is the final head's, or with ``local`` losses (Ren et al. 2022, section 4) each block's own: every block has a
head, and nothing travels from block to block. A block's loss is replicated for every patch and every group of channels,
all of the same value, each differentiated through its own patch and group only. A unit answers to the replicas it can
reach within its block. A weight answers to those its unit answers to; that the norm behind a full layer lets it move
other groups too is left out, as in the authors' program.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from repro.errors import UserError
from repro.perturb import losses
from repro.perturb.contrastive import contrast
from repro.perturb.losses import Loss, cross_entropy
from repro.perturb.nets import Net, Parameters, Trace, at_last_block, head_gradient, local_head


@dataclass(frozen=True)
class Batch:
    """Inputs ``x`` (cases, tokens, features), the ``targets`` that ``loss`` compares outputs with."""

    x: Tensor
    targets: Tensor
    loss: Loss = cross_entropy

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Errors:
    """What is known above the layers: exact gradients of the heads, and the loss's gradient in every block's output."""

    heads: Parameters
    blocks: tuple[Tensor | None, ...]
    outputs: Tensor  # the gradient of every case's loss in the outputs, over the batch's size
    losses: Tensor


class LocalLosses(Protocol):
    """Losses of blocks: whether they are replicated by patch and by group, and what they give to learn from."""

    @property
    def patches(self) -> bool: ...
    @property
    def groups(self) -> bool: ...

    def errors(self, net: Net, parameters: Parameters, trace: Trace, batch: Batch) -> Errors:
        """Gradients in the blocks' outputs, each block's of its own loss."""


@dataclass(frozen=True)
class Local:
    """Supervised losses of every block's own head, replicated by patch, by group, or both."""

    patches: bool = True
    groups: bool = True

    def errors(self, net: Net, parameters: Parameters, trace: Trace, batch: Batch) -> Errors:
        """All heads learn exactly, the final one from features that it does not shape.

        Raises:
            UserError: the net has no heads at its blocks.
        """
        if not net.local_heads:
            raise UserError("local losses need a head at every block: this net has only the final one")
        final = errors(net, parameters, trace, batch)
        heads, blocks = dict(final.heads), []
        for block in range(net.blocks):
            features, outputs, norm = local_head(net, parameters, trace, block)
            error = losses.checked(batch.loss, outputs, batch.targets)[1] / len(batch)
            heads |= head_gradient(f"head{block}", error, features)
            delta = (error @ parameters[f"head{block}.weight"]) / net.tokens
            blocks.append(norm.push(delta.unsqueeze(-2).expand(-1, net.tokens, -1)))
        return replace(final, heads=heads, blocks=tuple(blocks))


@dataclass(frozen=True)
class Contrastive:
    """At every block a loss for each patch, without labels (``repro.perturb.contrastive``); heads do not learn."""

    temperature: float = 0.2
    patches: bool = True
    groups: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise UserError(f"the temperature must be above zero, not {self.temperature:g}")
        if self.groups:
            raise UserError("contrastive losses belong to whole patches: groups must stay off")

    def errors(self, net: Net, parameters: Parameters, trace: Trace, batch: Batch) -> Errors:
        """Losses are means over blocks and patches."""
        found = [contrast(block, self.temperature) for block in trace.blocks]
        each = torch.stack([values for values, _ in found]).mean(0)
        return Errors({}, tuple(gradient for _, gradient in found), torch.zeros_like(trace.outputs), each)


def errors(
    net: Net,
    parameters: Parameters,
    trace: Trace,
    batch: Batch,
    local: LocalLosses | None = None,
    feedback: Parameters | None = None,
) -> Errors:
    """What is to be learned from: ``local`` losses, or the final head's, through ``feedback`` weights where given."""
    if local is not None:
        return local.errors(net, parameters, trace, batch)
    values, gradient = losses.checked(batch.loss, trace.outputs, batch.targets)
    gradient = gradient / len(values)
    weights = parameters if feedback is None else feedback
    last = at_last_block(net, trace, gradient @ weights["head.weight"])
    blocks = (*[None] * (net.blocks - 1), last)
    return Errors(head_gradient("head", gradient, trace.features), blocks, gradient, values)

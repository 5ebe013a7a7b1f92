"""A model whose parameters lie in one row of memory, their gradients in another.

One all-reduce then averages everything, one copy is a snapshot, and an update is a few operations on whole rows.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from repro.errors import UserError
from simulation.gradients import Layout


class FlatModel:
    """Views of one row of weights in place of a model's parameters and float buffers.

    A row holds the trainable parameters first (`trained` numbers), then what is not trained by gradients but
    belongs to the model's state all the same: frozen parameters and float buffers, such as running statistics.

    Attributes:
        weights: (size,).
        gradient: (size + 1,) in the same order. What is not trained has its new value there in place of a
            gradient (`collect`), so that one mean over workers serves both; the last number is free for the loss.

    With `channels_last`, four-dimensional weights lie in the row as NHWC kernels want them.

    Raises:
        UserError: parameters of another type than float32, or running statistics that count their batches.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, channels_last: bool = False) -> None:
        self.model = model.to(device)
        self.device = device
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        kept: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if not p.requires_grad}
        kept |= {n: b for n, b in model.named_buffers() if b.is_floating_point()}
        tensors: dict[str, Tensor] = {**trained, **kept}
        for name, tensor in tensors.items():
            if tensor.dtype != torch.float32:
                raise UserError(f"model: {name} is {tensor.dtype}; keep weights in float32 and set precision: bf16")
        for name, module in model.named_modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.momentum is None:
                raise UserError(f"model: {name} averages over all batches so far; give its momentum")
        self.layout = Layout({n: t.shape for n, t in tensors.items()}, torch.float32, device)
        self.size = self.layout.size
        self.trained = sum(p.numel() for p in trained.values())
        self._channels_last = channels_last
        self.weights = torch.empty(self.size, device=device)
        self.gradient = torch.zeros(self.size + 1, device=device)
        begin = 0
        for name, tensor in tensors.items():
            end = begin + tensor.numel()
            view = self._view(self.weights[begin:end], tensor.shape)
            view.copy_(tensor.detach())
            if isinstance(tensor, nn.Parameter):
                tensor.data = view
                if tensor.requires_grad:
                    tensor.grad = self._view(self.gradient[begin:end], tensor.shape)
            else:
                owner, _, last = name.rpartition(".")
                model.get_submodule(owner)._buffers[last] = view
            begin = end
        self.parameters = list(trained.values())

    def _view(self, row: Tensor, shape: torch.Size) -> Tensor:
        if self._channels_last and len(shape) == 4:
            out, channels, height, width = shape
            return row.view(out, height, width, channels).permute(0, 3, 1, 2)
        return row.view(shape)

    def collect(self) -> None:
        """Put the present values of what is not trained beside the gradients."""
        self.gradient[self.trained : self.size] = self.weights[self.trained :]

    def dense(self, row: Tensor | None = None) -> Tensor:
        """A copy of a row (default: the weights) as snapshots and replay hold it: every tensor in plain order."""
        row = self.weights if row is None else row
        if not self._channels_last:
            return row[: self.size].clone()
        return torch.cat([self._part(row, name).reshape(-1) for name in self.layout.shapes])

    def load(self, dense: Tensor) -> None:
        """Take over weights as `dense` gives them, (size,)."""
        if not self._channels_last:
            self.weights.copy_(dense)
            return
        for name, value in self.layout.one(dense.to(self.device)).items():
            self._part(self.weights, name).copy_(value)

    def _part(self, row: Tensor, name: str) -> Tensor:
        begin = 0
        for other, shape in self.layout.shapes.items():
            if other == name:
                return self._view(row[begin : begin + prod(shape)], shape)
            begin += prod(shape)
        raise KeyError(name)


def describe(layout: Layout) -> str:
    """Names and shapes, as snapshots and the run's own description carry them to be compared."""
    return ";".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in layout.shapes.items())


def first_difference(theirs: str, ours: str) -> str:
    """Where two descriptions part, in words."""
    a, b = theirs.split(";"), ours.split(";")
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"{a[at] if at < len(a) else 'nothing'} there, {b[at] if at < len(b) else 'nothing'} here"

"""Momentum SGD, by PyTorch's kernel and without the class around it.

``torch.optim.SGD`` imports the compiler when it is made, which takes longer than many a small study's training, and
spends more on each step of a small net than the update itself. The function it calls is public and gives the same bits.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from repro.training.settings import Training


class MomentumSGD:
    """Updates ``parameters`` in place from their ``.grad``, as ``torch.optim.SGD(..., fused=True)`` does.

    ``buffers`` holds the momentum of each parameter that had a gradient in a step with momentum.
    """

    def __init__(self, parameters: Iterable[Tensor], settings: Training) -> None:
        self._parameters = list(parameters)
        self._weight_decay = settings.weight_decay
        self._nesterov = settings.nesterov and settings.momentum > 0
        self.buffers: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def step(self, learning_rate: float, momentum: float) -> None:
        """One update of all parameters that have a gradient."""
        with_gradients = {p: p.grad for p in self._parameters if p.grad is not None}
        if momentum:
            for parameter in with_gradients:
                if parameter not in self.buffers:
                    self.buffers[parameter] = torch.zeros_like(parameter)
        sgd(
            list(with_gradients),
            list(with_gradients.values()),
            [self.buffers[parameter] for parameter in with_gradients] if momentum else [],
            fused=True,
            lr=learning_rate,
            momentum=momentum,
            weight_decay=self._weight_decay,
            nesterov=self._nesterov,
            dampening=0.0,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

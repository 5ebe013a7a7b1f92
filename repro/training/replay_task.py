"""A small net on an image set, as the replay of a schedule wants it: pure functions of (parameters, batch)."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from repro.data import sets
from repro.data.sets import hold_out
from repro.models.mlp import mlp
from repro.training.inputs import flat_float
from simulation.draws import batch_rows
from simulation.gradients import Parameters, Problem

CLAMP = 10.0  # a loss above it, or none at all, counts as this: the run has diverged


@cache
def _split(name: str, held_out: int, device: str) -> tuple[list[tuple[Tensor, Tensor]], int]:
    """Inputs (N, features) and labels (N,) of training, held-out and test cases; and how many classes there are."""
    images = sets.load(name)
    kept, held = hold_out(len(images.train), held_out, seed=0)
    x, y = flat_float(images.train.images), images.train.labels
    parts = ((x[kept], y[kept]), (x[held], y[held]), (flat_float(images.test.images), images.test.labels))
    return [(inputs.to(device), labels.to(device)) for inputs, labels in parts], len(images.classes)


class Task:
    """Inputs and labels of both splits on one device, and what is learned from them.

    ``held_out`` training cases, chosen once for all seeds, are kept apart as ``held_out``. Parameters are ``w0``,
    ``b0``, ``w1``, ...: weights (out, in) and biases (out,) of a net of ReLUs.
    """

    def __init__(
        self, data: str, hidden: Sequence[int], batch_size: int, seed: int, device: str = "cpu", held_out: int = 0
    ) -> None:
        self.hidden, self.batch_size, self.seed, self.device = tuple(hidden), batch_size, seed, torch.device(device)
        parts, self.classes = _split(data, held_out, device)
        (self.x, self.y), self.held_out, (self.x_test, self.y_test) = parts

    def start(self) -> Parameters:
        """Initial parameters, keyed by the seed."""
        net = mlp((self.x.shape[1], *self.hidden, self.classes), seed=self.seed)
        layers = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
        found: Parameters = {}
        for number, layer in enumerate(layers):
            found[f"w{number}"] = layer.weight.detach().clone().to(self.device)
            found[f"b{number}"] = layer.bias.detach().clone().to(self.device)
        return found

    def problem(self) -> Problem:
        """The loss of one worker's batch; examples are keyed by (seed, worker, step)."""
        return Problem(loss, self.batches)

    def batches(self, workers: NDArray[Any], steps: NDArray[Any]) -> tuple[Tensor, Tensor]:
        """Batches of K (worker, step) pairs: inputs (K, batch, features) and labels (K, batch)."""
        rows = torch.from_numpy(batch_rows(self.seed, workers, steps, self.batch_size, len(self.x))).to(self.device)
        return self.x[rows], self.y[rows]

    def train_loss(self, parameters: Parameters) -> float:
        """Mean loss over all training cases, clamped."""
        return _clamped(parameters, (self.x, self.y))

    def held_out_loss(self, parameters: Parameters) -> float:
        """Mean loss over the held-out cases, clamped."""
        return _clamped(parameters, self.held_out)

    @torch.no_grad()
    def test_errors(self, parameters: Parameters) -> int:
        """Wrong answers on the test set; a diverged net answers the same class always."""
        return int((logits(parameters, self.x_test).nan_to_num().argmax(1) != self.y_test).sum())


def logits(parameters: Parameters, x: Tensor) -> Tensor:
    """(..., features) to (..., classes)."""
    depth = len(parameters) // 2
    for number in range(depth):
        x = F.linear(x, parameters[f"w{number}"], parameters[f"b{number}"])
        if number < depth - 1:
            x = torch.relu(x)
    return x


def loss(parameters: Parameters, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy of a batch: a scalar."""
    return F.cross_entropy(logits(parameters, batch[0]), batch[1])


@torch.no_grad()
def _clamped(parameters: Parameters, cases: tuple[Tensor, Tensor]) -> float:
    value = float(loss(parameters, cases))
    return min(value, CLAMP) if value == value else CLAMP

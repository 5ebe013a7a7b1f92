"""Gradients of many copies of one model at once: weights stacked, one row per copy.

Rows of a batched matrix product do not depend on how many there are, so K copies together give the bits of
K calls with one copy each (at ordinary sizes; `tests` say which).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map

from simulation.errors import UserError

Parameters = dict[str, Tensor]
Batch = Any
"""A tensor, or a tuple or dictionary of tensors."""

TEAM_CHUNK = 64
"""Workers of one team whose losses are averaged in one call; fixed, since it orders the additions."""


@dataclass(frozen=True)
class Problem:
    """What is learned, as pure functions.

    loss(parameters, batch): scalar mean loss over one worker's batch.
    batches(workers, steps): the batches of K (worker, step) pairs, stacked: every tensor has K as first dimension.
        Workers and steps are int64 arrays of length K; equal pairs must give equal batches.
    predict(parameters, batch), taught_loss(parameters, batch, predictions): for codistillation; `predictions` is
        the mean over teachers of what `predict` gave for the same batch.
    """

    loss: Callable[[Parameters, Batch], Tensor]
    batches: Callable[[NDArray[Any], NDArray[Any]], Batch]
    predict: Callable[[Parameters, Batch], Tensor] | None = None
    taught_loss: Callable[[Parameters, Batch, Tensor], Tensor] | None = None

    @property
    def can_be_taught(self) -> bool:
        """Whether it knows what to do with teachers."""
        return self.predict is not None and self.taught_loss is not None

    def gradients(self, layout: Layout) -> Gradients:
        """What computes gradients for weights that lie so in their rows."""
        return Gradients(self, layout)


@dataclass(frozen=True)
class OneByOne:
    """What is learned, for models whose copies cannot be stacked, or whose bits must be those of a real run.

    gradient(weights, teachers, batch): one worker's gradient (size,) for weights (size,) and teachers' weights,
        each (size,), in order of group; the caller may change what it returns.
    batches: as in `Problem`.
    """

    gradient: Callable[[Tensor, Sequence[Tensor], Batch], Tensor]
    batches: Callable[[NDArray[Any], NDArray[Any]], Batch]
    can_be_taught: bool = True

    def gradients(self, layout: Layout) -> OneByOne:
        """Itself: it makes one gradient after the other."""
        return self

    def single(self, weights: Tensor, teachers: Sequence[Tensor], batch: Batch) -> Tensor:
        """As `Gradients.single`."""
        return self.team(weights, teachers, batch, 1)

    def team(self, weights: Tensor, teachers: Sequence[Tensor], batch: Batch, workers: int) -> Tensor:
        """As `Gradients.team`: a team's gradients are added in order of worker, then divided."""
        result = torch.empty_like(weights)
        for k, row in enumerate(weights):
            taught = [t[k] for t in teachers]
            each = (
                self.gradient(row, taught, tree_map(lambda t, i=i: t[i], batch))
                for i in range(k * workers, (k + 1) * workers)
            )
            total = next(each)
            for more in each:
                total += more
            result[k] = total.div_(workers)
        return result


@dataclass(frozen=True)
class Layout:
    """How a dictionary of parameters lies in one row: names, shapes and where each begins."""

    shapes: Mapping[str, torch.Size]
    dtype: torch.dtype
    device: torch.device
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", sum(prod(shape) for shape in self.shapes.values()))

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor]) -> Layout:
        """The layout of these parameters.

        Raises:
            UserError: there are none, or they differ in type or device.
        """
        tensors = list(parameters.values())
        if not tensors:
            raise UserError("replay: the model has no parameters")
        first = tensors[0]
        if any(t.dtype != first.dtype or t.device != first.device for t in tensors):
            raise UserError("replay: parameters must share one type and one device")
        return cls({name: t.shape for name, t in parameters.items()}, first.dtype, first.device)

    @property
    def row_bytes(self) -> int:
        """Bytes of one copy."""
        return self.size * self.dtype.itemsize

    def flatten(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """One row, (size,)."""
        return torch.cat([parameters[name].detach().reshape(-1) for name in self.shapes])

    def stacked(self, rows: Tensor) -> Parameters:
        """Rows (K, size) as parameters with a first dimension K; views."""
        result, begin = {}, 0
        for name, shape in self.shapes.items():
            end = begin + prod(shape)
            result[name] = rows[:, begin:end].reshape(-1, *shape)
            begin = end
        return result

    def one(self, row: Tensor) -> Parameters:
        """One row (size,) as parameters; views."""
        return {name: tensor[0] for name, tensor in self.stacked(row[None]).items()}

    def rows(self, stacked: Parameters) -> Tensor:
        """Inverse of `stacked`, (K, size)."""
        return torch.cat(
            [stacked[name].flatten(1) if shape else stacked[name][:, None] for name, shape in self.shapes.items()],
            dim=1,
        )


class Gradients:
    """Gradients of a problem for stacked weights.

    Copies do not touch each other, so the gradient of the sum of their losses holds each one's own.
    """

    def __init__(self, problem: Problem, layout: Layout) -> None:
        self.layout = layout
        self._loss = vmap(problem.loss)
        self._team_loss = vmap(_mean_over_team(problem.loss))
        if problem.taught_loss is not None and problem.predict is not None:
            self._taught_loss = vmap(problem.taught_loss)
            self._taught_team_loss = vmap(_mean_over_team(problem.taught_loss))
            self._predict = vmap(problem.predict)
            self._predict_team = vmap(vmap(problem.predict, in_dims=(None, 0)))

    def single(self, weights: Tensor, teachers: Sequence[Tensor], batch: Batch) -> Tensor:
        """One gradient per row: weights (K, size), teachers T x (K, size), batch (K, ...) -> (K, size)."""
        if not teachers:
            return self._gradient(self._loss, weights, batch)
        told = self._told(self._predict, teachers, batch)
        return self._gradient(self._taught_loss, weights, batch, told)

    def team(self, weights: Tensor, teachers: Sequence[Tensor], batch: Batch, workers: int) -> Tensor:
        """Mean gradient of a team for each row: batch (K * workers, ...), workers of one row together."""
        if workers == 1:
            return self.single(weights, teachers, batch)
        batch = tree_map(lambda t: t.unflatten(0, (-1, workers)), batch)
        total = torch.zeros_like(weights)
        for begin in range(0, workers, TEAM_CHUNK):
            end = min(begin + TEAM_CHUNK, workers)
            part = tree_map(lambda t, a=begin, b=end: t[:, a:b], batch)
            if teachers:
                told = self._told(self._predict_team, teachers, part)
                gradient = self._gradient(self._taught_team_loss, weights, part, told)
            else:
                gradient = self._gradient(self._team_loss, weights, part)
            total.add_(gradient, alpha=(end - begin) / workers)
        return total

    def _gradient(self, loss: Callable[..., Tensor], weights: Tensor, *inputs: Any) -> Tensor:
        stacked = {n: t.detach().requires_grad_() for n, t in self.layout.stacked(weights).items()}
        total = loss(stacked, *inputs).sum()
        each = torch.autograd.grad(total, list(stacked.values()), materialize_grads=True)
        return self.layout.rows(dict(zip(stacked, each, strict=True)))

    def _told(self, predict: Callable[..., Tensor], teachers: Sequence[Tensor], batch: Batch) -> Tensor:
        """Mean of the teachers' predictions; nothing flows back into them."""
        with torch.no_grad():
            total = predict(self.layout.stacked(teachers[0]), batch)
            for more in teachers[1:]:
                total = total + predict(self.layout.stacked(more), batch)
            return total / len(teachers)


def _mean_over_team(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def mean(parameters: Parameters, *inputs: Any) -> Tensor:
        each: Tensor = vmap(loss, in_dims=(None, *(0 for _ in inputs)))(parameters, *inputs)
        return each.mean()

    return mean

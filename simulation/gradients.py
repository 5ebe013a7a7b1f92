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
from torch.func import grad, vmap
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
    batches(workers, steps): the batches of K (worker, step) pairs, stacked: every tensor has K as first
    dimension.
        Workers and steps are int64 arrays of length K; equal pairs must give equal batches.
    predict(parameters, batch), taught_loss(parameters, batch, predictions): for codistillation;
    `predictions` is
        the mean over teachers of what `predict` gave for the same batch.
    """

    loss: Callable[[Parameters, Batch], Tensor]
    batches: Callable[[NDArray[Any], NDArray[Any]], Batch]
    predict: Callable[[Parameters, Batch], Tensor] | None = None
    taught_loss: Callable[[Parameters, Batch, Tensor], Tensor] | None = None


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
            [
                stacked[name].flatten(1) if shape else stacked[name][:, None]
                for name, shape in self.shapes.items()
            ],
            dim=1,
        )


class Gradients:
    """Gradients of a problem for stacked weights."""

    def __init__(self, problem: Problem, layout: Layout) -> None:
        self.problem, self.layout = problem, layout
        self._single = vmap(grad(problem.loss))
        self._team = vmap(grad(_mean_over_team(problem.loss)))
        if problem.taught_loss is not None and problem.predict is not None:
            self._taught = vmap(grad(problem.taught_loss))
            self._taught_team = vmap(grad(_mean_over_team(problem.taught_loss)))
            self._predict = vmap(problem.predict)
            self._predict_team = vmap(vmap(problem.predict, in_dims=(None, 0)))

    def single(self, weights: Tensor, teachers: Sequence[Tensor], batch: Batch) -> Tensor:
        """One gradient per row: weights (K, size), teachers T x (K, size), batch (K, ...) -> (K, size)."""
        with torch.no_grad():
            if not teachers:
                return self.layout.rows(self._single(self.layout.stacked(weights), batch))
            told = _mean([self._predict(self.layout.stacked(t), batch) for t in teachers])
            return self.layout.rows(self._taught(self.layout.stacked(weights), batch, told))

    def team(self, weights: Tensor, teachers: Sequence[Tensor], batch: Batch, workers: int) -> Tensor:
        """Mean gradient of a team for each row: batch (K * workers, ...), workers of one row together."""
        if workers == 1:
            return self.single(weights, teachers, batch)
        rows = len(weights)
        batch = tree_map(lambda t: t.unflatten(0, (rows, workers)), batch)
        total = torch.zeros_like(weights)
        stacked = self.layout.stacked(weights)
        with torch.no_grad():
            for begin in range(0, workers, TEAM_CHUNK):
                end = min(begin + TEAM_CHUNK, workers)
                part = tree_map(lambda t, a=begin, b=end: t[:, a:b], batch)
                if teachers:
                    told = _mean([self._predict_team(self.layout.stacked(t), part) for t in teachers])
                    gradient = self._taught_team(stacked, part, told)
                else:
                    gradient = self._team(stacked, part)
                total.add_(self.layout.rows(gradient), alpha=(end - begin) / workers)
        return total


def _mean_over_team(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def mean(parameters: Parameters, *inputs: Any) -> Tensor:
        each: Tensor = vmap(loss, in_dims=(None, *(0 for _ in inputs)))(parameters, *inputs)
        return each.mean()

    return mean


def _mean(predictions: Sequence[Tensor]) -> Tensor:
    total = predictions[0]
    for more in predictions[1:]:
        total = total + more
    return total / len(predictions)

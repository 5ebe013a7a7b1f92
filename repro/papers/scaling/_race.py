"""Nets at several learning rates, side by side on batches of one size, until one has met its target.

The leading underscore says that it is no experiment.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from repro.papers.scaling._batch_size import checkpoints, first_crossings
from repro.training.replay_task import Task, loss
from simulation.gradients import Layout, Parameters

Curve = list[tuple[int, float]]
HeldOut = tuple[Tensor, Tensor]
DIVERGED = 100.0


class Race:
    """Each task is one net's start and stream of batches; it is run at every rate, plain SGD, on those batches.

    ``curves[task][rate]`` are (step, mean loss on the held-out cases) at the steps looked at.
    """

    def __init__(self, tasks: Sequence[Task], rates: Sequence[float], held_out: HeldOut, spacing: float) -> None:
        self._tasks, self._held_out, self._spacing = tasks, held_out, spacing
        starts = [task.start() for task in tasks]
        self._layout = Layout.of(starts[0])
        # (task, rate, size): at every rate from the same start.
        self._weights = torch.stack([self._layout.flatten(start).expand(len(rates), -1) for start in starts])
        self._rates = torch.tensor(rates, device=self._weights.device)[:, None]
        self.curves: list[list[Curve]] = [[[] for _ in rates] for _ in tasks]

    def run(self, finished: Callable[["Race"], bool], most_steps: int) -> bool:
        """Train until ``finished`` says so, which is asked after every look; False where it never did."""
        looks = checkpoints(self._spacing)
        for before, look in pairwise(_from_zero(looks)):
            if look > most_steps:
                return False
            for step in range(before, look):
                self._step(step)
            self._look(look)
            if finished(self):
                return True
        raise AssertionError("looks never end")

    def steps_to(self, target: float) -> list[list[float | None]]:
        """Steps until the held-out loss was at or below ``target``, [task][rate]."""
        return [[first_crossings(curve, [target])[0] for curve in of_task] for of_task in self.curves]

    def _step(self, step: int) -> None:
        batches = [task.batches(np.zeros(1, np.int64), np.array([step])) for task in self._tasks]
        # (task, batch, ...): one for all rates.
        batch = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
        weights = self._weights.requires_grad_()
        (gradient,) = torch.autograd.grad(self._losses(weights, batch, each_its_own=True).sum(), weights)
        self._weights = weights.detach() - self._rates * gradient

    def _losses(self, weights: Tensor, batch: HeldOut, *, each_its_own: bool) -> Tensor:
        """Mean losses (task, rate), of every task on its own batch or of all on the same."""
        parameters = {name: t.unflatten(0, weights.shape[:2]) for name, t in self._stacked(weights).items()}
        over_rates = vmap(loss, in_dims=(0, None))
        return vmap(over_rates, in_dims=(0, 0 if each_its_own else None))(parameters, batch)

    def _stacked(self, weights: Tensor) -> Parameters:
        return self._layout.stacked(weights.flatten(0, 1))

    @torch.no_grad()
    def _look(self, step: int) -> None:
        losses = self._losses(self._weights, self._held_out, each_its_own=False)
        values = losses.nan_to_num(DIVERGED).clamp(max=DIVERGED).tolist()
        for of_task, at_rates in zip(self.curves, values, strict=True):
            for curve, value in zip(of_task, at_rates, strict=True):
                curve.append((step, value))


def _from_zero(looks: Iterator[int]) -> Iterator[int]:
    yield 0
    yield from looks


def fastest(steps: Sequence[Sequence[float | None]]) -> tuple[int, float] | None:
    """The rate whose slowest net met the target first, and its steps; None where no rate had all nets meet it."""
    slowest = {}
    for rate in range(len(steps[0])):
        found = [of_task[rate] for of_task in steps]
        met = [value for value in found if value is not None]
        if len(met) == len(found):
            slowest[rate] = max(met)
    if not slowest:
        return None
    best = min(slowest, key=lambda rate: slowest[rate])
    return best, slowest[best]

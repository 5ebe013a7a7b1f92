"""Learning in one process under a schedule: recorded by a real run, or made by one of the simulator's engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.codistill.learner import Learner
from repro.codistill.objective import mean_prediction
from repro.codistill.rules import rule_for
from repro.codistill.settings import Settings
from repro.codistill.task import Task, points
from repro.errors import UserError
from repro.training.curves import Point
from simulation.distributions import Constant
from simulation.engines import run
from simulation.gradients import OneByOne, Parameters
from simulation.protocols import to_dict
from simulation.replay import replay
from simulation.schedule import Schedule
from simulation.timing import Timing

BUDGET_BYTES = 1 << 31  # for copies of weights and gradients


@dataclass(frozen=True)
class Learned:
    """What a schedule led to.

    weights: each group's row (size,) in plain order, as `Learner.initial` gives it; parameters: the same by name.
    curves: each group's evaluations. checked, mismatches: recorded digests, and the (group, version) that differ.
    """

    weights: list[Tensor]
    parameters: list[Parameters]
    curves: list[list[Point]]
    checked: int
    mismatches: list[tuple[int, int]]


def lock_step(settings: Settings) -> Schedule:
    """The schedule in which all workers are equally fast: what a real run with `pickup: wait` does, untimed."""
    return run(settings.protocol, Timing(Constant(10**9)), settings.updates, settings.seed)


def learn(task: Task, settings: Settings, schedule: Schedule | None = None) -> Learned:
    """Train every group as the schedule says (default: `lock_step`), with the arithmetic of real runs.

    Groups take turns on one device, from initial weights keyed by the seed. Metrics are taken at the settings'
    `evaluate_updates` and at the end.

    Raises:
        UserError: the schedule is of another protocol.
    """
    schedule = lock_step(settings) if schedule is None else schedule
    if schedule.meta["protocol"] != to_dict(settings.protocol):
        raise UserError("schedule: not of the run's protocol; replay a recording with the settings it was made with")
    learner = Learner(task, settings)
    net = learner.net
    groups = settings.protocol.groups
    shown = Learner(task, settings).net
    shown.model.eval()
    curves: list[list[Point]] = [[] for _ in range(groups)]
    every = settings.evaluate_updates or settings.updates

    def observe(group: int, version: int, parameters: Parameters) -> None:
        if task.evaluate is None or version == 0 or (version % every and version != settings.updates):
            return
        shown.load(net.layout.flatten(parameters))
        with torch.no_grad():
            curves[group] += points(version, task.evaluate(shown.model))

    done = replay(
        schedule,
        OneByOne(_worker_gradient(learner), _pairs),
        rule_for(settings, net),
        [net.layout.one(learner.initial(g).to(learner.device)) for g in range(groups)],
        budget_bytes=BUDGET_BYTES,
        most_at_once=groups,
        observe=observe,
        observe_every=every,
    )
    weights = [net.layout.flatten(p) for p in done.parameters]
    return Learned(weights, done.parameters, curves, done.checked, done.mismatches)


def _pairs(workers: NDArray[np.int64], steps: NDArray[np.int64]) -> Tensor:
    """(K, 2): replay hands on who and when; the learner knows the batch."""
    return torch.from_numpy(np.stack([workers, steps], axis=1))


def _worker_gradient(learner: Learner) -> Callable[[Tensor, Sequence[Tensor], Tensor], Tensor]:
    def gradient(weights: Tensor, teachers: Sequence[Tensor], pair: Tensor) -> Tensor:
        worker, step = pair.tolist()
        batch, key = learner.batch(worker, step), learner.rows.key(worker, step)
        nets = [learner.teacher(i) for i in range(len(teachers))]
        for net, row in zip(nets, teachers, strict=True):
            net.load(row)
        means: list[Tensor] = []
        if nets and learner.settings.exchanges_predictions:
            each = [learner.predictions(net, batch, key) for net in nets]
            means = [mean_prediction(part) for part in zip(*each, strict=True)]
        elif nets:
            means = learner.told(nets, batch)
        learner.net.load(weights)
        learner.gradient(batch, key, (lambda i, _: means[i]) if means else None)
        return learner.net.dense(learner.net.gradient)

    return gradient

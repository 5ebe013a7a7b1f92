"""Training by any estimator: momentum SGD, resumable, draws keyed by (seed, step) and orders by (seed, epoch).

It differs from ``repro.training.loop`` in that gradients come from an estimator instead of from autograd.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from repro.perturb.estimators import Estimator
from repro.perturb.nets import Net, Parameters
from repro.perturb.noise import Counter
from repro.perturb.settings import Learning
from repro.perturb.signals import Batch
from repro.training import checkpoint as checkpoints
from repro.training.curves import Point
from repro.training.keys import generator_seed
from repro.training.loop import DivergedError
from repro.training.progress import Progress
from repro.training.schedules import learning_rate

Batches = Callable[[Tensor], Batch]
Evaluate = Callable[[Parameters], Mapping[str, Mapping[str, float]]]  # split -> metric -> value
Step = Callable[[Parameters, Batch, Counter], tuple[Parameters, Tensor]]  # to the gradient and the cases' losses


def by(net: Net, estimator: Estimator) -> Step:
    """Steps of a supervised net by an estimator."""

    def step(parameters: Parameters, batch: Batch, counter: Counter) -> tuple[Parameters, Tensor]:
        estimate = estimator(net, parameters, batch, counter)
        return estimate.gradient, estimate.losses

    return step


@torch.no_grad()
def learn(
    parameters: Parameters,
    step: Step,
    batches: Batches,
    cases: int,
    settings: Learning,
    *,
    seed: int,
    name: str,
    evaluate: Evaluate | None = None,
    checkpoint: Path | None = None,
    checkpoint_interval_s: float = 60.0,
) -> list[Point]:
    """Change ``parameters`` in place by momentum SGD along ``step``'s gradients, and return the learning curves.

    ``batches`` gives the batch of some of the case indices 0..cases-1. A parameter without a gradient stays as it is.
    With ``checkpoint`` a run that was killed goes on from there and ends with the same bits.

    Raises:
        DivergedError: an epoch's mean loss is not finite.
        UserError: from the estimator.
    """
    per_epoch = math.ceil(cases / settings.batch_size)
    steps = settings.epochs * per_epoch
    velocity: Parameters = {}
    points: list[Point] = []
    first_epoch = 0
    device = next(iter(parameters.values())).device
    if checkpoint and (state := checkpoints.load(checkpoint, device)) is not None:
        first_epoch, points = state.epoch, list(state.points)
        for key, value in state.tensors.items():
            kind, _, parameter = key.partition(".")
            if kind == "momentum":
                velocity[parameter] = value.clone()
            else:
                parameters[parameter].copy_(value)
    saved_at = time.monotonic()
    noise_seed = generator_seed(seed, "noise")
    with Progress(name, steps, done=first_epoch * per_epoch) as progress:
        for epoch in range(first_epoch, settings.epochs):
            generator = torch.Generator().manual_seed(generator_seed(seed, "perturb", "epoch", epoch))
            order = torch.randperm(cases, generator=generator)
            total = torch.zeros((), device=device)
            for number in range(per_epoch):
                done_steps = epoch * per_epoch + number
                start = number * settings.batch_size
                index = order[start : start + settings.batch_size]
                gradient, values = step(parameters, batches(index), Counter(noise_seed, done_steps))
                rate = learning_rate(settings, done_steps, steps)
                _descend(parameters, gradient, velocity, rate, settings.momentum)
                total += values.mean() * (len(index) / cases)
                progress.step(total, min(start + settings.batch_size, cases) / cases)
            done = epoch + 1
            mean_loss = float(total)
            if not math.isfinite(mean_loss):
                raise DivergedError(
                    f"{name}: the loss is {mean_loss} in epoch {done}; lower the learning rate "
                    f"({settings.learning_rate:g})"
                )
            points.append(Point(done, done * per_epoch, "train", "loss", mean_loss))
            every = settings.evaluate_every_epochs
            if evaluate and (done == settings.epochs or (every and done % every == 0)):
                for split, metrics in evaluate(parameters).items():
                    points += [Point(done, done * per_epoch, split, m, float(v)) for m, v in metrics.items()]
                progress.report(points[-1])
            if checkpoint and done < settings.epochs and time.monotonic() - saved_at >= checkpoint_interval_s:
                tensors = {f"weights.{key}": value for key, value in parameters.items()}
                tensors |= {f"momentum.{key}": value for key, value in velocity.items()}
                checkpoints.save(checkpoint, checkpoints.State(done, tensors, points))
                saved_at = time.monotonic()
    return points


def _descend(parameters: Parameters, gradient: Parameters, velocity: Parameters, rate: float, momentum: float) -> None:
    for name, value in gradient.items():
        if momentum:
            if name in velocity:
                velocity[name].mul_(momentum).add_(value)
            else:
                velocity[name] = value.clone()
            value = velocity[name]
        parameters[name].sub_(value, alpha=rate)

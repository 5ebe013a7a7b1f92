"""The training loop of every supervised study.

It is told what to do by three callables and knows nothing of labels, teachers or images:
``inputs(index)`` gives the input rows of a batch, ``objective(logits, index)`` its scalar loss, and
``evaluate(model)`` the metrics by split. Index is the one thing they share, so that a case, its label
and its teacher's output cannot come apart when the order is shuffled.

All randomness of an epoch (order, dropout, jitter) is keyed by (seed, epoch); a run that was killed and
started again ends with the same bits, on the same device with the same number of threads.
"""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.training import checkpoint as checkpoints
from repro.training.curves import Point
from repro.training.device import precision_used
from repro.training.keys import generator_seed
from repro.training.progress import Progress
from repro.training.regularise import limit_incoming_norms
from repro.training.schedules import learning_rate, momentum
from repro.training.settings import Training
from repro.training.sgd import MomentumSGD

Inputs = Callable[[Tensor], Tensor]
Objective = Callable[[Tensor, Tensor], Tensor]
Evaluate = Callable[[nn.Module], Mapping[str, Mapping[str, float]]]  # split -> metric -> value


class DivergedError(UserError):
    """The loss stopped being a number; the message says in which run and when."""


def train(
    model: nn.Module,
    inputs: Inputs,
    objective: Objective,
    cases: int,
    settings: Training,
    *,
    seed: int,
    name: str,
    evaluate: Evaluate | None = None,
    checkpoint: Path | None = None,
    checkpoint_interval_s: float = 60.0,
) -> list[Point]:
    """Train ``model`` in place by momentum SGD and return its learning curves.

    ``cases`` is the number of training cases; the last, smaller batch of an epoch is kept. The model ends
    in eval mode. With ``checkpoint``, the state is saved there after the first epoch that ends
    ``checkpoint_interval_s`` or more after the last save, and a file found there is gone on from.

    Raises:
        DivergedError: an epoch's mean loss is not finite.
    """
    device = next(model.parameters()).device
    bf16 = precision_used(settings.precision, device) == "bf16"
    optimizer = MomentumSGD(model.parameters(), settings)
    batches = math.ceil(cases / settings.batch_size)
    steps = settings.epochs * batches
    points: list[Point] = []
    first_epoch = 0
    state = checkpoints.load(checkpoint, device) if checkpoint else None
    if state is not None:
        first_epoch, points = state.epoch, list(state.points)
        _restore(model, optimizer, state.tensors)
    saved_at = time.monotonic()

    with Progress(name, steps, done=first_epoch * batches) as progress:
        for epoch in range(first_epoch, settings.epochs):
            model.train()
            mean_loss = _run_epoch(
                model, inputs, objective, cases, settings, optimizer, seed, epoch, steps, bf16, progress
            )
            if not math.isfinite(mean_loss):
                raise DivergedError(
                    f"{name}: the loss is {mean_loss} in epoch {epoch + 1}; lower the learning rate "
                    f"({settings.learning_rate:g})"
                )
            done = epoch + 1
            points.append(Point(done, done * batches, "train", "loss", mean_loss))
            every = settings.evaluate_every_epochs
            if evaluate and (done == settings.epochs or (every and done % every == 0)):
                points.extend(_evaluate(model, evaluate, done, done * batches))
                progress.report(points[-1])
            if checkpoint and done < settings.epochs and time.monotonic() - saved_at >= checkpoint_interval_s:
                checkpoints.save(checkpoint, checkpoints.State(done, _snapshot(model, optimizer), points))
                saved_at = time.monotonic()
    model.eval()
    return points


def _run_epoch(
    model: nn.Module,
    inputs: Inputs,
    objective: Objective,
    cases: int,
    settings: Training,
    optimizer: MomentumSGD,
    seed: int,
    epoch: int,
    steps: int,
    bf16: bool,
    progress: Progress,
) -> float:
    """One pass over the cases in a fresh order; returns the mean of the batches' losses."""
    device = next(model.parameters()).device
    batch_size = settings.batch_size
    step = epoch * math.ceil(cases / batch_size)
    total = torch.zeros((), device=device)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        # Not torch.manual_seed, which would move the caller's state on the devices that are not forked.
        torch.default_generator.manual_seed(generator_seed(seed, "epoch", epoch))
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(generator_seed(seed, "epoch", epoch))
        order = torch.randperm(cases).to(device)
        for start in range(0, cases, batch_size):
            index = order[start : start + batch_size]
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = model(inputs(index))
            loss = objective(logits.float(), index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(learning_rate(settings, step, steps), momentum(settings, step, steps))
            if settings.max_norm_squared is not None:
                limit_incoming_norms(model, settings.max_norm_squared)
            total += loss.detach() * (len(index) / cases)
            step += 1
            progress.step(total, min(start + batch_size, cases) / cases)
    return float(total)


def _evaluate(model: nn.Module, evaluate: Evaluate, epoch: int, step: int) -> list[Point]:
    model.eval()
    with torch.no_grad():
        return [
            Point(epoch, step, split, metric, float(value))
            for split, metrics in evaluate(model).items()
            for metric, value in metrics.items()
        ]


def _snapshot(model: nn.Module, optimizer: MomentumSGD) -> dict[str, Tensor]:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        if parameter in optimizer.buffers:
            tensors[f"momentum.{name}"] = optimizer.buffers[parameter]
    return tensors


def _restore(model: nn.Module, optimizer: MomentumSGD, tensors: Mapping[str, Tensor]) -> None:
    model.load_state_dict({name.removeprefix("model."): t for name, t in tensors.items() if name.startswith("model.")})
    for name, parameter in model.named_parameters():
        if f"momentum.{name}" in tensors:
            optimizer.buffers[parameter] = tensors[f"momentum.{name}"].clone()

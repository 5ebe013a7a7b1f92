"""What could explain codistillation's gain away: smoothed labels, and distillation in two phases (Anil et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.codistill.objective import mean_prediction
from repro.codistill.task import Batch, Task
from repro.distill.objective import soft_cross_entropy


def smoothed(task: Task, amount: float, prior: Tensor | None = None) -> Task:
    """The task with `amount` of every label's mass spread over the classes: evenly, or as `prior` (classes,) says.

    Raises:
        ValueError: an amount outside [0, 1].
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount must be in [0, 1], not {amount}")

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        log_q = F.log_softmax(logits.flatten(0, -2), dim=-1)
        given = F.nll_loss(log_q, batch[1].flatten())
        spread = -log_q.mean() if prior is None else -(log_q @ prior.to(log_q.device)).mean()
        return (1 - amount) * given + amount * spread

    return replace(task, loss=loss)


def taught_by(task: Task, teachers: Sequence[nn.Module], weight: float = 1.0) -> Task:
    """The task with the mean prediction of finished teachers as a second target: the second phase of distillation.

    The loss is the task's own plus `weight` times the cross-entropy with the teachers' mean, as in codistillation.
    Teachers answer in eval mode, on their own device.
    """
    for teacher in teachers:
        teacher.eval()

    @torch.no_grad()
    def batch(rows: Tensor, key: int) -> Batch:
        own = task.batch(rows, key)
        told = [
            torch.softmax(task.forward(t, [part.to(next(t.parameters()).device) for part in own]), dim=-1)
            for t in teachers
        ]
        return (*own, mean_prediction(told).to(own[0].device))

    def loss(logits: Tensor, whole: Batch) -> Tensor:
        *own, told = whole
        return task.loss(logits, own) + weight * soft_cross_entropy(logits, told, 1.0)

    return replace(task, batch=batch, loss=loss, loader=None)

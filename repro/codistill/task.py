"""What is learned: a model, batches of examples, a loss. Everything else is said by `settings`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.training.curves import Point

Batch = Any
"""A tensor, or a tuple or dictionary of tensors whose first dimension counts the examples."""
Wanted = tuple[Tensor, int]
"""Rows (batch,) of the training set, and the key of whatever is random in preparing them."""
Metrics = Mapping[str, Mapping[str, float]]
"""Split to metric to value."""


def classify(model: nn.Module, batch: Batch) -> Tensor:
    """Logits (batch, classes) of a batch whose first part are inputs."""
    logits: Tensor = model(batch[0])
    return logits


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy with a batch's second part, class indices; `logits` (..., classes)."""
    return F.cross_entropy(logits.flatten(0, -2), batch[1].flatten())


@dataclass(frozen=True)
class Task:
    """A learning problem as pure functions; equal arguments must give equal results, on every process.

    model(seed): a fresh model, its initial weights a function of the seed alone.
    examples: how many there are to train on; a row is one of them.
    batch(rows, key): the examples of these rows (batch,), on the CPU or where training computes.
    forward(model, batch): logits (batch, ..., classes); the model is in train or eval mode already.
    loss(logits, batch): the label loss, a scalar mean over the batch; logits come in float32.
    evaluate(model): metrics by split; the model is in eval mode, without gradients.
    loader(wanted): prepares batches ahead where `batch` is slow: one batch for each (rows, key), in order.
    """

    model: Callable[[int], nn.Module]
    examples: int
    batch: Callable[[Tensor, int], Batch]
    forward: Callable[[nn.Module, Batch], Tensor] = classify
    loss: Callable[[Tensor, Batch], Tensor] = cross_entropy
    evaluate: Callable[[nn.Module], Metrics] | None = None
    loader: Callable[[Iterable[Wanted]], Iterator[Batch]] | None = None


def points(version: int, metrics: Metrics) -> list[Point]:
    """Metrics as points of a curve; a curve over steps has no epochs."""
    return [Point(0, version, split, m, float(v)) for split, values in metrics.items() for m, v in values.items()]


def load_task(reference: str, settings: Mapping[str, Any]) -> Task:
    """The task that `package.module:function` makes when called with these settings as keywords.

    Raises:
        UserError: no such module or function, or settings it does not take.
    """
    module, _, function = reference.partition(":")
    try:
        make = getattr(import_module(module), function or "task")
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"task: {reference!r} cannot be loaded ({error}); give package.module:function") from None
    try:
        task = make(**settings)
    except TypeError as error:
        raise UserError(f"task_settings: {reference}: {error}") from None
    if not isinstance(task, Task):
        raise UserError(f"task: {reference} makes a {type(task).__name__}, not a Task")
    return task

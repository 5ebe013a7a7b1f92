"""What the experiments of the lecture share: cases, how they are dealt out, and nets trained at the best rate.

The leading underscore says that it is no experiment.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data import sets
from repro.distill.objective import soft_cross_entropy
from repro.models.analogue import Hardware, analogue_net
from repro.models.mlp import mlp
from repro.training.inputs import flat_float
from repro.training.keys import generator_seed
from repro.training.loop import Objective, train
from repro.training.settings import Training
from repro.training.tuning import at_the_best_rate

EVALUATION_BATCH = 2000


@dataclass(frozen=True)
class Cases:
    """Inputs (n, features) float32 and labels (n,)."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> "Cases":
        return Cases(self.inputs[index], self.labels[index])


@dataclass(frozen=True)
class Task:
    """The cases to learn from and those to be judged on."""

    train: Cases
    test: Cases
    classes: int


@cache
def image_task(data: str) -> Task:
    """An image set as rows of numbers in [0, 1], read once per process."""
    found = sets.load(data)
    train, test = (Cases(flat_float(part.images), part.labels) for part in (found.train, found.test))
    return Task(train, test, len(found.classes))


def deal(cases: Cases, sizes: Mapping[str, int], seed: int) -> dict[str, Cases]:
    """Random cases in piles of these sizes, no case in two of them; the piles of one seed are always the same.

    Raises:
        ValueError: the piles ask for more cases than there are.
    """
    if sum(sizes.values()) > len(cases):
        raise ValueError(f"{sum(sizes.values()):,} cases are asked for ({dict(sizes)}) and there are {len(cases):,}")
    order = torch.randperm(len(cases), generator=torch.Generator().manual_seed(generator_seed(seed, "deal")))
    piles, start = {}, 0
    for name, size in sizes.items():
        piles[name] = cases[order[start : start + size]]
        start += size
    return piles


@torch.no_grad()
def logits_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits (n, classes), the model in eval mode."""
    model.eval()
    return torch.cat([model(batch) for batch in inputs.split(EVALUATION_BATCH)])


def errors(model: nn.Module, cases: Cases) -> int:
    """Number of cases whose largest logit is not their label's."""
    return int((logits_of(model, cases.inputs).argmax(1) != cases.labels).sum())


def fitted(
    build: Callable[[], nn.Module],
    settings: Mapping[str, Any],
    inputs: Tensor,
    objective: Objective,
    validation: Cases,
    *,
    seed: int,
    name: str,
) -> tuple[nn.Module, float]:
    """A net trained on ``inputs`` at the rate that is best on ``validation``, and that rate.

    ``build`` makes the untrained net, the same at every call; the order of cases is keyed by ``seed``.
    """
    batch_size = min(settings["training"]["batch_size"], len(inputs))
    steps_an_epoch = math.ceil(len(inputs) / batch_size)
    epochs = max(settings["training"]["epochs"], math.ceil(settings["least_steps"] / steps_an_epoch))

    def attempt(training: Training) -> nn.Module:
        model = build()
        whole = training.model_copy(update={"epochs": epochs, "batch_size": batch_size})
        train(model, lambda index: inputs[index], objective, len(inputs), whole, seed=seed, name=name)
        return model

    return at_the_best_rate(settings, attempt, lambda model: errors(model, validation))


def digital(task: Task, settings: Mapping[str, Any], seed: int) -> nn.Sequential:
    """An untrained net of rectified units with a learner's hidden layers and dropout."""
    training = settings["training"]
    sizes = (task.train.inputs.shape[1], *settings["hidden"], task.classes)
    return mlp(sizes, seed=seed, dropout_input=training["dropout_input"], dropout_hidden=training["dropout_hidden"])


def analogue(task: Task, settings: Mapping[str, Any], hardware: int, start: int) -> nn.Sequential:
    """An untrained net on the piece of hardware whose seed is ``hardware``, its weights keyed by ``start``; an arm's
    ``variability``, ``density`` and ``learner`` say of which kind."""
    sizes = (task.train.inputs.shape[1], *settings["learner"]["hidden"], task.classes)
    return analogue_net(sizes, Hardware(hardware, settings["variability"], settings["density"]), seed=start)


def from_labels(labels: Tensor, smoothing: float = 0.0) -> Objective:
    """Cross-entropy with labels, smoothed towards the uniform distribution."""
    return lambda logits, index: F.cross_entropy(logits, labels[index], label_smoothing=smoothing)


def from_targets(targets: Tensor, temperature: float) -> Objective:
    """T^2 times the soft cross-entropy at T with ``targets`` (n, classes)."""
    return lambda logits, index: temperature**2 * soft_cross_entropy(logits, targets[index], temperature)


def percent(count: float, cases: Cases) -> float:
    return 100 * count / len(cases)


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

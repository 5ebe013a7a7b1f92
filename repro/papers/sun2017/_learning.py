"""One net on some of a set's cases, at the rate that held-out cases choose. No experiment, as its underscore says."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data import sets
from repro.data.sets import hold_out
from repro.distill.transfer import balanced_subset
from repro.experiment import Context, Result
from repro.models.mlp import mlp
from repro.training.curves import Point
from repro.training.inputs import flat_float
from repro.training.loop import train
from repro.training.settings import Training
from repro.training.tuning import at_the_best_rate

EVALUATION_BATCH = 2000
Cases = tuple[Tensor, Tensor]  # inputs (n, features) float32, labels (n,)


@cache
def _parts(name: str, held_out: int) -> tuple[dict[str, Cases], int]:
    """Training, held-out and test cases, and the number of classes; read once per process."""
    data = sets.load(name)
    kept, held = hold_out(len(data.train), held_out, seed=0)
    inputs, labels = flat_float(data.train.images), data.train.labels
    test = flat_float(data.test.images), data.test.labels
    return {"train": (inputs[kept], labels[kept]), "held_out": (inputs[held], labels[held]), "test": test}, len(
        data.classes
    )


@torch.no_grad()
def accuracy(model: nn.Module, cases: Cases) -> float:
    """Right answers in %."""
    model.eval()
    device = next(model.parameters()).device
    batches = zip(*(part.split(EVALUATION_BATCH) for part in cases), strict=True)
    right = sum(int((model(inputs.to(device)).argmax(1).cpu() == labels).sum()) for inputs, labels in batches)
    return 100 * right / len(cases[1])


def fit(settings: Mapping[str, Any], seed: int, context: Context) -> Result:
    """A run: ``size`` cases of the seed's own choice, smaller choices within larger ones."""
    parts, classes = _parts(context.data, settings["held_out"])
    device = torch.device(context.device)
    chosen = balanced_subset(parts["train"][1], settings["size"], seed)
    inputs, labels = (part[chosen].to(device) for part in parts["train"])

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels[index])

    def attempt(training: Training) -> tuple[nn.Module, list[Point]]:
        model = mlp((inputs.shape[1], *settings["hidden"], classes), seed=seed).to(device)
        return model, train(
            model, lambda index: inputs[index], objective, len(inputs), training, seed=seed, name=context.name
        )

    (model, points), rate = at_the_best_rate(settings, attempt, lambda made: -accuracy(made[0], parts["held_out"]))
    metrics: dict[str, float | int | str] = {
        "test_accuracy": accuracy(model, parts["test"]),
        "held_out_accuracy": accuracy(model, parts["held_out"]),
        "train_loss": points[-1].value,
        "learning_rate": rate,
        "updates": points[-1].step,
        "weights": sum(p.numel() for p in model.parameters()),
    }
    return Result(metrics)

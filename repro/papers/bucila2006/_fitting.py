"""Nets of one hidden layer, how well they do on a problem's splits, and what they cost."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import save as serialised
from torch import Tensor, nn

from repro.distill import library, selection
from repro.distill.objective import distillation_loss
from repro.experiment import Context, CurvePoint
from repro.models.mlp import mlp
from repro.papers.bucila2006._arms import Steps
from repro.papers.bucila2006._problems import Floats, Problem, Singles
from repro.training import settings as house
from repro.training.curves import Point
from repro.training.keys import generator_seed
from repro.training.loop import DivergedError, train

TIMED_CASES = 2000
Tried = TypeVar("Tried")


@dataclass(frozen=True)
class Fitted:
    model: nn.Module
    metrics: dict[str, Any]
    curves: Sequence[CurvePoint]

    @property
    def score(self) -> float:
        return float(self.metrics["validation_rmse"])


def fit(
    split: Problem,
    inputs: Singles,
    targets: Singles,
    hidden: int,
    training: Steps,
    rate: float,
    seed: int,
    context: Context,
    *,
    judged_on: Sequence[str] = ("validation", "test"),
    checkpoint: Path | None = None,
) -> Fitted:
    """Train on probabilities of class 1, ``targets`` (cases,), by cross-entropy.

    The metrics are those of the evaluation with the lowest validation RMSE: the paper's early stopping.
    """
    rows, device = torch.from_numpy(inputs), torch.device(context.device)
    rows = rows.to(device)
    both = torch.from_numpy(np.stack([1 - targets, targets], axis=1)).to(device)
    model = mlp((rows.shape[1], hidden, 2), seed=generator_seed(seed, "mimic")).to(device)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return distillation_loss(logits, both[index], None)

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        found = {}
        for name in judged_on:
            probability = net_probability(model, split.coded[name])
            found[name] = {key.partition("_")[2]: v for key, v in judged(probability, split, name).items()}
        return found

    points = train(
        model,
        lambda index: rows[index],
        objective,
        len(rows),
        house.Training(**training.settings(len(rows), rate)),
        seed=generator_seed(seed, "mimic"),
        name=context.name,
        evaluate=evaluate,
        checkpoint=checkpoint,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    return Fitted(model, best(points), points)


def fit_best(tried: Iterable[Tried], fitted: Callable[[Tried], Fitted]) -> tuple[Tried, Fitted] | None:
    """What was tried and ``fitted`` with the lowest validation RMSE, the first of several.

    One whose loss diverges has been tried, and is never the best; None: all are such.
    """
    best: tuple[Tried, Fitted] | None = None
    for one in tried:
        try:
            found = fitted(one)
        except DivergedError:
            continue
        if best is None or found.score < best[1].score:
            best = one, found
    return best


def best(points: Sequence[Point]) -> dict[str, Any]:
    """Metrics of both splits at the epoch of the lowest validation RMSE, the earliest of several."""
    judged = [p for p in points if (p.split, p.metric) == ("validation", "rmse")]
    epoch = min(judged, key=lambda p: (p.value, p.epoch)).epoch
    found: dict[str, Any] = {f"{p.split}_{p.metric}": p.value for p in points if p.epoch == epoch}
    found.pop("train_loss")
    return found | {"best_epoch": epoch, "epochs": points[-1].epoch}


@torch.no_grad()
def net_probability(model: nn.Module, inputs: Singles) -> Floats:
    device = next(model.parameters()).device
    return torch.softmax(model(torch.from_numpy(inputs).to(device)), -1)[:, 1].double().cpu().numpy()


def judged(probability: Floats, split: Problem, name: str) -> dict[str, float]:
    labels = split.labels[name]
    right = (probability > 0.5) == labels
    rmse = float(selection.rmse(probability, labels))
    return {f"{name}_rmse": rmse, f"{name}_accuracy": float(right.mean())}


def cost(model: str, size_bytes: int, predict: Any, inputs: Singles) -> dict[str, Any]:
    seconds = library.cpu_seconds(predict, inputs)
    return {"model": model, "bytes": size_bytes, "seconds_per_10k_cases": seconds * 10_000 / len(inputs)}


def cost_of_net(name: str, model: nn.Module, split: Problem) -> dict[str, Any]:
    size_bytes = len(serialised({key: value.cpu() for key, value in model.state_dict().items()}))
    return cost(name, size_bytes, lambda x: net_probability(model, x), split.coded["test"][:TIMED_CASES])

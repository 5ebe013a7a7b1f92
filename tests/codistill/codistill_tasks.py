"""Tiny tasks for the tests of real runs: five Gaussian clouds, milliseconds a step; a folder of small pictures."""

import os
import time
from pathlib import Path

import torch
from torch import nn

from repro.codistill.task import Task
from repro.data import folders
from repro.models.mlp import mlp

EXAMPLES, FEATURES, CLASSES = 120, 12, 5


def net(seed: int, features: int, dropout: float, norm: bool) -> nn.Module:
    model = mlp((features, 16, CLASSES), seed=seed, dropout_hidden=dropout)
    return nn.Sequential(nn.BatchNorm1d(features), *model) if norm else model


def tiny(
    dropout: float = 0.0,
    norm: bool = False,
    delay_s: float = 0.0,
    differ: int | None = None,
    features: int = FEATURES,
) -> Task:
    """`delay_s`: what a batch takes, so that there is time to kill somebody; `differ`: the rank that has other data."""
    draws = torch.Generator().manual_seed(7)
    y = torch.randint(CLASSES, (EXAMPLES,), generator=draws)
    x = torch.randn(EXAMPLES, features, generator=draws) + torch.randn(CLASSES, features, generator=draws)[y]
    if differ is not None and differ == int(os.environ["RANK"]):
        x += 1

    def batch(rows: torch.Tensor, key: int) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(delay_s)
        return x[rows], y[rows]

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        return {"test": {"loss": float(nn.functional.cross_entropy(model(x), y))}}

    return Task(lambda seed: net(seed, features, dropout, norm), EXAMPLES, batch, evaluate=evaluate)


def pictures(folder: str, processes: int) -> Task:
    """A folder set's training pictures of 8 x 8, decoded by so many processes of each worker."""
    found = folders.read(Path(folder), "made")
    pixels = folders.Pixels(found.train, 8, training=True)

    def model(seed: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), *mlp((3 * 8 * 8, len(found.classes)), seed=seed))

    return Task(model, len(found.train), pixels, loader=folders.ahead(pixels, processes))


def conv_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 5))

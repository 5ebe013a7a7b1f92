"""A hundred classes: frozen features of images, or a generated problem that needs no data at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from repro.data import sets
from repro.models.patches import fit_patch_features
from repro.papers.hinton2023._learning import Cases, Task
from repro.training.checkpoint import write_tensors
from repro.training.keys import generator_seed

FEATURES = "features.safetensors"
CLASSES, GROUPS = 100, 20


def leave_features(data: str, settings: Mapping[str, Any], work: Path) -> None:
    """Features of both splits of an image set, with its labels, for the runs that need them."""
    images = sets.load(data)
    features = fit_patch_features(
        images.train.images,
        patches=settings["patches"],
        side=settings["side"],
        dimensions=settings["dimensions"],
        seed=0,
    )
    content = {}
    for split, part in (("train", images.train), ("test", images.test)):
        content[f"{split}_inputs"] = features(part.images).half()
        content[f"{split}_labels"] = part.labels
    write_tensors(work / FEATURES, content)


def left_features(folder: Path) -> Task:
    """The task that ``leave_features`` left."""
    content = load_file(folder / FEATURES)
    train, test = (Cases(content[f"{s}_inputs"].float(), content[f"{s}_labels"]) for s in ("train", "test"))
    return Task(train, test, int(train.labels.max()) + 1)


def generated(train: int, test: int, dimensions: int) -> Task:
    """A hundred Gaussian clouds in twenty groups of five that lie near each other, as kinds of fish or of trees do.

    The problem is always the same: nothing but its size can be chosen.
    """
    generator = torch.Generator().manual_seed(generator_seed("hundred classes"))
    group_of = torch.arange(CLASSES) // (CLASSES // GROUPS)
    groups = torch.randn(GROUPS, dimensions, generator=generator)
    centres = groups[group_of] + 0.6 * torch.randn(CLASSES, dimensions, generator=generator)

    def draw(cases: int) -> Cases:
        labels = torch.randint(CLASSES, (cases,), generator=generator)
        return Cases(centres[labels] + torch.randn(cases, dimensions, generator=generator), labels)

    return Task(draw(train), draw(test), CLASSES)

"""A convolutional net trained on some classes of an image set, judged on held-out training cases and on the test set.

Errors on held-out cases choose learning rates, those on the test set are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from repro.data.sets import ImageSet, LabelledImages, hold_out
from repro.training.curves import Point
from repro.training.device import precision_used
from repro.training.inputs import flat_float, inputs_for
from repro.training.loop import train
from repro.training.settings import Training

EVALUATION_BATCH = 500


def every(cases: LabelledImages, step: int) -> LabelledImages:
    """The cases of classes 0, step, 2 step and so on, their labels counted 0, 1, 2."""
    chosen = cases.labels % step == 0
    return LabelledImages(cases.images[chosen], cases.labels[chosen] // step)


@dataclass(frozen=True)
class Split:
    """Cases to learn from, to choose by and to be judged on; ``shape`` is an image's (channels, height, width)."""

    train: LabelledImages
    held_out: LabelledImages
    test: LabelledImages
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        images = self.train.images
        channels = images.shape[1] if images.dim() == 4 else 1
        return channels, images.shape[-2], images.shape[-1]


def split(data: ImageSet, *, every_class: int, held_out: int) -> Split:
    """Every so many-th class of a set; the same ``held_out`` of its training cases are held out at every call."""
    cases = every(data.train, every_class)
    kept, held = hold_out(len(cases), held_out, seed=0)
    return Split(
        LabelledImages(cases.images[kept], cases.labels[kept]),
        LabelledImages(cases.images[held], cases.labels[held]),
        every(data.test, every_class),
        len(range(0, len(data.classes), every_class)),
    )


@torch.no_grad()
def errors(model: nn.Module, cases: LabelledImages) -> int:
    """Wrong answers of a model in eval mode, which takes rows of pixels."""
    device = next(model.parameters()).device
    wrong = 0
    for images, labels in zip(cases.images.split(EVALUATION_BATCH), cases.labels.split(EVALUATION_BATCH), strict=True):
        wrong += int((model(flat_float(images.to(device))).argmax(1).cpu() != labels).sum())
    return wrong


@dataclass(frozen=True)
class Fitted:
    """What a run found: ``metrics`` for its row, and its learning curves."""

    metrics: Mapping[str, float | int | str]
    curves: Sequence[Point]


def fit(
    net: nn.Module,
    cases: Split,
    training: Training,
    *,
    seed: int,
    name: str,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_interval_s: float = 60.0,
) -> Fitted:
    """Train ``net``, images (batch, channels, height, width) to logits, by cross-entropy on the labels.

    Raises:
        DivergedError: an epoch's mean loss is not finite.
    """
    where = torch.device(device)
    # Channels last in memory: a fifth faster on a processor for nets of few channels.
    model = nn.Sequential(nn.Unflatten(1, cases.shape), net).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    targets = cases.train.labels.to(where)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, targets[index])

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        parts = {"held_out": cases.held_out, "test": cases.test}
        return {part: {"errors": errors(model, judged)} for part, judged in parts.items()}

    points = train(
        model,
        inputs_for(cases.train.images.to(where), training.jitter_pixels),
        objective,
        len(cases.train),
        training,
        seed=seed,
        name=name,
        evaluate=evaluate,
        checkpoint=checkpoint,
        checkpoint_interval_s=checkpoint_interval_s,
    )
    last = {(p.split, p.metric): p.value for p in points}
    metrics: dict[str, float | int | str] = {
        "test_errors": int(last["test", "errors"]),
        "test_cases": len(cases.test),
        "held_out_errors": int(last["held_out", "errors"]),
        "held_out_cases": len(cases.held_out),
        "train_loss": last["train", "loss"],
        "precision": precision_used(training.precision, where),
    }
    return Fitted(metrics, points)

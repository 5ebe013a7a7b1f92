"""How a ShuffleNet is trained on small images. The leading underscore says that it is no experiment."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from repro.data import sets
from repro.data.sets import LabelledImages, hold_out
from repro.experiment import Context, Result
from repro.models.shufflenet import Architecture, counts, shufflenet
from repro.runner import CHECKPOINT
from repro.training.device import precision_used
from repro.training.inputs import flat_float, inputs_for
from repro.training.loop import train
from repro.training.settings import Training

EVALUATION_BATCH = 500


def every(cases: LabelledImages, step: int) -> LabelledImages:
    """The cases of classes 0, step, 2 step and so on, their labels counted 0, 1, 2."""
    chosen = cases.labels % step == 0
    return LabelledImages(cases.images[chosen], cases.labels[chosen] // step)


@torch.no_grad()
def errors(model: nn.Module, cases: LabelledImages) -> int:
    """Wrong answers of a model in eval mode."""
    device = next(model.parameters()).device
    wrong = 0
    for images, labels in zip(cases.images.split(EVALUATION_BATCH), cases.labels.split(EVALUATION_BATCH), strict=True):
        wrong += int((model(flat_float(images.to(device))).argmax(1).cpu() != labels).sum())
    return wrong


def fit(settings: Mapping[str, Any], seed: int, context: Context) -> Result:
    """One run: a net of the arm's settings on its classes, judged on held-out training cases and on the test set."""
    data = sets.load(context.data)
    step = settings["every_class"]
    cases, test = every(data.train, step), every(data.test, step)
    kept, held = hold_out(len(cases), settings["held_out"], seed=0)
    held_out = LabelledImages(cases.images[held], cases.labels[held])
    images, labels = cases.images[kept], cases.labels[kept]

    shape = images.shape[1:] if images.dim() == 4 else (1, *images.shape[1:])
    classes = len(range(0, len(data.classes), step))
    stages = len(settings["repeats"])
    net = Architecture(
        settings["groups"],
        settings["stem"],
        tuple(settings["outputs"] * 2**stage for stage in range(stages)),
        tuple(settings["repeats"]),
        settings["stem_stride"],
        pool=False,
    )
    convolutions = shufflenet(net, classes, seed=seed, channels=shape[0], order=settings["order"])
    device = torch.device(context.device)
    # Channels last in memory: a fifth faster on a processor at these widths.
    model = nn.Sequential(nn.Unflatten(1, shape), convolutions).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = Training(**settings["training"])
    targets = labels.to(device)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, targets[index])

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        return {split: {"errors": errors(model, part)} for split, part in (("held_out", held_out), ("test", test))}

    points = train(
        model,
        inputs_for(images.to(device), training.jitter_pixels),
        objective,
        len(images),
        training,
        seed=seed,
        name=context.name,
        evaluate=evaluate,
        checkpoint=context.work / CHECKPOINT,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    last = {(p.split, p.metric): p.value for p in points}
    counted = counts(net, shape[1], classes, channels=shape[0])
    metrics: dict[str, float | int | str] = {
        "test_errors": int(last["test", "errors"]),
        "test_cases": len(test),
        "held_out_errors": int(last["held_out", "errors"]),
        "held_out_cases": len(held_out),
        "train_loss": last["train", "loss"],
        "multiply_adds": counted.multiply_adds,
        "parameters": counted.parameters,
        "precision": precision_used(training.precision, device),
    }
    return Result(metrics, [(p.epoch, p.step, p.split, p.metric, p.value) for p in points])

"""What the experiments of section 3 share: nets, how they are trained and how errors are counted.

The leading underscore says that it is no experiment.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from repro.data.sets import ImageSet, LabelledImages, load_once
from repro.distill.objective import distillation_loss, soft_targets
from repro.experiment import Arm, Context, Result
from repro.models.mlp import mlp
from repro.models.strided_convnet import strided_convnet
from repro.runner import CHECKPOINT
from repro.training.checkpoint import write_tensors
from repro.training.curves import Point
from repro.training.device import precision_used
from repro.training.inputs import flat_float, inputs_for
from repro.training.keys import generator_seed
from repro.training.loop import Objective, train
from repro.training.settings import Training

LOGITS = "logits.safetensors"
EVALUATION_BATCH = 2000


def subset(cases: LabelledImages, index: Tensor) -> LabelledImages:
    return LabelledImages(cases.images[index], cases.labels[index])


def build(settings: Mapping[str, Any], data: ImageSet, seed: int) -> nn.Sequential:
    """An untrained net with the arm's convolutions, hidden layers and dropout, its weights keyed by the seed."""
    training = Training(**settings["training"])
    image = data.train.images[0]
    layer_sizes = (*settings["hidden"], len(data.classes))
    if channels := settings.get("channels"):
        return strided_convnet((1, *image.shape)[-3:], channels, layer_sizes, seed=seed)
    return mlp(
        (image.numel(), *layer_sizes),
        seed=seed,
        dropout_input=training.dropout_input,
        dropout_hidden=training.dropout_hidden,
    )


def student_seed(seed: int) -> int:
    """The seed of a student's weights and of the order of its cases.

    Apart from its teacher's: nets keyed alike begin with alike rows of weights, and an initialisation shared with
    the teacher would help the student in a way that has nothing to do with soft targets.
    """
    return generator_seed(seed, "student")


@torch.no_grad()
def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, classes) in float32 on the processor, the model in eval mode."""
    model.eval()
    device = next(model.parameters()).device
    batches = images.split(EVALUATION_BATCH)
    return torch.cat([model(flat_float(batch.to(device))).float().cpu() for batch in batches])


def errors(logits: Tensor, labels: Tensor) -> int:
    """Number of cases whose largest logit is not their label's."""
    return int((logits.argmax(1) != labels).sum())


def error_count(logits: Tensor, labels: Tensor) -> dict[str, float]:
    return {"errors": errors(logits, labels)}


def errors_and_loss(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Number of errors and mean cross-entropy with the labels, in nats."""
    return error_count(logits, labels) | {"cross_entropy": float(F.cross_entropy(logits, labels))}


def distilling(
    settings: Mapping[str, Any], labels: Tensor, teacher_logits: Tensor | None, device: torch.device
) -> Objective:
    """The arm's objective over cases in the order of ``labels``; targets are made once for all epochs."""
    temperature = settings.get("temperature", 1.0)
    soft_weight, hard_weight = settings.get("soft_weight", 0.0), settings.get("hard_weight", 1.0)
    labels = labels.to(device)
    targets = None
    if soft_weight and teacher_logits is not None:
        targets = soft_targets(teacher_logits, temperature).to(device)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return distillation_loss(
            logits,
            targets[index] if targets is not None else None,
            labels[index],
            temperature=temperature,
            soft_weight=soft_weight,
            hard_weight=hard_weight,
        )

    return objective


def fit(
    settings: Mapping[str, Any],
    seed: int,
    context: Context,
    cases: LabelledImages,
    judged_on: Mapping[str, LabelledImages],
    objective: Objective,
    *,
    weights_seed: int | None = None,
    measure: Callable[[Tensor, Tensor], Mapping[str, float]] = error_count,
) -> tuple[nn.Module, list[Point]]:
    """Train a net on ``cases`` with everything random keyed by ``seed``, or its initial weights apart by
    ``weights_seed``; its curves ``measure`` the logits against the labels of each split of ``judged_on``."""
    training = Training(**settings["training"])
    device = torch.device(context.device)
    weights = seed if weights_seed is None else weights_seed
    model = build(settings, load_once(context.data), weights).to(device)

    def evaluate(model: nn.Module) -> dict[str, Mapping[str, float]]:
        return {split: measure(logits_of(model, held.images), held.labels) for split, held in judged_on.items()}

    points = train(
        model,
        inputs_for(cases.images.to(device), training.jitter_pixels),
        objective,
        len(cases),
        training,
        seed=seed,
        name=context.name,
        evaluate=evaluate,
        checkpoint=context.work / CHECKPOINT,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    return model, points


def outcome(points: list[Point], judged_on: Mapping[str, LabelledImages]) -> dict[str, Any]:
    """The last error count of each split, with its number of cases: the metrics of a run."""
    last = {(p.split, p.metric): p.value for p in points}
    found: dict[str, Any] = {}
    for split, cases in judged_on.items():
        found[f"{split}_errors"] = int(last[split, "errors"])
        found[f"{split}_cases"] = len(cases)
    found["train_loss"] = last["train", "loss"]
    return found


def precision(settings: Mapping[str, Any], context: Context) -> dict[str, str]:
    return {"precision": precision_used(settings["training"]["precision"], torch.device(context.device))}


def leave_logits(work: Path, model: nn.Module, data: ImageSet) -> None:
    """Leave a teacher's logits on all training and test cases, by sample index, for those that need it."""
    content = {split: logits_of(model, getattr(data, split).images) for split in ("train", "test")}
    write_tensors(work / LOGITS, content)


def left_logits(folder: Path) -> dict[str, Tensor]:
    """``train`` and ``test`` logits of a teacher, (cases, classes) float32 in the data set's order."""
    return load_file(folder / LOGITS)


def fit_student(
    settings: Mapping[str, Any], seed: int, context: Context, index: Tensor | None = None
) -> tuple[nn.Module, list[Point]]:
    """Train a student on the training cases ``index`` (None: all), judged on the test set.

    Its soft targets, where it has any, are those that the needed teacher gave to the same cases.
    """
    data = load_once(context.data)
    cases = data.train if index is None else subset(data.train, index)
    teacher = None
    if settings["soft_weight"]:
        teacher = left_logits(context.inputs["teacher"])["train"]
        teacher = teacher if index is None else teacher[index]
    objective = distilling(settings, cases.labels, teacher, torch.device(context.device))
    return fit(settings, student_seed(seed), context, cases, {"test": data.test}, objective)


def run_student(arm: Arm, seed: int, context: Context) -> Result:
    """A whole run of a student on all training cases."""
    model, points = fit_student(arm.settings, seed, context)
    return outcome_on_all_cases(arm, context, model, points)


def outcome_on_all_cases(arm: Arm, context: Context, model: nn.Module, points: list[Point]) -> Result:
    """The result of a net trained on all training cases, with its errors on them."""
    data = load_once(context.data)
    train_errors = errors(logits_of(model, data.train.images), data.train.labels)
    metrics = outcome(points, {"test": data.test}) | {"train_errors": train_errors}
    return Result(metrics | precision(arm.settings, context), points)

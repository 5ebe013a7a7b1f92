"""The generalist's top trained on, on all classes: as a control, and to distil generalist and specialists into one."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from repro.data.sets import ImageSet, load_once
from repro.distill.combine import combine, consulted
from repro.distill.objective import distillation_loss
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _specialist_nets as nets
from repro.papers.hinton2015._specialist_arms import MOST_COVERING
from repro.papers.hinton2015._specialist_nets import Generalist, percent_right
from repro.papers.hinton2015._specialist_runs import coverage
from repro.runner import CHECKPOINT
from repro.training.keys import generator_seed
from repro.training.loop import train
from repro.training.settings import Training


def longer(arm: Arm, seed: int, context: Context) -> Result:
    """The control: the generalist's top trained on, on all classes; judged beside specialists, alone on their classes
    and by how many cover a class, where the settings name their class sets."""
    settings = arm.settings
    result = _whole(settings, seed, context, None, 1.0)
    if "count" not in settings:
        return result
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    labels, before, after = data.test.labels, teacher["test_logits"], nets.left_top(context.work)
    sets = teacher.class_sets(settings, seed)
    asked, right = nets.conditional(before, [after[:, class_set] for class_set in sets], sets, labels)
    covering = sets.sum(0)[labels].clamp_max(MOST_COVERING)
    table = coverage(before.argmax(1) == labels, after.argmax(1) == labels, covering)
    metrics = dict(result.metrics) | {"generalist_conditional": asked, "conditional": right}
    return Result(metrics, result.curves, {"coverage": table})


def distilled(arm: Arm, seed: int, context: Context) -> Result:
    """The generalist's top taught by a combination with specialists, by its own soft targets, or by labels alone."""
    settings = arm.settings
    if settings["targets"] == "labels":
        return _whole(settings, seed, context, None, 1.0)
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    kept = teacher["kept"]
    p = torch.softmax(teacher["train_logits"][kept].double(), 1)
    if "specialists" in settings:
        p = _combined(settings["specialists"], p, context, teacher, data)
    targets = torch.zeros_like(teacher["train_logits"])
    targets[kept] = p.float()
    return _whole(settings, seed, context, targets, settings["hard_weight"])


def _combined(settings: Mapping[str, Any], p: Tensor, context: Context, teacher: Generalist, data: ImageSet) -> Tensor:
    """Eq 5 on the cases that the generalist knows; specialists answer where they are asked only."""
    kept, labels = teacher["kept"], data.train.labels
    folder = next(path for label, path in context.inputs.items() if not label.startswith("generalist"))
    left = nets.left_specialists(settings, folder, teacher)
    sets = torch.stack([class_set for class_set, _ in left])
    asked = consulted(p, sets)
    maps = teacher.maps("train")[0]
    answers = []
    for number, (class_set, net) in enumerate(left):
        cases = asked[:, number]
        logits = nets.answers(net, maps[kept[cases]])
        said = torch.full((len(kept), int(class_set.sum()) + 1), 1 / (1 + int(class_set.sum())))
        said[cases] = nets.probabilities(settings["kind"], logits, class_set, nets.share_of(labels[kept], class_set))
        answers.append(said)
    return combine(p, answers, sets, asked)


def _whole(
    settings: Mapping[str, Any], seed: int, context: Context, targets: Tensor | None, hard_weight: float
) -> Result:
    """Train the generalist's top on all kept cases, on soft ``targets`` (all training cases, classes) if given."""
    data, teacher = load_once(context.data), Generalist.needed_by(context)
    kept, held_out, labels = teacher["kept"], teacher["held_out"], data.train.labels
    net = nets.body_of(teacher)
    views = nets.Views(teacher.maps("train"))
    training = Training(**settings["training"])

    def inputs(index: Tensor) -> Tensor:
        return views(kept[index])

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        cases = kept[index]
        soft = None if targets is None else targets[cases]
        return distillation_loss(
            logits, soft, labels[cases], soft_weight=float(soft is not None), hard_weight=hard_weight
        )

    points = train(
        net, inputs, objective, len(kept), training, seed=generator_seed(seed, "top"), name=context.name,
        checkpoint=context.work / CHECKPOINT, checkpoint_interval_s=context.checkpoint_interval_s,
    )  # fmt: skip
    validation = nets.answers(net, teacher.maps("train")[0][held_out])
    test = nets.answers(net, teacher.maps("test")[0])
    nets.leave_top(context.work, test)
    metrics: dict[str, Any] = {
        "generalist": teacher.fingerprint,
        "generalist_accuracy": percent_right(teacher["test_logits"], data.test.labels),
        "accuracy": percent_right(test, data.test.labels),
        "validation_accuracy": percent_right(validation, labels[held_out]),
    }
    return Result(metrics, points)

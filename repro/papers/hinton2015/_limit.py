"""The runs of ``mnist_logit_limit``."""

import numpy as np
import torch
from torch import Tensor

from repro.data.sets import load_once
from repro.distill.objective import distillation_loss, logit_matching_loss, soft_targets
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _nets as nets
from repro.training.loop import Objective


def zero_meaned(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def distance(logits: Tensor, others: Tensor) -> float:
    """Root mean square difference of zero-meaned logits (cases, classes)."""
    return float((zero_meaned(logits) - zero_meaned(others)).square().mean().sqrt())


def student(arm: Arm, seed: int, context: Context) -> Result:
    """A student at the arm's temperature, or one of logit regression where it has none."""
    data = load_once(context.data)
    teacher = nets.left_logits(context.inputs["teacher"])
    device = torch.device(context.device)
    temperature = arm.settings["temperature"]
    targets = teacher["train"].to(device)

    def regression(logits: Tensor, index: Tensor) -> Tensor:
        return logit_matching_loss(logits, targets[index])

    objective: Objective = regression
    if temperature is not None:
        settings = {"temperature": temperature, "soft_weight": 1.0, "hard_weight": 0.0}
        objective = nets.distilling(settings, data.train.labels, teacher["train"], device)
    judged_on = {"test": data.test}
    model, points = nets.fit(arm.settings, nets.student_seed(seed), context, data.train, judged_on, objective)
    nets.leave_logits(context.work, model, data)
    metrics = nets.outcome(points, judged_on)
    logits = nets.logits_of(model, data.test.images)
    metrics["distance_to_teacher"] = distance(logits, teacher["test"])
    if temperature is not None:
        metrics["distance"] = distance(logits, nets.left_logits(context.inputs["logits"])["test"])
    return Result(metrics | nets.precision(arm.settings, context), points)


def distance_of_seeds(seed: int, context: Context) -> Result:
    """The yardstick: how far two logit-regression students of neighbouring seeds are apart."""
    mine = nets.left_logits(context.inputs[f"logits.{seed}"])["test"]
    other = nets.left_logits(context.inputs[f"logits.{seed + 1}"])["test"]
    return Result({"distance": distance(mine, other)})


def gradients(arm: Arm, seed: int, context: Context) -> Result:
    """Eq 2 against autograd, and T^2 eq 2 against eq 4 over T, in float64 on real logits.

    The student is the untrained net of this seed plus a third of the way to the trained one, so that its
    logits are of the teacher's size without being equal to them.
    """
    count = arm.settings["cases"]
    v = nets.left_logits(context.inputs["teacher"])["train"][:count].double()
    data = load_once(context.data)
    start = nets.logits_of(nets.build(arm.settings, data, nets.student_seed(seed)), data.train.images[:count]).double()
    end = nets.left_logits(context.inputs["logits"])["train"][:count].double()
    z = start + (end - start) / 3
    classes = z.shape[1]
    matched = (zero_meaned(z) - zero_meaned(v)) / classes
    rows = []
    eq2_error = 0.0
    for temperature in arm.settings["temperatures"]:
        eq2 = (soft_targets(z, temperature) - soft_targets(v, temperature)) / temperature
        leaf = z.clone().requires_grad_()
        # The mean over the batch is undone, so that the gradient is per case; T^2 is part of the loss.
        loss = count * distillation_loss(leaf, soft_targets(v, temperature), None, temperature=temperature)
        (by_autograd,) = torch.autograd.grad(loss, leaf)
        scaled = temperature**2 * eq2
        eq2_error = max(eq2_error, float((by_autograd - scaled).norm() / scaled.norm()))
        rows.append(
            {
                "temperature": temperature,
                "relative_distance": float((scaled - matched).norm() / matched.norm()),
            }
        )
    top = rows[len(rows) // 2 :]
    slope = np.polyfit(
        np.log([row["temperature"] for row in top]), np.log([row["relative_distance"] for row in top]), 1
    )[0]
    return Result({"eq2_error": eq2_error, "slope": float(slope)}, [], {"gradients": rows})

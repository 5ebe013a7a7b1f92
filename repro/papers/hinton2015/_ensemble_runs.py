"""The runs of ``ensembles``, by role."""

import torch
from safetensors.torch import load_file

from repro.data.sets import load_once
from repro.distill.ensemble import arithmetic_mean, geometric_mean, teacher_logits
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _nets as nets
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._few_labels import Runner, few_labels, of_a_grid
from repro.training.checkpoint import write_tensors
from repro.training.keys import generator_seed

MEMBERS = "members.safetensors"


def net(arm: Arm, seed: int, context: Context) -> Result:
    """A net on labels. The nets of one seed see the same cases in the same order and differ in their initial weights
    alone; one of a grid is no member and begins apart from all of them."""
    settings = tuned.with_best(arm.settings, context)
    data = load_once(context.data)
    seen = few_labels(settings, data, seed)
    objective = nets.distilling(settings, seen.cases.labels, None, torch.device(context.device))
    weights = generator_seed(seed, "member", settings.get("member", "of a grid"))
    model, points = nets.fit(settings, seed, context, seen.cases, seen.judged_on, objective, weights_seed=weights)
    metrics = nets.outcome(points, seen.judged_on)
    tuned.leave(context, settings, metrics["validation_errors"])
    nets.leave_logits(context.work, model, data)
    metrics["train_errors"] = nets.errors(nets.logits_of(model, seen.cases.images), seen.cases.labels)
    return Result(metrics | tuned.told(settings) | nets.precision(settings, context))


def teacher(arm: Arm, seed: int, context: Context) -> Result:
    """Several nets' predictions, averaged both ways; trains nothing. Leaves the members' logits on the cases seen."""
    data = load_once(context.data)
    seen = few_labels(arm.settings, data, seed)
    left = [nets.left_logits(folder) for folder in context.inputs.values()]
    train = torch.stack([logits["train"] for logits in left])
    test = torch.stack([logits["test"] for logits in left])
    write_tensors(context.work / MEMBERS, {"train": train[:, seen.index]})
    validation, labels = train[:, seen.validation_index], seen.validation.labels
    return Result(
        {
            "test_errors": nets.errors(arithmetic_mean(test), seen.test.labels),
            "geometric_test_errors": nets.errors(geometric_mean(test), seen.test.labels),
            "members_test_errors": sum(nets.errors(one, seen.test.labels) for one in test) / len(test),
            "test_cases": len(seen.test),
            "validation_errors": nets.errors(arithmetic_mean(validation), labels),
            "validation_cases": len(labels),
        }
    )


def student(arm: Arm, seed: int, context: Context) -> Result:
    """A net of a member's size that learns from a teacher's softened predictions and the labels of the same cases.

    Student s learns from ensemble s mod n, on that ensemble's cases.
    """
    settings = tuned.with_best(arm.settings, context)
    seen = few_labels(settings, load_once(context.data), seed % settings["ensembles"])
    folder = next(folder for folder in context.inputs.values() if (folder / MEMBERS).exists())
    logits = teacher_logits(load_file(folder / MEMBERS)["train"], settings["mean"], settings["temperature"])
    objective = nets.distilling(settings, seen.cases.labels, logits, torch.device(context.device))
    _, points = nets.fit(settings, nets.student_seed(seed), context, seen.cases, seen.judged_on, objective)
    metrics = nets.outcome(points, seen.judged_on)
    tuned.leave(context, settings, metrics["validation_errors"])
    return Result(metrics | tuned.told(settings) | nets.precision(settings, context))


RUNS: dict[str, Runner] = {
    "net": net,
    "net_grid": of_a_grid(net),
    "teacher": teacher,
    "student": student,
    "student_grid": of_a_grid(student),
}

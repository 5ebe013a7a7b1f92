"""The runs of ``soft_regularisers``, by role."""

import torch

from repro.data.sets import load_once
from repro.distill.objective import smoothed_labels
from repro.experiment import Arm, Context, Result
from repro.papers.hinton2015 import _nets as nets
from repro.papers.hinton2015 import _tuned as tuned
from repro.papers.hinton2015._few_labels import Runner, few_labels, of_a_grid
from repro.training.curves import Point


def full(arm: Arm, seed: int, context: Context) -> Result:
    """The net on all training cases that are not held out; leaves its logits, or, in a grid, how it did."""
    settings, data = tuned.with_best(arm.settings, context), load_once(context.data)
    seen = few_labels(settings, data, seed)
    judged_on = {"train": seen.cases, **seen.judged_on}
    objective = nets.distilling(settings, seen.cases.labels, None, torch.device(context.device))
    model, points = nets.fit(settings, seed, context, seen.cases, judged_on, objective)
    metrics, tried = nets.outcome(points, judged_on), arm.settings["tried_with_rate"]
    if arm.settings["role"] == "full":
        nets.leave_logits(context.work, model, data)
    else:
        tuned.leave(context, settings, metrics["validation_errors"], *tried)
    return Result(metrics | tuned.told(settings, *tried) | nets.precision(settings, context))


def student(arm: Arm, seed: int, context: Context) -> Result:
    """A net on few cases: with their labels, with smoothed labels, or with the soft targets of the full net."""
    settings = tuned.with_best(arm.settings, context)
    tried = arm.settings["tried_with_rate"]
    data = load_once(context.data)
    seen = few_labels(settings, data, seed)
    judged_on = {"train": seen.cases, **seen.judged_on}
    teacher = None
    if epsilon := settings.get("smoothing"):
        # Smoothed labels are the predictions of a teacher that knows the label and nothing else.
        teacher = smoothed_labels(seen.cases.labels, len(data.classes), epsilon).log()
    elif settings["soft_weight"]:
        folder = next(folder for folder in context.inputs.values() if (folder / nets.LOGITS).exists())
        teacher = nets.left_logits(folder)["train"][seen.index]
    objective = nets.distilling(settings, seen.cases.labels, teacher, torch.device(context.device))
    _, points = nets.fit(
        settings, nets.student_seed(seed), context, seen.cases, judged_on, objective, measure=nets.errors_and_loss
    )
    metrics = nets.outcome(points, judged_on) | early_stopped(points)
    tuned.leave(context, settings, metrics["validation_errors"], *tried)
    drawn = [point for point in points if point.metric != "loss" and arm.settings["role"] == "student"]
    found = metrics | tuned.told(settings, *tried) | nets.precision(settings, context)
    return Result(found, drawn)


def early_stopped(points: list[Point]) -> dict[str, int]:
    """The epoch with the fewest validation errors, the first of several, and the errors of each split there."""
    errors: dict[int, dict[str, int]] = {}
    for point in points:
        if point.metric == "errors":
            errors.setdefault(point.epoch, {})[point.split] = int(point.value)
    epoch = min(errors, key=lambda e: (errors[e]["validation"], e))
    return {"stopped_epoch": epoch, **{f"stopped_{split}_errors": n for split, n in errors[epoch].items()}}


RUNS: dict[str, Runner] = {
    "full": full,
    "full_grid": of_a_grid(full),
    "student": student,
    "student_grid": of_a_grid(student),
    "student_sweep": student,
}

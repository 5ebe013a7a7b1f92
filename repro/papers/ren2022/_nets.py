"""What the experiments of this paper share: data as tokens, nets, estimators, learning and counting errors."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repro.data.sets import ImageSet, LabelledImages, hold_out, load_once, stratified
from repro.errors import UserError
from repro.experiment import Arm, Context, Result
from repro.files import write_text
from repro.perturb.cost import multiply_adds
from repro.perturb.estimators import (
    ActivityPerturbation,
    Backprop,
    DirectFeedbackAlignment,
    Estimator,
    FeedbackAlignment,
    FrozenFeatures,
    WeightPerturbation,
)
from repro.perturb.learn import by, learn
from repro.perturb.nets import Net, Parameters, forward, local_mixer, patches_of
from repro.perturb.settings import Learning
from repro.perturb.signals import Batch, Local
from repro.runner import CHECKPOINT
from repro.training.loop import DivergedError

VALIDATION = "validation.json"
EVALUATION_BATCH = 50

# What each method is: made from the net and a seed, by which fixed feedback is drawn.
ESTIMATORS: Mapping[str, Callable[[Net, int], Estimator]] = {
    "bp": lambda net, seed: Backprop(),
    "lg_bp": lambda net, seed: Backprop(Local()),
    "fa": FeedbackAlignment.of,
    "dfa": DirectFeedbackAlignment.of,
    "wp8": lambda net, seed: WeightPerturbation(8, "rank_one_signs"),
    "fg_w": lambda net, seed: WeightPerturbation(noise="gaussian"),
    "fg_a": lambda net, seed: ActivityPerturbation(noise="gaussian"),
    "lg_fg_w": lambda net, seed: WeightPerturbation(noise="gaussian", local=Local()),
    "lg_fg_a": lambda net, seed: ActivityPerturbation(noise="gaussian", local=Local()),
    "frozen": lambda net, seed: FrozenFeatures(),
}


def part(cases: LabelledImages, size: int | None) -> LabelledImages:
    """All cases, or a stratified part of ``size`` of them, the same at every call."""
    if size is None:
        return cases
    if size > len(cases):
        raise UserError(f"train_cases {size}: there are only {len(cases)} training cases; choose fewer or leave it out")
    index = torch.tensor(stratified(cases.labels.tolist(), size, seed=0))
    return LabelledImages(cases.images[index], cases.labels[index])


def mixer_for(shape: Mapping[str, int], data: ImageSet) -> Net:
    """The LocalMixer of a shape on these images."""
    image = data.train.images[0]
    colours = image.shape[0] if image.dim() == 3 else 1
    return local_mixer(**shape, side=image.shape[-1], colours=colours, classes=len(data.classes))


def case_tensors(cases: LabelledImages, patches: int, device: str) -> tuple[Tensor, Tensor]:
    """Tokens and labels, on the device."""
    return patches_of(cases.images, patches).to(device), cases.labels.to(device)


def start(net: Net, seed: int, device: str) -> Parameters:
    """Initial parameters, the same on every device."""
    return {name: value.to(device) for name, value in net.initial(seed).items()}


@torch.no_grad()
def errors(net: Net, parameters: Parameters, tokens: Tensor, labels: Tensor) -> int:
    """Wrong answers of the final head."""
    wrong = 0
    for x, y in zip(tokens.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        wrong += int((forward(net, parameters, x).outputs.argmax(1) != y).sum())
    return wrong


def run_study(arm: Arm, seed: int, context: Context) -> Result:
    """One run of a study: a tuning run is judged on held-out cases, any other learns at the best rate of its tuning
    runs on all training cases and is judged on the test set."""
    settings, data = arm.settings, load_once(context.data)
    train = part(data.train, settings["train_cases"])
    kept, held = hold_out(len(train), settings["held_out"], seed=0)
    held_out = LabelledImages(train.images[held], train.labels[held])
    if settings["tuning"]:
        train = LabelledImages(train.images[kept], train.labels[kept])
        judged, learning = {"validation": held_out}, Learning(**settings["learning"])
    else:
        rate = best_rate(context.inputs.values())
        judged, learning = {"test": data.test}, Learning(**settings["learning"] | {"learning_rate": rate})
    net = mixer_for(settings["net"], data)
    estimator = ESTIMATORS[settings["method"]](net, seed + 1)
    patches = settings["net"]["patches"]
    x, y = case_tensors(train, patches, context.device)
    splits = {split: case_tensors(cases, patches, context.device) for split, cases in judged.items()}
    splits["train"] = (x, y)

    def evaluate(parameters: Parameters) -> dict[str, dict[str, float]]:
        return {split: {"errors": errors(net, parameters, *cases)} for split, cases in splits.items()}

    # The seed of a tuning run is that of no other run: weights and orders of the two are keyed apart.
    key = 1000 + seed if settings["tuning"] else seed
    parameters = start(net, key, context.device)
    metrics: dict[str, Any] = {
        "learning_rate": learning.learning_rate,
        "parameters": net.parameter_count(),
        "multiply_adds_per_case": multiply_adds(net, settings["method"]),
    }
    for split, cases in splits.items():
        metrics[f"{split}_cases"] = len(cases[1])
    try:
        points = learn(
            parameters,
            by(net, estimator),
            lambda index: Batch(x[index], y[index]),
            len(x),
            learning,
            seed=key,
            name=context.name,
            evaluate=evaluate,
            checkpoint=context.work / CHECKPOINT,
            checkpoint_interval_s=context.checkpoint_interval_s,
        )
        last = {(p.split, p.metric): p.value for p in points}
        metrics |= {f"{split}_errors": int(last[split, "errors"]) for split in splits}
        metrics["train_loss"] = last["train", "loss"]
    except (DivergedError, UserError):
        if not settings["tuning"]:
            raise
        # A rate that is too high is a finding of the search, not the end of it: as bad as always wrong.
        points, metrics = [], metrics | {f"{split}_errors": len(cases[1]) for split, cases in splits.items()}
    if settings["tuning"]:
        content = {"learning_rate": learning.learning_rate, "errors": metrics["validation_errors"]}
        write_text(context.work / VALIDATION, json.dumps(content))
    return Result(metrics, points)


def best_rate(folders: Any) -> float:
    """The rate of the fewest validation errors among tuning runs; of equal ones the lowest."""
    tried = [json.loads((Path(folder) / VALIDATION).read_text(encoding="utf-8")) for folder in folders]
    best = min(tried, key=lambda run: (run["errors"], run["learning_rate"]))
    return float(best["learning_rate"])

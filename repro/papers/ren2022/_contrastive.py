"""Contrastive learning by level, then a linear readout."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from repro.data.sets import LabelledImages, hold_out, load_once
from repro.errors import UserError
from repro.experiment import Arm, Context, CurvePoint, Result
from repro.files import write_text
from repro.papers.ren2022._nets import (
    EVALUATION_BATCH,
    VALIDATION,
    best_rate,
    case_tensors,
    errors,
    mixer_for,
    part,
    start,
)
from repro.perturb.estimators import ActivityPerturbation, Backprop, Estimator, WeightPerturbation
from repro.perturb.learn import by, learn
from repro.perturb.nets import Net, Parameters, forward, mlp, patches_of
from repro.perturb.settings import Learning
from repro.perturb.signals import Batch, Contrastive
from repro.training.keys import generator_seed


def estimators(temperature: float) -> Mapping[str, Estimator]:
    """By the name of the way; random features are not learned."""
    losses = Contrastive(temperature)
    return {
        "activities": ActivityPerturbation(noise="gaussian", local=losses),
        "weights": WeightPerturbation(noise="gaussian", local=losses),
        "backprop": Backprop(losses),
    }


def with_random_biases(parameters: Parameters, deviation: float, seed: int) -> Parameters:
    """The same, with Gaussian biases of standard deviation ``deviation`` in the hidden layers.

    A blank patch leaves layer norm as zeros, and layers without biases leave it so. The first step of biases that start
    at zero would then be all that the next layer norm sees there: it scales it up, and the gradient of the step after
    by the inverse of the learning rate, which makes all patches of all images alike.
    """
    generator = torch.Generator().manual_seed(generator_seed(seed, "perturb", "biases"))
    for name, value in parameters.items():
        if name.endswith("bias") and not name.startswith("head"):
            value.copy_(deviation * torch.randn(value.shape, generator=generator))
    return parameters


@torch.no_grad()
def features(net: Net, parameters: Parameters, images: Tensor, patches: int) -> Tensor:
    """What the readout sees, (cases, 1, channels): the mean over patches of the last block, normalised."""
    device = parameters["head.weight"].device
    batches = patches_of(images, patches).to(device).split(EVALUATION_BATCH)
    return torch.cat([forward(net, parameters, batch).features for batch in batches]).unsqueeze(1)


def run(arm: Arm, seed: int, context: Context) -> Result:
    """Learn without labels, unless features stay random; then read out, on held-out cases when tuning."""
    settings, data = arm.settings, load_once(context.data)
    train = part(data.train, settings["train_cases"])
    learning = dict(settings["learning"])
    judged, split = data.test, "test"
    if settings["tuning"]:
        kept, held = hold_out(len(train), settings["held_out"], seed=0)
        judged, split = LabelledImages(train.images[held], train.labels[held]), "validation"
        train = LabelledImages(train.images[kept], train.labels[kept])
    else:
        learning["learning_rate"] = best_rate(context.inputs.values())
    net, patches = mixer_for(settings["net"], data), settings["net"]["patches"]
    key = 1000 + seed if settings["tuning"] else seed
    parameters = with_random_biases(start(net, key, context.device), settings["bias_deviation"], key)
    metrics: dict[str, Any] = {"learning_rate": learning["learning_rate"], "parameters": net.parameter_count()}
    found: Sequence[CurvePoint] = ()
    if settings["way"] in (ways := estimators(settings["temperature"])):
        x, y = case_tensors(train, patches, context.device)
        try:
            points = learn(
                parameters,
                by(net, ways[settings["way"]]),
                lambda index: Batch(x[index], y[index]),
                len(x) - len(x) % learning["batch_size"],  # a last batch of one case has nothing to disagree with
                Learning(**learning),
                seed=key,
                name=context.name,
            )
            found = points
            metrics["contrastive_loss"] = points[-1].value
        except UserError:
            if not settings["tuning"]:
                raise
            # A rate that is too high: as good as not having learned.
            parameters = with_random_biases(start(net, key, context.device), settings["bias_deviation"], key)
    readout = mlp((net.channels, net.classes))
    head = start(readout, key, context.device)
    seen, shown = (features(net, parameters, cases.images, patches) for cases in (train, judged))
    labels = train.labels.to(context.device)
    points = learn(
        head,
        by(readout, Backprop()),
        lambda index: Batch(seen[index], labels[index]),
        len(seen),
        Learning(**settings["readout"]),
        seed=key,
        name=f"{context.name}, readout",
    )
    for name, cases, inputs in (("train", train, seen), (split, judged, shown)):
        metrics[f"{name}_errors"] = errors(readout, head, inputs, cases.labels.to(context.device))
        metrics[f"{name}_cases"] = len(cases)
    if settings["tuning"]:
        content = {"learning_rate": learning["learning_rate"], "errors": metrics["validation_errors"]}
        write_text(context.work / VALIDATION, json.dumps(content))
    return Result(metrics, found)

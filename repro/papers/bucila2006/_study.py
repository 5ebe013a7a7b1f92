"""How the experiments run: what each kind of arm does, and what it leaves for others.

The leading underscore says that it is no experiment.
"""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from repro.data.tables import Table
from repro.distill import density, library, selection
from repro.distill.munge import munge
from repro.errors import UserError
from repro.experiment import Arm, Context, Result
from repro.files import write_text
from repro.papers.bucila2006._arms import METHODS, MimicTraining, Training
from repro.papers.bucila2006._fitting import TIMED_CASES, cost, cost_of_net, fit, fit_best, judged
from repro.papers.bucila2006._problems import Problem, distance, problem
from repro.runner import CHECKPOINT
from repro.training.checkpoint import write_tensors
from repro.training.keys import generator_seed
from repro.training.loop import DivergedError

SELECTION, CHOICE, OUTCOME, PSEUDO = "selection.json", "choice.json", "outcome.json", "pseudo.safetensors"
JUDGED_CASES = 1000  # pseudo-cases whose distance to real ones is measured


def run_ensemble(arm: Arm, seed: int, context: Context) -> Result:
    """Fit the library, climb on the validation cases, judge ensemble and best single model on the test cases."""
    settings = arm.settings
    split = problem(context.data, settings["task"], settings["cases"], seed)
    names = settings["members"] or library.names()
    members = _fitted(split, names, seed)
    on_validation = np.stack([member.probability(split.coded["validation"]) for member in members])
    scores = selection.rmse(on_validation, split.labels["validation"])
    climb = {key: settings[key] for key in ("rounds", "start", "bags", "share")}
    weights = selection.select(on_validation, split.labels["validation"], seed=seed, **climb)
    chosen = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight}
    ensemble = library.ensemble(members, chosen)
    single = members[int(scores.argmin())]
    metrics: dict[str, Any] = {"members": len(chosen), "single": single.name}
    for prefix, model in (("", ensemble), ("single_", single)):
        probability = model.probability(split.coded["test"])
        metrics |= {prefix + key: value for key, value in judged(probability, split, "test").items()}
    metrics["validation_rmse"] = float(selection.rmse(weights @ on_validation, split.labels["validation"]))
    metrics["single_validation_rmse"] = float(scores.min())
    metrics["positives"] = float(split.labels["test"].mean())
    timed = split.coded["test"][:TIMED_CASES]
    costs = [cost(name, m.size_bytes, m.probability, timed) for name, m in (("ensemble", ensemble), ("single", single))]
    models = [
        {"model": name, "validation_rmse": float(score), "weight": chosen.get(name, 0.0)}
        for name, score in zip(names, scores, strict=True)
    ]
    _leave(context.work / SELECTION, {"weights": chosen})
    _leave(context.work / OUTCOME, {"test_rmse": metrics["test_rmse"]})
    return Result(metrics, tables={"costs": costs, "library": models})


def run_net(arm: Arm, seed: int, context: Context) -> Result:
    """The net on the original labels, with the hidden units and the rate that do best on the validation cases."""
    split = problem(context.data, arm.settings["task"], arm.settings["cases"], seed)
    training = Training(**arm.settings["training"])
    targets = split.labels["train"].astype(np.float32)
    best = fit_best(
        itertools.product(arm.settings["hidden"], training.rates),
        lambda tried: fit(split, split.coded["train"], targets, tried[0], training, tried[1], seed, context),
    )
    if best is None:
        raise UserError(f"{context.name}: the loss diverges at every rate; lower net.training.rates")
    (hidden, rate), fitted = best
    _leave(context.work / OUTCOME, {"test_rmse": fitted.metrics["test_rmse"]})
    costs = [cost_of_net("net", fitted.model, split)]
    return Result(fitted.metrics | {"units": hidden, "rate": rate}, fitted.curves, {"costs": costs})


def run_choice(arm: Arm, seed: int, context: Context) -> Result:
    """p and s with the lowest validation RMSE of MUNGE's mimics, then each method's rate.

    Geometric means over the tasks, lest the one with the greatest RMSE decide. What makes the loss diverge has been
    tried (``tried`` has no RMSE of it) and is never chosen.
    """
    settings, training = arm.settings, Training(**arm.settings["training"])
    splits = {task: problem(context.data, task, settings["cases"], seed) for task in settings["tasks"]}
    ensembles = {task: _left_ensemble(splits[task], context.inputs[f"{task}.ensemble"], seed) for task in splits}
    rows: list[dict[str, Any]] = []

    def tried(method: str, rates: Sequence[float], **options: Any) -> dict[float, float]:
        """Validation RMSE, geometric mean over the tasks, by rate."""
        scores: dict[float, list[float]] = {rate: [] for rate in rates}
        for task, split in splits.items():
            made = pseudo_cases(split, method, settings["multiplier"], seed, options)
            inputs = split.inputs(made)
            targets = ensembles[task].probability(inputs).astype(np.float32)
            for rate in rates:
                score = _score(split, inputs, targets, settings["hidden"], training, rate, seed, context)
                scores[rate].append(score)
                row = {"task": task, "method": method, "rate": rate}
                row |= {"validation_rmse": None if score == math.inf else score}
                rows.append(row | {key: options.get(key) for key in ("probability", "local_variance")})
        return {rate: math.prod(values) ** (1 / len(values)) for rate, values in scores.items()}

    middle = training.rates[(len(training.rates) - 1) // 2]
    grid = [
        {"probability": p, "local_variance": s} for p in settings["probabilities"] for s in settings["local_variances"]
    ]
    means = [tried("munge", [middle], **options)[middle] for options in grid]
    if min(means) == math.inf:
        raise UserError(f"{context.name}: the loss diverges for every p and s; lower choice.training.rates")
    chosen = grid[int(np.argmin(means))]
    rates, mixture = {}, {key: settings[key] for key in ("most_components", "rounds")}
    for method in METHODS:
        options = {"munge": chosen, "nbe": mixture}.get(method, {})
        by_rate = tried(method, training.rates, **options) if len(training.rates) > 1 else {middle: 0.0}
        rates[method] = min(by_rate, key=lambda rate: by_rate[rate])
    _leave(context.work / CHOICE, {"options": chosen, "rates": rates})
    metrics = chosen | {f"rate_{method}": rate for method, rate in rates.items()}
    return Result(metrics | {"validation_rmse": min(means)}, tables={"tried": rows})


def _score(*fitted: Any) -> float:
    """Validation RMSE of what ``fit`` makes of its arguments; infinite where the loss diverges."""
    try:
        return fit(*fitted, judged_on=("validation",)).score
    except DivergedError:
        return math.inf


def run_pseudo(arm: Arm, seed: int, context: Context) -> Result:
    """Make pseudo-cases, label them by the ensemble and leave both."""
    settings = arm.settings
    split = problem(context.data, settings["task"], settings["cases"], seed)
    options = {key: settings[key] for key in ("most_components", "rounds") if key in settings}
    if settings["method"] == "munge":
        options = _left(context.inputs["choice"] / CHOICE)["options"]
    made = pseudo_cases(split, settings["method"], settings["multiplier"], seed, options)
    ensemble = _left_ensemble(split, context.inputs[f"{settings['task']}.ensemble"], seed)
    targets = ensemble.probability(split.inputs(made))
    content = {"continuous": made.continuous.astype(np.float32), "nominal": made.nominal.astype(np.int16)}
    content |= {"targets": targets.astype(np.float32)}
    write_tensors(context.work / PSEUDO, {name: torch.from_numpy(value) for name, value in content.items()})
    some = made.take(np.random.default_rng(generator_seed(seed, "some")).permutation(len(made))[:JUDGED_CASES])
    metrics = {
        "pseudo_cases": len(made),
        "mean_target": float(targets.mean()),
        "distance_to_real": distance(some, split.test),
        "real_distance_to_real": distance(split.validation, split.test),
    }
    return Result(metrics | options)


def run_mimic(arm: Arm, seed: int, context: Context) -> Result:
    """A net of one hidden layer on the first ``size`` labelled pseudo-cases, with the rate that does best on the
    validation cases: the one that ``choice`` found times one of the factors."""
    settings, training = arm.settings, MimicTraining(**arm.settings["training"])
    split = problem(context.data, settings["task"], settings["cases"], seed)
    left = load_file(context.inputs[f"{settings['task']}.{settings['method']}"] / PSEUDO)
    if settings["size"] > len(left["targets"]):
        raise UserError(f"{context.name}: {settings['size']} pseudo-cases asked for, {len(left['targets'])} were made")
    parts = {name: tensor[: settings["size"]].numpy() for name, tensor in left.items()}
    made = Table(split.train.columns, parts["continuous"].astype(np.float64), parts["nominal"].astype(np.int64))
    chosen, inputs = _left(context.inputs["choice"] / CHOICE)["rates"][settings["method"]], split.inputs(made)
    # A file of its own for each rate: a run that was killed must not go on from another rate's.
    checkpoints = {chosen * factor: context.work / f"{factor:g}-{CHECKPOINT}" for factor in training.rate_factors}
    best = fit_best(
        checkpoints,
        lambda rate: fit(
            split, inputs, parts["targets"], settings["hidden"], training, rate, seed, context,
            checkpoint=checkpoints[rate],
        ),
    )  # fmt: skip
    for checkpoint in checkpoints.values():
        checkpoint.unlink(missing_ok=True)
    if best is None:
        raise UserError(f"{context.name}: the loss diverges at every rate; add a lower one to training.rate_factors")
    rate, fitted = best
    costs = [cost_of_net("mimic", fitted.model, split)]
    return Result(fitted.metrics | {"rate": rate}, fitted.curves, {"costs": costs})


def run_reference(context: Context, task: str) -> Result:
    """Test RMSE of the ensemble and of the net on labels, beside which the mimics of the same seed stand."""
    found = {arm: _left(context.inputs[f"{task}.{arm}"] / OUTCOME)["test_rmse"] for arm in ("ensemble", "net")}
    return Result({f"{arm}_test_rmse": value for arm, value in found.items()})


def run_compression(arm: Arm, seed: int, context: Context) -> Result:
    """Any arm of ``compression_arms``."""
    runs = {"choice": run_choice, "ensemble": run_ensemble, "net": run_net, "munge": run_pseudo, "mimic": run_mimic}
    return runs[arm.name.rpartition(".")[2]](arm, seed, context)


def run_sweep(arm: Arm, seed: int, context: Context) -> Result:
    """Any arm of ``sweep_arms``."""
    kind = arm.name.partition(".")[2]
    if kind == "reference":
        return run_reference(context, arm.settings["task"])
    return (run_pseudo if kind in METHODS else run_mimic)(arm, seed, context)


def pseudo_cases(split: Problem, method: str, multiplier: int, seed: int, options: Mapping[str, Any]) -> Table:
    """``multiplier`` times as many pseudo-cases as training cases; options are the method's own."""
    return PSEUDO_CASES[method](split, multiplier, seed, **options)


def _munged(split: Problem, multiplier: int, seed: int, **options: Any) -> Table:
    return munge(split.train, multiplier=multiplier, seed=seed, **options)


def _random(split: Problem, multiplier: int, seed: int) -> Table:
    return density.random_cases(split.train, multiplier * len(split.train), seed)


def _estimated(split: Problem, multiplier: int, seed: int, **options: Any) -> Table:
    density_of = density.estimate(split.train, split.validation, seed=seed, **options)
    return density_of.sample(multiplier * len(split.train), seed)


PSEUDO_CASES: Mapping[str, Callable[..., Table]] = {"munge": _munged, "random": _random, "nbe": _estimated}


def _fitted(split: Problem, names: Sequence[str], seed: int) -> list[library.Member]:
    train, held_out = split.coded["train"], split.coded["validation"]
    return library.fit(names, train, split.labels["train"], held_out, split.labels["validation"], seed)


def _left_ensemble(split: Problem, folder: Path, seed: int) -> library.Ensemble:
    """The ensemble that another run selected, its members fitted again to the same cases."""
    weights = _left(folder / SELECTION)["weights"]
    return library.ensemble(_fitted(split, list(weights), seed), weights)


def _leave(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content))


def _left(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))

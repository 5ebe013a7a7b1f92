"""How the experiments run: splits, ensembles, pseudo-cases, nets and what they cost.

The leading underscore says that it is no experiment.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor, nn

from repro.data import sets, tables
from repro.data.sets import ImageSet
from repro.data.tables import Columns, Table, scaled
from repro.distill import density, library, selection
from repro.distill.munge import munge
from repro.distill.objective import distillation_loss
from repro.errors import UserError
from repro.experiment import Arm, Context, Result
from repro.files import write_text
from repro.models.mlp import mlp
from repro.papers.bucila2006._arms import METHODS, Cases, Training
from repro.runner import CHECKPOINT
from repro.training import settings as house
from repro.training.checkpoint import write_tensors
from repro.training.curves import Point
from repro.training.keys import generator_seed
from repro.training.loop import train

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]
SELECTION, CHOICE, OUTCOME, PSEUDO = "selection.json", "choice.json", "outcome.json", "pseudo.safetensors"
TIMED_CASES = 2000
JUDGED_CASES = 1000  # pseudo-cases whose distance to real ones is measured


def _labels(values: Indices) -> Indices:
    return values


def _first_class(values: Indices) -> Indices:
    return (values == 0).astype(np.int64)


def _first_half(values: Indices) -> Indices:
    return (values <= values.max() // 2).astype(np.int64)


# LETTER.p1 asks for O against the other letters, LETTER.p2 for the alphabet's first half against its second.
TASKS = {"adult": _labels, "p1": _first_class, "p2": _first_half}


@cache
def _whole(data: str, pool: int) -> tuple[Table, Indices]:
    """All cases of a data set and their labels; images become tables of pixels averaged over squares."""
    if data in tables.LOADERS:
        found = tables.load(data)
        return found.cases, found.labels
    images = sets.load(data)
    values = np.concatenate([_pooled(images, split, pool) for split in ("train", "test")])
    columns = Columns(tuple(f"pixel{number}" for number in range(values.shape[1])), {})
    labels = torch.cat([images.train.labels, images.test.labels]).numpy()
    return Table(columns, values, np.empty((len(values), 0), dtype=np.int64)), labels


def _pooled(images: ImageSet, split: str, pool: int) -> Floats:
    pixels = getattr(images, split).images
    if pixels.dim() != 3 or pixels.shape[1] % pool or pixels.shape[2] % pool:
        raise UserError(f"{images.name}: images of {tuple(pixels.shape[1:])} do not part into squares of {pool} pixels")
    return torch.nn.functional.avg_pool2d(pixels.double(), pool).flatten(1).numpy()


@dataclass(frozen=True)
class Problem:
    """One split of one task. Continuous attributes run from 0 to 1 over the training cases; labels are 0 and 1."""

    train: Table
    validation: Table
    test: Table
    labels: Mapping[str, Indices]

    @cached_property
    def _spread(self) -> tuple[Floats, Floats]:
        spread = self.train.continuous.std(0)
        return self.train.continuous.mean(0), np.where(spread > 0, spread, 1.0)

    def inputs(self, table: Table) -> Singles:
        """What nets and library see: standardised continuous attributes, 0/1 a category; (cases, inputs) float32."""
        mean, spread = self._spread
        return Table(table.columns, (table.continuous - mean) / spread, table.nominal).coded()

    @cached_property
    def coded(self) -> dict[str, Singles]:
        return {split: self.inputs(getattr(self, split)) for split in ("train", "validation", "test")}


def problem(data: str, task: str, cases: Mapping[str, Any], seed: int) -> Problem:
    """The task on a split of its own for every seed: training, validation and test cases at random.

    Raises:
        UserError: the data have fewer cases than asked for.
    """
    wanted = Cases(**cases)
    table, values = _whole(data, wanted.pool)
    sizes = {"train": wanted.train, "validation": wanted.validation, "test": wanted.test}
    if sum(sizes.values()) > len(table):
        raise UserError(f"{data}: {sum(sizes.values())} cases asked for, {len(table)} are there; lower cases.test")
    order = np.random.default_rng(generator_seed(seed, "cases")).permutation(len(table)).astype(np.int64)
    labels = TASKS[task](values)
    parts = dict(zip(sizes, np.split(order, np.cumsum(list(sizes.values())))[:3], strict=True))
    reference = table.take(parts["train"])
    return Problem(
        **{split: scaled(table.take(index), reference) for split, index in parts.items()},
        labels={split: labels[index] for split, index in parts.items()},
    )


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
    for name, prefix, model in (("ensemble", "", ensemble), ("single", "single_", single)):
        probability = model.probability(split.coded["test"])
        metrics |= {prefix + key: value for key, value in _judged(probability, split, "test").items()}
    metrics["validation_rmse"] = float(selection.rmse(weights @ on_validation, split.labels["validation"]))
    metrics["single_validation_rmse"] = float(scores.min())
    metrics["positives"] = float(split.labels["test"].mean())
    timed = split.coded["test"][:TIMED_CASES]
    costs = [_cost(name, m.size_bytes, m.probability, timed) for name, m in (("ensemble", ensemble), ("single", single))]
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
    best: _Fitted | None = None
    found: dict[str, Any] = {}
    for hidden in arm.settings["hidden"]:
        for rate in training.rates:
            fitted = _fit(split, split.coded["train"], targets, hidden, training, rate, seed, context)
            if best is None or fitted.score < best.score:
                best, found = fitted, {"units": hidden, "rate": rate}
    assert best is not None
    _leave(context.work / OUTCOME, {"test_rmse": best.metrics["test_rmse"]})
    costs = [_cost_of_net("net", best.model, split)]
    return Result(best.metrics | found, best.curves, {"costs": costs})


def run_choice(arm: Arm, seed: int, context: Context) -> Result:
    """p and s with the lowest validation RMSE of MUNGE's mimics, then each method's rate; means over the tasks."""
    settings, training = arm.settings, Training(**arm.settings["training"])
    splits = {task: problem(context.data, task, settings["cases"], seed) for task in settings["tasks"]}
    ensembles = {task: _left_ensemble(splits[task], context.inputs[f"{task}.ensemble"], seed) for task in splits}
    rows: list[dict[str, Any]] = []

    def tried(method: str, rates: Sequence[float], **options: Any) -> dict[float, float]:
        """Validation RMSE, mean over the tasks, by rate."""
        scores: dict[float, list[float]] = {rate: [] for rate in rates}
        for task, split in splits.items():
            made = pseudo_cases(split, method, settings["multiplier"], seed, options)
            inputs = split.inputs(made)
            targets = ensembles[task].probability(inputs).astype(np.float32)
            for rate in rates:
                fitted = _fit(
                    split, inputs, targets, settings["hidden"], training, rate, seed, context, judged_on=("validation",)
                )
                scores[rate].append(fitted.score)
                row = {"task": task, "method": method, "rate": rate, "validation_rmse": fitted.score}
                rows.append(row | {key: options.get(key) for key in ("probability", "local_variance")})
        return {rate: float(np.mean(values)) for rate, values in scores.items()}

    middle = training.rates[len(training.rates) // 2]
    grid = [
        {"probability": p, "local_variance": s}
        for p in settings["probabilities"]
        for s in settings["local_variances"]
    ]
    means = [tried("munge", [middle], **options)[middle] for options in grid]
    chosen = grid[int(np.argmin(means))]
    rates, mixture = {}, {key: settings[key] for key in ("most_components", "rounds")}
    for method in METHODS:
        options = chosen if method == "munge" else mixture if method == "nbe" else {}
        by_rate = tried(method, training.rates, **options)
        rates[method] = min(by_rate, key=lambda rate: by_rate[rate])
    _leave(context.work / CHOICE, {"options": chosen, "rates": rates})
    metrics = chosen | {f"rate_{method}": rate for method, rate in rates.items()}
    return Result(metrics | {"validation_rmse": min(means)}, tables={"tried": rows})


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
        "distance_to_real": _distance(some, split.test),
        "real_distance_to_real": _distance(split.validation, split.test),
    }
    return Result(metrics | options)


def run_mimic(arm: Arm, seed: int, context: Context) -> Result:
    """A net of one hidden layer on the first ``size`` labelled pseudo-cases."""
    settings = arm.settings
    split = problem(context.data, settings["task"], settings["cases"], seed)
    left = load_file(context.inputs[f"{settings['task']}.{settings['method']}"] / PSEUDO)
    if settings["size"] > len(left["targets"]):
        raise UserError(f"{context.name}: {settings['size']} pseudo-cases asked for, {len(left['targets'])} were made")
    parts = {name: tensor[: settings["size"]].numpy() for name, tensor in left.items()}
    made = Table(split.train.columns, parts["continuous"].astype(np.float64), parts["nominal"].astype(np.int64))
    rate = _left(context.inputs["choice"] / CHOICE)["rates"][settings["method"]]
    training, inputs = Training(**settings["training"]), split.inputs(made)
    checkpoint = context.work / CHECKPOINT
    fitted = _fit(
        split, inputs, parts["targets"], settings["hidden"], training, rate, seed, context, checkpoint=checkpoint
    )
    costs = [_cost_of_net("mimic", fitted.model, split)]
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
    count = multiplier * len(split.train)
    if method == "munge":
        return munge(split.train, multiplier=multiplier, seed=seed, **options)
    if method == "random":
        return density.random_cases(split.train, count, seed)
    return density.estimate(split.train, split.validation, seed=seed, **options).sample(count, seed)


@dataclass(frozen=True)
class _Fitted:
    model: nn.Module
    metrics: dict[str, Any]
    curves: list[tuple[int, int, str, str, float]]

    @property
    def score(self) -> float:
        return float(self.metrics["validation_rmse"])


def _fit(
    split: Problem,
    inputs: Singles,
    targets: Singles,
    hidden: int,
    training: Training,
    rate: float,
    seed: int,
    context: Context,
    *,
    judged_on: Sequence[str] = ("validation", "test"),
    checkpoint: Path | None = None,
) -> _Fitted:
    """Train on probabilities of class 1, ``targets`` (cases,), by cross-entropy.

    The metrics are those of the evaluation with the lowest validation RMSE: the paper's early stopping.
    """
    rows, device = torch.from_numpy(inputs), torch.device(context.device)
    rows = rows.to(device)
    both = torch.from_numpy(np.stack([1 - targets, targets], axis=1)).to(device)
    model = mlp((rows.shape[1], hidden, 2), seed=generator_seed(seed, "mimic")).to(device)

    def objective(logits: Tensor, index: Tensor) -> Tensor:
        return distillation_loss(logits, both[index], None)

    def evaluate(model: nn.Module) -> dict[str, dict[str, float]]:
        found = {}
        for name in judged_on:
            probability = _net_probability(model, split.coded[name])
            found[name] = {key.partition("_")[2]: v for key, v in _judged(probability, split, name).items()}
        return found

    points = train(
        model,
        lambda index: rows[index],
        objective,
        len(rows),
        house.Training(**training.settings(len(rows), rate)),
        seed=generator_seed(seed, "mimic"),
        name=context.name,
        evaluate=evaluate,
        checkpoint=checkpoint,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    return _Fitted(model, _best(points), [(p.epoch, p.step, p.split, p.metric, p.value) for p in points])


def _best(points: Sequence[Point]) -> dict[str, Any]:
    """Metrics of both splits at the epoch of the lowest validation RMSE, the earliest of several."""
    judged = [p for p in points if (p.split, p.metric) == ("validation", "rmse")]
    epoch = min(judged, key=lambda p: (p.value, p.epoch)).epoch
    found: dict[str, Any] = {f"{p.split}_{p.metric}": p.value for p in points if p.epoch == epoch}
    found.pop("train_loss")
    return found | {"best_epoch": epoch, "epochs": points[-1].epoch}


@torch.no_grad()
def _net_probability(model: nn.Module, inputs: Singles) -> Floats:
    device = next(model.parameters()).device
    return torch.softmax(model(torch.from_numpy(inputs).to(device)), -1)[:, 1].double().cpu().numpy()


def _judged(probability: Floats, split: Problem, name: str) -> dict[str, float]:
    labels = split.labels[name]
    right = (probability > 0.5) == labels
    rmse = float(selection.rmse(probability, labels))
    return {f"{name}_rmse": rmse, f"{name}_accuracy": float(right.mean())}


def _fitted(split: Problem, names: Sequence[str], seed: int) -> list[library.Member]:
    train, held_out = split.coded["train"], split.coded["validation"]
    return library.fit(names, train, split.labels["train"], held_out, split.labels["validation"], seed)


def _left_ensemble(split: Problem, folder: Path, seed: int) -> library.Ensemble:
    """The ensemble that another run selected, its members fitted again to the same cases."""
    weights = _left(folder / SELECTION)["weights"]
    return library.ensemble(_fitted(split, list(weights), seed), weights)


def _distance(table: Table, real: Table) -> float:
    """Median over ``table`` of the distance to the nearest case of ``real``, as MUNGE measures it."""
    from sklearn.metrics import pairwise_distances_argmin_min

    continuous = table.continuous.shape[1]
    weights = np.concatenate([np.ones(continuous), np.full(table.columns.inputs - continuous, np.sqrt(0.5))])
    _, nearest = pairwise_distances_argmin_min(table.coded() * weights, real.coded() * weights)
    return float(np.median(nearest))


def _cost(model: str, size_bytes: int, predict: Any, inputs: Singles) -> dict[str, Any]:
    seconds = library.cpu_seconds(predict, inputs)
    return {"model": model, "bytes": size_bytes, "seconds_per_10k_cases": seconds * 10_000 / len(inputs)}


def _cost_of_net(name: str, model: nn.Module, split: Problem) -> dict[str, Any]:
    size_bytes = len(serialised({key: value.cpu() for key, value in model.state_dict().items()}))
    return _cost(name, size_bytes, lambda x: _net_probability(model, x), split.coded["test"][:TIMED_CASES])


def _leave(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content))


def _left(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))

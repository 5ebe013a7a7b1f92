"""Variances of gradient estimates on real gradients, measured and predicted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.data.sets import load_once
from repro.experiment import Arm, Context, Result
from repro.papers.ren2022._nets import case_tensors, start
from repro.perturb.estimators import ActivityPerturbation, Backprop, Estimator, WeightPerturbation
from repro.perturb.nets import Net, Parameters, mlp
from repro.perturb.noise import Counter
from repro.perturb.signals import Batch
from repro.training.keys import generator_seed

ESTIMATORS: Mapping[str, Estimator] = {
    "weights_shared": WeightPerturbation(noise="gaussian"),
    "weights_own": WeightPerturbation(noise="gaussian", shared=False),
    "units_shared": ActivityPerturbation(noise="gaussian", shared=True, one_by_one=True),
    "units_own": ActivityPerturbation(noise="gaussian", one_by_one=True),
    "units_own_signs": ActivityPerturbation(noise="signs", one_by_one=True),
    "units_own_at_once": ActivityPerturbation(noise="gaussian"),
}
LAYER = "layer0.weight"  # the one whose variance is reported


@dataclass(frozen=True)
class Moments:
    """Of the cases' gradients, means over the weights: variance, squared mean."""

    variance: float
    squared_mean: float


def gaussian(d: int, n: int, m: Moments, shared: bool) -> float:
    """Table 1 for ``d`` perturbed numbers and a batch of ``n``."""
    return (d + 2) / n * m.variance + (d + 1) / (1 if shared else n) * m.squared_mean


def signs(d: int, n: int, m: Moments, shared: bool) -> float:
    """The same for signs."""
    return d / n * m.variance + (d - 1) / (1 if shared else n) * m.squared_mean


def moments(values: Tensor, squares: Tensor, cases: int) -> Moments:
    """From sums over cases of gradients and of their squares."""
    mean = values / cases
    return Moments(float((squares / cases - mean.square()).mean()), float(mean.square().mean()))


@torch.no_grad()
def measure(arm: Arm, seed: int, context: Context) -> Result:
    """``<estimate>_ratio``: measured over predicted variance; ``<estimate>_noise``: variance over squared gradient."""
    settings, data = arm.settings, load_once(context.data)
    x, y = case_tensors(data.train, 1, context.device)
    net = mlp((x.shape[-1], *[settings["width"]] * settings["depth"], len(data.classes)))
    generator = torch.Generator().manual_seed(generator_seed(seed, "variance"))
    parameters = start(net, seed, context.device)
    _warm_up(net, parameters, x, y, settings["warm_up_steps"], generator)
    pool = torch.randperm(len(x), generator=generator)[: settings["pool"]]
    x, y = x[pool], y[pool]

    names = [f"{layer.name}.{part}" for layer in net.layers for part in ("weight", "bias")]
    sums, squares = ({name: torch.zeros_like(parameters[name]) for name in names} for _ in range(2))
    for case in range(len(x)):
        one = Batch(x[case : case + 1], y[case : case + 1])
        gradient = Backprop()(net, parameters, one, Counter(0)).gradient
        for name in names:
            sums[name] += gradient[name]
            squares[name].addcmul_(gradient[name], gradient[name])
    whole = moments(_flat(sums, names), _flat(squares, names), len(x))
    layer = moments(sums[LAYER], squares[LAYER], len(x))

    n, q = settings["batch"], settings["width"]
    d = sum(sums[name].numel() for name in names)
    predicted: dict[str, Callable[[], float]] = {
        "weights_shared": lambda: gaussian(d, n, whole, True),
        "weights_own": lambda: gaussian(d, n, whole, False),
        "units_shared": lambda: gaussian(q, n, layer, True),
        "units_own": lambda: gaussian(q, n, layer, False),
        "units_own_signs": lambda: signs(q, n, layer, False),
    }
    metrics: dict[str, float] = {
        "weights": d, "gradient_variance": whole.variance, "squared_gradient": whole.squared_mean,
        "layer_gradient_variance": layer.variance, "layer_squared_gradient": layer.squared_mean,
        "batch_noise": layer.variance / n / layer.squared_mean,
    }  # fmt: skip
    for key, estimator in ESTIMATORS.items():
        of = names if key.startswith("weights") else [LAYER]
        exact = _flat({name: sums[name] / len(x) for name in of}, of)
        total = 0.0
        for draw in range(settings["draws"]):
            rows = torch.randint(len(x), (n,), generator=generator)
            gradient = estimator(
                net, parameters, Batch(x[rows], y[rows]), Counter(generator_seed(seed, key), draw)
            ).gradient
            total += float((_flat(gradient, of) - exact).square().mean())
        found = total / settings["draws"]
        metrics[f"{key}_noise"] = found / float(exact.square().mean())
        if key in predicted:
            metrics[f"{key}_ratio"] = found / predicted[key]()
    return Result(metrics)


def _flat(gradient: Mapping[str, Tensor], names: list[str]) -> Tensor:
    return torch.cat([gradient[name].flatten() for name in names])


def _warm_up(net: Net, parameters: Parameters, x: Tensor, y: Tensor, steps: int, generator: torch.Generator) -> None:
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=generator)
        for name, value in Backprop()(net, parameters, Batch(x[rows], y[rows]), Counter(0)).gradient.items():
            parameters[name].sub_(value, alpha=0.1)

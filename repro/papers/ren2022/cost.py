"""What a step of each method costs: time, multiply-adds and kept numbers, over backprop's.

Baydin et al. 2022 print, for an MLP on MNIST on a GPU, that a forward gradient takes 2.46 times a pass and backprop
4.17 times; the paper's section 3 counts forward gradients as cheap as backprop and without its memory.

Here: one net and batch; each method's step (estimate and update) against a pass without anything else, in CPU time of
the fastest of ``rounds``, all methods in turn in one process on one thread; multiply-adds of linear maps counted; and
the numbers kept between pass and update beside the weights. Times depend on the machine and are the one thing here
that does not come out the same twice. Baydin's ratios are shown beside ours and not judged: their forward pass ran
through PyTorch's operators on a GPU.

Departures: a feed-forward net of our bench's size; no claim on a GPU.

Cost: seconds.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Value
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.papers.ren2022._arms import NAMES, Method
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
KINDS = ("time", "multiply_adds", "kept_numbers")


class Config(Options):
    sizes: tuple[PositiveInt, ...] = Field((784, 1024, 1024, 10), min_length=3)
    batch_size: PositiveInt = 128
    rounds: PositiveInt = 20
    methods: tuple[Method, ...] = ("bp", "fa", "dfa", "fg_a", "fg_w", "wp8", "frozen")


def arms(config: Config) -> list[Arm]:
    return [Arm("all", config.model_dump(mode="json"), 1)]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import itertools
    import math
    import time

    import torch

    from repro.papers.ren2022._nets import ESTIMATORS
    from repro.perturb.cost import kept_numbers, multiply_adds
    from repro.perturb.estimators import ActivityPerturbation, Estimator, WeightPerturbation
    from repro.perturb.nets import forward, mlp
    from repro.perturb.noise import Counter
    from repro.perturb.signals import Batch

    settings = arm.settings
    net = mlp(settings["sizes"])
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(settings["batch_size"], 1, net.features, generator=generator)
    batch = Batch(x, torch.randint(net.classes, (len(x),), generator=generator))
    # Signs, the cheap noise, where the learning experiments draw Gaussians.
    cheap: dict[str, Estimator] = {"fg_a": ActivityPerturbation(), "fg_w": WeightPerturbation()}
    estimators = {m: cheap.get(m) or ESTIMATORS[m](net, seed) for m in settings["methods"]}
    parameters = net.initial(seed)
    steps = itertools.count()
    fastest = dict.fromkeys(["forward", *estimators], math.inf)
    for _ in range(settings["rounds"]):
        for name in fastest:
            began = time.process_time()
            if name == "forward":
                forward(net, parameters, x)
            else:
                estimate = estimators[name](net, parameters, batch, Counter(seed, next(steps)))
                for key, value in estimate.gradient.items():
                    parameters[key].sub_(value, alpha=1e-5)
            fastest[name] = min(fastest[name], time.process_time() - began)
    metrics: dict[str, float] = {}
    for name in estimators:
        metrics[f"{name}_over_forward"] = fastest[name] / fastest["forward"]
        metrics[f"{name}_time"] = fastest[name] / fastest["bp"] if "bp" in fastest else math.nan
        metrics[f"{name}_multiply_adds"] = multiply_adds(net, name) / multiply_adds(net, "bp")
        metrics[f"{name}_kept_numbers"] = kept_numbers(net, name, len(x)) / kept_numbers(net, "bp", len(x))
    return Result({key: round(value, 3) for key, value in metrics.items()})


def figure(results: Results) -> Drawing:
    """Time, multiply-adds and kept numbers of a step over backprop's."""
    from repro.plots.style import COLOURS, PRINTED, axes

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=9.0, height_in=4.2)
    (metrics,) = results.rows
    data: list[dict[str, Any]] = []
    for number, kind in enumerate(KINDS):
        values = [metrics[f"{method}_{kind}"] for method in config.methods]
        places = [p + 0.25 * (number - 1) for p in range(len(values))]
        bars = ax.bar(places, values, 0.24, color=COLOURS[number], label=kind.replace("_", " ").replace("y a", "y-a"))
        ax.bar_label(bars, [f"{v:.2f}" for v in values], fontsize=8.5, padding=2)
        data += [{"method": m, "kind": kind, "ratio": v} for m, v in zip(config.methods, values, strict=True)]
    ax.axhline(1, color=PRINTED, ls="--", lw=1.2)
    ax.set_xticks(
        range(len(config.methods)), [NAMES[m].replace(", ", ",\n").replace(" f", "\nf") for m in config.methods]
    )
    ax.set_ylabel("over backprop")
    ax.grid(axis="x", visible=False)
    ax.legend()
    sizes = "-".join(map(str, config.sizes))
    caption = (
        f"A step of each method over one of backprop: CPU time (fastest of {config.rounds}), multiply-adds of linear "
        f"maps, numbers kept between pass and update. Net {sizes}, batch {config.batch_size}, signs for noise. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    """Cost ratios beside Baydin's, one measurement each: shown, not enough to be judged."""
    return [
        Value(
            row,
            tuple(results.values("all", f"{method}_over_forward").values()),
            setting=f"{NAMES[method]}, time over a forward pass",
            unit="x",
            departures="CPU, hand-written tangents, signs, update included; printed: GPU, Gaussians",
        )
        for method, row in (("fg_w", "PS196"), ("bp", "PS197"))
        if method in Config.model_validate(results.config).methods
    ]

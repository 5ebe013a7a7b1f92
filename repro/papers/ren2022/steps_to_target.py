"""How learning slows as nets grow: steps to a target loss against width, for backprop and for perturbations.

Hinton's talk: weight perturbation follows the gradient with a variance that makes it useless in all but small nets;
activity perturbation is far less noisy. Ren et al. 2022, Table 1: the variance of a weight's estimate grows with the
number of weights (pq), that of an activity-perturbation estimate with the number of units (q).

Here: nets of one hidden layer and growing width; every method tries the same rates at every width, plain SGD without
schedule, and counts the steps until the mean loss over a fixed set of training cases first falls below the target. The
best rate counts, chosen on training cases alone. A run that does not get there in ``max_steps`` counts as that many,
and is drawn so; growth with width is claimed between the least and the largest width that a method masters in every
seed. The frozen control trains the head alone, over the same rates: a method that needs more steps than it has not
shown that its hidden layer learns.

Departures: no numbers are printed. The head is learned exactly by all methods, as in Ren et al., so perturbation has
the hidden layer to learn. Steps of all methods are counted alike, though their costs differ (see ``cost``).

Cost at scale ``paper``: up to half a minute of one core a run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, NotRun
from repro.contrasts import minus, over
from repro.experiment import Arm, Context, Result
from repro.papers.ren2022._arms import NAMES, Method
from repro.plots.drawing import Drawing, number_of
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Config(Options):
    seeds: PositiveInt = 3
    widths: tuple[PositiveInt, ...] = Field(min_length=2)
    methods: tuple[Method, ...] = ("bp", "fg_a", "fg_w", "frozen")
    rates: tuple[PositiveFloat, ...] = Field(min_length=1)
    target_loss: PositiveFloat
    max_steps: PositiveInt
    look_every_steps: PositiveInt = 10
    batch_size: PositiveInt = 32
    judged_on: PositiveInt = Field(500, description="training cases whose loss is looked at")


def arm_name(width: int, method: str, rate: float) -> str:
    return f"width{width}.{method}.rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    kept = {"target_loss", "max_steps", "look_every_steps", "batch_size", "judged_on"}
    shared = config.model_dump(mode="json", include=kept)
    return [
        Arm(
            arm_name(width, method, rate), {"width": width, "method": method, "learning_rate": rate, **shared},
            config.seeds, seeds_per_job=10,
        )
        for width in config.widths
        for method in config.methods
        for rate in config.rates
    ]  # fmt: skip


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.data.sets import load_once
    from repro.errors import UserError
    from repro.papers.ren2022._nets import ESTIMATORS, case_tensors, start
    from repro.perturb.losses import cross_entropy
    from repro.perturb.nets import forward, mlp
    from repro.perturb.noise import Counter
    from repro.perturb.signals import Batch
    from repro.training.keys import generator_seed

    settings, data = arm.settings, load_once(context.data)
    x, y = case_tensors(data.train, 1, context.device)
    net = mlp((x.shape[-1], settings["width"], len(data.classes)))
    estimator = ESTIMATORS[settings["method"]](net, seed)
    parameters = start(net, seed, context.device)
    generator = torch.Generator().manual_seed(generator_seed(seed, "batches"))
    judged = torch.randperm(len(x), generator=generator)[: settings["judged_on"]]
    reached, loss = 0, float("inf")
    first = float(cross_entropy(forward(net, parameters, x[judged]).outputs, y[judged])[0].mean())
    for step in range(1, settings["max_steps"] + 1):
        rows = torch.randint(len(x), (settings["batch_size"],), generator=generator)
        try:
            estimate = estimator(net, parameters, Batch(x[rows], y[rows]), Counter(generator_seed(seed, "noise"), step))
        except UserError:  # the loss is no number any more
            break
        for name, value in estimate.gradient.items():
            parameters[name].sub_(value, alpha=settings["learning_rate"])
        if step % settings["look_every_steps"] == 0:
            loss = float(cross_entropy(forward(net, parameters, x[judged]).outputs, y[judged])[0].mean())
            if not loss < 10 * first:
                break
            if loss < settings["target_loss"]:
                reached = step
                break
    weights = settings["width"] * (x.shape[-1] + 1)
    metrics: dict[str, Any] = {"reached": int(reached > 0), "steps": reached or settings["max_steps"]}
    return Result(metrics | {"units": settings["width"], "weights": weights})


def best(results: Results, config: Config, width: int, method: str) -> Mapping[int, float]:
    """Steps by seed at the rate of the fewest steps on average, of those that all seeds have run; else nothing."""
    tried = [results.values(arm_name(width, method, rate), "steps") for rate in config.rates]
    complete = [steps for steps in tried if len(steps) >= config.seeds]
    return min(complete, key=lambda steps: sum(steps.values()) / len(steps), default={})


def figure(results: Results) -> Drawing:
    """Steps to the target loss against weights and against units."""
    from repro.papers.ren2022._figures import line_of, row_of
    from repro.plots.style import axes, plain_ticks

    config = Config.model_validate(results.config)
    drawn, panels = axes(2, width_in=11.0, height_in=4.4)
    data: list[dict[str, Any]] = []
    for method in config.methods:
        points: list[dict[str, Any]] = []
        for width in sorted(config.widths):
            steps = best(results, config, width, method)
            if steps:
                weights = results.values(arm_name(width, method, config.rates[0]), "weights")
                labels = {"method": method, "width": width, "weights": next(iter(weights.values()))}
                points.append(row_of(list(steps.values()), **labels))
        data += points
        means = [row["mean"] for row in points]
        down = [0.0 if row["low"] is None else row["mean"] - max(row["low"], 1) for row in points]
        up = [0.0 if row["high"] is None else row["high"] - row["mean"] for row in points]
        for ax, place in zip(panels, ("weights", "width"), strict=True):
            ax.errorbar(
                [row[place] for row in points], means, yerr=[down, up], capsize=3, elinewidth=1.2,
                label=NAMES[method], **line_of(method),
            )  # fmt: skip
    for ax, what in zip(panels, ("hidden weights", "hidden units"), strict=True):
        ax.axhline(config.max_steps, color="#999999", lw=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(what)
        if data:
            ax.set_ylim(min(row["mean"] for row in data) / 3, 2.5 * config.max_steps)
    plain_ticks(panels[0].xaxis, sorted({row["weights"] for row in data}))
    plain_ticks(panels[1].xaxis, sorted(config.widths))
    panels[0].annotate(
        "not reached", (0.02, config.max_steps), (0, 5), xycoords=("axes fraction", "data"),
        textcoords="offset points", color="#666666", fontsize=10,
    )  # fmt: skip
    panels[0].set_ylabel(f"steps to training loss {config.target_loss:g}")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    caption = (
        f"Steps of batch {config.batch_size} until the training loss falls below {config.target_loss:g}, at each "
        f"method's best of {len(config.rates)} rates, against the size of the one hidden layer. Runs end after "
        f"{config.max_steps:,} steps. Heads learn exactly; dashed: nothing else does. 95 % t-intervals over seeds "
        f"({number_of([row['n'] for row in data])}). "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    small, large = min(config.widths), max(config.widths)
    rows = {"fg_w": "PS262", "fg_a": "PS263"}
    answers: list[Answer] = []
    if {"fg_w", "fg_a"} <= {*config.methods}:
        for width in (small, large):
            a, w = (best(results, config, width, method) for method in ("fg_a", "fg_w"))
            answers.append(
                Claim(
                    f"{rows['fg_w']}.width{width}",
                    "steps to the target, FG-W over FG-A, best rates, same seed",
                    tuple(over(w, a).values()),
                    null=1.0,
                    setting=f"width {width}",
                    unit="x",
                )
            )
    for method, row in rows.items():
        if {method, "bp"} <= {*config.methods}:
            answers.append(_growth(results, config, method, f"{row}.growth"))
        if {method, "frozen"} <= {*config.methods}:
            answers += [
                Claim(
                    f"{row}.width{width}_against_frozen",
                    f"steps to the target, {NAMES[method]} minus frozen hidden layer, best rates, same seed",
                    tuple(minus(best(results, config, width, method), best(results, config, width, "frozen")).values()),
                    direction="less",
                    setting=f"width {width}",
                    unit="steps",
                )
                for width in (small, large)
            ]
    return answers


def _growth(results: Results, config: Config, method: str, name: str) -> Answer:
    """Steps over backprop's at the largest width that both master, over those at the least."""
    mastered = [
        width
        for width in sorted(config.widths)
        if all(0 < max(best(results, config, width, m).values(), default=0) < config.max_steps for m in (method, "bp"))
    ]
    if len(mastered) < 2:
        return NotRun(name, f"{NAMES[method]} reaches the target in every seed at fewer than two widths")
    near, far = mastered[0], mastered[-1]
    least, most = (over(best(results, config, w, method), best(results, config, w, "bp")) for w in (near, far))
    return Claim(
        name,
        f"steps of {NAMES[method]} over backprop's: width {far} over width {near}",
        tuple(over(most, least).values()),
        null=1.0,
        unit="x",
    )

"""Activity perturbation at a tiny step goes where backprop goes: the cosine of accumulated updates.

Hinton's talk: at a very small learning rate activity perturbation behaves like backprop, only slower, for the noise of
many small steps averages out; at a larger rate it is noisy.

Here: a feed-forward net is trained from one start, on the same batches, by plain SGD with activity perturbation and
with backprop; the product of rate and steps is the same for all rates. The cosine is taken between the two accumulated
updates of all hidden layers, the distance of the weights from the start. The control is activity perturbation's noise
alone: its cosine after one step.

Departures: the talk gives no numbers; nets, rates and the length of the way are ours.

Cost at scale ``paper``: steps of the slowest rate, about 2 ms each for both.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from repro.compare import Answer, Claim, t_interval
from repro.experiment import Arm, Context, Result
from repro.plots.drawing import Drawing, number_of
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"


class Config(Options):
    """``way`` is the sum of rates over a run's steps."""

    seeds: PositiveInt = 3
    hidden: tuple[PositiveInt, ...] = Field(min_length=1)
    batch_size: PositiveInt = 64
    rates: tuple[PositiveFloat, ...] = Field(min_length=2)
    way: PositiveFloat


def arm_name(rate: float) -> str:
    return f"rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", include={"hidden", "batch_size", "way"})
    return [Arm(arm_name(r), {"learning_rate": r, **shared}, config.seeds, seeds_per_job=10) for r in config.rates]


def run(arm: Arm, seed: int, context: Context) -> Result:
    import torch

    from repro.data.sets import load_once
    from repro.papers.ren2022._nets import case_tensors, start
    from repro.perturb.estimators import ActivityPerturbation, Backprop, Estimator
    from repro.perturb.nets import mlp
    from repro.perturb.noise import Counter
    from repro.perturb.signals import Batch
    from repro.training.keys import generator_seed

    settings, data = arm.settings, load_once(context.data)
    x, y = case_tensors(data.train, 1, context.device)
    net = mlp((x.shape[-1], *settings["hidden"], len(data.classes)))
    rate = settings["learning_rate"]
    steps = max(1, round(settings["way"] / rate))
    first = start(net, seed, context.device)
    hidden = [name for name in first if not name.startswith("head")]
    ways: dict[str, tuple[Estimator, dict[str, torch.Tensor]]] = {
        "ap": (ActivityPerturbation(), {name: value.clone() for name, value in first.items()}),
        "bp": (Backprop(), {name: value.clone() for name, value in first.items()}),
    }
    generator = torch.Generator().manual_seed(generator_seed(seed, "batches"))
    losses: dict[str, float] = {}
    cosine, curve = 0.0, []
    shown = {round(steps * k / 20) for k in range(1, 21)} | {1}
    for step in range(1, steps + 1):
        rows = torch.randint(len(x), (settings["batch_size"],), generator=generator)
        batch = Batch(x[rows], y[rows])
        for name, (estimator, parameters) in ways.items():
            estimate = estimator(net, parameters, batch, Counter(generator_seed(seed, "noise"), step))
            losses[name] = float(estimate.losses.mean())
            for key, value in estimate.gradient.items():
                parameters[key].sub_(value, alpha=rate)
        if step in shown:
            a, b = (
                torch.cat([(parameters[k] - first[k]).flatten() for k in hidden]) for _, parameters in ways.values()
            )
            cosine = float(torch.nn.functional.cosine_similarity(a, b, dim=0))
            curve.append((0, step, "train", "cosine", cosine))
    return Result({"cosine": cosine, "steps": steps, "ap_loss": losses["ap"], "bp_loss": losses["bp"]}, curve)


def figure(results: Results) -> Drawing:
    """Cosine of accumulated updates with backprop's, along the way and at its end."""
    from repro.papers.ren2022._figures import row_of
    from repro.plots.style import COLOURS, PRINTED, Mark, axes, with_intervals

    config = Config.model_validate(results.config)
    drawn, (left, right) = axes(2, width_in=10.0, height_in=4.7)
    data: list[dict[str, Any]] = []
    marks: list[Mark] = []
    for number, rate in enumerate(sorted(config.rates)):
        along: dict[int, list[float]] = {}
        for row in results.curves:
            if row["arm"] == arm_name(rate):
                along.setdefault(row["step"], []).append(row["value"])
        means = {step * rate: t_interval(values)[0] for step, values in sorted(along.items())}
        left.plot(list(means), list(means.values()), color=COLOURS[number % len(COLOURS)], label=f"{rate:g}")
        data += [{"panel": "along", "rate": rate, "way": way, "mean": mean} for way, mean in means.items()]
        values = list(results.values(arm_name(rate), "cosine").values())
        if values:
            data.append(row_of(values, panel="end", rate=rate))
            marks.append((rate, data[-1]["mean"], data[-1]["low"], data[-1]["high"]))
    with_intervals(right, marks, 0)
    drawn.legend(*left.get_legend_handles_labels(), title="learning rate", loc="outside lower center", ncols=8)
    left.set_xlabel("way: steps × learning rate")
    left.set_ylabel("cosine with backprop's update")
    right.set_xscale("log")
    right.set_xlabel("learning rate")
    right.set_ylabel(f"cosine after a way of {config.way:g}")
    for ax in (left, right):
        ax.set_ylim(0, 1.03)
        ax.axhline(1, color=PRINTED, ls="--", lw=1.2)
    caption = (
        "Cosine between what activity perturbation (signs, one draw a case and unit) and backprop have added to the "
        "hidden weights from one start on the same batches. The slower the steps, the more of them average the noise. "
        f"95 % t-intervals over seeds ({number_of([row['n'] for row in data if 'n' in row])}). "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    slow, fast = min(config.rates), max(config.rates)
    wanted: dict[str, Any] = {"direction": "greater", "unit": ""}
    return [
        Claim(
            "PS263.slower_is_nearer",
            f"cosine of accumulated updates with backprop's, rate {slow:g} minus {fast:g}, same way",
            tuple(results.paired(arm_name(slow), arm_name(fast), "cosine")),
            **wanted,
        ),
        Claim(
            "PS263.like_backprop",
            f"cosine of accumulated updates with backprop's at rate {slow:g}",
            tuple(results.values(arm_name(slow), "cosine").values()),
            null=0.9,
            **wanted,
        ),
    ]

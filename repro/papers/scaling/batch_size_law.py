"""Steps and examples to a target loss over batch sizes: the critical batch.

McCandlish et al. 2018 (1812.06162) train to a given performance at many batch sizes, the step size tuned for each,
and find that steps S and examples E trade along ``(S / S_min - 1) (E / E_min - 1) = 1``. ``B_crit = E_min / S_min`` is
the batch at which half of either is wasted; it grows as the loss falls. Their table 1 prints about 200 for MNIST.

Here: plain SGD on a small net. For every batch size and seed, nets of ``runs`` starts are trained at every rate of one
grid, the same for all batch sizes; the rate whose slowest net meets the target first is chosen, on one half of the
held-out cases. Then as many nets of other starts and other batches are trained at it, and what counts is their steps
until the loss on the other half meets the target (geometric mean). The law is fitted to each seed's steps over batch
sizes by least squares in their logarithm (``_batch_size``); the interval is over seeds. As a control a power law of as
many parameters is fitted too, and both predict each batch size from the others.

The rule, set before the runs: the law holds up if its error on left-out batch sizes is below the power law's, and the
critical batch grows if its logarithm is higher at the lowest target than at the highest. The printed 200 is secondary
and without a band: shown, and undecided.

Departures: a net of one hidden layer where they had a convolutional one; targets of our own, theirs being unknown to
us; theirs is an average over training, ours that of reaching a target from the start. Rates at an end of the grid are
counted in the caption. No momentum, no decay, batches drawn with replacement.

Cost at scale ``paper``: about two CPU-minutes a seed over all batch sizes, the smallest taking the most.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, PositiveFloat, field_validator

from repro.compare import Answer, Claim, Value
from repro.experiment import Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
PRINTED = "SC367"


class Config(Options):
    """``targets``: losses on held-out cases, falling; ``rates``: the grid of every batch size, rising.

    ``runs``: nets per rate that choose it, and nets that are then measured. The held-out loss is looked at whenever the
    steps have grown by the factor ``spacing``, and ``most_steps`` is where a net is given up.
    """

    seeds: int = Field(3, ge=1)
    batch_sizes: tuple[int, ...] = Field(min_length=4)
    rates: tuple[PositiveFloat, ...] = Field(min_length=2)
    targets: tuple[PositiveFloat, ...] = Field(min_length=1)
    runs: int = Field(3, ge=1)
    held_out: int = Field(ge=2)
    hidden: tuple[int, ...] = (32,)
    spacing: float = Field(1.1, gt=1)
    most_steps: int = Field(100_000, ge=1)

    @field_validator("batch_sizes", "rates")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("must rise from one to the next")
        return value

    @field_validator("targets")
    @classmethod
    def _falling(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value), reverse=True):
            raise ValueError("must fall from one to the next")
        return value


def arm_name(batch_size: int) -> str:
    return f"batch{batch_size}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", exclude={"seeds", "batch_sizes"})
    return [
        Arm(arm_name(size), {"batch_size": size, **shared}, config.seeds, seeds_per_job=10)
        for size in config.batch_sizes
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from math import exp, log

    from repro.errors import UserError
    from repro.papers.scaling._race import Race, fastest
    from repro.training.replay_task import Task

    settings = arm.settings
    rates, targets, runs = settings["rates"], settings["targets"], settings["runs"]

    def tasks(first: int) -> list[Task]:
        """Nets of starts and batches that no other seed and no other phase has."""
        keys = range(2 * runs * seed + first, 2 * runs * seed + first + runs)
        size, hidden, held_out = settings["batch_size"], settings["hidden"], settings["held_out"]
        return [Task(context.data, hidden, size, key, context.device, held_out) for key in keys]

    tuned, measured = tasks(0), tasks(runs)
    x, y = tuned[0].held_out
    half = len(x) // 2

    tuning = Race(tuned, rates, (x[:half], y[:half]), settings["spacing"])
    if not tuning.run(lambda race: fastest(race.steps_to(targets[-1])) is not None, settings["most_steps"]):
        raise UserError(
            f"{context.name}: at no rate did all {runs} nets reach a held-out loss of {targets[-1]:g} in "
            f"{settings['most_steps']} steps; widen rates or raise the target"
        )
    chosen = [found[0] for target in targets if (found := fastest(tuning.steps_to(target)))]
    used = sorted(set(chosen))

    def met(race: Race) -> list[list[float | None]]:
        """Steps to each target at the rate chosen for it, [target][net]."""
        return [
            [steps[used.index(rate)] for steps in race.steps_to(target)]
            for target, rate in zip(targets, chosen, strict=True)
        ]

    measuring = Race(measured, [rates[rate] for rate in used], (x[half:], y[half:]), settings["spacing"])
    if not measuring.run(lambda race: all(None not in steps for steps in met(race)), settings["most_steps"]):
        raise UserError(
            f"{context.name}: nets at the tuned rates {', '.join(f'{rates[rate]:g}' for rate in used)} did not reach "
            f"their targets in {settings['most_steps']} steps; raise runs, so that no lucky rate is chosen"
        )
    metrics: dict[str, float | int | str] = {}
    for target, rate, steps in zip(targets, chosen, met(measuring), strict=True):
        mean = exp(sum(log(value) for value in steps if value is not None) / runs)
        metrics |= {
            f"steps_at_{target:g}": mean,
            f"examples_at_{target:g}": mean * settings["batch_size"],
            f"rate_at_{target:g}": rates[rate],
            f"at_the_grid_end_{target:g}": int(rate in (0, len(rates) - 1)),
        }
    return Result(metrics)


def steps_by_seed(results: Results, target: float) -> dict[int, dict[int, float]]:
    """Steps by batch size, for every seed that has all batch sizes."""
    config = Config.model_validate(results.config)
    found: dict[int, dict[int, float]] = {}
    for size in config.batch_sizes:
        for seed, steps in results.values(arm_name(size), f"steps_at_{target:g}").items():
            found.setdefault(seed, {})[size] = steps
    return {seed: steps for seed, steps in sorted(found.items()) if len(steps) == len(config.batch_sizes)}


def critical_batches(by_seed: Mapping[int, Mapping[int, float]]) -> list[float]:
    """The fitted critical batch of every seed."""
    from repro.papers.scaling._batch_size import fit_law

    return [fit_law(steps).critical_batch for steps in by_seed.values()]


def figure(results: Results) -> Drawing:
    from repro.compare import t_interval
    from repro.papers.scaling._batch_size import fit_law, fit_power_law
    from repro.plots.style import COLOURS, axes, legend, plain_ticks, with_intervals
    from repro.plots.style import PRINTED as PRINTED_COLOUR
    from repro.published import load

    config = Config.model_validate(results.config)
    drawn, (left, right) = axes(2, width_in=10.4, height_in=5.0)
    data: list[dict[str, Any]] = []
    told = []
    sizes = config.batch_sizes
    fine = [sizes[0] * (sizes[-1] / sizes[0]) ** (k / 100) for k in range(101)]
    for number, target in enumerate(config.targets):
        by_seed = steps_by_seed(results, target)
        if not by_seed:
            continue
        mean = {b: t_interval([steps[b] for steps in by_seed.values()])[0] for b in sizes}
        law, power = fit_law(mean), fit_power_law(mean)
        marks = [(b, *t_interval([steps[b] for steps in by_seed.values()])) for b in sizes]
        colour = COLOURS[number % len(COLOURS)]
        with_intervals(left, marks, number, f"loss {target:g}", line="none")
        left.plot(fine, [law.steps(b) for b in fine], color=colour)
        left.plot(fine, [power.steps(b) for b in fine], color=colour, ls=":", lw=1.2)
        right.plot(
            [law.steps(b) for b in fine], [b * law.steps(b) for b in fine], color=colour, label=f"loss {target:g}"
        )
        for steps in by_seed.values():
            right.plot(list(steps.values()), [b * s for b, s in steps.items()], "o", color=colour, ms=4, alpha=0.6)
        critical = critical_batches(by_seed)
        middle, low, high = t_interval(critical)
        left.axvline(middle, color=colour, ls="--", lw=1.2)
        interval = "" if low is None else f" ({low:.0f} to {high:.0f})"
        told.append(f"{middle:.0f}{interval} at loss {target:g}")
        for b, (_, steps_mean, steps_low, steps_high) in zip(sizes, marks, strict=True):
            data.append(
                {
                    "target": target,
                    "batch_size": b,
                    "steps": steps_mean,
                    "steps_low": steps_low,
                    "steps_high": steps_high,
                    "law_steps": law.steps(b),
                    "power_law_steps": power.steps(b),
                    "critical_batch": middle,
                    "n": len(by_seed),
                }
            )
    printed = load()[PRINTED].value
    if results.data == PRINTED_DATA and printed is not None:
        left.axvline(printed, color=PRINTED_COLOUR, lw=1.2, label="printed critical batch")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.set_yscale("log")
    plain_ticks(left.xaxis, sizes)
    numbers = [digit * 10**power for power in range(8) for digit in (1, 2, 5)]
    for axis in (left.yaxis, right.xaxis):
        plain_ticks(axis, numbers)
    plain_ticks(right.yaxis, numbers[::3])
    left.set_xlabel("batch size, examples")
    left.set_ylabel("steps to the target")
    right.set_xlabel("steps to the target")
    right.set_ylabel("examples to the target")
    legend(left)
    legend(right, title="law")
    at_ends = sum(
        int(value)
        for size in sizes
        for target in config.targets
        for value in results.values(arm_name(size), f"at_the_grid_end_{target:g}").values()
    )
    caption = (
        "Left: steps until the held-out loss is met against the batch size, rates tuned alike for each; points: mean "
        f"and 95 % t-interval over n = {config.seeds} seeds; solid: the law of McCandlish et al. 2018 fitted to the "
        "means; dotted: a power law of as many parameters; dashed: critical batch. Right: the same as examples against "
        "steps, every seed. Critical batch, mean (95 % interval) of the fits to each seed: "
        f"{'; '.join(told)}. Chosen rates at an end of the grid: {at_ends}. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    from math import log

    from repro.papers.scaling._batch_size import fit_law, fit_power_law, left_out_error

    config = Config.model_validate(results.config)
    highest, lowest = config.targets[0], config.targets[-1]
    by_seed = steps_by_seed(results, lowest)
    critical = critical_batches(by_seed)
    setting = f"a small net, plain SGD, to a held-out loss of {lowest:g}"
    answers: list[Answer] = [
        Value(
            PRINTED,
            tuple(critical),
            setting=setting,
            departures="another net and target; reached from the start, where an average over training is printed",
        ),
        Claim(
            f"{PRINTED}.law",
            "error of log steps at left-out batch sizes, the law's minus a power law's",
            tuple(left_out_error(s, fit_law) - left_out_error(s, fit_power_law) for s in by_seed.values()),
            direction="less",
            setting=setting,
        ),
    ]
    if lowest < highest:
        higher = steps_by_seed(results, highest)
        both = [seed for seed in by_seed if seed in higher]
        growth = [log(fit_law(by_seed[s]).critical_batch / fit_law(higher[s]).critical_batch) for s in both]
        answers.append(
            Claim(
                f"{PRINTED}.grows",
                f"log of the critical batch at loss {lowest:g} over that at {highest:g}",
                tuple(growth),
                setting="a small net, plain SGD",
            )
        )
    return answers

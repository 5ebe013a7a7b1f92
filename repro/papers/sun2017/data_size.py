"""Section 5.4: accuracy over the logarithm of the number of examples, for small and large nets.

The paper trains ResNets on 10, 30, 100 and 300 million images of JFT-300M and finds that what they are then worth for
detection and segmentation grows with the logarithm of the images, without a plateau, and that deeper nets gain more.

Here: nets of one hidden layer and growing width on nested, class-balanced subsets of MNIST and Fashion-MNIST
(scikit-learn's digits at scale ``quick``), judged on the test set. Each run trains at every rate of one grid, the same
for all arms, and keeps the rate with the fewest errors on held-out training cases; its length is fixed beforehand.

A sweep over data varies two things at once unless one is held: with equal epochs, fewer examples are also fewer
updates. The arms hold the updates equal (as many as ``training.epochs`` of the largest size make; small sets are
repeated), so that only the number of different examples varies; the control (``.epochs``) holds epochs equal instead,
and the difference of the slopes is what the number of updates alone puts into such a sweep.

Rules, set before the runs; each law is fitted by least squares in points of accuracy, seed by seed (``_laws``):
- ``.slope``: points gained a decade by the straight line over log10(n) are above 0;
- ``.law``: it predicts the accuracy at the largest size, left out, better than a power law of the error does, which
  has as many parameters and knows that accuracy ends at 100 %;
- ``.straight``: over the upper half of the sizes at least half of the gain a decade of the lower half is left (1 if the
  law is exact; the paper's own gains, in points of COCO mAP a decade, keep two thirds);
- ``.capacity``, ``.capacity_upper``: the largest net gains more a decade than the smallest, over all sizes and over the
  upper half of them;
- ``.epochs``: the slope at equal epochs exceeds that at equal updates.

What this can say, and what not. The paper's sweep spans a factor of 30 far from the ceiling of its measures; over so
short a way every smooth curve is nearly straight, and its four points cannot tell a logarithm from a power. Ours spans
a factor of 250 and ends near the ceiling, where a logarithm must fail: that it fails here says nothing of JFT-300M.
What carries over is the comparison of nets, and the control.

Departures: data, nets and measure (accuracy on the same task; no transfer to another); labels without noise; 10,000 of
60,000 training cases are held out.
Cost at scale ``paper``: 10 (16 hidden units) to 20 (256) CPU-seconds a run of three rates, less of the control.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log10, sqrt
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from repro.compare import Answer, Claim, t_interval
from repro.experiment import BY_ARM, Arm, Context, Result
from repro.papers.sun2017._laws import Points, fit_log, fit_power, fit_saturating, left_out_error, rms
from repro.plots.drawing import Drawing, number_of
from repro.published import Published
from repro.published import load as load_published
from repro.results import Results
from repro.settings import Options
from repro.training.settings import JUDGED_ONCE, NO_DROPOUT, NO_JITTER, RATE_IS_CHOSEN, Training

if TYPE_CHECKING:
    from repro.plots.style import Mark

DATA = {"quick": BY_ARM, "paper": BY_ARM, "cluster": BY_ARM}
PRINTED_DATA = "jft-300m"
CLAIMED = "PS304"
LEAST_STRAIGHT = 0.5  # of the gain a decade, from the lower to the upper half of the sizes
# Printed gains in COCO mAP, and the millions of images between which they were made.
PRINTED_GAINS = {"PS305.10M_30M": (10, 30), "PS305.30M_100M": (30, 100), "PS305.100M_300M": (100, 300)}


class Task(Options):
    """A data set, and how many of its training cases choose the rate."""

    data: str
    held_out: PositiveInt


class Net(Options):
    name: str
    hidden: tuple[PositiveInt, ...] = Field(min_length=1)


class Config(Options):
    """``sizes`` rise; ``nets`` go from small to large; ``training.epochs`` are those of the largest size."""

    seeds: int = Field(3, ge=2)
    tasks: tuple[Task, ...] = Field(min_length=1)
    sizes: tuple[PositiveInt, ...] = Field(min_length=5, description="training examples")
    nets: tuple[Net, ...] = Field(min_length=2)
    rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="learning rates that every run tries")
    training: Annotated[Training, NO_DROPOUT, NO_JITTER, JUDGED_ONCE, RATE_IS_CHOSEN]

    @model_validator(mode="after")
    def _equal_updates_are_possible(self) -> Self:
        if list(self.sizes) != sorted(set(self.sizes)):
            raise ValueError("sizes must rise from one to the next")
        shown = self.training.epochs * self.sizes[-1]
        for size in self.sizes:
            if size % self.training.batch_size or shown % size:
                raise ValueError(
                    f"size {size} must be a multiple of batch_size {self.training.batch_size} and divide the "
                    f"{shown} examples that {self.training.epochs} epochs of the largest size show, so that all "
                    "sizes get equally many updates"
                )
        return self


def arm_name(data: str, net: str, size: int, *, equal_epochs: bool = False) -> str:
    """At the largest size both sweeps meet in one arm."""
    return f"{data}.{net}.n{size}{'.epochs' if equal_epochs else ''}"


def arms(config: Config) -> list[Arm]:
    most, epochs = config.sizes[-1], config.training.epochs
    listed = []
    for task in config.tasks:
        for net in config.nets:
            for equal_epochs in (False, True):
                for size in config.sizes[: -1 if equal_epochs else None]:
                    own = epochs if equal_epochs else epochs * most // size
                    training = config.training.model_copy(update={"epochs": own}).model_dump(mode="json")
                    settings = {
                        "hidden": list(net.hidden),
                        "size": size,
                        "held_out": task.held_out,
                        "rates": list(config.rates),
                        "training": training,
                    }
                    name = arm_name(task.data, net.name, size, equal_epochs=equal_epochs)
                    listed.append(Arm(name, settings, config.seeds, seeds_per_job=config.seeds, data=task.data))
    return listed


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.sun2017._learning import fit

    return fit(arm.settings, seed, context)


def accuracies(
    results: Results, config: Config, data: str, net: str, *, equal_epochs: bool = False
) -> dict[int, dict[int, float]]:
    """Test accuracy in % by seed and size, of the seeds that have all sizes."""
    most = config.sizes[-1]
    by_size = {
        size: results.values(arm_name(data, net, size, equal_epochs=equal_epochs and size != most), "test_accuracy")
        for size in config.sizes
    }
    seeds = sorted(set.intersection(*(set(found) for found in by_size.values())))
    return {seed: {size: found[seed] for size, found in by_size.items()} for seed in seeds}


def slope(points: Points) -> float:
    """Points of accuracy gained a decade."""
    return fit_log(points).slope


def halves(points: Points) -> tuple[dict[int, float], dict[int, float]]:
    """The points of the smaller and of the larger sizes; a middle one is in neither."""
    sizes, half = sorted(points), len(points) // 2
    return {n: points[n] for n in sizes[:half]}, {n: points[n] for n in sizes[-half:]}


def straightness(points: Points) -> float:
    """Gain a decade over the upper half of the sizes over that of the lower half: 1 under the logarithmic law."""
    lower, upper = halves(points)
    return slope(upper) / slope(lower)


def upper_slope(points: Points) -> float:
    """Points gained a decade over the upper half of the sizes."""
    return slope(halves(points)[1])


def law_error(points: Points) -> float:
    """Error at the left-out largest size of the logarithmic law less that of the power law, in points."""
    return abs(left_out_error(points, fit_log)) - abs(left_out_error(points, fit_power))


def printed_gains(printed: Mapping[str, Published]) -> list[float]:
    """The paper's own gains in points of COCO mAP a decade of images, from fewer to more images."""
    return [(printed[id].value or 0.0) / log10(more / fewer) for id, (fewer, more) in PRINTED_GAINS.items()]


def figure(results: Results) -> Drawing:
    """A row a data set: accuracy over examples with two laws, gain a decade, and the control of equal epochs."""
    from repro.papers.sun2017._figures import row_of
    from repro.plots.style import COLOURS, axes, legend, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    rows = len(config.tasks)
    drawn, panels = axes(3, rows, width_in=14.0, height_in=0.5 + 4.1 * rows)
    data: list[dict[str, Any]] = []
    told = []
    for number, task in enumerate(config.tasks):
        accuracy, gains, control = panels[3 * number : 3 * number + 3]
        for line, net in enumerate(config.nets):
            runs = accuracies(results, config, task.data, net.name)
            if not runs:
                continue
            where = {"data": task.data, "net": net.name}
            marks = _over_sizes(list(runs.values()))
            with_intervals(accuracy, marks, line, net.name, line="none")
            data += [where | {"panel": "accuracy"} | row_of(mark, len(runs)) for mark in marks]
            mean = {int(n): value for n, value, _, _ in marks}
            fine = [config.sizes[0] * (config.sizes[-1] / config.sizes[0]) ** (k / 60) for k in range(61)]
            straight, bent = fit_log(mean), fit_saturating(mean)
            accuracy.plot(fine, [straight.accuracy(n) for n in fine], color=COLOURS[line], lw=1.4)
            accuracy.plot(fine, [bent.accuracy(n) for n in fine], color=COLOURS[line], ls=":", lw=1.4)
            steps = [
                (sqrt(n * more), *t_interval([(r[more] - r[n]) / log10(more / n) for r in runs.values()]))
                for n, more in pairwise(config.sizes)
            ]
            with_intervals(gains, steps, line, net.name)
            gains.axhline(straight.slope, color=COLOURS[line], lw=1.0, ls="--")
            data += [where | {"panel": "gain"} | row_of(mark, len(runs)) for mark in steps]
            controlled = accuracies(results, config, task.data, net.name, equal_epochs=True)
            control.plot(list(mean), list(mean.values()), color=COLOURS[line])
            if controlled:
                equal = _over_sizes(list(controlled.values()))
                with_intervals(control, equal, line, line="none")
                control.plot([m[0] for m in equal], [m[1] for m in equal], color=COLOURS[line], ls="--")
                data += [where | {"panel": "equal epochs"} | row_of(mark, len(controlled)) for mark in equal]
            told.append(_told(task.data, net.name, list(runs.values())))
        for ax in (accuracy, gains, control):
            ax.set_xscale("log")
            plain_ticks(ax.xaxis, config.sizes)
            ax.set_xlabel("training examples")
        for ax in (accuracy, control):  # an interval of few seeds may reach beyond what an accuracy can be
            low, high = ax.get_ylim()
            ax.set_ylim(max(0.0, low), min(101.0, high))
        accuracy.set_ylabel(f"{task.data}: test accuracy, %")
        gains.set_ylabel("gain a decade of examples, points")
        gains.set_ylim(bottom=min(0.0, gains.get_ylim()[0]))
        control.set_ylabel("test accuracy, %")
        control.plot([], [], color="#444444", label="equal updates")
        control.plot([], [], color="#444444", ls="--", label="equal epochs")
        legend(accuracy, title="net")
        legend(control)
    printed = ", ".join(f"{gain:.1f}" for gain in printed_gains(load_published()))
    ends = sum(row["learning_rate"] in (min(config.rates), max(config.rates)) for row in results.rows)
    at_ends = f"Rate at an end of the grid: {ends} of {len(results.rows)} runs. " if len(config.rates) > 2 else ""
    caption = (
        "Left: test accuracy against training examples at equal updates; solid: straight line over the logarithm, "
        "dotted: power law of the error with a floor, both fitted to the means. Middle: accuracy gained a decade "
        "between neighbouring sizes; dashed: the straight line's. Right: the same sweep at equal epochs, where fewer "
        f"examples are fewer updates. 95 % t-intervals over {number_of(row['n'] for row in data)} seeds. "
        f"{' '.join(told)} Printed for JFT-300M, in points of COCO mAP a decade: {printed}. {at_ends}"
    )
    return Drawing(drawn, data, caption + results.scope)


def _over_sizes(runs: list[dict[int, float]]) -> list["Mark"]:
    return [(n, *t_interval([run[n] for run in runs])) for n in runs[0]]


def _told(data: str, net: str, runs: list[dict[int, float]]) -> str:
    """The fits of a net in words, for the caption."""
    gained, low, high = t_interval([slope(run) for run in runs])
    interval = "" if low is None or high is None else f" ({low:.1f} to {high:.1f})"
    missed = [t_interval([left_out_error(run, fit) for run in runs])[0] for fit in (fit_log, fit_power, fit_saturating)]
    bend = t_interval([fit_saturating(run).bend for run in runs])[0]
    left = t_interval([rms(fit_log(run), run) for run in runs])[0]
    return (
        f"{data}, {net}: {gained:.1f}{interval} points a decade, r.m.s. {left:.1f} off the line, exponent of the power "
        f"law with a floor {bend:.2f}; largest size predicted from the others by line, power law, power law with a "
        f"floor: {', '.join(f'{value:+.1f}' for value in missed)} points."
    )


def claims(results: Results) -> Sequence[Answer]:
    config, gains = Config.model_validate(results.config), printed_gains(load_published())
    answers: list[Answer] = []
    span = f"{config.sizes[0]:,} to {config.sizes[-1]:,} examples"
    for task in config.tasks:
        stem = f"{CLAIMED}.{task.data}"
        by_net = {net.name: accuracies(results, config, task.data, net.name) for net in config.nets}
        for name, runs in by_net.items():
            control = accuracies(results, config, task.data, name, equal_epochs=True)
            setting = f"{task.data}, {name} net, {span}"
            answers += [
                Claim(
                    f"{stem}.{name}.slope",
                    "accuracy gained a decade of examples, straight line over log10(n)",
                    tuple(map(slope, runs.values())),
                    setting=setting,
                    unit="points",
                ),
                Claim(
                    f"{stem}.{name}.law",
                    "error at the left-out largest size, the logarithmic law's minus the power law's",
                    tuple(map(law_error, runs.values())),
                    direction="less",
                    setting=setting,
                    unit="points",
                ),
                Claim(
                    f"{stem}.{name}.straight",
                    "gain a decade, upper over lower half of the sizes",
                    tuple(map(straightness, runs.values())),
                    null=LEAST_STRAIGHT,
                    setting=setting,
                    departures="printed: of the gains in COCO mAP",
                    published=gains[-1] / gains[0],
                ),
                Claim(
                    f"{stem}.{name}.epochs",
                    "accuracy gained a decade at equal epochs minus at equal updates, same seed",
                    tuple(slope(control[s]) - slope(runs[s]) for s in sorted(runs.keys() & control.keys())),
                    setting=f"control; {setting}",
                    unit="points",
                ),
            ]
        small, large = config.nets[0].name, config.nets[-1].name
        both = sorted(by_net[small].keys() & by_net[large].keys())
        for name, gain, where in (("capacity", slope, span), ("capacity_upper", upper_slope, f"upper half of {span}")):
            answers.append(
                Claim(
                    f"{stem}.{name}",
                    f"accuracy gained a decade, {large} net minus {small} net, same seed",
                    tuple(gain(by_net[large][s]) - gain(by_net[small][s]) for s in both),
                    setting=f"{task.data}, {where}",
                    unit="points",
                )
            )
    return answers

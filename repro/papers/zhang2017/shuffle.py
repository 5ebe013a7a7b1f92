"""Table 3: what the channel shuffle is worth.

The paper trains ShuffleNet with and without shuffle on ImageNet. Without it a group of channels never hears of another
between two units' 3x3 convolutions, and top-1 error rises, the more groups the more: at 1x from 32.6 to 34.5 % with g=3
and from 32.4 to 37.6 % with g=8, at 0.25x by 1.3 and 3.8 points. The shuffle costs no multiply-adds.

Here, at scale ``paper``: ShuffleNets of 0.25x channels with half the units (2, 4, 2) on 20 of CIFAR-100's classes
(every fifth), 10,000 images of 32x32, less those held out. g=3 and g=8 have nearly equal multiply-adds (``runs.csv``
has them); with and without shuffle they are equal. A third arm puts one fixed random permutation of the channels where
the shuffle stands: if that does as well, what counts is that groups hear of each other, not the transposed order.
Each arm is trained at every rate of ``rates``; the one with the fewest errors on held-out training cases, summed over
seeds, is its own, and test errors are compared at it. Scale ``quick``: smaller nets on scikit-learn's digits.

Departures: data, size and length of training; momentum SGD with a cosine decay instead of the linear one; shifts by up
to ``jitter_pixels`` as the only augmentation; no max pooling, since the images are small. The paper's differences are
shown beside ours, the direction is judged.
Cost at scale ``paper``: 80 (g=3) to 130 (g=8) CPU-seconds a run.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim, t_interval
from repro.contrasts import least_in_sum, minus
from repro.experiment import Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options
from repro.training.settings import NO_DROPOUT, NO_NORMS, RATE_IS_CHOSEN, Training

DATA = {"quick": "digits", "paper": "cifar-100", "cluster": "cifar-100"}
PRINTED_DATA = "imagenet"
ORDERS = {"none": "no shuffle", "shuffle": "shuffle", "random": "random order"}
PRINTED = {3: "PS333", 8: "PS334"}  # 0.25x; of 1x: PS329 and PS330


class Net(Options):
    """``outputs`` channels of the first stage, doubled in every later one."""

    groups: PositiveInt
    outputs: PositiveInt


class Config(Options):
    seeds: int = Field(3, ge=1)
    nets: tuple[Net, ...] = Field(min_length=1)
    repeats: tuple[PositiveInt, ...] = Field((2, 4, 2), min_length=1)
    stem: PositiveInt = 24
    stem_stride: PositiveInt = 2
    every_class: PositiveInt = Field(1, description="1: all classes; 5: every fifth of them")
    held_out: PositiveInt
    rates: tuple[float, ...] = Field(min_length=1)
    training: Annotated[Training, NO_DROPOUT, NO_NORMS, RATE_IS_CHOSEN]


def arm_name(groups: int, order: str, rate: float) -> str:
    return f"g{groups}.{order}.rate{rate:g}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", include={"repeats", "stem", "stem_stride", "every_class", "held_out"})
    return [
        Arm(
            arm_name(net.groups, order, rate),
            {"groups": net.groups, "outputs": net.outputs, "order": order, **shared}
            | {"training": config.training.model_copy(update={"learning_rate": rate}).model_dump(mode="json")},
            config.seeds,
        )
        for net in config.nets
        for order in ORDERS
        for rate in config.rates
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.zhang2017._pictures import fit

    return fit(arm.settings, seed, context)


def own_rate(results: Results, config: Config, groups: int, order: str) -> float | None:
    """The rate with the fewest held-out errors over all seeds; None before all ran."""
    return least_in_sum(
        {rate: results.values(arm_name(groups, order, rate), "held_out_errors") for rate in config.rates}, config.seeds
    )


def _test_errors(results: Results, config: Config, groups: int, order: str) -> dict[int, float]:
    """Test error in % by seed, at the arm's own rate; empty before all its runs are there."""
    rate = own_rate(results, config, groups, order)
    if rate is None:
        return {}
    cases = results.rows[0]["test_cases"]
    return {s: 100 * v / cases for s, v in results.values(arm_name(groups, order, rate), "test_errors").items()}


def _saved(results: Results, config: Config, groups: int, order: str) -> dict[int, float]:
    """Points of error that an order saves against no shuffle, by seed."""
    return minus(*(_test_errors(results, config, groups, o) for o in ("none", order)))


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, axes, legend

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=7.5, height_in=4.2)
    data: list[dict[str, Any]] = []
    ticks: dict[float, str] = {}
    for block, net in enumerate(config.nets):
        for number, (order, label) in enumerate(ORDERS.items()):
            values = list(_test_errors(results, config, net.groups, order).values())
            if not values:
                continue
            mean, low, high = t_interval(values)
            position = 4 * block + number
            spread = [position - 0.15 + 0.08 * (i - (len(values) - 1) / 2) for i in range(len(values))]
            ax.plot(spread, values, MARKERS[number], color=COLOURS[number], alpha=0.4, ms=6)
            error = None if low is None or high is None else [[mean - low], [high - mean]]
            ax.errorbar(
                [position + 0.2], [mean], yerr=error, fmt=MARKERS[number], color=COLOURS[number], ms=9, capsize=4,
                label=None if block else label,
            )  # fmt: skip
            ax.annotate(f"{mean:.1f}", (position + 0.2, mean), (9, -4), textcoords="offset points", fontsize=10)
            data.append({"groups": net.groups, "order": order, "mean": mean, "low": low, "high": high})
            data[-1] |= {"n": len(values), "rate": own_rate(results, config, net.groups, order)}
        multiply_adds = [r["multiply_adds"] for r in results.where(groups=net.groups)]
        if multiply_adds:
            ticks[4 * block + 1] = f"g = {net.groups}\n{multiply_adds[0] / 1e6:.2f} M multiply-adds"
    ax.set_xticks(list(ticks), list(ticks.values()))
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("test error, %")
    ax.set_xlim(-0.7, 4 * len(config.nets) - 0.9)
    ax.margins(y=0.15)
    legend(ax, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    caption = (
        "Test error of ShuffleNets with nothing, the channel shuffle or a fixed random permutation of the channels "
        "between the grouped convolutions, each at its own learning rate chosen on held-out training cases. Small "
        f"marks: single runs; large marks: means with 95 % t-intervals, n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    from repro.published import load

    config, printed = Config.model_validate(results.config), load()
    answers: list[Answer] = []
    for net in config.nets:
        if net.groups not in PRINTED:
            continue
        id = f"{PRINTED[net.groups]}.delta"
        departures = "another net, data set and length of training: the direction is judged"
        for order in ("shuffle", "random"):
            answers.append(
                Claim(
                    id if order == "shuffle" else f"{id}.random",
                    f"error without shuffle less with {'it' if order == 'shuffle' else 'a random order'}, same seed",
                    tuple(_saved(results, config, net.groups, order).values()),
                    setting=f"g={net.groups}",
                    unit="points",
                    departures=departures,
                    published=printed[id].value if order == "shuffle" else None,
                )
            )
    if {3, 8} <= {net.groups for net in config.nets}:
        eight, three = (_saved(results, config, g, "shuffle") for g in (8, 3))
        answers.append(
            Claim(
                "PS334.delta.more_groups",
                "what the shuffle saves at g=8 less what it saves at g=3, same seed",
                tuple(minus(eight, three).values()),
                setting="the paper: the shuffle is worth more with more groups",
                unit="points",
                published=printed["PS334.delta"].number - printed["PS333.delta"].number,
            )
        )
    return answers

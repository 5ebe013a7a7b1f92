"""Does the searched cell beat cells drawn at random?

The paper trains a controller to propose cells, 20,000 of them, and keeps the best. Its control is random search: cells
drawn uniformly, the best of which stay behind the controller's. What is compared there is the best of many; here the
question is the one that comes first: how much better is NASNet-A's cell than a cell of the same space drawn at random,
and than the best of a handful?

Here, at scale ``paper``: NASNet-A and five pairs of random cells (``repro.models.nasnet.random_cells``), each in the
paper's net for small images with one normal cell a stage, on 10 of CIFAR-100's classes (every tenth), 5,000 images of
32x32, less those held out. All nets have nearly the multiply-adds of NASNet-A's: filters of the first stage are tried
in quarters (a stage has the nearest whole number) until the count is within ``tolerance``. Each arm is trained at every
rate of ``rates``; the one with the fewest errors on held-out training cases, summed over seeds, is its own, and test
errors are compared at it. The best random pair is the one with the fewest held-out errors at its own rate. Scale
``quick``: smaller nets on scikit-learn's digits.

The rule, set before running: the searched cell is better if the 95 % interval of its test error less the random cells'
mean, paired by seed, lies below zero; likewise against the best random pair. The five pairs are drawn once: the
interval speaks of training them again, not of drawing others.

Departures: another data set, nets of less than a hundredth of the multiply-adds, trained for less than a hundredth of
the paper's 600 epochs without auxiliary head, dropped paths and cutout; a first convolution of stride
``stem_stride``. Random blocks add their sides, where the space also has concatenation: all of NASNet-A's add.
NASNet-A was found by errors on CIFAR-10, whose images are not these.
Cost at scale ``paper``: about a CPU-minute a run, 72 runs.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim, t_interval
from repro.contrasts import least_in_sum
from repro.experiment import Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options
from repro.training.settings import NO_DROPOUT, NO_NORMS, RATE_IS_CHOSEN, Training

if TYPE_CHECKING:
    from repro.models.nasnet import Architecture

DATA = {"quick": "digits", "paper": "cifar-100", "cluster": "cifar-100"}
PRINTED_DATA = "cifar-10"
SEARCHED = "nasnet_a"
STAGES = 3


class Config(Options):
    """``filters`` of NASNet-A's first stage; the random cells' follow from the multiply-adds."""

    seeds: int = Field(3, ge=1)
    random_cells: PositiveInt = 5
    repeats: PositiveInt = 1
    filters: PositiveInt
    stem_stride: PositiveInt = 1
    tolerance: float = Field(0.05, gt=0, lt=1, description="of multiply-adds, relative")
    every_class: PositiveInt = Field(1, description="1: all classes; 10: every tenth of them")
    held_out: PositiveInt
    rates: tuple[float, ...] = Field(min_length=1)
    training: Annotated[Training, NO_DROPOUT, NO_NORMS, RATE_IS_CHOSEN]


def random_name(number: int) -> str:
    return f"random_{number}"


def arm_name(cells: str, rate: float) -> str:
    return f"{cells}.rate{rate:g}"


def rivals(config: Config) -> list[str]:
    return [random_name(number) for number in range(config.random_cells)]


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(
        mode="json", include={"repeats", "filters", "stem_stride", "tolerance", "every_class", "held_out"}
    )
    numbers: dict[str, int | None] = {SEARCHED: None, **{random_name(n): n for n in range(config.random_cells)}}
    return [
        Arm(
            arm_name(name, rate),
            {"cells": name, "random_cells": number, **shared}
            | {"training": config.training.model_copy(update={"learning_rate": rate}).model_dump(mode="json")},
            config.seeds,
        )
        for name, number in numbers.items()
        for rate in config.rates
    ]


def matched(
    number: int | None, repeats: int, filters: int, stem_stride: int, tolerance: float,
    shape: tuple[int, int, int], classes: int,
) -> tuple["Architecture", int]:  # fmt: skip
    """The net of random cells ``number`` with the multiply-adds of NASNet-A's at ``filters``, and what it has of them;
    NASNet-A's own for None.

    Raises:
        UserError: no number of filters comes within ``tolerance``.
    """
    from repro.errors import UserError
    from repro.models.counting import layer_counts, total
    from repro.models.nasnet import NASNET_A, CellPair, for_small_images, nasnet, random_cells

    def tried(cells: CellPair, quarters: int) -> tuple["Architecture", int]:
        wide = tuple(max(1, round(quarters * 2**stage / 4)) for stage in range(STAGES))
        net = for_small_images(repeats, wide, cells, stem_stride)
        # Nets as small as these are counted faster where they compute than on the meta device.
        built = nasnet(net, classes, seed=0, channels=shape[0])
        return net, total(layer_counts(built, shape)).multiply_adds

    searched, wanted = tried(NASNET_A, 4 * filters)
    if number is None:
        return searched, wanted
    cells = random_cells(number)
    low, high = 1, 16 * filters  # quarters; the count grows with them
    found = []
    while low <= high:
        middle = (low + high) // 2
        found.append(tried(cells, middle))
        low, high = (middle + 1, high) if found[-1][1] < wanted else (low, middle - 1)
    net, has = min(found, key=lambda one: abs(one[1] - wanted))
    if abs(has / wanted - 1) > tolerance:
        raise UserError(
            f"random cells {number}: no filters give {wanted / 1e6:.2f} M multiply-adds to {tolerance:.0%}, "
            f"{has / 1e6:.2f} M are nearest; raise filters or tolerance"
        )
    return net, has


_matched_once = cache(matched)  # every seed and rate of an arm asks


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.data import sets
    from repro.models.nasnet import nasnet
    from repro.runner import CHECKPOINT
    from repro.training import small_images

    settings = arm.settings
    cases = small_images.split(
        sets.load(context.data), every_class=settings["every_class"], held_out=settings["held_out"]
    )
    net, multiply_adds = _matched_once(
        *(settings[name] for name in ("random_cells", "repeats", "filters", "stem_stride", "tolerance")),
        cases.shape,
        cases.classes,
    )
    model = nasnet(net, cases.classes, seed=seed, channels=cases.shape[0])
    fitted = small_images.fit(
        model,
        cases,
        Training(**settings["training"]),
        seed=seed,
        name=context.name,
        device=context.device,
        checkpoint=context.work / CHECKPOINT,
        checkpoint_interval_s=context.checkpoint_interval_s,
    )
    counted = {
        "multiply_adds": multiply_adds,
        "parameters": sum(p.numel() for p in model.parameters()),
        "first_filters": net.filters[0],
        "last_filters": net.filters[-1],
    }
    return Result({**fitted.metrics, **counted}, fitted.curves)


def own_rate(results: Results, config: Config, cells: str) -> tuple[float, float] | None:
    """The rate with the fewest held-out errors over all seeds, and how many these are; None before all ran."""
    errors = {rate: results.values(arm_name(cells, rate), "held_out_errors") for rate in config.rates}
    best = least_in_sum(errors, config.seeds)
    return None if best is None else (best, sum(errors[best].values()))


def percent_wrong(results: Results, config: Config, cells: str) -> dict[int, float]:
    """Test error in % by seed, at the arm's own rate; empty before all its runs are there."""
    own = own_rate(results, config, cells)
    if own is None:
        return {}
    cases = results.rows[0]["test_cases"]
    return {s: 100 * v / cases for s, v in results.values(arm_name(cells, own[0]), "test_errors").items()}


def best_random(results: Results, config: Config) -> str | None:
    """The random pair with the fewest held-out errors, the first of them if they tie; None before all ran."""
    found = {name: own_rate(results, config, name) for name in rivals(config)}
    scores = {name: own[1] for name, own in found.items() if own is not None}
    return min(scores, key=lambda name: scores[name]) if len(scores) == config.random_cells else None


def figure(results: Results) -> Drawing:
    """Test error of each pair of cells, single runs and means, and multiply-adds beside their names."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, legend

    config = Config.model_validate(results.config)
    drawn, (ax,) = axes(width_in=8.5, height_in=4.4)
    data: list[dict[str, Any]] = []
    ticks: list[str] = []
    best = best_random(results, config)
    random_means = []
    for position, name in enumerate((SEARCHED, *rivals(config))):
        random = name != SEARCHED
        found = [row for row in results.rows if row["settings.cells"] == name]
        label = name.replace("_", " ") if random else "NASNet-A"
        ticks.append(label + (f"\n{found[0]['multiply_adds'] / 1e6:.2f} M" if found else ""))
        values = list(percent_wrong(results, config, name).values())
        own = own_rate(results, config, name)
        if not values or own is None:
            continue
        mean, low, high = t_interval(values)
        random_means += [mean] if random else []
        number = 1 if random else 0
        spread = [position - 0.2 + 0.08 * (i - (len(values) - 1) / 2) for i in range(len(values))]
        ax.plot(spread, values, MARKERS[number], color=COLOURS[number], alpha=0.4, ms=6)
        error = None if low is None or high is None else [[mean - low], [high - mean]]
        ax.errorbar(
            [position + 0.1], [mean], yerr=error, fmt=MARKERS[number], color=COLOURS[number], ms=9, capsize=4,
            label=("searched", "drawn at random")[number] if position < 2 else None,
        )  # fmt: skip
        text = f"{mean:.1f}" + (" *" if name == best else "")
        ax.annotate(text, (position + 0.1, mean), (8, 6), textcoords="offset points", fontsize=10)
        data.append({"cells": name, "mean": mean, "low": low, "high": high, "n": len(values), "rate": own[0]})
    if random_means:
        middle = sum(random_means) / len(random_means)
        ax.axhline(middle, color=PRINTED, ls=":", label="mean of the random ones")
        data.append({"cells": "random", "mean": middle})
    ax.set_xticks(range(len(ticks)), ticks)
    ax.grid(axis="x", visible=False)
    ax.set_xlim(-0.5, len(ticks) - 0.4)
    ax.set_xlabel("cells and multiply-adds")
    ax.set_ylabel("test error, %")
    ax.margins(y=0.12)
    legend(ax, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    caption = (
        "Test error of nets made of NASNet-A's cells and of cells drawn at random from the same space, with nearly "
        "equal multiply-adds, each at its own learning rate chosen on held-out training cases. Small marks: single "
        f"runs; large marks: means with 95 % t-intervals, n = {config.seeds} seeds. *: the random pair with the fewest "
        "held-out errors. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    config = Config.model_validate(results.config)
    searched = percent_wrong(results, config, SEARCHED)
    by_seed = [percent_wrong(results, config, name) for name in rivals(config)]
    seeds = sorted(searched) if all(by_seed) else []
    best = best_random(results, config)
    against_best = percent_wrong(results, config, best) if best else {}
    departures = "other images, small nets, short training: the direction is judged"
    setting = f"{config.random_cells} random pairs of cells, equal multiply-adds"
    return [
        Claim(
            "PS377.cells",
            "test error, NASNet-A's cells minus the mean of random ones, same seed",
            tuple(searched[s] - sum(errors[s] for errors in by_seed) / len(by_seed) for s in seeds),
            direction="less",
            setting=setting,
            unit="points",
            departures=departures,
        ),
        Claim(
            "PS377.cells.best",
            "test error, NASNet-A's cells minus the random ones best on held-out cases, same seed",
            tuple(searched[s] - against_best[s] for s in seeds if best),
            direction="less",
            setting=setting,
            unit="points",
            departures=departures,
        ),
    ]

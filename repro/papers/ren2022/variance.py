"""Table 1: the variance of four estimates of a gradient, measured on real gradients against the formulas.

The paper (Propositions 1 to 4): with per-weight variance V of the cases' gradients and squared mean gradient S, batch N
and Gaussian noise, the mean variance of an estimate is (d+2)/N V + (d+1) S where a batch shares a draw, (d+2)/N V +
(d+1)/N S where every case has its own; d = pq, the number of weights, for perturbed weights, and d = q, the fan-out,
for perturbed units. All four are unbiased.

Here: a feed-forward net in the middle of training by backprop; V and S exactly, from the gradients of all pool cases
one by one; then estimates on batches drawn from the pool with fresh noise, all by the estimators that the learning
experiments use. Weights are perturbed all at once, so d counts all that is perturbed; units layer by layer, as the
formula wants, and also all at once, where other layers' noise comes on top: that row has no formula. The head keeps
its exact gradient and is not counted. The ratio of measured to predicted should be 1.

Departures: the paper gives the formulas without measurements. Signs, whose fourth moment is 1, have d and d-1 in place
of d+2 and d+1, derived here; their rows are marked.

Cost at scale ``paper``: about half a minute of one core a run.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

from repro.compare import Answer, Claim
from repro.experiment import Arm, Context, Result
from repro.plots.drawing import Drawing, number_of
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = {"quick": "digits", "paper": "mnist", "cluster": "mnist"}
PRINTED_DATA = "mnist"
FORMULAS = {
    "weights_shared": ("PS155", "weights, shared draw"),
    "weights_own": ("PS156", "weights, own draws"),
    "units_shared": ("PS157", "units, shared draw"),
    "units_own": ("PS158", "units, own draws"),
}


class Config(Options):
    """``widths``, ``depths`` and ``batch_sizes`` are varied one at a time around the first of each; ``draws`` estimates
    each; ``pool`` cases; ``warm_up_steps`` of backprop before anything is measured."""

    seeds: PositiveInt = 3
    widths: tuple[PositiveInt, ...] = Field(min_length=1)
    depths: tuple[PositiveInt, ...] = Field(min_length=1, description="hidden layers")
    batch_sizes: tuple[PositiveInt, ...] = Field(min_length=1)
    draws: int = Field(ge=10)
    pool: PositiveInt
    warm_up_steps: PositiveInt = 50


def points(config: Config) -> list[tuple[int, int, int]]:
    """(width, depth, batch): the middle one and those that differ from it in one respect."""
    width, depth, batch = config.widths[0], config.depths[0], config.batch_sizes[0]
    found = [(w, depth, batch) for w in config.widths]
    found += [(width, d, batch) for d in config.depths[1:]]
    return found + [(width, depth, b) for b in config.batch_sizes[1:]]


def point_name(width: int, depth: int, batch: int) -> str:
    return f"width{width}.depth{depth}.batch{batch}"


def arms(config: Config) -> list[Arm]:
    shared = config.model_dump(mode="json", include={"draws", "pool", "warm_up_steps"})
    return [
        Arm(point_name(w, d, b), {"width": w, "depth": d, "batch": b, **shared}, config.seeds, seeds_per_job=10)
        for w, d, b in points(config)
    ]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.ren2022 import _variance

    return _variance.measure(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Measured over predicted variance, and noise against width, depth and batch."""
    from repro.papers.ren2022._figures import across, row_of
    from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, plain_ticks, with_intervals

    config = Config.model_validate(results.config)
    drawn, panels = axes(4, 1, width_in=15.0, height_in=4.4)
    data: list[dict[str, Any]] = []
    keys = [*FORMULAS, "units_own_signs"]
    labels = {key: what for key, (_, what) in FORMULAS.items()}
    labels |= {"units_own_signs": "units, own signs", "units_own_at_once": "units, own draws,\nall layers at once"}
    left = panels[0]
    for position, key in enumerate(keys):
        for shift, point in enumerate(points(config)):
            values = list(results.values(point_name(*point), f"{key}_ratio").values())
            if not values:
                continue
            row = row_of(values, panel="ratio", estimate=key, width=point[0], depth=point[1], batch=point[2])
            data.append(row)
            y = position + 0.09 * (shift - (len(points(config)) - 1) / 2)
            across(left, y, row, {"color": COLOURS[position], "marker": MARKERS[position]}, True)
    left.axvline(1, color=PRINTED, ls="--", lw=1.5)
    left.set_yticks(range(len(keys)), [labels[key] for key in keys])
    left.set_ylim(len(keys) - 0.4, -0.6)
    left.set_xlabel("measured / predicted variance")
    middle = (config.widths[0], config.depths[0], config.batch_sizes[0])
    varied: list[tuple[str, Sequence[int], int, Axes]] = [
        ("units a layer", config.widths, 0, panels[1]),
        ("hidden layers", config.depths, 1, panels[2]),
        ("cases a batch", config.batch_sizes, 2, panels[3]),
    ]
    for name, values_of, place, ax in varied:
        # The last is not what the ratios' last row is: a colour of its own.
        for number, key in zip((0, 1, 2, 3, 5), [*FORMULAS, "units_own_at_once"], strict=True):
            marks: list[Mark] = []
            for value in sorted(values_of):
                width, depth, batch = (value if place == i else m for i, m in enumerate(middle))
                noise = list(results.values(point_name(width, depth, batch), f"{key}_noise").values())
                if noise:
                    row = row_of(noise, panel=name, estimate=key, width=width, depth=depth, batch=batch)
                    data.append(row)
                    marks.append((value, row["mean"], row["low"], row["high"]))
            with_intervals(ax, marks, number, labels[key] if place == 0 else None)
        ax.set_xscale("log")
        ax.set_yscale("log")
        plain_ticks(ax.xaxis, sorted(values_of))
        ax.set_xlabel(name)
        means = [row["mean"] for row in data if row["panel"] == name]
        if means:
            ax.set_ylim(min(means) / 3, max(means) * 3)
    panels[1].set_ylabel("variance over squared gradient")
    drawn.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=10)
    seeds = [len(results.values(point_name(*point), "weights")) for point in points(config)]
    caption = (
        "Variance of gradient estimates on real gradients. Left: measured over predicted (Ren et al. 2022, Table 1; "
        "the last row's formula for signs is ours), each point a width, depth and batch. Right: variance over the "
        "squared gradient. Of weights: all hidden layers at once; of units: the first layer. 95 % t-intervals over "
        f"seeds ({number_of(seeds)}); those that leave a panel are cut off. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    """A ratio within a tenth of 1, where the interval over seeds allows to say so."""
    config = Config.model_validate(results.config)
    name = point_name(*points(config)[0])
    answers: list[Answer] = []
    for key, (row, what) in FORMULAS.items():
        ratios = tuple(results.values(name, f"{key}_ratio").values())
        for side, null, direction in (("above", 0.9, "greater"), ("below", 1.1, "less")):
            answers.append(
                Claim(
                    f"{row}.{side}",
                    f"measured over predicted variance, {what}",
                    ratios,
                    null=null,
                    direction="greater" if direction == "greater" else "less",
                    setting=name,
                    unit="",
                )
            )
    return answers

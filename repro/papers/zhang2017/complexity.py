"""Tables 1, 2 and 5: multiply-adds and parameters of every ShuffleNet, by groups and width.

The paper calls multiply-adds FLOPs and prints them in millions for 224x224 images and 1,000 classes; parameters are
printed only by the authors' re-release. Here: ``repro.models.shufflenet.counts``, sums over the list of units that the
net is built from. Nothing is learned, nothing random; one run of milliseconds.

The rule, set before counting: a count is ``within`` if it rounds to the printed digits.

Departures, all forced by what is not printed:
- Table 1's five numbers are met to the digit when the last, fully connected layer (0.6 to 1.5 M) is left out, those of
  Table 5 and of the re-release when it is counted; each is compared as it was evidently counted.
- The first convolution's channels at widths other than 1, see ``shufflenet.published``. Table 2 prints one number a
  width for all groups (the paper speaks of nets of equal complexity): it is shown beside ours and not judged.
- A bottleneck that does not divide into the groups is widened (0.25x and 0.5x at some groups).
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

from pydantic import Field

from repro.compare import Answer, Model
from repro.experiment import NO_DATA, Arm, Context, Result
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

DATA = {"quick": NO_DATA, "paper": NO_DATA, "cluster": NO_DATA}
PRINTED_DATA = NO_DATA
ARM = "counts"
CONVOLUTIONS, ALL, PARAMETERS = "convolution_multiply_adds", "multiply_adds", "parameters"
# Printed row: width, groups, what it counts.
JUDGED = {
    **{f"PS356.g{g}": (1.0, g, CONVOLUTIONS) for g in (1, 2, 3, 4, 8)},
    "PS342.mult_adds": (1.5, 3, ALL),
    "PS339.mult_adds": (2.0, 3, ALL),
    **{
        f"PS359.{name}_g{g}_{suffix}": (width, g, quantity)
        for (name, width), g, (suffix, quantity) in product(
            {"05x": 0.5, "1x": 1.0, "15x": 1.5, "2x": 2.0}.items(),
            (3, 8),
            {"mult_adds": ALL, "parameters": PARAMETERS}.items(),
        )
    },
}
FIRST_OF_WIDTH = {1.0: 314, 0.5: 319, 0.25: 324}  # rows of Table 2, groups 1, 2, 3, 4, 8
NOMINAL = {
    f"PS{first + number}.mult_adds": (width, g, ALL)
    for width, first in FIRST_OF_WIDTH.items()
    for number, g in enumerate((1, 2, 3, 4, 8))
}


class Config(Options):
    groups: tuple[int, ...] = Field((1, 2, 3, 4, 8), min_length=1)
    widths: tuple[float, ...] = Field((0.25, 0.5, 1.0, 1.5, 2.0), min_length=1)


def arms(config: Config) -> list[Arm]:
    return [Arm(ARM, config.model_dump(mode="json"), 1, device="cpu")]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.models.shufflenet import counts, published

    rows: list[dict[str, Any]] = []
    for width, groups in product(arm.settings["widths"], arm.settings["groups"]):
        net = published(groups, width)
        found = counts(net, size=224, classes=1000)
        rows.append(
            {
                "width": width,
                "groups": groups,
                "stem": net.stem,
                CONVOLUTIONS: found.convolution_multiply_adds,
                ALL: found.multiply_adds,
                PARAMETERS: found.parameters,
            }
        )
    return Result({"nets": len(rows)}, tables={ARM: rows})


def _found(results: Results) -> dict[tuple[float, int, str], float]:
    """Counts in millions by width, groups and quantity."""
    return {
        (float(row["width"]), int(row["groups"]), quantity): row[quantity] / 1e6
        for row in results.table(ARM)
        for quantity in (CONVOLUTIONS, ALL, PARAMETERS)
    }


def figure(results: Results) -> Drawing:
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, plain_ticks
    from repro.published import load

    found, printed = _found(results), load()
    drawn, panels = axes(2, width_in=10.5, height_in=4.6)
    data: list[dict[str, Any]] = []
    widths = sorted({width for width, _, _ in found}, reverse=True)
    groups = sorted({g for _, g, _ in found})
    for ax, quantity, label in zip(
        panels, (ALL, PARAMETERS), ("multiply-adds, millions", "parameters, millions"), strict=True
    ):
        for number, width in enumerate(widths):
            line = [found[width, g, quantity] for g in groups]
            ax.plot(groups, line, color=COLOURS[number], marker=MARKERS[number], label=f"{width:g}x")
            data += [
                {"quantity": quantity, "width": width, "groups": g, "ours": value}
                for g, value in zip(groups, line, strict=True)
            ]
        shown = {
            id: where
            for id, where in (JUDGED | NOMINAL).items()
            if where in found and (where[2] == PARAMETERS) == (quantity == PARAMETERS)
        }
        for number, (id, (width, g, counted)) in enumerate(shown.items()):
            value = printed[id].value or 0.0
            ax.plot([g], [value], "_", color=PRINTED, ms=17, mew=2, label=None if number else "printed")
            data.append({"quantity": counted, "width": width, "groups": g, "id": id, "printed": value})
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        plain_ticks(ax.xaxis, groups)
        plain_ticks(ax.yaxis, (10, 20, 50, 100, 200, 500) if quantity == ALL else (0.2, 0.5, 1, 2, 5))
        ax.set_xlabel("groups g")
        ax.set_ylabel(label)
    panels[0].set_ylim(top=5 * max(v for (_, _, q), v in found.items() if q == ALL))
    panels[0].legend(ncols=3, title="width")
    caption = (
        "Counts for 224x224 images and 1,000 classes by number of groups and width, last layer included. Dashes: "
        "printed by the paper (Table 1 without the last layer; Table 2 one number a width) and by the authors' "
        "re-release, which alone prints parameters. "
    )
    return Drawing(drawn, data, caption + results.scope)


def claims(results: Results) -> Sequence[Answer]:
    found = _found(results)
    return [
        Model(id, (found[where],), departures=_departures(id, where[2]))
        for id, where in (JUDGED | NOMINAL).items()
        if where in found
    ]


def _departures(id: str, quantity: str) -> str:
    if quantity == CONVOLUTIONS:
        return "the last, fully connected layer is not counted"
    if id in NOMINAL:
        return "one printed number stands for the nets of all groups, whose counts differ: Table 1 has them apart at 1x"
    if id == "PS359.1x_g3_mult_adds":
        return "Table 1 prints 137 for this net without its last layer, which adds 0.96"
    return ""

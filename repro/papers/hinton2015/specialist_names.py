"""Section 5.3, Table 2: the covariance of predictions by cluster, and the clusters by class name.

The paper prints three of JFT's clusters by a few class names each. Here: every cluster of the first generalist of
``specialist_generalist``, as many as there are specialists; each class marked with its superclass, which the
clustering never saw; and the correlations that it saw instead.

Trains nothing. Departures as in ``specialist_generalist``.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from repro.compare import Answer
from repro.experiment import Arm, Context, Need, Result
from repro.papers.hinton2015 import _specialist_arms
from repro.plots.drawing import Drawing
from repro.results import Results
from repro.settings import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA, PRINTED_DATA = _specialist_arms.DATA, _specialist_arms.PRINTED_DATA
MOST_SHOWN = 0.5  # correlation either way at which the colours end


class Config(Options):
    count: int = Field(ge=1, description="of clusters")


def arms(config: Config) -> list[Arm]:
    need = Need("generalist", experiment="specialist_generalist", seed=0)
    return [Arm("clusters", config.model_dump(mode="json"), 1, (need,), device="cpu")]


def run(arm: Arm, seed: int, context: Context) -> Result:
    from repro.papers.hinton2015._specialist_clusters import names

    return names(arm, seed, context)


def figure(results: Results) -> Drawing:
    """Correlations of predictions by cluster; beside them the clusters as columns of class names, in the same order,
    each name in its superclass's colour and with its mark."""
    from repro.papers.hinton2015._figures import caption_of
    from repro.plots.style import COLOURS, MARKERS, axes

    table = results.table("names")
    groups = sorted({str(row["superclass"]) for row in table})
    numbers = list(dict.fromkeys(row["cluster"] for row in table))
    columns = 5
    per_column = _columns([sum(row["cluster"] == c for row in table) + 1 for c in numbers], columns)
    depth = max(sum(1 + sum(row["cluster"] == numbers[i] for row in table) for i in column) for column in per_column)
    drawn, (matrix, ax) = axes(2, width_in=15.0, height_in=max(6.0, 0.21 * depth + 1.6), widths=[1, 1.9])
    _correlations(matrix, table)
    ax.set_axis_off()
    ax.set_xlim(-0.02, columns)
    ax.set_ylim(depth, -1)
    for x, column in enumerate(per_column):
        y = 0
        for i in column:
            members = [row for row in table if row["cluster"] == numbers[i]]
            ax.plot([x, x], [y - 0.45, y + len(members) - 0.55], color="black", lw=1.5)
            for row in members:
                group = str(row["superclass"])
                number = groups.index(group)
                colour = COLOURS[number % len(COLOURS)]
                ax.plot([x + 0.05], [y], MARKERS[number // 3 % len(MARKERS)], color=colour, ms=5)
                ax.annotate(str(row["class"]).replace("_", " "), (x + 0.09, y), va="center", fontsize=9.5, color=colour)
                y += 1
            y += 1
    for number, group in enumerate(groups):
        marker = MARKERS[number // 3 % len(MARKERS)]
        ax.plot([], [], marker, color=COLOURS[number % len(COLOURS)], label=group.replace("_", " ") or "class")
    drawn.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8.5, handletextpad=0.2)
    text = (
        f"The {len(numbers)} clusters of classes that on-line k-means finds in the columns of the covariance of one "
        "generalist's softened predictions, without labels. Left: their correlations, classes in the order of the "
        "names and clusters in boxes. Right: a bar marks a cluster, colour and mark the superclass of a class. "
    )
    named = [{key: row[key] for key in ("cluster", "class", "superclass")} for row in table]
    return Drawing(drawn, named, caption_of(results, text))


def _correlations(ax: "Axes", table: Sequence[Mapping[str, Any]]) -> None:
    """The matrix, its colours' meaning below it, and a box for every cluster."""
    import numpy as np

    values = np.array([[float(value) for value in str(row["correlations"]).split()] for row in table])
    shown = ax.imshow(values, cmap="RdBu_r", vmin=-MOST_SHOWN, vmax=MOST_SHOWN, interpolation="nearest")
    ends = [i + 0.5 for i in range(len(table) - 1) if table[i]["cluster"] != table[i + 1]["cluster"]]
    for start, end in zip([-0.5, *ends], [*ends, len(table) - 0.5], strict=True):
        ax.plot([start, end, end, start, start], [start, start, end, end, start], color="black", lw=0.8)
    bar = ax.figure.colorbar(shown, ax=ax, location="bottom", shrink=0.8, extend="both")
    bar.set_label("correlation of predictions")
    ax.set_xlabel("class")
    ax.set_ylabel("class")
    ax.grid(visible=False)
    every = 20 if len(table) > 40 else 5
    ax.set_xticks(range(0, len(table), every))
    ax.set_yticks(range(0, len(table), every))


def _columns(lengths: Sequence[int], columns: int) -> list[list[int]]:
    """Indices dealt to at most ``columns`` columns in their order; a column is full once it has its share."""
    share = sum(lengths) / columns
    found: list[list[int]] = [[]]
    for i in range(len(lengths)):
        if found[-1] and len(found) < columns and sum(lengths[j] for j in found[-1]) + lengths[i] / 2 > share:
            found.append([])
        found[-1].append(i)
    return found


def claims(results: Results) -> Sequence[Answer]:
    return []

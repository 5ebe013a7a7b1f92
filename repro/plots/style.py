"""One style for all figures: readable at half size, safe for colour-blind readers."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

# Okabe and Ito's palette, which stays distinct under the common kinds of colour blindness; dark ones first.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PRINTED = "#444444"
WIDTH_IN, HEIGHT_IN = 7.0, 4.2
RC: dict[str, Any] = {
    "font.size": 12.0,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 12.0,
    "axes.labelsize": 12.0,
    "legend.fontsize": 10.5,
    "xtick.labelsize": 11.0,
    "ytick.labelsize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.0,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}


def axes(
    columns: int = 1,
    rows: int = 1,
    *,
    width_in: float = WIDTH_IN,
    height_in: float = HEIGHT_IN,
    widths: Sequence[float] | None = None,
) -> tuple[Figure, Sequence[Axes]]:
    """A figure outside of pyplot's state, and its axes in reading order; ``widths`` are the columns', as ratios."""
    import matplotlib

    matplotlib.rcParams.update(RC)  # type: ignore[arg-type]  # its keys are checked when set
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    made = figure.subplots(rows, columns, squeeze=False, width_ratios=widths)
    return figure, [ax for row in made for ax in row]


def band(ax: Axes, low: float, high: float, *, label: str | None = None, horizontal: bool = True) -> None:
    """The printed number's band, behind everything."""
    span = ax.axhspan if horizontal else ax.axvspan
    span(low, high, color="#bbbbbb", alpha=0.35, lw=0, zorder=0, label=label)


def plain_ticks(axis: Axis, ticks: Sequence[float]) -> None:
    """These ticks and no others on a logarithmic axis, written as plain numbers (1,000 rather than 10^3)."""
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def legend(ax: Axes, **options: Any) -> None:
    """A legend, where there is anything to name: a figure of a study half done may have empty panels."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**options)


Mark = tuple[float, float, float | None, float | None]  # x, mean, and the interval's ends if there is one


def with_intervals(ax: Axes, marks: Sequence[Mark], number: int, label: str | None = None, *, line: str = "-") -> None:
    """Markers and 95 % intervals in the colour of line ``number``, joined by it; a missing interval draws none."""
    down = [0.0 if low is None else mean - low for _, mean, low, _ in marks]
    up = [0.0 if high is None else high - mean for _, mean, _, high in marks]
    ax.errorbar(
        [mark[0] for mark in marks],
        [mark[1] for mark in marks],
        yerr=[down, up],
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        linestyle=line,
        capsize=3,
        elinewidth=1.2,
        label=label,
    )

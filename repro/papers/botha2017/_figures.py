"""The figure that both tasks share."""

from typing import Any

from repro.compare import t_interval
from repro.papers.botha2017._arms import (
    MOST_FREQUENT,
    Config,
    by_buckets,
    by_dimension,
    linear_name,
)
from repro.plots.drawing import Drawing
from repro.plots.style import PRINTED, axes, legend, plain_ticks, with_intervals
from repro.results import Results


def draw(results: Results, what: str) -> Drawing:
    """Accuracy by buckets, by dimension and against size; ``what`` is the quantity's name."""
    config = Config.model_validate(results.config)
    drawn, panels = axes(3, width_in=13.0, height_in=4.4)
    data: list[dict[str, Any]] = []

    def mark(arm: str, metric: str, x: float, panel: str) -> tuple[float, float, float | None, float | None] | None:
        values = list(results.values(arm, metric).values())
        if not values:
            return None
        mean, low, high = t_interval(values)
        row = {"panel": panel, "arm": arm, "metric": metric, "x": x, "mean": mean, "low": low, "high": high}
        data.append(row | {"n": len(values)})
        return x, mean, low, high

    sweeps = {"buckets": by_buckets(config), "dimension": by_dimension(config)}
    names = {"buckets": "hash buckets of each size of n-grams", "dimension": "numbers of an embedding"}
    for ax, (sweep, found) in zip(panels, sweeps.items(), strict=False):
        for number, (metric, label) in enumerate({"test_accuracy": "float32", "test_accuracy_8bit": "8 bits"}.items()):
            marks = [m for x, arm in found.items() if (m := mark(arm, metric, x * 1.04**number, sweep))]
            with_intervals(ax, marks, number, label)
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, list(found))
        ax.set_xlabel(names[sweep])
        ax.set_ylabel(f"{what}, %")
    legend(panels[0], loc="lower right")
    ax = panels[2]

    def size(arm: str, metric: str) -> float | None:
        return next((value / 1000 for value in results.values(arm, metric).values()), None)

    kinds = {
        "small nets, 8 bits": ([*dict.fromkeys([*sweeps["buckets"].values(), *sweeps["dimension"].values()])], 1),
        "linear, same n-grams, float32": ([linear_name(v) for v in config.linear.buckets], 2),
    }
    for label, (arms, number) in kinds.items():
        metrics = ("test_accuracy_8bit", "bytes") if number == 1 else ("test_accuracy", "float_bytes")
        marks = [m for arm in arms if (x := size(arm, metrics[1])) and (m := mark(arm, metrics[0], x, "size"))]
        with_intervals(ax, sorted(marks), number, label, line="none")
    frequent = mark(MOST_FREQUENT, "test_accuracy", 0, "size")
    if frequent and frequent[1] > 0.5 * max(row["mean"] for row in data):  # far below, it would only flatten the rest
        ax.axhline(frequent[1], ls=":", color=PRINTED, lw=1.6, label="most frequent label of the token")
    ax.set_xscale("log")
    plain_ticks(ax.xaxis, [10**k for k in range(6)])
    ax.set_xlabel("kilobytes on disk")
    ax.set_ylabel(f"{what}, %")
    legend(ax, loc="lower center", fontsize=9.5, bbox_to_anchor=(0.5, 1.0))
    caption = (
        f"{what[0].upper()}{what[1:]} by small feed-forward nets on hashed character n-grams. Left and middle: the "
        f"base net ({config.base.buckets:,} buckets, {config.base.dimension} numbers an embedding, {config.hidden} "
        "hidden units), varied one way at a time, in float32 and from its 8-bit form. Right: the same nets in 8 bits "
        f"and linear classifiers on the same n-grams against their size. 95 % t-intervals, n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)

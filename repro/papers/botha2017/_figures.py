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
from repro.published import load as load_published
from repro.results import Results


def draw(results: Results, what: str, printed: str = "") -> Drawing:
    """Accuracy by buckets, by dimension, against size and against operations.

    ``what`` is the quantity's name; ``printed``: the row whose accuracy, size and operations are marked.
    """
    config = Config.model_validate(results.config)
    drawn, panels = axes(2, 2, width_in=11.0, height_in=8.2)
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

    def first(arm: str, metric: str) -> float | None:
        return next(iter(results.values(arm, metric).values()), None)

    small = dict.fromkeys([*sweeps["buckets"].values(), *sweeps["dimension"].values()])
    kinds = {
        "small nets, 8 bits": (small, "test_accuracy_8bit", "bytes"),
        "linear, same n-grams, float32": (map(linear_name, config.linear.buckets), "test_accuracy", "float_bytes"),
    }
    on_disk, per_token = panels[2:]
    for number, (label, (arms, accuracy, size)) in enumerate(kinds.items(), start=1):
        listed = list(arms)
        for ax, panel, cost, unit in ((on_disk, "size", size, 1e3), (per_token, "operations", "operations", 1e3)):
            at = {arm: x / unit for arm in listed if (x := first(arm, cost))}
            marks = [m for arm, x in at.items() if (m := mark(arm, accuracy, x, panel))]
            with_intervals(ax, sorted(marks), number, label, line="none")
    frequent = mark(MOST_FREQUENT, "test_accuracy", 0, "size")
    if frequent and frequent[1] > 0.5 * max(row["mean"] for row in data):  # far below, it would only flatten the rest
        for ax in (on_disk, per_token):
            ax.axhline(frequent[1], ls=":", color=PRINTED, lw=1.6, label="most frequent label of the token")
    if printed:
        rows = load_published()
        right, megabytes, operations = (rows[f"{printed}.{what}"].number for what in ("accuracy", "size", "ops"))
        on_disk.plot(
            [1e3 * megabytes], [right], "x", color=PRINTED, ms=9, mew=2, label="recollected from print, other data"
        )
        per_token.plot([operations / 1e3], [right], "x", color=PRINTED, ms=9, mew=2)
    for ax, label in ((on_disk, "kilobytes on disk"), (per_token, "thousand multiply-adds a token")):
        ax.set_xscale("log")
        plain_ticks(
            ax.xaxis, [digit * 10**k for k in range(6) for digit in ((1,) if ax is on_disk else (1, 2, 3, 5, 7))]
        )
        ax.set_xlabel(label)
        ax.set_ylabel(f"{what}, %")
    drawn.legend(*on_disk.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    caption = (
        f"{what[0].upper()}{what[1:]} by small feed-forward nets on hashed character n-grams. Above: the base net, "
        f"{config.base.buckets:,} buckets, {config.base.dimension} numbers an embedding, {config.hidden} hidden units, "
        "varied one way at a time, in float32 and from its 8-bit form. Below: the same nets in 8 bits and linear "
        "classifiers on the same n-grams, against their size and their multiply-adds a token, hashing left out. 95 % "
        f"t-intervals, n = {config.seeds} seeds. "
    )
    return Drawing(drawn, data, caption + results.scope)

"""Figures of the NASNet experiments, drawn from recorded results. The underscore says that it is no experiment."""

from collections.abc import Mapping
from typing import Any

from repro.compare import t_interval
from repro.papers.zoph2017 import cells as study
from repro.papers.zoph2017.complexity import KINDS, MULTIPLY_ADDS, NETS, NORMALISATION, PARAMETERS, RIVALS
from repro.plots.drawing import Drawing
from repro.results import Results

RIVALS_AT = {"PS391": (-20, -13), "PS392": (9, -5), "PS393": (9, 6)}  # points from the mark: two are neighbours


def complexity(results: Results, rows: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Printed top-1 error against multiply-adds, and where multiply-adds and parameters of each net sit."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, legend, plain_ticks
    from repro.published import load

    printed = load()
    drawn, (left, middle, right) = axes(3, width_in=13.5, height_in=4.6)
    data: list[dict[str, Any]] = []

    def value(id: str) -> float:
        return printed[id].value or 0.0

    on_imagenet = [name for name in rows if f"{NETS[name].id}.{MULTIPLY_ADDS}" in printed]
    for number, name in enumerate(on_imagenet):
        stem = NETS[name].id
        error, theirs = 100 - value(f"{stem}.top1"), value(f"{stem}.{MULTIPLY_ADDS}")
        ours = rows[name][MULTIPLY_ADDS] / 1e6
        first = number == 0
        left.plot([ours], [error], MARKERS[0], color=COLOURS[0], ms=8, label="NASNet-A, counted" if first else None)
        left.plot([theirs], [error], "x", color=PRINTED, ms=9, mew=2, label="printed" if first else None)
        left.annotate(name, (ours, error), (0, 10), textcoords="offset points", ha="center", color=COLOURS[0])
        data.append({"net": name, "top1_error": error, "multiply_adds_M": ours, "printed_M": theirs})
    for stem, name in RIVALS.items():
        error, theirs = 100 - value(f"{stem}.top1"), value(f"{stem}.{MULTIPLY_ADDS}")
        left.plot([theirs], [error], "x", color=PRINTED, ms=9, mew=2)
        left.annotate(name, (theirs, error), RIVALS_AT[stem], textcoords="offset points", color=PRINTED, va="center")
        data.append({"net": name, "top1_error": error, "printed_M": theirs})
    left.set_xscale("log")
    left.set_xlim(150, 90_000)
    plain_ticks(left.xaxis, (200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000))
    left.tick_params(axis="x", labelrotation=45)
    left.margins(y=0.12)
    left.set_xlabel("multiply-adds, millions")
    left.set_ylabel("printed top-1 error, %")
    legend(left, loc="upper right", bbox_to_anchor=(1.0, 0.88))

    names = list(rows)[::-1]
    for ax, quantity, words in ((middle, MULTIPLY_ADDS, "multiply-adds"), (right, PARAMETERS, "parameters")):
        starts = [0.0] * len(names)
        for number, (kind, label) in enumerate(KINDS.items()):
            shares = [100 * rows[name][f"{quantity}_{kind}"] / rows[name][quantity] for name in names]
            colour = "#999999" if kind == NORMALISATION else COLOURS[number]
            ax.barh(names, shares, left=starts, color=colour, height=0.68, label=label)
            starts = [start + share for start, share in zip(starts, shares, strict=True)]
            data += [
                {"net": name, "quantity": quantity, "kind": kind, "share_percent": share}
                for name, share in zip(names, shares, strict=True)
            ]
        ax.set_xlim(0, 100)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(f"share of {words}, %")
    right.set_yticks(range(len(names)), [""] * len(names))
    handles, labels = middle.get_legend_handles_labels()
    drawn.legend(handles, labels, ncols=6, loc="outside upper center", fontsize=10, columnspacing=1.0, handlelength=1.2)
    search = {metric: next(iter(results.values("counts", metric).values())) for metric in ("gpu_hours", "usd")}
    caption = (
        "Left: printed top-1 error of the nets on ImageNet against multiply-adds of one image, as counted here and as "
        "printed; the rivals are as the paper cites them. Middle and right: the layers that multiply-adds and "
        f"parameters belong to. Finding the cells took {search['gpu_hours']:,.0f} GPU-hours, or "
        f"${search['usd'] / 1e3:,.0f} thousand at the simulator's price for {results.config['priced_on']}. "
    )
    return Drawing(drawn, data, caption + results.scope)


def cells(results: Results, config: study.Config) -> Drawing:
    """Test error of each pair of cells, single runs and means, and multiply-adds beside their names."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes, legend

    drawn, (ax,) = axes(width_in=8.5, height_in=4.4)
    data: list[dict[str, Any]] = []
    ticks: list[str] = []
    best = study.best_random(results, config)
    random_means = []
    for position, name in enumerate((study.SEARCHED, *study.rivals(config))):
        random = name != study.SEARCHED
        found = [row for row in results.rows if row["settings.cells"] == name]
        label = name.replace("_", " ") if random else "NASNet-A"
        ticks.append(label + (f"\n{found[0]['multiply_adds'] / 1e6:.2f} M" if found else ""))
        values = list(study.percent_wrong(results, config, name).values())
        own = study.own_rate(results, config, name)
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

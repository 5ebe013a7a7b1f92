"""The figures of section 5. They see recorded results only."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from repro.compare import t_interval
from repro.plots.drawing import Drawing
from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, legend, plain_ticks, with_intervals
from repro.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MADE_UP = {"hierarchy": "Made-up pictures of a seeded generator. "}
CLUSTERS_OF = {
    "covariance": "covariance",
    "confusion": "true confusion",
    "random": "dealt at random",
    "covariance_t1": "covariance, T = 1",
}
KINDS = {
    "dustbin": "dustbin",
    "full": "all outputs, labels",
    "full_soft": "all outputs, soft targets too",
}


def caption(results: Results, text: str) -> str:
    return text + MADE_UP.get(results.data, "") + results.scope


def covariance(results: Results) -> Drawing:
    """Left: correlations of predictions, classes by cluster. Right: agreement with superclasses over the count."""
    import numpy as np

    figure, (left, middle, right) = axes(3, width_in=12.0, height_in=4.3)
    table = results.table("covariance")
    data: list[dict[str, Any]] = []
    if table:
        matrix = np.array([[float(v) for v in str(row["correlations"]).split()] for row in table])
        shown = left.imshow(matrix, cmap="RdBu_r", vmin=-0.5, vmax=0.5, interpolation="nearest")
        ends = [i + 0.5 for i in range(len(table) - 1) if table[i]["cluster"] != table[i + 1]["cluster"]]
        for start, end in zip([-0.5, *ends], [*ends, len(table) - 0.5], strict=True):
            left.plot([start, end, end, start, start], [start, start, end, end, start], color="black", lw=0.8)
        figure.colorbar(shown, ax=left, shrink=0.75, label="correlation")
    left.set_title("predictions, by cluster")
    left.set_xlabel("class")
    left.set_ylabel("class")
    left.grid(visible=False)
    left.set_xticks(range(0, len(table), 20 if len(table) > 40 else 5))
    left.set_yticks(range(0, len(table), 20 if len(table) > 40 else 5))
    agreements = results.table("agreement")
    names = {"ari": "adjusted Rand index", "nmi": "normalised mutual information"}
    for ax, metric in ((middle, "ari"), (right, "nmi")):
        for number, (of, label) in enumerate(CLUSTERS_OF.items()):
            marks: list[Mark] = []
            for count in sorted({row["count"] for row in agreements}):
                values = [r[metric] for r in agreements if r["count"] == count and r["clusters_of"] == of]
                if values:
                    marks.append((count, *t_interval(values)))
                    row = {"metric": metric, "clusters_of": of, "clusters": count}
                    data.append(
                        row | dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True)) | {"n": len(values)}
                    )
            if marks:
                with_intervals(ax, marks, number, label)
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({row["count"] for row in agreements}))
        ax.set_xlabel("clusters")
        ax.set_title(f"{names[metric]}\nwith superclasses")
        ax.set_ylim(-0.1, 1.05)
    figure.legend(*middle.get_legend_handles_labels(), loc="outside lower right", ncols=4)
    n = len(results.rows)
    text = (
        f"Left: correlations of the first generalist's predictions at T = {results.config['temperature']:g} on the "
        "cases it learned from, classes ordered by on-line k-means on the columns of their covariance; boxes are "
        "clusters. Right: agreement of clusters with the superclasses, which none of them was told, for the "
        "covariance, for the same k-means on the columns of the true confusion matrix (which uses labels), and for "
        f"classes dealt at random to clusters of the same sizes. 95 % t-intervals over n = {n} generalists. "
    )
    return Drawing(figure, data, caption(results, text))


def names(results: Results) -> Drawing:
    """Clusters as columns of class names, each in its superclass's colour and with its mark."""
    table = results.table("names")
    groups = sorted({str(row["superclass"]) for row in table})
    numbers = list(dict.fromkeys(row["cluster"] for row in table))
    columns = 5
    per_column = _columns([sum(row["cluster"] == c for row in table) + 1 for c in numbers], columns)
    depth = max(sum(1 + sum(row["cluster"] == numbers[i] for row in table) for i in column) for column in per_column)
    figure, (ax,) = axes(width_in=12.5, height_in=0.21 * depth + 1.6)
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
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8.5, handletextpad=0.2)
    text = (
        f"The {len(numbers)} clusters of classes that on-line k-means finds in the columns of the covariance of one "
        "generalist's predictions, without labels; a bar marks a cluster, colour and mark the superclass of a class. "
    )
    return Drawing(figure, table, caption(results, text))


def _columns(lengths: Sequence[int], columns: int) -> list[list[int]]:
    """Indices dealt to at most ``columns`` columns in their order; a column is full once it has its share."""
    share = sum(lengths) / columns
    found: list[list[int]] = [[]]
    for i in range(len(lengths)):
        if found[-1] and len(found) < columns and sum(lengths[j] for j in found[-1]) + lengths[i] / 2 > share:
            found.append([])
        found[-1].append(i)
    return found


def gains(results: Results) -> Drawing:
    """Left: gains over the generalist by arm, overall and conditional. Right: relative gain by covering specialists."""
    from repro.papers.hinton2015.specialists import MOST_COVERING, Config, gain

    config = Config.model_validate(results.config)
    main = f"clusters{config.specialists.count}"
    labels = {
        main: f"{config.specialists.count} by cluster",
        f"clusters{config.other_count}": f"{config.other_count} by cluster",
        f"random{config.specialists.count}": f"{config.specialists.count} at random",
        f"full_soft{config.specialists.count}": f"{config.specialists.count} by cluster,\nall outputs, soft",
        "longer": "generalist's top\ntrained on",
    }
    figure, (left, right) = axes(2, width_in=11.0, height_in=4.6)
    data: list[dict[str, Any]] = []
    measures = {"accuracy": "all cases, all classes", "conditional": "special cases, special classes"}
    for number, (metric, label) in enumerate(measures.items()):
        named = False
        for place, arm in enumerate(labels):
            values = gain(results, arm, metric)
            if not values:
                continue
            mean, low, high = t_interval(values)
            bars = None if low is None or high is None else [[mean - low], [high - mean]]
            y = place + 0.24 * (number - 0.5)
            left.errorbar(
                [mean], [y], xerr=bars, ls="none", label=None if named else label,
                color=COLOURS[number], marker=MARKERS[number], capsize=3,
            )  # fmt: skip
            left.plot(values, [y + 0.1] * len(values), "|", color=COLOURS[number], ms=6, alpha=0.6)
            named = True
            data.append({"arm": arm, "gain_in": metric, "mean": mean, "low": low, "high": high, "n": len(values)})
    left.axvline(0, color=PRINTED, lw=1)
    left.set_yticks(range(len(labels)), list(labels.values()))
    left.set_ylim(len(labels) - 0.5, -0.5)
    left.grid(axis="y", visible=False)
    left.set_xlabel("gain over the generalist, percentage points")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2, fontsize=9.5)
    table = [row for row in results.table("coverage") if row["generalist_right"]]
    for number, arm in enumerate((main, f"random{config.specialists.count}")):
        marks: list[Mark] = []
        for covering in range(MOST_COVERING + 1):
            rows = [row for row in table if row["arm"] == arm and row["covering"] == covering]
            if rows:
                mean, low, high = t_interval([100 * row["gained"] / row["generalist_right"] for row in rows])
                marks.append((covering + 0.06 * number, mean, low, high))
                cases = sum(row["cases"] for row in rows) / len(rows)
                data.append(
                    {"arm": arm, "covering": covering, "mean": mean, "low": low, "high": high, "n": len(rows)}
                    | {"cases": cases, "gained": sum(row["gained"] for row in rows) / len(rows)}
                )
                if arm == main:
                    note = f"{cases:,.0f}"
                    right.annotate(note, (covering, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
        if marks:
            with_intervals(right, marks, number, labels[arm])
    right.axhline(0, color=PRINTED, lw=1)
    ticks = [str(i) for i in range(MOST_COVERING)] + [f"{MOST_COVERING}+"]
    right.set_xticks(range(MOST_COVERING + 1), ticks)
    right.margins(y=0.15)
    right.set_xlabel("specialists that cover the correct class")
    right.set_ylabel("relative change of cases right, %")
    legend(right, loc="upper left", fontsize=9.5)
    seeds = sorted({row["n"] for row in data})
    text = (
        f"Left: change in test accuracy by specialists of {config.specialists.size} classes each and eq 5 (n = 1), "
        "over all cases, and conditional on a specialist's classes (Table 3), with two controls: class sets at "
        "random, and the generalist's own top trained on for as many passes. Right: Table 4, the relative change of "
        "cases right by the number of specialists that cover the correct class; numbers at the foot are test cases. "
        f"95 % t-intervals over n = {'/'.join(map(str, seeds))} generalists, ticks are single ones. "
    )
    return Drawing(figure, data, caption(results, text + _printed_gains()))


def _printed_gains() -> str:
    from repro.published import load

    rows = load()
    conditional, overall = (
        (rows[after].value or 0.0) - (rows[before].value or 0.0)
        for before, after in (("KD-J04", "KD-J06"), ("KD-J05", "KD-J07"))
    )
    return (
        f"The paper prints +{overall:.1f} points over all cases and +{conditional:.1f} conditional, on its own data. "
    )


def overfitting(results: Results) -> Drawing:
    """Conditional accuracy on train and test cases, and accuracy among other classes, against passes."""
    figure, panels = axes(3, width_in=12.0, height_in=4.0)
    shown = (
        ("train", "conditional", "special classes, training cases"),
        ("test", "conditional", "special classes, test cases"),
        ("test", "others", "other classes, test cases"),
    )
    data: list[dict[str, Any]] = []
    for ax, (split, metric, title) in zip(panels, shown, strict=True):
        for number, (kind, label) in enumerate(KINDS.items()):
            rows = [r for r in results.curves if (r["arm"], r["split"], r["metric"]) == (kind, split, metric)]
            marks: list[Mark] = []
            before = {row["seed"]: row["value"] for row in rows if row["epoch"] == 0}
            for epoch in sorted({row["epoch"] for row in rows}):
                values = [row["value"] - before[row["seed"]] for row in rows if row["epoch"] == epoch]
                marks.append((epoch, *t_interval(values)))
                row = {"kind": kind, "split": split, "metric": metric, "passes": epoch}
                data.append(row | dict(zip(("mean", "low", "high"), marks[-1][1:], strict=True)) | {"n": len(values)})
            if marks:
                with_intervals(ax, marks, number, label)
        ax.set_title(title)
        ax.set_xlabel("passes over the special cases")
        ax.axhline(0, color=PRINTED, lw=1)
    panels[0].set_ylabel("change from the generalist,\npercentage points")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    seeds = sorted({row["n"] for row in data})
    text = (
        "Specialists trained far longer than is good for them: a dustbin for all other classes, outputs for all "
        "classes on labels, and the same with the generalist's soft targets among the other classes (section 6.1, "
        "where it is proposed and not run). Change of the share of cases right, with answers among the special "
        f"classes (left, middle) or among the others (right). 95 % t-intervals over n = {'/'.join(map(str, seeds))} "
        "generalists. "
    )
    return Drawing(figure, data, caption(results, text))


def distilled(results: Results) -> Drawing:
    """Gain over the generalist by what its top learned from."""
    from repro.papers.hinton2015.specialist_distilled import TARGETS
    from repro.papers.hinton2015.specialists import gain

    labels = {
        "combined": "generalist and\nspecialists",
        "generalist": "generalist\nalone",
        "labels": "labels\nalone",
    }
    figure, (ax,) = axes()
    data: list[dict[str, Any]] = []
    for place, arm in enumerate(TARGETS):
        values = gain(results, arm, "accuracy")
        if values:
            mean, low, high = t_interval(values)
            bars = None if low is None or high is None else [[mean - low], [high - mean]]
            ax.errorbar([place], [mean], yerr=bars, color=COLOURS[place], marker=MARKERS[place], ms=9, capsize=4)
            ax.plot([place + 0.12] * len(values), values, "_", color=COLOURS[place], ms=9)
            data.append({"targets": arm, "mean": mean, "low": low, "high": high, "n": len(values)})
    ax.axhline(0, color=PRINTED, lw=1)
    ax.set_xticks(range(len(TARGETS)), [labels[arm] for arm in TARGETS])
    ax.set_xlim(-0.5, len(TARGETS) - 0.5)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("gain over the generalist,\npercentage points")
    seeds = sorted({row["n"] for row in data})
    text = (
        "Change in test accuracy when the generalist's top is trained on by soft targets of the generalist combined "
        "with its specialists (eq 5), by its own soft targets, and by labels alone, the same passes each; labels "
        f"stand beside soft targets. 95 % t-intervals over n = {'/'.join(map(str, seeds))} generalists; dashes are "
        "single ones. "
    )
    return Drawing(figure, data, caption(results, text))


def sweep(results: Results) -> Drawing:
    """Gain over the generalist by count of specialists, a line a size, a panel an n."""
    from repro.papers.hinton2015.specialist_sweep import Config

    config = Config.model_validate(results.config)
    figure, panels = axes(len(config.tops), width_in=3.4 * len(config.tops) + 1.0, height_in=3.9)
    data: list[dict[str, Any]] = []
    for ax, n in zip(panels, config.tops, strict=True):
        for number, size in enumerate(config.sizes):
            marks: list[Mark] = []
            for place, count in enumerate(config.counts):
                arm = f"count{count}.size{size}"
                before, after = results.values(arm, "generalist_accuracy"), results.values(arm, f"accuracy_n{n}")
                values = [after[seed] - before[seed] for seed in sorted(after)]
                if values:
                    mean, low, high = t_interval(values)
                    marks.append((place + 0.08 * (number - (len(config.sizes) - 1) / 2), mean, low, high))
                    row = {"n_classes": n, "size": size, "count": count, "mean": mean, "low": low, "high": high}
                    data.append(row | {"seeds": len(values)})
            if marks:
                with_intervals(ax, marks, number, f"{size} classes")
        ax.axhline(0, color=PRINTED, lw=1)
        ax.set_xticks(range(len(config.counts)), [str(count) for count in config.counts])
        ax.set_title(f"n = {n}")
        ax.set_xlabel("specialists")
    _same_scale(panels)
    panels[0].set_ylabel("gain over the generalist,\npercentage points")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.sizes))
    seeds = sorted({row["seeds"] for row in data})
    text = (
        "Change in test accuracy by specialists that are one linear layer on the generalist's frozen features, by "
        "their number, the size of their class sets, and n, the number of the generalist's most probable classes "
        f"that decide which specialists are asked. 95 % t-intervals over {'/'.join(map(str, seeds))} generalists. "
    )
    return Drawing(figure, data, caption(results, text))


def _same_scale(panels: Sequence["Axes"]) -> None:
    low, high = min(ax.get_ylim()[0] for ax in panels), max(ax.get_ylim()[1] for ax in panels)
    for ax in panels:
        ax.set_ylim(low, high)


def tuning(results: Results) -> Drawing:
    """Accuracy on held-out cases over the learning rates tried."""
    metrics = {"conditional": "special classes", "accuracy": "all classes"}
    figure, panels = axes(2, width_in=9.0, height_in=3.8)
    data: list[dict[str, Any]] = []
    for ax, (metric, title) in zip(panels, metrics.items(), strict=True):
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in results.rows:
            value = row.get(f"validation_{metric}")
            if value is not None:
                name, rate = re.split(r"\.rate", str(row["arm"]))
                lines.setdefault(name, []).append((float(rate), value))
                data.append({"trained": name, "learning_rate": float(rate), metric: value})
        for number, (name, points) in enumerate(sorted(lines.items())):
            x, y = zip(*sorted(points), strict=True)
            label = KINDS.get(name, "generalist's top")
            ax.plot(x, y, color=COLOURS[number], marker=MARKERS[number], label=label)
        ax.set_xscale("log")
        plain_ticks(ax.xaxis, sorted({x for points in lines.values() for x, _ in points}))
        ax.set_title(title)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("right on held-out cases, %")
        legend(ax, fontsize=9.5)
    text = (
        "Accuracy on training cases held out, over the learning rates tried: of specialists among their classes "
        "(left), and of the generalist's top trained on (right). One generalist, one run a point. "
    )
    return Drawing(figure, data, caption(results, text))

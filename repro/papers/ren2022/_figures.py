"""The figures of this paper. They see recorded results only."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from repro.compare import t_interval
from repro.papers.ren2022._arms import NAMES, Study, arm_name
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, plain_ticks, with_intervals
from repro.published import load as load_published
from repro.results import Results

# One colour and marker a method in all figures; the control is grey and dashed.
STYLE = {m: i for i, m in enumerate(("bp", "fg_a", "lg_fg_a", "fg_w", "lg_fg_w", "lg_bp", "wp8", "fa", "dfa"))}


def row_of(values: Sequence[float], **labels: Any) -> dict[str, Any]:
    """A row of the figure's numbers: mean and interval over seeds."""
    mean, low, high = t_interval(values)
    return {**labels, "mean": mean, "low": low, "high": high, "n": len(values)}


def _line(method: str) -> dict[str, Any]:
    """How a method is drawn."""
    if method == "frozen":
        return {"color": PRINTED, "ls": "--", "marker": "x"}
    number = STYLE[method]
    again = number >= len(COLOURS)  # of the colours; other markers go with them
    return {"color": COLOURS[number % len(COLOURS)], "ls": ":" if again else "-",
            "marker": MARKERS[(number + 4 * again) % len(MARKERS)]}  # fmt: skip


def _curve(results: Results, arm: str, split: str, cases: int) -> dict[int, list[float]]:
    """Errors in % by epoch, one value a seed."""
    found: dict[int, list[float]] = {}
    for row in results.curves:
        if row["arm"] == arm and row["split"] == split and row["metric"] == "errors":
            found.setdefault(row["epoch"], []).append(100 * row["value"] / cases)
    return found


def learning(results: Results, study: Study, printed: Mapping[tuple[str, str], str]) -> Drawing:
    """A row of panels a net: errors at the end, test and train error against epochs, test error against compute.

    Where nets were judged at the end alone there are no curves, and the first panel stands alone.
    """
    published = load_published() if results.data == "mnist" else {}
    judged = {row["epoch"] for row in results.curves if row["split"] == "test" and row["metric"] == "errors"}
    curves = len(judged) > 1
    columns, width_in = (4, 16.0) if curves else (1, 8.0)
    figure, panels = axes(columns, len(study.nets), width_in=width_in, height_in=4.2 * len(study.nets) + 0.7)
    data: list[dict[str, Any]] = []
    counts: list[int] = []
    for number, net in enumerate(study.nets):
        bars, *beside = panels[columns * number : columns * (number + 1)]
        shown = [m for m in net.methods if results.values(arm_name(net.name, m), "test_errors")]
        for position, method in enumerate(shown):
            arm = arm_name(net.name, method)
            rows = [r for r in results.rows if r["arm"] == arm]
            cases = {split: int(rows[0][f"{split}_cases"]) for split in ("test", "train")}
            counts.append(len(rows))
            for split in ("test", "train"):
                errors = [100 * r[f"{split}_errors"] / cases[split] for r in rows]
                row = row_of(errors, net=net.name, method=method, split=split, panel="final")
                _across(bars, position + (0.12 if split == "test" else -0.12), row, _line(method), split == "test")
                name = printed.get((net.name.replace("-", "/"), method))
                if split == "test" and name and (known := published.get(name)) and known.value is not None:
                    bars.plot([known.value] * 2, [position - 0.34, position + 0.34], color=PRINTED, lw=2.2, zorder=0)
                    row |= {"printed": known.value, "printed_low": known.low, "printed_high": known.high}
                data.append(row)
            per_epoch = rows[0]["multiply_adds_per_case"] * cases["train"] / 1e9
            for split, panel, per_x in zip(("test", "train", "test"), beside, (1.0, 1.0, per_epoch), strict=False):
                curve = sorted(_curve(results, arm, split, cases[split]).items())
                label = NAMES[method] if panel is beside[0] else None
                means = [t_interval(values)[0] for _, values in curve]
                panel.plot([epoch * per_x for epoch, _ in curve], means, ms=4, label=label, **_line(method))
                if per_x == 1:
                    for epoch, values in curve:
                        row = row_of(values, net=net.name, method=method, split=split, panel="curve", epoch=epoch)
                        data.append(row | {"giga_multiply_adds": epoch * per_epoch})
        bars.set_yticks(range(len(shown)), [NAMES[m] for m in shown])
        bars.set_ylim(len(shown) - 0.4, -0.6)
        bars.set_xlim(left=0)
        bars.set_xlabel("error, %")
        bars.set_title(f"LocalMixer {net.name.replace('-', '/')}: at the end")
        axis_names = (("epochs", "test"), ("epochs", "train"), ("compute, 10⁹ multiply-adds", "test"))
        for panel, (x, y) in zip(beside, axis_names, strict=False):
            panel.set_xlabel(x)
            panel.set_ylabel(f"{y} error, %")
            panel.set_ylim(bottom=0)
    named: dict[str, Any] = {}
    for panel in panels:
        named |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    if named:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=10)
    caption = (
        "Errors of LocalMixer trained by each method at its own best rate, chosen on held-out training cases. "
        f"{'Left: after' if curves else 'After'} the last epoch, filled: test, open: train, bars: 95 % t-intervals "
        f"over seeds ({number_of(counts)}). "
    )
    if curves:
        caption += "Then means against epochs and against multiply-adds of linear maps. "
    caption += "Grey: only the heads learn, on frozen random features. "
    if published:
        caption += "Grey strokes: printed test errors (Ren et al. 2022, Table 3). "
    return Drawing(figure, data, caption + results.scope)


def _across(ax: Axes, y: float, row: Mapping[str, Any], line: Mapping[str, Any], filled: bool) -> None:
    """A mean and its interval, lying."""
    down = 0.0 if row["low"] is None else row["mean"] - row["low"]
    up = 0.0 if row["high"] is None else row["high"] - row["mean"]
    face = line["color"] if filled else "white"
    ax.errorbar([row["mean"]], [y], xerr=[[down], [up]], fmt=line["marker"], color=line["color"], mfc=face, capsize=3)


def variances(results: Results) -> Drawing:
    """Measured over predicted variance, and noise against width, depth and batch."""
    from repro.papers.ren2022.variance import FORMULAS, Config, point_name, points

    config = Config.model_validate(results.config)
    figure, panels = axes(4, 1, width_in=15.0, height_in=4.4)
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
            _across(left, y, row, {"color": COLOURS[position], "marker": MARKERS[position]}, True)
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
        for number, key in enumerate([*FORMULAS, "units_own_at_once"]):
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
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=10)
    seeds = [len(results.values(point_name(*point), "weights")) for point in points(config)]
    caption = (
        "Variance of gradient estimates on real gradients. Left: measured over predicted (Ren et al. 2022, Table 1; "
        "the last row's formula for signs is ours), each point a width, depth and batch. Right: variance over the "
        "squared gradient. Of weights: all hidden layers at once; of units: the first layer. 95 % t-intervals over "
        f"seeds ({number_of(seeds)}); those that leave a panel are cut off. "
    )
    return Drawing(figure, data, caption + results.scope)


def cosines(results: Results, config: Any) -> Drawing:
    """Cosine of accumulated updates with backprop's, along the way and at its end."""
    from repro.papers.ren2022.update_cosine import arm_name as name_of

    figure, (left, right) = axes(2, width_in=10.0, height_in=4.7)
    data: list[dict[str, Any]] = []
    marks: list[Mark] = []
    for number, rate in enumerate(sorted(config.rates)):
        along: dict[int, list[float]] = {}
        for row in results.curves:
            if row["arm"] == name_of(rate):
                along.setdefault(row["step"], []).append(row["value"])
        means = {step * rate: t_interval(values)[0] for step, values in sorted(along.items())}
        left.plot(list(means), list(means.values()), color=COLOURS[number % len(COLOURS)], label=f"{rate:g}")
        data += [{"panel": "along", "rate": rate, "way": way, "mean": mean} for way, mean in means.items()]
        values = list(results.values(name_of(rate), "cosine").values())
        if values:
            data.append(row_of(values, panel="end", rate=rate))
            marks.append((rate, data[-1]["mean"], data[-1]["low"], data[-1]["high"]))
    with_intervals(right, marks, 0)
    figure.legend(*left.get_legend_handles_labels(), title="learning rate", loc="outside lower center", ncols=8)
    left.set_xlabel("way: steps × learning rate")
    left.set_ylabel("cosine with backprop's update")
    right.set_xscale("log")
    right.set_xlabel("learning rate")
    right.set_ylabel(f"cosine after a way of {config.way:g}")
    for ax in (left, right):
        ax.set_ylim(0, 1.03)
        ax.axhline(1, color=PRINTED, ls="--", lw=1.2)
    caption = (
        "Cosine between what activity perturbation (signs, one draw a case and unit) and backprop have added to the "
        "hidden weights from one start on the same batches. The slower the steps, the more of them average the noise. "
        f"95 % t-intervals over seeds ({number_of([row['n'] for row in data if 'n' in row])}). "
    )
    return Drawing(figure, data, caption + results.scope)


def steps_to_target(results: Results, config: Any) -> Drawing:
    """Steps to the target loss against weights and against units."""
    from repro.papers.ren2022.steps_to_target import arm_name as name_of
    from repro.papers.ren2022.steps_to_target import best

    figure, panels = axes(2, width_in=11.0, height_in=4.4)
    data: list[dict[str, Any]] = []
    for method in config.methods:
        drawn: list[dict[str, Any]] = []
        for width in sorted(config.widths):
            steps = best(results, config, width, method)
            if steps:
                weights = results.values(name_of(width, method, config.rates[0]), "weights")
                labels = {"method": method, "width": width, "weights": next(iter(weights.values()))}
                drawn.append(row_of(list(steps.values()), **labels))
        data += drawn
        means = [row["mean"] for row in drawn]
        down = [0.0 if row["low"] is None else row["mean"] - max(row["low"], 1) for row in drawn]
        up = [0.0 if row["high"] is None else row["high"] - row["mean"] for row in drawn]
        for ax, place in zip(panels, ("weights", "width"), strict=True):
            ax.errorbar(
                [row[place] for row in drawn], means, yerr=[down, up], capsize=3, elinewidth=1.2,
                label=NAMES[method], **_line(method),
            )  # fmt: skip
    for ax, what in zip(panels, ("hidden weights", "hidden units"), strict=True):
        ax.axhline(config.max_steps, color="#999999", lw=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(what)
        if data:
            ax.set_ylim(min(row["mean"] for row in data) / 3, 2.5 * config.max_steps)
    plain_ticks(panels[0].xaxis, sorted({row["weights"] for row in data}))
    plain_ticks(panels[1].xaxis, sorted(config.widths))
    panels[0].annotate(
        "not reached", (0.02, config.max_steps), (0, 5), xycoords=("axes fraction", "data"),
        textcoords="offset points", color="#666666", fontsize=10,
    )  # fmt: skip
    panels[0].set_ylabel(f"steps to training loss {config.target_loss:g}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    caption = (
        f"Steps of batch {config.batch_size} until the training loss falls below {config.target_loss:g}, at each "
        f"method's best of {len(config.rates)} rates, against the size of the one hidden layer. Runs end after "
        f"{config.max_steps:,} steps. Heads learn exactly; dashed: nothing else does. 95 % t-intervals over seeds "
        f"({number_of([row['n'] for row in data])}). "
    )
    return Drawing(figure, data, caption + results.scope)


def contrasts(results: Results, config: Any, names: Mapping[str, str]) -> Drawing:
    """The readout's errors by way of learning."""
    figure, (ax,) = axes(width_in=8.0, height_in=3.6)
    data: list[dict[str, Any]] = []
    for position, way in enumerate(config.ways):
        rows = [r for r in results.rows if r["arm"] == way]
        for split, filled in (("test", True), ("train", False)):
            values = [100 * r[f"{split}_errors"] / r[f"{split}_cases"] for r in rows]
            if not values:
                continue
            row = row_of(values, way=way, split=split)
            data.append(row)
            colour = PRINTED if way == "random" else COLOURS[position]
            _across(
                ax, position + (0.1 if filled else -0.1), row, {"color": colour, "marker": MARKERS[position]}, filled
            )
    ax.set_yticks(range(len(config.ways)), [names[way] for way in config.ways])
    ax.set_ylim(len(config.ways) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("error of the linear readout, %")
    caption = (
        "Linear readout of a LocalMixer whose hidden layers learned, without labels, that patches of an image agree: "
        "filled: test, open: train. Greedy, a loss for every block and patch; random features are the control. 95 % "
        f"t-intervals over seeds ({number_of([row['n'] for row in data])}). "
    )
    return Drawing(figure, data, caption + results.scope)


def costs(results: Results, config: Any, names: Mapping[str, str]) -> Drawing:
    """Time, multiply-adds and kept numbers of a step over backprop's."""
    from repro.papers.ren2022.cost import KINDS

    figure, (ax,) = axes(width_in=9.0, height_in=4.2)
    (metrics,) = results.rows
    data: list[dict[str, Any]] = []
    for number, kind in enumerate(KINDS):
        values = [metrics[f"{method}_{kind}"] for method in config.methods]
        places = [p + 0.25 * (number - 1) for p in range(len(values))]
        bars = ax.bar(places, values, 0.24, color=COLOURS[number], label=kind.replace("_", " ").replace("y a", "y-a"))
        ax.bar_label(bars, [f"{v:.2f}" for v in values], fontsize=8.5, padding=2)
        data += [{"method": m, "kind": kind, "ratio": v} for m, v in zip(config.methods, values, strict=True)]
    ax.axhline(1, color=PRINTED, ls="--", lw=1.2)
    ax.set_xticks(
        range(len(config.methods)), [names[m].replace(", ", ",\n").replace(" f", "\nf") for m in config.methods]
    )
    ax.set_ylabel("over backprop")
    ax.grid(axis="x", visible=False)
    ax.legend()
    sizes = "-".join(map(str, config.sizes))
    caption = (
        f"A step of each method over one of backprop: CPU time (fastest of {config.rounds}), multiply-adds of linear "
        f"maps, numbers kept between pass and update. Net {sizes}, batch {config.batch_size}, signs for noise. "
    )
    return Drawing(figure, data, caption + results.scope)

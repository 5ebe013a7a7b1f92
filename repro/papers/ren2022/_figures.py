"""What several experiments draw with, and the figure of studies of LocalMixers."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from repro.compare import t_interval
from repro.papers.ren2022._arms import NAMES, Study, arm_name
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, MARKERS, PRINTED, axes
from repro.published import load as load_published
from repro.results import Results

# One colour and marker a method in all figures; the control is grey and dashed.
STYLE = {m: i for i, m in enumerate(("bp", "fg_a", "lg_fg_a", "fg_w", "lg_fg_w", "lg_bp", "wp8", "fa", "dfa"))}


def row_of(values: Sequence[float], **labels: Any) -> dict[str, Any]:
    """A row of the figure's numbers: mean and interval over seeds."""
    mean, low, high = t_interval(values)
    return {**labels, "mean": mean, "low": low, "high": high, "n": len(values)}


def line_of(method: str) -> dict[str, Any]:
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
                across(bars, position + (0.12 if split == "test" else -0.12), row, line_of(method), split == "test")
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
                panel.plot([epoch * per_x for epoch, _ in curve], means, ms=4, label=label, **line_of(method))
                if per_x == 1:
                    for epoch, values in curve:
                        row = row_of(values, net=net.name, method=method, split=split, panel="curve", epoch=epoch)
                        data.append(row | {"giga_multiply_adds": epoch * per_epoch})
        bars.set_yticks(range(len(shown)), [NAMES[m] for m in shown])
        bars.set_ylim(len(shown) - 0.4, -0.6)
        bars.set_xlim(0, min(bars.get_xlim()[1], 100))
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
    if any(row["high"] is not None and row["high"] > 100 for row in data if row["panel"] == "final"):
        caption += "Intervals that reach beyond 100 % are cut off there. "
    caption += "Grey: only the heads learn, on frozen random features. "
    if published:
        caption += "Grey strokes: printed test errors (Ren et al. 2022, Table 3). "
    return Drawing(figure, data, caption + results.scope)


def across(ax: Axes, y: float, row: Mapping[str, Any], line: Mapping[str, Any], filled: bool) -> None:
    """A mean and its interval, lying."""
    down = 0.0 if row["low"] is None else row["mean"] - row["low"]
    up = 0.0 if row["high"] is None else row["high"] - row["mean"]
    face = line["color"] if filled else "white"
    ax.errorbar([row["mean"]], [y], xerr=[[down], [up]], fmt=line["marker"], color=line["color"], mfc=face, capsize=3)

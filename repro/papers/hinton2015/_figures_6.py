"""The figure of section 6. It sees recorded results only."""

from typing import Any

from matplotlib.axes import Axes

from repro.compare import t_interval
from repro.papers.hinton2015._figures import marks
from repro.papers.hinton2015.soft_regularisers import KINDS, Config, Task, arm_name, percent_right, words
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, PRINTED, axes, plain_ticks, with_intervals
from repro.published import load as load_published
from repro.results import Results

LABELS = {"hard": "labels", "smoothed": "smoothed labels", "soft": "soft targets"}


def soft_regularisers(results: Results) -> Drawing:
    """A row a data set: training and test accuracy against epochs, test accuracy against cases."""
    config = Config.model_validate(results.config)
    rows = len(config.tasks)
    figure, panels = axes(3, rows, width_in=12.0, height_in=0.8 + 3.0 * rows)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, task in enumerate(config.tasks):
        left, middle, right = panels[3 * number : 3 * number + 3]
        for split, ax in (("train", left), ("test", middle)):
            _over_epochs(ax, task, split, results, data, counts)
            ax.set_title(f"{words(task)}: {'training' if split == 'train' else split}")
            ax.set_ylabel("accuracy, %")
        _over_cases(right, task, results, data)
    for ax in panels[3 * (rows - 1) : 3 * rows - 1]:
        ax.set_xlabel("epochs")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    caption = (
        "Training and test accuracy of one net on few cases, from labels, from labels smoothed by "
        f"{config.smoothing:g}, and from the soft targets (T = {config.temperature:g}, no labels beside them) of the "
        "same net trained on all cases; dashed: that net. Lines: means over seeds; bands: 95 % t-intervals; circles: "
        "where labels would have been stopped early, by held-out cases. Right: test accuracy over the number of cases "
        f"at equal steps, labels early stopped, soft targets not. {number_of(counts.values()).capitalize()} seeds. The "
        f"paper prints {_printed('KD-R04')} early stopped, {_printed('KD-R06')} from soft targets and "
        f"{_printed('KD-R02')} on everything, for speech. "
    )
    return Drawing(figure, data, caption + results.scope)


def _over_epochs(
    ax: Axes, task: Task, split: str, results: Results, data: list[dict[str, Any]], counts: dict[str, int]
) -> None:
    """Mean accuracy over seeds against epochs, one line a kind of target."""
    for number, kind in enumerate(KINDS):
        arm = arm_name(task, kind)
        cases = {row["seed"]: row[f"{split}_cases"] for row in results.rows if row["arm"] == arm}
        at: dict[float, list[float]] = {}
        for point in results.curves:
            if point["arm"] == arm and point["split"] == split and point["metric"] == "errors":
                at.setdefault(point["epoch"], []).append(100 * (1 - point["value"] / cases[point["seed"]]))
        if not at:
            continue
        drawn = marks({epoch: at[epoch] for epoch in sorted(at)})
        epochs = [epoch for epoch, *_ in drawn]
        counts[arm] = max(map(len, at.values()))
        ax.plot(epochs, [mean for _, mean, _, _ in drawn], color=COLOURS[number], label=LABELS[kind])
        lows = [mean if low is None else low for _, mean, low, _ in drawn]
        highs = [mean if high is None else high for _, mean, _, high in drawn]
        ax.fill_between(epochs, lows, highs, color=COLOURS[number], alpha=0.2, lw=0)
        for epoch, mean, low, high in drawn:
            row = {"data": task.data, "panel": split, "targets": kind, "epoch": epoch, "accuracy_percent": mean}
            data.append(row | {"low": low, "high": high, "n": len(at[epoch])})
        if kind == "hard":
            stops = {row["seed"]: row["stopped_epoch"] for row in results.rows if row["arm"] == arm}
            stopped = percent_right(results, arm, f"stopped_{split}")
            where = [(stops[seed], right) for seed, right in stopped.items()]
            ax.plot(*zip(*where, strict=True), "o", mfc="none", color=COLOURS[number], ms=8)
    if full := list(percent_right(results, f"{task.data}.full", split).values()):
        ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5, label="labels of all cases")
    own = [row["accuracy_percent"] for row in data if (row["data"], row["panel"]) == (task.data, split)]
    _above_the_start(ax, own)


def _over_cases(ax: Axes, task: Task, results: Results, data: list[dict[str, Any]]) -> None:
    """Test accuracy against the number of cases."""
    if not task.sweep:
        ax.set_visible(False)
        return
    for kind, which in (("hard", "stopped_test"), ("soft", "test")):
        found: dict[float, list[float]] = {
            cases: list(percent_right(results, arm_name(task, kind, cases), which).values())
            for cases in sorted({task.cases, *task.sweep})
        }
        drawn = marks(found)
        for cases, mean, low, high in drawn:
            row = {"data": task.data, "panel": "cases", "targets": kind, "cases": cases, "accuracy_percent": mean}
            data.append(row | {"low": low, "high": high, "n": len(found[cases])})
        if drawn:
            with_intervals(ax, drawn, KINDS.index(kind), LABELS[kind])
    if full := list(percent_right(results, f"{task.data}.full").values()):
        ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5)
    ax.set_xscale("log")
    plain_ticks(ax.xaxis, sorted({task.cases, *task.sweep}))
    ax.set_xlabel("cases")
    ax.set_ylabel("accuracy, %")
    ax.set_title(f"{task.data}: test")


def _above_the_start(ax: Axes, values: list[float]) -> None:
    """Cut off the first epochs' accuracies, which would leave no room for the differences at the end."""
    if values:
        late = sorted(values)[len(values) // 10 :]
        ax.set_ylim(late[0] - 0.15 * (late[-1] - late[0]), min(ax.get_ylim()[1], 101))


def _printed(row: str) -> str:
    return f"{load_published()[row].value:g} %"

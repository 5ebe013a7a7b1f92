"""The figure of ``soft_regularisers``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from repro.compare import t_interval
from repro.contrasts import minus
from repro.papers.hinton2015._regulariser_arms import (
    KINDS,
    SWEPT,
    FewCases,
    Task,
    arm_name,
    chosen,
    curves,
    percent_right,
    stopping_epochs,
    words,
)
from repro.plots.drawing import Drawing, number_of
from repro.published import load as load_published
from repro.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def figure(results: Results, config: FewCases) -> Drawing:
    """A row a data set: training and test accuracy and test cross-entropy against epochs, accuracy against cases."""
    from repro.plots.style import axes

    rows, columns = len(config.tasks), 3 + any(task.sweep for task in config.tasks)
    drawn, panels = axes(columns, rows, width_in=4.0 * columns, height_in=0.8 + 3.0 * rows)
    data: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for number, task in enumerate(config.tasks):
        row = panels[columns * number : columns * (number + 1)]
        for panel, ax in zip(PANELS, row, strict=False):
            _over_epochs(ax, task, panel, results, data, counts)
        for ax in row[len(PANELS) :]:
            _over_cases(ax, task, results, data)
    drawn.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    caption = (
        "Training and test accuracy, and cross-entropy with the labels of test cases, of one net on few cases: from "
        "labels, from smoothed labels, and from the soft targets (no labels beside them) of the same net trained on "
        f"all cases but those held out; dashed: that net. {_chosen_everywhere(results, config)}Bold: means over seeds, "
        "with the 95 % t-interval at the end; faint: each seed; circles: where labels would be stopped early, by "
        "the errors on held-out cases, in the third column by their cross-entropy."
    )
    if columns > len(PANELS):
        caption += (
            " Right: accuracy on test cases over the number of cases at equal steps, labels early stopped, soft "
            "targets not, as chosen for the number of cases on the left."
        )
    caption += (
        f" {number_of(counts.values())} seeds.{_gain_of_stopping(results, config)} The "
        f"paper prints {_printed('KD-R04')} early stopped, {_printed('KD-R06')} from soft targets and "
        f"{_printed('KD-R02')} on everything, for speech. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _gain_of_stopping(results: Results, config: FewCases) -> str:
    """How much there was to over-fitting: without any, soft targets' needing no early stopping says little."""
    gains = [
        sum(gained.values()) / len(gained)
        for task in config.tasks
        if (gained := minus(*(percent_right(results, arm_name(task, "hard"), w) for w in ("stopped_test", "test"))))
    ]
    if not gains:
        return ""
    ends = [f"{round(gain, 1) + 0.0:+.1f}" for gain in (min(gains), max(gains))]  # and never "-0.0"
    told = " to ".join(dict.fromkeys(ends))
    return f" Stopped early, labels gain {told} points of accuracy: so much, and no more, do they over-fit by errors."


@dataclass(frozen=True)
class Panel:
    """What is drawn against epochs: a metric of a split, as ``unit`` says, and what early stopping goes by."""

    title: str
    split: str
    metric: str
    unit: str
    column: str  # in the figure's table


PANELS = (
    Panel("training", "train", "errors", "accuracy, %", "accuracy_percent"),
    Panel("test", "test", "errors", "accuracy, %", "accuracy_percent"),
    Panel("test", "test", "cross_entropy", "cross-entropy, nats", "cross_entropy_nats"),
)


def _over_epochs(
    ax: "Axes", task: Task, panel: Panel, results: Results, data: list[dict[str, Any]], counts: dict[str, int]
) -> None:
    """Mean over seeds against epochs, one line a kind of target."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import COLOURS, PRINTED, with_intervals

    own: list[float] = []
    ends: list[float] = []
    for number, (name, kind) in enumerate(KINDS.items()):
        by_seed = curves(results, arm_name(task, name), panel.split, panel.metric)
        if not by_seed:
            continue
        epochs = sorted({epoch for curve in by_seed.values() for epoch in curve})
        at = {epoch: [curve[epoch] for curve in by_seed.values() if epoch in curve] for epoch in epochs}
        drawn = marks(at)
        counts[arm_name(task, name)] = max(map(len, at.values()))
        ax.plot(epochs, [mean for _, mean, _, _ in drawn], color=COLOURS[number], label=kind.label)
        for curve in by_seed.values():
            ax.plot(*zip(*sorted(curve.items()), strict=True), color=COLOURS[number], lw=0.8, alpha=0.4)
        with_intervals(ax, drawn[-1:], number)
        for epoch, mean, low, high in drawn:
            row = {"data": task.data, "panel": panel.split, "targets": name, "epoch": epoch, panel.column: mean}
            data.append(row | {"low": low, "high": high, "n": len(at[epoch])})
        own += [mean for _, mean, _, _ in drawn]
        ends += [high for _, _, _, high in drawn[-1:] if high is not None]
        if name == "hard":
            stops = stopping_epochs(results, arm_name(task, name), panel.metric)
            where = [(epoch, by_seed[seed][epoch]) for seed, epoch in stops.items()]
            ax.plot(*zip(*where, strict=True), "o", mfc="none", color=COLOURS[number], ms=8)
    if panel.metric == "errors":
        if full := list(percent_right(results, f"{task.data}.full", panel.split).values()):
            ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5, label="labels of all cases")
        _above_the_start(ax, own)
    else:
        ax.set_ylim(0, 1.15 * max(sorted(own)[9 * len(own) // 10], *ends, 0.0) if own else None)
    ax.set_title(f"{words(task)}: {panel.title}")
    ax.set_ylabel(panel.unit)
    ax.set_xlabel("epochs")


def _over_cases(ax: "Axes", task: Task, results: Results, data: list[dict[str, Any]]) -> None:
    """Test accuracy against the number of cases."""
    from repro.papers.hinton2015._figures import marks
    from repro.plots.style import PRINTED, plain_ticks, with_intervals

    if not task.sweep:
        ax.set_visible(False)
        return
    for number, (name, kind) in enumerate(KINDS.items()):
        which = "stopped_test" if name == "hard" else "test"
        found: dict[float, list[float]] = {
            cases: list(percent_right(results, arm_name(task, name, cases), which).values())
            for cases in sorted({task.cases, *task.sweep})
        }
        drawn = marks(found) if name in SWEPT else []
        for cases, mean, low, high in drawn:
            row = {"data": task.data, "panel": "cases", "targets": name, "cases": cases, "accuracy_percent": mean}
            data.append(row | {"low": low, "high": high, "n": len(found[cases])})
        if drawn:
            with_intervals(ax, drawn, number, kind.label)
    if full := list(percent_right(results, f"{task.data}.full").values()):
        ax.axhline(t_interval(full)[0], ls="--", color=PRINTED, lw=1.5)
    ax.set_xscale("log")
    plain_ticks(ax.xaxis, sorted({task.cases, *task.sweep}))
    ax.set_xlabel("cases")
    ax.set_ylabel("accuracy, %")
    ax.set_title(f"{task.data}: test")


def _above_the_start(ax: "Axes", values: list[float]) -> None:
    """Cut off the first epochs' accuracies, which would leave no room for the differences at the end."""
    if values:
        late = sorted(values)[len(values) // 10 :]
        ax.set_ylim(late[0] - 0.15 * (late[-1] - late[0]), min(ax.get_ylim()[1], 101))


def _chosen_everywhere(results: Results, config: FewCases) -> str:
    """A sentence on the temperatures and smoothings that were taken, by data set."""
    told = [
        f"{task.data} T = {temperature:g}{_at_an_end(temperature, config.temperatures)} and "
        f"{smoothing:g}{_at_an_end(smoothing, config.smoothings)}"
        for task in config.tasks
        if (temperature := chosen(task, "soft", results)) is not None
        and (smoothing := chosen(task, "smoothed", results)) is not None
    ]
    how = ", chosen on held-out cases" if max(len(config.temperatures), len(config.smoothings)) > 1 else ""
    return f"Temperature of soft targets and smoothing of labels{how}: {'; '.join(told)}. " if told else ""


def _printed(row: str) -> str:
    return f"{load_published()[row].value:g} %"


def _at_an_end(value: float, tried: Sequence[float]) -> str:
    """What a caption adds to a value that might have been exceeded, had more been tried."""
    ends = {min(tried): " (the least tried)", max(tried): " (the largest tried)"}
    return ends.get(value, "") if len(tried) > 1 else ""

"""The figures. They see recorded results only."""

from collections.abc import Mapping, Sequence
from typing import Any

from repro.compare import t_interval
from repro.papers.bucila2006._arms import METHODS, Sweep
from repro.papers.bucila2006._printed import MODELS, costs, test_rmse
from repro.plots.drawing import Drawing
from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, plain_ticks, with_intervals
from repro.published import load as load_published
from repro.results import Results

LABELS = {"net": "net on\nlabels", "single": "best\nsingle", "ensemble": "ensemble", "mimic": "mimic"}
# Where a model's name stands beside its mark (points), and which side of the text is there.
LABEL_AT = {
    "net": ((0, -19), "center"),
    "single": ((9, -4), "left"),
    "ensemble": ((0, 9), "center"),
    "mimic": ((-9, -4), "right"),
}
TITLES = {"adult": "ADULT", "p1": "p1: one class against the rest", "p2": "p2: half against half"}
QUICK_TITLES = {"adult": "breast cancer"}


def _title(results: Results, task: str) -> str:
    return (QUICK_TITLES if results.data == "breast-cancer" else TITLES).get(task, TITLES[task])


def compression(results: Results, tasks: Mapping[str, str]) -> Drawing:
    """Test RMSE of the four models, and size against time of each, a row a task."""
    figure, panels = axes(2, len(tasks), width_in=10.0, height_in=3.7 * len(tasks))
    published = load_published()
    data: list[dict[str, Any]] = []
    seeds = 0
    for (task, problem), left, right in zip(tasks.items(), panels[::2], panels[1::2], strict=True):
        for position, model in enumerate(LABELS):
            values = list(test_rmse(results, task, model).values())
            if not values:
                continue
            seeds = max(seeds, len(values))
            mean, low, high = t_interval(values)
            colour, marker = COLOURS[position], MARKERS[position]
            left.plot([position - 0.15] * len(values), values, marker, color=colour, alpha=0.45, ms=5)
            bar = None if low is None or high is None else [[mean - low], [high - mean]]
            left.errorbar([position + 0.1], [mean], yerr=bar, fmt=marker, color=colour, ms=8, capsize=4)
            row: dict[str, Any] = {"task": task, "model": model, "mean": mean, "low": low, "high": high}
            printed = published[f"MC-T2-{problem}.{next(k for k, v in MODELS.items() if v == model)}"].value
            if results.scale != "quick" and printed is not None:
                left.plot([position - 0.35, position + 0.35], [printed] * 2, "--", color=PRINTED, lw=1.5)
                row["printed"] = printed
            size, seconds = (
                list(costs(results, task, model, column).values()) for column in ("bytes", "seconds_per_10k_cases")
            )
            x, y = t_interval(seconds)[0], t_interval(size)[0] / 1e6
            right.plot(seconds, [one / 1e6 for one in size], marker, color=colour, alpha=0.45, ms=5)
            right.plot([x], [y], marker, color=colour, ms=9)
            label = LABELS[model].replace("\n", " ")
            offset, side = LABEL_AT[model]
            right.annotate(label, (x, y), offset, textcoords="offset points", ha=side, color=colour)
            data.append(row | {"megabytes": y, "seconds_per_10k_cases": x, "n": len(values)})
        left.set_xticks(range(len(LABELS)), list(LABELS.values()))
        left.set_xlim(-0.5, len(LABELS) - 0.5)
        left.grid(axis="x", visible=False)
        left.set_ylabel("test RMSE")
        left.set_title(_title(results, task))
        right.set_xscale("log")
        right.set_yscale("log")
        plain_ticks(right.xaxis, [10.0**k * d for k in range(-5, 4) for d in (1, 3)])
        right.margins(0.25)
        right.set_xlabel("CPU seconds for 10,000 cases")
        right.set_ylabel("size (MB)")
    caption = (
        "Left: root mean square error to 0/1 targets on the test cases of the net that learns the original labels, the "
        "best single model of the library on the validation cases, the selected ensemble, and the net that mimics it. "
        f"Small marks: single splits; large marks: mean with 95 % t-interval over n = {seeds} splits. "
    )
    if results.scale != "quick":
        same = "the printed number" if results.data == "adult" else "the printed number, on LETTER's own data"
        caption += f"Dashed: {same}. "
    caption += "Right: what each takes to store and to run on one core, both axes logarithmic, single splits small. "
    return Drawing(figure, data, caption + results.scope)


def sweep(results: Results, tasks: Sequence[str]) -> Drawing:
    """Test RMSE of mimics against pseudo-set size by method, and against hidden units, a row a task."""
    config = Sweep.model_validate(results.config)
    figure, panels = axes(2, len(tasks), width_in=10.0, height_in=3.7 * len(tasks))
    data: list[dict[str, Any]] = []
    seeds = 0
    for task, left, right in zip(tasks, panels[::2], panels[1::2], strict=True):
        reference = results.values(f"{task}.reference", "ensemble_test_rmse")
        net = results.values(f"{task}.reference", "net_test_rmse")
        seeds = max(seeds, len(reference))
        for number, method in enumerate(METHODS):
            marks = _marks(results, {size: f"{task}.{method}.n{size}" for size in config.sizes_of(method)}, reference)
            if marks:  # side by side, that their intervals can be told apart
                beside = [(x * 1.06 ** (number - 1), mean, low, high) for x, mean, low, high in marks]
                with_intervals(left, beside, number, method.upper())
            data += _rows(task, method, "pseudo-cases", marks)
        marks = _marks(results, {units: f"{task}.units{units}" for units in config.units}, reference)
        if marks:
            with_intervals(right, marks, 0)
        data += _rows(task, "munge", "hidden units", marks)
        if net:
            mean, low, high = t_interval([net[seed] - reference[seed] for seed in sorted(net)])
            data.append({"task": task, "method": "net", "mean": mean, "low": low, "high": high})
        for ax in (left, right):
            ax.axhline(0, ls="--", color=PRINTED, lw=1.6, label="ensemble")
            if net:
                ax.axhline(mean, ls=":", color=PRINTED, lw=1.6, label="net on labels")
        left.set_xscale("log")
        plain_ticks(left.xaxis, config.sizes)
        left.set_xlabel("pseudo-cases")
        right.set_xscale("log")
        plain_ticks(right.xaxis, config.units)
        right.set_xlabel("hidden units")
        for ax in (left, right):
            ax.set_ylabel("test RMSE − ensemble's")
        left.set_title(_title(results, task))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    caption = (
        "Test RMSE less that of the ensemble of the same split. Left: mimics against the number of unlabelled cases, "
        "made by MUNGE, by naive Bayes estimation (NBE) and from the marginals (RANDOM), all labelled by the same "
        f"ensemble; {config.hidden} hidden units. Right: mimics on {config.units_size:,} MUNGE cases against hidden "
        "units. Dashed: the ensemble; dotted: the net on the original labels, whose hidden units were chosen. Bars: "
        f"95 % t-intervals over n = {seeds} splits. The paper draws averages over eight problems and prints no "
        "numbers. "
    )
    return Drawing(figure, data, caption + results.scope)


def _marks(results: Results, arms: Mapping[int, str], reference: Mapping[int, float]) -> list[Mark]:
    """Mean and interval of every arm's test RMSE less the reference's of the same seed."""
    found = []
    for x, arm in arms.items():
        values = results.values(arm, "test_rmse")
        if seeds := sorted(values.keys() & reference.keys()):
            found.append((float(x), *t_interval([values[seed] - reference[seed] for seed in seeds])))
    return found


def _rows(task: str, method: str, axis: str, marks: Sequence[Mark]) -> list[dict[str, Any]]:
    return [
        {"task": task, "method": method, "axis": axis, "x": x, "mean": mean, "low": low, "high": high}
        for x, mean, low, high in marks
    ]

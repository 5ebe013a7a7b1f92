"""The figures. They see recorded results only."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from repro.compare import factor_interval, t_interval
from repro.papers.bucila2006._arms import METHODS, Sweep
from repro.papers.bucila2006._printed import MODELS, costs, pseudo_cases, test_accuracy, test_rmse
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, plain_ticks, with_intervals
from repro.published import load as load_published
from repro.results import Results

Ends = tuple[float | None, float | None, float | None]  # mean, and the interval's ends
LABELS = {"net": "net on labels", "single": "best single", "ensemble": "ensemble", "mimic": "mimic"}
TITLES = {"adult": "ADULT", "p1": "p1: one class against the rest", "p2": "p2: half against half"}
QUICK_TITLES = {"adult": "breast cancer"}


def _title(results: Results, task: str) -> str:
    return (QUICK_TITLES if results.data == "breast-cancer" else TITLES).get(task, TITLES[task])


def compression(results: Results, tasks: Mapping[str, str]) -> Drawing:
    """Test RMSE and test accuracy of the four models, and size against time of each, a row a task."""
    figure, panels = axes(3, len(tasks), width_in=12.5, height_in=3.4 * len(tasks) + 0.6)
    data: list[dict[str, Any]] = []
    told = []
    for (task, problem), left, middle, right in zip(
        tasks.items(), panels[::3], panels[1::3], panels[2::3], strict=True
    ):
        for position, model in enumerate(LABELS):
            values = list(test_rmse(results, task, model).values())
            if not values:
                continue
            mean, low, high = _splits(left, position, values)
            row: dict[str, Any] = {"task": task, "model": model, "mean": mean, "low": low, "high": high}
            accuracies = list(test_accuracy(results, task, model).values())
            row |= _named("accuracy_percent", _splits(middle, position, accuracies))
            row |= _size_and_time(right, position, results, task, model)
            if results.scale != "quick":
                row |= _printed(left, right, position, problem, model)
            data.append(row | {"n": len(values)})
        for ax, label in ((left, "test RMSE"), (middle, "test accuracy, %")):
            ax.set_xticks(range(len(LABELS)), ["net", "single", "ensemble", "mimic"])
            ax.set_xlim(-0.5, len(LABELS) - 0.5)
            ax.grid(axis="x", visible=False)
            ax.set_ylabel(label)
        left.set_title(_title(results, task))
        _logarithmic(right)
        right.set_xlabel("CPU seconds for 10,000 cases")
        right.set_ylabel("size, MB")
        if found := pseudo_cases(results, task):
            told.append(_pseudo_cases_told(_title(results, task).partition(":")[0], found))
            data.append({"task": task, "cases": "munge"} | found)
    handles: list[Artist] = [
        panels[0].plot([], [], MARKERS[i], color=COLOURS[i], ms=8, label=label)[0]
        for i, label in enumerate(LABELS.values())
    ]
    if results.scale != "quick":
        handles += panels[0].plot([], [], "--o", color=PRINTED, mfc="white", lw=1.5, label="printed")
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    seeds = number_of(row["n"] for row in data)
    caption = (
        "Left: root mean square error to 0/1 targets on the test cases of the net that learns the original labels, the "
        "best single model of the library on the validation cases, the selected ensemble, and the net that mimics it. "
        "Middle: their accuracy on the test cases, of which the paper prints none. "
        "Right: what each takes to store and to run on one core, both axes logarithmic. "
        f"Small marks: single splits; large marks: mean with 95 % t-interval over {seeds} splits, on the right "
        "geometric mean with the interval of the logarithms. "
    )
    if results.scale != "quick":
        own = "" if results.data == "adult" else ", on LETTER's own data"
        caption += f"Dashed lines and hollow marks: the printed numbers{own}, on a machine of 2006. "
    if told:
        caption += f"Cases that MUNGE made, means over splits: {'; '.join(told)}. "
    return Drawing(figure, data, caption + results.scope)


def _splits(ax: Axes, position: int, values: Sequence[float]) -> Ends:
    """Single splits, and beside them their mean with its interval, which is returned."""
    if not values:
        return None, None, None
    mean, low, high = t_interval(values)
    colour, marker = COLOURS[position], MARKERS[position]
    ax.plot([position - 0.15] * len(values), values, marker, color=colour, alpha=0.45, ms=5)
    ax.errorbar([position + 0.1], [mean], yerr=_bar(mean, low, high), fmt=marker, color=colour, ms=8, capsize=4)
    return mean, low, high


def _size_and_time(ax: Axes, position: int, results: Results, task: str, model: str) -> dict[str, Any]:
    """Single splits, and their geometric means with intervals, as ``_printed`` compares them; returned by name."""
    seconds = list(costs(results, task, model, "seconds_per_10k_cases").values())
    megabytes = [size / 1e6 for size in costs(results, task, model, "bytes").values()]
    if not seconds:
        return {}
    x, y = factor_interval(seconds), factor_interval(megabytes)
    colour, marker = COLOURS[position], MARKERS[position]
    ax.plot(seconds, megabytes, marker, color=colour, alpha=0.45, ms=5)
    ax.errorbar(
        [x[0]], [y[0]], xerr=_bar(*x), yerr=_bar(*y), fmt=marker, color=colour, ms=8, capsize=3, elinewidth=1.2
    )  # fmt: skip
    return _named("megabytes", y) | _named("seconds_per_10k_cases", x)


def _printed(left: Axes, right: Axes, position: int, problem: str, model: str) -> dict[str, Any]:
    """The printed RMSE as a dashed line, size and time as a hollow mark; returned by name."""
    published, name = load_published(), f"{problem}.{next(k for k, v in MODELS.items() if v == model)}"
    rmse, seconds, megabytes = (published[f"MC-T{table}-{name}"].value for table in (2, 3, 4))
    if rmse is not None:
        left.plot([position - 0.35, position + 0.35], [rmse] * 2, "--", color=PRINTED, lw=1.5)
    if seconds is not None and megabytes is not None:  # later ones smaller: some coincide
        size = 9.5 - position
        right.plot([seconds], [megabytes], MARKERS[position], color=COLOURS[position], mfc="none", ms=size)
    return {"printed": rmse, "printed_megabytes": megabytes, "printed_seconds_per_10k_cases": seconds}


def _bar(mean: float, low: float | None, high: float | None) -> list[list[float]] | None:
    return None if low is None or high is None else [[mean - low], [high - mean]]


def _named(name: str, ends: Ends) -> dict[str, float | None]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))


def _logarithmic(ax: Axes) -> None:
    """Both axes, with plain numbers so far apart that they do not touch."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.margins(0.1)
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        steps = (1, 3) if high < 100 * low else (1,)
        decades = range(-6, 6, 2 if axis is ax.xaxis and high > 1e5 * low else 1)
        plain_ticks(axis, [10.0**k * step for k in decades for step in steps])


def _pseudo_cases_told(name: str, found: Mapping[str, float]) -> str:
    return (
        f"{name}, median distance to the nearest test case {found['distance_to_real']:.3f}, that of validation cases "
        f"{found['real_distance_to_real']:.3f}, mean target {found['mean_target']:.3f}, share of positives among test "
        f"cases {found['positives']:.3f}"
    )


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
        f"95 % t-intervals over n = {seeds} splits. Each mimic has that of {len(config.training.rate_factors)} rates "
        "that does best on the validation cases. The paper draws averages over eight problems and prints no numbers. "
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

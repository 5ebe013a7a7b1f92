"""The figures. They see recorded results only."""

from itertools import pairwise
from math import log10, sqrt
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from repro.compare import t_interval
from repro.papers.sun2017._laws import fit_log, fit_power, fit_saturating, left_out_error, rms
from repro.papers.sun2017.async_sgd import Config as AsyncConfig
from repro.papers.sun2017.async_sgd import Rule, arm_name, chosen_rate, clock_name, learnt, months
from repro.papers.sun2017.data_size import Config as SizeConfig
from repro.papers.sun2017.data_size import accuracies, printed_gains, slope
from repro.plots.drawing import Drawing, number_of
from repro.plots.style import COLOURS, MARKERS, PRINTED, Mark, axes, legend, plain_ticks, with_intervals
from repro.published import load as load_published
from repro.results import Results


def data_sizes(results: Results) -> Drawing:
    """A row a data set: accuracy over examples with two laws, gain a decade, and the control of equal epochs."""
    config = SizeConfig.model_validate(results.config)
    rows = len(config.tasks)
    drawn, panels = axes(3, rows, width_in=14.0, height_in=0.5 + 4.1 * rows)
    data: list[dict[str, Any]] = []
    told = []
    for number, task in enumerate(config.tasks):
        accuracy, gains, control = panels[3 * number : 3 * number + 3]
        for line, net in enumerate(config.nets):
            runs = accuracies(results, config, task.data, net.name)
            if not runs:
                continue
            where = {"data": task.data, "net": net.name}
            marks = _over_sizes(list(runs.values()))
            with_intervals(accuracy, marks, line, net.name, joined=False)
            data += [where | {"panel": "accuracy"} | _row(mark, len(runs)) for mark in marks]
            mean = {int(n): value for n, value, _, _ in marks}
            fine = [config.sizes[0] * (config.sizes[-1] / config.sizes[0]) ** (k / 60) for k in range(61)]
            straight, bent = fit_log(mean), fit_saturating(mean)
            accuracy.plot(fine, [straight.accuracy(n) for n in fine], color=COLOURS[line], lw=1.4)
            accuracy.plot(fine, [bent.accuracy(n) for n in fine], color=COLOURS[line], ls=":", lw=1.4)
            steps = [
                (sqrt(n * more), *t_interval([(r[more] - r[n]) / log10(more / n) for r in runs.values()]))
                for n, more in pairwise(config.sizes)
            ]
            with_intervals(gains, steps, line, net.name)
            gains.axhline(straight.slope, color=COLOURS[line], lw=1.0, ls="--")
            data += [where | {"panel": "gain"} | _row(mark, len(runs)) for mark in steps]
            controlled = accuracies(results, config, task.data, net.name, equal_epochs=True)
            control.plot(list(mean), list(mean.values()), color=COLOURS[line])
            if controlled:
                equal = _over_sizes(list(controlled.values()))
                with_intervals(control, equal, line, joined=False)
                control.plot([m[0] for m in equal], [m[1] for m in equal], color=COLOURS[line], ls="--")
                data += [where | {"panel": "equal epochs"} | _row(mark, len(controlled)) for mark in equal]
            told.append(_told(task.data, net.name, list(runs.values())))
        for ax in (accuracy, gains, control):
            ax.set_xscale("log")
            plain_ticks(ax.xaxis, config.sizes)
            ax.set_xlabel("training examples")
        for ax in (accuracy, control):  # an interval of few seeds may reach beyond what an accuracy can be
            low, high = ax.get_ylim()
            ax.set_ylim(max(0.0, low), min(101.0, high))
        accuracy.set_ylabel(f"{task.data}: test accuracy, %")
        gains.set_ylabel("gain a decade of examples, points")
        gains.set_ylim(bottom=min(0.0, gains.get_ylim()[0]))
        control.set_ylabel("test accuracy, %")
        control.plot([], [], color="#444444", label="equal updates")
        control.plot([], [], color="#444444", ls="--", label="equal epochs")
        legend(accuracy, title="net")
        legend(control)
    printed = ", ".join(f"{gain:.1f}" for gain in printed_gains(load_published()))
    ends = sum(row["learning_rate"] in (min(config.rates), max(config.rates)) for row in results.rows)
    at_ends = f"Rate at an end of the grid: {ends} of {len(results.rows)} runs. " if len(config.rates) > 2 else ""
    caption = (
        "Left: test accuracy against training examples at equal updates; solid: straight line over the logarithm, "
        "dotted: power law of the error with a floor, both fitted to the means. Middle: accuracy gained a decade "
        "between neighbouring sizes; dashed: the straight line's. Right: the same sweep at equal epochs, where fewer "
        f"examples are fewer updates. 95 % t-intervals over {number_of(row['n'] for row in data)} seeds. "
        f"{' '.join(told)} Printed for JFT-300M, in points of COCO mAP a decade: {printed}. {at_ends}"
    )
    return Drawing(drawn, data, caption + results.scope)


def _over_sizes(runs: list[dict[int, float]]) -> list[Mark]:
    return [(n, *t_interval([run[n] for run in runs])) for n in runs[0]]


def _row(mark: Mark, n: int) -> dict[str, Any]:
    return dict(zip(("examples", "mean", "low", "high"), mark, strict=True)) | {"n": n}


def _told(data: str, net: str, runs: list[dict[int, float]]) -> str:
    """The fits of a net in words, for the caption."""
    gained, low, high = t_interval([slope(run) for run in runs])
    interval = "" if low is None or high is None else f" ({low:.1f} to {high:.1f})"
    missed = [t_interval([left_out_error(run, fit) for run in runs])[0] for fit in (fit_log, fit_power, fit_saturating)]
    bend = t_interval([fit_saturating(run).bend for run in runs])[0]
    left = t_interval([rms(fit_log(run), run) for run in runs])[0]
    return (
        f"{data}, {net}: {gained:.1f}{interval} points a decade, r.m.s. {left:.1f} off the line, exponent of the power "
        f"law with a floor {bend:.2f}; largest size predicted from the others by line, power law, power law with a "
        f"floor: {', '.join(f'{value:+.1f}' for value in missed)} points."
    )


NAMES = {"async": "asynchronous", "sync": "synchronous", "one": "one worker"}
RULES: dict[Rule, str] = {"sgd": "SGD", "rmsprop": "RMSProp with momentum"}


def asynchronous(results: Results) -> Drawing:
    """Staleness by network; months of the paper's run by network and side; held-out loss over examples by rule."""
    config = AsyncConfig.model_validate(results.config)
    rules = [rule for rule in RULES if rule in config.rates]
    drawn, (staleness, months_ax, *losses) = axes(2, 2, width_in=11.0, height_in=8.6)
    data: list[dict[str, Any]] = []
    for line, network in enumerate(config.networks):
        data += _staleness(staleness, results, config, network.name, line)
    staleness.set_xlabel("staleness, updates")
    staleness.set_ylabel("updates, %")
    legend(staleness, title="links")
    data += _months(months_ax, results, config)
    told = []
    for ax, rule in zip(losses, rules, strict=False):
        for line, (way, name) in enumerate(learnt(config)):
            rate = chosen_rate(results, config, way, name, rule)
            if rate is None:
                continue
            arm = arm_name(way, name, rule, rate)
            label = f"{NAMES[way]}, {name}" if way == "async" and len(config.networks) > 1 else NAMES[way]
            marks = _loss_curves(ax, results, arm, line, f"{label} (rate {rate:g})")
            data += [{"panel": "loss", "rule": rule, "way": way, "network": name, "rate": rate} | m for m in marks]
            cases = results.where(rule=rule)[0]["test_cases"]
            wrong = t_interval([100 * v / cases for v in results.values(arm, "test_errors").values()])[0]
            told.append(f"{RULES[rule]}, {label}, {wrong:.1f} %{_at_an_end(config, rule, rate)}")
        ax.set_yscale("log")
        plain_ticks(ax.yaxis, (0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10))
        ax.set_title(RULES[rule])
        ax.set_xlabel("examples")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        ax.set_ylabel("held-out loss")
        legend(ax, fontsize=9.5, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    for ax in losses[len(rules) :]:
        ax.set_visible(False)
    shown, seeds = results.rows[0], number_of(row["n"] for row in data if "n" in row)
    caption = (
        f"{shown['settings.workers']} workers on {shown['settings.servers']} parameter servers. Top left: staleness of "
        "the asynchronous schedule by the speed of all links. Top right: the printed images and epochs at the "
        "simulated pace; dashed: printed, recollected. Bottom: real gradients of those schedules on a small net, each "
        f"way at its best rate on held-out cases; bold: means of {seeds} seeds, faint: each seed. Test errors at the "
        f"end: {'; '.join(told)}. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _at_an_end(config: AsyncConfig, rule: Rule, rate: float) -> str:
    rates = config.rates[rule]
    return " (rate at an end of its grid)" if len(rates) > 2 and rate in (min(rates), max(rates)) else ""


def _loss_curves(ax: Axes, results: Results, arm: str, line: int, label: str) -> list[dict[str, Any]]:
    points: dict[int, dict[int, float]] = {}
    for row in results.curves:
        if row["arm"] == arm and row["step"]:
            points.setdefault(row["step"], {})[row["seed"]] = row["value"]
    colour, marker = COLOURS[line % len(COLOURS)], MARKERS[line % len(MARKERS)]
    for seed in sorted({seed for found in points.values() for seed in found}):
        own = [(examples, found[seed]) for examples, found in sorted(points.items()) if seed in found]
        ax.plot(*zip(*own, strict=True), lw=0.9, alpha=0.4, color=colour)
    marks = [(examples, *t_interval(list(found.values()))) for examples, found in sorted(points.items())]
    ax.plot([m[0] for m in marks], [m[1] for m in marks], color=colour, marker=marker, ms=5, label=label)
    return [_row(mark, len(points[mark[0]])) for mark in marks]


def _staleness(ax: Axes, results: Results, config: AsyncConfig, network: str, line: int) -> list[dict[str, Any]]:
    arm = clock_name("async", network, config.sides_pixels[0])
    counts: dict[int, int] = {}
    for row in results.table("staleness"):
        if row["arm"] == arm:
            counts[row["staleness"]] = counts.get(row["staleness"], 0) + row["updates"]
    if not counts:
        return []
    total, values = sum(counts.values()), range(min(counts), max(counts) + 1)
    shares = [100 * counts.get(value, 0) / total for value in values]
    ax.stairs(shares, [v - 0.5 for v in (*values, values[-1] + 1)], color=COLOURS[line], lw=1.8, label=network)
    return [
        {"panel": "staleness", "network": network, "staleness": value, "percent": share}
        for value, share in zip(values, shares, strict=True)
    ]


def _months(ax: Axes, results: Results, config: AsyncConfig) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = []
    labels = []
    lines = {way: line for line, (way, _) in reversed(list(enumerate(learnt(config))))}  # as in the panels below
    for position, (network, side) in enumerate((n, s) for n in config.networks for s in config.sides_pixels):
        labels.append(f"{network.name}, {network.bytes_per_s / 1e6:,.0f} MB/s\n{side} pixels")
        for way, name in NAMES.items():
            found = months(results, way, network.name, side)
            if found:
                mean, line = t_interval(found)[0], lines[way]
                label = None if position else name
                ax.plot([mean], [position], MARKERS[line], color=COLOURS[line], ms=8, label=label)
                data.append({"panel": "months", "network": network.name, "side_pixels": side, "way": way})
                data[-1] |= {"mean": mean, "n": len(found)}
    printed = load_published()["PS308.months"].value or 0.0
    ax.axvline(printed, ls="--", color=PRINTED, lw=1.4, label="printed")
    ax.set_xscale("log")
    plain_ticks(ax.xaxis, (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100))
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel("months")
    legend(ax, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return data

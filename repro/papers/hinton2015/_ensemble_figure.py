"""The figure of ``ensembles``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from repro.compare import t_interval
from repro.contrasts import minus
from repro.papers.hinton2015._ensemble_arms import (
    TEACHERS,
    Accuracies,
    Ensembles,
    Task,
    accuracies,
    against_one,
    beyond_least,
    in_order,
    least_share,
    percent_right,
    shares_kept,
    student_name,
    words,
)
from repro.plots.drawing import Drawing, number_of
from repro.published import load as load_published
from repro.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAR = 1.3  # a mean error so many times the median is one that a student which learned nothing has lifted


@dataclass(frozen=True)
class _Mark:
    """Differences of test accuracy in points, one an ensemble, and where the figure shows them."""

    column: float
    tick: str
    of: str
    points: Sequence[float]
    filled: bool = True
    beside: float = 0.0


STYLES = {"mean": 1, "ensemble": 2, "one": 3, "less": 0}  # numbers of colours and markers
LESS_FROM = 0.65  # columns from the last temperature to the line before what is less than a gain over single nets


def figure(results: Results, config: Ensembles) -> Drawing:
    """What claims judge: differences of test accuracy between nets of the same ensemble, a panel a task."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED, axes

    drawn, panels = axes(len(config.tasks), width_in=5.8 * len(config.tasks), height_in=5.2)
    printed = printed_share("KD-S10", "KD-S08", "KD-S06")
    data: list[dict[str, Any]] = []
    counts: list[int] = []
    told_shares = []
    beyond = False
    for task, ax in zip(config.tasks, panels, strict=True):
        found = accuracies(results, task, config)
        marks = _marks(results, task, config, found)
        rows = _draw(ax, marks)
        counts += [row["n"] for row in rows]
        data += [{"data": task.data} | {name: row[name] for name in row if name != "x"} for row in rows]
        title = words(task)
        if found.single:
            error = 100 - fmean(found.single.values())
            title += f"\nsingle nets: {error:.2f} % test error"
            data.append({"data": task.data, "net": "single", "test_error_percent": error, "n": len(found.single)})
            beyond = _end_below_the_usual(ax, rows, error) or beyond
        ax.set_title(title)
        if gain := minus(found.means["arithmetic"], found.single):
            students = [mark.column for mark in marks if mark.of in TEACHERS]
            share = printed / 100 * fmean(gain.values())
            ax.plot([min(students) - 0.4, max(students) + 0.4], [share, share], "--", color=PRINTED, lw=1.5)
            data.append({"data": task.data, "net": "printed share of the ensemble's gain", "points": share})
        kept = shares_kept(results, task, "ensemble", config)
        if kept:
            mean, low, high = t_interval(kept)
            ends_told = "" if low is None else f" ({low:.0f} to {high:.0f})"
            told_shares.append(f"{mean:.0f} %{ends_told} on {words(task)}")
    panels[0].set_ylabel("difference of test accuracy,\npercentage points")
    names = {
        "mean": f"ensemble of {config.members}",
        "ensemble": "student of the ensemble",
        "one": "student of one net",
        "less": "student of the ensemble, less …",
    }
    handles = [
        panels[0].errorbar([], [], fmt=MARKERS[STYLES[of]], color=COLOURS[STYLES[of]], ms=8, label=label)
        for of, label in names.items()
    ]
    (line,) = panels[0].plot([], [], "--", color=PRINTED, lw=1.5, label=f"printed share of the gain, {printed:.0f} %")
    drawn.legend(handles=[*handles, line], loc="outside lower center", ncols=3 if len(panels) > 1 else 2)
    values = {row: load_published()[row].value for row in ("KD-S06", "KD-S08", "KD-S10")}
    kept_told = "; ".join(told_shares) or "none on record"
    told = "An arrow gives a mean beyond the axis: there a student learned nothing. " if beyond else ""
    caption = (
        f"Test accuracy less that of single nets, the {config.members} members of the same ensemble: of ensembles that "
        "differ in initial weights alone, with the arithmetic (mean of p) and geometric (mean of log p) mean of their "
        "predictions, and of nets of the same size that learn from the soft targets of the ensemble, or of one net of "
        "it, at temperature T. Filled: the temperature with the fewest errors on held-out cases. Right of the line: "
        "the accuracy of the filled student of the ensemble less that of the filled student of one net; and its gain "
        f"over single nets less {least_share():g} % of the ensemble's, of which more is claimed to be kept. "
        f"{told}95 % t-intervals over differences within ensembles ({number_of(counts)}), an ensemble's students "
        f"averaged. Share of the ensemble's gain that its student keeps: {kept_told}; printed for speech: "
        f"{printed:.0f} % ({values['KD-S06']} % of frames right by a single net, {values['KD-S08']} % by the ensemble, "
        f"{values['KD-S10']} % by its student), of our ensembles' gain the dashed line. "
    )
    return Drawing(drawn, data, caption + results.scope)


def _marks(results: Results, task: Task, config: Ensembles, found: Accuracies) -> list[_Mark]:
    """Gains over single nets by temperature, and the two differences of them that are claimed beside."""
    marks = [
        _Mark(0, "mean of p", "mean", in_order(minus(found.means["arithmetic"], found.single))),
        _Mark(1, "mean of log p", "mean", in_order(minus(found.means["geometric"], found.single))),
    ]
    for column, t in enumerate(config.temperatures, start=2):
        for beside, source in zip((-0.15, 0.15), TEACHERS, strict=True):
            gain = minus(percent_right(results, student_name(task, source, t)), found.single)
            marks.append(_Mark(column, f"T = {t:g}", source, in_order(gain), t == found.chosen[source], beside))
    after = marks[-1].column + 2 * LESS_FROM
    return [
        *marks,
        _Mark(after, "… student of one net", "less", against_one(found)),
        _Mark(after + 1, f"… {least_share():g} % of the gain", "less", beyond_least(found)),
    ]


def _draw(ax: "Axes", marks: Sequence[_Mark]) -> list[dict[str, Any]]:
    """Marks with intervals, and their ticks; returns the rows drawn."""
    from repro.plots.style import COLOURS, MARKERS, PRINTED

    rows: list[dict[str, Any]] = []
    for mark in marks:
        if not mark.points:
            continue
        mean, low, high = t_interval(mark.points)
        colour, x = COLOURS[STYLES[mark.of]], mark.column + mark.beside
        ends = None if low is None or high is None else [[mean - low], [high - mean]]
        marker, face = MARKERS[STYLES[mark.of]], colour if mark.filled else "white"
        ax.errorbar([x], [mean], yerr=ends, fmt=marker, color=colour, mfc=face, ms=8, capsize=4)
        row = {"net": mark.tick, "of": mark.of, "x": x, "chosen": mark.filled if mark.of in TEACHERS else None}
        rows.append(row | {"points": mean, "low": low, "high": high, "n": len(mark.points)})
    ticks = {mark.column: mark.tick for mark in marks}
    ax.set_xticks(list(ticks), list(ticks.values()), rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.5, max(ticks) + 0.5)
    ax.grid(axis="x", visible=False)
    ax.axhline(0, color=PRINTED, lw=1)
    ax.axvline(max(mark.column for mark in marks if mark.of in TEACHERS) + LESS_FROM, color=PRINTED, lw=0.8)
    return rows


def _end_below_the_usual(ax: "Axes", rows: Sequence[Mapping[str, Any]], single_error: float) -> bool:
    """Ends the axis below the rows whose nets err about as often as most; means far below are told in numbers.

    True if there were any.
    """
    gains = [row for row in rows if row["of"] != "less"]
    if not gains:
        return False
    limit = FAR * median(single_error - row["points"] for row in gains)
    far = [row for row in gains if single_error - row["points"] > limit]
    if not far:
        return False
    ends = [row[end] for row in rows if row not in far for end in ("points", "low", "high") if row[end] is not None]
    least, most = min(0.0, *ends), max(0.0, *ends)
    room = 0.1 * (most - least)
    ax.set_ylim(least - 2 * room, most + room)
    for row in far:
        told, place = f"↓ {row['points']:.1f}".replace("-", "−"), (row["x"], least - 1.5 * room)
        ax.annotate(told, place, ha="center", fontsize=9, bbox={"fc": "white", "ec": "none", "pad": 1})
    return True


def printed_share(gained: str, of: str, against: str) -> float:
    """(gained - against) / (of - against) of three printed rows, in percent."""
    a, b, c = (float(load_published()[row].value or 0) for row in (gained, of, against))
    return 100 * (a - c) / (b - c)

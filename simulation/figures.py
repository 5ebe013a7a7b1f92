"""Pictures that draw on Axes they are given, and touch nothing else of the figure.

Colours are Okabe and Ito's, told apart also by marker or hatch; axes carry units.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulation.draws import Ints
from simulation.predictions import Prediction

Axes = Any
Dashes = str | tuple[int, tuple[int, ...]]
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442")
LINES = (*COLOURS[:-1], "#7F7F7F")  # grey, not the yellow, which lines cannot be seen in
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PARTS = {
    "compute": ("#0072B2", ""),
    "straggler": ("#E69F00", "//"),
    "link": ("#D55E00", "\\\\"),
    "server": ("#CC79A7", "xx"),
    "teacher": ("#009E73", ".."),
    "peers": ("#56B4E9", "oo"),
    "failure": ("#000000", "++"),
}
DASHES: tuple[Dashes, ...] = ("-", "--", "-.", ":", (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (6, 1, 1, 1)))


def step_time_breakdown(axes: Axes, parts_s: Mapping[str, Mapping[str, float]]) -> None:
    """Stacked bars: seconds of a step by cause, one bar a name."""
    names = list(parts_s)
    largest = max(sum(parts.values()) for parts in parts_s.values())
    scale, unit = (1e3, "ms") if largest < 1 else (1.0, "s")
    left = np.zeros(len(names))
    for part, (colour, hatch) in PARTS.items():
        values = np.array([parts_s[name].get(part, 0.0) for name in names]) * scale
        if values.any():
            axes.barh(names, values, 0.6, left=left, color=colour, hatch=hatch, edgecolor="white", label=part)
        left += values
    axes.invert_yaxis()
    axes.set_xlabel(f"time of a step ({unit})")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(PARTS), frameon=False)


Curves = Mapping[str, tuple[Sequence[int], Sequence[float]]]


def _over_workers(axes: Axes, curves: Curves) -> None:
    """Lines over workers, an axis of powers of two with plain numbers, and a legend."""
    counts = sorted({n for workers, _ in curves.values() for n in workers})
    for i, (name, (workers, values)) in enumerate(curves.items()):
        style: dict[str, Any] = {"marker": MARKERS[i % len(DASHES)], "linestyle": DASHES[i % len(DASHES)]}
        style["color"] = LINES[i % len(LINES)]  # one more than there are dashes: 56 different lines
        # Hollow marks and dashes of different lengths: lines that fall together all show.
        axes.plot(workers, values, label=name, linewidth=1.5, markersize=6, markerfacecolor="none", **style)
    axes.set_xscale("log", base=2)
    shown = counts[:: -(-len(counts) // 8)]
    axes.set_xticks(shown, [f"{n:,}" for n in shown])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, 1.08 * axes.dataLim.y1)
    axes.set_xlabel("workers")
    axes.legend(frameon=False)


def scaling_efficiency(axes: Axes, curves: Curves) -> None:
    """Examples per second and worker, relative to the fewest workers, over workers; one line a name."""
    rates = {name: np.asarray(v) / np.asarray(n) for name, (n, v) in curves.items()}
    _over_workers(axes, {name: (curves[name][0], list(100 * r / r[0])) for name, r in rates.items()})
    axes.axhline(100, color="0.7", linewidth=0.8, zorder=0)
    axes.set_ylabel("scaling efficiency (%)")


def step_time(axes: Axes, curves: Curves) -> None:
    """Step time over workers, one line a name."""
    largest = max(max(step_s) for _, step_s in curves.values())
    scale, unit = (1e3, "ms") if largest < 1 else (1.0, "s")
    _over_workers(axes, {name: (n, [scale * s for s in t]) for name, (n, t) in curves.items()})
    axes.set_ylabel(f"time of a step ({unit})")


def improvements(seconds: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """When a curve was first below all it had been before, and how low; seconds must not fall."""
    times: list[float] = []
    lows: list[float] = []
    for second, value in zip(seconds, values, strict=True):
        if not lows or value < lows[-1]:
            times.append(second)
            lows.append(value)
    return times, lows


def frontier(
    axes: Axes,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    quantity: str,
    colours: Sequence[str] = COLOURS,
    markers: Sequence[str] = MARKERS,
) -> None:
    """Time until a quantity that should fall was first so low, a line a name; the fastest of all is broad and grey.

    ``curves`` maps a name to seconds, rising, and the quantity.
    """
    points = sorted((t, v) for seconds, values in curves.values() for t, v in zip(seconds, values, strict=True))
    times, lows = improvements([t for t, _ in points], [v for _, v in points])
    axes.step(lows, times, where="pre", color="0.85", linewidth=9, zorder=0, label="frontier")
    for i, (name, (seconds, values)) in enumerate(curves.items()):
        times, lows = improvements(seconds, values)
        style = {"color": colours[i % len(colours)], "marker": markers[i % len(markers)]}
        axes.step(lows, times, where="pre", markersize=4, label=name, **style)
    axes.invert_xaxis()
    axes.set_xlabel(f"{quantity} at most")
    axes.set_ylabel("first reached after (s)")


def staleness_histogram(axes: Axes, staleness_updates: Ints, bins: int = 40) -> None:
    """Share of updates by how many versions lie between reading and applying; the mean is marked."""
    values = np.asarray(staleness_updates)
    low, high = int(values.min()), int(values.max())
    width = max(1, -(-(high - low + 1) // bins))
    edges = np.arange(low, high + width + 1, width) - 0.5
    weights = np.full(len(values), 100.0 / len(values))
    axes.hist(values, bins=edges, weights=weights, color=COLOURS[0], edgecolor="white", linewidth=0.5)
    mean = float(values.mean())
    axes.axvline(mean, color=COLOURS[3], linestyle="--", label=f"mean {mean:.3g}")
    axes.set_xlabel("staleness (updates between reading and applying)")
    axes.set_ylabel("share of updates (%)")
    axes.legend(frameon=False)


def predicted_against_printed(axes: Axes, rows: Sequence[Prediction], band: float = 0.1) -> None:
    """Ratio predicted / printed of every row, by check; open markers helped to make their prediction."""
    checks = list(dict.fromkeys(r.check for r in rows))
    largest = max(r.error for r in rows)
    position = 0.0
    ticks = []
    for i, check in enumerate(checks):
        mine = [r for r in rows if r.check == check]
        room = max(len(mine), 3.2 * (_wrapped(check).count("\n") + 1))  # rows, or the lines of the name
        first = position + (room - len(mine)) / 2
        for sample in ("out", "in"):
            chosen = [(k, r) for k, r in enumerate(mine) if r.sample == sample]
            axes.plot(
                [100 * r.error for _, r in chosen],
                [first + k for k, _ in chosen],
                linestyle="none",
                marker=MARKERS[i % len(MARKERS)],
                markersize=4,
                color=COLOURS[i % (len(COLOURS) - 1)],  # not the yellow, which marks cannot be seen in
                fillstyle="full" if sample == "out" else "none",
            )
        for k, r in enumerate(mine):
            if abs(r.error) > 2 * band:
                axes.annotate(
                    f"{r.system} ({r.id})",
                    (100 * r.error, first + k),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize="x-small",
                )
        ticks.append(position + (room - 1) / 2)
        position += room + 2
        axes.axhline(position - 1.5, color="0.9", linewidth=0.8, zorder=0)
    axes.axvspan(-100 * band, 100 * band, color="0.92", zorder=-1)
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    if largest > 2 * band:
        axes.set_xlim(right=150 * largest)  # room for the last name
    axes.set_yticks(ticks, [_wrapped(check) for check in checks])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlabel(f"predicted / printed - 1 (%); grey: within {band:.0%}; open: row used to predict")


def _wrapped(text: str, width: int = 30) -> str:
    return "\n".join(textwrap.wrap(text, width))

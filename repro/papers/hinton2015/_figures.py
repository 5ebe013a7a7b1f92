"""What several experiments draw with."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from repro.compare import t_interval
from repro.papers.hinton2015._specialist_arms import MOST_COVERING
from repro.plots.style import PRINTED, Mark, with_intervals
from repro.published import load as load_published
from repro.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MADE_UP = {"hierarchy": "Made-up pictures of a seeded generator. "}
# Kinds of specialists, as legends name them.
SPECIALIST_KINDS = {
    "dustbin": "dustbin",
    "full": "all outputs, labels",
    "full_soft": "all outputs, soft targets too",
}


def marks(values: Mapping[Any, Sequence[float]]) -> list[Mark]:
    """Mean and 95 % interval of the values at every x that has any."""
    return [(x, *t_interval(found)) for x, found in values.items() if found]


def caption_of(results: Results, text: str) -> str:
    """A caption of section 5: the text, what the data are where they are made up, and the scope."""
    return text + MADE_UP.get(results.data, "") + results.scope


def gain_by_coverage(ax: "Axes", results: Results, arms: Mapping[str, str]) -> list[dict[str, Any]]:
    """Table 4 in a panel, beside the printed one: the relative change of cases right by the number of specialists that
    cover the correct class, a line an arm (name -> label), and how many cases that is with the first arm's sets.

    Returns the rows drawn.
    """
    data: list[dict[str, Any]] = []
    table = [row for row in results.table("coverage") if row["generalist_right"]]
    for number, (arm, label) in enumerate(arms.items()):
        drawn: list[Mark] = []
        for covering in range(MOST_COVERING + 1):
            rows = [row for row in table if row["arm"] == arm and row["covering"] == covering]
            if rows:
                mean, low, high = t_interval([100 * row["gained"] / row["generalist_right"] for row in rows])
                drawn.append((covering + 0.06 * number, mean, low, high))
                cases = sum(row["cases"] for row in rows) / len(rows)
                data.append(
                    {"arm": arm, "covering": covering, "mean": mean, "low": low, "high": high, "n": len(rows)}
                    | {"cases": cases, "gained": sum(row["gained"] for row in rows) / len(rows)}
                )
                if not number:
                    note = f"{cases:,.0f}"
                    ax.annotate(note, (covering, 0.02), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
        if drawn:
            with_intervals(ax, drawn, number, label)
    if results.scale != "quick":
        printed = load_published()
        at = [(covering, printed[f"KD-J4-{covering}-r"].number) for covering in range(MOST_COVERING)]
        ax.plot(*zip(*at, strict=True), "_", color=PRINTED, ms=14, mew=2, label="printed, Table 4")
    ax.axhline(0, color=PRINTED, lw=1)
    ax.set_xticks(range(MOST_COVERING + 1), [*map(str, range(MOST_COVERING)), f"{MOST_COVERING}+"])
    ax.margins(y=0.15)
    ax.set_xlabel("specialists that cover the correct class")
    ax.set_ylabel("relative change of cases right, %")
    return data

"""How a caption of this package ends."""

from collections.abc import Sequence

from repro.compare import t_interval
from repro.plots.style import Mark
from repro.results import Results


def scope(results: Results) -> str:
    """Scale, data if any is learned from, and hardware."""
    machines = sorted({str(row["hardware"]) for row in results.timing})
    data = "" if results.data == "none" else f", data {results.data}"
    return f"Scale {results.scale}{data}, on {'; '.join(machines)}."


def mark(x: float, values: Sequence[float]) -> Mark:
    """A point of a line: mean and 95 % t-interval of ``values``."""
    return (x, *t_interval(values))

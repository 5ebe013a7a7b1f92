"""How captions of this package end, and marks of its figures."""

from collections.abc import Sequence

from repro.compare import t_interval
from repro.plots.style import Mark
from repro.results import Results


def scope(results: Results) -> str:
    """Scale, data and hardware."""
    machines = sorted({str(row["hardware"]) for row in results.timing})
    return f"Scale {results.scale}, data {results.data}, on {'; '.join(machines)}."


def mark(x: float, values: Sequence[float]) -> Mark:
    """A point of a line: mean and 95 % t-interval of ``values``."""
    return (x, *t_interval(values))

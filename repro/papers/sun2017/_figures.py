"""What both experiments draw with."""

from typing import Any

from repro.plots.style import Mark


def row_of(mark: Mark, n: int) -> dict[str, Any]:
    """A row of the figure's numbers: a mark over examples, of ``n`` seeds."""
    return dict(zip(("examples", "mean", "low", "high"), mark, strict=True)) | {"n": n}

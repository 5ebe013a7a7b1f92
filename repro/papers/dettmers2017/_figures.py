"""What both experiments draw with."""

from typing import Any

from repro.plots.style import COLOURS, MARKERS
from repro.results import Results


def scope(results: Results) -> str:
    """Scale and hardware, for the end of a caption."""
    return f"Scale {results.scale}, computed from assumptions, nothing learned."


def once(label: str, named: set[str]) -> str | None:
    """The label the first time it is asked for, for a legend that names each thing once."""
    if label in named:
        return None
    named.add(label)
    return label


def style_of(number: int, label: str, named: set[str]) -> dict[str, Any]:
    """How error bars of line ``number`` are drawn."""
    return {"fmt": MARKERS[number], "color": COLOURS[number], "capsize": 3, "label": once(label, named)}

"""What a figure is: a picture, the numbers in it, and the words under it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """``data`` are the plotted values, one mapping a mark; ``caption`` says what is shown, n and scale."""

    figure: "Figure"
    data: Sequence[Mapping[str, Any]]
    caption: str


def number_of(counts: Iterable[int]) -> str:
    """n for captions: one number where all marks have as many seeds."""
    found = sorted(set(counts)) or [0]
    return f"n = {found[0]}" if len(found) == 1 else f"n = {found[0]} to {found[-1]}"

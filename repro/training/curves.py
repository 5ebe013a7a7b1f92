"""Points of a learning curve: the rows of ``curves.csv``."""

from typing import NamedTuple


class Point(NamedTuple):
    """``metric`` of ``split`` after ``epoch`` epochs and ``step`` steps."""

    epoch: int
    step: int
    split: str
    metric: str
    value: float

"""Points of a learning curve: the rows of ``curves.csv``."""

from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """``metric`` of ``split`` after ``epoch`` epochs and ``step`` steps."""

    epoch: int
    step: int
    split: str
    metric: str
    value: float

    def as_list(self) -> list[Any]:
        return list(astuple(self))

    @classmethod
    def from_list(cls, values: list[Any]) -> "Point":
        return cls(*values)

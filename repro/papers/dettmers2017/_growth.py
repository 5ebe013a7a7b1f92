"""Doublings: when a computation comes within reach, how far something lags, how a gap opens."""

import math
from collections.abc import Callable, Mapping
from itertools import product

from pydantic import Field, model_validator

from repro.settings import Options

DAYS_PER_MONTH = 365.25 / 12
MINUTES_PER_HOUR = 60


class Assumed(Options):
    """An assumption: the value used, and the range it may lie in."""

    value: float = Field(gt=0)
    low: float = Field(gt=0)
    high: float = Field(gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> "Assumed":
        if not self.low <= self.value <= self.high:
            raise ValueError(f"low {self.low:g}, value {self.value:g} and high {self.high:g} must not fall")
        return self


def doublings(wanted: float, at_hand: float) -> float:
    """How often what is at hand must double to be what is wanted; negative where it is more already."""
    return math.log2(wanted / at_hand)


def years_until(wanted: float, at_hand: float, doubling_years: float) -> float:
    """Years until a quantity that doubles every ``doubling_years`` has grown from ``at_hand`` to ``wanted``.

    With GPU-months of a published run as ``wanted`` and GPUs x months of one's own as ``at_hand`` this is the
    review's formula less its first year: D log2(50/g x 2 months/span).
    """
    return doubling_years * doublings(wanted, at_hand)


def doubling_years_for(lag_years: float, wanted: float, at_hand: float) -> float:
    """The doubling time at which ``years_until`` is ``lag_years``; infinite where nothing has to grow."""
    times = doublings(wanted, at_hand)
    return lag_years / times if times else math.inf


def gap_doubling_years(data_years: float, compute_years: float) -> float:
    """Years in which data per compute doubles, when data doubles in ``data_years``, compute in ``compute_years``.

    Negative where compute grows faster (the gap halves in so many years), infinite where both grow alike.
    """
    rate = 1 / data_years - 1 / compute_years
    return 1 / rate if rate else math.inf


def over(assumed: Mapping[str, Assumed], of: Callable[..., float]) -> tuple[float, float, float]:
    """``of`` at the assumptions' values, and its least and greatest value over their ranges.

    All corners of the ranges are tried: these bound a function that is monotone in each assumption.
    """
    corners = [
        of(**dict(zip(assumed, ends, strict=True))) for ends in product(*({a.low, a.high} for a in assumed.values()))
    ]
    value = of(**{name: a.value for name, a in assumed.items()})
    return value, min(corners), max(corners)

"""Laws of accuracy over the number of examples, as one family. The leading underscore says that this is no experiment.

``accuracy(n) = level + slope (1 - n**-bend) / (bend ln 10)``, in percentage points. At ``bend = 0`` this is the
logarithmic law ``level + slope log10(n)``; above, a power law of the error whose floor is 100 less the ceiling. All are
fitted by least squares in points of accuracy, so that none is favoured by its own scale.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LN10 = math.log(10.0)
CERTAIN = 100.0  # per cent
LEAST_BEND, MOST_BEND = -1.0, 3.0  # searched; at 3 all of the gain is made within a decade
Points = Mapping[int, float]  # examples -> accuracy in %
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """``slope`` is in points a decade of examples: of all decades if ``bend`` is 0, else of one example's."""

    level: float
    slope: float
    bend: float = 0.0

    def accuracy(self, examples: float) -> float:
        """In %."""
        return float(self.level + self.slope * _decades(np.array([examples], dtype=np.float64), self.bend)[0])


def _decades(examples: Floats, bend: float) -> Floats:
    """(1 - n**-bend) / (bend ln 10), which is log10(n) at bend 0, without cancellation."""
    logs = np.log(examples)
    found: Floats = logs / LN10 if bend == 0 else -np.expm1(-bend * logs) / (bend * LN10)
    return found


def fit_log(points: Points) -> Law:
    """The straight line over log10(n).

    Raises:
        ValueError: fewer than two sizes.
    """
    return _fit_at(points, 0.0)


def fit_saturating(points: Points) -> Law:
    """The whole family: a power law of the error with a floor, the logarithmic law among its members.

    Raises:
        ValueError: fewer than three sizes.
    """
    _at_least(points, 3)
    return _best(points, lambda bend: _fit_at(points, bend), LEAST_BEND)


def fit_power(points: Points) -> Law:
    """``error = c n**-bend`` without a floor: as many parameters as the logarithmic law.

    Raises:
        ValueError: fewer than two sizes.
    """
    _at_least(points, 2)
    sizes, accuracies = _arrays(points)

    def at(bend: float) -> Law:
        share = sizes**-bend
        factor = float(share @ (CERTAIN - accuracies) / (share @ share))
        return Law(CERTAIN - factor, factor * bend * LN10, bend)

    return _best(points, at, 0.0)


def rms(law: Law, points: Points) -> float:
    """Root mean square, in points, of what the law leaves unexplained."""
    return math.sqrt(_misfit(law, points) / len(points))


def left_out_error(points: Points, fit: Callable[[Points], Law]) -> float:
    """Predicted less found accuracy at the largest size, by the law fitted to the others, in points."""
    most = max(points)
    return fit({n: found for n, found in points.items() if n != most}).accuracy(most) - points[most]


def _fit_at(points: Points, bend: float) -> Law:
    """Level and slope of least squares for a given bend."""
    _at_least(points, 2)
    sizes, accuracies = _arrays(points)
    decades = _decades(sizes, bend)
    centred = decades - decades.mean()
    slope = float(centred @ accuracies / (centred @ centred))
    return Law(float(accuracies.mean() - slope * decades.mean()), slope, bend)


def _best(points: Points, at: Callable[[float], Law], least: float) -> Law:
    """The law of least misfit over bends: a grid, then a bounded search around its best."""
    from scipy.optimize import minimize_scalar

    def misfit(bend: float) -> float:
        return _misfit(at(bend), points)

    grid = np.linspace(least, MOST_BEND, 81)
    number = min(range(len(grid)), key=lambda k: misfit(float(grid[k])))
    around = float(grid[max(0, number - 1)]), float(grid[min(len(grid) - 1, number + 1)])
    found = minimize_scalar(misfit, bounds=around, method="bounded", options={"xatol": 1e-7})
    return at(float(found.x))


def _misfit(law: Law, points: Points) -> float:
    return math.fsum((law.accuracy(n) - found) ** 2 for n, found in points.items())


def _arrays(points: Points) -> tuple[Floats, Floats]:
    return np.array(list(points), dtype=np.float64), np.array(list(points.values()), dtype=np.float64)


def _at_least(points: Points, count: int) -> None:
    if len(points) < count:
        raise ValueError(f"{len(points)} sizes: a law of {count} parameters needs {count} or more")

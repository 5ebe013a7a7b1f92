"""Steps to a target for one batch size, and the law of critical batches fitted to them.

McCandlish et al. 2018 (1812.06162, eq 2.11): ``(S / S_min - 1) (E / E_min - 1) = 1`` for S steps and E = B S examples,
which is ``S = S_min (1 + B_crit / B)`` with ``B_crit = E_min / S_min``. The leading underscore says that this is no
experiment.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """``S = least_steps (1 + critical_batch / B)``."""

    least_steps: float
    critical_batch: float

    def steps(self, batch_size: float) -> float:
        """Steps to the target."""
        return self.least_steps * (1 + self.critical_batch / batch_size)


@dataclass(frozen=True)
class PowerLaw:
    """``S = factor B**-exponent``: as many parameters as the law, and no critical batch."""

    factor: float
    exponent: float

    def steps(self, batch_size: float) -> float:
        """Steps to the target."""
        return float(self.factor * batch_size**-self.exponent)


def fit_law(steps: Mapping[int, float]) -> Law:
    """Least squares in log steps over batch sizes; ``steps`` maps a batch size to its steps.

    For a given critical batch the best ``least_steps`` is a mean of logs, so one dimension is searched: a grid over
    the logarithm of the critical batch, then golden sections.

    Raises:
        ValueError: fewer than three batch sizes, which every pair of parameters would fit.
    """
    _at_least_three(steps)
    sizes, logs = list(steps), [math.log(s) for s in steps.values()]

    def offset(log_critical: float) -> float:
        found = [y - math.log1p(math.exp(log_critical) / b) for b, y in zip(sizes, logs, strict=True)]
        return sum(found) / len(found)

    def misfit(log_critical: float) -> float:
        mean = offset(log_critical)
        return sum((y - math.log1p(math.exp(log_critical) / b) - mean) ** 2 for b, y in zip(sizes, logs, strict=True))

    low, high = math.log(min(sizes)) - 7, math.log(max(sizes)) + 7  # a factor of 1000 beyond what was tried
    grid = [low + (high - low) * k / 200 for k in range(201)]
    best = min(range(len(grid)), key=lambda k: misfit(grid[k]))
    log_critical = _golden(misfit, grid[max(0, best - 1)], grid[min(200, best + 1)])
    return Law(math.exp(offset(log_critical)), math.exp(log_critical))


def fit_power_law(steps: Mapping[int, float]) -> PowerLaw:
    """A straight line through (log batch, log steps).

    Raises:
        ValueError: fewer than three batch sizes.
    """
    _at_least_three(steps)
    xs, ys = [math.log(b) for b in steps], [math.log(s) for s in steps.values()]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
    return PowerLaw(math.exp(y - slope * x), -slope)


def left_out_error(steps: Mapping[int, float], fit: Callable[[Mapping[int, float]], Law | PowerLaw]) -> float:
    """Root mean square of log(predicted / found), each batch size predicted from the others."""
    errors = []
    for left_out, found in steps.items():
        others = {b: s for b, s in steps.items() if b != left_out}
        errors.append(math.log(fit(others).steps(left_out) / found) ** 2)
    return math.sqrt(sum(errors) / len(errors))


def _at_least_three(steps: Mapping[int, float]) -> None:
    if len(steps) < 3:
        raise ValueError(f"{len(steps)} batch sizes: two parameters need three or more")


def _golden(function: Callable[[float], float], low: float, high: float) -> float:
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if function(a) <= function(b):
            high = b
        else:
            low = a
    return (low + high) / 2


def checkpoints(spacing: float) -> Iterator[int]:
    """Steps at which the held-out loss is looked at: every one at first, then each ``spacing`` times the last."""
    step = 1
    while True:
        yield step
        step = max(step + 1, round(step * spacing))


def crossing(before: tuple[int, float], after: tuple[int, float], target: float) -> float:
    """The step at which the loss meets the target, on a straight line in (log step, loss) between two looks."""
    (step, loss), (later, less) = before, after
    share = (loss - target) / (loss - less)
    return float(step * (later / step) ** share)


def first_crossings(losses: Sequence[tuple[int, float]], targets: Sequence[float]) -> list[float | None]:
    """For each target the first step at which a curve of (step, loss) is at or below it; None where it never is."""
    found: list[float | None] = []
    for target in targets:
        at = next((k for k, (_, loss) in enumerate(losses) if loss <= target), None)
        if at is None:
            found.append(None)
        else:
            found.append(float(losses[0][0]) if at == 0 else crossing(losses[at - 1], losses[at], target))
    return found

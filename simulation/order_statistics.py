"""How long one waits for the k-th of n workers: expectations by quadrature, no sampling.

The time of one worker is a draw of its distribution, times a lognormal factor of the worker, plus a rare
pause; the mean of the k-th smallest of n such times is the integral of ``P(fewer than k have come)``.

Over several steps draws and pauses average out, by the normal limit of their spread; a worker's factor stays.
"""

from math import inf, sqrt

import numpy as np
from scipy.special import betainc

from simulation.distributions import Constant
from simulation.draws import Floats
from simulation.timing import Timing

_POINTS = 4000
_DEVIATIONS = np.linspace(-6.0, 6.0, 97)  # of the logarithm of a worker's factor: a million workers have no more


def speeds(timing: Timing) -> tuple[Floats, Floats]:
    """Values of a worker's lognormal factor, rising, and how likely each is."""
    if not timing.slowdown_sigma:
        return np.ones(1), np.ones(1)
    weights = np.exp(-(_DEVIATIONS**2) / 2)
    return np.exp(timing.slowdown_sigma * _DEVIATIONS), weights / weights.sum()


def mean_ns_at(timing: Timing, factors: Floats) -> Floats:
    """Mean time of one gradient on workers of these factors."""
    result: Floats = timing.compute.mean_ns * factors + timing.pause_probability * timing.pause_ns
    return result


def _one_gradient(timing: Timing, time_ns: Floats, factor: float) -> Floats:
    result = timing.compute.survival(time_ns / factor)
    if timing.pause_ns:
        paused = timing.compute.survival(np.maximum(time_ns - timing.pause_ns, 0.0) / factor)
        paused = np.where(time_ns < timing.pause_ns, 1.0, paused)
        result = result + timing.pause_probability * (paused - result)
    return result


def survival(timing: Timing, time_ns: Floats, steps: float = 1) -> Floats:
    """Probability that one worker's gradient, on the mean over so many steps, takes longer than each of these times."""
    result = np.zeros_like(time_ns)
    factors, weights = speeds(timing)
    for factor, weight, mean in zip(factors, weights, mean_ns_at(timing, factors), strict=True):
        if steps == inf:
            result += weight * (time_ns < mean)
        else:
            one_ns = time_ns if steps == 1 else mean + sqrt(steps) * (time_ns - mean)
            result += weight * np.where(one_ns < 0, 1.0, _one_gradient(timing, np.maximum(one_ns, 0.0), factor))
    return result


def expected_kth_ns(timing: Timing, k: int, n: int, steps: float = 1) -> float:
    """Mean time, in nanoseconds, until k of n workers have finished one gradient each.

    Args:
        steps: gradients in a row that each worker is waited for; the time is that of one of them. Infinite:
            all that differs for good.
    """
    if isinstance(timing.compute, Constant) and not timing.slowdown_sigma and not timing.pause_ns:
        return timing.compute.value_ns
    if n == 1 or (steps == inf and not timing.slowdown_sigma):
        return timing.mean_compute_ns
    if steps != 1 and not timing.slowdown_sigma:
        mean = timing.mean_compute_ns
        return mean + (expected_kth_ns(timing, k, n) - mean) / sqrt(steps)
    factors, _ = speeds(timing)
    tiny = np.array([1e-7 / n])
    longest = float(timing.compute.inverse_survival(tiny)[0]) * float(factors[-1]) + timing.pause_ns
    shortest = float(timing.compute.inverse_survival(np.array([1.0 - 1e-12]))[0]) * float(factors[0])
    start = min(max(shortest * 0.999, longest * 1e-9), longest * 0.999)
    grid = np.concatenate([np.linspace(start, longest, _POINTS), np.geomspace(start, longest, _POINTS)])
    grid = np.unique(np.concatenate([[0.0], grid]))
    waiting = 1.0 - betainc(k, n - k + 1, 1.0 - survival(timing, grid, steps))
    return float(np.trapezoid(waiting, grid))

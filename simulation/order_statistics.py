"""How long one waits for the k-th of n workers: expectations by quadrature, no sampling.

The time of one worker is a draw of its distribution, times a lognormal factor of the worker, plus a rare
pause; the mean of the k-th smallest of n such times is the integral of ``P(fewer than k have come)``.
"""

import numpy as np
from scipy.special import betainc, ndtri

from simulation.distributions import Constant
from simulation.draws import Floats
from simulation.timing import Timing

_POINTS = 4000
_FACTORS = 48


def _factors(sigma: float) -> Floats:
    """Equally likely values of a worker's lognormal factor."""
    if not sigma:
        return np.ones(1)
    result: Floats = np.exp(sigma * ndtri((np.arange(_FACTORS) + 0.5) / _FACTORS))
    return result


def survival(timing: Timing, time_ns: Floats) -> Floats:
    """Probability that one worker's gradient takes longer than each of these times."""
    factors = _factors(timing.slowdown_sigma)

    def without_pause(times: Floats) -> Floats:
        mean: Floats = np.mean([timing.compute.survival(times / f) for f in factors], axis=0)
        return mean

    result = without_pause(time_ns)
    if timing.pause_ns:
        paused = without_pause(np.maximum(time_ns - timing.pause_ns, 0.0))
        paused = np.where(time_ns < timing.pause_ns, 1.0, paused)
        result = result + timing.pause_probability * (paused - result)
    return result


def expected_kth_ns(timing: Timing, k: int, n: int) -> float:
    """Mean time, in nanoseconds, until k of n workers have finished one gradient each."""
    if isinstance(timing.compute, Constant) and not timing.slowdown_sigma and not timing.pause_ns:
        return timing.compute.value_ns
    if n == 1:
        return timing.mean_compute_ns
    factors = _factors(timing.slowdown_sigma)
    tiny = np.array([1e-7 / n])
    longest = float(timing.compute.inverse_survival(tiny)[0]) * float(factors[-1]) + timing.pause_ns
    shortest = float(timing.compute.inverse_survival(np.array([1.0 - 1e-12]))[0]) * float(factors[0])
    start = min(max(shortest * 0.999, longest * 1e-9), longest * 0.999)
    grid = np.concatenate([np.linspace(start, longest, _POINTS), np.geomspace(start, longest, _POINTS)])
    grid = np.unique(np.concatenate([[0.0], grid]))
    waiting = 1.0 - betainc(k, n - k + 1, 1.0 - survival(timing, grid))
    return float(np.trapezoid(waiting, grid))

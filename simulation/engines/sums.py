"""The time of several gradients in a row: survival functions of sums, exact or by convolution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.fft import irfft, rfft
from scipy.special import gammaincc
from scipy.stats import binom

from simulation.distributions import Constant, Distribution, ShiftedExponential
from simulation.draws import Floats
from simulation.timing import Timing

GRID = 1 << 17

Survival = Callable[[Floats], Floats]


def sum_survival(distribution: Distribution, terms: int) -> Survival:
    """Survival function of the sum of `terms` independent draws.

    Exact for one term, constants and shifted exponentials (a Gamma tail); else a convolution on a grid of
    2^17 points, continued beyond it by the single big jump (Embrechts, Klueppelberg, Mikosch 1997, 1.3.2).
    """
    match distribution:
        case _ if terms == 1:
            return distribution.survival
        case Constant(value_ns=value):
            return Constant(value * terms).survival
        case ShiftedExponential(shift_ns=shift, tail_mean_ns=mean):
            return lambda t: np.asarray(gammaincc(terms, np.maximum(t - terms * shift, 0.0) / mean))
    return _convolved(distribution, terms)


def _convolved(distribution: Distribution, terms: int) -> Survival:
    mean = distribution.mean_ns
    reach = 1.5 * float(distribution.inverse_survival(np.array([1e-10]))[0])
    top = terms * mean + max(terms * mean, min(reach, 200.0 * mean))
    width = top / GRID
    edges = np.concatenate(([0.0], (np.arange(GRID) + 0.5) * width))
    # Mass of a cell sits at its middle; the sum of whole numbers of widths keeps that up to half a width.
    mass = -np.diff(distribution.survival(edges), prepend=1.0)[1:]
    mass[0] += 1.0 - distribution.survival(np.zeros(1))[0]
    power = _convolution_power(mass, terms)
    # Linear in between, so that the steps of the grid do not show.
    known = np.clip(1.0 - np.cumsum(power), 0.0, 1.0)
    rest = (terms - 1) * mean
    at_top = terms * float(distribution.survival(np.array([top - rest]))[0])
    join = min(1.0, known[-1] / at_top) if at_top > 0 else 0.0

    def survival(times: Floats) -> Floats:
        inside = np.interp(times, edges[1:], known, left=1.0)
        beyond = join * terms * distribution.survival(times - rest)
        return np.where(times < edges[-1], inside, beyond)

    return survival


def _convolution_power(mass: Floats, terms: int) -> Floats:
    """mass convolved with itself; squaring, padded each time, so that nothing wraps around."""
    n = len(mass)
    result: Floats | None = None
    square = mass
    while True:
        if terms & 1:
            result = square if result is None else irfft(rfft(result, 2 * n) * rfft(square, 2 * n), 2 * n)[:n]
        terms >>= 1
        if not terms:
            assert result is not None
            return result
        spectrum = rfft(square, 2 * n)
        square = irfft(spectrum * spectrum, 2 * n)[:n]


def one_round(distribution: Distribution, terms: int, timing: Timing) -> Callable[[Floats, Floats], Floats]:
    """Survival function (times, slowdown factors) of one worker's `terms` gradients, pauses included.

    A slow worker computes longer by its factor; a pause is as long for everyone, and each gradient may have
    one.
    """
    computing = sum_survival(distribution, terms)
    if not timing.pause_ns:
        return lambda times, factors: computing(times / factors)
    most = int(binom.isf(1e-15, terms, timing.pause_probability)) + 1
    counts = np.arange(min(most, terms) + 1)
    weights = binom.pmf(counts, terms, timing.pause_probability)

    def paused(times: Floats, factors: Floats) -> Floats:
        total = np.zeros(np.broadcast_shapes(np.shape(times), np.shape(factors)))
        for k, weight in zip(counts.tolist(), weights.tolist(), strict=True):
            left = times - k * timing.pause_ns
            # Before the pauses alone are over nothing can be done.
            total += weight * np.where(left < 0, 1.0, computing(np.maximum(left, 0.0) / factors))
        return total

    return paused

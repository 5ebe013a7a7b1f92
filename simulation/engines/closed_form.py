"""Rounds without workers: the length of a round is an order statistic, so draw that and nothing else.

Among n independent workers the k-th smallest of their uniform draws is Beta(k, n - k + 1) (David and Nagaraja
2003, 2.1), and the inverse survival function turns it into the k-th longest time. A round then costs one
draw, however many workers there are. Equal in distribution to `heap` and `window`; only barrier protocols
have such a form.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, digamma

from simulation.distributions import whole_ns
from simulation.draws import Floats, Ints, Stream, draw_bits, survival_of
from simulation.engines.barrier import HOUR_NS, BarrierGroup, Lengths, Round, round_of
from simulation.engines.sums import one_round
from simulation.errors import UserError
from simulation.protocols import BackupWorkers, Within
from simulation.timing import Timing, slowdowns

SLOWDOWN_CLASSES = 512

Mask = NDArray[np.bool_]


def group(protocol: Within, timing: Timing, seed: int, number: int) -> BarrierGroup:
    """The `number`-th group under a barrier protocol, at version 0 and time 0.

    Raises:
        UserError: the protocol or the timing has no closed form; the message names an engine that can.
    """
    if not protocol.barrier or (isinstance(protocol, BackupWorkers) and protocol.late == "finish"):
        raise UserError(f"engine closed_form: no formula for {protocol}; use engine window")
    what = round_of(protocol, timing)
    if what.service_ns and what.workers > 1:
        raise UserError(
            "engine closed_form: no formula for gradients that queue at parameter servers "
            "(server_service_ns > 0); use engine window"
        )
    if what.late and timing.slowdown_sigma:
        raise UserError(
            "engine closed_form: no formula for backups of unequal workers (slowdown_sigma > 0); use engine window"
        )
    return BarrierGroup(protocol, timing, seed, number, rounds(what, timing, seed, number))


def rounds(what: Round, timing: Timing, seed: int, number: int) -> Lengths:
    """Rounds of a barrier protocol, each from one draw (and one per late worker)."""
    first_worker = number * what.workers
    factors = slowdowns(timing, seed, np.arange(first_worker, first_worker + what.workers))
    survival = one_round(timing.compute, what.gradients, timing)
    plain = what.gradients == 1 and not timing.pause_ns

    def lengths(first: int, count: int, extra_ns: int) -> tuple[Ints, Ints]:
        attempts = np.arange(first, first + count)
        u = survival_of(draw_bits(seed, Stream.ORDER, number, attempts))
        if factors is not None:
            times = _slowest_of_unequal(survival, factors, u, timing)
        else:
            # The (late + 1)-th longest of n: its survival is Beta(late + 1, needed).
            simple = what.late == 0
            p = -np.expm1(np.log(u) / what.needed) if simple else betaincinv(what.late + 1, what.needed, u)
            if plain:
                times = timing.compute.inverse_survival(p)
            else:
                times = _bisect(lambda t: np.asarray(survival(t, np.ones(1)) > p), count, timing)
        result = whole_ns(times) + what.gradients * extra_ns + what.service_ns + what.overhead_ns
        return result, _late_workers(what, seed, number, attempts)

    return lengths


def _bisect(too_early: Callable[[Floats], Mask], n: int, timing: Timing) -> Floats:
    """The n times before which it is too early, to a fraction of a nanosecond."""
    low, high = np.zeros(n), np.full(n, timing.mean_compute_ns + 1.0)
    for _ in range(60):
        early = too_early(high)
        if not early.any():
            break
        high[early] *= 2.0
    for _ in range(64):
        middle = (low + high) / 2
        early = too_early(middle)
        low, high = np.where(early, middle, low), np.where(early, high, middle)
    return high


def _slowest_of_unequal(
    survival: Callable[[Floats, Floats], Floats], factors: Floats, u: Floats, timing: Timing
) -> Floats:
    """The slowest of workers with factors of their own: the product of their distribution functions equals u.

    Beyond `SLOWDOWN_CLASSES` workers, neighbours in speed share a class with their mean factor.
    """
    parts = np.array_split(np.sort(factors), min(len(factors), SLOWDOWN_CLASSES))
    sizes = np.array([len(part) for part in parts], dtype=np.float64)
    means = np.array([part.mean() for part in parts])
    log_u = np.log(u)

    def too_early(times: Floats) -> Mask:
        chance = survival(times[:, None], means)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log1p(-np.minimum(chance, 1.0)) @ sizes < log_u)

    return _bisect(too_early, len(u), timing)


def _late_workers(what: Round, seed: int, number: int, attempts: Ints) -> Ints:
    """Equal workers are late equally often: `late` of them at random, without repetition."""
    late = np.zeros((len(attempts), what.late), np.int64)
    if not what.late:
        return late
    # Floyd's sampling: the i-th pick is any of the first m, or m itself if that was picked before.
    for i in range(what.late):
        m = what.workers - what.late + i
        bits = draw_bits(seed, Stream.VICTIM, number * what.late + i, attempts)
        pick = ((bits >> np.uint64(32)) * np.uint64(m + 1) >> np.uint64(32)).astype(np.int64)
        taken = (late[:, :i] == pick[:, None]).any(axis=1)
        late[:, i] = np.where(taken, m, pick)
    return np.sort(late, axis=1)


def expected_maximum_ns(shift_ns: float, tail_mean_ns: float, workers: int) -> float:
    """Mean of the slowest of n shifted exponentials: shift + mean * H_n, H_n the n-th harmonic number."""
    return shift_ns + tail_mean_ns * float(digamma(workers + 1) - digamma(1))


def young_interval_ns(write_ns: float, failures_per_hour: float) -> float:
    """Young's (1974) checkpoint interval sqrt(2 * write * mean time between failures)."""
    return float(np.sqrt(2.0 * write_ns * HOUR_NS / failures_per_hour))

"""The closed form draws from the same distributions as the engines that count workers."""

import numpy as np
import pytest
from scipy import stats

from simulation.distributions import Constant, Empirical, LogNormal, Pareto, ShiftedExponential
from simulation.engines import run
from simulation.engines.closed_form import expected_maximum_ns, young_interval_ns
from simulation.engines.sums import sum_survival
from simulation.errors import UserError
from simulation.protocols import AsyncSGD, BackupWorkers, Codistillation, LocalSGD, SyncSGD
from simulation.schedule import Kind, check
from simulation.timing import Timing

CONTINUOUS = [ShiftedExponential(8e5, 2e5), LogNormal(1e6, 0.5), Pareto(1e6, 2.5)]


def lengths(protocol, timing, updates, engine, seed=0):
    return np.diff(run(protocol, timing, updates, seed=seed, engine=engine).updates.time_ns, prepend=0)


@pytest.mark.parametrize("compute", CONTINUOUS, ids=lambda d: d.kind)
@pytest.mark.parametrize(
    ("protocol", "extra"),
    [
        (SyncSGD(1), {}),
        (SyncSGD(24), {"allreduce_ns": 1000}),
        (SyncSGD(24), {"slowdown_sigma": 0.3}),
        (SyncSGD(24), {"pause_probability": 0.01, "pause_ns": 5_000_000}),
        (BackupWorkers(20, 4), {"push_ns": 1000, "pull_ns": 1000}),
        (LocalSGD(12, 6), {"averaging_ns": 1000}),
        (LocalSGD(12, 6), {"slowdown_sigma": 0.3, "pause_probability": 0.02, "pause_ns": 2_000_000}),
    ],
    ids=["one", "sync", "unequal", "pauses", "backup", "local", "local-unequal-pauses"],
)
def test_same_distribution_as_window(protocol, extra, compute):
    timing = Timing(compute, **extra)
    exact = lengths(protocol, timing, 4000, "window")
    closed = lengths(protocol, timing, 4000, "closed_form")
    assert stats.ks_2samp(exact, closed).pvalue > 0.001


def test_maximum_against_theory():
    closed = lengths(SyncSGD(1000), Timing(ShiftedExponential(8e5, 2e5)), 20_000, "closed_form", seed=1)
    assert closed.mean() == pytest.approx(expected_maximum_ns(8e5, 2e5, 1000), rel=2e-3)
    distribution = stats.expon(8e5, 2e5)
    assert stats.kstest(closed, lambda t: distribution.cdf(t) ** 1000).pvalue > 0.001


def test_order_statistic_against_theory():
    # The 50th smallest of 60 exponentials: a sum of exponentials with means 1/60, 1/59, ... (Renyi).
    closed = lengths(BackupWorkers(50, 10), Timing(ShiftedExponential(0.0, 1e6)), 20_000, "closed_form")
    renyi = 1e6 * sum(1.0 / k for k in range(11, 61))
    assert closed.mean() == pytest.approx(renyi, rel=5e-3)


@pytest.mark.parametrize("compute", [*CONTINUOUS, Empirical.of(np.linspace(1e5, 2e6, 301)), Constant(1e6)])
def test_sums_against_brute_force(compute):
    terms = 5
    draws = np.random.default_rng(0).random((terms, 200_000))
    sums = np.sort(compute.inverse_survival(1.0 - draws).sum(axis=0))
    survival = sum_survival(compute, terms)
    quantiles = np.quantile(sums, [0.01, 0.3, 0.9, 0.999, 0.9999]) + 1.0
    empirical = 1.0 - np.searchsorted(sums, quantiles, side="right") / len(sums)
    error = 5 * np.sqrt(np.maximum(empirical, 1e-5) / len(sums)) + 1e-3 * empirical
    assert np.all(np.abs(survival(quantiles) - empirical) <= error)


def test_sum_tail_beyond_the_grid_is_the_single_big_jump():
    compute = Pareto(1e6, 2.5)
    times = np.array([1e10, 1e12])
    ratio = sum_survival(compute, 8)(times) / (8 * compute.survival(times))
    np.testing.assert_allclose(ratio, 1.0, atol=0.02)


def test_late_workers_are_late_equally_often():
    schedule = run(BackupWorkers(6, 3), Timing(ShiftedExponential(1e6, 1e5)), 3000, engine="closed_form")
    check(schedule)
    drops = schedule.events.of(Kind.DROP)
    rows = drops.worker.reshape(-1, 3)
    assert (np.diff(np.sort(rows, axis=1), axis=1) > 0).all()
    assert stats.chisquare(np.bincount(drops.worker, minlength=9)).pvalue > 0.001


def test_codistillation_by_closed_form():
    timing = Timing(ShiftedExponential(8e5, 2e5), publish_ns=10**6, adopt_ns=10**5, teacher_forward_ns=10**5)
    protocol = Codistillation(2, SyncSGD(64), 10)
    exact, closed = (run(protocol, timing, 2000, engine=engine) for engine in ("window", "closed_form"))
    check(closed)
    assert closed.updates.time_ns[-1] == pytest.approx(exact.updates.time_ns[-1], rel=0.01)


def test_formulae():
    assert young_interval_ns(2e9, 3.6) == pytest.approx(np.sqrt(2 * 2e9 * 1e12))
    saturated = Timing(Constant(1e6), server_service_ns=10**5)
    rate = 1e9 * 5000 / run(AsyncSGD(100), saturated, 5000).updates.time_ns[-1]
    assert rate == pytest.approx(1e4, rel=0.01)


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        (SyncSGD(4, "parameter_servers"), {"server_service_ns": 5}),
        (BackupWorkers(4, 1), {"slowdown_sigma": 0.1}),
    ],
)
def test_refuses_what_has_no_formula(protocol, fields):
    with pytest.raises(UserError, match="use engine window"):
        run(protocol, Timing(Constant(1.0), **fields), 5, engine="closed_form")

"""Draws depend on their key alone, look independent, and follow the distribution they are meant for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulation.distributions import Constant, Empirical, LogNormal, Pareto, ShiftedExponential, whole_ns
from simulation.draws import Stream, batch_rows, bits_at, draw_bits, mix, survival_of, worker_keys
from simulation.errors import UserError
from simulation.protocols import AsyncSGD, Codistillation, SyncSGD
from simulation.timing import ComputeTimes, Timing

CONTINUOUS = [
    (ShiftedExponential(8e5, 2e5), stats.expon(8e5, 2e5)),
    (LogNormal(1e6, 0.4), stats.lognorm(0.4, scale=1e6)),
    (Pareto(1e6, 2.5), stats.pareto(2.5, scale=1e6)),
]


def test_mixer_matches_splitmix64():
    # First outputs of splitmix64 from state 0 (the state advances by the golden gamma each time).
    golden = 0x9E3779B97F4A7C15
    states = np.array([golden * i % 2**64 for i in (1, 2, 3)], dtype=np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(x) for x in mix(states)] == expected


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(0, 10**6))
def test_one_draw_equals_the_same_draw_in_a_block(seed, worker, step):
    one = draw_bits(seed, Stream.COMPUTE, worker, step)[0]
    keys = worker_keys(seed, Stream.COMPUTE, np.arange(max(0, worker - 2), worker + 3))
    block = bits_at(keys[:, None], np.arange(step, step + 4)[None, :])
    assert one == block[min(worker, 2), 0]


def test_streams_workers_steps_and_seeds_differ():
    seen = {
        int(draw_bits(seed, stream, worker, step)[0])
        for seed in (0, 1)
        for stream in Stream
        for worker in range(3)
        for step in range(3)
    }
    assert len(seen) == 2 * len(Stream) * 9


def test_uniform_and_uncorrelated():
    keys = worker_keys(3, Stream.COMPUTE, np.arange(200))
    u = survival_of(bits_at(keys[:, None], np.arange(200)[None, :]))
    assert stats.kstest(u.ravel(), "uniform").pvalue > 0.001
    for a, b in [(u[:, :-1], u[:, 1:]), (u[:-1], u[1:])]:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


def test_survival_stays_inside_the_open_interval():
    u = survival_of(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert 0 < u[0] < u[1] < 1


@pytest.mark.parametrize(("ours", "scipys"), CONTINUOUS, ids=lambda d: getattr(d, "kind", ""))
def test_against_scipy(ours, scipys):
    p = np.linspace(1e-6, 1 - 1e-6, 999)
    np.testing.assert_allclose(ours.inverse_survival(p), scipys.isf(p), rtol=1e-12)
    np.testing.assert_allclose(ours.survival(ours.inverse_survival(p)), p, rtol=1e-9)
    assert ours.mean_ns == pytest.approx(scipys.mean())
    assert ours.scaled(3.0).mean_ns == pytest.approx(3 * ours.mean_ns)


@pytest.mark.parametrize(
    "distribution",
    [*[d for d, _ in CONTINUOUS], Constant(5.0), Empirical.of([3, 1, 2, 2])],
    ids=lambda d: d.kind,
)
def test_inverse_survival_never_rises(distribution):
    p = np.linspace(2.0**-53, 1 - 2.0**-53, 4001)
    assert np.all(np.diff(distribution.inverse_survival(p)) <= 0)


def test_empirical_draws_every_time_equally_often(tmp_path):
    file = tmp_path / "times.txt"
    file.write_text("# seconds\n3\n1 # fast\n\n2\n2\n")
    sample = Empirical.from_file(file, unit_ns=1e9)
    u = survival_of(draw_bits(0, Stream.COMPUTE, np.arange(40_000), 0))
    values, counts = np.unique(sample.inverse_survival(u) / 1e9, return_counts=True)
    assert values.tolist() == [1, 2, 3]
    assert stats.chisquare(counts, [10_000, 20_000, 10_000]).pvalue > 0.001
    assert sample.survival(np.array([2e9])) == 0.25


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Constant(-1.0), "constant.value_ns"),
        (lambda: ShiftedExponential(1.0, 0.0), "tail_mean_ns"),
        (lambda: LogNormal(float("nan"), 1.0), "lognormal.median_ns"),
        (lambda: Pareto(1.0, 1.0), "pareto.shape"),
        (lambda: Empirical(()), "empty"),
        (lambda: Timing(Constant(1.0), allreduce_ns=1.5), "timing.allreduce_ns"),
        (lambda: Timing(Constant(1.0), servers=0), "timing.servers"),
        (lambda: Timing(Constant(1.0), servers=2), "no effect"),
        (lambda: Timing(Constant(1.0), pause_ns=2), "no effect"),
        (lambda: Timing(Constant(1.0), restart_ns=2), "no effect"),
        (lambda: Timing(3.0), "timing.compute"),
        (lambda: Timing(Constant(1.0), allreduce_ns=5).check(AsyncSGD(2)), "timing.allreduce_ns"),
        (lambda: Timing(Constant(1.0), push_ns=5).check(SyncSGD(2)), "timing.push_ns"),
        (lambda: Timing(Constant(1.0), adopt_ns=5).check(SyncSGD(2)), "timing.adopt_ns"),
        (
            lambda: Timing(Constant(1.0), publish_ns=5).check(Codistillation(2, SyncSGD(2), 1, exchange="predictions")),
            "timing.publish_ns",
        ),
    ],
)
def test_bad_numbers_are_refused(make, says):
    with pytest.raises(UserError, match=says):
        make()


@pytest.mark.parametrize(("content", "says"), [("1\nx\n", ":2: 'x'"), ("", "holds no times")])
def test_bad_sample_files_are_refused(tmp_path, content, says):
    file = tmp_path / "times.txt"
    file.write_text(content)
    with pytest.raises(UserError, match=says):
        Empirical.from_file(file)
    with pytest.raises(UserError, match="no such file"):
        Empirical.from_file(tmp_path / "absent.txt")


def test_compute_times_pauses_and_slow_workers():
    timing = Timing(ShiftedExponential(8e5, 2e5), slowdown_sigma=0.3, pause_probability=0.02, pause_ns=7_000_000)
    workers = np.arange(4000)
    times = ComputeTimes(timing, 5, workers)
    draws = np.stack([times.draw(slice(None), step) for step in range(50)])
    assert draws.mean() == pytest.approx(timing.mean_compute_ns, rel=0.02)
    plain = ComputeTimes(Timing(ShiftedExponential(8e5, 2e5)), 5, workers)
    assert plain.identical
    assert not times.identical
    paused = draws - whole_ns(plain.draw(slice(None), 0) * times.slowdown)[None] > 6_000_000
    assert 0.01 < paused.mean() < 0.03
    spread = np.log(draws.mean(axis=0))
    assert spread.std() == pytest.approx(0.3, abs=0.05)
    slowest = plain.from_bits(plain.bits(3).min(keepdims=True))[0]
    assert slowest == plain.draw(slice(None), 3).max()


def test_batch_rows_are_uniform_and_keyed():
    rows = batch_rows(1, np.arange(500)[:, None], np.arange(4)[None, :], 16, 37)
    assert rows.shape == (500, 4, 16)
    assert stats.chisquare(np.bincount(rows.ravel(), minlength=37)).pvalue > 0.001
    assert np.array_equal(batch_rows(1, 7, 2, 16, 37)[0], rows[7, 2])

"""Engines agree with each other, with queueing theory, and with an independent SimPy model."""

import numpy as np
import pytest
import simpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulation.bench import simpy_async
from simulation.distributions import Constant, Empirical, LogNormal, Pareto, ShiftedExponential
from simulation.draws import Stream, draw_bits
from simulation.engines import run
from simulation.engines.closed_form import HOUR_NS, expected_maximum_ns, young_interval_ns
from simulation.engines.failures import failure_cost
from simulation.errors import UserError
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    StaleSynchronous,
    SyncSGD,
)
from simulation.schedule import EVENT_TYPES, UPDATE_TYPES, Kind, check
from simulation.timing import ComputeTimes, Timing

COMPUTE = [
    Constant(1e6),
    ShiftedExponential(0.0, 1e6),
    ShiftedExponential(8e5, 2e5),
    LogNormal(1e6, 0.5),
    Pareto(1e6, 1.5),
    Empirical.of([0, 3e5, 3e5, 2e6]),
]


def assert_same(a, b):
    for name in UPDATE_TYPES:
        np.testing.assert_array_equal(a.updates.column(name), b.updates.column(name), err_msg=name)
    for name in EVENT_TYPES:
        np.testing.assert_array_equal(getattr(a.events, name), getattr(b.events, name), err_msg=name)


few = st.integers(1, 6)
small = st.integers(0, 5)
# Few whole nanoseconds: nearly everything ties.
computes = st.one_of(
    small.map(lambda v: Constant(float(v))),
    st.lists(small, min_size=1, max_size=4).map(Empirical.of),
    st.builds(ShiftedExponential, small.map(float), st.sampled_from([1.0, 30.0])),
    st.builds(Pareto, st.just(3.0), st.sampled_from([1.1, 3.0])),
)
withins = st.one_of(
    st.builds(SyncSGD, few, st.sampled_from(["allreduce", "parameter_servers"])),
    st.builds(BackupWorkers, few, few, st.sampled_from(["abort", "finish"])),
    st.builds(AsyncSGD, few),
    st.builds(StaleSynchronous, st.integers(2, 6), small),
    st.builds(LocalSGD, few, st.integers(1, 3)),
)


@st.composite
def runs(draw):
    within = draw(withins)
    fields = {"compute": draw(computes)}
    if isinstance(within, LocalSGD):
        fields["averaging_ns"] = draw(small)
    elif isinstance(within, SyncSGD) and within.aggregation == "allreduce":
        fields["allreduce_ns"] = draw(small)
    else:
        fields |= {name: draw(small) for name in ("push_ns", "pull_ns", "server_service_ns")}
    if draw(st.booleans()):
        fields["slowdown_sigma"] = 0.4
    if draw(st.booleans()):
        fields |= {"pause_probability": 0.1, "pause_ns": 9}
    protocol = within
    if draw(st.booleans()):
        interval = draw(few) * within.steps_per_update
        exchange = draw(st.sampled_from(["checkpoints", "predictions"]))
        if within.barrier and within.steps_per_update == 1 and exchange == "predictions":
            protocol = Codistillation(draw(st.integers(2, 3)), within, interval, draw(few), "predictions")
            fields["exchange_ns"] = draw(small)
        else:
            pickup = draw(st.sampled_from(["wait", "latest"]))
            protocol = Codistillation(draw(st.integers(2, 3)), within, interval, draw(few), pickup=pickup)
            fields |= {"publish_ns": draw(st.integers(0, 40)), "adopt_ns": draw(small)}
        fields["teacher_forward_ns"] = draw(small)
    return protocol, Timing(**fields), draw(st.integers(20, 60)), draw(st.integers(0, 99))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs())
def test_window_equals_heap_element_for_element(case):
    heap, window = (run(*case, engine=engine) for engine in ("heap", "window"))
    check(heap)
    assert_same(heap, window)


@pytest.mark.parametrize("compute", COMPUTE, ids=lambda d: d.kind)
@pytest.mark.parametrize("protocol", [AsyncSGD(700), StaleSynchronous(300, 3)], ids=["async", "ssp"])
def test_window_equals_heap_with_many_workers(protocol, compute):
    timing = Timing(compute, push_ns=10_000, pull_ns=20_000, server_service_ns=1500)
    assert_same(run(protocol, timing, 6000, engine="heap"), run(protocol, timing, 6000, engine="window"))


@pytest.mark.parametrize("compute", COMPUTE, ids=lambda d: d.kind)
@pytest.mark.parametrize("service_ns", [0, 40_000])
def test_mean_staleness_is_workers_minus_one(compute, service_ns):
    workers, updates = 20, 40_000
    schedule = run(AsyncSGD(workers), Timing(compute, server_service_ns=service_ns), updates)
    staleness = schedule.updates.version - schedule.updates.read
    # A worker's staleness telescopes: summed over its updates it is the versions that passed less its own.
    last = np.array([schedule.updates.version[schedule.updates.worker == w].max() for w in range(workers)])
    assert staleness.sum() == (last + 1).sum() - updates
    assert staleness.mean() == pytest.approx(workers - 1, abs=0.05)


def test_departures_follow_lindley():
    timing = Timing(ShiftedExponential(0.0, 1e6), push_ns=7, pull_ns=11, server_service_ns=60_000)
    workers = 12
    schedule = run(AsyncSGD(workers), timing, 3000, seed=4)
    u = schedule.updates
    times = ComputeTimes(timing, 4, np.arange(workers))
    begun = np.where(u.read > 0, u.time_ns[u.read - 1], 0)
    arrival = begun + timing.pull_ns + times.draw(u.worker.astype(np.int64), u.step.astype(np.int64)) + 7
    assert np.all(np.diff(arrival) >= 0)
    departure = 0
    for a, d in zip(arrival.tolist(), u.time_ns.tolist(), strict=True):
        departure = max(departure, a) + timing.service_ns
        assert departure == d


def simpy_free(workers, timing, updates, seed, bound=None):
    """AsyncSGD and StaleSynchronous as SimPy processes; (time, worker, read, step) of each update."""
    env = simpy.Environment()
    server = simpy.Resource(env, capacity=1)
    times = ComputeTimes(timing, seed, np.arange(workers))
    rows, done = [], [0] * workers
    moved = [env.event()]

    def worker(w):
        step = 0
        while True:
            while bound is not None and min(done) < step - bound:
                yield moved[0]
            read = len(rows)
            compute = int(times.draw(np.array([w]), np.array([step]))[0])
            yield env.timeout(timing.pull_ns + compute + timing.push_ns)
            with server.request() as turn:
                yield turn
                yield env.timeout(timing.service_ns)
            rows.append((env.now, w, read, step))
            step += 1
            done[w] = step
            moved[0].succeed()
            moved[0] = env.event()
            if len(rows) >= updates:
                stop.succeed()
                return

    stop = env.event()
    for w in range(workers):
        env.process(worker(w))
    env.run(until=stop)
    return np.array(rows[:updates]).T


@pytest.mark.parametrize("bound", [None, 0, 2])
def test_against_simpy(bound):
    # Continuous times and a service that keeps departures apart: no ties, so any correct model gives these
    # numbers.
    timing = Timing(LogNormal(1e6, 0.7), push_ns=1000, pull_ns=3000, server_service_ns=40_000)
    protocol = AsyncSGD(9) if bound is None else StaleSynchronous(9, bound)
    u = run(protocol, timing, 800, seed=2).updates
    time_ns, worker, read, step = simpy_free(9, timing, 800, 2, bound)
    np.testing.assert_array_equal(u.time_ns, time_ns)
    np.testing.assert_array_equal(u.worker, worker)
    np.testing.assert_array_equal(u.read, read)
    np.testing.assert_array_equal(u.step, step)


def test_stale_synchronous_bounds():
    slow = Timing(Pareto(1e6, 1.2), slowdown_sigma=0.5)
    for bound in (0, 1, 4):
        u = run(StaleSynchronous(6, bound), slow, 3000).updates
        done = np.zeros(6, dtype=int)
        for version, worker, read in zip(u.version, u.worker, u.read, strict=True):
            at_read = np.bincount(u.worker[:read], minlength=6)
            assert at_read[worker] - at_read.min() <= bound
            done[worker] += 1
            if bound == 0:
                assert read == version // 6 * 6
    loose = run(StaleSynchronous(6, 10**6), slow, 3000)
    assert_same(loose, run(AsyncSGD(6), slow, 3000))


def test_sync_step_is_the_slowest_worker_plus_the_link():
    timing = Timing(ShiftedExponential(8e5, 2e5), allreduce_ns=123_456)
    u = run(SyncSGD(16), timing, 20_000).updates
    mean = (u.time_ns[-1]) / len(u)
    # s.d. of the maximum is below pi/sqrt(6) * 2e5; five standard errors.
    assert abs(mean - expected_maximum_ns(8e5, 2e5, 16) - 123_456) < 5 * 1.2825 * 2e5 / np.sqrt(20_000)


def test_backup_workers_drop_the_slowest():
    timing = Timing(ShiftedExponential(8e5, 2e5))
    s = run(BackupWorkers(8, 2), timing, 500)
    times = ComputeTimes(timing, 0, np.arange(10))
    draws = np.stack([times.draw(slice(None), k) for k in range(500)])
    np.testing.assert_array_equal(np.diff(s.updates.time_ns, prepend=0), np.sort(draws, axis=1)[:, 7])
    drops = s.events.of(Kind.DROP)
    late = np.sort(np.argsort(draws, axis=1)[:, 8:], axis=1)
    np.testing.assert_array_equal(drops.worker.reshape(-1, 2), late)


@pytest.mark.parametrize("tail", [5e4, 1e6])
def test_finishing_late_work_costs_time_and_accounts_for_everyone(tail):
    timing = Timing(ShiftedExponential(1e6, tail), pull_ns=1000)
    abort, finish = (run(BackupWorkers(10, 3, late), timing, 400) for late in ("abort", "finish"))
    assert finish.updates.time_ns[-1] > abort.updates.time_ns[-1]
    drops = finish.events.of(Kind.DROP)
    taking_part = np.full((400, 13), True)
    for version, worker, joins in zip(drops.version, drops.worker, drops.peer_version, strict=True):
        assert taking_part[version:joins, worker].all()
        taking_part[version:joins, worker] = False
    assert (taking_part.sum(axis=1) == 10).all()


def test_codistillation_waits_for_the_snapshot_of_the_interval_before():
    timing = Timing(Constant(100.0), slowdown_sigma=0.5, publish_ns=50, adopt_ns=7, teacher_forward_ns=30)
    s = run(Codistillation(2, SyncSGD(1), 10, 20), timing, 60)
    adopts, publications = s.events.of(Kind.ADOPT), s.events.of(Kind.PUBLISH)
    assert sorted(set(adopts.version)) == [20, 30, 40, 50]
    assert (adopts.peer_version == adopts.version - 10).all()
    there = {
        (g, v): t + 50 for g, v, t in zip(publications.group, publications.version, publications.time_ns, strict=True)
    }
    for e in adopts.rows():
        reached = s.updates.time_ns[s.group_slices()[e["group"]]][e["version"] - 1]
        assert e["time_ns"] == max(reached, there[e["peer"], e["peer_version"]]) + 7
        begins = s.updates.time_ns[s.group_slices()[e["group"]]][e["version"]]
        step = np.diff(s.updates.time_ns[s.group_slices()[e["group"]]])[0]
        assert begins - e["time_ns"] == step + 30


def test_codistillation_latest_can_learn_from_a_group_that_is_ahead():
    timing = Timing(Constant(1000.0), slowdown_sigma=0.5, publish_ns=500)
    s = run(Codistillation(2, SyncSGD(1), 5, pickup="latest"), timing, 200)
    adopts = s.events.of(Kind.ADOPT)
    age = adopts.version - adopts.peer_version
    assert age.min() < 0 < age.max()
    assert np.all(np.diff(adopts.peer_version[adopts.group == 0]) > 0)


def test_predictions_keep_groups_together():
    timing = Timing(ShiftedExponential(100.0, 50.0), exchange_ns=9, teacher_forward_ns=4)
    s = run(Codistillation(3, SyncSGD(2), 2, 4, "predictions"), timing, 20)
    times = s.updates.time_ns.reshape(3, 20)
    for e in s.events.of(Kind.ADOPT).rows():
        assert e["version"] == e["peer_version"]
        assert e["time_ns"] == times[:, e["version"] - 1].max() + 9
    assert set(s.events.version) == {4, 6, 8, 10, 12, 14, 16, 18}


def test_failures_repeat_lost_updates_and_young_is_near_the_best():
    write = 2 * 10**9
    compute = Constant(1e9)

    def hours(interval_ns, per_hour=6.0, updates=40_000):
        timing = Timing(
            compute,
            failures_per_hour=per_hour,
            restart_ns=10**10,
            checkpoint_interval_ns=int(interval_ns),
            checkpoint_write_ns=write,
        )
        s = run(SyncSGD(1), timing, updates, seed=3)
        check(s)
        return s

    best = young_interval_ns(write, 6.0)
    s = hours(best)
    timing = Timing(
        compute, failures_per_hour=6.0, restart_ns=10**10, checkpoint_interval_ns=int(best), checkpoint_write_ns=write
    )
    assert 1 - 40_000 * 1e9 / s.updates.time_ns[-1] == pytest.approx(
        failure_cost(SyncSGD(1), timing).time_share, rel=0.2
    )
    back, fails = s.events.of(Kind.ROLLBACK), s.events.of(Kind.FAIL)
    assert len(back) == len(fails) > 50
    assert (back.peer_version <= back.version).all()
    # Rate of failures per hour of running time (restarts excluded), five standard errors.
    running = (s.updates.time_ns[-1] - len(fails) * 10**10) / HOUR_NS
    assert abs(len(fails) - 6 * running) < 5 * np.sqrt(6 * running)
    # Expected overhead of Young: write / T + T / (2 M), plus restarts.
    lost = (back.version - back.peer_version).mean() * 1e9
    assert lost == pytest.approx(best / 2, rel=0.25)
    for factor in (0.2, 5.0):
        assert hours(best * factor).updates.time_ns[-1] > s.updates.time_ns[-1]


def test_published_snapshots_stand_in_for_checkpoints():
    timing = Timing(
        Constant(1e9),
        failures_per_hour=6.0,
        restart_ns=10**10,
        checkpoint_interval_ns=10**18,
        checkpoint_write_ns=2 * 10**9,
    )
    pair = Codistillation(2, SyncSGD(1), 50, pickup="latest")
    s = run(pair, timing, 20_000, seed=3)
    share = 1 - 20_000 * 1e9 / np.mean([s.updates.time_ns[rows][-1] for rows in s.group_slices()])
    assert share == pytest.approx(failure_cost(pair, timing).time_share, rel=0.2)
    assert failure_cost(SyncSGD(2), timing).time_share == 1.0


@pytest.mark.parametrize("protocol", [AsyncSGD(8), StaleSynchronous(8, 2)])
def test_a_failed_worker_loses_one_gradient_and_rejoins(protocol):
    timing = Timing(ShiftedExponential(8e8, 2e8), failures_per_hour=100.0, restart_ns=30 * 10**9)
    s = run(protocol, timing, 5000, engine="heap")
    check(s)
    fails = s.events.of(Kind.FAIL)
    assert len(fails) > 5
    skipped = 0
    for worker in range(8):
        skipped += int((np.diff(s.updates.step[s.updates.worker == worker], prepend=-1) - 1).sum())
    assert 0 < skipped <= len(fails)
    # A worker fails every 288 s and then loses 30 s and half a step of one second.
    assert failure_cost(protocol, timing).time_share == pytest.approx(30.5 / (288 + 30.5), rel=0.1)
    with pytest.raises(UserError, match="use engine heap"):
        run(protocol, timing, 100, engine="window")


def test_failures_agree_between_engines():
    timing = Timing(
        ShiftedExponential(8e8, 2e8),
        failures_per_hour=200.0,
        restart_ns=10**9,
        checkpoint_interval_ns=10**10,
        checkpoint_write_ns=10**8,
    )
    for protocol in (SyncSGD(4), BackupWorkers(4, 1), LocalSGD(3, 4)):
        assert_same(run(protocol, timing, 200, engine="heap"), run(protocol, timing, 200, engine="window"))
    both = Codistillation(2, SyncSGD(3), 20, pickup="latest")
    heap, window = (run(both, timing, 200, engine=engine) for engine in ("heap", "window"))
    check(heap)
    assert_same(heap, window)
    assert len(heap.events.of(Kind.ROLLBACK)) > 3


def test_seed_and_nothing_else_decides():
    timing = Timing(ShiftedExponential(8e5, 2e5))
    a, b = run(AsyncSGD(5), timing, 100, seed=1), run(AsyncSGD(5), timing, 100, seed=1)
    assert_same(a, b)
    assert not np.array_equal(a.updates.time_ns, run(AsyncSGD(5), timing, 100, seed=2).updates.time_ns)
    # A longer run begins with the shorter one.
    longer = run(AsyncSGD(5), timing, 300, seed=1).updates
    np.testing.assert_array_equal(longer.time_ns[:100], a.updates.time_ns)
    assert draw_bits(1, Stream.COMPUTE, 0, 0)[0] != draw_bits(2, Stream.COMPUTE, 0, 0)[0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t: run(SyncSGD(2), t, 5, engine="simpy"), "choose one of heap, window, closed_form"),
        (lambda t: run(SyncSGD(2), t, 0), "updates"),
        (lambda t: run(SyncSGD(2), Timing(Constant(1.0), push_ns=3), 5), "no effect under SyncSGD"),
        (lambda t: run(AsyncSGD(2), t, 5, engine="closed_form"), "use engine window"),
        (lambda t: run(BackupWorkers(2, 1, "finish"), t, 5, engine="closed_form"), "use engine window"),
        (
            lambda t: run(BackupWorkers(2, 1, "finish"), Timing(Constant(1.0), failures_per_hour=1.0), 5),
            "can fail only with late",
        ),
        (lambda t: run(SyncSGD(2), Timing(Constant(1e9), failures_per_hour=3600.0), 50), "more than 1000 attempts"),
        (lambda t: run(AsyncSGD(2), Timing(Constant(1e12), failures_per_hour=3600.0), 50), "a worker fails every 2 s"),
    ],
)
def test_refusals(call, says):
    with pytest.raises(UserError, match=says):
        call(Timing(Constant(1.0)))


def test_the_yardstick_of_the_bench_simulates_the_same():
    timing = Timing(ShiftedExponential(8e5, 2e5), push_ns=9, server_service_ns=500)
    u = run(AsyncSGD(40), timing, 1500, seed=6).updates
    columns = (u.time_ns, u.worker, u.read, u.step)
    for ours, theirs in zip(columns, simpy_async(40, timing, 1500, 6), strict=True):
        np.testing.assert_array_equal(ours, theirs)

"""The price of a step: closed forms, monotony, bytes, bounds, and the exchanges of codistillation."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.cluster import (
    Cluster,
    Device,
    Failures,
    Level,
    Lognormal,
    MeasuredCollective,
    ParameterServers,
    Pauses,
)
from simulation.costs import cost
from simulation.description import load_cluster, load_workload
from simulation.distributions import ShiftedExponential
from simulation.errors import UserError
from simulation.order_statistics import expected_kth_ns
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    Protocol,
    StaleSynchronous,
    SyncSGD,
)
from simulation.report import simulate
from simulation.timing import Timing
from simulation.workload import Layer
from tests.simulation.small import NET


def cluster(bandwidth: float = 1e9, latency: float = 0.0, **changes: object) -> Cluster:
    base = Cluster(
        name="test",
        source="a test",
        confidence="measured",
        nodes=8,
        devices_per_node=1,
        device=Device("d", 1e12, 1.0),
        links=(Level("net", 8, latency, bandwidth),),
        all_reduce="ring",
        overlap=False,
        parameter_servers=ParameterServers(1, 1e9),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


ALL: list[Protocol] = [
    SyncSGD(8),
    SyncSGD(8, "parameter_servers"),
    BackupWorkers(6, 2),
    AsyncSGD(8),
    StaleSynchronous(8, 3),
    LocalSGD(8, 4),
    Codistillation(2, SyncSGD(4), 10),
    Codistillation(2, SyncSGD(4), 10, exchange="predictions"),
]


def test_sync_step_is_compute_plus_ring() -> None:
    found = cost(cluster(), NET, SyncSGD(8))
    assert found.parts_s["compute"] == pytest.approx(0.06)
    assert found.parts_s["link"] == pytest.approx(2 * 7 / 8 * 8e-3)
    assert found.timing.allreduce_ns == pytest.approx(14e6)
    assert found.examples_per_s == pytest.approx(80 / 0.074)
    assert found.bound == "compute"


def test_one_worker_sends_nothing() -> None:
    found = cost(cluster(), NET, SyncSGD(1))
    assert found.step_s == pytest.approx(0.06)
    assert all(t.total_bytes == 0 for t in found.traffic)


def test_overlap_leaves_the_first_layers_bucket() -> None:
    two_buckets = cluster(overlap=True, bucket_bytes=4e6)
    found = cost(two_buckets, NET, SyncSGD(8))
    assert found.overlap is not None
    assert found.parts_s["link"] == pytest.approx(2 * 7 / 8 * 4e-3)


def test_parameter_servers_follow_the_fitted_law() -> None:
    servers = ParameterServers(1, 1e9, incast_s_per_doubling=0.002)
    served = cluster(bandwidth=1e15, overlap=True, parameter_servers=servers)
    for doublings, n in enumerate((1, 2, 4, 8)):
        found = cost(served, NET, SyncSGD(n, "parameter_servers"))
        assert found.step_s == pytest.approx(max(0.06 + 0.002 * doublings, n * 0.016), rel=1e-6)
        assert found.bound == ("server" if n == 8 else "compute")


@pytest.mark.parametrize(("first", "last", "exposed_s"), [(1_000_000, 0, 4e-3), (0, 1_000_000, 0.0)])
def test_only_the_first_layers_weights_and_gradients_are_waited_for(first: int, last: int, exposed_s: float) -> None:
    """Its gradient comes last, its weights are needed first: neither way can hide behind compute."""
    net = replace(NET, layers=(Layer("first", first, 1e9), Layer("last", last, 1e9)))
    timing = cost(cluster(overlap=True), net, AsyncSGD(2)).timing
    assert timing.push_ns == pytest.approx(exposed_s * 1e9)
    assert timing.pull_ns == pytest.approx(exposed_s * 1e9)


def test_slow_servers_bound_an_asynchronous_group() -> None:
    found = cost(cluster(parameter_servers=ParameterServers(1, 1e8)), NET, AsyncSGD(8))
    assert found.bound == "server"
    assert found.step_s == pytest.approx(8 * 0.08)
    two = cost(cluster(parameter_servers=ParameterServers(2, 1e8)), NET, AsyncSGD(8))
    assert two.step_s == pytest.approx(4 * 0.08)


def test_local_sgd_spreads_an_averaging_over_its_interval() -> None:
    often, seldom = cost(cluster(), NET, LocalSGD(8, 1)), cost(cluster(), NET, LocalSGD(8, 10))
    assert often.parts_s["link"] == pytest.approx(10 * seldom.parts_s["link"])
    doubled = cost(cluster(), NET, LocalSGD(8, 10, momentum="average"))
    assert doubled.parts_s["link"] == pytest.approx(2 * seldom.parts_s["link"])


def test_codistillation_counts_teachers_forward_pass_and_snapshot() -> None:
    alone = cost(cluster(), NET, SyncSGD(2))
    pair = cost(cluster(), NET, Codistillation(4, SyncSGD(2), 10))
    assert pair.timing.teacher_forward_ns == pytest.approx(3 * 0.02e9)
    assert pair.timing.publish_ns == pytest.approx(3 * 8e6)
    gradients = sum(t.total_bytes for t in alone.traffic) * 4
    snapshots = 4 * 3 * 8e6 / 10
    handed_out = 4 * 3 * 8e6 / 10
    assert sum(t.total_bytes for t in pair.traffic) == pytest.approx(gradients + snapshots + handed_out)


def test_predictions_are_of_the_batch_that_is_asked_for() -> None:
    protocol = Codistillation(2, SyncSGD(4), 1, exchange="predictions")
    asked = cost(cluster(), NET, protocol, 30)
    assert asked == cost(cluster(), replace(NET, batch_per_worker_examples=30), protocol)
    assert asked.timing.exchange_ns == pytest.approx(3 * cost(cluster(), NET, protocol).timing.exchange_ns, rel=1e-6)


def test_prediction_exchange_sends_predictions_only() -> None:
    pair = cost(cluster(), NET, Codistillation(2, SyncSGD(4), 1, exchange="predictions"))
    alone = cost(cluster(), NET, SyncSGD(4))
    extra = sum(t.total_bytes for t in pair.traffic) - 2 * sum(t.total_bytes for t in alone.traffic)
    assert extra == pytest.approx(8 * 10 * 40.0)
    assert pair.timing.teacher_forward_ns == 0
    silent = replace(NET, prediction_bytes_per_example=None)
    with pytest.raises(UserError, match="add it, or exchange checkpoints"):
        cost(cluster(), silent, Codistillation(2, SyncSGD(4), 1, exchange="predictions"))


def test_measured_tables_win_and_are_interpolated_between_worker_counts() -> None:
    tables = tuple(MeasuredCollective("all_reduce", n, (1e3, 1e8), (n * 1e-3, n * 1e-2)) for n in (2, 8))
    measured = cluster(measured_collectives=tables)
    at_eight = cost(measured, NET, SyncSGD(8))
    assert at_eight.all_reduce == "measured table"
    assert at_eight.parts_s["link"] == pytest.approx(tables[1].table.seconds(8e6))
    assert cost(measured, NET, SyncSGD(4)).parts_s["link"] == pytest.approx(at_eight.parts_s["link"] / 2)


@pytest.mark.parametrize("protocol", ALL, ids=lambda p: type(p).__name__)
def test_parts_add_up_and_the_bound_is_the_largest_or_a_saturated_server(protocol: Protocol) -> None:
    found = cost(cluster(straggler=Lognormal("lognormal", 0.3)), NET, protocol)
    assert sum(found.parts_s.values()) == pytest.approx(found.step_s)
    assert found.bound == "server" or found.parts_s[found.bound] == max(found.parts_s.values())
    assert found.bound in found.why
    assert all(part >= 0 for part in found.parts_s.values())


@given(
    protocol=st.sampled_from(ALL),
    bandwidth=st.floats(1e7, 1e11),
    latency=st.floats(0, 1e-2),
    factor=st.floats(1, 50),
)
def test_step_time_is_monotone(protocol: Protocol, bandwidth: float, latency: float, factor: float) -> None:
    def step(b: float, a: float) -> float:
        return cost(cluster(b, a), NET, protocol).step_s

    base, slack = step(bandwidth, latency), 1 + 1e-6
    assert step(bandwidth * factor, latency) <= base * slack
    assert step(bandwidth, latency * factor) >= base / slack


def test_stragglers_cost_more_with_more_workers_and_backups_help() -> None:
    slow = cluster(straggler=Lognormal("lognormal", 0.5))
    waits = [cost(slow, NET, SyncSGD(n)).parts_s["straggler"] for n in (1, 2, 4, 8)]
    assert waits == sorted(waits)
    assert waits[0] == 0 < waits[-1]
    synced = cost(slow, NET, SyncSGD(8, "parameter_servers"))
    backed = cost(slow, NET, BackupWorkers(6, 2))
    assert backed.parts_s["straggler"] < synced.parts_s["straggler"]


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 8), (8, 8), (5, 8), (1000, 1000)])
def test_order_statistics_of_exponentials(k: int, n: int) -> None:
    timing = Timing(ShiftedExponential(1e6, 2e6))
    expected = 1e6 + 2e6 * sum(1 / i for i in range(n - k + 1, n + 1))
    assert expected_kth_ns(timing, k, n) == pytest.approx(expected, rel=2e-3)


def test_order_statistics_of_slow_workers_and_pauses_agree_with_sampling() -> None:
    import numpy as np

    timing = Timing(ShiftedExponential(1e6, 1e6), slowdown_sigma=0.2, pause_probability=0.05, pause_ns=5_000_000)
    rng = np.random.default_rng(0)
    times = (1e6 + rng.exponential(1e6, (20000, 16))) * np.exp(0.2 * rng.normal(size=(20000, 16)))
    times += 5e6 * (rng.random((20000, 16)) < 0.05)
    sampled = np.sort(times, axis=1).mean(axis=0)
    for k in (1, 8, 16):
        assert expected_kth_ns(timing, k, 16) == pytest.approx(sampled[k - 1], rel=0.02)


def test_pauses_and_failures_reach_the_engines() -> None:
    troubled = cluster(pauses=Pauses(0.01, 2.0), failures=Failures(0.5, 60.0, 1.0, 10.0), slowdown_sigma=0.1)
    timing = cost(troubled, NET, SyncSGD(8)).timing
    assert (timing.pause_probability, timing.pause_ns) == (0.01, 2_000_000_000)
    assert timing.failures_per_hour == pytest.approx(4.0)
    assert timing.checkpoint_interval_ns == 60_000_000_000
    assert timing.slowdown_sigma == 0.1
    served = cost(troubled, NET, AsyncSGD(8)).timing
    assert served.restart_ns == 10_000_000_000
    assert served.checkpoint_interval_ns == 0  # servers keep the weights


@pytest.mark.parametrize("protocol", ALL, ids=lambda p: type(p).__name__)
def test_engines_agree_with_the_expected_step(protocol: Protocol) -> None:
    report = simulate(cluster(), NET, protocol).report
    assert report.step_s == pytest.approx(report.expected_step_s, rel=0.02)
    assert sum(report.statistics.shares.values()) == pytest.approx(1.0)


def test_engines_agree_with_the_expected_wait_for_stragglers() -> None:
    slow = cluster(straggler=Lognormal("lognormal", 0.4))
    for protocol in (SyncSGD(8), BackupWorkers(6, 2), SyncSGD(8, "parameter_servers")):
        report = simulate(slow, NET, protocol, updates=2000).report
        assert report.step_s == pytest.approx(report.expected_step_s, rel=0.05)


def test_what_a_cluster_lacks_is_said() -> None:
    with pytest.raises(UserError, match="has no parameter_servers"):
        cost(cluster(parameter_servers=None), NET, AsyncSGD(8))
    with pytest.raises(UserError, match="need 16 devices"):
        cost(cluster(), NET, SyncSGD(16))


def test_nodes_reach_the_servers_as_one_client() -> None:
    k80 = load_cluster("cloud-k80")
    two_level = replace(
        k80,
        nodes=16,
        devices_per_node=8,
        links=(Level("PCIe", 8, 0.0, 1e12), replace(k80.links[0], members=16)),
    )
    inception = load_workload("inception-v3")
    eight = cost(two_level, inception, SyncSGD(128, "parameter_servers"))
    one = cost(k80, inception, SyncSGD(16, "parameter_servers"))
    assert eight.step_s == pytest.approx(one.step_s, rel=0.02)
    assert any("16 clients" in note for note in eight.notes)

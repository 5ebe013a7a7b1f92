"""What a report blames is what the simulated workers did, and the formula expects the same over many seeds."""

from dataclasses import replace

import numpy as np
import pytest

from simulation import engines
from simulation.cluster import (
    Cluster,
    Device,
    Failures,
    Level,
    Lognormal,
    ParameterServers,
    Pauses,
    ShiftedExponential,
)
from simulation.costs import cost
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    Protocol,
    StaleSynchronous,
    SyncSGD,
)
from simulation.report import in_words, simulate
from simulation.statistics import time_shares
from tests.simulation.small import NET

PROTOCOLS: list[Protocol] = [
    SyncSGD(8),
    SyncSGD(8, "parameter_servers"),
    BackupWorkers(6, 2),
    AsyncSGD(8),
    StaleSynchronous(8, 0),
    StaleSynchronous(8, 1),
    StaleSynchronous(8, 4),
    LocalSGD(8, 4),
    LocalSGD(8, 20),
    Codistillation(2, SyncSGD(4), 10),
    Codistillation(2, SyncSGD(4), 10, pickup="latest"),
    Codistillation(2, SyncSGD(4), 1, exchange="predictions"),
    Codistillation(2, SyncSGD(4), 10, exchange="predictions"),
    Codistillation(2, LocalSGD(4, 5), 10),
    Codistillation(2, AsyncSGD(4), 10),
]
SPREADS = {
    "shifted exponential": {"straggler": ShiftedExponential("shifted_exponential", 0.5)},
    "lognormal": {"straggler": Lognormal("lognormal", 0.4)},
    "slow for good": {"slowdown_sigma": 0.2},
    "both": {"slowdown_sigma": 0.2, "straggler": Lognormal("lognormal", 0.3)},
}


def cluster(**changes: object) -> Cluster:
    base = Cluster(
        name="test",
        source="a test",
        confidence="measured",
        nodes=32,
        devices_per_node=1,
        device=Device("d", 1e12, 1.0),
        links=(Level("net", 32, 0.0, 1e9),),
        all_reduce="ring",
        overlap=False,
        parameter_servers=ParameterServers(1, 2e10),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def _seconds_per_step(protocol: Protocol, schedule: engines.Schedule) -> float:
    """Of one gradient of every worker in the second half, on the mean over groups."""
    within = protocol.within if isinstance(protocol, Codistillation) else protocol
    per_step = 1 / within.steps_per_update if within.barrier else within.total_workers
    times = schedule.updates.column("time_ns").reshape(protocol.groups, -1) / 1e9
    first = times.shape[1] // 2
    return per_step * float(np.mean((times[:, -1] - times[:, first]) / (times.shape[1] - 1 - first)))


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_the_formula_expects_what_engines_play(protocol: Protocol, spread: str) -> None:
    priced = cost(cluster(**SPREADS[spread]), NET, protocol)
    lasting = "slowdown_sigma" in SPREADS[spread]
    seeds, updates = (60, 400) if lasting else (5, 600 if protocol.barrier else 2400)
    played = [_seconds_per_step(protocol, engines.run(protocol, priced.timing, updates, seed)) for seed in range(seeds)]
    assert priced.step_s == pytest.approx(np.mean(played), rel=0.06)


@pytest.mark.parametrize(
    ("protocol", "bound"),
    [
        (SyncSGD(32), "straggler"),
        (StaleSynchronous(32, 0), "straggler"),
        (StaleSynchronous(32, 4), "straggler"),
        (LocalSGD(32, 10), "straggler"),
        (AsyncSGD(32), "compute"),
        (Codistillation(8, SyncSGD(4), 10), "teacher"),
    ],
)
def test_who_is_slow_for_good_is_blamed(protocol: Protocol, bound: str) -> None:
    slow = cluster(slowdown_sigma=1.0)
    found = simulate(slow, NET, protocol, seed=1).report
    assert found.bound == found.statistics.bound == bound
    assert found.why.startswith(f"{bound} takes")
    assert f"{found.statistics.shares[bound]:.0%}" in found.why


@pytest.mark.parametrize("changes", [{}, *SPREADS.values(), {"pauses": Pauses(0.05, 0.3)}], ids=str)
@pytest.mark.parametrize("protocol", [*PROTOCOLS, BackupWorkers(6, 2, "finish")], ids=str)
def test_parts_are_those_of_the_simulated_step(protocol: Protocol, changes: dict[str, object]) -> None:
    played = simulate(cluster(**changes), NET, protocol)
    found = played.report
    assert sum(found.parts_s.values()) == pytest.approx(found.step_s)
    assert found.utilisation == found.statistics.shares["compute"] <= 1
    assert found.parts_s["compute"] == pytest.approx(found.utilisation * found.step_s)
    assert found.bound == found.statistics.bound
    assert "made of" in in_words(found)


@pytest.mark.parametrize("seed", range(4))
def test_utilisation_is_what_workers_computed(seed: int) -> None:
    """Workers of unequal speed that wait for nobody and send nothing compute all the time, no more."""
    free = cluster(
        slowdown_sigma=1.0, links=(Level("net", 32, 0.0, 1e15),), parameter_servers=ParameterServers(1, 1e15)
    )
    assert simulate(free, NET, AsyncSGD(32), seed=seed).report.utilisation == pytest.approx(1.0, abs=1e-4)
    synced = simulate(free, NET, SyncSGD(32), seed=seed).report
    factors = engines.window.ComputeTimes(cost(free, NET, SyncSGD(32)).timing, seed, np.arange(32)).slowdown
    assert synced.utilisation == pytest.approx(factors.mean() / factors.max(), rel=1e-3)


def test_the_start_without_teachers_is_left_out() -> None:
    protocol = Codistillation(2, SyncSGD(2), 100)
    played = simulate(cluster(), NET, protocol, updates=201)
    half = played.report.statistics.shares["teacher"]
    assert half == pytest.approx(0.02 / (0.02 + 0.06 + 0.008), rel=0.02)
    assert time_shares(played.schedule, played.timing)["teacher"] < 0.6 * half


def test_servers_that_never_rest_are_the_bound() -> None:
    """Also where a worker computes longer than it waits: more of them would make no more updates."""
    busy = cluster(parameter_servers=ParameterServers(1, 1e9))
    found = simulate(busy, NET, AsyncSGD(12)).report
    assert found.statistics.shares["compute"] > found.statistics.shares["server"]
    assert found.bound == found.statistics.bound == cost(busy, NET, AsyncSGD(12)).bound == "server"


@pytest.mark.parametrize(("groups", "bound"), [(2, "compute"), (5, "teacher")])
def test_teachers_are_blamed_where_they_take_longer_than_the_worker(groups: int, bound: str) -> None:
    found = simulate(cluster(), NET, Codistillation(groups, SyncSGD(2), 10)).report
    assert found.bound == found.statistics.bound == bound
    assert "teachers' forward passes" in found.why


def test_failures_are_blamed() -> None:
    failing = cluster(failures=Failures(200.0, 1e9, 0.0, 3600.0))
    found = simulate(failing, NET, SyncSGD(8), updates=100).report
    assert found.bound == "failure"
    assert "rarer failures" in found.why

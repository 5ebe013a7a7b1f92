"""Devices that share a node's card: bytes add up, no step is shorter than it allows, groups sit where they may."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.cluster import SERVERS, Cluster, Device, Level, ParameterServers
from simulation.costs import cost
from simulation.description import load_cluster, load_workload
from simulation.errors import UserError
from simulation.fit import ServerLaw, fit
from simulation.placement import meetings
from simulation.protocols import (
    AsyncSGD,
    BackupWorkers,
    Codistillation,
    LocalSGD,
    Protocol,
    StaleSynchronous,
    SyncSGD,
    Within,
)
from simulation.report import simulate
from simulation.validate import served_step_s
from tests.simulation.small import NET

SIZE = NET.gradient_bytes


def nodes_of_eight(nodes: int = 4, card_bytes_per_s: float = 1.25e9, **changes: object) -> Cluster:
    base = Cluster(
        name="nodes of eight",
        source="a test",
        confidence="derived",
        nodes=nodes,
        devices_per_node=8,
        device=Device("d", 1e12, 1.0),
        links=(Level("NVLink", 8, 0.0, 8e10), Level("Ethernet", nodes, 0.0, card_bytes_per_s)),
        overlap=False,
        parameter_servers=ParameterServers(1, 1e12),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def within(workers: int) -> list[Within]:
    return [
        SyncSGD(workers),
        SyncSGD(workers, "parameter_servers"),
        AsyncSGD(workers),
        LocalSGD(workers, 2),
        *([StaleSynchronous(workers, 2), BackupWorkers(workers - 1, 1)] if workers > 1 else []),
    ]


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    """Any protocol on all 32 devices, in one group or in several."""
    groups = draw(st.sampled_from([1, 2, 4, 8, 16, 32]))
    inside = draw(st.sampled_from(within(32 // groups)))
    if groups == 1:
        return inside
    exchange = draw(st.sampled_from(["checkpoints", "predictions"] if isinstance(inside, SyncSGD) else ["checkpoints"]))
    return Codistillation(groups, inside, 2, exchange=exchange)  # type: ignore[arg-type]


@given(protocols())
def test_the_busiest_links_of_a_level_carry_its_bytes(protocol: Protocol) -> None:
    links = {"NVLink": 32, "Ethernet": 4, SERVERS: protocol.groups}
    for row in cost(nodes_of_eight(), NET, protocol).traffic:
        assert row.busiest_link_bytes * links[row.level] * 2 >= row.total_bytes * (1 - 1e-12), row


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize(
    ("protocol", "sent"),
    [
        (AsyncSGD(32), 8),
        (StaleSynchronous(32, 3), 8),
        (SyncSGD(32, "parameter_servers"), 1),
        (Codistillation(2, AsyncSGD(16), 1000), 8),
        (Codistillation(16, AsyncSGD(2), 1000), 8),
        (Codistillation(16, SyncSGD(2, "parameter_servers"), 1000), 4),
        (Codistillation(32, AsyncSGD(1), 1000), 8),
    ],
)
@pytest.mark.parametrize("card_bytes_per_s", [1e7, 3e8, 1e9])
def test_no_step_is_shorter_than_the_card_takes(
    protocol: Protocol, sent: int, card_bytes_per_s: float, overlap: bool
) -> None:
    cluster = nodes_of_eight(card_bytes_per_s=card_bytes_per_s, overlap=overlap)
    played = simulate(cluster, NET, protocol).report
    card_s = sent * SIZE / card_bytes_per_s
    assert min(played.step_s, played.expected_step_s) >= card_s * (1 - 1e-6)
    by_level = {t.level: t.busiest_link_bytes for t in cost(cluster, NET, protocol).traffic}
    assert by_level["Ethernet"] >= sent * SIZE


def test_a_card_that_all_devices_fill_bounds_the_step_and_is_named() -> None:
    played = simulate(nodes_of_eight(card_bytes_per_s=1e8), NET, AsyncSGD(32)).report
    assert played.step_s == pytest.approx(8 * SIZE / 1e8, rel=1e-6)
    assert played.bound == "link"
    assert "Ethernet is not hidden" in played.why


def test_a_fast_card_costs_its_devices_nothing() -> None:
    alone = nodes_of_eight(32, devices_per_node=1, links=(Level("Ethernet", 32, 0.0, 1e12),))
    shared = nodes_of_eight(card_bytes_per_s=1e12)
    assert cost(shared, NET, AsyncSGD(32)).step_s == pytest.approx(cost(alone, NET, AsyncSGD(32)).step_s)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("make", [lambda n: SyncSGD(n, "parameter_servers"), AsyncSGD])
def test_more_workers_never_make_a_step_shorter(make: type[AsyncSGD], overlap: bool) -> None:
    servers = ParameterServers(1, 1e9, incast_s_per_doubling=1e-3)
    cluster = nodes_of_eight(16, parameter_servers=servers, overlap=overlap)
    steps = [cost(cluster, NET, make(n)).step_s for n in (1, 2, 4, 8, 16, 32, 64, 128)]
    for fewer, more in pairwise(steps):
        assert more >= fewer * (1 - 1e-9)


def test_one_full_node_is_one_client_of_the_servers() -> None:
    for workers, clients in ((2, 1), (8, 1), (16, 2), (32, 4)):
        found = cost(nodes_of_eight(), NET, SyncSGD(workers, "parameter_servers"))
        assert any(f"one of {clients} clients" in note for note in found.notes)


@pytest.mark.parametrize(("groups", "per_group"), [(8, 3), (4, 12), (4, 6)])
def test_groups_across_the_border_of_a_node_are_refused(groups: int, per_group: int) -> None:
    for inside in (SyncSGD(per_group), AsyncSGD(per_group)):
        with pytest.raises(UserError, match="whole groups of 8") as caught:
            cost(nodes_of_eight(8), NET, Codistillation(groups, inside, 10))
        assert "\n" not in str(caught.value)


def test_groups_of_any_size_fit_one_node() -> None:
    assert cost(nodes_of_eight(), NET, Codistillation(2, SyncSGD(3), 10)).workers == 6


def test_snapshots_of_groups_that_share_a_card() -> None:
    """Each of 8 groups under a card takes in 8 snapshots from the other node, and 7 inside its own."""
    traffic = {t.level: t for t in cost(nodes_of_eight(2), NET, Codistillation(16, SyncSGD(1), 1)).traffic}
    assert traffic["Ethernet"].busiest_link_bytes == pytest.approx(8 * 8 * SIZE)
    assert traffic["Ethernet"].total_bytes == pytest.approx(16 * 8 * SIZE)
    assert traffic["NVLink"].busiest_link_bytes == pytest.approx(7 * SIZE)
    assert traffic["NVLink"].total_bytes == pytest.approx(16 * 7 * SIZE)


def test_predictions_cross_a_shared_card_once() -> None:
    protocol = Codistillation(16, SyncSGD(1), 1, exchange="predictions")
    traffic = {t.level: t for t in cost(nodes_of_eight(2), NET, protocol).traffic}
    own = 10 * 40.0
    assert traffic["Ethernet"].busiest_link_bytes == pytest.approx(8 * own)
    assert traffic["NVLink"].total_bytes + traffic["Ethernet"].total_bytes == pytest.approx(16 * 15 * own)


@given(
    levels=st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=3),
    groups=st.sampled_from([2, 4, 8, 16]),
    per_group=st.sampled_from([1, 2, 4, 8, 16]),
)
def test_every_group_meets_every_other_once(levels: list[int], groups: int, per_group: int) -> None:
    outermost = max(1, groups * per_group)
    links = tuple(Level(f"level {i}", n, 0.0, 1e9) for i, n in enumerate([*levels, outermost]))
    devices = outermost
    for members in levels:
        devices *= members
    cluster = nodes_of_eight(devices, devices_per_node=1, links=links)
    found = meetings(cluster, groups, per_group)
    assert sum(m.peers for m in found) == groups - 1
    product = 1
    for m in found:
        product *= m.parts
        assert m.links * m.devices_per_link == groups * per_group
    assert product == groups


def test_the_level_that_takes_the_time_is_named() -> None:
    slow_inside = nodes_of_eight(links=(Level("NVLink", 8, 0.0, 1e7), Level("Ethernet", 4, 0.0, 1e10)))
    for protocol in (SyncSGD(8), SyncSGD(32), LocalSGD(16, 2), SyncSGD(32, "parameter_servers")):
        assert "link takes" in cost(slow_inside, NET, protocol).why
        assert "NVLink is not hidden" in cost(slow_inside, NET, protocol).why
        assert "NVLink is not hidden" in simulate(slow_inside, NET, protocol).report.why
    slow_outside = nodes_of_eight(card_bytes_per_s=1e7)
    assert "Ethernet is not hidden" in cost(slow_outside, NET, SyncSGD(32)).why


@pytest.mark.parametrize(
    ("names", "said"), [(("net", "net"), "two levels of links are called 'net'"), (("net", SERVERS), "rename it")]
)
def test_levels_have_names_of_their_own(names: tuple[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        nodes_of_eight(links=(Level(names[0], 8, 0.0, 1e9), Level(names[1], 4, 0.0, 1e9)))


def test_the_step_of_a_known_case() -> None:
    """Eight devices send 102 MB each through a card of 10 Gbit/s: no step takes less than 0.65 s."""
    cluster = nodes_of_eight(device=load_cluster("p100-ethernet").device, overlap=True)
    workload = load_workload("resnet-50")
    assert cost(cluster, workload, AsyncSGD(32)).step_s == pytest.approx(8 * 102.228128e6 / 1.25e9, rel=1e-3)


@pytest.mark.parametrize("workers", [1, 2, 8, 16, 128])
def test_a_fitted_law_carries_over_to_nodes_of_eight_through_the_price_of_a_step(workers: int) -> None:
    counts = [2**k for k in range(8)]
    found = fit(counts, [ServerLaw(2.0, 0.07, 0.06).step_s(n) for n in counts])
    law, net = found.law, load_workload("inception-v3")
    nodes = max(1, workers // 8)
    assert served_step_s(found, net, 64, workers, 8) == pytest.approx(law.step_s(nodes), rel=1e-6)
    assert served_step_s(found, net, 64, workers, 1) == pytest.approx(law.step_s(workers), rel=1e-6)

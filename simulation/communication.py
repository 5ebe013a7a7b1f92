"""How a protocol's bytes travel: all-reduce, parameter servers, and the exchanges of codistillation.

Each function turns a cluster and a workload into seconds and into bytes per link; ``costs.py`` puts them
together. Where workers sit: worker w is device w of the cluster; groups follow each other (``placement.py``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from simulation import collectives
from simulation.cluster import SERVERS, Cluster
from simulation.collectives import ALL_REDUCE, Stages, Transfer
from simulation.errors import UserError
from simulation.links import Table
from simulation.overlap import DDP_FIRST_BUCKET_BYTES, Overlap, overlap_backward
from simulation.placement import meetings, shape_of_groups
from simulation.protocols import Codistillation
from simulation.workload import ComputeTime, Workload, backward_by_layer


@dataclass(frozen=True)
class Traffic:
    """Bytes of one step at one level: on its busiest link in one direction, and over all its links."""

    level: str
    busiest_link_bytes: float
    total_bytes: float


# All-reduce


def _measured_all_reduce(cluster: Cluster, workers: int) -> Callable[[float], float] | None:
    """Seconds from measured tables: of this many workers, or between the two nearest (log-log in workers)."""
    rows = sorted((m for m in cluster.measured_collectives if m.operation == "all_reduce"), key=lambda m: m.workers)
    below = [m for m in rows if m.workers <= workers]
    above = [m for m in rows if m.workers >= workers]
    if not below or not above:
        return None
    low, high = below[-1], above[0]
    if low.workers == high.workers:
        return low.table.seconds

    def between(n_bytes: float) -> float:
        times = (low.table.seconds(n_bytes), high.table.seconds(n_bytes))
        return Table((low.workers, high.workers), times).seconds(workers)

    return between


@dataclass(frozen=True)
class AllReduce:
    """An all-reduce among some workers of a cluster: its time, its stages, and what the time rests on."""

    seconds: Callable[[float], float]
    stages: Callable[[float], Stages]
    name: str


def all_reduce(cluster: Cluster, workers: int) -> AllReduce:
    """The cluster's all-reduce for so many workers: measured where a table covers them, else modelled.

    ``fastest`` takes the quickest algorithm for every message size, as NCCL's tuner does.
    """
    shape, links = cluster.shape(workers), cluster.link_models
    names = list(ALL_REDUCE) if cluster.all_reduce == "fastest" else [cluster.all_reduce]

    def time_of(name: str, n_bytes: float) -> float:
        return collectives.seconds(ALL_REDUCE[name](shape, n_bytes), links)

    def fastest(n_bytes: float) -> str:
        return min(names, key=lambda name: time_of(name, n_bytes))

    def stages(n_bytes: float) -> Stages:
        return ALL_REDUCE[fastest(n_bytes)](shape, n_bytes)

    measured = _measured_all_reduce(cluster, workers) if workers > 1 else None
    if measured is not None:
        return AllReduce(measured, stages, "measured table")
    return AllReduce(lambda n_bytes: time_of(fastest(n_bytes), n_bytes), stages, cluster.all_reduce)


def gradient_overlap(cluster: Cluster, workload: Workload, workers: int, backward_s: float) -> Overlap:
    """The all-reduce of a step's gradients beside the backward pass, bucket by bucket (or all at its end)."""
    reduce = all_reduce(cluster, workers)
    sizes = [layer.parameters * workload.bytes_per_parameter for layer in workload.layers]
    bucket = cluster.bucket_bytes if cluster.overlap else float("inf")
    first = min(DDP_FIRST_BUCKET_BYTES, bucket) if cluster.overlap else None
    return overlap_backward(sizes, backward_by_layer(workload, backward_s), reduce.seconds, bucket, first)


def traffic_of(cluster: Cluster, stages: Stages, per_step: float = 1.0, groups: int = 1) -> list[Traffic]:
    """Bytes of these stages at every level, this often a step, in so many groups at once."""
    levels = len(cluster.links)
    busiest = collectives.bytes_per_link(stages, levels)
    total = collectives.total_bytes(stages, levels)
    return [
        Traffic(level.level, b * per_step, t * per_step * groups)
        for level, b, t in zip(cluster.links, busiest, total, strict=True)
    ]


def added(*parts: list[Traffic]) -> tuple[Traffic, ...]:
    """Traffic summed by level."""
    rows: dict[str, Traffic] = {}
    for row in (row for part in parts for row in part):
        old = rows.get(row.level, Traffic(row.level, 0.0, 0.0))
        rows[row.level] = Traffic(
            row.level, old.busiest_link_bytes + row.busiest_link_bytes, old.total_bytes + row.total_bytes
        )
    return tuple(rows.values())


# Parameter servers


@dataclass(frozen=True)
class ServerPath:
    """A gradient's way to the servers and back: inside the node, push, service of one update, pull.

    ``inside_s`` is by level. The clients of one node share its card: ``card_s`` is how long it takes them all
    in one direction, 0 where a client has a card of its own.
    """

    inside_s: tuple[float, ...]
    push_s: float
    service_s: float
    pull_s: float
    card_s: float
    clients: int
    traffic: tuple[Traffic, ...]


def _exposed(cluster: Cluster, sizes: list[float], compute_s: list[float]) -> float:
    """Seconds of sending these layers over a client's link, alone on it, that computing them does not hide."""
    link = cluster.link_models[-1]
    if not cluster.overlap:
        return link.seconds(sum(sizes))
    first = min(DDP_FIRST_BUCKET_BYTES, cluster.bucket_bytes)
    return overlap_backward(sizes, compute_s, link.seconds, cluster.bucket_bytes, first).exposed_s


def server_path(
    cluster: Cluster, workload: Workload, workers: int, synchronous: bool, compute: ComputeTime, groups: int = 1
) -> ServerPath:
    """Push, service and pull of one update, in one of so many groups of workers.

    Gradients leave layer by layer during the backward pass, and weights arrive layer by layer during the next
    forward pass, unless ``overlap`` is off: only what stays exposed counts.

    Synchronous workers of one node first reduce among themselves, and the node is one client; the servers
    take all gradients in, then send all weights out, one client after another. An asynchronous worker is a
    client of its own, and a full-duplex server takes gradients in while it sends weights out. So does a node's
    card, for all clients in that node.
    """
    servers = cluster.parameter_servers
    if servers is None:
        raise UserError(f"cluster {cluster.name!r} has no parameter_servers: add them, or use aggregation: allreduce")
    size = workload.gradient_bytes
    shape = cluster.shape(workers)
    inner = shape[:-1] if synchronous else ()
    clients = shape[-1] if synchronous else workers
    inside: Stages = ()
    for level, members in enumerate(inner):
        inside += collectives.ring_all_reduce(members, size, level, collectives.groups_at(shape, level))
    sharing = math.prod(shape_of_groups(cluster, groups, workers)[:-1]) // math.prod(inner)
    sizes = [layer.parameters * workload.bytes_per_parameter for layer in workload.layers]
    pushing = _exposed(cluster, sizes, backward_by_layer(workload, compute.backward_s))
    # Pulling is pushing backwards in time: a layer's weights must arrive before its forward pass begins.
    pulling = _exposed(cluster, sizes, backward_by_layer(workload, compute.forward_s))
    incast = servers.incast_s_per_doubling * math.log2(clients) if synchronous else 0.0
    per_direction = size / servers.bandwidth_bytes_per_s
    applied = size / servers.apply_bytes_per_s if servers.apply_bytes_per_s else 0.0
    service = per_direction * (2 if synchronous else 1) + applied
    traffic = [
        Traffic(cluster.links[-1].level, sharing * size, clients * size * 2),
        Traffic(SERVERS, clients * size / servers.count, clients * size * 2),
    ]
    return ServerPath(
        inside_s=collectives.seconds_by_level(inside, cluster.link_models),
        push_s=servers.latency_s + pushing + incast,
        service_s=service,
        pull_s=servers.latency_s + pulling,
        card_s=sharing * cluster.link_models[-1].seconds(size) if sharing > 1 else 0.0,
        clients=clients,
        traffic=added(traffic_of(cluster, inside), traffic),
    )


# Codistillation


@dataclass(frozen=True)
class ExchangePath:
    """What codistillation adds: transfer in the background, standstill, teachers' forward passes, bytes."""

    publish_s: float
    adopt_s: float
    exchange_s: float
    teacher_forward_s: float
    traffic: tuple[Traffic, ...]


def _snapshots(cluster: Cluster, protocol: Codistillation, size: float) -> Stages:
    """Every group takes in the weights of each peer over one link, which small groups share; side by side."""
    return (
        tuple(
            Transfer(m.level, 1, m.groups_per_link * m.peers * size, protocol.groups // m.groups_per_link)
            for m in meetings(cluster, protocol.groups, protocol.within.total_workers)
        ),
    )


def _gathered(cluster: Cluster, protocol: Codistillation, size: float) -> Stages:
    """Counterparts in all groups gather what each has: across the outermost level first, then inside.

    No part crosses a node's card twice; the devices under a link gather at the same time.
    """
    stages: Stages = ()
    have = 1  # of the counterparts' parts, those that a device has by now
    for m in reversed(meetings(cluster, protocol.groups, protocol.within.total_workers)):
        own = m.devices_per_link * have * size
        stages += ((Transfer(m.level, m.parts - 1, own, m.links),),)
        have *= m.parts
    return stages


def exchange_path(cluster: Cluster, workload: Workload, protocol: Codistillation, compute: ComputeTime) -> ExchangePath:
    """The price of an exchange; traffic is per step, spread over the interval.

    Checkpoints: every group sends its weights once and takes in those of all peers over the links where they
    meet, in the background; then it stands still while they are handed out inside it. Each taught step runs
    the forward pass of every peer.

    Predictions: counterparts in all groups see the same examples and gather each other's predictions, at a
    standstill; nobody runs a peer's forward pass.

    Raises:
        UserError: predictions whose size is not described.
        ValueError: groups that lie across the border of a node.
    """
    groups, per_group = protocol.groups, protocol.within.total_workers
    every = 1.0 / protocol.interval_steps
    if protocol.exchange == "checkpoints":
        size = workload.gradient_bytes
        arriving = _snapshots(cluster, protocol, size)
        inside = collectives.hierarchical_broadcast(cluster.shape(per_group), (groups - 1) * size)
        return ExchangePath(
            publish_s=collectives.seconds(arriving, cluster.link_models),
            adopt_s=collectives.seconds(inside, cluster.link_models),
            exchange_s=0.0,
            teacher_forward_s=(groups - 1) * compute.forward_s,
            traffic=added(traffic_of(cluster, inside, every, groups), traffic_of(cluster, arriving, every)),
        )
    per_example = workload.prediction_bytes_per_example
    if per_example is None:
        raise UserError(
            f"workload {workload.name!r} has no prediction_bytes_per_example: add it, or exchange checkpoints"
        )
    gather = _gathered(cluster, protocol, workload.batch_per_worker_examples * per_example)
    return ExchangePath(
        0.0,
        0.0,
        collectives.seconds(gather, cluster.link_models),
        0.0,
        tuple(traffic_of(cluster, gather, every)),
    )

"""A cluster: devices in nodes, links by level, parameter servers, and what makes workers differ and fail.

Plain frozen dataclasses, so that they can be built in Python as well as read from YAML (``description.py``).
Every number carries its unit in its name; bandwidths are bytes per second in one direction.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from simulation.collectives import Shape
from simulation.links import AlphaBeta, Link, Table, require, require_non_negative, require_positive

SERVERS = "parameter servers"
"""What the servers' own links are called among the levels of links."""

Confidence = Literal["transcribed", "secondary", "derived", "measured", "unverified"]

WIDEST_SIGMA = 5.0
_WIDE = "the mean would be more than 250,000 times the median"

SHORTEST_S = 1e-9
LONGEST_S = 3.6e7
"""Durations are played in whole nanoseconds, and beyond 417 days not at all."""


def _require_playable(**values: float) -> None:
    for key, value in values.items():
        require(
            value == 0 or SHORTEST_S <= value <= LONGEST_S,
            f"{key} must lie between {SHORTEST_S:g} and {LONGEST_S:g} s, not {value:g}",
        )


class Described:
    """Marks what the YAML reader reads: unknown keys are refused."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012


@dataclass(frozen=True)
class Device(Described):
    """One accelerator (or core). A worker of a protocol is one device."""

    name: str
    peak_flop_per_s: float
    attained_fraction: float
    step_overhead_s: float = 0.0
    price_per_hour_usd: float | None = None

    def __post_init__(self) -> None:
        require_positive(peak_flop_per_s=self.peak_flop_per_s, attained_fraction=self.attained_fraction)
        require(self.attained_fraction <= 1, "attained_fraction is a share of the peak: give at most 1")
        require_non_negative(step_overhead_s=self.step_overhead_s, price_per_hour_usd=self.price_per_hour_usd or 0.0)


@dataclass(frozen=True)
class Level(Described):
    """Links of one level: ``members`` units joined, each by one link of its own to all others.

    Give ``latency_s`` and ``bandwidth_bytes_per_s``, or the measured columns ``bytes`` and
    ``seconds_measured`` (time of one message between two members).
    """

    level: str
    members: int
    latency_s: float | None = None
    bandwidth_bytes_per_s: float | None = None
    bytes: tuple[float, ...] | None = None
    seconds_measured: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require(self.members >= 1, f"members must be 1 or more, not {self.members}")
        _ = self.link

    @property
    def link(self) -> Link:
        """The cost model of one message."""
        model = (self.latency_s, self.bandwidth_bytes_per_s)
        table = (self.bytes, self.seconds_measured)
        require(
            (None not in model and table == (None, None)) or (None not in table and model == (None, None)),
            f"link {self.level!r} needs latency_s and bandwidth_bytes_per_s, or the columns bytes and "
            "seconds_measured of a measured table, and not both",
        )
        if self.latency_s is not None and self.bandwidth_bytes_per_s is not None:
            return AlphaBeta(self.latency_s, self.bandwidth_bytes_per_s)
        assert self.bytes is not None
        assert self.seconds_measured is not None
        return Table(self.bytes, self.seconds_measured)


@dataclass(frozen=True)
class MeasuredCollective(Described):
    """Measured seconds of all-reduces among so many workers, as nccl-tests prints them."""

    operation: Literal["all_reduce"]  # no protocol is priced by tables of others
    workers: int
    bytes: tuple[float, ...]
    seconds_measured: tuple[float, ...]
    source: str = ""

    def __post_init__(self) -> None:
        require(self.workers >= 2, f"workers must be 2 or more, not {self.workers}")
        _ = self.table

    @property
    def table(self) -> Table:
        """The measurement, ready to be interpolated."""
        return Table(self.bytes, self.seconds_measured)


@dataclass(frozen=True)
class ParameterServers(Described):
    """Servers that hold the weights in equal shares.

    A push of B bytes occupies each server for ``B / count / bandwidth`` plus ``B / count / apply``; a pull
    for ``B / count / bandwidth`` the other way. ``incast_s_per_doubling`` is what each doubling of the
    clients adds to a synchronous step (many senders into one port), the ``a`` of ``T = max(Tc + a log2 N, N
    s)``.
    """

    count: int
    bandwidth_bytes_per_s: float
    latency_s: float = 0.0
    apply_bytes_per_s: float | None = None
    incast_s_per_doubling: float = 0.0

    def __post_init__(self) -> None:
        require(self.count >= 1, f"count must be 1 or more, not {self.count}")
        require_positive(bandwidth_bytes_per_s=self.bandwidth_bytes_per_s)
        require_non_negative(latency_s=self.latency_s, incast_s_per_doubling=self.incast_s_per_doubling)
        if self.apply_bytes_per_s is not None:
            require_positive(apply_bytes_per_s=self.apply_bytes_per_s)


@dataclass(frozen=True)
class ShiftedExponential(Described):
    """Each compute time is the workload's plus an exponential whose mean is this fraction of it."""

    kind: Literal["shifted_exponential"]
    mean_extra_fraction: float

    def __post_init__(self) -> None:
        require_positive(mean_extra_fraction=self.mean_extra_fraction)


@dataclass(frozen=True)
class Lognormal(Described):
    """Each compute time is the workload's (its median) times ``exp(sigma * normal)``."""

    kind: Literal["lognormal"]
    sigma: float

    def __post_init__(self) -> None:
        require_positive(sigma=self.sigma)
        require(self.sigma <= WIDEST_SIGMA, f"sigma must be at most {WIDEST_SIGMA:g}, not {self.sigma:g}: {_WIDE}")


@dataclass(frozen=True)
class Pareto(Described):
    """Each compute time is the workload's (its minimum) times a Pareto variable of this tail index."""

    kind: Literal["pareto"]
    tail_index: float

    def __post_init__(self) -> None:
        require(
            math.isfinite(self.tail_index) and self.tail_index > 1,
            f"tail_index must be above 1, else the mean step is infinite; it is {self.tail_index:g}",
        )


@dataclass(frozen=True)
class Empirical(Described):
    """Compute times drawn from a file of measured ones, one per line, scaled to the workload's median."""

    kind: Literal["empirical"]
    file: str


Straggler = ShiftedExponential | Lognormal | Pareto | Empirical


@dataclass(frozen=True)
class Pauses(Described):
    """Rare long pauses of a worker (garbage collection, a neighbour's job)."""

    probability_per_step: float
    pause_s: float

    def __post_init__(self) -> None:
        require(
            0 < self.probability_per_step < 1,
            f"probability_per_step must lie between 0 and 1, not {self.probability_per_step:g}; leave pauses out "
            "if there are none, and make the step longer if there is one at every step",
        )
        require_positive(pause_s=self.pause_s)
        _require_playable(pause_s=self.pause_s)


@dataclass(frozen=True)
class Failures(Described):
    """How often nodes fail and what it costs to come back."""

    per_node_hour: float
    checkpoint_interval_s: float
    checkpoint_s: float
    restart_s: float

    def __post_init__(self) -> None:
        require_positive(per_node_hour=self.per_node_hour, checkpoint_interval_s=self.checkpoint_interval_s)
        require_non_negative(checkpoint_s=self.checkpoint_s, restart_s=self.restart_s)
        _require_playable(checkpoint_s=self.checkpoint_s, restart_s=self.restart_s)
        require(
            self.checkpoint_interval_s >= SHORTEST_S,
            f"checkpoint_interval_s must be {SHORTEST_S:g} or more, not {self.checkpoint_interval_s:g}",
        )


@dataclass(frozen=True)
class Cluster(Described):
    """What work runs on.

    ``links`` go from the innermost level outwards; their members multiply to all devices. ``slowdown_sigma``:
    each worker is slower by one lognormal factor for the whole run (median 1, this s.d. of its logarithm).
    """

    name: str
    source: str
    confidence: Confidence
    nodes: int
    devices_per_node: int
    device: Device
    links: tuple[Level, ...]
    all_reduce: Literal["fastest", "ring", "hierarchical", "halving_doubling", "double_tree"] = "fastest"
    bucket_bytes: float = 25 * 2**20
    overlap: bool = True
    parameter_servers: ParameterServers | None = None
    slowdown_sigma: float = 0.0
    straggler: Straggler | None = None
    pauses: Pauses | None = None
    failures: Failures | None = None
    measured_collectives: tuple[MeasuredCollective, ...] = ()

    def __post_init__(self) -> None:
        require(self.nodes >= 1, f"nodes must be 1 or more, not {self.nodes}")
        require(self.devices_per_node >= 1, f"devices_per_node must be 1 or more, not {self.devices_per_node}")
        require_non_negative(slowdown_sigma=self.slowdown_sigma)
        require(
            self.slowdown_sigma <= WIDEST_SIGMA,
            f"slowdown_sigma must be at most {WIDEST_SIGMA:g}, not {self.slowdown_sigma:g}: {_WIDE}",
        )
        require_positive(bucket_bytes=self.bucket_bytes)
        self._check_tables()
        require(bool(self.links), "links is empty: describe at least one level of links")
        names = [level.level for level in self.links]
        for name in names:
            require(name != SERVERS, f"a level of links is called {name!r}, which names the servers' own: rename it")
            require(names.count(name) == 1, f"two levels of links are called {name!r}: give each a name of its own")
        joined = math.prod(level.members for level in self.links)
        require(
            joined == self.devices,
            f"links join {' x '.join(str(level.members) for level in self.links)} = {joined} members, but "
            f"nodes x devices_per_node is {self.devices}: make the two agree",
        )

    def _check_tables(self) -> None:
        """One table for each operation and number of workers: of two, one would silently win."""
        seen = set()
        for table in self.measured_collectives:
            key = (table.operation, table.workers)
            require(
                key not in seen,
                f"measured_collectives has two tables of {table.operation} among {table.workers} workers: keep one",
            )
            seen.add(key)

    @property
    def devices(self) -> int:
        """All devices."""
        return self.nodes * self.devices_per_node

    @property
    def link_models(self) -> tuple[Link, ...]:
        """The cost model of every level, innermost first."""
        return tuple(level.link for level in self.links)

    def shape(self, workers: int) -> Shape:
        """The members that so many workers occupy at each level, filling inner levels first.

        Raises:
            ValueError: more workers than devices, or workers that leave a group partly filled.
        """
        require(workers >= 1, f"workers must be 1 or more, not {workers}")
        require(
            workers <= self.devices,
            f"{workers} workers need {workers} devices, cluster {self.name!r} has {self.devices}: "
            "lower workers or raise nodes (--nodes on the command line, simulation.cluster.resized in Python)",
        )
        shape, left = [], workers
        for level in self.links:
            if left <= level.members:
                shape.append(left)
                left = 1
                continue
            require(
                left % level.members == 0,
                f"{workers} workers do not fill whole groups of {level.members} at level {level.level!r}: "
                f"use a multiple, for example {workers - left % level.members * workers // left}",
            )
            shape.append(level.members)
            left //= level.members
        return tuple(shape)

    def nodes_of(self, workers: int) -> int:
        """Nodes that so many workers occupy."""
        return math.ceil(workers / self.devices_per_node)


def with_table(cluster: Cluster, table: MeasuredCollective) -> Cluster:
    """The cluster with a measured table, in place of one of the same operation and workers.

    Raises:
        ValueError: the cluster has too few devices, or the workers leave a group partly filled.
    """
    cluster.shape(table.workers)
    others = (m for m in cluster.measured_collectives if (m.operation, m.workers) != (table.operation, table.workers))
    return replace(cluster, measured_collectives=(*others, table))


def resized(cluster: Cluster, nodes: int) -> Cluster:
    """The same cluster with another number of nodes: the outermost level grows or shrinks.

    Where every node holds a parameter server, every node does afterwards.

    Raises:
        ValueError: when the inner levels do not divide the new number of devices.
    """
    inner = math.prod(level.members for level in cluster.links[:-1])
    devices = nodes * cluster.devices_per_node
    require(
        devices % inner == 0 and devices >= inner,
        f"{nodes} nodes of {cluster.devices_per_node} devices do not fill groups of {inner}: "
        "choose another number of nodes",
    )
    outer = replace(cluster.links[-1], members=devices // inner)
    servers = cluster.parameter_servers
    if servers is not None and servers.count == cluster.nodes > 1:
        servers = replace(servers, count=nodes)
    return replace(cluster, nodes=nodes, links=(*cluster.links[:-1], outer), parameter_servers=servers)

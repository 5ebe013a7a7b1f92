"""What a step of a protocol costs on a cluster: durations for the engines, bytes per link, and what bounds
it.

``cost(cluster, workload, protocol)`` is the one door. Each part of the price is worked out by one small
function from collectives, overlap and the workload; ``Timing`` carries the durations to the engines. Step
time and bound given here are expectations in closed form, over seeds; the engines add queues at random, groups
of asynchronous workers that wait for slower ones, late workers of backups, and failures.

Where workers sit: worker w is device w of the cluster; groups follow each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from simulation.cluster import Cluster, Empirical, Lognormal, Pareto, ShiftedExponential
from simulation.collectives import Stages, seconds_by_level
from simulation.communication import (
    Traffic,
    added,
    all_reduce,
    exchange_path,
    gradient_overlap,
    server_path,
    traffic_of,
)
from simulation.distributions import Constant, Distribution, LogNormal
from simulation.distributions import Empirical as EmpiricalTimes
from simulation.distributions import Pareto as ParetoTimes
from simulation.distributions import ShiftedExponential as ShiftedExponentialTimes
from simulation.errors import UserError
from simulation.expected_step import NS, between_groups_s, paced_s, parts_of
from simulation.overlap import Overlap
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
from simulation.timing import Timing, used_fields
from simulation.workload import ComputeTime, Workload, compute_time


@dataclass(frozen=True)
class Cost:
    """The price of one step (of every group at once, under codistillation).

    ``parts_s`` add up to ``step_s``, seconds by cause: compute, straggler, link, server, teacher, peers.
    ``bound`` is the cause that takes most of it, or servers that are busy all the time (``saturated``), and
    ``why`` says so in words. ``link_level`` is the level of links that takes most of the time on links.
    """

    workers: int
    compute: ComputeTime
    timing: Timing
    step_s: float
    parts_s: dict[str, float]
    bound: str
    why: str
    saturated: bool
    link_level: str
    traffic: tuple[Traffic, ...]
    all_reduce: str | None
    overlap: Overlap | None
    notes: tuple[str, ...]
    examples_per_step: int

    @property
    def examples_per_s(self) -> float:
        """Training examples per second over all workers."""
        return self.examples_per_step / self.step_s


def ns_of(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * NS)


def compute_distribution(cluster: Cluster, step_s: float) -> Distribution:
    """Gradient times of one worker: the workload's time under the cluster's straggler distribution."""
    step_ns = step_s * NS
    match cluster.straggler:
        case None:
            return Constant(step_ns)
        case ShiftedExponential(mean_extra_fraction=extra):
            return ShiftedExponentialTimes(step_ns, step_ns * extra)
        case Lognormal(sigma=sigma):
            return LogNormal(step_ns, sigma)
        case Pareto(tail_index=index):
            return ParetoTimes(step_ns, index)
        case Empirical(file=file):
            return _empirical(file, step_ns)


def _empirical(file: str, step_ns: float) -> Distribution:
    sample = EmpiricalTimes.from_file(Path(file))
    middle = sample.times_ns[len(sample.times_ns) // 2]
    if middle <= 0:
        raise UserError(f"{file}: the median time is zero; give measured step times above zero")
    return sample.scaled(step_ns / middle)


# The price of a step


def _of_workers(cluster: Cluster) -> dict[str, int | float]:
    """What a ``Timing`` says of workers beyond the distribution of their gradients."""
    values: dict[str, int | float] = {"slowdown_sigma": cluster.slowdown_sigma}
    if cluster.pauses:
        values |= {
            "pause_probability": cluster.pauses.probability_per_step,
            "pause_ns": ns_of(cluster.pauses.pause_s),
        }
    return values


def _timing(cluster: Cluster, protocol: Protocol, compute_s: float, per_group: int, **parts: int) -> Timing:
    """A ``Timing`` of the durations that the protocol uses."""
    values: dict[str, int | float] = {**_of_workers(cluster), **parts}
    if cluster.failures:
        values |= {
            "failures_per_hour": cluster.failures.per_node_hour * cluster.nodes_of(per_group),
            "restart_ns": ns_of(cluster.failures.restart_s),
            "checkpoint_interval_ns": ns_of(cluster.failures.checkpoint_interval_s),
            "checkpoint_write_ns": ns_of(cluster.failures.checkpoint_s),
        }
    used = used_fields(protocol)
    timing = Timing(
        compute_distribution(cluster, compute_s),
        **{key: value for key, value in values.items() if key in used},  # type: ignore[arg-type]
    )
    timing.check(protocol)
    return timing


@dataclass(frozen=True)
class _Within:
    """What the protocol inside a group asks for: durations for the engines, parts of a step, bytes.

    ``server_s`` is one worker's service after its gradient, all servers sharing it; ``level_s`` the links' time
    by level, of which only proportions count.
    """

    durations: dict[str, int]
    link_s: float
    server_s: float
    level_s: tuple[float, ...]
    traffic: tuple[Traffic, ...]
    all_reduce: str | None = None
    overlap: Overlap | None = None
    notes: tuple[str, ...] = ()
    saturated: bool = False


def _all_reduced(cluster: Cluster, workload: Workload, workers: int, compute: ComputeTime) -> _Within:
    reduce = all_reduce(cluster, workers)
    overlap = gradient_overlap(cluster, workload, workers, compute.backward_s)
    stages: Stages = ()
    for bucket in overlap.buckets:
        stages += reduce.stages(bucket.n_bytes)
    return _Within(
        {"allreduce_ns": ns_of(overlap.exposed_s)},
        link_s=overlap.exposed_s,
        server_s=0.0,
        level_s=seconds_by_level(stages, cluster.link_models),
        traffic=tuple(traffic_of(cluster, stages)),
        all_reduce=reduce.name,
        overlap=overlap,
    )


def _served(
    cluster: Cluster, workload: Workload, workers: int, synchronous: bool, compute: ComputeTime, groups: int
) -> _Within:
    """Parameter servers, as engines count them: one service per worker, queued after its gradient.

    Servers handle a synchronous step's layers as they come, while workers still compute, so that the step
    lasts ``max(compute + way there and back, all services)``: the law that fits measured parameter servers.
    Engines queue whole gradients, so they are given only the service that computing does not hide.

    A card that several clients share is a queue of the same kind: a cycle of theirs lasts ``max(their own way,
    all their transfers in one direction)``, since each of them sends while others compute. Engines have no
    queue at cards, so every push is given what the own way does not hide.
    """
    path = server_path(cluster, workload, workers, synchronous, compute, groups)
    assert cluster.parameter_servers is not None
    servers = cluster.parameter_servers.count
    link_s = sum(path.inside_s) + path.push_s + path.pull_s
    service_s = path.service_s
    alone = Timing(compute_distribution(cluster, compute.step_s), **_of_workers(cluster))  # type: ignore[arg-type]
    own_s = link_s + service_s / servers
    queued_s = max(0.0, path.card_s - own_s - paced_s(alone, own_s)) if path.card_s else 0.0
    link_s += queued_s
    saturated = False
    notes: tuple[str, ...] = ()
    if synchronous:
        needed = path.service_s * path.clients  # by one server, for all clients
        hidden = (compute.step_s + link_s) * servers if cluster.overlap else 0.0
        service_s = max(0.0, needed - hidden) / workers
        saturated = cluster.overlap and service_s > 0
        if path.clients != workers:
            notes = (f"the workers of a node reach the servers as one of {path.clients} clients",)
    service_ns = ns_of(service_s)
    durations = {
        "push_ns": ns_of(sum(path.inside_s) + path.push_s + queued_s),
        "pull_ns": ns_of(path.pull_s),
        "server_service_ns": service_ns,
        "servers": servers if service_ns else 1,
    }
    *inner_s, outer_s = path.inside_s
    level_s = (*inner_s, outer_s + path.push_s + path.pull_s + queued_s)
    return _Within(durations, link_s, service_s / servers, level_s, path.traffic, notes=notes, saturated=saturated)


def _within(cluster: Cluster, workload: Workload, protocol: Within, compute: ComputeTime, groups: int) -> _Within:
    """What one of so many groups asks for."""
    workers = protocol.total_workers
    match protocol:
        case SyncSGD(aggregation="allreduce"):
            return _all_reduced(cluster, workload, workers, compute)
        case SyncSGD() | BackupWorkers():
            return _served(cluster, workload, workers, True, compute, groups)
        case AsyncSGD() | StaleSynchronous():
            return _served(cluster, workload, workers, False, compute, groups)
        case LocalSGD():
            reduce = all_reduce(cluster, workers)
            size = workload.gradient_bytes * (2 if protocol.momentum == "average" else 1)
            averaging, stages = reduce.seconds(size), reduce.stages(size)
            every = 1.0 / protocol.interval_steps
            return _Within(
                {"averaging_ns": ns_of(averaging)},
                link_s=averaging * every,
                server_s=0.0,
                level_s=seconds_by_level(stages, cluster.link_models),
                traffic=tuple(traffic_of(cluster, stages, every)),
                all_reduce=reduce.name,
            )


def reason(bound: str, shares: Mapping[str, float], link_level: str, overlap: Overlap | None) -> str:
    """Why a step takes as long as it does, in words; ``shares`` are those of its parts."""
    said = {
        "compute": "workers compute most of the time; faster devices or a smaller batch shorten it",
        "straggler": "the group waits for its slowest workers; backup workers or bounded staleness help",
        "link": f"{link_level} is not hidden; fewer bytes or a faster link help",
        "server": "the parameter servers are busy all the time; more servers or fewer bytes help",
        "teacher": "teachers' forward passes and exchanges; a longer interval or fewer groups help",
        "peers": "groups stand still for each other and for what they exchange; a longer interval helps",
        "failure": "failures, restarts and checkpoints; rarer failures or another checkpoint interval help",
    }[bound]
    taught = shares.get("teacher", 0.0)
    takes = shares[bound] + (taught if bound == "compute" else 0.0)
    teaching = f"; teachers' forward passes are {taught:.0%} of the step" if bound == "compute" and taught else ""
    hidden = ""
    if overlap and overlap.communication_s > 0:
        behind = 1 - overlap.exposed_s / overlap.communication_s
        hidden = f"; {max(behind, 0.0):.0%} of the all-reduce hides behind the backward pass"
    return f"{bound} takes {takes:.0%} of a step: {said}{teaching}{hidden}"


def cost(
    cluster: Cluster, workload: Workload, protocol: Protocol, batch_per_worker_examples: int | None = None
) -> Cost:
    """Price one step.

    Args:
        batch_per_worker_examples: instead of the workload's own.

    Raises:
        UserError: more workers than devices, workers that do not fill nodes, or a part that is not described.
    """
    try:
        return _cost(cluster, workload, protocol, batch_per_worker_examples)
    except ValueError as error:
        raise UserError(str(error)) from None


def _cost(cluster: Cluster, workload: Workload, protocol: Protocol, batch_examples: int | None) -> Cost:
    batch = workload.batch_per_worker_examples if batch_examples is None else batch_examples
    compute = compute_time(workload, cluster.device, batch)
    workload = replace(workload, batch_per_worker_examples=batch)
    inner = protocol.within if isinstance(protocol, Codistillation) else protocol
    groups = protocol.groups
    within = _within(cluster, workload, inner, compute, groups)
    durations, traffic, teacher_s = dict(within.durations), within.traffic, 0.0
    notes = [f"compute time {compute.basis}", *within.notes]
    if isinstance(protocol, Codistillation):
        path = exchange_path(cluster, workload, protocol, compute)
        durations |= {
            "publish_ns": ns_of(path.publish_s),
            "adopt_ns": ns_of(path.adopt_s),
            "exchange_ns": ns_of(path.exchange_s),
            "teacher_forward_ns": ns_of(path.teacher_forward_s),
        }
        teacher_s = path.teacher_forward_s + (path.adopt_s + path.exchange_s) / protocol.interval_steps
        alone = [Traffic(t.level, t.busiest_link_bytes, t.total_bytes * groups) for t in traffic]
        traffic = added(alone, list(path.traffic))
        notes.append("steps are those after the first teachers arrive")
    per_group = inner.total_workers
    timing = _timing(cluster, protocol, compute.step_s, per_group, **durations)
    parts = parts_of(inner, timing, within.link_s, within.server_s)
    if teacher_s:
        parts["teacher"] = teacher_s
    if isinstance(protocol, Codistillation) and (peers_s := between_groups_s(protocol, timing)):
        parts["peers"] = peers_s
    step_s = sum(parts.values())
    saturated = within.saturated or (not inner.barrier and parts["server"] > within.server_s)
    bound = "server" if saturated else max(parts, key=lambda part: parts[part])
    shares = {part: seconds / step_s for part, seconds in parts.items()}
    if bound == "compute":
        shares.pop("teacher", None)
    link_level = cluster.links[max(range(len(cluster.links)), key=lambda level: within.level_s[level])].level
    workers = protocol.total_workers
    contributing = inner.workers if isinstance(inner, BackupWorkers) else per_group
    return Cost(
        workers=workers,
        compute=compute,
        timing=timing,
        step_s=step_s,
        parts_s=parts,
        bound=bound,
        why=reason(bound, shares, link_level, within.overlap),
        saturated=saturated,
        link_level=link_level,
        traffic=traffic,
        all_reduce=within.all_reduce,
        overlap=within.overlap,
        notes=tuple(notes),
        examples_per_step=contributing * groups * batch,
    )
